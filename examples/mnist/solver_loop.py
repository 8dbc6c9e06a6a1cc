#!/usr/bin/env python3
"""Training LeNet by hand: a net written in Python, a solver, and a loop that looks at what happens.

`caffe train` does all this by itself. A loop of one's own can look at any blob or parameter at any iteration,
and decide what to do next.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.cli.databases import write_database

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import digits  # noqa: E402  (beside the examples' folders)


def lenet(database, batch_size):
    """LeNet over a database, as Caffe has had it since 2014."""
    n = caffe.NetSpec()
    n.data, n.label = L.Data(
        source=str(database),
        backend=P.Data.LMDB,
        batch_size=batch_size,
        transform_param=dict(scale=1 / 256),
        ntop=2,
    )
    xavier = dict(type="xavier")
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=xavier)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, weight_filler=xavier)
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.ip1 = L.InnerProduct(n.pool2, num_output=500, weight_filler=xavier)
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=xavier)
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n.to_proto()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=400, help="training iterations (400)")
    arguments = parser.parse_args()
    caffe.init_log(2)
    caffe.set_mode_cpu()

    name, train, test = digits.load()
    print(f"{name}: {len(train[1]):,} images to train with, {len(test[1]):,} to test")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        write_database(*train, work / "train_lmdb")
        write_database(*test, work / "test_lmdb")
        (work / "train.prototxt").write_text(str(lenet(work / "train_lmdb", 64)))
        (work / "test.prototxt").write_text(str(lenet(work / "test_lmdb", 60)))
        (work / "solver.prototxt").write_text(
            f"train_net: '{work}/train.prototxt' test_net: '{work}/test.prototxt' test_iter: 6\n"
            "test_interval: 1000000 base_lr: 0.01 momentum: 0.9 weight_decay: 0.0005\n"
            "lr_policy: 'inv' gamma: 0.0001 power: 0.75 random_seed: 1"
        )
        solver = caffe.SGDSolver(str(work / "solver.prototxt"))

        print("\nBlobs:", {name: tuple(blob.shape) for name, blob in solver.net.blobs.items()})
        print("Parameters:", {name: tuple(blobs[0].shape) for name, blobs in solver.net.params.items()})

        # One pass forward and backward shows that gradients reach the first layer.
        solver.net.forward()
        solver.net.backward()
        print(
            f"First loss {solver.net.blobs['loss'].data:.3f} (guessing gives {np.log(10):.3f}), gradient of"
        )
        print(f"conv1 {np.abs(solver.net.params['conv1'][0].diff).mean():.2e} on average\n")

        losses = np.zeros(arguments.iterations)
        for iteration in range(arguments.iterations):
            solver.step(1)  # SGD by Caffe
            losses[iteration] = solver.net.blobs["loss"].data
            if (iteration + 1) % max(arguments.iterations // 4, 1) == 0:
                print(
                    f"iteration {iteration + 1}: loss {losses[: iteration + 1][-25:].mean():.3f}, "
                    f"test accuracy {accuracy(solver.test_nets[0]):.4f}"
                )


def accuracy(net, batches=6):
    """The share of test images whose largest score is the label's."""
    right = count = 0
    for _ in range(batches):
        net.forward()
        right += int((net.blobs["score"].data.argmax(1) == net.blobs["label"].data).sum())
        count += net.blobs["label"].count
    return right / count


if __name__ == "__main__":
    main()
