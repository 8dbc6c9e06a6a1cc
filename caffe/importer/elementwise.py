"""Operators that compute each element of its own, or of the same place in several tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..proto import caffe_pb2
from .arrangement import reshaped
from .choosing import from_the_begin
from .folding import clip_limits
from .graph import Node, Refused
from .translation import Translation, reads
from .values import Above, Affine, Blob, Coded, Constant, Gate, NotZero, Shape, Steps, Value, Whole

_Inputs = list[Value | None]


def _function(layer_type: str, positive: bool = False, **fields: Any) -> Callable[..., Blob]:
    def read(t: Translation, node: Node, inputs: _Inputs) -> Blob:
        x = t.blob(inputs[0])
        blob = t.add(layer_type, node, [x], x.shape, **fields)
        blob.positive = positive
        return blob

    return read


reads("Relu")(_function("ReLU", positive=True))
reads("Tanh")(_function("TanH"))
reads("Abs")(_function("AbsVal", positive=True))
reads("Softplus")(_function("BNLL", positive=True))


def _function_of_line(layer_type: str, positive: bool = False, **fields: Any) -> Callable[..., Blob]:
    """A layer that itself multiplies and adds before."""

    def read(t: Translation, node: Node, inputs: _Inputs) -> Blob:
        x, line = _line(t, inputs[0])
        param = {f"{layer_type.lower()}_param": {**fields, **line}}
        blob = t.add(layer_type, node, [x], x.shape, **param)
        blob.positive = positive
        return blob

    return read


def _line(t: Translation, x: Value | None) -> tuple[Blob, dict[str, float]]:
    """A blob, and by which numbers it is multiplied and added to before a function of it is computed."""
    if not isinstance(x, Affine) or x.readers != 1 or x.factor.ndim or x.offset.ndim:
        return t.blob(x), {}
    line = {"scale": float(x.factor), "shift": float(x.offset)}
    return x.base, {name: value for name, value in line.items() if value != (name == "scale")}


reads("Exp")(_function_of_line("Exp", positive=True))
reads("Log")(_function_of_line("Log"))
reads("Sqrt")(_function_of_line("Power", positive=True, power=0.5))
reads("Reciprocal")(_function_of_line("Power", power=-1))


@reads("Identity")
def _identity(t: Translation, node: Node, inputs: _Inputs) -> Value | None:
    return inputs[0]


@reads("Dropout")
def _dropout(t: Translation, node: Node, inputs: _Inputs) -> Value:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Refused("it gives its mask, too")
    ratio = node.get("ratio", 0.5)
    if node.opset >= 12:
        ratio = inputs[1].array.item() if len(inputs) > 1 and isinstance(inputs[1], Constant) else 0.5
    x = t.blob(inputs[0])
    blob = t.add("Dropout", node, [x], x.shape, dropout_param={"dropout_ratio": ratio})
    blob.positive = x.positive
    return blob


@reads("Cast")
def _cast(t: Translation, node: Node, inputs: _Inputs) -> Value | None:
    if node.get("to") in (6, 7) and not isinstance(inputs[0], Above | Coded):
        return Whole(shape=inputs[0].shape, base=inputs[0])
    if node.get("to") == 9 and not isinstance(inputs[0], Above | Coded):
        return NotZero(shape=inputs[0].shape, base=inputs[0])
    if node.get("to") not in (1, 10, 11, 16):
        raise Refused("it casts to integers; Caffe's blobs are floats")
    if isinstance(inputs[0], Above):
        return inputs[0].steps(1, 0)
    return inputs[0]


@reads("LeakyRelu")
def _leaky_relu(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    x = t.blob(inputs[0])
    return t.add("ReLU", node, [x], x.shape, relu_param={"negative_slope": node.get("alpha", 0.01)})


@reads("Elu")
def _elu(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    x = t.blob(inputs[0])
    return t.add("ELU", node, [x], x.shape, elu_param={"alpha": node.get("alpha", 1.0)})


@reads("Selu")
def _selu(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x = t.blob(inputs[0])
    alpha = node.get("alpha", 1.6732632423543772)
    blob = t.add("ELU", node, [x], x.shape, elu_param={"alpha": alpha})
    return _scaled(t, blob, node.get("gamma", 1.0507009873554805))


@reads("PRelu")
def _prelu(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    x, slopes = t.blob(inputs[0]), inputs[1]
    if not isinstance(slopes, Constant):
        raise Refused("its slopes are not constant")
    if len(x.shape) < 2:
        raise Refused("its input has no channels")
    values = slopes.array
    if values.size == 1:
        return t.add(
            "PReLU", node, [x], x.shape, parameters=[values.reshape(())], prelu_param={"channel_shared": True}
        )
    along = (1,) * (len(x.shape) - values.ndim) + values.shape
    if len(along) != len(x.shape) or along != (1, x.shape[1], *[1] * (len(x.shape) - 2)):
        raise Refused(f"slopes of shape {list(values.shape)} are not one for each of {x.shape[1]} channels")
    return t.add("PReLU", node, [x], x.shape, parameters=[values.ravel()])


@reads("Sigmoid")
def _sigmoid(t: Translation, node: Node, inputs: _Inputs) -> Value:
    return Gate(shape=inputs[0].shape, base=inputs[0])


@reads("Swish")
def _swish(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    x = t.blob(inputs[0])
    return t.add("Swish", node, [x], x.shape, swish_param={"beta": node.get("alpha", 1.0)})


@reads("HardSigmoid")
def _hard_sigmoid(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    return _clipped_line(t, node, inputs[0], node.get("alpha", 0.2), node.get("beta", 0.5))


@reads("HardSwish")
def _hard_swish(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    x = t.blob(inputs[0])
    # Its input is read twice.
    x.readers += 1
    gate = _clipped_line(t, node, x, 1 / 6, 0.5)
    return t.add("Eltwise", node, [x, gate], x.shape, eltwise_param={"operation": "PROD"})


def _clipped_line(t: Translation, node: Node, x: Value, slope: float, offset: float) -> Blob:
    line = t.affine(x, np.asarray(slope), np.asarray(offset))
    line.node = node
    line = t.blob(line)
    blob = t.add("Clip", node, [line], line.shape, clip_param={"min": 0, "max": 1})
    blob.positive = True
    return blob


@reads("Clip")
def _clip(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    if any(value is not None and not isinstance(value, Constant) for value in inputs[1:]):
        raise Refused("its limits are not constant")
    low, high = clip_limits(node, [None, *(None if value is None else value.array for value in inputs[1:])])
    return _limited(t, node, inputs[0], low, high)


@reads("Neg")
def _neg(t: Translation, node: Node, inputs: _Inputs) -> Value:
    return _scaled(t, inputs[0], -1.0)


def _scaled(t: Translation, x: Value, factor: float) -> Value:
    return t.affine(x, np.asarray(factor), np.asarray(0.0))


@reads("Pow")
def _pow(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    if not isinstance(inputs[1], Constant) or inputs[1].array.size != 1:
        raise Refused("its exponent is not one constant number")
    x, line = _line(t, inputs[0])
    return t.add("Power", node, [x], x.shape, power_param={"power": inputs[1].array.item(), **line})


# ---------------------------------------------------------------------- of two tensors and more


@reads("Add", "Sum")
def _add(t: Translation, node: Node, inputs: _Inputs) -> Value:
    result = inputs[0]
    for other in inputs[1:]:
        constant, x = _sorted(result, other)
        if constant is not None:
            result = t.affine(x, np.asarray(1.0), constant)
        else:
            result = _eltwise(t, node, "SUM", [result, other])
    return result


@reads("Sub")
def _sub(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x, y = inputs
    if isinstance(y, Constant):
        return t.affine(x, np.asarray(1.0), -y.array.astype(np.float64))
    places = from_the_begin(x, y)
    if places is not None:
        return places
    if isinstance(x, Constant):
        return t.affine(y, np.asarray(-1.0), x.array)
    minus = Affine(shape=y.shape, base=t.blob(y), factor=np.asarray(-1.0), offset=np.asarray(0.0), node=node)
    return _eltwise(t, node, "SUM", [x, minus])


@reads("Mul")
def _mul(t: Translation, node: Node, inputs: _Inputs) -> Value:
    constant, x = _sorted(*inputs)
    if constant is not None:
        return t.affine(x, constant, np.asarray(0.0))
    for gate, other in (inputs, inputs[::-1]):
        beta = _beta(gate, other)
        if beta is not None:
            return t.add("Swish", node, [t.blob(other)], other.shape, swish_param={"beta": beta})
    return _eltwise(t, node, "PROD", inputs)


def _beta(gate: Value, x: Value) -> float | None:
    """beta of x sigmoid(beta x); None for other products."""
    if not isinstance(gate, Gate) or gate.readers != 1:
        return None
    if gate.base is x:
        return 1.0
    inside = gate.base
    if (
        isinstance(inside, Affine)
        and inside.base is x
        and inside.factor.size == 1
        and not inside.offset.any()
    ):
        return float(inside.factor)
    return None


@reads("Div")
def _div(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x, y = inputs
    if isinstance(y, Constant):
        return t.affine(x, 1 / y.array.astype(np.float64), np.asarray(0.0))
    bottom = t.blob(y)
    inverse = t.add("Power", node, [bottom], bottom.shape, power_param={"power": -1})
    inverse.node = node
    if isinstance(x, Constant):
        return t.affine(inverse, x.array, np.asarray(0.0))
    return _eltwise(t, node, "PROD", [x, inverse])


@reads("Max", "Mean")
def _max(t: Translation, node: Node, inputs: _Inputs) -> Value:
    if len(inputs) == 1:
        return inputs[0]
    if node.op == "Mean":
        result = inputs[0]
        for other in inputs[1:]:
            result = _eltwise(t, node, "SUM", [result, other])
        return _scaled(t, result, 1 / len(inputs))
    constant, x = _sorted(*inputs) if len(inputs) == 2 else (None, None)
    if constant is not None and constant.size == 1:
        return _limited(t, node, x, float(constant.item()), math.inf)
    result = inputs[0]
    for other in inputs[1:]:
        result = _eltwise(t, node, "MAX", [result, other])
    return result


@reads("Min")
def _min(t: Translation, node: Node, inputs: _Inputs) -> Value:
    constant, x = _sorted(*inputs) if len(inputs) == 2 else (None, None)
    if constant is None or constant.size != 1:
        raise Refused("Caffe's Eltwise has no minimum")
    return _limited(t, node, x, -math.inf, float(constant.item()))


def _limited(t: Translation, node: Node, x: Value, low: float, high: float) -> Blob:
    most = float(np.finfo(np.float32).max)
    bottom = t.blob(x)
    if low == 0 and high >= most:
        blob = t.add("ReLU", node, [bottom], x.shape)
    else:
        limits = {"min": max(low, -most), "max": min(high, most)}
        blob = t.add("Clip", node, [bottom], x.shape, clip_param=limits)
    blob.positive = low >= 0
    return blob


def _sorted(x: Value | None, y: Value | None) -> tuple[np.ndarray | None, Value | None]:
    """The constant one of two values, and the other; None where neither is."""
    if isinstance(y, Constant):
        return y.array, x
    if isinstance(x, Constant):
        return x.array, y
    return None, None


def _eltwise(t: Translation, node: Node, operation: str, inputs: _Inputs) -> Blob:
    shape = tuple(np.broadcast_shapes(*(value.shape for value in inputs)))
    x, y = inputs
    if x.shape != shape and y.shape == shape:
        x, y = y, x
    if x.shape == y.shape == shape:
        return _combined(t, node, operation, x, y)
    if x.shape != shape:
        x = _repeated(t, node, x, shape)
    axes = [axis for axis, size in enumerate(y.shape, len(shape) - len(y.shape)) if size != 1]
    if operation != "MAX" and axes:
        first, end = axes[0], axes[-1] + 1
        covered = y.shape[first - len(shape) :][: end - first]
        if covered == shape[first:end]:
            # One value for each place along some axes: what Scale and Bias lay along the others.
            other = t.blob(reshaped(t, y, covered))
            name, field = ("Bias", "bias_param") if operation == "SUM" else ("Scale", "scale_param")
            where = {} if first == 1 else {"axis": first}
            return t.add(name, node, [t.blob(x), other], shape, **{field: where})
    return _combined(t, node, operation, x, _repeated(t, node, y, shape))


def _repeated(t: Translation, node: Node, x: Value, shape: Shape) -> Blob:
    blob = t.reshape(node, t.blob(x), (1,) * (len(shape) - len(x.shape)) + x.shape)
    for axis, (size, wanted) in enumerate(zip(blob.shape, shape, strict=True)):
        if size != wanted:
            larger = (*blob.shape[:axis], wanted, *blob.shape[axis + 1 :])
            blob = t.add("Tile", node, [blob], larger, tile_param={"axis": axis, "tiles": wanted})
    return blob


def _combined(t: Translation, node: Node, operation: str, x: Value, y: Value) -> Blob:
    """An Eltwise layer, or one more bottom of one that the same layer of a Caffe net had begun."""
    coefficients, bottoms = [], []
    for value in (x, y):
        factor = 1.0
        scales = isinstance(value, Affine) and value.readers == 1
        if operation == "SUM" and scales and value.factor.size == 1 and not value.offset.any():
            factor, value = float(value.factor), value.base
        coefficients.append(factor)
        bottoms.append(t.blob(value))
    begun = bottoms[0].layer
    if (
        t.alone(bottoms[0])
        and begun.type == "Eltwise"
        and begun.name == t.layer_name(node)
        and begun.eltwise_param == _parameter(operation, begun.eltwise_param.coeff)
    ):
        # Behind what makes the new bottom.
        t.layers.remove(begun)
        t.layers.append(begun)
        known = list(begun.eltwise_param.coeff) or [1.0] * len(begun.bottom)
        begun.bottom.append(bottoms[1].name)
        begun.eltwise_param.CopyFrom(_parameter(operation, [*known, coefficients[1]]))
        return Blob(shape=x.shape, name=bottoms[0].name, layer=begun)
    param = _parameter(operation, coefficients)
    blob = t.add("Eltwise", node, bottoms, x.shape, eltwise_param=param)
    blob.positive = all(bottom.positive for bottom in bottoms) and min(coefficients) >= 0
    return blob


def _parameter(operation: str, coefficients: Sequence[float]) -> caffe_pb2.EltwiseParameter:
    param = caffe_pb2.EltwiseParameter(operation=operation)
    if any(factor != 1 for factor in coefficients):
        param.coeff.extend(coefficients)
    return param


# ---------------------------------------------------------------------- comparisons


@reads("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
def _above(t: Translation, node: Node, inputs: _Inputs) -> Value:
    threshold = inputs[1]
    if not isinstance(threshold, Constant) or threshold.array.size != 1:
        raise Refused("it compares with what is not one constant number")
    limit = np.float32(threshold.array.item())
    if node.op in ("GreaterOrEqual", "Less"):
        # To reach a number is to be above the one before it.
        limit = np.nextafter(limit, np.float32(-np.inf))
    negated = node.op in ("Less", "LessOrEqual")
    return Above(shape=inputs[0].shape, base=t.blob(inputs[0]), threshold=limit, negated=negated)


@reads("Not")
def _not(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x = inputs[0]
    if not isinstance(x, Above):
        raise Refused("what it reads is no comparison with a number")
    return Above(shape=x.shape, base=x.base, threshold=x.threshold, negated=not x.negated)


@reads("IsNaN")
def _is_nan(t: Translation, node: Node, inputs: _Inputs) -> Value:
    # As little as anything is above infinity; Caffe's layers keep what is no number.
    return Above(shape=inputs[0].shape, base=t.blob(inputs[0]), threshold=np.float32(np.inf))


@reads("Where")
def _where(t: Translation, node: Node, inputs: _Inputs) -> Value:
    condition, above, below = inputs
    if not isinstance(condition, Above):
        raise Refused("it chooses by something else than whether a tensor is above a number")
    if condition.negated:
        above, below = below, above
    if condition.threshold == np.inf:
        return below
    high, low = (_steps_of(value, condition.base) for value in (above, below))
    if high is None or low is None:
        raise Refused("what it chooses from are no numbers, nor steps of the tensor that it chooses by")
    kept_low = low[0] < condition.threshold
    kept_high = high[0] > condition.threshold
    first_high = len(high[0]) - int(kept_high.sum())
    return Steps(
        shape=condition.shape,
        base=condition.base,
        thresholds=np.float32([*low[0][kept_low], condition.threshold, *high[0][kept_high]]),
        values=np.float32([*low[1][: int(kept_low.sum()) + 1], *high[1][first_high:]]),
    )


def _steps_of(value: Value | None, base: Blob) -> tuple[np.ndarray, np.ndarray] | None:
    """Thresholds and values of steps of a blob, which a number is without thresholds; None for others."""
    if isinstance(value, Constant) and value.array.size and (value.array == value.array.flat[0]).all():
        return np.float32([]), np.float32([value.array.flat[0]])
    if isinstance(value, Steps) and value.base is base:
        return value.thresholds, value.values
    return None
