"""Real weights that others trained, against what the reference implementation measures with them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

import caffe

SHARED = Path(os.environ.get("CAFFE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
pytestmark = pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="the published weights are not here")


def read_idx(name):
    content = gzip.decompress((SHARED / "data" / "mnist" / name).read_bytes())
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


@pytest.fixture(scope="module")
def mnist():
    return read_idx("t10k-images-idx3-ubyte.gz")[:, None], read_idx("t10k-labels-idx1-ubyte.gz")


def scores(net, images):
    blob = net.inputs[0]
    net.blobs[blob].reshape(1000, 1, 28, 28)
    net.reshape()
    return net.forward_all(**{blob: images})[net.outputs[0]].reshape(len(images), -1)


def test_hwgq_perceptron(mnist):
    images, labels = mnist
    folder = SHARED / "models" / "hwgq-sfc-w1a2-mnist"
    net = caffe.Net(str(folder / "sfc-w1a2.prototxt"), str(folder / "sfc-w1a2.caffemodel"), caffe.TEST)
    wrong = scores(net, images.astype(np.float32)).argmax(1) != labels
    assert wrong.sum() == 357
    assert wrong[:1000].sum() == 33


def test_lenet_of_2014(mnist):
    images, labels = mnist
    folder = SHARED / "models" / "lenet-2014"
    weights = folder / "lenet_iter_10000.caffemodel"
    net = caffe.Net(str(folder / "lenet.prototxt"), caffe.TEST, weights=str(weights))
    prob = scores(net, images.astype(np.float32) / 256).astype(np.float64)
    assert (prob.argmax(1) == labels).mean() == 0.9905
    loss = -np.log(prob[np.arange(len(labels)), labels]).mean()
    assert loss == pytest.approx(0.0291821, abs=2e-6)
