"""caffe classify: says what is on images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import io
from ..classifier import Classifier, ImageScorer, PackedClassifier
from ..hwgq import PackedNet
from . import flags
from .table import table

# From the size of ImageNet's nets on, images are resized to this and their center is scored.
_IMAGENET_INPUT, _IMAGENET_RESIZED = 200, 256


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "classify",
        "Scores images with a trained net and lists the classes that score highest.",
        ["model", "weights", "gpu", "cpu", "threads", "plugin"],
        "caffe classify cat.jpg -model deploy.prototxt -weights net.caffemodel -labels synset_words.txt "
        "-mean imagenet",
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    parser.add_argument("-labels", "--labels", metavar="FILE", help="the classes' names, one in a line")
    parser.add_argument(
        "-mean",
        "--mean",
        metavar="FILE|B,G,R|imagenet",
        help="what to subtract: a .binaryproto or .npy file, or a value for each channel (nothing)",
    )
    parser.add_argument("-scale", "--scale", type=float, default=1.0, help="multiply by this after that (1)")
    parser.add_argument("-raw_scale", "--raw_scale", type=float, default=255.0, help="value of white (255)")
    parser.add_argument(
        "-resize",
        "--resize",
        type=int,
        help="side that images are resized to, before their center is cut out (256 for inputs of 200 to 256 "
        "pixels, else the input's)",
    )
    parser.add_argument("-top", "--top", type=int, default=5, help="classes to list (5)")
    parser.add_switch("oversample", "score the mean of ten crops, not the center alone")
    parser.add_switch("rgb", "give the net red, green, blue; Caffe's nets take blue, green, red")
    parser.add_switch("json", "write JSON")
    options = flags.parse(parser, arguments, required=["model"])
    packed = flags.model_is_packed(parser, options)
    if options.top < 1:
        parser.error("-top must be at least 1")
    labels = io.load_labels(options.labels) if options.labels else []
    flags.hide_information()
    flags.use_device(options)
    classifier = _classifier(options, packed)
    ((_, shape),) = classifier.transformer.inputs.items()
    color = shape[1] == 3
    images = [_image(path, color) for path in options.images]
    scores = classifier.predict(images, oversample=options.oversample)
    scores = scores.reshape(len(images), -1)
    if labels and len(labels) != scores.shape[1]:
        raise ValueError(
            f"{options.labels} names {len(labels)} classes, but {options.model} scores {scores.shape[1]}"
        )
    results = [
        {"image": path, "predictions": _best(row, labels, options.top)}
        for path, row in zip(options.images, scores, strict=True)
    ]
    print(json.dumps(results, indent=2) if options.json else "\n\n".join(map(_text, results)))
    return 0


def _classifier(options: Any, packed: bool) -> ImageScorer:
    if packed:
        classifier: ImageScorer = PackedClassifier(PackedNet(options.model, **flags.packed_options(options)))
    else:
        classifier = Classifier(options.model, options.weights)
    inputs = classifier.transformer.inputs
    if len(inputs) != 1 or (isinstance(classifier, Classifier) and len(classifier.inputs) != 1):
        raise ValueError(f"{options.model}: classifying needs a deploy net with one input and no data layers")
    ((name, shape),) = inputs.items()
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise ValueError(f"{options.model}: its input {name!r} takes no images, but {list(shape)}")
    channels, side = shape[1], max(shape[2:])
    if options.resize:
        classifier.image_dims = (options.resize, options.resize)
    elif _IMAGENET_INPUT <= side <= _IMAGENET_RESIZED:
        classifier.image_dims = (_IMAGENET_RESIZED, _IMAGENET_RESIZED)
    if min(classifier.image_dims) < side:
        raise ValueError(f"-resize {options.resize} is less than the net's input, {side}")
    transformer = classifier.transformer
    if options.mean:
        transformer.set_mean(name, _mean(options.mean, channels, shape[2:]))
    transformer.set_raw_scale(name, options.raw_scale)
    transformer.set_input_scale(name, options.scale)
    if channels == 3 and not options.rgb:
        transformer.set_channel_swap(name, (2, 1, 0))
    return classifier


def _mean(text: str, channels: int, size: Sequence[int]) -> np.ndarray:
    """The mean for a net's input: a value for each channel, or the center of a mean image."""
    if text == "imagenet":
        mean = np.array(io.IMAGENET_MEAN)
    elif all(_is_number(part) for part in text.split(",")):
        mean = np.array([float(part) for part in text.split(",")])
    else:
        mean = io.load_mean(text)
    if mean.shape[0] != channels:
        raise ValueError(f"-mean {text} is for {mean.shape[0]} channels, and the net takes {channels}")
    if mean.ndim == 3:
        try:
            mean = io.center_of(mean, *size)
        except ValueError as error:
            raise ValueError(f"-mean {text}: {error}, the net's input") from error
    return mean


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _image(path: str, color: bool) -> np.ndarray:
    try:
        return io.load_image(path, color)
    except FileNotFoundError:
        raise
    except Exception as error:  # which of the many readers of images it is decides what they raise
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _best(scores: np.ndarray, labels: Sequence[str], top: int) -> list[dict[str, Any]]:
    return [
        {"class": int(number), "label": labels[number] if labels else None, "score": float(scores[number])}
        for number in np.argsort(-scores, kind="stable")[:top]
    ]


def _text(result: dict[str, Any]) -> str:
    rows = [
        [f"{best['score']:.4f}", str(best["class"]), best["label"] or ""] for best in result["predictions"]
    ]
    return f"{result['image']}\n{table(['score', 'class', 'label'], rows, 'rrl')}"
