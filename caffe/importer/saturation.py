"""Sums that a model cuts off at the ends of a byte, where it makes no difference.

Engines compute a convolution of codes in integers if its sums are quantized to bytes. Caffe's net has no such
step. It is left out where all that reads the sums are quantizers, at most behind normalization and the like,
which give what is cut off the same level as the end that it is cut to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..proto import caffe_pb2
from .graph import Node


@dataclass(eq=False)
class Cut:
    """Sums that are cut off; an array has a value for each output.

    Args:
        node: what cuts.
        layer: what makes the sums.
        low: the least value that is left.
        high: the largest.
        cuts_low: whether there are sums below ``low``.
        cuts_high: whether there are sums above ``high``.
    """

    node: Node
    layer: caffe_pb2.LayerParameter
    low: np.ndarray
    high: np.ndarray
    cuts_low: np.ndarray
    cuts_high: np.ndarray


def makes_a_difference(
    cut: Cut,
    layers: Sequence[caffe_pb2.LayerParameter],
    parameters: Mapping[str, Sequence[np.ndarray]],
    outputs: Sequence[str],
) -> bool:
    """Whether a net without the cut could compute something else.

    Args:
        layers: of the net.
        parameters: of the layers, by name.
        outputs: the blobs that are the net's.
    """
    place = next(i for i, layer in enumerate(layers) if layer is cut.layer)
    ends = np.stack([cut.low, cut.high]).astype(np.float64)
    return not all(_same_levels(cut, *end) for end in _ends(layers, parameters, outputs, place, ends))


def _ends(
    layers: Sequence[caffe_pb2.LayerParameter],
    parameters: Mapping[str, Sequence[np.ndarray]],
    outputs: Sequence[str],
    place: int,
    ends: np.ndarray,
) -> Iterator[tuple[caffe_pb2.QuantParameter | None, np.ndarray]]:
    """For each reader of a layer's top, the quantizer behind it and what becomes of the ends until then; None
    for a reader that is no quantizer."""
    blob = layers[place].top[0]
    if blob in outputs:
        yield None, ends
    for number, layer in enumerate(layers[place + 1 :], place + 1):
        if blob not in layer.bottom:
            continue
        if layer.type == "Quant":
            yield layer.quant_param, ends
        else:
            function = _affine(layer, parameters.get(layer.name, ()))
            if function is None:
                yield None, ends
            else:
                yield from _ends(layers, parameters, outputs, number, ends * function[0] + function[1])
        if blob in layer.top:
            return


def _affine(
    layer: caffe_pb2.LayerParameter, blobs: Sequence[np.ndarray]
) -> tuple[np.ndarray | float, np.ndarray | float] | None:
    """Factor and addend of each channel, where the layer has no more than that or takes the largest of some
    places; None for others."""
    values = [blob.astype(np.float64) for blob in blobs]
    if layer.type in ("Dropout", "Split"):
        return 1.0, 0.0
    if layer.type == "Pooling":
        is_largest = layer.pooling_param.pool == caffe_pb2.PoolingParameter.MAX
        return (1.0, 0.0) if is_largest else None
    if layer.type == "Power" and layer.power_param.power == 1:
        return layer.power_param.scale, layer.power_param.shift
    if layer.type == "BatchNorm":
        factor = 1 / np.sqrt(values[1] / values[2] + layer.batch_norm_param.eps)
        return factor, -values[0] / values[2] * factor
    if layer.type in ("Bias", "Scale") and len(layer.bottom) == 1 and values[0].ndim == 1:
        param = layer.scale_param if layer.type == "Scale" else layer.bias_param
        if param.axis != 1:
            return None
        if layer.type == "Bias":
            return 1.0, values[0]
        return values[0], values[1] if len(values) > 1 else 0.0
    return None


def _same_levels(cut: Cut, param: caffe_pb2.QuantParameter | None, ends: np.ndarray) -> bool:
    if param is None or param.forward_func not in ("hwgq", "sign"):
        return False
    low, high = ends
    first = last = 0.0
    if param.forward_func == "hwgq":
        middles = np.convolve(np.array(param.centers, np.float64), [0.5, 0.5], "valid")
        last = middles[-1] if len(middles) else 0.0
    # Which end of the levels each end of the sums has to be at.
    rises = high > low
    low_is_level = np.where(rises, low <= first, low > last)
    high_is_level = np.where(rises, high > last, high <= first)
    constant = high == low
    return bool((constant | ((low_is_level | ~cut.cuts_low) & (high_is_level | ~cut.cuts_high))).all())
