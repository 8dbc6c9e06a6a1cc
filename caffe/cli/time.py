"""caffe time: times a net layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import _caffe
from ..proto import caffe_pb2
from ..pycaffe import Net, Timer
from . import flags
from .table import size


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "time",
        "Times forward and backward passes of a net, in all and for each layer.",
        ["model", "iterations", "gpu", "cpu", "threads", "phase", "level", "stage", "plugin"],
        "caffe time -model train_val.prototxt -iterations 20",
    )
    options = flags.parse(parser, arguments, required=["model"])
    if options.iterations < 1:
        parser.error("-iterations must be at least 1")
    flags.use_device(options)
    level, stages = flags.state(options)
    net = Net(options.model, flags.phase(options, caffe_pb2.TRAIN), level=level, stages=stages)
    last = len(net.layers) - 1

    # Found before passes take any.
    memory = _memory(net, "GPU" if flags.gpus(options) else "CPU")

    # The first passes take memory and fill caches.
    _caffe.log("Performing Forward")
    _caffe.log(f"Initial loss: {flags.number(net._forward(0, last))}")
    _caffe.log("Performing Backward")
    net._backward(last, 0)

    _caffe.log("*** Benchmark begins ***")
    _caffe.log(f"Testing for {options.iterations} iterations.")
    timer = Timer()
    forward = [0.0] * (last + 1)
    backward = [0.0] * (last + 1)
    for iteration in range(options.iterations):
        before = sum(forward) + sum(backward)
        for i in range(last + 1):
            forward[i] += _milliseconds(timer, net._forward, i)
        for i in range(last, -1, -1):
            backward[i] += _milliseconds(timer, net._backward, i)
        elapsed = sum(forward) + sum(backward) - before
        _caffe.log(f"Iteration: {iteration + 1} forward-backward time: {flags.number(elapsed)} ms.")

    _caffe.log("Average time per layer: ")
    for i, name in enumerate(net._layer_names):
        _caffe.log(f"{name:>10}\tforward: {flags.number(forward[i] / options.iterations)} ms.")
        _caffe.log(f"{name:>10}\tbackward: {flags.number(backward[i] / options.iterations)} ms.")
    total = sum(forward) + sum(backward)
    _caffe.log(f"Average Forward pass: {flags.number(sum(forward) / options.iterations)} ms.")
    _caffe.log(f"Average Backward pass: {flags.number(sum(backward) / options.iterations)} ms.")
    _caffe.log(f"Average Forward-Backward: {flags.number(total / options.iterations)} ms.")
    _caffe.log(f"Total Time: {flags.number(total)} ms.")
    _caffe.log(memory)
    _caffe.log("*** Benchmark ends ***")
    return 0


def _milliseconds(timer: Timer, run_layers: Callable[[int, int], object], layer: int) -> float:
    timer.start()
    run_layers(layer, layer)
    timer.stop()
    return timer.ms


def _memory(net: Net, device: str) -> str:
    # Those of a Split are its bottom's.
    copies = {
        top for name, tops in net.top_names.items() if net.layer_dict[name].type == "Split" for top in tops
    }
    blobs = sum(blob.count for name, blob in net.blobs.items() if name not in copies)
    parameters = sum(blob.count for blobs in net.params.values() for blob in blobs)
    return (
        f"Memory on the {device}: {size(8 * parameters)} of parameters and their gradients; "
        f"{size(8 * blobs)} of blobs and theirs, or {size(net.pass_bytes())} where memory is reused, as in "
        "training."
    )
