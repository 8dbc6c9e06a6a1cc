"""This project's files for the benchmark: a zoo net with random weights, its variants, and what they compute.

Run as `python -m peers.from_caffe deploy.prototxt FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from google.protobuf import text_format

import caffe
from caffe.hwgq import binarize
from caffe.proto import caffe_pb2

from .files import Files
from .network import Network, Operation, simplified

CALIBRATION_IMAGES = 8
IMAGES = 16
#: Of the channels of the photographs that the zoo's nets are trained on.
MEANS = (104, 117, 123)


def read_net(path: Path) -> caffe_pb2.NetParameter:
    """A deploy net; its input may be declared by `input_shape` or by an Input layer."""
    return text_format.Parse(path.read_text(), caffe_pb2.NetParameter())


def write_net(net: caffe_pb2.NetParameter, path: Path) -> Path:
    """Writes a net as text."""
    path.write_text(text_format.MessageToString(net))
    return path


def input_dimensions(net: caffe_pb2.NetParameter) -> list:
    """The repeated field of the input's sizes, that can be set."""
    if net.input_shape:
        return net.input_shape[0].dim
    return next(layer for layer in net.layer if layer.type == "Input").input_param.shape[0].dim


def with_batch(net: caffe_pb2.NetParameter, batch: int) -> caffe_pb2.NetParameter:
    """The same net for a batch of that size."""
    result = caffe_pb2.NetParameter()
    result.CopyFrom(net)
    input_dimensions(result)[0] = batch
    return result


def with_relu(net: caffe_pb2.NetParameter) -> caffe_pb2.NetParameter:
    """The net that the peers compute: ReLU in place of Quant."""
    result = caffe_pb2.NetParameter()
    result.CopyFrom(net)
    for layer in result.layer:
        if layer.type == "Quant":
            layer.type = "ReLU"
            layer.ClearField("quant_param")
    return result


def random_images(shape: Sequence[int], seed: int) -> np.ndarray:
    """Pixels as data layers give them to a net, the same at every call: bytes less a channel's mean."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)
    means = np.resize(np.float32(MEANS), shape[1])
    return pixels - means.reshape(-1, *(1 for _ in shape[2:]))


def write_random_weights(deploy: caffe_pb2.NetParameter, folder: Path) -> Path:
    """Weights of unit gain; batch normalization has the statistics of random images."""
    training = with_batch(deploy, CALIBRATION_IMAGES)
    for layer in training.layer:
        if layer.type == "BatchNorm":
            layer.batch_norm_param.use_global_stats = False
    net = caffe.Net(str(write_net(training, folder / "calibration.prototxt")), caffe.TRAIN)
    random = np.random.default_rng(1)
    for layer in deploy.layer:
        _fill(layer.type, [blob.data for blob in net.params.get(layer.name, [])], random)
    name = net.inputs[0]
    net.blobs[name].data[...] = random_images(net.blobs[name].shape, seed=2)
    net.forward()
    path = folder / "net.caffemodel"
    net.save(str(path))
    return path


def _fill(kind: str, blobs: Sequence[np.ndarray], random: np.random.Generator) -> None:
    if kind == "BatchNorm":
        for blob in blobs:
            blob[...] = 0
    elif kind == "Scale":
        blobs[0][...] = random.uniform(0.5, 1.5, blobs[0].shape)
        blobs[1][...] = random.normal(0, 0.1, blobs[1].shape)
    elif blobs:
        fan_in = blobs[0][0].size
        blobs[0][...] = random.normal(0, (2 / fan_in) ** 0.5, blobs[0].shape)
        for bias in blobs[1:]:
            bias[...] = random.normal(0, 0.1, bias.shape)


def converted(deploy_bw: Path, weights_bw: Path) -> Network:
    """A net of ordinary layers as operations, Quant as ReLU."""
    net = caffe.Net(str(deploy_bw), caffe.TEST, weights=str(weights_bw))
    current: dict[str, str] = {}
    operations = []
    for layer in read_net(deploy_bw).layer:
        if layer.type == "Input":
            continue
        inputs = tuple(current.get(name, name) for name in layer.bottom)
        parameters = [blob.data.copy() for blob in net.params.get(layer.name, [])]
        operations.append(_operation(layer, inputs, parameters))
        current[layer.top[0]] = layer.name
    name = net.inputs[0]
    shape = tuple(net.blobs[name].shape[1:])
    title = deploy_bw.parent.name
    return simplified(Network(title, name, operations[-1].output, shape, tuple(operations)))


def _operation(layer: caffe_pb2.LayerParameter, inputs: tuple[str, ...], blobs: list) -> Operation:
    """A layer's operation; the name of its result is the layer's."""
    kinds = {"Quant": "relu", "ReLU": "relu", "Concat": "concat", "Eltwise": "add", "Softmax": "softmax"}
    if layer.type in kinds:
        return Operation(kinds[layer.type], inputs, layer.name)
    if layer.type == "Convolution":
        param = layer.convolution_param
        attributes = {
            "kernel": tuple(blobs[0].shape[2:]),
            "stride": _pair(param.stride, 1),
            "pad": _pair(param.pad, 0),
            "dilation": _pair(param.dilation, 1),
            "group": (param.group,),
        }
        return Operation("conv", inputs, layer.name, attributes, _weight_and_bias(blobs))
    if layer.type == "InnerProduct":
        return Operation("dense", inputs, layer.name, {}, _weight_and_bias(blobs))
    if layer.type == "BatchNorm":
        mean, variance = blobs[0] / blobs[2][0], blobs[1] / blobs[2][0]
        scale = 1 / np.sqrt(variance + np.float32(layer.batch_norm_param.eps))
        return Operation("affine", inputs, layer.name, {}, {"scale": scale, "shift": -mean * scale})
    if layer.type == "Scale":
        shift = blobs[1] if len(blobs) > 1 else np.zeros_like(blobs[0])
        return Operation("affine", inputs, layer.name, {}, {"scale": blobs[0], "shift": shift})
    if layer.type == "Pooling":
        return _pooling(layer, inputs)
    raise ValueError(f"{layer.name}: the peers' networks have no {layer.type}")


def _pooling(layer: caffe_pb2.LayerParameter, inputs: tuple[str, ...]) -> Operation:
    param = layer.pooling_param
    attributes = {
        "kernel": (param.kernel_size,) * 2,
        "stride": (param.stride,) * 2,
        "pad": (param.pad,) * 2,
    }
    return Operation("avgpool" if param.pool == param.AVE else "maxpool", inputs, layer.name, attributes)


def _weight_and_bias(blobs: list[np.ndarray]) -> dict[str, np.ndarray]:
    bias = blobs[1].reshape(-1) if len(blobs) > 1 else np.zeros(len(blobs[0]), np.float32)
    return {"weight": blobs[0], "bias": bias}


def _pair(values: Sequence[int], default: int) -> tuple[int, int]:
    values = list(values) or [default]
    return (values[0], values[-1])


def outputs(model: Path, weights: Path, images: np.ndarray) -> np.ndarray:
    """What a net computes, image by image."""
    net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    result = []
    for image in images:
        net.blobs[net.inputs[0]].data[...] = image
        result.append(net.forward()[net.outputs[0]][0].reshape(-1).copy())
    return np.stack(result)


def prepare(prototxt: Path, folder: Path) -> None:
    """Makes everything that engines of this project need, and the network for the others."""
    files = Files(folder)
    deploy = with_batch(read_net(prototxt), 1)
    dimensions = list(input_dimensions(deploy))
    source = write_net(deploy, folder / "source.prototxt")
    weights = write_random_weights(deploy, folder)
    model = binarize(source, weights, folder / "deploy", input_shape=dimensions)
    network = converted(model.deploy_bw, model.weights_bw)
    images = random_images((IMAGES, *network.shape), seed=3)
    np.save(files.images, images)
    np.save(files.expected("hwgq"), outputs(model.deploy, model.weights, images))
    relu = write_net(with_relu(read_net(model.deploy_bw)), folder / "relu.prototxt")
    np.save(files.expected("relu"), outputs(relu, model.weights_bw, images))
    network.save(files.network)


def write_packed(files: Files) -> None:
    """Packs the net, with its first and last layers in float and in int8."""
    from caffe import hwgq

    hwgq.pack(files.deploy, files.weights, files.packed("float"))
    hwgq.pack(files.deploy, files.weights, files.packed("int8"), first_last="int8")


def main(prototxt: Path, folder: Path) -> None:
    """Makes what is not there yet, but packed models in any case."""
    if not Files(folder).network.exists():
        prepare(prototxt, folder)
    write_packed(Files(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
