"""Nets for deployment and binarized weights."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format

import caffe
from caffe import layers as L
from caffe.hwgq import binarize, binarized_net, deploy_net
from caffe.proto import caffe_pb2

SHARED = Path(os.environ.get("CAFFE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
CENTERS = dict(centers=[0.538, 1.076, 1.614], clip_thr=1.614)


def train_net(use_alpha=True, use_binarization=True):
    """A small HWGQ net for training, on synthetic data."""
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[6, 3, 9, 9]), dict(dim=[6])], data_filler=[dict(type="gaussian"), dict()], ntop=2
    )
    binary = dict(use_alpha=use_alpha, use_binarization=use_binarization)
    msra = dict(type="msra")
    n.conv1 = L.Convolution(n.data, num_output=5, kernel_size=3, weight_filler=msra, param=dict(lr_mult=2))
    n.bn1 = L.BatchNorm(n.conv1, in_place=True, moving_average_fraction=0.9)
    n.qt1 = L.Quant(n.conv1, **CENTERS)
    n.conv2 = L.BinaryConvolution(
        n.qt1,
        convolution_param=dict(num_output=6, kernel_size=3, group=1, weight_filler=msra),
        binary_convolution_param=binary,
    )
    n.bn2 = L.BatchNorm(n.conv2, in_place=True)
    n.qt2 = L.Quant(n.conv2, **CENTERS)
    n.fc = L.BinaryInnerProduct(
        n.qt2,
        inner_product_param=dict(num_output=4, weight_filler=msra),
        binary_inner_product_param=binary,
    )
    n.accuracy = L.Accuracy(n.fc, n.label, include=dict(phase=caffe.TEST))
    n.loss = L.SoftmaxWithLoss(n.fc, n.label)
    return n.to_proto()


@pytest.fixture
def trained(tmp_path):
    def make(**options):
        model = tmp_path / "train_val.prototxt"
        model.write_text(str(train_net(**options)))
        caffe.set_random_seed(5)
        net = caffe.Net(str(model), caffe.TRAIN)
        for _ in range(3):
            net.forward()
        weights = tmp_path / "trained.caffemodel"
        net.save(str(weights))
        return model, weights

    return make


def outputs(model, weights, data):
    net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    return net.forward(data=data)["prob"].copy()


@pytest.mark.parametrize("use_alpha", [True, False])
def test_both_nets_compute_the_same(trained, tmp_path, use_alpha):
    model, weights = trained(use_alpha=use_alpha)
    result = binarize(model, weights, tmp_path / "out")
    data = np.random.RandomState(0).randn(6, 3, 9, 9).astype(np.float32)
    real = outputs(result.deploy, result.weights, data)
    binarized = outputs(result.deploy_bw, result.weights_bw, data)
    np.testing.assert_allclose(binarized, real, rtol=1e-5, atol=1e-6)
    # And what the trained net computes in its test phase.
    net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    net.forward()
    net.blobs["data"].data[...] = data
    net._forward(list(net._layer_names).index("conv1"), len(net.layers) - 1)
    scores = net.blobs["fc"].data
    softmax = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(real, softmax / softmax.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_binarized_weights_have_one_magnitude_for_each_output(trained, tmp_path):
    model, weights = trained()
    result = binarize(model, weights, tmp_path / "out")
    real = caffe.Net(str(result.deploy), caffe.TEST, weights=str(result.weights))
    binary = caffe.Net(str(result.deploy_bw), caffe.TEST, weights=str(result.weights_bw))
    for name in ("conv2", "fc"):
        w, b = real.params[name][0].data, binary.params[name][0].data
        alpha = np.abs(w).reshape(len(w), -1).mean(1)
        expected = np.where(w >= 0, 1, -1) * alpha.reshape(-1, *[1] * (w.ndim - 1))
        np.testing.assert_allclose(b, expected, rtol=1e-5)
    assert binary.layer_dict["conv2"].type == "Convolution"
    assert binary.layer_dict["fc"].type == "InnerProduct"
    np.testing.assert_array_equal(real.params["conv1"][0].data, binary.params["conv1"][0].data)


def test_binarizing_a_deploy_net_again_changes_nothing(trained, tmp_path):
    model, weights = trained()
    first = binarize(model, weights, tmp_path / "one")
    second = binarize(first.deploy, first.weights, tmp_path / "two")
    assert first.deploy.read_text() == second.deploy.read_text()
    data = np.random.RandomState(1).randn(6, 3, 9, 9)
    np.testing.assert_array_equal(
        outputs(first.deploy_bw, first.weights_bw, data), outputs(second.deploy_bw, second.weights_bw, data)
    )


def test_layers_that_do_not_binarize_keep_their_weights(trained, tmp_path):
    model, weights = trained(use_binarization=False)
    result = binarize(model, weights, tmp_path / "out")
    real = caffe.Net(str(result.deploy), caffe.TEST, weights=str(result.weights))
    binary = caffe.Net(str(result.deploy_bw), caffe.TEST, weights=str(result.weights_bw))
    np.testing.assert_array_equal(real.params["conv2"][0].data, binary.params["conv2"][0].data)


def test_deploy_net_leaves_out_what_only_training_reads():
    deploy = deploy_net(train_net(), {"data": [1, 3, 9, 9]})
    assert [layer.name for layer in deploy.layer] == [
        "data", "conv1", "bn1", "qt1", "conv2", "bn2", "qt2", "fc", "prob",
    ]  # fmt: skip
    by_name = {layer.name: layer for layer in deploy.layer}
    assert not by_name["conv1"].param
    assert not by_name["conv1"].convolution_param.HasField("weight_filler")
    assert by_name["bn1"].batch_norm_param.use_global_stats
    assert not by_name["bn1"].batch_norm_param.HasField("moving_average_fraction")
    assert list(by_name["prob"].bottom) == ["fc"]


def test_weights_of_another_net_are_refused(trained, tmp_path):
    model, weights = trained()
    other = caffe_pb2.NetParameter.FromString(Path(weights).read_bytes())
    for layer in other.layer:
        if layer.name == "conv2":
            layer.name = "renamed"
    foreign = tmp_path / "foreign.caffemodel"
    foreign.write_bytes(other.SerializeToString())
    with pytest.raises(ValueError, match="conv2"):
        binarize(model, foreign, tmp_path / "out")


def test_nets_without_binary_layers_are_refused(tmp_path):
    model = tmp_path / "plain.prototxt"
    model.write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }'
        'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" '
        "inner_product_param { num_output: 2 } }"
    )
    with pytest.raises(ValueError, match="no BinaryConvolution"):
        binarize(model, "unused.caffemodel", tmp_path)


def test_results_never_overwrite_the_weights_they_come_from(trained, tmp_path):
    model, weights = trained()
    before = Path(weights).read_bytes()
    with pytest.raises(ValueError, match="another folder"):
        binarize(model, weights, tmp_path)
    assert Path(weights).read_bytes() == before


def published(name, kind):
    file = SHARED / "reference" / "nets" / f"imagenet__{name}__{kind}.json"
    definition = json.loads(file.read_text())
    shapes = dict(zip(definition.pop("input", []), definition.pop("input_shape", []), strict=True))
    return json_format.ParseDict(definition, caffe_pb2.NetParameter()), shapes


NETS = [
    "alex-hwgq-3ne-clip-poly-320k",
    "res18-hwgq-3ne-clip-poly-320k",
    "res34-hwgq-3ne-clip-poly-320k",
    "res50-hwgq-3ne-clip-poly-640k",
    "google-hwgq-3ne-clip-poly-320k",
    "dark19-hwgq-3ne-clip-poly-320k",
    "vgg-hwgq-3ne-clip-poly-640k",
]


@pytest.mark.skipif(not (SHARED / "reference").is_dir(), reason="the published definitions are not here")
@pytest.mark.parametrize("name", NETS)
def test_training_nets_become_the_published_deploy_nets(name):
    train, _ = published(name, "train_val")
    expected, shapes = published(name, "deploy")
    dims = {blob: [int(dim) for dim in shape["dim"]] for blob, shape in shapes.items()}
    deploy = deploy_net(train, dims)
    assert deploy.layer[0].type == "Input"
    assert {layer.name: layer for layer in deploy.layer[1:]} == {
        layer.name: layer for layer in expected.layer
    }
    assert [layer.name for layer in deploy.layer[1:]] == [layer.name for layer in expected.layer]
    if (SHARED / "reference" / "nets" / f"imagenet__{name}__deploy_bw.json").exists():
        expected_bw, _ = published(name, "deploy_bw")
        assert list(binarized_net(deploy).layer[1:]) == list(expected_bw.layer)
