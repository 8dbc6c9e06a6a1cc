"""Computes nodes whose inputs are all constant, such as the shapes that PyTorch's exports compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .graph import QONNX_DOMAINS, Node, Refused

#: Elements that a constant may grow to: a damaged file must not take all memory.
MOST_ELEMENTS = 2**24

Arrays = Sequence[np.ndarray | None]

_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    16: np.float32,
}

#: Functions of each element, or of elements at the same place.
ELEMENTWISE: dict[str, Callable[..., np.ndarray]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Mod": np.mod,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Round": np.round,
    "Sign": np.sign,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Tanh": np.tanh,
    "Where": np.where,
}

_REDUCTIONS = {
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
}


def can_fold(node: Node) -> bool:
    """Whether a node can be computed where its inputs are constant."""
    if node.domain in QONNX_DOMAINS:
        return node.op in ("BipolarQuant", "Quant")
    return not node.domain and (node.op in ELEMENTWISE or node.op in _REDUCTIONS or node.op in _OTHERS)


def fold(node: Node, inputs: Arrays) -> list[np.ndarray]:
    """A node's outputs from its inputs, None for one that is left out.

    Raises:
        Refused: they would be too large.
        ValueError, TypeError, LookupError: the inputs make no sense.
    """
    with np.errstate(all="ignore"):
        if node.op in ELEMENTWISE or node.op in ("Min", "Max", "Sum", "Pow"):
            _limit(math.prod(np.broadcast_shapes(*(np.shape(x) for x in inputs))), *inputs)
        if node.op in ELEMENTWISE:
            results = [ELEMENTWISE[node.op](*inputs)]
        elif node.op in _REDUCTIONS:
            axes = axes_of(node, inputs, inputs[0].ndim)
            result = _REDUCTIONS[node.op](inputs[0], axis=tuple(axes), keepdims=bool(node.get("keepdims", 1)))
            results = [np.asarray(result, inputs[0].dtype)]
        else:
            results = _OTHERS[node.op](node, inputs)
    return [np.asarray(result) for result in results]


def _limit(elements: int, *inputs: np.ndarray) -> None:
    if elements > max(MOST_ELEMENTS, *(np.size(x) for x in inputs), 0):
        raise Refused(f"it would be a constant of {elements} elements")


def axes_of(node: Node, inputs: Sequence, count: int, missing: Sequence[int] | None = None) -> list[int]:
    """The axes that a node names, by an attribute or, later, its second input; all where it names none.

    Raises:
        Refused: there is no such axis.
    """
    axes = node.get("axes")
    if axes is None and len(inputs) > 1 and inputs[1] is not None:
        axes = np.asarray(inputs[1]).ravel().tolist()
    if not axes:
        axes = range(count) if missing is None else missing
    for axis in axes:
        if not -count <= axis < count:
            raise Refused(f"there is no axis {axis} of {count}")
    return sorted({axis % count for axis in axes})


def reshaped(shape: Sequence[int], wanted: Sequence[int], allow_zero: bool = False) -> tuple[int, ...]:
    """The sizes that Reshape means: 0 keeps a size, -1 is what is left over."""
    sizes = [shape[i] if size == 0 and not allow_zero else size for i, size in enumerate(wanted)]
    known = math.prod(size for size in sizes if size != -1)
    if -1 in sizes and known:
        sizes[sizes.index(-1)] = math.prod(shape) // known
    if math.prod(sizes) != math.prod(shape) or min(sizes, default=1) < 0:
        raise Refused(f"{list(shape)} cannot take the shape {list(wanted)}")
    return tuple(sizes)


def slices_of(node: Node, inputs: Arrays, shape: Sequence[int]) -> dict[int, range]:
    """What Slice takes of each axis that it names."""
    if node.opset < 10:
        starts, ends = node.get("starts"), node.get("ends")
        axes, steps = node.get("axes"), None
    else:
        starts, ends, axes, steps = (
            None if i >= len(inputs) or inputs[i] is None else np.asarray(inputs[i]).tolist()
            for i in range(1, 5)
        )
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    taken = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= len(shape)
        taken[axis] = range(shape[axis])[slice(start, end if step > 0 or end >= -shape[axis] else None, step)]
    return taken


def quantized(node: Node, x: np.ndarray, inputs: Arrays) -> np.ndarray:
    """QONNX's Quant: (clip(round(x / scale + zero)) - zero) * scale."""
    scale, zero, bits = (np.asarray(values, np.float32) for values in inputs[1:4])
    signed, narrow = node.get("signed", 1), node.get("narrow", 0)
    most = 2.0 ** (bits - 1) - 1 if signed else 2.0**bits - 1 - (1 if narrow else 0)
    least = -(2.0 ** (bits - 1)) + (1 if narrow else 0) if signed else 0.0
    rounding = {"ROUND": np.round, "CEIL": np.ceil, "FLOOR": np.floor, "ROUND_TO_ZERO": np.trunc}
    rounding["HALF_EVEN"] = np.round
    mode = node.get("rounding_mode", "ROUND").upper()
    if mode not in rounding:
        raise Refused(f"it rounds in the mode {mode}")
    return ((rounding[mode](np.clip(x / scale + zero, least, most)) - zero) * scale).astype(np.float32)


def _scaled_along(node: Node, x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Scales or zeros of QuantizeLinear, in a shape that broadcasts to x's."""
    values = np.asarray(values)
    if values.size == 1:
        return values.reshape(())
    if values.ndim != 1 or node.get("block_size"):
        raise Refused("it quantizes in blocks")
    axis = node.get("axis", 1) % x.ndim
    return values.reshape(-1, *[1] * (x.ndim - axis - 1))


def _dequantize(node: Node, inputs: Arrays) -> list[np.ndarray]:
    x = inputs[0]
    zero = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(1, x.dtype)
    scale = _scaled_along(node, x, inputs[1])
    zero = _scaled_along(node, x, zero).astype(np.int64)
    return [((x.astype(np.int64) - zero) * scale).astype(np.float32)]


def _quantize(node: Node, inputs: Arrays) -> list[np.ndarray]:
    x = inputs[0]
    zero = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(1, np.uint8)
    if zero.dtype not in (np.uint8, np.int8, np.uint16, np.int16, np.int32):
        raise Refused(f"it quantizes to {zero.dtype}")
    limits = np.iinfo(zero.dtype)
    codes = np.round(x / _scaled_along(node, x, inputs[1])) + _scaled_along(node, x, zero).astype(np.int64)
    return [np.clip(codes, limits.min, limits.max).astype(zero.dtype)]


def _constant(node: Node, inputs: Arrays) -> list[np.ndarray]:
    for name, dtype in (
        ("value", None),
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in node.attributes:
            return [np.asarray(node.attributes[name], dtype)]
    raise Refused("it is a constant of a kind that is not read")


def _constant_of_shape(node: Node, inputs: Arrays) -> list[np.ndarray]:
    _limit(math.prod(inputs[0].tolist()))
    value = node.get("value", np.zeros(1, np.float32))
    return [np.full(inputs[0].tolist(), value.item(), value.dtype)]


def _cast(node: Node, inputs: Arrays) -> list[np.ndarray]:
    dtype = _TYPES.get(node.get("to")) if node.op == "Cast" else inputs[1].dtype
    if dtype is None:
        raise Refused(f"it casts to a type, number {node.get('to')}, that is not read")
    return [inputs[0].astype(dtype)]


def _gather(node: Node, inputs: Arrays) -> list[np.ndarray]:
    data, indices = inputs[0], inputs[1]
    axis = node.get("axis", 0)
    _limit(indices.size * data.size // max(data.shape[axis], 1), data)
    return [np.take(data, indices, axis)]


def _split(node: Node, inputs: Arrays) -> list[np.ndarray]:
    axis = node.get("axis", 0)
    points = np.cumsum(split_sizes(node, inputs, inputs[0].shape[axis]))[:-1]
    return np.split(inputs[0], points, axis)


def split_sizes(node: Node, inputs: Arrays, size: int) -> list[int]:
    """The lengths of a Split's parts."""
    sizes = node.get("split")
    if len(inputs) > 1 and inputs[1] is not None:
        sizes = np.asarray(inputs[1]).tolist()
    if not sizes:
        # The last one may be shorter.
        count = len(node.outputs)
        part = -(-size // count)
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
    if sum(sizes) != size or min(sizes) < 1 or len(sizes) != len(node.outputs):
        raise Refused(f"{size} cannot be cut into {sizes}")
    return sizes


def _slice(node: Node, inputs: Arrays) -> list[np.ndarray]:
    result = inputs[0]
    for axis, taken in slices_of(node, inputs, inputs[0].shape).items():
        result = np.take(result, list(taken), axis)
    return [result]


def _unsqueeze(node: Node, inputs: Arrays) -> list[np.ndarray]:
    return [inputs[0].reshape(unsqueezed(node, inputs, inputs[0].shape))]


def unsqueezed(node: Node, inputs: Sequence, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape with Unsqueeze's axes."""
    given = node.get("axes") or (np.asarray(inputs[1]).ravel().tolist() if len(inputs) > 1 else [])
    axes = axes_of(node, inputs, len(shape) + len(given))
    sizes = iter(shape)
    return tuple(1 if axis in axes else next(sizes) for axis in range(len(shape) + len(axes)))


def squeezed(node: Node, inputs: Sequence, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape without Squeeze's axes."""
    axes = axes_of(node, inputs, len(shape), [axis for axis, size in enumerate(shape) if size == 1])
    if any(shape[axis] != 1 for axis in axes):
        raise Refused(f"{list(shape)} has no axes of length 1 at {axes}")
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _expand(node: Node, inputs: Arrays) -> list[np.ndarray]:
    shape = np.broadcast_shapes(inputs[0].shape, tuple(inputs[1].tolist()))
    _limit(math.prod(shape))
    return [np.broadcast_to(inputs[0], shape).copy()]


def _tile(node: Node, inputs: Arrays) -> list[np.ndarray]:
    _limit(inputs[0].size * math.prod(inputs[1].tolist()))
    return [np.tile(inputs[0], inputs[1].tolist())]


def _range(node: Node, inputs: Arrays) -> list[np.ndarray]:
    start, limit, delta = (values.item() for values in inputs)
    _limit(math.ceil((limit - start) / delta))
    return [np.arange(start, limit, delta, inputs[0].dtype)]


def _divide(node: Node, inputs: Arrays) -> list[np.ndarray]:
    x, y = inputs
    _limit(math.prod(np.broadcast_shapes(x.shape, y.shape)), x, y)
    if np.issubdtype(x.dtype, np.integer):
        return [np.trunc(x / y).astype(x.dtype)]
    return [x / y]


def _clip(node: Node, inputs: Arrays) -> list[np.ndarray]:
    low, high = clip_limits(node, inputs)
    return [np.clip(inputs[0], low, high).astype(inputs[0].dtype)]


def clip_limits(node: Node, inputs: Arrays) -> tuple[float, float]:
    """Clip's least and largest value, infinite where it has none."""
    if node.opset < 11:
        return node.get("min", -math.inf), node.get("max", math.inf)
    limits = [-math.inf, math.inf]
    for i in (1, 2):
        if len(inputs) > i and inputs[i] is not None:
            limits[i - 1] = float(np.asarray(inputs[i]).item())
    return limits[0], limits[1]


def _bipolar(node: Node, inputs: Arrays) -> list[np.ndarray]:
    scale = np.asarray(inputs[1], np.float32)
    return [np.where(inputs[0] >= 0, 1, -1).astype(np.float32) * scale]


def _shape_of(node: Node, inputs: Arrays) -> list[np.ndarray]:
    return [shape_of(node, inputs[0].shape)]


def shape_of(node: Node, shape: Sequence[int]) -> np.ndarray:
    """Shape's output, or Size's."""
    if node.op == "Size":
        return np.array(math.prod(shape), np.int64)
    return np.array(shape[slice(node.get("start", 0), node.get("end"))], np.int64)


def _many(function: Callable[..., np.ndarray]) -> Callable[[Node, Arrays], list[np.ndarray]]:
    def compute(node: Node, inputs: Arrays) -> list[np.ndarray]:
        result = inputs[0]
        for other in inputs[1:]:
            result = function(result, other)
        return [result]

    return compute


_OTHERS: dict[str, Callable[[Node, Arrays], Sequence[np.ndarray]]] = {
    "BipolarQuant": _bipolar,
    "Cast": _cast,
    "CastLike": _cast,
    "Clip": _clip,
    "Concat": lambda node, inputs: [np.concatenate(inputs, node.get("axis", 1))],
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _dequantize,
    "Div": _divide,
    "Expand": _expand,
    "Flatten": lambda node, inputs: [
        inputs[0].reshape(math.prod(inputs[0].shape[: node.get("axis", 1)]) or 1, -1)
    ],
    "Gather": _gather,
    "Identity": lambda node, inputs: [inputs[0]],
    "Max": _many(np.maximum),
    "Min": _many(np.minimum),
    "Pow": lambda node, inputs: [np.power(inputs[0], inputs[1]).astype(inputs[0].dtype)],
    "Quant": lambda node, inputs: [quantized(node, inputs[0], inputs)],
    "QuantizeLinear": _quantize,
    "Range": _range,
    "Reshape": lambda node, inputs: [
        inputs[0].reshape(
            reshaped(inputs[0].shape, np.asarray(inputs[1]).tolist(), bool(node.get("allowzero", 0)))
        )
    ],
    "Shape": _shape_of,
    "Size": _shape_of,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": lambda node, inputs: [inputs[0].reshape(squeezed(node, inputs, inputs[0].shape))],
    "Sum": _many(np.add),
    "Tile": _tile,
    "Transpose": lambda node, inputs: [np.transpose(inputs[0], node.get("perm"))],
    "Unsqueeze": _unsqueeze,
}
