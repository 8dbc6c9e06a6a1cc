"""Which coordinates of one blob of a net correspond to which of another, and the Crop layer that aligns them.

Layers over axes of space map coordinates as x -> a x + b, the same for all of them: convolutions and
poolings shrink, deconvolutions grow, crops shift. A map is a tuple (axis, a, b) with the first of these axes;
axis None is the identity of a layer that works element by element. Fully convolutional networks (Long,
Shelhamer, Darrell, CVPR 2015) need the offset between a score map and the image it was computed from.
"""

from __future__ import annotations

import numpy as np

from .net_spec import Function, Top
from .net_spec import layers as L

#: Layers that leave coordinates as they are.
PASS_THROUGH_LAYERS = (
    "AbsVal BatchNorm Bias BNLL Clip Dropout Eltwise ELU Exp Log LRN MVN Power PReLU Quant ReLU Scale "
    "Sigmoid Split Swish TanH Threshold"
).split()

_SLIDING_LAYERS = ("BinaryConvolution", "Convolution", "Im2col", "Pooling")

CoordMap = tuple  # (axis or None, a, b)


class UndefinedMapException(Exception):
    """A layer whose outputs have no place in its input's coordinates."""


class AxisMismatchException(Exception):
    """Two maps of different axes, one after the other."""


def conv_params(fn: Function) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """First axis, stride, kernel size (with dilation) and padding of a sliding layer, the last three as
    arrays.
    """
    params = fn.params.get("convolution_param", fn.params.get("pooling_param", fn.params))
    by_axis = [name for name in params if name.endswith(("_h", "_w"))]
    if by_axis:
        raise ValueError(f"{fn.type_name} gives {', '.join(by_axis)}: use kernel_size, pad and stride")
    kernel = np.array(params["kernel_size"], ndmin=1)
    dilation = np.array(params.get("dilation", 1), ndmin=1)
    stride, pad = (
        np.array(params.get(name, default), ndmin=1) for name, default in (("stride", 1), ("pad", 0))
    )
    return params.get("axis", 1), stride, (kernel - 1) * dilation + 1, pad


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """First axis and offsets of a Crop layer."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> CoordMap:
    """The map from a layer's output to its input.

    Raises:
        UndefinedMapException: the layer has none.
    """
    if fn.type_name in PASS_THROUGH_LAYERS:
        return None, 1, 0
    if fn.type_name in _SLIDING_LAYERS:
        axis, stride, kernel, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (kernel - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, kernel, pad = conv_params(fn)
        return axis, stride, (kernel - 1) / 2 - pad
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset  # the axis before the first of space, as convolutions count
    raise UndefinedMapException(f"there is no coordinate map through a layer of type {fn.type_name}")


def compose(base_map: CoordMap, next_map: CoordMap) -> CoordMap:
    """The map that applies ``next_map`` first and ``base_map`` to what comes out."""
    (axis1, a1, b1), (axis2, a2, b2) = base_map, next_map
    if axis1 is not None and axis2 is not None and axis1 != axis2:
        raise AxisMismatchException(f"one map begins at axis {axis1}, the other at axis {axis2}")
    return axis2 if axis1 is None else axis1, a1 * a2, a1 * b2 + b1


def inverse(coord_map: CoordMap) -> CoordMap:
    """The map back."""
    axis, a, b = coord_map
    return axis, 1 / a, -b / a


def _maps_to_ancestors(top: Top) -> dict[Top, CoordMap]:
    """The map between ``top`` and each blob before it that layers over space connect it to, nearest first."""
    maps: dict[Top, CoordMap] = {top: (None, 1, 0)}
    frontier = [top]
    while frontier:
        current = frontier.pop(0)
        # Of a crop's two inputs, the second gives its size only.
        inputs = current.fn.inputs[:1] if current.fn.type_name == "Crop" else current.fn.inputs
        try:
            step = coord_map(current.fn) if inputs else None
        except UndefinedMapException:
            continue
        for bottom in inputs:
            if bottom not in maps:
                maps[bottom] = compose(maps[current], step)
                frontier.append(bottom)
    return maps


def coord_map_from_to(top_from: Top, top_to: Top) -> CoordMap:
    """The map from coordinates of ``top_from`` to those of ``top_to``, through a blob that both come from.

    Raises:
        RuntimeError: no layers over space connect them.
    """
    from_maps = _maps_to_ancestors(top_from)
    for ancestor, to_map in _maps_to_ancestors(top_to).items():
        if ancestor in from_maps:
            return compose(to_map, inverse(from_maps[ancestor]))
    raise RuntimeError("there is no coordinate map between the tops: no layers over space connect them")


def crop(top_from: Top, top_to: Top) -> Top:
    """A Crop layer that cuts ``top_from`` to what of it lies over ``top_to``.

    Raises:
        AssertionError: their scales differ, or the offset is no whole number of pixels, 0 or more.
    """
    axis, a, b = coord_map_from_to(top_from, top_to)
    a, b = np.array(a), np.array(b)
    if not (a == 1).all():
        raise AssertionError(f"a crop cannot change the scale, which differs by {a}")
    if not (b <= 0).all():
        raise AssertionError(f"a crop cannot begin before its input, at offset {-b}")
    if not (np.round(b) == b).all():
        raise AssertionError(f"a crop cannot begin between two pixels, at offset {-b}")
    offset = [int(-shift) for shift in np.atleast_1d(np.round(b))]
    return L.Crop(top_from, top_to, crop_param=dict(axis=axis + 1, offset=offset))
