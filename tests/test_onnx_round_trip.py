"""Caffe to ONNX and back: the same net."""

import os
from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import normal

import caffe
from caffe import idx
from caffe.hwgq import PackedNet, pack
from caffe.importer import from_onnx

to_onnx = pytest.importorskip("caffe.export").to_onnx

from onnx_models import input_layer, net_of  # noqa: E402

SHARED = Path(os.environ.get("CAFFE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
FORMS = ["float", "qdq", "qonnx", "finn"]


def filled(net):
    """Gives a net's parameters random values of a size that keeps its blobs in range."""
    for seed, (name, blobs) in enumerate(net.params.items()):
        kind = net.layer_dict[name].type
        for index, blob in enumerate(blobs):
            values = normal(*blob.data.shape, seed=seed * 3 + index)
            if kind == "BatchNorm":
                values = [0.1 * values, np.abs(values) + 0.5, np.ones_like(values)][index]
            elif kind == "Scale" or blob.data.ndim < 2:
                values = 0.1 * values + (kind == "Scale" and index == 0)
            else:
                values = values * np.sqrt(2 / np.prod(values.shape[1:]))
            blob.data[...] = values
    return net


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["resnet18_hwgq", "googlenet_hwgq"])
def test_published_nets_come_back(root, name, form, tmp_path):
    net = filled(caffe.Net(str(root / "models" / name / "deploy.prototxt"), caffe.TEST))
    back = from_onnx(to_onnx(net, hwgq=form))
    again = back.net()
    kinds = [(layer, net.layer_dict[layer].type) for layer in net.params]
    assert [(layer, again.layer_dict[layer].type) for layer in again.params] == kinds
    quantizers = [[layer.type for layer in it.layers].count("Quant") for it in (net, again)]
    assert quantizers[0] == quantizers[1] > 0
    for layer, blobs in net.params.items():
        for index, (blob, other) in enumerate(zip(blobs, again.params[layer], strict=True)):
            values = blob.data
            if index == 0 and "Binary" in net.layer_dict[layer].type:
                # A model has the weights as they are multiplied with.
                values = caffe._caffe.binarize_weights(values, True)
            np.testing.assert_allclose(other.data, values, rtol=1e-6, atol=0, err_msg=layer)
    x = normal(1, 3, 224, 224)
    for it in (net, again):
        it.blobs["data"].reshape(*x.shape)
        it.reshape()
    outputs = [it.forward(data=x) for it in (net, again)]
    assert set(outputs[0]) == set(outputs[1])
    for output, values in outputs[0].items():
        np.testing.assert_allclose(outputs[1][output], values, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="the published weights are not here")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "folder, model, weights, scale, wrong",
    # As many as the reference implementation gets wrong: see test_models.py.
    [
        ("hwgq-sfc-w1a2-mnist", "sfc-w1a2.prototxt", "sfc-w1a2.caffemodel", 1, 357),
        ("lenet-2014", "lenet.prototxt", "lenet_iter_10000.caffemodel", 1 / 256, 95),
    ],
)
def test_trained_nets_keep_their_accuracy(form, folder, model, weights, scale, wrong, tmp_path):
    folder = SHARED / "models" / folder
    net = caffe.Net(str(folder / model), caffe.TEST, weights=str(folder / weights))
    imported = from_onnx(to_onnx(net, hwgq=form))
    again = imported.net()
    name, output = net.inputs[0], net.outputs[0]
    data = SHARED / "data" / "mnist"
    images = idx.read(data / "t10k-images-idx3-ubyte.gz", 3)
    labels = idx.read(data / "t10k-labels-idx1-ubyte.gz", 1)
    images = images[:, None] * np.float32(scale)
    scores = []
    for it in (net, again):
        it.blobs[name].reshape(1000, 1, 28, 28)
        it.reshape()
        scores.append(it.forward_all(**{name: images})[output].reshape(len(images), -1))
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-4, atol=1e-5)
    assert (scores[1].argmax(1) != labels).sum() == wrong
    pack(*imported.save(tmp_path / "net"), tmp_path / "net.hwgq")
    packed = PackedNet(tmp_path / "net.hwgq")
    found = [np.argmax(packed.forward(part).reshape(len(part), -1), 1) for part in np.split(images, 10)]
    assert (np.concatenate(found) != labels).sum() == wrong


@pytest.mark.parametrize("form", ["qdq", "qonnx", "finn"])
@pytest.mark.parametrize("value", [0, 1])
def test_binary_weights_that_are_all_alike_come_back(form, value):
    net = net_of(
        input_layer("data", 1, 2, 5, 5),
        'layer { name: "q" type: "Quant" bottom: "data" top: "q" quant_param { centers: 1 centers: 2 } }',
        'layer { name: "it" type: "BinaryConvolution" bottom: "q" top: "it" convolution_param { '
        "num_output: 3 kernel_size: 3 bias_term: false } binary_convolution_param { use_alpha: true } }",
        'layer { name: "end" type: "Quant" bottom: "it" top: "end" quant_param { centers: 1 centers: 2 } }',
    )
    net.params["it"][0].data[...] = value
    made = to_onnx(net, hwgq=form)
    again = from_onnx(made).net()
    assert [layer.type for layer in again.layers] == [layer.type for layer in net.layers]
    assert (again.params["it"][0].data == value).all()
