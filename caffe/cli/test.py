"""caffe test: scores a net on its test data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import _caffe
from ..proto import caffe_pb2
from ..pycaffe import Net
from . import flags


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "test",
        "Runs a net on batches of its test data and prints the mean of each output.",
        ["model", "weights", "iterations", "gpu", "cpu", "phase", "level", "stage", "plugin"],
        "caffe test -model train_val.prototxt -weights net.caffemodel -iterations 100",
    )
    options = flags.parse(parser, arguments, required=["model", "weights"])
    if options.iterations < 1:
        parser.error("-iterations must be at least 1")
    flags.use_cpu(options)
    level, stages = flags.state(options)
    net = Net(options.model, flags.phase(options, caffe_pb2.TEST), level=level, stages=stages)
    for weights in flags.comma_list(options.weights):
        net.copy_from(weights)

    _caffe.log(f"Running for {options.iterations} iterations.")
    sums = {name: np.zeros(net.blobs[name].count) for name in net.outputs}
    total_loss = 0.0
    for iteration in range(options.iterations):
        total_loss += net._forward(0, len(net.layers) - 1)
        for name, scores in sums.items():
            values = net.blobs[name].data.ravel()
            scores += values
            for value in values:
                _caffe.log(f"Batch {iteration}, {name} = {flags.number(value)}")
    _caffe.log(f"Loss: {flags.number(total_loss / options.iterations)}")
    for name, scores in sums.items():
        weight = net.blob_loss_weights[name]
        for value in scores / options.iterations:
            loss = f" (* {flags.number(weight)} = {flags.number(weight * value)} loss)" if weight else ""
            _caffe.log(f"{name} = {flags.number(value)}{loss}")
    return 0
