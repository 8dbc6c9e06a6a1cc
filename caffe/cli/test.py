"""caffe test: scores a net on its test data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _caffe
from ..hwgq.evaluation import evaluation_of
from ..proto import caffe_pb2
from ..pycaffe import Net
from . import flags


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "test",
        "Runs a net on batches of its test data and prints the mean of each output.",
        ["model", "weights", "iterations", "gpu", "cpu", "threads", "phase", "level", "stage", "plugin"],
        "caffe test -model train_val.prototxt -weights net.caffemodel -iterations 100",
    )
    flags.add_check_numerics(parser)
    options = flags.parse(parser, arguments, required=["model"])
    if options.iterations < 1:
        parser.error("-iterations must be at least 1")
    flags.use_device(options)
    net, forward = _scored(parser, options)
    net.check_numerics = options.check_numerics

    _caffe.log(f"Running for {options.iterations} iterations.")
    sums = {name: np.zeros(net.blobs[name].count) for name in net.outputs}
    total_loss = 0.0
    for iteration in range(options.iterations):
        total_loss += forward()
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


def _scored(parser: flags.Parser, options: Any) -> tuple[Net, Callable[[], float]]:
    """The net whose outputs are the scores, and what runs its next batch and returns the loss."""
    if flags.model_is_packed(parser, options):
        evaluation = evaluation_of(options.model, **flags.packed_options(options))
        return evaluation.net, evaluation.forward
    weights = flags.comma_list(options.weights)
    if len(weights) == 1 and flags.is_packed(weights[0]):
        evaluation = evaluation_of(weights[0], options.model, **flags.packed_options(options))
        return evaluation.net, evaluation.forward
    level, stages = flags.state(options)
    net = Net(options.model, flags.phase(options, caffe_pb2.TEST), level=level, stages=stages)
    for file in weights:
        net.copy_from(file)
    return net, lambda: net._forward(0, len(net.layers) - 1)
