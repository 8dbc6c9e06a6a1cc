"""The paper's ablations: which of weights, activations and gradient costs how much accuracy.

``python -m caffe.hwgq.ablations NAME FOLDER`` writes the files of one; without arguments it lists them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from . import zoo
from .architectures import Precision, hwgq, relu, sign

#: What is varied, by the end of an ablation's name.
PRECISIONS: dict[str, Precision] = {
    "full": Precision(relu(), binary_weights=False),
    "bw": Precision(relu()),
    "bw-sign": Precision(sign()),
    "bw-hwgq-relu": Precision(hwgq(backward="relu")),
    "bw-hwgq-clipped": Precision(hwgq()),
    "bw-hwgq-log-tailed": Precision(hwgq(backward="log_tailed")),
    **{
        f"bw-hwgq-{levels}-{'uniform' if uniform else 'nonuniform'}": Precision(hwgq(levels, uniform))
        for levels in (2, 3, 7, 15)
        for uniform in (True, False)
    },
}

# The run whose schedule and input an architecture's ablations have.
_BASES = {
    "alexnet": "imagenet/alex-hwgq-3ne-clip-step-160k",
    "resnet18": "imagenet/res18-hwgq-3ne-clip-poly-320k",
    "vgg": "imagenet/vgg-hwgq-3ne-clip-poly-640k",
}

#: The ablations by name, such as alexnet-bw-sign.
RUNS: dict[str, zoo.Run] = {
    f"{architecture}-{ending}": dataclasses.replace(zoo.RUNS[base], precision=precision)
    for architecture, base in _BASES.items()
    for ending, precision in PRECISIONS.items()
}


def write(name: str, folder: Path) -> None:
    """Writes an ablation's files into a folder. Raises ValueError for an unknown name."""
    if name not in RUNS:
        raise ValueError(f"there is no ablation {name!r}; there are {', '.join(RUNS)}")
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in zoo.files(RUNS[name]).items():
        (folder / file).write_text(content)


def main(arguments: Sequence[str]) -> str | None:
    """Runs the command line; returns what is wrong with it."""
    if not arguments:
        print("\n".join(RUNS))
        return None
    if len(arguments) != 2:
        return "usage: python -m caffe.hwgq.ablations NAME FOLDER"
    try:
        write(arguments[0], Path(arguments[1]))
    except ValueError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
