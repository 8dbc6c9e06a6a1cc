"""What the parameters in a file look like.

>>> for stats in blobs_of("net.caffemodel"):  # doctest: +SKIP
...     print(stats.layer, stats.role, stats.minimum, stats.maximum)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import _caffe
from .hwgq.binarize import BINARY_TYPES
from .io import blobproto_to_array
from .proto import caffe_pb2
from .summary import open_without_data

#: Blobs of so many different values, or fewer, are taken for quantized.
MOST_LEVELS = 16

_ROLES = {
    "BatchNorm": ["mean", "variance", "factor"],
    "Scale": ["scale", "bias"],
    "Bias": ["bias"],
    "PReLU": ["slope"],
}


@dataclass(frozen=True)
class BlobStats:
    """A parameter of a layer."""

    layer: str
    type: str
    #: What the layer uses it for: "weights", "bias", "mean" ...
    role: str
    shape: tuple[int, ...]
    minimum: float
    maximum: float
    mean: float
    deviation: float
    #: How many values are infinite or no numbers; the figures above are of the others.
    not_finite: int
    #: "binary" for weights that a binary layer makes +-alpha, "binarized" for those that are so already,
    #: "levels" for few different values, "" for others.
    kind: str
    #: Of few levels: each value with its share. Of binary weights: -1 and 1, the signs.
    levels: dict[float, float]
    #: The least and the largest alpha of an output, for binary weights.
    alphas: tuple[float, float] | None


def blobs_of(weights: str | os.PathLike, model: str | os.PathLike | None = None) -> Iterator[BlobStats]:
    """The parameters in a .caffemodel of any age, or in an .h5 file, which needs the net's ``model``.

    Raises:
        caffe.Error: a file cannot be read, or the weights do not fit the model.
        ValueError: an .h5 file comes without a model; or the file holds no parameters.
    """
    if os.fspath(weights).endswith(".h5"):
        if model is None:
            raise ValueError(f"{os.fspath(weights)}: an HDF5 file names no types of layers: give -model, too")
        yield from _of_net(weights, model)
        return
    net = caffe_pb2.NetParameter.FromString(_caffe.read_net_binary(os.fspath(weights)))
    if not any(layer.blobs for layer in net.layer):
        raise ValueError(f"{os.fspath(weights)}: holds no parameters")
    for layer in net.layer:
        use_alpha = _use_alpha(layer)
        for index, blob in enumerate(layer.blobs):
            yield describe(layer.name, layer.type, index, blobproto_to_array(blob), use_alpha)


def _of_net(weights: str | os.PathLike, model: str | os.PathLike) -> Iterator[BlobStats]:
    net, definition = open_without_data(model)
    net.copy_from(os.fspath(weights))
    settings = {layer.name: layer for layer in definition.layer}
    for name, blobs in net.params.items():
        use_alpha = _use_alpha(settings[name])
        for index, blob in enumerate(blobs):
            yield describe(name, net.layer_dict[name].type, index, blob.data, use_alpha)


def _use_alpha(layer: caffe_pb2.LayerParameter) -> bool:
    return layer.type in BINARY_TYPES and getattr(layer, BINARY_TYPES[layer.type][1]).use_alpha


def describe(layer: str, type: str, index: int, values: np.ndarray, use_alpha: bool = True) -> BlobStats:
    """The figures of a layer's parameter number ``index``."""
    roles = _ROLES.get(type, ["weights", "bias"])
    finite = values[np.isfinite(values)].astype(np.float64)
    kind, levels, alphas = "", {}, None
    if index == 0 and finite.size == values.size and values.size:
        kind, alphas = _binary_kind(type, values, use_alpha)
    if kind:
        ones = float(np.mean(values >= 0))
        levels = {-1.0: 1 - ones, 1.0: ones}
    elif values.size > MOST_LEVELS:
        different, counts = np.unique(values, return_counts=True)
        if different.size <= MOST_LEVELS:
            kind = "levels"
            levels = {
                float(value): count / values.size for value, count in zip(different, counts, strict=True)
            }
    return BlobStats(
        layer=layer,
        type=type,
        role=roles[index] if index < len(roles) else f"blob {index}",
        shape=tuple(values.shape),
        minimum=float(finite.min()) if finite.size else float("nan"),
        maximum=float(finite.max()) if finite.size else float("nan"),
        mean=float(finite.mean()) if finite.size else float("nan"),
        deviation=float(finite.std()) if finite.size else float("nan"),
        not_finite=values.size - finite.size,
        kind=kind,
        levels=levels,
        alphas=alphas,
    )


def _binary_kind(type: str, values: np.ndarray, use_alpha: bool) -> tuple[str, tuple[float, float] | None]:
    if values.ndim < 2:
        return "", None
    rows = np.abs(values.reshape(values.shape[0], -1))
    if type in BINARY_TYPES:
        means = rows.mean(1, dtype=np.float64) if use_alpha else np.ones(len(rows))
        return "binary", (float(means.min()), float(means.max()))
    # Outputs of one size each, and not all of the same value, as a filler may have left them.
    if rows.shape[1] > 1 and (rows == rows[:, :1]).all() and rows.any() and (values < 0).any():
        return "binarized", (float(rows[:, 0].min()), float(rows[:, 0].max()))
    return "", None
