"""The `caffe` command: one module for each subcommand, with the flags of Caffe's tool.

Flags take one dash or two, and their value after `=` or a space: `-solver s.prototxt`, `--solver=s.prototxt`.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence

#: Subcommands in the order in which help lists them, with what they do.
COMMANDS = {
    "train": "train a net or finetune it",
    "test": "score a net on its test data",
    "time": "time a net layer by layer",
    "binarize": "make a trained net's deploy nets, with binary layers and with binarized weights",
    "device_query": "show the GPUs",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, or 1 after one line on standard error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # As with Caffe's tool, flags may come before the command.
    command = next((argument for argument in arguments if argument in COMMANDS), None)
    if command is None:
        return _without_command(arguments)
    arguments.remove(command)
    module = importlib.import_module(f".{command}", __name__)

    from .. import Error

    try:
        return module.run(arguments)
    except Exception as error:
        if getattr(error, "__notes__", None):
            _report_python_layer(error)
        elif isinstance(error, (Error, OSError, ValueError)):
            print(f"caffe {command}: {_one_line(error)}", file=sys.stderr)
        else:
            raise
        return 1
    except KeyboardInterrupt:
        print(f"caffe {command}: interrupted", file=sys.stderr)
        return 130


def _without_command(arguments: list[str]) -> int:
    if not arguments or arguments[0].lstrip("-") in ("help", "h"):
        print(_usage())
        return 0
    if arguments[0].lstrip("-") == "version":
        from .. import __version__

        print(f"caffe {__version__}")
        return 0
    print(
        f"caffe: unknown command {arguments[0]!r}; the commands are {', '.join(COMMANDS)}",
        file=sys.stderr,
    )
    return 1


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: caffe COMMAND [flags]\n\n"
        f"commands:\n{commands}\n\n"
        "caffe COMMAND --help shows a command's flags.\n\n"
        "examples:\n"
        "  caffe train -solver solver.prototxt -cpu\n"
        "  caffe test -model train_val.prototxt -weights net.caffemodel -iterations 100\n"
        "  caffe binarize -model train_val.prototxt -weights net.caffemodel -out deploy"
    )


def _report_python_layer(error: Exception) -> None:
    """Shows where a layer written in Python failed; the engine notes which layer it was."""
    traceback.print_exception(error)
    if sys.version_info < (3, 11):  # which does not print notes
        print(*error.__notes__, sep="\n", file=sys.stderr)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
