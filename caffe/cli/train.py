"""caffe train: trains a net, from scratch, from a snapshot or from another net's weights."""

from __future__ import annotations

import argparse
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
    parser.add_argument(
        "-resume",
        "--resume",
        metavar="FILE|auto",
        help="the same as -snapshot; auto is the newest whole snapshot, or the start where there is none",
    )
    flags.add_check_numerics(parser)
    parser.add_switch("log", "write Caffe's log lines on a terminal, too, in place of the display")
    options = flags.parse(parser, arguments, required=["solver"])
    if options.snapshot and options.resume:
        parser.error("-resume and -snapshot say the same: give one of them")
    if options.resume != "auto":
        options.snapshot = options.snapshot or options.resume
    if options.snapshot and options.weights:
        parser.error("give -snapshot to resume training or -weights to finetune, but not both")

    param = caffe_pb2.SolverParameter.FromString(_caffe.read_solver_text(options.solver))
    if options.resume == "auto":
        options.snapshot = _caffe.newest_snapshot(param.snapshot_prefix) or None
    if options.check_numerics:
        param.check_numerics = True
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
        gpus = _choose_mode(param, options)
        if len(gpus) > 1 and not _caffe.has_nccl():
            raise ValueError(
                f"-gpu {options.gpu}: training on several GPUs needs NCCL, which Caffe was built without; "
                "train on one"
            )
        # The data layers share the records by it.
        _caffe.set_solver_count(max(len(gpus), 1))
        solver = _caffe.get_solver_from_bytes(param.SerializeToString())
        # Nobody looks at blobs between two passes here.
        for net in (solver.net, *solver.test_nets):
            net.reuses_memory = True
        effects.attach(solver)
        if options.snapshot:
            _caffe.log(f"Resuming from {options.snapshot}")
            solver.restore(options.snapshot)
        if display:
            display.watch(solver, param)
        _caffe.log("Starting Optimization")
        if len(gpus) > 1:
            _caffe.solve_on_gpus(solver, gpus, options.snapshot)
        else:
            solver.solve()
        _caffe.log("Optimization Done.")
    return 0


def _choose_mode(param: caffe_pb2.SolverParameter, options: argparse.Namespace) -> list[int]:
    """Sets mode and device as the flags say, or else the solver, which gets both; returns the GPUs."""
    gpus = _gpus(param, options)
    if not gpus:
        param.solver_mode = caffe_pb2.SolverParameter.CPU
        flags.use_cpu()
        return gpus
    _caffe.log(f"Using GPUs {', '.join(map(str, gpus))}")
    for gpu in gpus:
        _caffe.log(f"GPU {gpu}: {_caffe.device_name(gpu)}")
    param.solver_mode = caffe_pb2.SolverParameter.GPU
    param.device_id = gpus[0]
    _caffe.set_device(gpus[0])
    _caffe.set_mode_gpu()
    return gpus


def _gpus(param: caffe_pb2.SolverParameter, options: argparse.Namespace) -> list[int]:
    # solver_mode is GPU where a solver does not say it, but only one that says it insists.
    insists = param.HasField("solver_mode") and param.solver_mode == caffe_pb2.SolverParameter.GPU
    if options.gpu or options.cpu or not insists:
        return flags.gpus(options)
    return flags.existing_gpus(str(param.device_id), f"solver_mode: GPU in {options.solver}")
