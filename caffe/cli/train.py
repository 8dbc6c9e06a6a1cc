"""caffe train: trains a net, from scratch, from a snapshot or from another net's weights."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
from collections.abc import Sequence

from .. import _caffe
from ..proto import caffe_pb2
from . import flags, processes, train_display


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "train",
        "Trains the net of a solver. Started by mpirun, the processes train together.",
        [
            "solver",
            "snapshot",
            "weights",
            "gpu",
            "cpu",
            "threads",
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
    parser.add_switch("mpi", "train with the processes that a launcher started, where that does not show")
    options = flags.parse_only(parser, arguments, required=["solver"])
    if options.snapshot and options.resume:
        parser.error("-resume and -snapshot say the same: give one of them")
    if options.resume != "auto":
        options.snapshot = options.snapshot or options.resume
    if options.snapshot and options.weights:
        parser.error("give -snapshot to resume training or -weights to finetune, but not both")
    with processes.together(parser.prog, options.mpi) as together:
        if together is None:
            flags.apply(parser, options)
            _train(options)
        else:
            # The others keep no log.
            together.do(lambda: flags.apply(parser, options, logs=together.is_root))
            _train_together(options, together)
    return 0


def _definition(options: argparse.Namespace) -> caffe_pb2.SolverParameter:
    """The solver's definition, changed as the flags say."""
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
    return param


def _train(options: argparse.Namespace) -> None:
    param = _definition(options)
    with _Surroundings(options) as surroundings:
        gpus = _choose_mode(param, options)
        if len(gpus) > 1 and not _caffe.has_nccl():
            raise ValueError(
                f"-gpu {options.gpu}: training on several GPUs needs NCCL, which Caffe was built without; "
                "train on one"
            )
        # The data layers share the records by it.
        _caffe.set_solver_count(max(len(gpus), 1))
        if len(gpus) > 1 and param.random_seed < 0:
            param.random_seed = _new_seed()
        solver = _make_solver(param, options)
        surroundings.watch(solver, param)
        if len(gpus) > 1:
            _caffe.solve_on_gpus(solver, gpus, options.snapshot)
        else:
            solver.solve()
        _caffe.log("Optimization Done.")


def _train_together(options: argparse.Namespace, together: processes.Together) -> None:
    group = together.group
    seed = int(group.broadcast(str(_new_seed()).encode()))

    def prepare() -> caffe_pb2.SolverParameter:
        if not together.is_root:
            options.resume = options.snapshot = None  # They get what the root has restored.
        param = _definition(options)
        if param.random_seed < 0:
            param.random_seed = seed
        if not together.is_root:
            param = caffe_pb2.SolverParameter.FromString(
                _caffe.definition_of_others(param.SerializeToString())
            )
        _choose_mode(param, options, group)
        return param

    param = together.do(prepare)
    with _Surroundings(options, together) as surroundings:
        solver = together.do(lambda: _make_solver(param, options))
        hosts = len(set(group.gather(group.host.encode())))
        _caffe.log(
            f"{group.size} processes on {hosts} machine{'s' if hosts > 1 else ''} train together; "
            f"this one computes with {_caffe.parallel_threads()} threads"
        )
        together.end_for(_caffe.training_differs(solver, group))
        surroundings.watch(solver, param)
        _caffe.solve_in_processes(solver, group)
        _caffe.log("Optimization Done.")


def _new_seed() -> int:
    """Solvers that train together need a common one, for the order in which they share the data."""
    return random.SystemRandom().randrange(1 << 30)


def _make_solver(param: caffe_pb2.SolverParameter, options: argparse.Namespace) -> _caffe.Solver:
    solver = _caffe.get_solver_from_bytes(param.SerializeToString())
    # Nobody looks at blobs between two passes here.
    for net in (solver.net, *solver.test_nets):
        net.reuses_memory = True
    if options.snapshot:
        _caffe.log(f"Resuming from {options.snapshot}")
        solver.restore(options.snapshot)
    return solver


class _Surroundings:
    """What goes on beside a training, in a with block: signals, and on a terminal the display."""

    def __init__(self, options: argparse.Namespace, together: processes.Together | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self._effects = _caffe.SignalEffects(
            options.sigint_effect, options.sighup_effect, under_mpirun=together is not None
        )
        shows = train_display.wanted() and not options.log and (together is None or together.is_root)
        self._display = train_display.TrainingDisplay(options.solver) if shows else None

    def __enter__(self) -> _Surroundings:
        self._stack.enter_context(self._effects)
        if self._display:
            self._stack.enter_context(self._display)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def watch(self, solver: _caffe.Solver, param: caffe_pb2.SolverParameter) -> None:
        """Before the training starts."""
        self._effects.attach(solver)
        if self._display:
            self._display.watch(solver, param)
        _caffe.log("Starting Optimization")


def _choose_mode(
    param: caffe_pb2.SolverParameter,
    options: argparse.Namespace,
    group: _caffe.ProcessGroup | None = None,
) -> list[int]:
    """Sets mode and device as the flags say, or else the solver, which gets both; returns the GPUs.

    The processes of a group get one GPU each, in the order of their ranks on a machine."""
    gpus = _gpus(param, options, group)
    if not gpus:
        param.solver_mode = caffe_pb2.SolverParameter.CPU
        flags.use_cpu()
        return gpus
    if group:
        gpus = [_gpu_of(group, gpus)]
    _caffe.log(f"Using GPUs {', '.join(map(str, gpus))}")
    for gpu in gpus:
        _caffe.log(f"GPU {gpu}: {_caffe.device_name(gpu)}")
    param.solver_mode = caffe_pb2.SolverParameter.GPU
    param.device_id = gpus[0]
    _caffe.set_device(gpus[0])
    _caffe.set_mode_gpu()
    return gpus


def _gpu_of(group: _caffe.ProcessGroup, gpus: list[int]) -> int:
    if not _caffe.has_nccl():
        raise ValueError(
            "training on GPUs in several processes needs NCCL, which Caffe was built without; train with -cpu"
        )
    # A launcher may show each process its own GPU only.
    if len(gpus) == 1 and "CUDA_VISIBLE_DEVICES" in os.environ:
        return gpus[0]
    if group.local_rank >= len(gpus):
        raise ValueError(
            f"{group.local_size} processes run on this machine, which has {len(gpus)} GPUs to use: each "
            "needs one"
        )
    return gpus[group.local_rank]


def _gpus(
    param: caffe_pb2.SolverParameter, options: argparse.Namespace, group: _caffe.ProcessGroup | None
) -> list[int]:
    # solver_mode is GPU where a solver does not say it, but only one that says it insists.
    insists = param.HasField("solver_mode") and param.solver_mode == caffe_pb2.SolverParameter.GPU
    if options.gpu or options.cpu or not insists:
        return flags.gpus(options)
    named = "all" if group else str(param.device_id)
    return flags.existing_gpus(named, f"solver_mode: GPU in {options.solver}")
