"""Layers that look through a window which moves over the last axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..proto import caffe_pb2
from .lowbit import sums_of_products
from .source import Layer
from .translation import Translation, writes

_POOL = caffe_pb2.PoolingParameter


@dataclass(frozen=True)
class _Geometry:
    """Window, step, padding and spacing along each axis."""

    kernel: list[int]
    stride: list[int]
    pad: list[int]
    dilation: list[int]

    def attributes(self) -> dict[str, list[int]]:
        """As ONNX's operators take them."""
        return {
            "kernel_shape": self.kernel,
            "strides": self.stride,
            "pads": self.pad * 2,
            "dilations": self.dilation,
        }


def _setting(param, name: str, repeated: str, axes: int, missing: int) -> list[int]:
    """One number for each axis: given once, for each, or by name for rows and columns."""
    if param.HasField(f"{name}_h") or param.HasField(f"{name}_w"):
        return [getattr(param, f"{name}_h"), getattr(param, f"{name}_w")]
    value = getattr(param, repeated)
    if isinstance(value, int):
        value = [value] if param.HasField(repeated) else []
    given = list(value) or [missing]
    return given * axes if len(given) == 1 else given


def _geometry(param, axes: int) -> _Geometry:
    is_convolution = isinstance(param, caffe_pb2.ConvolutionParameter)
    dilation = list(param.dilation) if is_convolution else []
    return _Geometry(
        _setting(param, "kernel", "kernel_size", axes, 1),
        _setting(param, "stride", "stride", axes, 1),
        _setting(param, "pad", "pad", axes, 0),
        dilation * axes if len(dilation) == 1 else dilation or [1] * axes,
    )


# ---------------------------------------------------------------------- convolution


@writes("Convolution", "BinaryConvolution")
def _convolution(t: Translation, layer: Layer) -> list[str]:
    return [_convolved(t, layer, i) for i in range(len(layer.tops))]


@writes("Deconvolution")
def _deconvolution(t: Translation, layer: Layer) -> list[str]:
    return [_convolved(t, layer, i, "ConvTranspose") for i in range(len(layer.tops))]


def _convolved(t: Translation, layer: Layer, index: int, operator: str = "Conv") -> str:
    param = layer.param.convolution_param
    shape = layer.bottom_shapes[index]
    axis = param.axis % len(shape)
    weights, geometry = layer.blobs[0], _geometry(param, len(shape) - axis - 1)
    x = layer.inputs[index]
    is_point = axis == len(shape) - 1
    if is_point:
        # ONNX wants an axis to move along.
        weights, geometry = weights[..., None], _Geometry([1], [1], [0], [1])
    if axis != 1 or is_point:
        x = _as_images(t, layer, index, axis)
    result = sums_of_products(
        t,
        layer,
        operator,
        x,
        weights,
        layer.blobs[1] if param.bias_term else None,
        index,
        group=param.group,
        **geometry.attributes(),
    )
    return t.to_top(layer, result, index) if axis != 1 or is_point else result


def _as_images(t: Translation, layer: Layer, index: int, axis: int) -> str:
    """A bottom with all axes before its channels as one, and one behind them at least."""
    shape, free = layer.bottom_shapes[index], layer.bottom_free[index]
    sides = shape[axis:] if axis + 1 < len(shape) else (*shape[axis:], 1)
    behind = {place - axis + 1 for place in free if place >= axis}
    leading = {0} if any(place < axis for place in free) else set()
    return t.reshape(layer.inputs[index], (math.prod(shape[:axis]), *sides), frozenset(leading | behind))


@writes("Im2col")
def _im2col(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.convolution_param
    shape = layer.bottom_shapes[0]
    axis = param.axis % len(shape)
    geometry = _geometry(param, len(shape) - axis - 1)
    places = math.prod(geometry.kernel)
    channels = shape[axis]
    # A kernel for each place of the window, which takes the value there.
    kernels = np.tile(
        np.eye(places).reshape(places, 1, *geometry.kernel), (channels, *[1] * (1 + len(geometry.kernel)))
    )
    x = _as_images(t, layer, 0, axis) if axis != 1 else layer.inputs[0]
    result = t.graph("Conv", x, t.graph.constant(kernels, "places"), group=channels, **geometry.attributes())
    return [t.to_top(layer, result) if axis != 1 else result]


# ---------------------------------------------------------------------- pooling


@writes("Pooling")
def _pooling(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.pooling_param
    sides = layer.bottom_shapes[0][2:]
    if param.global_pooling:
        geometry = _Geometry(list(sides), [1, 1], [0, 0], [1, 1])
    else:
        geometry = _geometry(param, 2)
    out = list(layer.top_shapes[0][2:])
    x = layer.inputs[0]
    if len(layer.tops) > 1:
        largest, places = _max_pool(t, x, sides, out, geometry, with_places=True)
        return [t.keep_levels(x, largest), places]
    return [_pooled(t, x, sides, out, geometry, param.pool)]


def _pooled(
    t: Translation, x: str, sides: Sequence[int], out: Sequence[int], geometry: _Geometry, method: int
) -> str:
    if method == _POOL.MAX:
        if geometry.kernel == list(sides) and not any(geometry.pad):
            return t.keep_levels(x, t.graph("GlobalMaxPool", x))
        return t.keep_levels(x, _max_pool(t, x, sides, out, geometry)[0])
    if method == _POOL.AVE:
        return _mean_pool(t, x, sides, out, geometry)
    # Stochastic pooling: in test a value's weight is its share of the sum.
    sums = _sum_pool(t, x, sides, out, geometry)
    squares = _sum_pool(t, t.graph("Mul", x, x), sides, out, geometry)
    zero = t.graph.constant(0.0)
    return t.graph("Where", t.graph("Greater", sums, zero), t.graph("Div", squares, sums), zero)


def _overhang(sides: Sequence[int], out: Sequence[int], geometry: _Geometry) -> list[int]:
    """How far the last window reaches beyond the input, along each axis; not negative."""
    return [
        max(0, (count - 1) * stride + kernel - pad - side)
        for side, count, kernel, stride, pad in zip(
            sides, out, geometry.kernel, geometry.stride, geometry.pad, strict=True
        )
    ]


def _max_pool(
    t: Translation,
    x: str,
    sides: Sequence[int],
    out: Sequence[int],
    geometry: _Geometry,
    with_places: bool = False,
) -> list[str]:
    """The largest values, and the places in their planes where they are. Where steps are longer than
    windows, the last window may see nothing: that gives 0, and -1 for the place."""
    filled = [
        min(count, (side - 1 + pad) // stride + 1)
        for side, count, stride, pad in zip(sides, out, geometry.stride, geometry.pad, strict=True)
    ]
    tensors = t.graph.add(
        "MaxPool",
        x,
        outputs=1 + with_places,
        kernel_shape=geometry.kernel,
        strides=geometry.stride,
        pads=geometry.pad + _overhang(sides, filled, geometry),
    )
    if with_places:
        plane = t.graph.integers(math.prod(sides))
        tensors[1] = t.graph("Cast", t.graph("Mod", tensors[1], plane), to=1)
    missing = [count - there for count, there in zip(out, filled, strict=True)]
    if any(missing):
        tensors = [
            _padded(t, tensor, [0, 0], missing, value)
            for tensor, value in zip(tensors, [0.0, -1.0], strict=False)
        ]
    return tensors


def _padded(t: Translation, x: str, before: Sequence[int], behind: Sequence[int], value: float = 0.0) -> str:
    pads = t.graph.integers([0, 0, *before, 0, 0, *behind])
    return t.graph("Pad", x, pads, t.graph.constant(value))


def _mean_pool(t: Translation, x: str, sides: Sequence[int], out: Sequence[int], geometry: _Geometry) -> str:
    """Means that count the padding which a window covers, but not what it covers beyond that."""
    if geometry.kernel == list(sides) and not any(geometry.pad):
        return t.graph("GlobalAveragePool", x)
    overhang = _overhang(sides, out, geometry)
    if all(beyond <= pad for beyond, pad in zip(overhang, geometry.pad, strict=True)):
        return t.graph(
            "AveragePool",
            x,
            kernel_shape=geometry.kernel,
            strides=geometry.stride,
            pads=geometry.pad * 2,
            count_include_pad=1,
        )
    sizes = []
    for side, count, kernel, stride, pad in zip(
        sides, out, geometry.kernel, geometry.stride, geometry.pad, strict=True
    ):
        begins = np.arange(count) * stride - pad
        inside = np.minimum(begins + kernel, side) > np.maximum(begins, 0)
        sizes.append(np.where(inside, np.minimum(begins + kernel, side + pad) - begins, np.inf))
    factors = 1 / np.multiply.outer(*sizes)
    return t.graph("Mul", _sum_pool(t, x, sides, out, geometry), t.graph.constant(factors, "shares"))


def _sum_pool(t: Translation, x: str, sides: Sequence[int], out: Sequence[int], geometry: _Geometry) -> str:
    overhang = _overhang(sides, out, geometry)
    if any(geometry.pad) or any(overhang):
        x = _padded(t, x, geometry.pad, overhang)
    means = t.graph("AveragePool", x, kernel_shape=geometry.kernel, strides=geometry.stride)
    return t.scaled(means, float(math.prod(geometry.kernel)))


@writes("SPP")
def _spp(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.spp_param
    x, sides = layer.inputs[0], layer.bottom_shapes[0][2:]
    levels = []
    for level in range(param.pyramid_height):
        bins = 2**level
        kernel = [-(-side // bins) for side in sides]
        pad = [(size * bins - side + 1) // 2 for size, side in zip(kernel, sides, strict=True)]
        geometry = _Geometry(kernel, kernel, pad, [1, 1])
        out = [
            _windows(side, size, size, beside, any(pad))
            for side, size, beside in zip(sides, kernel, pad, strict=True)
        ]
        levels.append(_pooled(t, x, sides, out, geometry, param.pool))
    if len(levels) == 1:
        return levels
    return [t.graph("Concat", *(t.graph("Flatten", pooled, axis=1) for pooled in levels), axis=1)]


def _windows(side: int, kernel: int, stride: int, pad: int, is_padded: bool) -> int:
    """Windows along a side. With padding none begins behind the input and the padding before it."""
    count = math.ceil((side + 2 * pad - kernel) / stride) + 1
    return count - 1 if is_padded and (count - 1) * stride >= side + pad else count
