"""Which sums of products fit into a byte, as far as a quantizer tells them apart.

Engines compute a convolution in integers where its result is quantized to a byte. Sums of codes times signs
are integers, most of them too large for that. But where all that reads a sum are quantizers, at most behind
normalization and the like, sums beyond the outermost thresholds need not be told apart: moved so that the
thresholds lie around 0, they may be cut off at the ends of a byte.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..proto import caffe_pb2
from .source import Layer
from .translation import Levels, Translation

_LEAST, _MOST = -128, 127


def offsets_into_a_byte(
    t: Translation, layer: Layer, top: int, levels: Levels, alphas: np.ndarray, bias: np.ndarray | None
) -> np.ndarray | None:
    """What to add to each output's integer sums so that they fit into a byte as far as it matters.

    Args:
        layer: a convolution of codes with signs.
        top: the number of the top that is computed.
        levels: of its bottom.
        alphas: the magnitude of each output's weights.
        bias: what the layer adds to each output.

    Returns:
        int32, one for each output; None where they do not fit, or something else than quantizers reads them.
    """
    largest = levels.most * layer.blobs[0][0].size
    if largest <= _MOST:
        return np.zeros(len(alphas), np.int32)
    factor = alphas.astype(np.float64) * levels.unit
    offset = np.zeros(len(alphas)) if bias is None else bias.ravel().astype(np.float64)
    crossings = []
    position = next(i for i, other in enumerate(t.source.layers) if other is layer)
    for crossing in _crossings(t.source.layers, layer.tops[top], position, factor, offset):
        if crossing is None:
            return None
        crossings.append(crossing)
    if not crossings:
        return None
    places = np.concatenate(crossings)
    # A sum more on either side: there it does not matter how what follows is rounded.
    low = np.clip(np.floor(places.min(0)) - 1, -largest, largest)
    high = np.clip(np.ceil(places.max(0)) + 1, -largest, largest)
    if (high - low > _MOST - _LEAST).any():
        return None
    return (-np.floor((low + high + 1) / 2)).astype(np.int32)


def _crossings(
    layers: list[Layer], blob: int, position: int, factor: np.ndarray, offset: np.ndarray
) -> Iterator[np.ndarray | None]:
    """Thresholds x outputs, for each quantizer that reads factor * sum + offset, in terms of the sums; None
    for what reads it otherwise."""
    read = False
    for number in range(position + 1, len(layers)):
        layer = layers[number]
        if blob not in layer.bottoms:
            continue
        read = True
        if layer.type == "Quant":
            thresholds = _thresholds(layer.param.quant_param)
            if thresholds is None:
                yield None
                return
            with np.errstate(divide="ignore", invalid="ignore"):
                # Without a factor the sums make no difference.
                yield np.where(factor == 0, 0, (thresholds[:, None] - offset) / factor)
        else:
            function = _affine(layer)
            if function is None:
                yield None
                return
            a, b = function
            for top in layer.tops:
                yield from _crossings(layers, top, number, factor * a, offset * a + b)
        if blob in layer.tops:
            return
    if not read:
        yield None


def _thresholds(param: caffe_pb2.QuantParameter) -> np.ndarray | None:
    if param.forward_func == "sign":
        return np.zeros(1)
    if param.forward_func != "hwgq":
        return None
    centers = np.array(param.centers, np.float64)
    return np.array([0, *(centers[:-1] + centers[1:]) / 2])


def _affine(layer: Layer) -> tuple[np.ndarray | float, np.ndarray | float] | None:
    """Factor and addend of each channel, where the layer has no more than that or takes the largest of some
    places; None for others."""
    if layer.type in ("Dropout", "Split"):
        return 1.0, 0.0
    if layer.type == "Pooling":
        is_largest = layer.param.pooling_param.pool == caffe_pb2.PoolingParameter.MAX
        return (1.0, 0.0) if is_largest and len(layer.tops) == 1 else None
    blobs = [blob.astype(np.float64) for blob in layer.blobs]
    if layer.type == "BatchNorm":
        param = layer.param.batch_norm_param
        if param.HasField("use_global_stats") and not param.use_global_stats:
            return None
        mean, variance, total = blobs
        part = 1 / total[0] if total[0] else 0.0
        factor = 1 / np.sqrt(variance * part + param.eps)
        return factor, -mean * part * factor
    if layer.type in ("Scale", "Bias") and len(layer.bottoms) == 1:
        param = layer.param.scale_param if layer.type == "Scale" else layer.param.bias_param
        if blobs[0].ndim != 1 or param.axis not in (1, -3):
            return None
        if layer.type == "Bias":
            return 1.0, blobs[0]
        return blobs[0], blobs[1] if len(blobs) > 1 else 0.0
    return None
