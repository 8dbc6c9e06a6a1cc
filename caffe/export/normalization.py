"""Layers that divide by what surrounds a value."""

from __future__ import annotations

import numpy as np

from ..proto import caffe_pb2
from .source import Layer
from .translation import Translation, writes


@writes("BatchNorm")
def _batch_norm(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.batch_norm_param
    x, axes = layer.inputs[0], len(layer.bottom_shapes[0])
    if param.HasField("use_global_stats") and not param.use_global_stats:
        return [_normalized(t, x, [axis for axis in range(axes) if axis != 1], param.eps, inside=True)]
    mean, variance, total = (blob.astype(np.float64) for blob in layer.blobs)
    part = 1 / total[0] if total[0] else 0.0
    mean, variance = (mean * part).astype(np.float32), (variance * part).astype(np.float32)
    if axes == 1:
        deviation = np.sqrt(variance + np.float32(param.eps))
        return [t.graph("Div", t.graph("Sub", x, t.graph.constant(mean)), t.graph.constant(deviation))]
    return [
        t.graph(
            "BatchNormalization",
            x,
            t.graph.constant(np.ones_like(mean), "scale"),
            t.graph.constant(np.zeros_like(mean), "bias"),
            t.graph.constant(mean, "mean"),
            t.graph.constant(variance, "variance"),
            epsilon=param.eps,
        )
    ]


@writes("MVN")
def _mvn(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.mvn_param
    axes = list(range(1 if param.across_channels else 2, len(layer.bottom_shapes[0])))
    return [_normalized(t, layer.inputs[0], axes, param.eps if param.normalize_variance else None)]


def _normalized(t: Translation, x: str, axes: list[int], eps: float | None, inside: bool = False) -> str:
    """With mean 0 over some axes, and with deviation 1 where eps is given: added to the deviation, or
    to the variance with ``inside``."""
    # ONNX would reduce all axes where none is named.
    mean = t.graph.reduce("ReduceMean", x, axes, keepdims=True) if axes else x
    centered = t.graph("Sub", x, mean)
    if eps is None:
        return centered
    squares = t.graph("Mul", centered, centered)
    variance = t.graph.reduce("ReduceMean", squares, axes, keepdims=True) if axes else squares
    epsilon = t.graph.constant(eps)
    if inside:
        deviation = t.graph("Sqrt", t.graph("Add", variance, epsilon))
    else:
        deviation = t.graph("Add", t.graph("Sqrt", variance), epsilon)
    return t.graph("Div", centered, deviation)


@writes("LRN")
def _lrn(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.lrn_param
    x, size = layer.inputs[0], param.local_size
    if param.norm_region == caffe_pb2.LRNParameter.ACROSS_CHANNELS:
        return [t.graph("LRN", x, size=size, alpha=param.alpha, beta=param.beta, bias=param.k)]
    mean = t.graph(
        "AveragePool",
        t.graph("Mul", x, x),
        kernel_shape=[size, size],
        pads=[size // 2] * 4,
        count_include_pad=1,
    )
    # The one within a channel adds 1, whatever k is.
    sums = t.shifted(t.scaled(mean, param.alpha), 1.0)
    return [t.graph("Mul", x, t.graph("Pow", sums, t.graph.constant(-param.beta)))]


@writes("Softmax")
def _softmax(t: Translation, layer: Layer) -> list[str]:
    return [t.graph("Softmax", layer.inputs[0], axis=layer.param.softmax_param.axis)]
