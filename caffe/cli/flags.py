"""Flags of the subcommands, and what they have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from .. import _caffe
from ..proto import caffe_pb2

_EFFECTS = ["stop", "snapshot", "none"]

_FLAGS: dict[str, dict] = {
    "solver": dict(metavar="FILE", help="the solver's definition"),
    "model": dict(metavar="FILE", help="the net's definition"),
    "weights": dict(metavar="FILE[,FILE]", help="parameters to start from (.caffemodel or .h5)"),
    "snapshot": dict(metavar="FILE", help="state to resume from (.solverstate or .h5)"),
    "gpu": dict(metavar="ID[,ID]|all", help="GPUs to compute on"),
    "cpu": dict(action="store_true", help="compute on the CPU, whatever the solver says"),
    "iterations": dict(metavar="N", type=int, default=50, help="number of batches (50)"),
    "phase": dict(metavar="TRAIN|TEST", help="phase of the net"),
    "level": dict(metavar="N", type=int, default=0, help="level of the net's state (0)"),
    "stage": dict(metavar="NAME[,NAME]", help="stages of the net's state"),
    "sigint_effect": dict(choices=_EFFECTS, default="stop", help="what Ctrl-C does (stop)"),
    "sighup_effect": dict(choices=_EFFECTS, default="snapshot", help="what SIGHUP does (snapshot)"),
}

# Flags of Caffe's logging library; old scripts pass them.
_LOGGING_FLAGS = ("logtostderr", "alsologtostderr", "log_dir", "stderrthreshold", "v")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} ({self.prog} --help shows the flags)", file=sys.stderr)
        sys.exit(1)


def parser(command: str, description: str, flags: Iterable[str], example: str) -> argparse.ArgumentParser:
    """A parser for a subcommand that shows `flags`; Caffe's others are accepted, as its tool accepts them."""
    result = _Parser(
        prog=f"caffe {command}",
        description=description,
        epilog=f"example: {example}",
        allow_abbrev=False,
    )
    shown = set(flags)
    for name, options in _FLAGS.items():
        options = dict(options)
        if name not in shown:
            options["help"] = argparse.SUPPRESS
        result.add_argument(f"-{name}", f"--{name}", **options)
    result.add_argument("-minloglevel", "--minloglevel", type=int, help=argparse.SUPPRESS)
    for name in _LOGGING_FLAGS:
        result.add_argument(f"-{name}", f"--{name}", nargs="?", help=argparse.SUPPRESS)
    return result


def parse(
    argument_parser: argparse.ArgumentParser, arguments: Sequence[str], required: Iterable[str]
) -> argparse.Namespace:
    """Parses, insists on the required flags, and applies those that every command has."""
    options = argument_parser.parse_args(arguments)
    for name in required:
        if not getattr(options, name):
            argument_parser.error(f"needs -{name} {_FLAGS[name]['metavar']}")
    if options.minloglevel is not None:
        _caffe.init_log(options.minloglevel)
    return options


def use_cpu(options: argparse.Namespace) -> None:
    """Sets the mode. Raises caffe.Error where GPUs are asked for that are not there."""
    if options.gpu and not options.cpu:
        _caffe.set_mode_gpu()
    _caffe.log("Use CPU.")
    _caffe.set_mode_cpu()


def state(options: argparse.Namespace) -> tuple[int, list[str]]:
    """Level and stages."""
    return options.level, comma_list(options.stage)


def phase(options: argparse.Namespace, default: int) -> int:
    """The phase asked for. Raises ValueError for an unknown one."""
    if not options.phase:
        return default
    if options.phase not in caffe_pb2.Phase.keys():
        raise ValueError(f"-phase must be TRAIN or TEST, not {options.phase}")
    return caffe_pb2.Phase.Value(options.phase)


def comma_list(value: str | None) -> list[str]:
    """The parts of a list given as one flag."""
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def number(value: float) -> str:
    """A number as Caffe's log has it: six significant digits."""
    return f"{value:g}"
