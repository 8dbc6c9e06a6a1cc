"""Layers that compute each element of its own, or of the same place in several blobs."""

from __future__ import annotations

import math

import numpy as np

from ..proto import caffe_pb2
from .source import Layer
from .translation import Translation, writes


@writes("Dropout", "Split")
def _same(t: Translation, layer: Layer) -> list[str]:
    return layer.inputs[:1] * len(layer.tops)


@writes("ReLU")
def _relu(t: Translation, layer: Layer) -> list[str]:
    return [leaky_relu(t, layer.inputs[0], layer.param.relu_param.negative_slope)]


def leaky_relu(t: Translation, x: str, slope: float) -> str:
    """max(x, 0) + slope min(x, 0)."""
    return t.graph("LeakyRelu", x, alpha=slope) if slope else t.graph("Relu", x)


@writes("PReLU")
def _prelu(t: Translation, layer: Layer) -> list[str]:
    axes = len(layer.bottom_shapes[0])
    slopes = layer.blobs[0].reshape(-1, *[1] * (axes - 2))
    return [t.graph("PRelu", layer.inputs[0], t.graph.constant(slopes, "slopes"))]


@writes("ELU")
def _elu(t: Translation, layer: Layer) -> list[str]:
    return [t.graph("Elu", layer.inputs[0], alpha=layer.param.elu_param.alpha)]


@writes("Sigmoid", "TanH", "AbsVal", "BNLL")
def _function(t: Translation, layer: Layer) -> list[str]:
    names = {"Sigmoid": "Sigmoid", "TanH": "Tanh", "AbsVal": "Abs", "BNLL": "Softplus"}
    return [t.graph(names[layer.type], layer.inputs[0])]


@writes("Swish")
def _swish(t: Translation, layer: Layer) -> list[str]:
    x = layer.inputs[0]
    return [t.graph("Mul", x, t.graph("Sigmoid", t.scaled(x, layer.param.swish_param.beta)))]


@writes("Clip")
def _clip(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.clip_param
    return [t.graph("Clip", layer.inputs[0], t.graph.constant(param.min), t.graph.constant(param.max))]


@writes("Threshold")
def _threshold(t: Translation, layer: Layer) -> list[str]:
    limit = t.graph.constant(layer.param.threshold_param.threshold)
    return [t.graph("Cast", t.graph("Greater", layer.inputs[0], limit), to=1)]


@writes("Power")
def _power(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.power_param
    x = t.shifted(t.scaled(layer.inputs[0], param.scale), param.shift)
    if param.power == 1:
        return [x]
    return [t.graph("Pow", x, t.graph.constant(param.power))]


@writes("Exp")
def _exp(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.exp_param
    log_base = 1.0 if param.base == -1 else math.log(param.base)
    x = t.shifted(t.scaled(layer.inputs[0], param.scale * log_base), param.shift * log_base)
    return [t.graph("Exp", x)]


@writes("Log")
def _log(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.log_param
    x = t.graph("Log", t.shifted(t.scaled(layer.inputs[0], param.scale), param.shift))
    return [x if param.base == -1 else t.scaled(x, 1 / math.log(param.base))]


@writes("Eltwise")
def _eltwise(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.eltwise_param
    inputs = layer.inputs
    if param.operation == caffe_pb2.EltwiseParameter.MAX:
        return [t.graph("Max", *inputs)]
    operator = "Mul"
    if param.operation == caffe_pb2.EltwiseParameter.SUM:
        operator = "Add"
        if param.coeff:
            inputs = [t.scaled(x, factor) for x, factor in zip(inputs, param.coeff, strict=True)]
    result = inputs[0]
    for other in inputs[1:]:
        result = t.graph(operator, result, other)
    return [result]


@writes("Scale")
def _scale(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.scale_param
    x = layer.inputs[0]
    if len(layer.inputs) > 1:
        factor_shape = layer.bottom_shapes[1]
        result = t.graph("Mul", x, _along(t, layer, layer.inputs[1], param.axis))
        bias = layer.blobs[0] if param.bias_term else None
    else:
        factor_shape = layer.blobs[0].shape
        bias = layer.blobs[1] if param.bias_term else None
        normalized = _with_factors(t, layer, bias)
        if normalized:
            return [normalized]
        factor = _constant_along(t, layer, layer.blobs[0], param.axis, "scale")
        result = t.graph("Mul", x, factor)
    if bias is not None:
        # A scalar factor comes with a scalar bias.
        axis = param.axis if factor_shape else 0
        result = t.graph("Add", result, _constant_along(t, layer, bias.reshape(factor_shape), axis, "bias"))
    return [result]


def _with_factors(t: Translation, layer: Layer, bias: np.ndarray | None) -> str | None:
    """The normalization that the layer scales, with its factors; None where it scales something else."""
    node = t.graph.producer(layer.inputs[0])
    factors = layer.blobs[0]
    if node is None or node.op != "BatchNormalization" or node.attributes.get("scaled"):
        return None
    if factors.ndim != 1 or layer.param.scale_param.axis not in (1, 1 - len(layer.bottom_shapes[0])):
        return None
    plain = t.graph.constant(np.ones_like(factors), "scale")
    if node.inputs[1] != plain:
        return None
    bias = np.zeros_like(factors) if bias is None else bias
    return t.graph(
        "BatchNormalization",
        node.inputs[0],
        t.graph.constant(factors, "scale"),
        t.graph.constant(bias, "bias"),
        *node.inputs[3:],
        **node.attributes,
    )


@writes("Bias")
def _bias(t: Translation, layer: Layer) -> list[str]:
    axis = layer.param.bias_param.axis
    if len(layer.inputs) > 1:
        bias = _along(t, layer, layer.inputs[1], axis)
    else:
        bias = _constant_along(t, layer, layer.blobs[0], axis, "bias")
    return [t.graph("Add", layer.inputs[0], bias)]


def _constant_along(t: Translation, layer: Layer, values: np.ndarray, axis: int, name: str) -> str:
    """A constant whose axes lie along those of the first bottom from ``axis`` on."""
    axes = len(layer.bottom_shapes[0])
    behind = 0 if not values.ndim else axes - axis % axes - values.ndim
    return t.graph.constant(values.reshape((*values.shape, *[1] * behind)), name)


def _along(t: Translation, layer: Layer, tensor: str, axis: int) -> str:
    """The second bottom, its axes along those of the first from ``axis`` on."""
    axes, own = len(layer.bottom_shapes[0]), len(layer.bottom_shapes[1])
    behind = 0 if not own else axes - axis % axes - own
    if not behind:
        return tensor
    return t.graph("Unsqueeze", tensor, t.graph.integers(list(range(own, own + behind))))
