"""caffe train: trains a net, from scratch, from a snapshot or from another net's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from .. import _caffe
from ..proto import caffe_pb2
from . import flags, train_display


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "train",
        "Trains the net of a solver.",
        [
            "solver",
            "snapshot",
            "weights",
            "gpu",
            "cpu",
            "level",
            "stage",
            "sigint_effect",
            "sighup_effect",
            "plugin",
        ],
        "caffe train -solver examples/mnist/lenet-hwgq-3ne/solver.prototxt -cpu",
    )
    parser.add_switch("log", "write Caffe's log lines on a terminal, too, in place of the display")
    options = flags.parse(parser, arguments, required=["solver"])
    if options.snapshot and options.weights:
        parser.error("give -snapshot to resume training or -weights to finetune, but not both")

    param = caffe_pb2.SolverParameter.FromString(_caffe.read_solver_text(options.solver))
    level, stages = flags.state(options)
    param.train_state.level = level
    param.train_state.stage.extend(stages)
    if options.weights:
        del param.weights[:]
        param.weights.extend(flags.comma_list(options.weights))

    with contextlib.ExitStack() as stack:
        effects = stack.enter_context(_caffe.SignalEffects(options.sigint_effect, options.sighup_effect))
        display = None
        if train_display.wanted() and not options.log:
            display = stack.enter_context(train_display.TrainingDisplay(options.solver))
        _choose_mode(param, options)
        solver = _caffe.get_solver_from_bytes(param.SerializeToString())
        effects.attach(solver)
        if options.snapshot:
            _caffe.log(f"Resuming from {options.snapshot}")
            solver.restore(options.snapshot)
        if display:
            display.watch(solver, param)
        _caffe.log("Starting Optimization")
        solver.solve()
        _caffe.log("Optimization Done.")
    return 0


def _choose_mode(param: caffe_pb2.SolverParameter, options) -> None:
    # A solver that says nothing takes what there is.
    said = param.HasField("solver_mode") and param.solver_mode == caffe_pb2.SolverParameter.GPU
    wants_gpu = options.gpu or said
    if wants_gpu and not options.cpu:
        where = f"-gpu {options.gpu}" if options.gpu else f"solver_mode: GPU in {options.solver}"
        try:
            _caffe.set_mode_gpu()
        except _caffe.Error as error:
            raise ValueError(
                f"{where} asks for a GPU, and there is none to use: train on the CPU with -cpu or "
                "solver_mode: CPU"
            ) from error
    param.solver_mode = caffe_pb2.SolverParameter.CPU
    _caffe.log("Use CPU.")
    _caffe.set_mode_cpu()
