#!/usr/bin/env python3
"""Size and speed of exported ONNX models in ONNX Runtime on the CPU: floats, and codes and signs in bytes.

    .venv/bin/python -m pip install onnx onnxruntime
    .venv/bin/python benchmarks/onnx_forms.py

Nets have random weights and batch normalization that fits random images. Rounds of the forms follow one
another, so that a busy moment of the machine hits both alike; the table shows medians of a pass, on one
thread unless --threads says otherwise. "in integers" says how many binary layers ONNX Runtime computes by its
kernels for integers. Both forms find the same codes, save for sums of floats that are rounded to the other
side of a threshold, after which the whole rest of a net with random weights differs; the last column is the
share of outputs which are within 0.1 % of the largest in both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from peers.from_caffe import random_images, read_net, write_random_weights

import caffe
from caffe.cli.table import size, table
from caffe.export import to_onnx, write_onnx

ROOT = Path(__file__).resolve().parents[1]
NETS = {
    "CIFAR-VGG": "examples/cifar10/vgg-hwgq-3ne-clip-poly/deploy.prototxt",
    "AlexNet": "models/alexnet_hwgq/deploy.prototxt",
    "ResNet-18": "models/resnet18_hwgq/deploy.prototxt",
}
FORMS = ("float", "qdq")
INTEGER_OPERATORS = {"MatMulIntegerToFloat", "QGemm", "QLinearConv"}


def session(path: Path, threads: int) -> tuple[onnxruntime.InferenceSession, int]:
    """A session, and how many of its operators multiply integers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.optimized_model_filepath = str(path.with_suffix(".optimized"))
    result = onnxruntime.InferenceSession(str(path), options)
    nodes = onnx.load(options.optimized_model_filepath).graph.node
    return result, sum(node.op_type in INTEGER_OPERATORS for node in nodes)


def measure(name: str, folder: Path, options: argparse.Namespace) -> list[list[str]]:
    """A row for each form of a net."""
    deploy = read_net(ROOT / NETS[name])
    weights = write_random_weights(deploy, folder)
    sessions, sizes, integers = {}, {}, {}
    for form in FORMS:
        path = folder / f"{form}.onnx"
        sizes[form] = write_onnx(to_onnx(ROOT / NETS[name], weights, hwgq=form), path)
        sessions[form], integers[form] = session(path, options.threads)
    (value,) = sessions["float"].get_inputs()
    images = random_images((options.batch, *value.shape[1:]), seed=3)
    times: dict[str, list[float]] = {form: [] for form in FORMS}
    outputs = {}
    for _ in range(options.rounds + 1):
        for form in FORMS:
            begin = time.perf_counter()
            (outputs[form],) = sessions[form].run(None, {value.name: images})
            times[form].append(time.perf_counter() - begin)
    difference = np.abs(outputs["qdq"] - outputs["float"]) <= 1e-3 * np.abs(outputs["float"]).max()
    return [
        [
            name,
            form,
            size(sizes[form]),
            f"{1000 * statistics.median(times[form][1:]) / options.batch:.2f}",
            str(integers[form]),
            f"{100 * difference.mean():.1f} %",
        ]
        for form in FORMS
    ]


def main() -> None:
    """Measures the nets and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="*", default=list(NETS), choices=list(NETS))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    caffe.init_log(2)
    rows = []
    for name in options.nets:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, Path(folder), options)
    print(table(["net", "form", "file", "ms/image", "in integers", "outputs alike"], rows, "llrrrr"))


if __name__ == "__main__":
    main()
