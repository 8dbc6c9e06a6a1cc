"""Whole nets: made without their data, made smaller, and run beside what was made of them."""

import math
import re

import numpy as np
from onnx_models import checked, close, run_net, run_qonnx, tensors

from caffe import Error, _caffe
from caffe.export import to_onnx
from caffe.export.source import ENDINGS
from caffe.hwgq.binarize import DATA_TYPES
from caffe.importer import from_onnx
from caffe.proto import caffe_pb2
from caffe.summary import open_without_data

# What data may be that nothing tells the shape of.
SHAPES = [
    (1, 28, 28),
    (3, 32, 32),
    (3, 64, 64),
    (3, 224, 224),
    (3, 227, 227),
    (6, 384, 512),
    (128,),
    (1,),
    (),
]

# Beside quantizers, what makes another choice of a rounding error.
CHOOSING = {"ArgMax", "BatchReindex", "Embed", "Filter", "Threshold"}


def opened(path):
    """A net of Input layers: those that a program fills in another way can't be filled here."""
    net = _without_data(path)
    filled = {
        top: tuple(net.blobs[top].shape)
        for name, layer in net.layer_dict.items()
        if layer.type in DATA_TYPES
        for top in net.top_names[name]
    }
    return open_without_data(path, input_shapes=filled)[0] if filled else net


def _without_data(path):
    """Data of unknown shape gets one of SHAPES with which the net can be made, if there is such a one."""
    try:
        return open_without_data(path)[0]
    except ValueError as error:
        unknown = re.search(r"the shape of '(.*?)' cannot be told", str(error))
        if not unknown:
            raise
    definition = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(str(path)))
    data = [layer.top[0] for layer in definition.layer if layer.type in DATA_TYPES - {"DummyData"}]
    failure = None
    for shape in SHAPES:
        try:
            return open_without_data(path, input_shapes={top: (2, *shape) for top in data})[0]
        except Error as error:
            failure = failure or error
    raise failure


def smaller(path, folder, divisor=16):
    """A copy of a prototxt whose layers have a fraction of their outputs."""
    definition = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(str(path)))
    for layer in definition.layer:
        for param in (layer.convolution_param, layer.inner_product_param):
            if param.num_output:
                groups = getattr(param, "group", 1)
                param.num_output = max(2, param.num_output // divisor // groups) * groups
    copy = folder / "smaller.prototxt"
    copy.write_text(str(definition))
    return copy


def smaller_batch(net, batch=1):
    """As few items as there can be, so that a pass is short."""
    shapes = {name: tuple(net.blobs[name].shape) for name in net.inputs}
    try:
        for name, shape in shapes.items():
            if shape and len({other[:1] for other in shapes.values()}) == 1:
                net.blobs[name].reshape(batch, *shape[1:])
        net.reshape()
    except Error:
        for name, shape in shapes.items():
            net.blobs[name].reshape(*shape)
        net.reshape()


def randomize(net, rng):
    """Parameters with which values neither grow nor vanish."""
    for name, blobs in net.params.items():
        type = net.layer_dict[name].type
        for i, blob in enumerate(blobs):
            shape = blob.data.shape
            if type == "BatchNorm":
                values = [0.1 * rng.standard_normal(shape), 0.5 + rng.random(shape), np.ones(shape)][i]
            elif type in ("Scale", "PReLU") and i == 0:
                values = 0.5 + rng.random(shape)
            else:
                fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
                values = rng.standard_normal(shape, np.float32) * np.float32(1.4 / math.sqrt(max(fan_in, 1)))
            blob.data[...] = values


def parameters_of(layer):
    return caffe_pb2.LayerParameter.FromString(layer.layer_param.SerializeToString())


def quantizers(net):
    """Names of the layers after which values are a few levels."""
    return [
        name
        for name, layer in zip(net._layer_names, net.layers, strict=True)
        if layer.type == "Quant" and parameters_of(layer).quant_param.forward_func in ("hwgq", "sign")
    ]


def codes_in(model, net, names):
    """For each of a net's quantizers the tensor of a model that holds what it computes."""
    made = {output for node in model.graph.node for output in node.output}
    found = {}
    for name in names:
        top = net.top_names[name][0]
        # Where a layer behind it works in place, the blob's own name is for what comes of that.
        found[name] = next(tensor for tensor in (f"{top}_{name}", top) if tensor in made)
    return found


def forward(net, inputs, codes):
    """Runs a net, and goes on behind each quantizer with the codes that were found elsewhere.

    These must be the net's own, but for sums at a threshold, which may be rounded to its other side. So
    everything before a quantizer is compared, and nothing behind it depends on such a choice.

    Args:
        codes: values of the quantizers' tops by layer.

    Returns:
        All blobs by name; how many values there were on the other side of a threshold, and of how many.
    """
    for name, values in inputs.items():
        net.blobs[name].reshape(*values.shape)
    net.reshape()
    for name, values in inputs.items():
        net.blobs[name].data[...] = values
    ties, count = 0, 0
    for i, (name, layer) in enumerate(zip(net._layer_names, net.layers, strict=True)):
        if name not in codes:
            net._forward(i, i)
            continue
        x = net._blobs[net._bottom_ids(i)[0]].data.copy()
        net._forward(i, i)
        top = net._blobs[net._top_ids(i)[0]]
        differ = np.abs(codes[name].reshape(top.data.shape) - top.data) > 1e-5
        param = parameters_of(layer).quant_param
        centers = np.array(param.centers)
        thresholds = [0.0]
        if param.forward_func != "sign":
            thresholds += list((centers[:-1] + centers[1:]) / 2)
        near = np.abs(x[..., None] - thresholds).min(-1) <= 1e-5 * max(np.abs(x).max(initial=0), 1)
        assert not (differ & ~near).any(), f"{name}: codes differ where no threshold is near"
        ties, count = ties + int(differ.sum()), count + differ.size
        top.data[...] = codes[name].reshape(top.data.shape)
    return {name: blob.data.copy() for name, blob in net.blobs.items()}, ties, count


def with_probabilities(net, blobs):
    """The blobs, and what a model has in the place of losses."""
    endings = [name for name, layer in net.layer_dict.items() if layer.type in ENDINGS]
    for name in endings:
        layer = net.layer_dict[name]
        scores = blobs[net.bottom_names[name][0]].astype(np.float64)
        if ENDINGS[layer.type] == "Sigmoid":
            values = 1 / (1 + np.exp(-scores))
        else:
            param = parameters_of(layer)
            axis = (
                param.infogain_loss_param.axis if layer.type == "InfogainLoss" else param.softmax_param.axis
            )
            powers = np.exp(scores - scores.max(axis, keepdims=True))
            values = powers / powers.sum(axis, keepdims=True)
        output = "prob" if len(endings) == 1 else f"{name}_prob"
        # A net may have a blob of that name already, beside the loss itself.
        taken = output in blobs and output not in net.top_names[name]
        blobs |= {f"{output}_2" if taken else output: values.astype(np.float32)}
    return blobs


def random_inputs(net, names, rng):
    inputs = {
        name: np.zeros(tuple(net.blobs[name].shape), np.float32) for name in net.inputs if name not in names
    }
    rows = [parameters_of(layer).embed_param.input_dim for layer in net.layers if layer.type == "Embed"]
    for name in names:
        shape = tuple(net.blobs[name].shape)
        values = rng.integers(0, min(rows), shape) if rows else rng.standard_normal(shape)
        inputs[name] = values.astype(np.float32)
    return inputs


def compare_outputs(net, blobs, found):
    """All outputs of a model with those of a net, within 1e-4 of the largest."""
    expected = with_probabilities(net, blobs)
    chooses = any(layer.type in CHOOSING for layer in net.layers)
    for name, values in found.items():
        assert np.isfinite(expected[name]).all(), name
        if chooses:
            assert values.shape == expected[name].shape, name
            away = np.abs(values - expected[name]) > 1e-4 * (np.abs(expected[name]).max(initial=0) + 1e-6)
            assert away.mean() <= 0.05, f"{name}: {away.mean():.3f} of the values differ"
        else:
            close(values, expected[name], name)


def examined_with(net, model):
    return random_inputs(net, [value.name for value in model.graph.input], np.random.default_rng(2))


def examine(net, form):
    """Exports a net and compares all that it computes, in ONNX Runtime or as the package qonnx does.

    Returns:
        The model, and how many codes were on the other side of a threshold, and of how many.

    Raises:
        ValueError: it cannot be exported.
    """
    model = checked(to_onnx(net, hwgq=form))
    codes = codes_in(model, net, quantizers(net))
    outputs = [value.name for value in model.graph.output]
    inputs = examined_with(net, model)
    if form in ("float", "qdq"):
        found = tensors(model, [*outputs, *codes.values()], inputs)
    else:
        found, _ = run_qonnx(model, inputs)
    blobs, ties, count = forward(net, inputs, {name: found[tensor] for name, tensor in codes.items()})
    compare_outputs(net, blobs, {name: found[name] for name in outputs})
    return model, ties, count


def comes_back(net, model):
    """Imports a model that was exported of a net, and compares what both compute; returns the imported net.

    Raises:
        ValueError: it cannot be imported.
    """
    again = from_onnx(model).net()
    if any(layer.type in ("LSTM", "RNN") for layer in net.layers):
        # The net's state is that behind what it was examined with.
        run_net(again, examined_with(net, model))
    inputs = random_inputs(net, list(again.inputs), np.random.default_rng(3))
    found = run_net(again, {name: inputs[name] for name in again.inputs})
    # Quantizers keep their names, or those of their blobs.
    codes = {}
    for name in quantizers(net):
        top = again.top_names[name][0] if name in again.top_names else net.top_names[name][0]
        codes[name] = found[top]
    blobs, _, _ = forward(net, inputs, codes)
    compare_outputs(net, blobs, {value.name: found[value.name] for value in model.graph.output})
    return again
