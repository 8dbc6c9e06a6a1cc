"""plot_log: draws the curves of trainings' logs."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from caffe import training_log
from caffe.cli import flags

_X_AXES = {"iterations": "NumIters", "seconds": "Seconds"}
_COMMON = {"NumIters", "Seconds", "LearningRate"}
_PANEL_INCHES = (8, 2.8)


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "plot_log",
        "Draws what trainings' logs tell, one panel above the other: outputs of the net such as loss and "
        "accuracy, in training (dotted) and test, and the learning rate.",
        "plot_log -x seconds caffe.INFO curves.png",
    )
    parser.add_argument("logs", metavar="LOG", nargs="+", help="logs of trainings")
    parser.add_argument("picture", metavar="PICTURE", help="the .png, .svg or .pdf file to write")
    parser.add_argument(
        "-x", "--x", choices=list(_X_AXES), default="iterations", help="what goes to the right (iterations)"
    )
    parser.add_argument(
        "-show", "--show", metavar="NAME[,NAME]", help="outputs to draw, or lr, the learning rate (all)"
    )
    options = flags.parse(parser, arguments)
    if pathlib.Path(options.picture).suffix not in (".png", ".svg", ".pdf"):
        parser.error(f"{options.picture} ends in none of .png, .svg and .pdf")
    logs = {path: training_log.read(path) for path in options.logs}
    names = _names(logs.values())
    for name in flags.comma_list(options.show):
        if name not in names:
            raise ValueError(f"the logs have no '{name}'; they have {', '.join(names)}")
    draw(logs, flags.comma_list(options.show) or names, options.x, options.picture)
    return 0


def _names(logs) -> list[str]:
    """The outputs in the order of the logs, and the learning rate, as `lr`."""
    rows = [row for log in logs for row in log.train[:1] + log.test[:1]]
    return [*dict.fromkeys(name for row in rows for name in row if name not in _COMMON), "lr"]


def draw(
    logs: dict[str, training_log.TrainingLog], names: Sequence[str], x: str, picture: str | os.PathLike
) -> None:
    """Draws a panel for each name, with the logs' curves over `x` ("iterations" or "seconds").

    Raises ValueError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            "plots need matplotlib: pip install matplotlib (or, with this package, 'hwgq-caffe[plots]')"
        ) from error
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width, height * len(names)), layout="constrained")
    panels = figure.subplots(len(names), sharex=True, squeeze=False)[:, 0]
    for panel, name in zip(panels, names, strict=True):
        for number, (path, log) in enumerate(logs.items()):
            prefix = f"{os.path.basename(path)}: " if len(logs) > 1 else ""
            column = "LearningRate" if name == "lr" else name
            for part, rows, style in (("train", log.train, ":"), ("test", log.test, "-")):
                points = [(row[_X_AXES[x]], row[column]) for row in rows if column in row]
                if not points or (name == "lr" and part == "test" and log.train):
                    continue
                panel.plot(
                    *zip(*points, strict=True),
                    "-" if name == "lr" else style,
                    color=f"C{number}",
                    marker="." if len(points) == 1 else None,
                    label=prefix + part,
                )
        panel.set_ylabel("learning rate" if name == "lr" else name)
        panel.grid(alpha=0.3)
        if name != "lr":
            panel.legend()
    panels[-1].set_xlabel(x)
    figure.savefig(picture)
