#!/usr/bin/env python3
"""Finetuning: the weights of a trained net as the beginning of another task.

The net in ../classification was trained on MNIST. The digits that come with scikit-learn look different: it
gets six in ten right. Thirty of them adapt it: its last layer gets a new name, so that it starts anew, and
the layers before it keep what they have learned, with lr_mult: 0. For comparison a net of the same shape
learns all of it from the thirty images.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
from google.protobuf import text_format

import caffe
from caffe.cli.databases import write_database
from caffe.proto import caffe_pb2

TRAINED = pathlib.Path(__file__).resolve().parents[1] / "classification"
sys.path.insert(0, str(TRAINED.parent))

import digits  # noqa: E402  (beside the examples' folders)

#: To learn from.
IMAGES = 30


def adapted(work, keep_features):
    """The trained net's definition with a new last layer and other data."""
    net = text_format.Parse((TRAINED / "train_val.prototxt").read_text(), caffe_pb2.NetParameter())
    for layer in net.layer:
        if layer.type == "Data":
            phase = caffe_pb2.Phase.Name(layer.include[0].phase).lower()
            layer.data_param.source = str(work / f"{phase}_lmdb")
            layer.data_param.batch_size = 50 if phase == "train" else 60
        if layer.name == "score":
            layer.name = "score-digits"  # weights are copied by name
        elif keep_features and layer.type == "BinaryConvolution":
            layer.param.add(lr_mult=0)
        elif keep_features and layer.type == "BatchNorm":
            layer.batch_norm_param.use_global_stats = True
    return net


def train(work, iterations, weights=None):
    """The solver after training."""
    definition = adapted(work, keep_features=weights is not None)
    (work / "net.prototxt").write_text(text_format.MessageToString(definition))
    (work / "solver.prototxt").write_text(
        f"net: '{work}/net.prototxt' test_iter: 6 test_interval: 1000000 random_seed: 1\n"
        "base_lr: 0.01 lr_policy: 'poly' power: 1 momentum: 0.9 weight_decay: 0.0005 "
        f"max_iter: {iterations}"
    )
    solver = caffe.SGDSolver(str(work / "solver.prototxt"))
    if weights:
        solver.net.copy_from(str(weights))
    solver.step(iterations)
    return solver


def accuracy(solver, batches=6):
    net = solver.test_nets[0]
    net.share_with(solver.net)
    return np.mean([net.forward()["accuracy"] for _ in range(batches)])


def as_it_is(images, labels):
    """The accuracy of the trained net without any training on these digits."""
    weights = str(TRAINED / "digits-hwgq.caffemodel")
    net = caffe.Net(str(TRAINED / "deploy.prototxt"), caffe.TEST, weights=weights)
    prob = net.forward_all(data=images[:, None].astype(np.float32) / 256)["prob"]
    return np.mean(prob.argmax(1) == labels)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=100, help="training iterations of each (100)")
    arguments = parser.parse_args()
    caffe.init_log(2)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (images, labels), test = digits.digits()
        write_database(images[:IMAGES], labels[:IMAGES], work / "train_lmdb")
        write_database(*test, work / "test_lmdb")
        scratch = accuracy(train(work, arguments.iterations))
        finetuned = accuracy(train(work, arguments.iterations, TRAINED / "digits-hwgq.caffemodel"))
    print(f"360 of scikit-learn's digits, after {arguments.iterations} iterations on {IMAGES} others:")
    print(f"MNIST's net as it is: {as_it_is(*test):.4f}")
    print(f"learned from scratch: {scratch:.4f}")
    print(f"finetuned:            {finetuned:.4f}")


if __name__ == "__main__":
    main()
