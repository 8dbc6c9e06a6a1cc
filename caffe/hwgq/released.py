"""The models that the paper's authors released: where they are, their nets, their published accuracy.

``python -m caffe.hwgq.released [FOLDER]`` writes a folder for each below FOLDER (``models`` of the checkout
by default); the files that are checked in are what it writes.
"""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from . import zoo

_SITE = "http://www.svcl.ucsd.edu/projects/hwgq/"


@dataclass(frozen=True)
class Model:
    """A released model."""

    #: As its file is called, without .caffemodel.
    name: str
    #: The run of :data:`caffe.hwgq.zoo.RUNS` that it comes from.
    run: str
    #: Top-1 and top-5 accuracy on ImageNet's validation set in percent, as the paper has them; none for a net
    #: that the paper does not have.
    accuracy: tuple[float, float] | None
    #: Whether its weights are +-alpha already, for ordinary layers.
    binarized: bool = False
    #: Whether the accuracy was compared with a printed table.
    checked: bool = True

    @property
    def folder(self) -> str:
        return self.name.lower()

    @property
    def url(self) -> str:
        return f"{_SITE}{self.name}.caffemodel"


#: The released models by the name of their folder.
MODELS: dict[str, Model] = {
    model.folder: model
    for model in (
        Model("AlexNet_HWGQ", "imagenet/alex-hwgq-3ne-clip-poly-320k", (52.7, 76.3)),
        Model("ResNet18_HWGQ", "imagenet/res18-hwgq-3ne-clip-poly-320k", (59.6, 82.2)),
        Model("ResNet34_HWGQ", "imagenet/res34-hwgq-3ne-clip-poly-320k", (64.3, 85.7), checked=False),
        Model("ResNet50_HWGQ", "imagenet/res50-hwgq-3ne-clip-poly-640k", (64.6, 85.9)),
        Model("GoogleNet_HWGQ", "imagenet/google-hwgq-3ne-clip-poly-320k", (63.0, 84.9), checked=False),
        Model("VggNet_HWGQ", "imagenet/vgg-hwgq-3ne-clip-poly-640k", (64.1, 85.6), checked=False),
        Model("DarkNet19_HWGQ", "imagenet/dark19-hwgq-3ne-clip-poly-320k", None),
        Model("AlexNet_HWGQ_BW", "imagenet/alex-hwgq-3ne-clip-poly-320k", (52.7, 76.3), binarized=True),
        Model("ResNet18_HWGQ_BW", "imagenet/res18-hwgq-3ne-clip-poly-320k", (59.6, 82.2), binarized=True),
        Model("VggNet_HWGQ_BW", "imagenet/vgg-hwgq-3ne-clip-poly-640k", (64.1, 85.6), True, checked=False),
    )
}


def _readme(model: Model) -> str:
    net = "deploy_bw.prototxt" if model.binarized else "deploy.prototxt"
    size = zoo.RUNS[model.run].input_shape[1]
    accuracy = "The paper has no accuracy for this net."
    if model.accuracy:
        top1, top5 = model.accuracy
        doubt = "" if model.checked else " (not yet compared with the paper's printed tables)"
        accuracy = f"Published accuracy on ImageNet's validation set: {top1} % top-1, {top5} % top-5{doubt}."
    weights = (
        f"Its weights are floats, which the binary layers of `{net}` binarize when it runs. `caffe binarize` "
        "makes of it the binarized weights and their net."
    )
    if model.binarized:
        weights = (
            f"Its weights are ±alpha already, stored as floats, for ordinary convolutions and inner products "
            f"(`{net}`). Given to the net with binary layers, `deploy.prototxt`, they compute the same."
        )
    run = f"[examples/{model.run}](../../examples/{model.run})"
    paragraph = textwrap.fill(f"{accuracy} It was trained by {run}. {weights}", 110, break_long_words=False)
    return f"""---
name: {model.name}
caffemodel: {model.name}.caffemodel
caffemodel_url: {model.url}
license: not stated by the authors
---

# {model.name}

{paragraph}

```
caffe download models/{model.folder}
caffe classify cat.jpg -model models/{model.folder}/{net} \\
      -weights models/{model.folder}/{model.name}.caffemodel -labels synset_words.txt -mean imagenet
```

The input is {size} x {size} pixels, blue green red, less ImageNet's mean color.
"""


def files(model: Model) -> dict[str, str]:
    """The contents of a model's files, by name."""
    made = zoo.files(zoo.RUNS[model.run])
    return {
        "readme.md": _readme(model),
        **{name: made[name] for name in ("deploy.prototxt", "deploy_bw.prototxt")},
    }


def write(folder: Path, model: Model) -> Path:
    """Writes a model's files into its folder below ``folder``; returns that."""
    target = folder / model.folder
    target.mkdir(parents=True, exist_ok=True)
    for name, content in files(model).items():
        (target / name).write_text(content)
    return target


if __name__ == "__main__":
    parent = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "models"
    for each in MODELS.values():
        write(parent, each)
