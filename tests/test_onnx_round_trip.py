"""Caffe to ONNX and back: the same net."""

import os
from pathlib import Path

import numpy as np
import pytest
from onnx_models import normal

import caffe
from caffe.importer import from_onnx

to_onnx = pytest.importorskip("caffe.export").to_onnx

SHARED = Path(os.environ.get("CAFFE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
FORMS = ["float", "qdq", "qonnx"]


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
def test_a_trained_net_keeps_its_outputs(form):
    folder = SHARED / "models" / "hwgq-sfc-w1a2-mnist"
    net = caffe.Net(
        str(folder / "sfc-w1a2.prototxt"), caffe.TEST, weights=str(folder / "sfc-w1a2.caffemodel")
    )
    again = from_onnx(to_onnx(net, hwgq=form)).net()
    name, output = net.inputs[0], net.outputs[0]
    x = np.abs(normal(*again.blobs[name].shape)) * 50
    net.blobs[name].reshape(*x.shape)
    net.reshape()
    expected = net.forward(**{name: x})[output]
    np.testing.assert_allclose(again.forward(**{name: x})[output], expected, rtol=1e-4, atol=1e-4)
