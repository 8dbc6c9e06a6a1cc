"""The `caffe` command: one module for each subcommand and each tool, with the flags of Caffe's.

Flags take one dash or two, and their value after `=` or a space: `-solver s.prototxt`, `--solver=s.prototxt`.
A tool is a command of its own, too: `convert_imageset ...` is `caffe convert_imageset ...`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Sequence

#: Subcommands in the order in which help lists them, with what they do.
COMMANDS = {
    "train": "train a net or finetune it",
    "test": "score a net on its test data",
    "time": "time a net layer by layer",
    "classify": "say what is on images",
    "import": "write an ONNX model as a net and its weights",
    "binarize": "make a trained net's deploy nets, with binary layers and with binarized weights",
    "pack": "write a trained net as one small file, its binary weights as bits",
    "export": "write a net as an ONNX model",
    "summary": "list a net's layers with shapes, parameters, work and memory",
    "inspect": "list the parameters in a file of weights, with their ranges and levels",
    "draw": "draw a net as a graph (PNG, SVG, PDF)",
    "plot": "draw the curves of trainings' logs (PNG, SVG, PDF)",
    "download": "fetch a trained model's weights",
    "prepare-imagenet": "make the databases of ILSVRC2012, and verify them",
    "report": "write a page on a training: curves, values of the net, mistakes",
    "completion": "write what completes commands and flags in bash, zsh or fish",
    "device_query": "show the GPUs",
}

#: Tools, which are commands of their own.
TOOLS = {
    "convert_imageset": "make a database of image files",
    "convert_mnist_data": "make a database of MNIST's files",
    "convert_cifar_data": "make the databases of CIFAR-10's binary files",
    "pad_images": "widen a database's images by repeating their border",
    "compute_image_mean": "take the mean of a database's images",
    "extract_features": "write blobs of a net to databases",
    "upgrade_net_proto_text": "bring a net's definition to today's format",
    "upgrade_net_proto_binary": "bring a .caffemodel to today's format",
    "upgrade_solver_proto_text": "bring a solver's definition to today's format",
    "parse_log": "make tables (CSV) of a training's log",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, or 1 after one line on standard error.

    Without `argv` these are the arguments of the process, whose name may be a tool's.
    """
    if argv is None:
        process = os.path.basename(sys.argv[0])
        argv = [process, *sys.argv[1:]] if process in TOOLS else sys.argv[1:]
    arguments = list(argv)
    # As with Caffe's tool, flags may come before the command.
    known = {*COMMANDS, *TOOLS}
    command = next((argument for argument in arguments if argument in known), None)
    if command is None:
        return _without_command(arguments)
    arguments.remove(command)
    module = module_of(command)
    if command in COMMANDS:
        return _guarded(f"caffe {command}", module.run, arguments)
    with _ending_on_sigterm():
        return _guarded(command, module.run, arguments)


def module_of(command: str) -> types.ModuleType:
    """The module of a command or tool."""
    return importlib.import_module(f".{command.replace('-', '_')}", __name__)


def _guarded(prog: str, run: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return run(arguments)
    except (Exception, KeyboardInterrupt) as error:
        # Nets that failed end here, with the threads of theirs that log: what is wrong is the last line.
        traceback.clear_frames(error.__traceback__)
        return report_error(prog, error)


def report_error(prog: str, error: BaseException) -> int:
    """Says on standard error what ended the program, and returns its exit status; raises what is a mistake in
    the program itself."""
    from .. import Error

    if isinstance(error, KeyboardInterrupt):
        _report(f"{prog}: interrupted")
        return 130
    if getattr(error, "__notes__", None):
        _report_python_layer(error)
    elif isinstance(error, (Error, OSError, ValueError)):
        _report(f"{prog}: {_one_line(error)}")
    elif isinstance(error, MemoryError):
        reason = _one_line(error) or "nothing is left"
        _report(f"{prog}: not enough memory ({reason}): use smaller batches or inputs, or check their sizes")
    else:
        raise error
    return 1


def _report(message: str) -> None:
    from .. import _caffe

    # The error is the last line on standard error. Of the log its file alone has it, where there is one.
    _caffe.init_log(_caffe.log_level(), stderr=False)
    print(message, file=sys.stderr)
    _caffe.log_from(__file__, 0, os.fsencode(message), 2)


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM end the tool as an error does, so that what it has begun is removed."""

    def end(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _without_command(arguments: list[str]) -> int:
    if not arguments or arguments[0].lstrip("-") in ("help", "h"):
        print(_usage())
        return 0
    if arguments[0].lstrip("-") == "version":
        from .. import __version__

        print(f"caffe {__version__}")
        return 0
    from .flags import did_you_mean

    known = [*COMMANDS, *TOOLS]
    hint = did_you_mean(arguments[0], known) or f"; the commands are {', '.join(known)}"
    print(f"caffe: unknown command {arguments[0]!r}{hint}", file=sys.stderr)
    return 1


def _usage() -> str:
    return (
        "usage: caffe COMMAND [flags]\n\n"
        f"commands:\n{_listed(COMMANDS)}\n\n"
        f"tools, which are commands without `caffe`, too:\n{_listed(TOOLS)}\n\n"
        "caffe COMMAND --help shows a command's flags.\n\n"
        "examples:\n"
        "  caffe train -solver solver.prototxt -cpu\n"
        "  caffe test -model train_val.prototxt -weights net.caffemodel -iterations 100\n"
        "  caffe classify cat.jpg -model deploy.prototxt -weights net.caffemodel -labels synset_words.txt\n"
        "  caffe binarize -model train_val.prototxt -weights net.caffemodel -out deploy"
    )


def _report_python_layer(error: Exception) -> None:
    """Shows where a layer written in Python failed; the engine notes which layer it was."""
    traceback.print_exception(error)
    if sys.version_info < (3, 11):  # which does not print notes
        print(*error.__notes__, sep="\n", file=sys.stderr)


def _listed(summaries: dict[str, str]) -> str:
    width = max(map(len, {**COMMANDS, **TOOLS}))
    return "\n".join(f"  {name:{width}}  {summary}" for name, summary in summaries.items())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
