"""The module of a prototxt."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ... import _caffe
from ...proto import caffe_pb2
from ...summary import open_without_data
from ..binarize import BINARY_TYPES, DATA_TYPES, is_in_test_phase, labels_of
from ..net_graph import _given, _pair
from .layers import BinaryConv2d, BinaryLinear, Quant
from .modules import BatchNorm, Factor, Pooling, laid_along


class Net(nn.Module):
    """A prototxt's net as a PyTorch module: the same outputs, the same gradients, the same .caffemodel.

    Data layers become inputs; losses, accuracies and whatever else reads labels are left out, so that a
    training net gives its scores. Modules are in ``layers`` by their layers' names; parameters that layers
    share are one.

    Args:
        model: the net's prototxt, for training or for deployment.
        weights: its parameters; without them, the net's fillers make some, by ``caffe.set_random_seed``.
        input_shapes: the shape of each input by name, where data would tell it. Batches may be of any size.

    Raises:
        caffe.Error: a file cannot be read, or the net cannot be made.
        ValueError: layers of types that have no module; all of them are named.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        weights: str | os.PathLike | None = None,
        input_shapes: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        shaped, _ = open_without_data(model, caffe_pb2.TEST, input_shapes=input_shapes)
        shapes = {name: list(blob.shape) for name, blob in shaped.blobs.items()}
        definition = _without_labels(
            caffe_pb2.NetParameter.FromString(_caffe.read_net_text(os.fspath(model))), shapes
        )
        net = _caffe.net_from_bytes(definition.SerializeToString(), caffe_pb2.TEST, named_in=os.fspath(model))
        if weights is not None:
            net.copy_from(os.fspath(weights))
        self.name = definition.name
        #: Names of the inputs and outputs, in order.
        self.inputs = list(net.inputs)
        self.outputs = list(net.outputs)
        self.layers = nn.ModuleDict()
        #: Layers' names by modules' names.
        self.layer_names: dict[str, str] = {}
        self._steps: list[tuple[str, list[str], list[str]]] = []
        unknown = [
            f"{layer.name!r} ({layer.type})"
            for layer in definition.layer
            if layer.type not in _MAKERS and layer.type not in _WITHOUT_MODULES
        ]
        if unknown:
            raise ValueError(f"{os.fspath(model)}: no module computes {', '.join(unknown)}")
        shared: dict[str, nn.Parameter] = {}
        for layer in definition.layer:
            if layer.type == "Split":
                self._steps.append(("", list(layer.bottom), list(layer.top)))
            if layer.type in _WITHOUT_MODULES:
                continue
            blobs = [torch.from_numpy(blob.data.copy()) for blob in net.params.get(layer.name, ())]
            dimensions = [shapes[name] for name in layer.bottom]
            try:
                module = _MAKERS[layer.type](layer, blobs, dimensions)
            except _Unsupported as error:
                raise ValueError(
                    f"{os.fspath(model)}: layer {layer.name!r} ({layer.type}) {error}"
                ) from error
            _share(module, layer, shared)
            key = layer.name.replace(".", "_")
            key = f"{key}_" if hasattr(self.layers, key) or key in self.layers else key
            self.layers[key] = module
            inside = ".linear" if isinstance(module, InnerProduct) else ""
            self.layer_names[f"layers.{key}{inside}"] = layer.name
            self._steps.append((key, list(layer.bottom), list(layer.top)))

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        """The net's output, or a dictionary of them by name, for its inputs in their order."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"the net's inputs are {', '.join(self.inputs)}; got {len(inputs)}")
        blobs = dict(zip(self.inputs, inputs, strict=True))
        for key, bottoms, tops in self._steps:
            values = [blobs[name] for name in bottoms]
            results = self.layers[key](*values) if key else values * len(tops)
            if isinstance(results, Tensor):
                results = [results]
            blobs.update(zip(tops, results, strict=True))
        outputs = {name: blobs[name] for name in self.outputs}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))


_WITHOUT_MODULES = ("Input", "Silence", "Split")


class _Unsupported(ValueError):
    """Says what a layer asks for that its module cannot do."""


class Function(nn.Module):
    """A layer without parameters: a function of its bottoms."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *bottoms: Tensor) -> Any:
        """The layer's top, or several."""
        return self.function(*bottoms)


class InnerProduct(nn.Module):
    """An ``InnerProduct`` layer: all axes from ``axis`` on are the inputs of one linear map."""

    def __init__(self, linear: nn.Linear, axis: int) -> None:
        super().__init__()
        self.linear = linear
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the axes before ``axis`` and the outputs."""
        return self.linear(x.flatten(self.axis % x.dim()))


def _without_labels(
    definition: caffe_pb2.NetParameter, shapes: Mapping[str, Sequence[int]]
) -> caffe_pb2.NetParameter:
    layers = [layer for layer in definition.layer if is_in_test_phase(layer)]
    labels = labels_of(layers)
    net = caffe_pb2.NetParameter(name=definition.name)
    for layer in layers:
        if layer.type in DATA_TYPES or layer.type == "Input":
            for top in layer.top:
                if top not in labels:
                    shape = caffe_pb2.BlobShape(dim=shapes[top])
                    net.layer.add(name=top, type="Input", top=[top], input_param={"shape": [shape]})
        elif labels.intersection(layer.bottom):
            labels.update(layer.top)
        else:
            kept = net.layer.add()
            kept.CopyFrom(layer)
            for field in ("include", "exclude"):
                kept.ClearField(field)
    return net


def _share(module: nn.Module, layer: caffe_pb2.LayerParameter, shared: dict[str, nn.Parameter]) -> None:
    owner = module.linear if isinstance(module, InnerProduct) else module
    for field, spec in zip(("weight", "bias"), layer.param, strict=False):
        if spec.name and getattr(owner, field, None) is not None:
            setattr(owner, field, shared.setdefault(spec.name, getattr(owner, field)))


def _fill(module: nn.Module, blobs: Sequence[Tensor]) -> nn.Module:
    for name, values in zip(("weight", "bias"), blobs, strict=False):
        parameter = getattr(module, name)
        parameter.data = values.reshape(parameter.shape)
    return module


_Dimensions = Sequence[Sequence[int]]


def _convolution(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.convolution_param
    if len(layer.bottom) > 1:
        raise _Unsupported("has several bottoms")
    if param.axis not in (1, 1 - len(shapes[0])) or len(shapes[0]) != 4:
        raise _Unsupported(f"is of {len(shapes[0]) - param.axis % len(shapes[0]) - 1} spatial axes, not 2")
    options: dict[str, Any] = dict(
        kernel_size=tuple(blobs[0].shape[2:]),
        stride=_pair(param.stride, param, "stride", 1),
        padding=_pair(param.pad, param, "pad", 0),
        dilation=_pair(param.dilation, None, "dilation", 1),
        groups=param.group,
        bias=param.bias_term,
    )
    channels = shapes[0][1], param.num_output
    if layer.type == "Deconvolution":
        return _fill(nn.ConvTranspose2d(*channels, **options), blobs)
    if layer.type == "BinaryConvolution":
        return _fill(BinaryConv2d(*channels, **options, **_binary_options(layer)), blobs)
    return _fill(nn.Conv2d(*channels, **options), blobs)


def _binary_options(layer: caffe_pb2.LayerParameter) -> dict[str, bool]:
    param = getattr(layer, BINARY_TYPES[layer.type][1])
    return {"use_alpha": param.use_alpha, "use_binarization": param.use_binarization}


def _inner_product(
    layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions
) -> nn.Module:
    param = layer.inner_product_param
    weights = blobs[0].T.contiguous() if param.transpose else blobs[0]
    outputs, inputs = weights.shape
    if layer.type == "BinaryInnerProduct":
        linear = BinaryLinear(inputs, outputs, param.bias_term, **_binary_options(layer))
    else:
        linear = nn.Linear(inputs, outputs, param.bias_term)
    linear.transpose = param.transpose
    return InnerProduct(_fill(linear, [weights, *blobs[1:]]), param.axis)


def _batch_norm(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.batch_norm_param
    if len(shapes[0]) < 2:
        raise _Unsupported("has a bottom without a channel axis")
    given = param.use_global_stats if param.HasField("use_global_stats") else None
    module = BatchNorm(len(blobs[0]), param.moving_average_fraction, param.eps, given)
    mean, variance, total = blobs
    weight = 1 / total if total.item() else torch.zeros(1)
    for buffer, values in (
        (module.running_mean, mean * weight),
        (module.running_var, variance * weight),
        (module.total, total),
    ):
        buffer.copy_(values)
    return module


def _scale(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    is_bias = layer.type == "Bias"
    axis = layer.bias_param.axis if is_bias else layer.scale_param.axis
    if len(layer.bottom) > 1:
        if blobs:
            raise _Unsupported("has two bottoms and parameters")
        return Function(partial(_two_bottoms, axis, is_bias))
    weight = None if is_bias else blobs[0]
    return Factor(weight, blobs[0] if is_bias else blobs[1] if len(blobs) > 1 else None, axis)


def _two_bottoms(axis: int, is_bias: bool, x: Tensor, other: Tensor) -> Tensor:
    other = laid_along(other, x, axis)
    return x + other if is_bias else x * other


def _prelu(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    module = nn.PReLU(blobs[0].numel())
    module.channel_shared = layer.prelu_param.channel_shared
    return _fill(module, blobs)


def _pooling(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.pooling_param
    method = caffe_pb2.PoolingParameter.PoolMethod.Name(param.pool)
    if method == "STOCHASTIC" or len(layer.top) > 1:
        raise _Unsupported("is stochastic, or gives the places of its maxima")
    if param.global_pooling:
        return Function(partial(_global_pooling, method))
    kernel = _pair(_given(param, "kernel_size"), param, "kernel", 1)
    stride = _pair(_given(param, "stride"), param, "stride", 1)
    pad = _pair(_given(param, "pad"), param, "pad", 0)
    module = Pooling(method, kernel, stride, pad, param.round_mode == param.CEIL)
    if module.begins_beyond(shapes[0][2:]):
        raise _Unsupported("has windows beyond the edge, its strides being longer than its kernel")
    return module


def _global_pooling(method: str, x: Tensor) -> Tensor:
    return x.amax((2, 3), keepdim=True) if method == "MAX" else x.mean((2, 3), keepdim=True)


def _lrn(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.lrn_param
    if param.norm_region == param.WITHIN_CHANNEL:
        raise _Unsupported("normalizes within channels")
    return nn.LocalResponseNorm(param.local_size, param.alpha, param.beta, param.k)


def _eltwise(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.eltwise_param
    operation = param.EltwiseOp.Name(param.operation)
    return Function(partial(_combined, operation, list(param.coeff) or [1.0] * len(layer.bottom)))


def _combined(operation: str, coefficients: Sequence[float], *bottoms: Tensor) -> Tensor:
    result = bottoms[0] * coefficients[0] if operation == "SUM" else bottoms[0]
    for x, coefficient in zip(bottoms[1:], coefficients[1:], strict=True):
        if operation == "SUM":
            result = result + x * coefficient
        else:
            result = result * x if operation == "PROD" else torch.maximum(result, x)
    return result


def _slice(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.slice_param
    axis = param.slice_dim if param.HasField("slice_dim") else param.axis
    size = shapes[0][axis]
    points = list(param.slice_point)
    if not points:
        points = [size // len(layer.top) * i for i in range(1, len(layer.top))]
    sizes = [end - begin for begin, end in zip([0, *points], [*points, size], strict=True)]
    return Function(partial(_split, sizes, axis))


def _split(sizes: list[int], axis: int, x: Tensor) -> tuple[Tensor, ...]:
    return torch.split(x, sizes, axis)


def _concat(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.concat_param
    return Function(partial(_joined, param.concat_dim if param.HasField("concat_dim") else param.axis))


def _joined(axis: int, *bottoms: Tensor) -> Tensor:
    return torch.cat(bottoms, axis)


def _reshape(layer: caffe_pb2.LayerParameter, blobs: Sequence[Tensor], shapes: _Dimensions) -> nn.Module:
    param = layer.reshape_param
    count = len(shapes[0])
    first = param.axis if param.axis >= 0 else param.axis + count + 1
    last = count if param.num_axes < 0 else first + param.num_axes
    return Function(partial(_reshaped, first, last, list(param.shape.dim)))


def _reshaped(first: int, last: int, dims: list[int], x: Tensor) -> Tensor:
    middle = [x.shape[first + i] if dim == 0 else dim for i, dim in enumerate(dims)]
    return x.reshape(*x.shape[:first], *middle, *x.shape[last:])


def _power(power: float, scale: float, shift: float, x: Tensor) -> Tensor:
    linear = x * scale + shift
    return linear if power == 1 else linear**power


def _without_parameters(make: Callable[[caffe_pb2.LayerParameter], nn.Module]) -> Callable[..., nn.Module]:
    return lambda layer, blobs, shapes: make(layer)


def _relu(layer: caffe_pb2.LayerParameter) -> nn.Module:
    slope = layer.relu_param.negative_slope
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _quant(layer: caffe_pb2.LayerParameter) -> nn.Module:
    param = layer.quant_param
    names = ("forward_func", "backward_func", "clip_thr", "negative_slope")
    fields = {name: getattr(param, name) for name in names}
    return Quant(list(param.centers), thrs=list(param.thrs), **fields)


_MAKERS: dict[str, Callable[..., nn.Module]] = {
    "AbsVal": _without_parameters(lambda layer: Function(torch.abs)),
    "BNLL": _without_parameters(lambda layer: nn.Softplus()),
    "BatchNorm": _batch_norm,
    "Bias": _scale,
    "BinaryConvolution": _convolution,
    "BinaryInnerProduct": _inner_product,
    "Clip": _without_parameters(lambda layer: nn.Hardtanh(layer.clip_param.min, layer.clip_param.max)),
    "Concat": _concat,
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Dropout": _without_parameters(lambda layer: nn.Dropout(layer.dropout_param.dropout_ratio)),
    "ELU": _without_parameters(lambda layer: nn.ELU(layer.elu_param.alpha)),
    "Eltwise": _eltwise,
    "Flatten": _without_parameters(
        lambda layer: nn.Flatten(layer.flatten_param.axis, layer.flatten_param.end_axis)
    ),
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "PReLU": _prelu,
    "Pooling": _pooling,
    "Power": _without_parameters(
        lambda layer: Function(
            partial(_power, layer.power_param.power, layer.power_param.scale, layer.power_param.shift)
        )
    ),
    "Quant": _without_parameters(_quant),
    "ReLU": _without_parameters(_relu),
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": _without_parameters(lambda layer: nn.Sigmoid()),
    "Slice": _slice,
    "Softmax": _without_parameters(lambda layer: nn.Softmax(layer.softmax_param.axis)),
    "TanH": _without_parameters(lambda layer: nn.Tanh()),
}
