"""Weights of the released models' shapes, at full size, in the layouts in which such files are."""

import os
import subprocess
import sys

import numpy as np
import pytest

import caffe
from caffe import _caffe, io
from caffe.hwgq import released
from caffe.proto import caffe_pb2

# A file holds all the net's values; loading it may take twice its size.
LOAD = """
import os, sys
import caffe
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
caffe.init_log(2)
model, weights, small = sys.argv[1:]
caffe.Net(small, caffe.TEST).forward()  # whatever the first net takes for itself
before = peak()
net = caffe.Net(model, caffe.TEST)
activations = 4 * sum(blob.count for blob in net.blobs.values())
net.copy_from(weights)
print(peak() - before - activations, sum(float(b[0].data.ravel()[-1]) for b in net.params.values()))
"""

SMALL = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "BinaryConvolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 } }
"""


def available_memory():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def wire_layout_of_2017(saved):
    """As the fork saved a net in training: also its data, its losses, and shapes in four axes for some."""
    net = caffe_pb2.NetParameter(name=saved.name)
    net.layer.add(name="data", type="Data", top=["data", "label"])
    net.layer[0].data_param.source = "ilsvrc12_train_lmdb"
    for index, layer in enumerate(saved.layer):
        copy = net.layer.add()
        copy.CopyFrom(layer)
        if layer.blobs and index % 2:
            for blob in copy.blobs:
                sizes = [1] * (4 - len(blob.shape.dim)) + list(blob.shape.dim)
                blob.ClearField("shape")
                blob.num, blob.channels, blob.height, blob.width = sizes
    net.layer.add(name="loss", type="SoftmaxWithLoss", bottom=["fc", "label"], top=["loss"])
    return net


@pytest.mark.parametrize("name", [name for name, model in released.MODELS.items() if not model.binarized])
@pytest.mark.parametrize("layout", ["today", "2017"])
def test_full_size(root, tmp_path, name, layout):
    model = root / "models" / name / "deploy.prototxt"
    # A batch of one: what lies between layers is not what is tested.
    text = model.read_text().replace("dim: 50", "dim: 1", 1)
    (tmp_path / "deploy.prototxt").write_text(text)
    (tmp_path / "small.prototxt").write_text(SMALL)
    net = caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST)
    size = 4 * sum(blob.count for blobs in net.params.values() for blob in blobs)
    if available_memory() < 8 * size:
        pytest.skip(f"{8 * size / 1e9:.1f} GB of memory are needed to make the file")
    generator = np.random.default_rng(1)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = generator.standard_normal(blob.shape, dtype=np.float32)
    expected = sum(float(blobs[0].data.ravel()[-1]) for blobs in net.params.values())
    weights = tmp_path / "net.caffemodel"
    net.save(str(weights))
    del net
    if layout == "2017":
        saved = caffe_pb2.NetParameter.FromString(_caffe.read_net_binary(str(weights)))
        _caffe.write_net_binary(wire_layout_of_2017(saved).SerializeToString(), str(weights))
        del saved
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "deploy.prototxt", weights, tmp_path / "small.prototxt"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    peak, found = map(float, done.stdout.split())
    assert found == pytest.approx(expected)
    assert peak < 2 * os.path.getsize(weights) + 64e6, "the net's own values and as much again, at most"


@pytest.fixture
def digits(root):
    """A trained net: its deploy nets and files of weights."""
    return root / "examples/classification"


def prob(model, weights, images):
    net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    return net.forward_all(data=images)["prob"]


def test_binarized_weights_in_binary_layers_compute_the_same(digits, tmp_path):
    made = caffe.hwgq.binarize(digits / "deploy.prototxt", digits / "digits-hwgq.caffemodel", tmp_path)
    images = np.random.default_rng(2).uniform(0, 1, (7, 1, 28, 28)).astype(np.float32)
    expected = prob(digits / "deploy.prototxt", digits / "digits-hwgq.caffemodel", images)
    assert (prob(made.deploy_bw, made.weights_bw, images) == expected).all()
    # To binarize what is binary changes nothing: alpha is the mean of equal sizes.
    assert prob(digits / "deploy.prototxt", made.weights_bw, images) == pytest.approx(expected, rel=1e-5)
    again = caffe.hwgq.binarize(made.deploy, made.weights_bw, tmp_path / "again")
    assert (prob(again.deploy_bw, again.weights_bw, images) == expected).all()


def test_weights_to_be_binarized_are_refused_by_ordinary_layers(digits, tmp_path):
    made = caffe.hwgq.binarize(digits / "deploy.prototxt", digits / "digits-hwgq.caffemodel", tmp_path)
    with pytest.raises(
        caffe.Error, match=r"(?s)conv1, conv2 are those of binary layers.*caffe binarize"
    ) as error:
        caffe.Net(str(made.deploy_bw), caffe.TEST, weights=str(made.weights))
    assert str(made.weights) in str(error.value)


def test_weights_of_another_architecture(root, digits):
    weights = str(digits / "digits-hwgq.caffemodel")
    with pytest.raises(caffe.Error, match="shape mismatch") as error:
        net = caffe.Net(str(root / "models/alexnet_hwgq/deploy.prototxt"), caffe.TEST)
        net.copy_from(weights)
    assert weights in str(error.value) and "layer 'conv1'" in str(error.value)


def test_a_truncated_file(digits, tmp_path):
    whole = (digits / "digits-hwgq.caffemodel").read_bytes()
    net = caffe.Net(str(digits / "deploy.prototxt"), caffe.TEST)
    for length in (0, 1, 1000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.caffemodel").write_bytes(whole[:length])
        with pytest.raises(caffe.Error, match="cut.caffemodel"):
            net.copy_from(str(tmp_path / "cut.caffemodel"))


def test_a_database_of_another_size(digits, tmp_path):
    with _caffe.Database(str(tmp_path / "images"), "new") as database:
        for number in range(4):
            image = np.zeros((1, 20, 20), np.uint8)
            database.put(b"%d" % number, io.array_to_datum(image, 0).SerializeToString())
        database.commit()
    text = (digits / "train_val.prototxt").read_text().replace("mnist_test_lmdb", str(tmp_path / "images"))
    (tmp_path / "net.prototxt").write_text(text)
    weights = str(digits / "digits-hwgq.caffemodel")
    with pytest.raises(caffe.Error, match="layer 'score'.*shape mismatch") as error:
        caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST, weights=weights)
    assert "this net 10 96 (960)" in str(error.value)
