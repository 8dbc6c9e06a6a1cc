"""Operators that cut, join, reduce, or give another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import folding
from .choosing import both, of_items
from .graph import Branch, Node, Refused
from .products import product_along
from .translation import Translation, makes, reads
from .values import Backwards, Blob, Constant, Flattened, Largest, Reshaped, Shape, Transposed, Value, Whole
from .windows import global_pool

_MOST_PARTS = 256

_Inputs = list[Value | None]


@reads("Shape", "Size")
def _shape(t: Translation, node: Node, inputs: _Inputs) -> Constant:
    array = folding.shape_of(node, inputs[0].shape)
    return Constant(shape=array.shape, array=array)


@reads("If")
def _if(t: Translation, node: Node, inputs: _Inputs) -> list[Value | None]:
    """The branch that is taken, which PyTorch's exports leave to be found out where a shape decides."""
    condition = inputs[0]
    if not isinstance(condition, Constant) or condition.array.size != 1:
        raise Refused("what it decides by is not constant")
    branch = node.get("then_branch" if condition.array.item() else "else_branch")
    if not isinstance(branch, Branch):
        raise Refused("it lacks a branch")
    t.values.update(
        {
            name: Constant(shape=array.shape, array=array, name=name)
            for name, array in branch.constants.items()
        }
    )
    t.run_nodes(branch.nodes)
    return [t.values.get(name) for name in branch.outputs]


@reads("Flatten")
def _flatten(t: Translation, node: Node, inputs: _Inputs) -> Value:
    shape = inputs[0].shape
    axis = node.get("axis", 1)
    axis += len(shape) if axis < 0 else 0
    if not 0 <= axis <= len(shape):
        raise Refused(f"there is no axis {axis} of {len(shape)}")
    return reshaped(t, inputs[0], (math.prod(shape[:axis]), math.prod(shape[axis:])), 0)


@reads("Reshape")
def _reshape(t: Translation, node: Node, inputs: _Inputs) -> Value:
    wanted = inputs[1]
    if not isinstance(wanted, Constant):
        raise Refused("its shape is not constant")
    sizes = wanted.array.ravel().tolist()
    shape = folding.reshaped(inputs[0].shape, sizes, bool(node.get("allowzero", 0)))
    return reshaped(t, inputs[0], shape, sizes.index(-1) if -1 in sizes else None)


@reads("Squeeze")
def _squeeze(t: Translation, node: Node, inputs: _Inputs) -> Value:
    return reshaped(t, inputs[0], folding.squeezed(node, _arrays(inputs), inputs[0].shape))


@reads("Unsqueeze")
def _unsqueeze(t: Translation, node: Node, inputs: _Inputs) -> Value:
    return reshaped(t, inputs[0], folding.unsqueezed(node, _arrays(inputs), inputs[0].shape))


def _arrays(inputs: _Inputs) -> list[np.ndarray | None]:
    """The inputs' values, as far as they are constant.

    Raises:
        Refused: one behind the first is not.
    """
    if any(value is not None and not isinstance(value, Constant) for value in inputs[1:]):
        raise Refused("its axes or sizes are not constant")
    return [value.array if isinstance(value, Constant) else None for value in inputs]


def reshaped(t: Translation, x: Value, shape: Shape, open_axis: int | None = None) -> Value:
    """A value in another shape: the blob that it was before where that has it.

    Args:
        open_axis: the axis that takes up what the others leave.
    """
    shape = tuple(shape)
    if shape == x.shape:
        return x
    if isinstance(x, Flattened | Reshaped):
        base = x.base
        if shape == base.shape:
            return base
        x = base if isinstance(base, Blob) else x
    flat = len(shape) == 2 and len(x.shape) > 1 and shape[0] == x.shape[0]
    largest = of_items(t, x, shape) if isinstance(x, Largest) else None
    if largest is not None:
        return largest
    if flat and isinstance(x, Transposed) and x.order[0] == 0:
        return Flattened(shape=shape, base=x)
    base = t.blob(x)
    product = product_along(t, base, shape)
    if product is not None:
        return product
    return (
        Flattened(shape=shape, base=base) if flat else Reshaped(shape=shape, base=base, open_axis=open_axis)
    )


@reads("Transpose")
def _transpose(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x = inputs[0]
    order = tuple(node.get("perm") or reversed(range(len(x.shape))))
    if sorted(order) != list(range(len(x.shape))):
        raise Refused(f"{list(order)} is no order of {len(x.shape)} axes")
    moved = [axis for axis in order if x.shape[axis] != 1]
    if moved == sorted(moved):
        # The values stay in their order.
        return reshaped(t, x, tuple(x.shape[axis] for axis in order))
    base = x
    if isinstance(x, Transposed):
        base, order = x.base, tuple(x.order[axis] for axis in order)
    else:
        base = t.blob(x)
    if order == tuple(range(len(order))):
        return base
    return Transposed(shape=tuple(base.shape[axis] for axis in order), base=base, order=order)


@reads("Concat")
def _concat(t: Translation, node: Node, inputs: _Inputs) -> Value:
    largest = both(inputs, node.get("axis", 1))
    if largest is not None:
        return largest
    blobs = [t.blob(value) for value in inputs]
    return _joined(t, node, blobs, _axis(node, blobs[0].shape, node.get("axis", 1)))


def _axis(node: Node, shape: Shape, axis: int) -> int:
    if not -len(shape) <= axis < len(shape):
        raise Refused(f"there is no axis {axis} of {len(shape)}")
    return axis % len(shape)


def _joined(t: Translation, node: Node, blobs: Sequence[Blob], axis: int) -> Blob:
    shape = list(blobs[0].shape)
    for blob in blobs[1:]:
        if len(blob.shape) != len(shape) or any(
            a != b for i, (a, b) in enumerate(zip(blob.shape, shape, strict=True)) if i != axis
        ):
            raise Refused(f"{list(blob.shape)} cannot be joined to {shape} along axis {axis}")
        shape[axis] += blob.shape[axis]
    if len(blobs) == 1:
        return blobs[0]
    param = {} if axis == 1 else {"axis": axis}
    result = t.add("Concat", node, blobs, tuple(shape), concat_param=param)
    result.positive = all(blob.positive for blob in blobs)
    first = blobs[0].levels
    if first is not None and all(
        blob.levels is not None and np.array_equal(blob.levels, first) for blob in blobs
    ):
        result.levels = first
    return result


@reads("Split")
def _split(t: Translation, node: Node, inputs: _Inputs) -> list[Blob]:
    x = t.blob(inputs[0])
    axis = _axis(node, x.shape, node.get("axis", 0))
    return _cut(t, node, x, axis, folding.split_sizes(node, _arrays(inputs), x.shape[axis]))


def _cut(t: Translation, node: Node, x: Blob, axis: int, lengths: Sequence[int]) -> list[Blob]:
    """The parts of a blob along an axis."""
    if len(lengths) == 1:
        return [x]
    if len(lengths) > _MOST_PARTS:
        raise Refused(f"it cuts into {len(lengths)} parts")
    shapes = [(*x.shape[:axis], length, *x.shape[axis + 1 :]) for length in lengths]
    param: dict = {} if axis == 1 else {"axis": axis}
    if len(set(lengths)) > 1:
        param["slice_point"] = np.cumsum(lengths)[:-1].tolist()
    parts = t.add("Slice", node, [x], *shapes, slice_param=param)
    for part in parts:
        part.levels, part.positive = x.levels, x.positive
    return parts


@reads("Slice")
def _slice(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x = inputs[0]
    result = x
    for axis, taken in folding.slices_of(node, _arrays(inputs), x.shape).items():
        if len(taken) > 1 and list(taken) == list(range(x.shape[axis]))[::-1]:
            result = Backwards(shape=result.shape, base=result, axis=axis, node=node)
        else:
            result = _taken(t, node, result, axis, taken)
    return result


@makes(Backwards)
def _backwards(t: Translation, value: Backwards) -> Blob:
    size = value.shape[value.axis]
    return t.blob(_taken(t, value.node, value.base, value.axis, range(size - 1, -1, -1)))


@reads("Gather")
def _gather(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x, indices = inputs
    if not isinstance(indices, Constant) and node.get("axis", 0) in (0, -len(x.shape)):
        return _rows(t, node, x, t.blob(indices.base if isinstance(indices, Whole) else indices))
    if not isinstance(indices, Constant) or isinstance(x, Constant):
        raise Refused("its indices are not constant")
    axis = _axis(node, x.shape, node.get("axis", 0))
    size = x.shape[axis]
    places = [index + size if index < 0 else index for index in indices.array.ravel().tolist()]
    if not places or min(places) < 0 or max(places) >= size:
        raise Refused(f"its indices are not below {size}")
    if indices.array.ndim > 1:
        raise Refused("its indices are no list")
    result = _taken(t, node, x, axis, places)
    if indices.array.ndim == 0:
        return t.reshape(node, t.blob(result), (*x.shape[:axis], *x.shape[axis + 1 :]))
    return result


def _rows(t: Translation, node: Node, x: Value, places: Blob) -> Blob:
    """Rows of a constant matrix, or items of a blob, which a blob chooses."""
    if isinstance(x, Constant):
        if x.array.ndim != 2 or x.array.dtype.kind != "f":
            raise Refused("what it takes rows of is no matrix")
        inputs, outputs = x.shape
        param = {"input_dim": inputs, "num_output": outputs, "bias_term": False}
        shape = (*places.shape, outputs)
        return t.add("Embed", node, [places], shape, parameters=[x.array], embed_param=param)
    if len(places.shape) != 1:
        raise Refused("its indices are no list")
    bottom = t.blob(x)
    return t.add("BatchReindex", node, [bottom, places], (places.shape[0], *bottom.shape[1:]))


def _taken(t: Translation, node: Node, x: Value, axis: int, places: Sequence[int]) -> Value:
    """The elements of an axis at some places, in this order."""
    size, places = x.shape[axis], list(places)
    if places == list(range(size)):
        return x
    if not places:
        raise Refused("nothing is left of its input")
    x = t.blob(x)
    if places == list(range(places[0], places[-1] + 1)):
        lengths = [places[0], len(places), size - places[-1] - 1]
        parts = _cut(t, node, x, axis, [length for length in lengths if length])
        return parts[1 if places[0] else 0]
    if len(set(places)) != len(places):
        raise Refused("it takes something twice")
    parts = _cut(t, node, x, axis, [1] * size)
    for part in parts:
        part.node = node
    return _joined(t, node, [parts[place] for place in places], axis)


@reads("Expand", "Tile")
def _tile(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x = inputs[0]
    if not isinstance(inputs[1], Constant):
        raise Refused("how often it repeats is not constant")
    given = inputs[1].array.ravel().tolist()
    if node.op == "Expand":
        shape = np.broadcast_shapes(x.shape, tuple(given))
        start = (1,) * (len(shape) - len(x.shape)) + x.shape
        repeats = [wanted // size for wanted, size in zip(shape, start, strict=True)]
    else:
        start, repeats = x.shape, given
    if len(repeats) != len(start) or min(repeats) < 1:
        raise Refused(f"it repeats {list(start)} {repeats} times")
    if all(times == 1 for times in repeats):
        return x if start == x.shape else t.reshape(node, t.blob(x), start)
    blob = t.reshape(node, t.blob(x), start)
    for axis, times in enumerate(repeats):
        if times != 1:
            shape = (*blob.shape[:axis], blob.shape[axis] * times, *blob.shape[axis + 1 :])
            blob = t.add("Tile", node, [blob], shape, tile_param={"axis": axis, "tiles": times})
    return blob


_REDUCTIONS = {
    "ReduceL1": "ASUM",
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "ReduceSumSquare": "SUMSQ",
}


@reads(*_REDUCTIONS, "ReduceMax")
def _reduce(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x = inputs[0]
    count = len(x.shape)
    if node.get("noop_with_empty_axes", 0) and not node.get("axes") and len(inputs) < 2:
        return x
    axes = folding.axes_of(node, _arrays(inputs), count)
    keep = node.get("keepdims", 1)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    shape = kept if keep else tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    if node.op in ("ReduceMean", "ReduceMax") and count == 4 and axes == [2, 3]:
        method = "AVE" if node.op == "ReduceMean" else "MAX"
        pooled = global_pool(t, node, t.blob(x), method)
        return pooled if keep else reshaped(t, pooled, shape)
    if node.op == "ReduceMax":
        raise Refused("Caffe takes maxima of the last two axes of N x C x H x W only")
    if axes != list(range(axes[0], count)):
        raise Refused(f"it reduces axes {axes} of {count}; Caffe's Reduction takes the last ones")
    bottom = t.blob(x)
    param: dict = {"axis": axes[0], "operation": _REDUCTIONS[node.op]}
    result = t.add("Reduction", node, [bottom], x.shape[: axes[0]], reduction_param=param)
    return t.reshape(node, result, shape)


@reads("Resize", "Upsample")
def _resize(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    x = t.blob(inputs[0])
    if node.get("mode", "nearest") != "nearest" or len(x.shape) != 4:
        raise Refused("Caffe enlarges by repeating values, N x C x H x W only")
    scales = _scales(node, _arrays(inputs), x.shape)
    factors = [int(scale) for scale in scales]
    if len(factors) != 4 or factors != list(scales) or factors[:2] != [1, 1] or min(factors) < 1:
        raise Refused(f"it enlarges by {list(scales)}; Caffe repeats values whole times")
    if not all(_repeats(node, factor) for factor in factors):
        raise Refused("its coordinates and their rounding do not repeat each value as often")
    height, width = factors[2:]
    channels = x.shape[1]
    if channels * height * width > folding.MOST_ELEMENTS:
        raise Refused(f"it enlarges by {factors}")
    param = {
        "num_output": channels,
        "group": channels,
        "bias_term": False,
        "kernel_size": [height, width],
        "stride": [height, width],
    }
    ones = np.ones((channels, 1, height, width), np.float32)
    shape = (*x.shape[:2], x.shape[2] * height, x.shape[3] * width)
    fixed = [{"lr_mult": 0, "decay_mult": 0}]
    blob = t.add("Deconvolution", node, [x], shape, parameters=[ones], convolution_param=param, param=fixed)
    blob.positive = x.positive
    return blob


def _scales(node: Node, arrays: Sequence[np.ndarray | None], shape: Shape) -> list[float]:
    """How many times as long each axis becomes."""
    if node.op == "Upsample" and node.get("scales"):
        return node.get("scales")
    place = 2 if node.op == "Resize" and node.opset >= 11 else 1
    given = arrays[place] if len(arrays) > place else None
    if given is not None and given.size:
        return given.tolist()
    if len(arrays) < 4 or arrays[3] is None:
        raise Refused("it does not say how much it enlarges")
    return [wanted / size for wanted, size in zip(arrays[3].tolist(), shape, strict=True)]


def _repeats(node: Node, factor: int) -> bool:
    """Whether the nearest values are each value ``factor`` times."""
    places = np.arange(4 * factor)
    if node.op == "Upsample" or node.opset < 11:
        return True
    if node.get("coordinate_transformation_mode", "half_pixel") == "asymmetric":
        sources = places / factor
    elif node.get("coordinate_transformation_mode", "half_pixel").endswith(
        ("half_pixel", "half_pixel_symmetric")
    ):
        sources = (places + 0.5) / factor - 0.5
    else:
        return False
    rounded = {
        "round_prefer_floor": np.ceil(sources - 0.5),
        "round_prefer_ceil": np.floor(sources + 0.5),
        "floor": np.floor(sources),
        "ceil": np.ceil(sources),
    }[node.get("nearest_mode", "round_prefer_floor")]
    return np.array_equal(np.clip(rounded, 0, 3), places // factor)
