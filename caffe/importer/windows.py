"""Pooling, and padding that no window takes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .folding import MOST_ELEMENTS
from .graph import Node, Refused
from .products import Window, convolved, each_axis, window_of, with_even_padding
from .translation import Translation, makes, reads
from .values import Affine, Blob, Constant, InPlanes, Padded, Value


@reads("Pad")
def _pad(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    x = inputs[0]
    shape = x.shape
    if node.opset < 11:
        pads, fill = node.get("pads"), node.get("value", 0.0)
    else:
        if not isinstance(inputs[1], Constant):
            raise Refused("its padding is not constant")
        pads, fill = inputs[1].array.ravel().tolist(), 0.0
        if len(inputs) > 2 and inputs[2] is not None:
            if not isinstance(inputs[2], Constant):
                raise Refused("what it fills with is not constant")
            fill = inputs[2].array.item()
    axes = list(range(len(shape)))
    if len(inputs) > 3 and isinstance(inputs[3], Constant):
        axes = [axis % len(shape) for axis in inputs[3].array.ravel().tolist()]
    if len(pads) != 2 * len(axes):
        raise Refused(f"{len(pads)} paddings are not for {len(axes)} axes")
    before, behind = [0] * len(shape), [0] * len(shape)
    for place, axis in enumerate(axes):
        before[axis], behind[axis] = pads[place], pads[place + len(axes)]
    if not any(before) and not any(behind):
        return x
    mode = node.get("mode", "constant")
    if mode != "constant":
        raise Refused(f"it pads in the mode {mode!r}; Caffe pads with zeros")
    if fill != 0:
        raise Refused(f"it pads with {fill}; Caffe pads with zeros")
    if len(shape) < 3 or any(before[:2]) or any(behind[:2]):
        raise Refused("it pads the batch or the channels")
    if min(*before, *behind) < 0:
        raise Refused("it cuts: its padding is negative")
    before, behind = before[2:], behind[2:]
    base = x
    if isinstance(x, Padded):
        base = x.base
        before = [a + b for a, b in zip(before, x.before, strict=True)]
        behind = [a + b for a, b in zip(behind, x.behind, strict=True)]
    base = t.blob(base)
    sides = [side + a + b for side, a, b in zip(base.shape[2:], before, behind, strict=True)]
    return Padded(shape=(*shape[:2], *sides), base=base, before=before, behind=behind)


@makes(Padded)
def _padded(t: Translation, value: Padded) -> Blob:
    """The image with its padding, by a convolution that takes each value as it is."""
    channels, axes = value.shape[1], len(value.before)
    window = Window([1] * axes, [1] * axes, [1] * axes, list(value.before), list(value.behind))
    weights, pad = with_even_padding(np.ones((channels, 1, *window.kernel), np.float32), window)
    param = {
        "num_output": channels,
        "bias_term": False,
        "group": channels,
        **each_axis("kernel_size", window.kernel, None),
        **each_axis("pad", pad, 0),
    }
    fixed = [{"lr_mult": 0, "decay_mult": 0}]
    blob = t.add(
        "Convolution",
        value.node,
        [value.base],
        value.shape,
        parameters=[weights],
        convolution_param=param,
        param=fixed,
    )
    blob.positive = value.base.positive
    return blob


# ---------------------------------------------------------------------- pooling


@reads("MaxPool")
def _max_pool(t: Translation, node: Node, inputs: list[Value | None]) -> Blob | list[Value]:
    x = inputs[0]
    largest = _pool(t, node, x, "MAX")
    if len(node.outputs) < 2 or not t.is_read(node.outputs[1]):
        return largest
    sides = x.shape[2:]
    in_padded = isinstance(x, Padded) or largest.layer.bottom[0] != t.blob(x).name
    if node.get("storage_order", 0) or in_padded:
        raise Refused("it gives the places of its maxima in an order or a padded image that Caffe's does not")
    places = t.add_top(largest.layer, largest.shape)
    return [largest, InPlanes(shape=places.shape, base=places, size=math.prod(sides))]


@reads("AveragePool")
def _average_pool(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    return _pool(t, node, inputs[0], "AVE")


@reads("GlobalMaxPool", "GlobalAveragePool")
def _global_pool(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    return global_pool(t, node, t.blob(inputs[0]), "MAX" if node.op == "GlobalMaxPool" else "AVE")


def global_pool(t: Translation, node: Node, x: Blob, method: str) -> Blob:
    """The largest value, or the mean, of each channel of an image."""
    if len(x.shape) != 4:
        raise Refused(f"its input is of shape {list(x.shape)}; Caffe pools N x C x H x W")
    shape = (*x.shape[:2], 1, 1)
    blob = t.add("Pooling", node, [x], shape, pooling_param={"pool": method, "global_pooling": True})
    blob.positive = x.positive
    blob.levels = x.levels if method == "MAX" else None
    return blob


def _pool(t: Translation, node: Node, x: Value | None, method: str) -> Any:
    if method == "AVE" and len(x.shape) in (3, 5):
        return _mean_of_other_axes(t, node, x)
    if len(x.shape) != 4:
        raise Refused(f"its input is of shape {list(x.shape)}; Caffe pools N x C x H x W")
    kernel = node.get("kernel_shape")
    if not kernel:
        raise Refused("it has no kernel_shape")
    own = window_of(node, x.shape[2:], kernel)
    if any(step != 1 for step in own.dilation):
        raise Refused("its window is dilated")
    counts = [_count(node, own, axis, side) for axis, side in enumerate(x.shape[2:])]
    base, window, rounding = _pooled(t, node, x, own, counts, method)
    sides = base.shape[2:]
    param: dict[str, Any] = {"pool": method}
    for name, values, usual in (
        ("kernel", window.kernel, None),
        ("stride", window.stride, 1),
        ("pad", window.before, 0),
    ):
        if len(set(values)) > 1:
            param[f"{name}_h"], param[f"{name}_w"] = values
        elif values[0] != usual:
            param["kernel_size" if name == "kernel" else name] = values[0]
    if rounding == "FLOOR":
        param["round_mode"] = "FLOOR"
    shape = (*base.shape[:2], *counts)
    if window.kernel == list(sides) and not any(window.before) and counts == [1, 1]:
        blob = global_pool(t, node, base, method)
    else:
        blob = t.add("Pooling", node, [base], shape, pooling_param=param)
    blob.positive = base.positive
    if method == "MAX":
        blob.levels = base.levels
        return blob
    factors = [
        _caffe_areas(window, axis, sides[axis], counts[axis])
        / _areas(node, own, axis, x.shape[2 + axis], counts[axis])
        for axis in (0, 1)
    ]
    factor = np.multiply.outer(*factors)
    if not np.isfinite(factor).all():
        raise Refused("it has windows that see nothing but padding")
    if (factor == 1).all():
        return blob
    # Means over other areas than Caffe's are made right by a factor for each place.
    blob.node = node
    return Affine(shape=blob.shape, base=blob, factor=factor[None, None], offset=np.asarray(0.0))


def _pooled(
    t: Translation, node: Node, x: Value, own: Window, counts: Sequence[int], method: str
) -> tuple[Blob, Window, str]:
    """What Caffe pools, by which window, and how it rounds to have so many of them.

    Raises:
        Refused: its windows cannot be had.
    """
    inside = x.base if isinstance(x, Padded) else t.blob(x)
    before, behind = list(own.before), [0, 0]
    if isinstance(x, Padded):
        before = [a + b for a, b in zip(before, x.before, strict=True)]
        behind = list(x.behind)
    # Zeros are no larger than values that are not negative; a mean counts them as a convolution does.
    takes_zeros = method == "AVE" or inside.positive
    window = Window(own.kernel, own.stride, own.dilation, before, [])
    if not isinstance(x, Padded) or takes_zeros:
        rounding = _rounding(window, inside.shape[2:], counts)
        if rounding:
            return inside, window, rounding
    elif (rounding := _rounding(own, x.shape[2:], counts)) is not None:
        return t.blob(x), own, rounding
    if not takes_zeros:
        raise Refused(
            f"it has {' x '.join(map(str, counts))} windows; Caffe's pooling, rounding up or down, has others"
        )
    # Zeros wherever a window reaches.
    for axis, side in enumerate(inside.shape[2:]):
        end = (counts[axis] - 1) * own.stride[axis] + own.kernel[axis]
        behind[axis] = max(behind[axis], end - side - before[axis], 0)
    around = [side + a + b for side, a, b in zip(inside.shape[2:], before, behind, strict=True)]
    zeros = Padded(shape=(*inside.shape[:2], *around), base=inside, before=before, behind=behind, node=node)
    window = Window(own.kernel, own.stride, own.dilation, [0, 0], [])
    rounding = _rounding(window, around, counts)
    if rounding is None:
        raise Refused(f"it has {' x '.join(map(str, counts))} windows, which Caffe's pooling has not")
    return t.blob(zeros), window, rounding


def _mean_of_other_axes(t: Translation, node: Node, x: Value) -> Blob:
    """Means along one axis or three, as a convolution of each channel with equal weights."""
    window = window_of(node, x.shape[2:], node.get("kernel_shape") or [])
    if (
        node.get("ceil_mode", 0)
        or not node.get("count_include_pad", 0)
        and any(window.before + window.behind)
    ):
        raise Refused("its windows do not all hold as much, and Caffe pools N x C x H x W only")
    channels, area = x.shape[1], math.prod(window.kernel)
    if channels * area > MOST_ELEMENTS:
        raise Refused(f"its window holds {area} values")
    weights = np.full((channels, 1, *window.kernel), 1 / area, np.float32)
    attributes = {**node.attributes, "group": channels}
    convolution = Node(node.op, node.domain, node.name, node.inputs, node.outputs, attributes, node.opset)
    blob = convolved(t, convolution, x, weights, None, "Convolution")
    blob.layer.param.add(lr_mult=0, decay_mult=0)
    return blob


def _count(node: Node, window: Window, axis: int, side: int) -> int:
    before, behind = window.before[axis], window.behind[axis]
    free = side + before + behind - window.kernel[axis]
    if free < 0:
        raise Refused(f"its window does not fit into a side of {side}")
    stride = window.stride[axis]
    if not node.get("ceil_mode", 0):
        return free // stride + 1
    count = -(-free // stride) + 1
    # No window begins in the padding behind.
    return count - 1 if (count - 1) * stride >= side + before else count


def _rounding(window: Window, sides: Sequence[int], counts: Sequence[int]) -> str | None:
    """How Caffe has to round to have so many windows; None where it never does."""
    if any(pad >= size for pad, size in zip(window.before, window.kernel, strict=True)):
        return None
    for mode in ("CEIL", "FLOOR"):
        found = []
        for axis, side in enumerate(sides):
            pad, stride = window.before[axis], window.stride[axis]
            free = side + 2 * pad - window.kernel[axis]
            count = (-(-free // stride) if mode == "CEIL" else free // stride) + 1
            if any(window.before) and (count - 1) * stride >= side + pad:
                count -= 1
            found.append(count)
        begins = [
            (count - 1) * stride - pad
            for count, stride, pad in zip(counts, window.stride, window.before, strict=True)
        ]
        if found == list(counts) and all(begin < side for begin, side in zip(begins, sides, strict=True)):
            return mode
    return None


def _caffe_areas(window: Window, axis: int, side: int, count: int) -> np.ndarray:
    begins = np.arange(count) * window.stride[axis] - window.before[axis]
    return np.minimum(begins + window.kernel[axis], side + window.before[axis]) - begins


def _areas(node: Node, window: Window, axis: int, side: int, count: int) -> np.ndarray:
    """What ONNX divides by, along an axis."""
    begins = np.arange(count) * window.stride[axis] - window.before[axis]
    ends = begins + window.kernel[axis]
    if node.get("count_include_pad", 0):
        return np.minimum(ends, side + window.behind[axis]) - begins
    return np.minimum(ends, side) - np.maximum(begins, 0)
