"""The quantizer's levels and the published networks, from their definitions."""

import json
import re

import numpy as np
import pytest
from google.protobuf import json_format

import caffe
from caffe.hwgq import ablations, architectures, quantizer, zoo
from caffe.hwgq.architectures import Precision, hwgq, relu, sign
from caffe.summary import summarize


def squared_error(centers, x):
    """The mean over positive samples, each to the nearest level."""
    levels = np.asarray(centers)
    return ((levels[np.abs(x[:, None] - levels).argmin(1)] - x) ** 2).mean()


def test_published_levels():
    assert quantizer.optimal_quantizer(3).centers == (0.538, 1.076, 1.614)
    assert quantizer.optimal_quantizer(2, uniform=False).centers == (0.453, 1.51)
    assert [quantizer.optimal_quantizer(n).centers[0] for n in (1, 3, 7, 15)] == [0.798, 0.538, 0.322, 0.184]
    assert quantizer.optimal_quantizer(3).thresholds == pytest.approx((0.807, 1.345))


@pytest.mark.parametrize("levels", [1, 2, 3, 7, 15])
@pytest.mark.parametrize("uniform", [True, False])
def test_levels_are_optimal(levels, uniform):
    centers = quantizer.lloyd(levels, uniform)
    best = quantizer.mean_squared_error(centers)
    # the integral, against the sum over equally likely values
    x = np.abs(np.random.RandomState(0).randn(200000))
    assert best == pytest.approx(squared_error(centers, x), rel=0.03)
    for change in (0.99, 1.01):
        if uniform:
            assert quantizer.mean_squared_error(centers * change) > best
        else:
            for i in range(levels):
                moved = centers.copy()
                moved[i] *= change
                assert quantizer.mean_squared_error(moved) > best
    if uniform:
        np.testing.assert_allclose(np.diff(centers, prepend=0), centers[0])
        assert levels < 3 or quantizer.mean_squared_error(quantizer.lloyd(levels, False)) < best


def test_no_levels():
    with pytest.raises(ValueError, match="at least one level"):
        quantizer.lloyd(0)


@pytest.mark.parametrize("name", zoo.RUNS)
def test_files_are_those_that_the_definitions_make(root, name):
    for file, content in zoo.files(zoo.RUNS[name]).items():
        path = root / "examples" / name / file
        assert path.read_text() == content, f"{path}: run python -m caffe.hwgq.zoo"
        assert path.suffix != ".sh" or path.stat().st_mode & 0o100


def test_nets_equal_the_published_ones(shared):
    files = sorted((shared / "reference/nets").glob("*.json"))
    assert len(files) >= 34
    for file in files:
        folder, name, kind = file.stem.split("__")
        message = getattr(zoo, kind)(zoo.RUNS[f"{folder}/{name}"])
        made = json_format.MessageToDict(message, preserving_proto_field_name=True)
        assert made == json.loads(file.read_text()), file.stem


@pytest.mark.parametrize("name", ["alex-sign-step-160k", "res18-hwgq-3ne-clip-poly-320k"])
def test_deployed_nets_run(root, name, tmp_path):
    for kind in ("deploy", "deploy_bw"):
        net = caffe.Net(root / f"examples/imagenet/{name}/{kind}.prototxt", caffe.TEST)
        net.blobs["data"].reshape(1, *net.blobs["data"].shape[1:])
        for layer in net.layers:
            if layer.type == "BatchNorm":
                layer.blobs[1].data[...] = layer.blobs[2].data[...] = 1
        assert net.forward()["prob"].reshape(1, 1000).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "precision, types",
    [
        (Precision(relu(), binary_weights=False), {"ReLU", "Convolution", "InnerProduct"}),
        (Precision(relu()), {"ReLU", "BinaryConvolution", "BinaryInnerProduct"}),
        (Precision(sign()), {"Quant", "BinaryConvolution", "BinaryInnerProduct"}),
        (Precision(hwgq(backward="relu")), {"Quant", "BinaryConvolution", "BinaryInnerProduct"}),
        (Precision(hwgq(backward="log_tailed")), {"Quant", "BinaryConvolution", "BinaryInnerProduct"}),
        (Precision(hwgq(15)), {"Quant", "BinaryConvolution", "BinaryInnerProduct"}),
    ],
)
def test_ablations_build(precision, types, tmp_path):
    for make in (architectures.lenet, architectures.cifar10_vgg):
        net = caffe.hwgq.deploy_net(make(precision), {"data": (1, 3, 32, 32)})
        found = {layer.type for layer in net.layer}
        assert ("Quant" in found) == ("Quant" in types)
        assert any(kind.startswith("Binary") for kind in found) == any(k.startswith("Binary") for k in types)
        file = tmp_path / "net.prototxt"
        file.write_text(str(net))
        caffe.Net(file, caffe.TEST).forward()


def test_gradients_of_the_quantizer():
    assert hwgq(3).quant_param["clip_thr"] == 1.614
    assert hwgq(backward="log_tailed").quant_param["backward_func"] == "log_tailed_relu"
    assert "clip_thr" not in hwgq(3, backward="relu").quant_param
    with pytest.raises(ValueError, match="relu, clipped, log_tailed, not"):
        hwgq(3, backward="tanh")
    with pytest.raises(ValueError, match="not 101"):
        architectures.resnet(101, Precision())


@pytest.mark.parametrize("name", ablations.RUNS)
def test_named_ablations_build(name, tmp_path):
    assert ablations.main([name, str(tmp_path)]) is None
    text = (tmp_path / "deploy.prototxt").read_text()
    assert ("Binary" in text) == ("-full" not in name)
    assert ("Quant" in text) == ("sign" in name or "hwgq" in name)
    assert ("log_tailed_relu" in text) == name.endswith("log-tailed")
    (tmp_path / "small.prototxt").write_text(text.replace("dim: 50", "dim: 1", 1))
    summary = summarize(tmp_path / "small.prototxt")
    levels = re.search(r"-(\d+)-(?:non)?uniform", name)
    if levels:
        bits = {layer.output_bits for layer in summary.layers if layer.type == "Quant"}
        assert bits == {int(levels[1]).bit_length()}


def test_ablations_by_name(tmp_path, capsys):
    assert "vggnet" in ablations.main(["vggnet", str(tmp_path)])
    assert "usage" in ablations.main(["one"])
    assert ablations.main([]) is None
    assert "alexnet-bw-sign" in capsys.readouterr().out.split()
    published = zoo.files(zoo.RUNS["imagenet/alex-sign-step-160k"])
    assert zoo.files(ablations.RUNS["alexnet-bw-sign"]) == published
