"""Convolutions and products with matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..hwgq.levels import integer_levels
from ..proto import caffe_pb2
from . import folding
from .graph import Node, Refused
from .translation import Translation, reads
from .values import Affine, Blob, Constant, Flattened, Padded, Reshaped, Shape, Transposed, Value

_SAME = 1e-6  # relative; what rounding leaves of what cancels out
_MOST_CODE = 127  # of a byte

_BINARY = {"Convolution": "BinaryConvolution", "InnerProduct": "BinaryInnerProduct"}
_PRODUCTS = ("Convolution", "Deconvolution", "Embed", "InnerProduct", *_BINARY.values())


@dataclass
class Window:
    """Geometry of a window that moves over the axes after the channels, along each of them."""

    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    before: list[int]
    behind: list[int]

    def extent(self, axis: int) -> int:
        """What the window reaches over along an axis."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1


def window_of(node: Node, sides: Sequence[int], kernel: Sequence[int]) -> Window:
    """A node's window over an image.

    Raises:
        Refused: its numbers make no sense.
    """
    axes = len(sides)
    stride = node.get("strides") or [1] * axes
    dilation = node.get("dilations") or [1] * axes
    pads = node.get("pads") or [0] * 2 * axes
    if not (len(kernel) == len(stride) == len(dilation) == axes and len(pads) == 2 * axes):
        raise Refused(f"its window is not of {axes} axes")
    if min(*kernel, *stride, *dilation) < 1:
        raise Refused("its window, stride or dilation is less than 1")
    window = Window(list(kernel), list(stride), list(dilation), list(pads[:axes]), list(pads[axes:]))
    mode = node.get("auto_pad", "NOTSET")
    if mode == "VALID":
        window.before, window.behind = [0] * axes, [0] * axes
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        for axis, side in enumerate(sides):
            steps = -(-side // stride[axis])
            total = max((steps - 1) * stride[axis] + window.extent(axis) - side, 0)
            less, more = total // 2, total - total // 2
            window.before[axis], window.behind[axis] = (less, more) if mode == "SAME_UPPER" else (more, less)
    elif mode != "NOTSET":
        raise Refused(f"auto_pad {mode!r} is not known")
    if min(*window.before, *window.behind) < 0:
        raise Refused("it cuts its input: its padding is negative")
    return window


def weights_of(inputs: Sequence[Value | None], index: int, what: str) -> np.ndarray | None:
    """A constant input as floats; None where there is none.

    Raises:
        Refused: it is not constant.
    """
    value = inputs[index] if index < len(inputs) else None
    if value is None:
        return None
    if not isinstance(value, Constant):
        raise Refused(f"its {what} are not constant")
    if value.array.dtype.kind not in "fiu":
        raise Refused(f"its {what} are {value.array.dtype}")
    return value.array.astype(np.float32)


def _were_signs(inputs: Sequence[Value | None]) -> bool:
    """Whether the weights are made of codes or signs."""
    node = inputs[1].node if isinstance(inputs[1], Constant) else None
    return node is not None and node.op in ("BipolarQuant", "DequantizeLinear")


def signs_of(weights: np.ndarray, were_signs: bool) -> np.ndarray | None:
    """The magnitude of each output of weights that are binary, +-alpha; None for others. Those of a mean,
    which are all positive, are none, unless they were signs."""
    rows = np.abs(weights).reshape(len(weights), -1)
    if rows.shape[1] < 2 or not (rows == rows[:, :1]).all():
        return None
    return rows[:, 0] if were_signs or (weights < 0).any() else None


# ---------------------------------------------------------------------- convolution


@reads("Conv")
def _conv(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    return _convolution(t, node, inputs, "Convolution")


@reads("ConvTranspose")
def _conv_transpose(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    return _convolution(t, node, inputs, "Deconvolution")


def _convolution(t: Translation, node: Node, inputs: list[Value | None], layer_type: str) -> Blob:
    x, weights, bias = inputs[0], weights_of(inputs, 1, "weights"), weights_of(inputs, 2, "biases")
    if x is None or weights is None:
        raise Refused("it lacks an input")
    return convolved(t, node, x, weights, bias, layer_type, _were_signs(inputs))


def convolved(
    t: Translation,
    node: Node,
    x: Value,
    weights: np.ndarray,
    bias: np.ndarray | None,
    layer_type: str,
    were_signs: bool = False,
) -> Blob:
    """A Convolution (BinaryConvolution where the weights are binary) or Deconvolution, by the attributes of a
    Conv or ConvTranspose.

    Raises:
        Refused: the weights are not for x, or Caffe has no such window.
    """
    padding = x if isinstance(x, Padded) and layer_type == "Convolution" else None
    base = padding.base if padding else t.blob(x)
    shape, group = base.shape, node.get("group", 1)
    axes = len(shape) - 2
    if axes < 1 or weights.ndim != len(shape) or min(group, *weights.shape) < 1:
        raise Refused(f"weights of shape {list(weights.shape)} are not for an input {list(shape)}")
    kernel = list(weights.shape[2:])
    if node.get("kernel_shape") not in (None, kernel):
        raise Refused(f"its kernel is {node.get('kernel_shape')}, and its weights have {kernel}")
    forward = layer_type == "Convolution"
    channels, outputs = (weights.shape[1] * group, weights.shape[0])
    if not forward:
        channels, outputs = weights.shape[0], weights.shape[1] * group
    if channels != shape[1] or outputs % group or channels % group:
        raise Refused(f"weights of shape {list(weights.shape)} in {group} groups are not for {list(shape)}")
    if bias is not None and bias.size != outputs:
        raise Refused(f"it has {bias.size} biases for {outputs} outputs")
    if forward:
        window = window_of(node, x.shape[2:], kernel)
        if padding:
            window.before = [a + b for a, b in zip(window.before, padding.before, strict=True)]
            window.behind = [a + b for a, b in zip(window.behind, padding.behind, strict=True)]
        magnitudes = signs_of(weights, were_signs)
        weights, pad = with_even_padding(weights, window)
        sides = [
            (side + 2 * pad[i] - window.extent(i)) // window.stride[i] + 1 for i, side in enumerate(shape[2:])
        ]
    else:
        window = _transposed_window(node, shape[2:], kernel)
        magnitudes = None
        weights, pad = _with_even_cut(weights, window)
        sides = [
            window.stride[i] * (side - 1) + window.extent(i) - 2 * pad[i] for i, side in enumerate(shape[2:])
        ]
    if min(sides) < 1:
        raise Refused(f"its window does not fit into {list(shape)}")
    param = {
        "num_output": outputs,
        "bias_term": bias is not None,
        **each_axis("kernel_size", window.kernel, None),
        **each_axis("stride", window.stride, 1),
        **each_axis("pad", pad, 0),
        **each_axis("dilation", window.dilation, 1),
        "group": group,
    }
    if group == 1:
        del param["group"]
    fields: dict[str, Any] = {"convolution_param": param}
    if magnitudes is not None and weights.shape[2:] == tuple(kernel):
        layer_type = _BINARY[layer_type]
        fields["binary_convolution_param"] = {"use_alpha": bool((magnitudes != 1).any())}
    parameters = [weights] if bias is None else [weights, bias.ravel()]
    blob = t.add(layer_type, node, [base], (shape[0], outputs, *sides), parameters=parameters, **fields)
    blob.source = x if isinstance(x, Reshaped) else None
    if layer_type in _BINARY.values():
        blob.grid = _grid(base.levels, weights, magnitudes, bias)
    return blob


def each_axis(name: str, values: Sequence[int], usual: int | None) -> dict[str, list[int]]:
    """A field with a number for each axis, once where they are the same, left out where that is usual."""
    if len(set(values)) > 1:
        return {name: list(values)}
    return {} if values[0] == usual else {name: [values[0]]}


def _with_taps(weights: np.ndarray, window: Window, axis: int, missing: int) -> np.ndarray:
    """A kernel with zeros in front (``missing`` > 0), or at its end, that reach so much further."""
    step = window.dilation[axis]
    if missing % step:
        raise Refused(
            f"its padding differs by {abs(missing)} on the two sides, no multiple of its dilation {step}"
        )
    taps = missing // step
    grown = weights.size // weights.shape[axis + 2] * (weights.shape[axis + 2] + abs(taps))
    if grown > max(folding.MOST_ELEMENTS, 4 * weights.size):
        raise Refused("its padding differs too much on the two sides")
    window.kernel[axis] += abs(taps)
    widths = [(0, 0)] * weights.ndim
    widths[axis + 2] = (max(taps, 0), max(-taps, 0))
    return np.pad(weights, widths)


def with_even_padding(weights: np.ndarray, window: Window) -> tuple[np.ndarray, list[int]]:
    """The same convolution with as much padding behind as before: Caffe has no other, so that zeros in the
    kernel stand for what is missing on one side."""
    pad = []
    for axis, (before, behind) in enumerate(zip(window.before, window.behind, strict=True)):
        weights = _with_taps(weights, window, axis, behind - before) if before != behind else weights
        pad.append(max(before, behind))
    return weights, pad


def _transposed_window(node: Node, sides: Sequence[int], kernel: Sequence[int]) -> Window:
    """``before`` and ``behind`` are what is cut off of the full result."""
    axes = len(sides)
    extra = node.get("output_padding") or [0] * axes
    wanted = node.get("output_shape")
    mode = node.get("auto_pad", "NOTSET")
    plain = Node(
        node.op, node.domain, node.name, [], [], {**node.attributes, "auto_pad": "NOTSET"}, node.opset
    )
    window = window_of(plain, sides, kernel)
    if wanted and len(wanted) == axes + 2:
        wanted = wanted[2:]
    if not wanted and mode.startswith("SAME"):
        wanted = [side * stride for side, stride in zip(sides, window.stride, strict=True)]
    if wanted:
        if len(wanted) != axes or len(extra) != axes:
            raise Refused(f"its output's shape is not of {axes} axes")
        for axis, side in enumerate(sides):
            full = window.stride[axis] * (side - 1) + extra[axis] + window.extent(axis)
            total = full - wanted[axis]
            half = total // 2
            upper = mode == "SAME_UPPER"
            window.before[axis] = half if upper else total - half
            window.behind[axis] = total - window.before[axis]
    elif mode == "VALID":
        window.before, window.behind = [0] * axes, [0] * axes
    window.behind = [cut - more for cut, more in zip(window.behind, extra, strict=True)]
    if min(window.before) < 0:
        raise Refused("its output reaches beyond what its kernel makes")
    return window


def _with_even_cut(weights: np.ndarray, window: Window) -> tuple[np.ndarray, list[int]]:
    """The same transposed convolution with as much cut off behind as before."""
    pad = []
    for axis, (before, behind) in enumerate(zip(window.before, window.behind, strict=True)):
        weights = _with_taps(weights, window, axis, behind - before) if before != behind else weights
        pad.append(max(before, behind))
    return weights, pad


# ---------------------------------------------------------------------- products with matrices


@reads("Gemm")
def _gemm(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    if node.get("transA", 0):
        raise Refused("it transposes what is not constant")
    weights, bias = weights_of(inputs, 1, "weights"), weights_of(inputs, 2, "biases")
    if weights is None or weights.ndim != 2:
        raise Refused("its weights are no matrix")
    weights = weights * np.float32(node.get("alpha", 1.0))
    if not node.get("transB", 0):
        weights = weights.T
    if bias is not None:
        bias = bias * np.float32(node.get("beta", 1.0))
        if bias.size not in (1, len(weights)) or bias.ndim and bias.shape[-1] != bias.size:
            raise Refused(
                f"biases of shape {list(bias.shape)} are not one for each of {len(weights)} outputs"
            )
        bias = np.broadcast_to(bias.ravel(), len(weights))
    x = inputs[0]
    if x is None or len(x.shape) != 2:
        raise Refused("its input is no matrix")
    return _inner_product(t, node, x, weights, bias, _were_signs(inputs))


@reads("MatMul")
def _matmul(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    if isinstance(inputs[0], Constant):
        raise Refused("its first factor is constant; an InnerProduct's weights are the second")
    weights = weights_of(inputs, 1, "second factors")
    x = inputs[0]
    if x is None or weights is None or weights.ndim != 2 or len(x.shape) < 2:
        raise Refused("its second factor is no matrix")
    return _inner_product(t, node, x, weights.T, None, _were_signs(inputs))


def _inner_product(
    t: Translation, node: Node, x: Value, weights: np.ndarray, bias: np.ndarray | None, were_signs: bool
) -> Blob:
    outputs, count = weights.shape
    if x.shape[-1] != count:
        raise Refused(f"weights for {count} inputs are not for {list(x.shape)}")
    shape = (*x.shape[:-1], outputs)
    param: dict[str, Any] = {"num_output": outputs, "bias_term": bias is not None}
    if len(shape) > 2:
        param["axis"] = len(shape) - 1
    if isinstance(x, Flattened):
        x, weights = _unflattened(x, weights)
    magnitudes = signs_of(weights, were_signs)
    fields: dict[str, Any] = {"inner_product_param": param}
    layer_type = "InnerProduct"
    if magnitudes is not None:
        layer_type = _BINARY[layer_type]
        fields["binary_inner_product_param"] = {"use_alpha": bool((magnitudes != 1).any())}
    parameters = [weights] if bias is None else [weights, bias]
    bottom = t.blob(x)
    blob = t.add(layer_type, node, [bottom], shape, parameters=parameters, **fields)
    blob.source = x if isinstance(x, Reshaped) else None
    if magnitudes is not None:
        blob.grid = _grid(bottom.levels, weights, magnitudes, bias)
    return blob


def _grid(
    levels: np.ndarray | None, weights: np.ndarray, magnitudes: np.ndarray, bias: np.ndarray | None
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """The integers that sums of few levels times signs are, in a unit that all outputs have; None for others.

    Least and largest are of each output.
    """
    if levels is None or (magnitudes != magnitudes[0]).any():
        return None
    _, step = integer_levels([0.0, *np.unique(np.abs(levels[levels != 0]))], _MOST_CODE)
    unit = float(step * magnitudes[0])
    offset = np.zeros(1) if bias is None else bias.ravel() / unit
    if not all(np.allclose(of, np.round(of), rtol=0, atol=1e-3) for of in (levels / step, offset)):
        return None
    rows = weights.reshape(len(weights), -1)
    above, below = (rows > 0).sum(1), (rows < 0).sum(1)
    # Padding is 0, too.
    most, least = max(levels.max(), 0) / step, min(levels.min(), 0) / step
    return (
        unit,
        np.round(above * least - below * most + offset),
        np.round(above * most - below * least + offset),
    )


def _unflattened(x: Flattened, weights: np.ndarray) -> tuple[Blob, np.ndarray]:
    """What is flattened, and weights for its axes in their order there: an InnerProduct flattens itself."""
    base = x.base
    if not isinstance(base, Transposed):
        return base, weights
    if base.order[0] != 0:
        raise Refused(
            f"its input has its axes in the order {list(base.order)}, and Caffe has no layer to transpose"
        )
    back = [base.order.index(axis) for axis in range(1, len(base.order))]
    arranged = weights.reshape(len(weights), *base.shape[1:]).transpose(0, *back)
    return base.base, arranged.reshape(weights.shape)


def product_along(t: Translation, blob: Blob, shape: Shape) -> Blob | None:
    """The result of a product in the shape that its layer gives it where that itself joins the axes before
    ``axis``, which had been joined for it; None for other blobs and shapes."""
    source = blob.source
    if source is None or source.readers != 1 or not t.alone(blob):
        return None
    if any(cut.layer is blob.layer for cut in t.cuts):
        return None
    layer, before = blob.layer, source.base.shape
    is_matrix = layer.type.endswith("InnerProduct")
    axis = len(shape) - 1 if is_matrix else len(before) - (len(source.shape) - 1)
    # Where there is nothing to move along, ONNX has an axis of length 1.
    for behind in (0,) if is_matrix else (0, 1):
        axis += behind
        sides = (1,) * behind
        inside = (math.prod(before[axis:]),) if is_matrix else (*before[axis:], *sides)
        if (
            0 <= axis < len(before)
            and before[:axis] == shape[:axis]
            and inside == source.shape[1:]
            and (*shape[axis:], *sides) == blob.shape[1:]
        ):
            break
    else:
        return None
    param = layer.inner_product_param if is_matrix else layer.convolution_param
    param.axis = axis
    if axis == 1:
        param.ClearField("axis")
    if sides:
        t.parameters[layer.name][0] = t.parameters[layer.name][0][..., 0]
    layer.bottom[0] = source.base.name
    joining = t.blob(source).layer
    t.layers.remove(joining)
    if joining.name == t.layer_name(blob.node):
        t.parameters[joining.name] = t.parameters.pop(layer.name)
        layer.name, layer.top[0] = joining.name, joining.top[0]
    return Blob(shape=shape, name=layer.top[0], layer=layer)


def into_product(t: Translation, value: Affine, factor: np.ndarray, offset: np.ndarray) -> Blob | None:
    """Puts biases, and factors of binary weights, into the layer that they follow; None where they cannot go
    there."""
    base = value.base
    if not t.alone(base) or base.layer.type not in _PRODUCTS:
        return None
    is_matrix = base.layer.type.endswith(("InnerProduct", "Embed"))
    axis = len(base.shape) - 1 if is_matrix else base.layer.convolution_param.axis
    outputs = base.shape[axis]
    for values in (factor, offset):
        if any(size != 1 and i != axis for i, size in enumerate(values.shape)):
            return None
    layer, parameters = base.layer, t.parameters[base.layer.name]
    base.grid = None
    for cut in t.cuts:
        if cut.layer is layer:
            cut.low, cut.high = (end * factor.ravel() + offset.ravel() for end in (cut.low, cut.high))
    if not (factor.size == 1 and factor == 1):
        if layer.type not in _BINARY.values():
            return None
        factors = np.broadcast_to(factor.ravel(), outputs)
        parameters[0] = np.float32(parameters[0] * factors.reshape(-1, *[1] * (parameters[0].ndim - 1)))
        option = layer.binary_inner_product_param if is_matrix else layer.binary_convolution_param
        option.use_alpha = bool((np.abs(parameters[0]) != 1).any())
        if len(parameters) > 1:
            parameters[1] = np.float32(parameters[1] * factors)
    if offset.any():
        _add_bias(layer, parameters, np.broadcast_to(offset.ravel(), outputs))
    return base


def _add_bias(layer: caffe_pb2.LayerParameter, parameters: list[np.ndarray], offsets: np.ndarray) -> None:
    names = {"InnerProduct": "inner_product_param", "Embed": "embed_param"}
    param = getattr(layer, names.get(layer.type.removeprefix("Binary"), "convolution_param"))
    before = parameters[1].astype(np.float64) if len(parameters) > 1 else np.zeros(len(offsets))
    bias = before + offsets
    # Codes are moved into the range of a byte by a bias, and back.
    if (np.abs(bias) <= _SAME * np.abs(offsets)).all():
        del parameters[1:]
    else:
        parameters[1:] = [np.float32(bias)]
    param.bias_term = len(parameters) > 1
