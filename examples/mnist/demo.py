#!/usr/bin/env python3
"""The whole way of a low-bit network: data, training, test, conversion for deployment, classification.

Trains LeNet-HWGQ, 1-bit weights and 2-bit activations, on the handwritten digits that come with scikit-learn,
or on MNIST where MNIST_DIR (or data/mnist) holds its idx files. What it makes goes into build/demo. Each step
is a command that works just so in a shell, or a few lines of Python.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
from google.protobuf import text_format

import caffe
from caffe.cli.databases import write_database
from caffe.proto import caffe_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

import digits  # noqa: E402  (beside the examples' folders)

EXAMPLE = ROOT / "examples/mnist/lenet-hwgq-3ne"
CAFFE = shutil.which("caffe", path=os.path.dirname(sys.executable)) or "caffe"


def say(text):
    print(f"\n== {text}", flush=True)


def run(*words, log):
    """Runs a caffe command in the folder of `log`; prints what tells how well it does, logs everything."""
    print("$ caffe", shlex.join(words), flush=True)
    lines = []
    command = subprocess.Popen(
        [CAFFE, *words], cwd=log.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with command, log.open("w") as file:
        for line in command.stdout:
            lines.append(line.rstrip("\n"))
            file.write(line)
            if re.search(r"Testing net|Test net output", line):
                print("   ", re.sub(r"^.*?\] +", "", lines[-1]), flush=True)
    if command.returncode != 0:
        sys.exit("\n".join([*lines[-5:], f"caffe {words[0]} failed; its whole log is {log}"]))
    return lines


def largest_divisor(number, limit):
    return max(size for size in range(1, limit + 1) if number % size == 0)


def write_definitions(work, training_count, test_count, iterations):
    """The example's net and solver, for this data and a short training on the CPU."""
    net = text_format.Parse((EXAMPLE / "train_val.prototxt").read_text(), caffe_pb2.NetParameter())
    training_data, test_data = (layer.data_param for layer in net.layer[:2])
    training_data.source, test_data.source = "train_lmdb", "test_lmdb"
    # Whole batches, so that each test image counts once.
    test_data.batch_size = largest_divisor(test_count, limit=100)
    (work / "train_val.prototxt").write_text(text_format.MessageToString(net))

    solver = text_format.Parse((EXAMPLE / "solver.prototxt").read_text(), caffe_pb2.SolverParameter())
    solver.test_iter[:] = [test_count // test_data.batch_size]
    solver.max_iter = iterations
    solver.stepsize = max(iterations // 2, 1)
    solver.test_interval = max(iterations // 4, 1)
    solver.snapshot = iterations
    solver.random_seed = 1
    (work / "solver.prototxt").write_text(text_format.MessageToString(solver))
    return solver.test_iter[0]


def accuracy_of(log_lines):
    """The accuracy that `caffe test` reports for the whole test set, its last such line."""
    values = [match[1] for line in log_lines if (match := re.search(r"\] accuracy = (\S+)", line))]
    return float(values[-1])


def outputs(model, weights, images):
    """The class probabilities (items, 10) of all images, with a deploy net."""
    net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    scaled = images[:, None].astype(np.float32) / 256
    (name,) = net.outputs
    return net.forward_all(data=scaled)[name].reshape(len(images), -1)


def picture(image):
    """A digit in characters."""
    shades = " .:-=+*#%@"
    rows = image.reshape(14, 2, 14, 2).mean((1, 3)).astype(int)
    return ["".join(shades[value * len(shades) // 256] * 2 for value in row) for row in rows]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=2000, help="training iterations (2000)")
    parser.add_argument(
        "--work", type=pathlib.Path, default=ROOT / "build/demo", help="folder for the results"
    )
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    caffe.init_log(2)

    name, (train_images, train_labels), (test_images, test_labels) = digits.load()
    say(f"Data: {name}, {len(train_images):,} images to train with and {len(test_images):,} to test")
    write_database(train_images, train_labels, work / "train_lmdb")
    write_database(test_images, test_labels, work / "test_lmdb")
    test_batches = write_definitions(work, len(train_images), len(test_images), arguments.iterations)

    say(f"Training LeNet-HWGQ for {arguments.iterations:,} iterations, in {work}")
    run("train", "-solver", "solver.prototxt", "-cpu", log=work / "train.log")
    weights = f"lenet-hwgq_iter_{arguments.iterations}.caffemodel"

    say("Testing")
    tested = run(
        *("test", "-model", "train_val.prototxt", "-weights", weights, "-iterations", str(test_batches)),
        log=work / "test.log",
    )

    say("Converting for deployment")
    run(
        *("binarize", "-model", "train_val.prototxt", "-weights", weights, "-out", "deploy"),
        log=work / "binarize.log",
    )
    deploy = work / "deploy"
    binary_layers = outputs(deploy / "deploy.prototxt", deploy / weights, test_images)
    bw_weights = weights.replace(".caffemodel", "_BW.caffemodel")
    binarized = outputs(deploy / "deploy_bw.prototxt", deploy / bw_weights, test_images)
    difference = float(np.abs(binary_layers - binarized).max())
    print(
        f"deploy.prototxt and deploy_bw.prototxt differ by at most {difference:.1e} in any class probability"
    )

    say("Classifying images of the test set with deploy_bw.prototxt")
    predicted = binarized.argmax(1)
    first = [int(np.flatnonzero(test_labels == digit)[0]) for digit in (2, 5, 8)]
    for rows in zip(*(picture(test_images[item]) for item in first), strict=True):
        print("   ".join(rows))
    for item in first:
        sure = binarized[item, predicted[item]]
        print(f"image {item}: a {predicted[item]} with probability {sure:.3f} (labelled {test_labels[item]})")

    say(f"Accuracy on the {len(test_images):,} test images of {name}")
    print(f"caffe test:              {accuracy_of(tested):.4f}")
    print(f"deploy.prototxt:         {np.mean(binary_layers.argmax(1) == test_labels):.4f}")
    print(f"deploy_bw.prototxt:      {np.mean(predicted == test_labels):.4f}")


if __name__ == "__main__":
    main()
