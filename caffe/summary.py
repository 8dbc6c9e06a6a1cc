"""What a net is made of: layers, shapes, parameters, work, and memory in float and in bits.

>>> model = "examples/mnist/lenet-hwgq-3ne/train_val.prototxt"
>>> summary = summarize(model, input_shapes={"data": (1, 1, 28, 28)})
>>> summary.parameters, summary.weight_bytes, summary.weight_bytes_in_bits
(431653, 1726612, 60745)
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import _caffe
from .hwgq.binarize import BINARY_TYPES, DATA_TYPES, batch_size, clear_fillers
from .proto import caffe_pb2
from .pycaffe import Net

FLOAT_BITS = 32

# Layers whose tops hold nothing but values of their bottoms.
_ARRANGING = {"Concat", "Crop", "Flatten", "Reshape", "Slice", "Split", "Tile"}


@dataclass(frozen=True)
class LayerSummary:
    """A layer as it stands in a net."""

    name: str
    type: str
    #: Names of the blobs that it reads.
    bottoms: tuple[str, ...]
    #: The blobs that it makes, with their shapes.
    tops: dict[str, tuple[int, ...]]
    #: Shapes of its parameters.
    parameter_shapes: tuple[tuple[int, ...], ...]
    #: How many numbers they are, without those that a layer before it shares with it.
    parameters: int
    #: Products with an addition each, for the whole batch; 0 for layers without products of matrices.
    multiply_adds: int
    weight_bytes: int
    #: With a bit for each binary weight; biases and alphas stay floats.
    weight_bytes_in_bits: int
    #: What an element of its tops needs: 2 behind a quantizer of four levels.
    output_bits: int


@dataclass(frozen=True)
class NetSummary:
    """A net's layers and what they come to."""

    name: str
    #: First axis of the first input.
    batch: int
    layers: tuple[LayerSummary, ...]
    parameters: int
    #: For the whole batch, as are the activations.
    multiply_adds: int
    #: Those of layers with binary weights.
    binary_multiply_adds: int
    weight_bytes: int
    weight_bytes_in_bits: int
    #: Of all blobs between layers.
    activation_bytes: int
    activation_bytes_in_bits: int
    #: What blobs take at the most in a pass that reuses memory, as in training; in the TRAIN phase with
    #: gradients and what layers keep for them.
    pass_bytes: int


def open_without_data(
    model: str | os.PathLike,
    phase: int = caffe_pb2.TEST,
    level: int = 0,
    stages: Sequence[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    fill: bool = False,
) -> tuple[Net, caffe_pb2.NetParameter]:
    """A net whose parameters are zero, and its definition, also where the data that it names are not there.

    With ``fill`` its parameters are what its fillers make.

    Where a net cannot be made with its data, inputs take the data layers' place, of their crop_size and three
    channels; and so for layers of whose tops ``input_shapes`` gives one.

    Raises:
        caffe.Error: the definition cannot be read, or no net can be made of it.
        ValueError: ``input_shapes`` names no input, or is needed.
    """
    definition = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(os.fspath(model)))
    shapes = dict(input_shapes or {})
    if not fill:
        for layer in definition.layer:
            clear_fillers(layer)
    sources = [layer for layer in definition.layer if layer.type in DATA_TYPES or layer.type == "Input"]
    tops = list(dict.fromkeys(top for layer in sources for top in layer.top))
    for name in shapes:
        if name not in tops:
            raise ValueError(f"{os.fspath(model)}: there is no input {name!r}; there are {', '.join(tops)}")
    for layer in sources:
        given = next((shapes[top] for top in layer.top if top in shapes), None)
        if given is not None:
            _become_input(layer, [shapes.get(top, given[:1]) for top in layer.top])

    def make() -> Net:
        return _caffe.net_from_bytes(
            definition.SerializeToString(), phase, level, list(stages), named_in=os.fspath(model)
        )

    try:
        return make(), definition
    except _caffe.Error as error:
        if not _replace_data(definition, error):
            raise
    return make(), definition


def _replace_data(definition: caffe_pb2.NetParameter, error: _caffe.Error) -> bool:
    """Puts inputs in the place of layers that read files; whether there are any. Raises ValueError."""
    readers = [layer for layer in definition.layer if layer.type in DATA_TYPES - {"DummyData"}]
    for layer in readers:
        crop = layer.transform_param.crop_size
        if not crop:
            raise ValueError(
                f"the shape of {layer.top[0]!r} cannot be told ({error}): give it as -input "
                f"{layer.top[0]}:N,C,H,W"
            ) from error
        count = max(batch_size(layer), 1)
        channels = 1 if layer.transform_param.force_gray else 3
        _become_input(layer, [[count, channels, crop, crop], [count]][: len(layer.top)])
    return bool(readers)


def _become_input(layer: caffe_pb2.LayerParameter, shapes: Sequence[Sequence[int]]) -> None:
    layer.type = "Input"
    for field, _ in layer.ListFields():
        if field.message_type is not None and field.name not in ("include", "exclude"):
            layer.ClearField(field.name)
    layer.input_param.shape.extend(caffe_pb2.BlobShape(dim=shape) for shape in shapes)


def summarize(
    model: str | os.PathLike,
    phase: int = caffe_pb2.TEST,
    level: int = 0,
    stages: Sequence[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> NetSummary:
    """What the net of a prototxt is made of; see :func:`open_without_data` for what it may raise."""
    net, definition = open_without_data(model, phase, level, stages, input_shapes)
    # A name may stand twice, for one layer in training and another in test.
    settings = {(layer.name, layer.type): layer for layer in definition.layer}
    shapes = {name: tuple(blob.shape) for name, blob in net.blobs.items()}
    counted: set[int] = set()
    bits: dict[str, int] = {}
    layers = []
    for layer in net.layer_dict:
        proto = settings.get((layer, net.layer_dict[layer].type))
        layers.append(_layer(net, layer, proto, shapes, counted, bits))
    # Copies for several readers are not memory.
    held = {top for layer in layers if layer.type != "Split" for top in layer.tops}
    counts = {name: math.prod(shapes[name]) for name in held}
    first = shapes[net.inputs[0]] if net.inputs else next(iter(shapes.values()), ())
    return NetSummary(
        name=definition.name,
        batch=first[0] if first else 1,
        layers=tuple(layers),
        parameters=sum(layer.parameters for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        binary_multiply_adds=sum(layer.multiply_adds for layer in layers if layer.type in BINARY_TYPES),
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        weight_bytes_in_bits=sum(layer.weight_bytes_in_bits for layer in layers),
        activation_bytes=sum(_bytes(count * FLOAT_BITS) for count in counts.values()),
        activation_bytes_in_bits=sum(_bytes(count * bits[name]) for name, count in counts.items()),
        pass_bytes=net.pass_bytes(),
    )


def _layer(
    net: Net,
    name: str,
    proto: caffe_pb2.LayerParameter | None,
    shapes: Mapping[str, tuple[int, ...]],
    counted: set[int],
    bits: dict[str, int],
) -> LayerSummary:
    layer = net.layer_dict[name]
    blobs = list(layer.blobs)
    own = []
    for blob in blobs:
        address = blob.data.ctypes.data
        if address not in counted:
            own.append(blob)
            counted.add(address)
    parameters = sum(blob.count for blob in own)
    bottoms, tops = net.bottom_names[name], net.top_names[name]
    weight_bits = parameters * FLOAT_BITS
    if own and proto is not None and layer.type in BINARY_TYPES:
        param = getattr(proto, BINARY_TYPES[layer.type][1])
        if param.use_binarization:
            alphas = own[0].shape[0] if param.use_alpha else 0
            weight_bits += own[0].count + (alphas - own[0].count) * FLOAT_BITS
    output_bits = _output_bits(layer.type, proto, [bits.get(bottom, FLOAT_BITS) for bottom in bottoms])
    bits.update(dict.fromkeys(tops, output_bits))
    return LayerSummary(
        name=name,
        type=layer.type,
        bottoms=tuple(bottoms),
        tops={top: shapes[top] for top in tops},
        parameter_shapes=tuple(tuple(blob.shape) for blob in blobs),
        parameters=parameters,
        multiply_adds=_multiply_adds(
            layer.type,
            [tuple(blob.shape) for blob in blobs],
            [shapes[bottom] for bottom in bottoms],
            [shapes[top] for top in tops],
        ),
        weight_bytes=_bytes(parameters * FLOAT_BITS),
        weight_bytes_in_bits=_bytes(weight_bits),
        output_bits=output_bits,
    )


def _multiply_adds(
    type: str,
    parameters: Sequence[tuple[int, ...]],
    bottoms: Sequence[tuple[int, ...]],
    tops: Sequence[tuple[int, ...]],
) -> int:
    if type in ("Convolution", "BinaryConvolution"):
        return sum(math.prod(top) for top in tops) * math.prod(parameters[0][1:])
    if type == "Deconvolution":
        return sum(math.prod(bottom) for bottom in bottoms) * math.prod(parameters[0][1:])
    if type in ("InnerProduct", "BinaryInnerProduct"):
        # The weights are outputs x inputs, or transposed; either way one of each input for each output.
        return math.prod(tops[0]) * math.prod(parameters[0]) // max(tops[0][-1], 1)
    if type in ("RNN", "LSTM"):
        steps, streams = bottoms[0][:2]
        return steps * streams * sum(math.prod(shape) for shape in parameters if len(shape) == 2)
    return 0


def _output_bits(type: str, proto: caffe_pb2.LayerParameter | None, bottoms: Sequence[int]) -> int:
    if type == "Quant" and proto is not None:
        param = proto.quant_param
        if param.forward_func == "sign":
            return 1
        if param.forward_func == "hwgq":
            # The centers, and what stands for all below zero.
            return max(1, math.ceil(math.log2(len(param.centers) + 1)))
    largest = type == "Pooling" and proto is not None and proto.pooling_param.pool == proto.pooling_param.MAX
    if bottoms and (type in _ARRANGING or largest):
        return max(bottoms)
    return FLOAT_BITS


def _bytes(bits: int) -> int:
    return -(-bits // 8)
