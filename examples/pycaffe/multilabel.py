#!/usr/bin/env python3
"""Several labels for an image: a data layer in Python, and a loss for each label.

The net sees two digits side by side and says of each of the ten digits whether it is there.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

import caffe
from caffe import layers as L
from caffe import params as P

HERE = pathlib.Path(__file__).resolve().parent
# Where a net finds the Python layers that it names.
sys.path[:0] = [str(HERE), str(HERE.parent)]


def net(part, batch_size):
    n = caffe.NetSpec()
    settings = json.dumps(dict(part=part, batch_size=batch_size))
    n.data, n.label = L.Python(module="multilabel_layer", layer="TwoDigitsLayer", param_str=settings, ntop=2)
    xavier = dict(type="xavier")
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=16, weight_filler=xavier)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=32, weight_filler=xavier)
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.ip1 = L.InnerProduct(n.pool2, num_output=128, weight_filler=xavier)
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=xavier)
    n.loss = L.SigmoidCrossEntropyLoss(n.score, n.label)
    return n.to_proto()


def hamming_accuracy(test_net, batches=4):
    """The share of all labels that are right."""
    right = []
    for _ in range(batches):
        test_net.forward()
        right.append((test_net.blobs["score"].data > 0) == (test_net.blobs["label"].data > 0))
    return np.mean(right)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=400, help="training iterations (400)")
    arguments = parser.parse_args()
    caffe.init_log(2)
    with tempfile.TemporaryDirectory() as work:
        pathlib.Path(work, "train.prototxt").write_text(str(net("train", 64)))
        pathlib.Path(work, "test.prototxt").write_text(str(net("test", 90)))
        pathlib.Path(work, "solver.prototxt").write_text(
            f"train_net: '{work}/train.prototxt' test_net: '{work}/test.prototxt' test_iter: 1\n"
            "test_interval: 1000000 type: 'Adam' base_lr: 0.001 lr_policy: 'fixed' random_seed: 1"
        )
        solver = caffe.get_solver(str(pathlib.Path(work, "solver.prototxt")))
        # No digit at all is right for about four labels in five.
        print(f"before training: Hamming accuracy {hamming_accuracy(solver.test_nets[0]):.4f}")
        for _ in range(4):
            solver.step(arguments.iterations // 4)
            print(f"iteration {solver.iter}: Hamming accuracy {hamming_accuracy(solver.test_nets[0]):.4f}")
        scores = solver.test_nets[0].blobs["score"].data[0]
        truth = solver.test_nets[0].blobs["label"].data[0]
        print(f"one image: found {np.flatnonzero(scores > 0)}, there are {np.flatnonzero(truth)}")


if __name__ == "__main__":
    main()
