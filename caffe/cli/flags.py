"""Flags of the subcommands, and what they have in common."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from .. import _caffe
from ..hwgq import packed_file
from ..proto import caffe_pb2

_EFFECTS = ["stop", "snapshot", "none"]

_FLAGS: dict[str, dict] = {
    "solver": dict(metavar="FILE", help="the solver's definition"),
    "model": dict(metavar="FILE", help="the net's definition, or a packed model where a trained net is read"),
    "weights": dict(metavar="FILE[,FILE]", help="parameters to start from (.caffemodel or .h5)"),
    "snapshot": dict(metavar="FILE", help="state to resume from (.solverstate or .h5)"),
    "gpu": dict(metavar="ID[,ID]|all", help="GPUs to compute on"),
    "cpu": dict(action="store_true", help="compute on the CPU, whatever the solver says"),
    "threads": dict(
        metavar="N", type=int, help="threads on the CPU (OMP_NUM_THREADS, else one for each processor)"
    ),
    "iterations": dict(metavar="N", type=int, default=50, help="number of batches (50)"),
    "phase": dict(metavar="TRAIN|TEST", help="phase of the net"),
    "level": dict(metavar="N", type=int, default=0, help="level of the net's state (0)"),
    "stage": dict(metavar="NAME[,NAME]", help="stages of the net's state"),
    "sigint_effect": dict(choices=_EFFECTS, default="stop", help="what Ctrl-C does (stop)"),
    "plugin": dict(
        metavar="FILE[,FILE]", action="append", help="shared libraries with layers of your own (repeatable)"
    ),
    "sighup_effect": dict(choices=_EFFECTS, default="snapshot", help="what SIGHUP does (snapshot)"),
}

# Flags of Caffe's logging library; old scripts pass them. What they would change is as they would have it.
_IGNORED_SWITCHES = ("logtostderr", "alsologtostderr", "colorlogtostderr")
_IGNORED_VALUES = ("stderrthreshold", "v", "vmodule", "logbuflevel", "logbufsecs")


# Arguments with which a command, in place of running, gives its parser away.
_DESCRIBE: list[str] = []


class _Described(Exception):
    """Carries a command's parser."""

    def __init__(self, parser: Parser):
        super().__init__()
        self.parser = parser


def described(command: types.ModuleType) -> Parser:
    """The parser of a command's or tool's module."""
    try:
        command.run(_DESCRIBE)
    except _Described as made:
        return made.parser
    raise TypeError(f"{command.__name__} parses no flags")


def did_you_mean(word: str, known: Iterable[str], before: str = "") -> str:
    """ "; did you mean ...?" for a word near one of the known ones, else nothing."""
    nearest = difflib.get_close_matches(word, list(dict.fromkeys(known)), n=1)
    return f"; did you mean {before}{nearest[0]}?" if nearest else ""


class Parser(argparse.ArgumentParser):
    """Takes flags as Caffe's tools do, and those of its logging library; what is wrong is one line."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, allow_abbrev=False, **options)
        self._switches = set()
        for name in _IGNORED_SWITCHES:
            self.add_switch(name, argparse.SUPPRESS)
        for name in _IGNORED_VALUES:
            self.add_argument(f"-{name}", f"--{name}", help=argparse.SUPPRESS)
        self.add_argument(
            "-log_dir", "--log_dir", metavar="DIR", help="also write the log to a new file in this folder"
        )
        self.add_argument("-minloglevel", "--minloglevel", type=int, help=argparse.SUPPRESS)

    def add_switch(self, name: str, help: str) -> None:
        """A flag that is on or off: -name, -name=true, -name=false, -noname; also with _ for -."""
        dest = name.replace("-", "_")
        for spelling in dict.fromkeys((name, dest)):
            self._switches.add(spelling)
            self.add_argument(
                f"-{spelling}",
                f"--{spelling}",
                action="store_true",
                dest=dest,
                help=help if spelling == name else argparse.SUPPRESS,
            )
            self.add_argument(
                f"--no{spelling}", f"-no{spelling}", action="store_false", dest=dest, help=argparse.SUPPRESS
            )

    def parse_all(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parses flags and arguments in whichever order."""
        if arguments is _DESCRIBE:
            raise _Described(self)
        # argparse would take -hight for -h with a value.
        unknown = [
            argument for argument in arguments if argument.startswith("-h") and not self._knows(argument)
        ]
        if not unknown:
            options, unknown = self.parse_known_intermixed_args(
                [self._without_truth(argument) for argument in arguments]
            )
        for argument in unknown:
            flag = argument.partition("=")[0]
            if flag.startswith("-"):
                self.error(f"unknown flag {flag}{self._nearest(flag)}")
        if unknown:
            self.error(f"unexpected argument {unknown[0]!r}")
        return options

    def _knows(self, argument: str) -> bool:
        return argument.partition("=")[0] in self._option_string_actions

    def _nearest(self, flag: str) -> str:
        names = [
            option.lstrip("-")
            for action in self._actions
            if action.help != argparse.SUPPRESS
            for option in action.option_strings
        ]
        return did_you_mean(flag.lstrip("-"), names, "-")

    def _without_truth(self, argument: str) -> str:
        flag, equals, value = argument.partition("=")
        name = flag.lstrip("-")
        if not equals or name == flag or name not in self._switches:
            return argument
        if value.lower() in ("true", "t", "yes", "y", "1"):
            return f"--{name}"
        if value.lower() in ("false", "f", "no", "n", "0"):
            return f"--no{name}"
        self.error(f"{flag} takes true or false, not {value!r}")

    def error(self, message: str) -> NoReturn:
        """Says in one line what is wrong with the command line; ends with status 1."""
        print(f"{self.prog}: {message} ({self.prog} --help shows the flags)", file=sys.stderr)
        sys.exit(1)


def parser(command: str, description: str, flags: Iterable[str], example: str) -> Parser:
    """A parser for a subcommand that shows `flags`; Caffe's others are accepted, as its tool accepts them."""
    result = Parser(prog=f"caffe {command}", description=description, epilog=f"example: {example}")
    shown = set(flags)
    for name, options in _FLAGS.items():
        options = dict(options)
        if name not in shown:
            options["help"] = argparse.SUPPRESS
        if options.get("action") == "store_true":
            result.add_switch(name, options["help"])
        else:
            result.add_argument(f"-{name}", f"--{name}", **options)
    return result


def tool_parser(name: str, description: str, example: str) -> Parser:
    """A parser for a tool, to which it adds its own flags and arguments."""
    return Parser(prog=name, description=description, epilog=f"example: {example}")


def add_backend(argument_parser: argparse.ArgumentParser) -> None:
    """The flag of the tools that read or make a database."""
    argument_parser.add_argument(
        "-backend", "--backend", default="lmdb", choices=["lmdb", "leveldb"], help="kind of database (lmdb)"
    )


def add_plugin(argument_parser: argparse.ArgumentParser) -> None:
    """The flag of the tools that make nets."""
    argument_parser.add_argument("-plugin", "--plugin", **_FLAGS["plugin"])


def add_check_numerics(argument_parser: Parser) -> None:
    """The flag of the commands that run a net, layer by layer."""
    argument_parser.add_switch(
        "check-numerics", "stop at the first value that is no finite number, and name its layer and blob"
    )


def add_device(argument_parser: Parser) -> None:
    """The flags of the tools that compute."""
    argument_parser.add_argument("-gpu", "--gpu", **_FLAGS["gpu"])
    argument_parser.add_switch("cpu", "compute on the CPU")


def add_input(argument_parser: argparse.ArgumentParser) -> None:
    """The flag of the commands that make nets without their data."""
    argument_parser.add_argument(
        "-input",
        "--input",
        metavar="NAME:N,C,H,W",
        action="append",
        help="shape of an input, where data would tell it (repeatable)",
    )


def input_shapes(argument_parser: Parser, options: argparse.Namespace) -> dict[str, list[int]]:
    """What -input says, by the inputs' names."""
    shapes = {}
    for given in options.input or []:
        name, _, sizes = given.rpartition(":")
        parts = comma_list(sizes)
        if not name or not parts or not all(part.isdigit() and int(part) > 0 for part in parts):
            argument_parser.error(f"-input takes a name and a shape, such as data:1,3,224,224, not {given!r}")
        shapes[name] = [int(part) for part in parts]
    return shapes


def add_input_shape(argument_parser: argparse.ArgumentParser) -> None:
    """The flag of the commands that make nets for deployment."""
    argument_parser.add_argument(
        "-input_shape",
        "--input_shape",
        metavar="N,C,H,W",
        help="shape of the input, where data would tell it",
    )


def input_shape(argument_parser: Parser, options: argparse.Namespace) -> list[int] | None:
    """What -input_shape says."""
    if not options.input_shape:
        return None
    parts = comma_list(options.input_shape)
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        argument_parser.error(f"-input_shape takes positive numbers, not {options.input_shape}")
    return [int(part) for part in parts]


def parse(
    argument_parser: Parser, arguments: Sequence[str], required: Iterable[str] = ()
) -> argparse.Namespace:
    """Parses, insists on the required flags, and applies those that every command and tool has."""
    options = parse_only(argument_parser, arguments, required)
    apply(argument_parser, options)
    return options


def parse_only(
    argument_parser: Parser, arguments: Sequence[str], required: Iterable[str] = ()
) -> argparse.Namespace:
    """Parses, and insists on the required flags."""
    options = argument_parser.parse_all(arguments)
    for name in required:
        if not getattr(options, name):
            argument_parser.error(f"needs -{name} {_FLAGS[name]['metavar']}")
    return options


def apply(argument_parser: Parser, options: argparse.Namespace, logs: bool = True) -> None:
    """Applies the flags that every command and tool has; those of the log where ``logs``."""
    if logs and options.minloglevel is not None:
        _caffe.init_log(options.minloglevel)
    folder = options.log_dir or os.environ.get("GLOG_log_dir")
    if logs and folder:
        os.makedirs(folder, exist_ok=True)
        _caffe.log_to_folder(folder, argument_parser.prog.split()[0])
    if getattr(options, "threads", None) is not None:
        if options.threads < 1:
            argument_parser.error(f"-threads must be at least 1, not {options.threads}")
        _caffe.set_parallel_threads(options.threads)
        _caffe.log(f"Computing with {options.threads} threads")
    for plugins in getattr(options, "plugin", None) or []:
        for plugin in comma_list(plugins):
            _caffe.load_plugin(plugin)


def is_packed(path: str) -> bool:
    """Whether a file that a flag names is a packed model."""
    return os.path.isfile(path) and packed_file.is_packed(path)


def model_is_packed(argument_parser: Parser, options: argparse.Namespace) -> bool:
    """Whether -model is a packed model, which has its weights; any other takes -weights."""
    if is_packed(options.model):
        if options.weights:
            argument_parser.error(
                f"{options.model} is a packed model: it has its weights, leave out -weights"
            )
        return True
    if not options.weights:
        argument_parser.error(f"needs -weights {_FLAGS['weights']['metavar']}")
    return False


def hide_information() -> None:
    """Keeps how nets are made out of the log, for commands whose result is what they print."""
    _caffe.init_log(max(_caffe.log_level(), 1))


def gpus(options: argparse.Namespace) -> list[int]:
    """The GPUs that -gpu names, in its order; none without it, and none with -cpu.

    Raises ValueError where it names one that is not there, or there is none that could be used.
    """
    if not options.gpu or options.cpu:
        return []
    return existing_gpus(options.gpu, f"-gpu {options.gpu}")


def existing_gpus(named: str, where: str) -> list[int]:
    """The GPUs of a list of numbers, or all; as gpus. `where` says who names them."""
    numbers = comma_list(named)
    if named != "all" and not (numbers and all(number.isascii() and number.isdigit() for number in numbers)):
        raise ValueError(f"-gpu takes numbers of GPUs or all, not {named}")
    try:
        count = _caffe.device_count()
    except _caffe.Error as error:
        raise ValueError(f"{where} asks for a GPU: {error}") from error
    if named == "all":
        return list(range(count))
    devices = [int(number) for number in numbers]
    for device in devices:
        if device >= count:
            there = "one, number 0" if count == 1 else f"{count}, numbers 0 to {count - 1}"
            raise ValueError(f"{where}: there is no GPU {device}: this machine has {there}")
        if devices.count(device) > 1:
            raise ValueError(f"{where} names GPU {device} more than once")
    return devices


def packed_options(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of :class:`caffe.hwgq.PackedNet`: the first GPU of -gpu or the CPU, and how many threads."""
    devices = gpus(options)
    return {"device": f"cuda:{devices[0]}" if devices else "cpu", "threads": options.threads or 0}


def use_cpu() -> None:
    """Sets the mode, and logs it as Caffe does."""
    _caffe.log("Use CPU.")
    _caffe.set_mode_cpu()


def use_device(options: argparse.Namespace) -> None:
    """Sets mode and device for a command that computes on one: the first GPU of -gpu, or the CPU."""
    devices = gpus(options)
    if not devices:
        use_cpu()
        return
    _caffe.log(f"Use GPU with device ID {devices[0]}")
    _caffe.log(f"GPU device name: {_caffe.device_name(devices[0])}")
    _caffe.set_device(devices[0])
    _caffe.set_mode_gpu()


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
