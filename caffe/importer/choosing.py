"""Operators that choose by values: the largest elements of an axis, the places where they are, and items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .graph import Node, Refused
from .translation import Translation, makes, reads
from .values import Backwards, Blob, Constant, Flattened, InPlanes, Largest, NotZero, Reshaped, Shape, Value

_Inputs = list[Value | None]


@reads("TopK")
def _top_k(t: Translation, node: Node, inputs: _Inputs) -> Sequence[Value | None]:
    x, number = inputs[0], inputs[1] if len(inputs) > 1 else None
    count = number.array.item() if isinstance(number, Constant) else node.get("k", 0)
    axis = _axis(node, x.shape, -1)
    if not node.get("largest", 1):
        raise Refused("it gives the smallest; Caffe's ArgMax gives the largest")
    if not 1 <= count <= x.shape[axis]:
        raise Refused(f"it takes {count} of {x.shape[axis]}")
    backwards = isinstance(x, Backwards) and x.axis == axis
    base = x.base if backwards else x
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    values, places = (
        Largest(shape=shape, base=base, axis=axis, count=count, of=node, what=what)
        for what in ("values", "places from the end" if backwards else "places")
    )
    return [values, places]


@reads("ArgMax")
def _argmax(t: Translation, node: Node, inputs: _Inputs) -> Value:
    x = t.blob(inputs[0])
    axis = _axis(node, x.shape, 0)
    kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    result = t.add("ArgMax", node, [x], kept, argmax_param={"axis": axis})
    if node.get("keepdims", 1):
        return result
    return t.reshape(node, result, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _axis(node: Node, shape: Shape, usual: int) -> int:
    axis = node.get("axis", usual)
    if not -len(shape) <= axis < len(shape):
        raise Refused(f"there is no axis {axis} of {len(shape)}")
    return axis % len(shape)


@makes(Largest)
def _largest(t: Translation, value: Largest) -> Blob:
    if value.what == "places from the end":
        raise Refused("it counts places from the end of an axis, Caffe's ArgMax from its begin")
    if value.what == "both" or isinstance(value.base, Flattened):
        return t.reshape(value.node, _of_items(t, value), value.shape)
    param = _param(value, axis=value.axis)
    return t.add("ArgMax", value.of, [t.blob(value.base)], value.shape, argmax_param=param)


def of_items(t: Translation, value: Largest, shape: Shape) -> Blob | None:
    """The largest of whole items as a layer without axis has them; None for others and other shapes."""
    if value.axis != 1 or len(value.base.shape) != 2 or value.what == "places from the end":
        return None
    if value.what == "values" or shape != _shape_of_items(value):
        return None
    return _of_items(t, value)


def _items(value: Largest) -> Value:
    return value.base.base if isinstance(value.base, Flattened) else value.base


def _shape_of_items(value: Largest) -> Shape:
    parts = 2 if value.what == "both" else 1
    return (value.shape[0], parts, value.count, *[1] * (len(_items(value).shape) - 3))


def _of_items(t: Translation, value: Largest) -> Blob:
    if value.what == "values":
        raise Refused("it gives the largest of items without their places, which no layer does")
    shape, param = _shape_of_items(value), _param(value)
    return t.add("ArgMax", value.of, [t.blob(_items(value))], shape, argmax_param=param)


def _param(value: Largest, **param: int) -> dict[str, int]:
    if value.count != 1:
        param["top_k"] = value.count
    if value.what != "places":
        param["out_max_val"] = True
    return param


def from_the_begin(last: Value | None, places: Value | None) -> Largest | None:
    """The places of the largest, where some counted from the end are subtracted from the last one; None for
    others."""
    if not isinstance(places, Largest) or places.what != "places from the end":
        return None
    size = places.base.shape[places.axis]
    if not isinstance(last, Constant) or not np.array_equal(last.array.ravel(), [size - 1]):
        return None
    return _as(places, "places", places.shape)


def both(values: _Inputs, axis: int) -> Largest | None:
    """Places and values of the largest of items, one behind the other; None for others."""
    if axis != 1 or len(values) != 2 or not all(isinstance(value, Largest) for value in values):
        return None
    places, largest = values
    if places.of is not largest.of or [places.what, largest.what] != ["places", "values"]:
        return None
    if places.axis != 1 or len(places.shape) != 2:
        return None
    return _as(places, "both", (places.shape[0], 2 * places.count))


def _as(value: Largest, what: str, shape: Shape) -> Largest:
    return Largest(shape=shape, base=value.base, axis=value.axis, count=value.count, of=value.of, what=what)


# ---------------------------------------------------------------------- places in a plane


@reads("Mod")
def _mod(t: Translation, node: Node, inputs: _Inputs) -> Value:
    places, size = inputs
    if not isinstance(places, InPlanes) or not isinstance(size, Constant):
        raise Refused("Caffe has no layer for the rest of a division")
    if not np.array_equal(size.array.ravel(), [places.size]):
        raise Refused(f"it divides places by something else than the {places.size} of a plane")
    return places.base


@makes(InPlanes)
def _in_planes(t: Translation, value: InPlanes) -> Blob:
    raise Refused("it counts the places of maxima over all planes, and Caffe's Pooling within each")


# ---------------------------------------------------------------------- items


@reads("Compress")
def _compress(t: Translation, node: Node, inputs: _Inputs) -> Blob:
    value, chosen = inputs
    if not isinstance(chosen, NotZero) or node.get("axis") != 0:
        raise Refused("it chooses otherwise than items by whether a blob is not 0")
    selector = chosen.base
    if isinstance(selector, Reshaped) and selector.base.shape[:1] == selector.shape:
        selector = selector.base
    x, selector = t.blob(value), t.blob(selector)
    if x.shape[:1] != chosen.shape:
        raise Refused(f"it chooses of {list(x.shape)} by {list(chosen.shape)}")
    begun = t.layers[-1]
    if (begun.type, begun.name) == ("Filter", t.layer_name(node)) and begun.bottom[-1] == selector.name:
        begun.bottom.insert(len(begun.bottom) - 1, x.name)
        return t.add_top(begun, x.shape)
    return t.add("Filter", node, [x, selector], x.shape)


@makes(NotZero)
def _not_zero(t: Translation, value: NotZero) -> Blob:
    raise Refused("it reads whether something is not 0, which only choosing items does here")
