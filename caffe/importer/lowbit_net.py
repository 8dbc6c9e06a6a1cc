"""From a float net to one of low precision, to be finetuned."""

from __future__ import annotations

from collections.abc import Collection

from ..hwgq.architectures import Activation, hwgq
from ..hwgq.binarize import BINARY_TYPES
from ..proto import caffe_pb2

_BINARY = {ordinary: (binary, field) for binary, (ordinary, field) in BINARY_TYPES.items()}

_FRACTION = 0.95  # of the paper's nets


def low_bit_net(
    net: caffe_pb2.NetParameter, activation: Activation | None = None, keep: Collection[str] | None = None
) -> caffe_pb2.NetParameter:
    """A net with binary weights, its activations quantized, which takes the float net's parameters.

    Convolutions and inner products become BinaryConvolution and BinaryInnerProduct with ``use_alpha``; a ReLU
    whose result a binary layer reads, through pooling and the like, becomes a Quant layer. Statistics of
    batch normalization follow the last twenty batches or so, as in the paper's nets. Layers keep their names,
    so that the float net's .caffemodel is what finetuning starts from.

    Args:
        net: the float net's definition.
        activation: what the ReLUs become; by default :func:`caffe.hwgq.architectures.hwgq`.
        keep: names of layers whose weights stay as they are; by default the first and the last with weights,
            and convolutions in groups of one channel.

    Raises:
        ValueError: ``keep`` names no such layer, or leaves none to binarize.
    """
    quant_param = (activation or hwgq()).quant_param
    weighted = [layer for layer in net.layer if layer.type in _BINARY]
    names = [layer.name for layer in weighted]
    if keep is None:
        keep = {*names[:1], *names[-1:], *(layer.name for layer in weighted if _is_depthwise(layer))}
    for name in keep:
        if name not in names:
            raise ValueError(
                f"there is no layer {name!r} with weights; there are {', '.join(names) or 'none'}"
            )
    binary = [name for name in names if name not in keep]
    if not binary:
        raise ValueError(f"no layer is left to binarize of {', '.join(names) or 'none'}")
    result = caffe_pb2.NetParameter()
    result.CopyFrom(net)
    for layer in result.layer:
        if layer.name in binary and layer.type in _BINARY and not layer.inner_product_param.transpose:
            layer.type, field = _BINARY[layer.type]
            getattr(layer, field).use_alpha = True
        elif layer.type == "BatchNorm":
            layer.batch_norm_param.moving_average_fraction = _FRACTION
    if quant_param is not None:
        _quantize(result, quant_param)
    return result


def _is_depthwise(layer: caffe_pb2.LayerParameter) -> bool:
    param = layer.convolution_param
    return layer.type == "Convolution" and param.group > 1 and param.group == param.num_output


#: Layers through which codes stay codes.
_PASSING = {"Concat", "Dropout", "Flatten", "Pooling", "Reshape", "Slice", "Split"}


def _quantize(net: caffe_pb2.NetParameter, quant_param: dict) -> None:
    """Makes Quant layers of ReLUs that binary layers read."""
    layers = list(net.layer)
    blobs = {name for layer in layers for name in (*layer.bottom, *layer.top)}
    for place, layer in enumerate(layers):
        if layer.type != "ReLU" or layer.relu_param.negative_slope or not _feeds_binary(layers, place):
            continue
        layer.type = "Quant"
        layer.ClearField("relu_param")
        layer.quant_param.CopyFrom(caffe_pb2.QuantParameter(**quant_param))
        old = layer.top[0]
        if old != layer.bottom[0]:
            continue
        # Its gradient needs its input.
        new = layer.name if layer.name not in blobs else f"{layer.name}_codes"
        while new in blobs:
            new += "_"
        blobs.add(new)
        layer.top[0] = new
        for later in layers[place + 1 :]:
            later.bottom[:] = [new if name == old else name for name in later.bottom]
            later.top[:] = [new if name == old else name for name in later.top]


def _feeds_binary(layers: list[caffe_pb2.LayerParameter], place: int) -> bool:
    """Whether a binary layer reads what a layer makes, through layers that only arrange it."""
    carrying = {layers[place].top[0]}
    for layer in layers[place + 1 :]:
        if not carrying.intersection(layer.bottom):
            continue
        if layer.type in BINARY_TYPES:
            return True
        if layer.type in _PASSING:
            carrying.update(layer.top)
    return False
