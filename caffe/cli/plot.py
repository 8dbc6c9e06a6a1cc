"""caffe plot: draws the curves of trainings' logs."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caffe import training_log
from caffe.cli import flags

_X_AXES = {"iterations": "NumIters", "seconds": "Seconds"}
_STYLES = {"train": ":", "test": "-"}
_PANEL_INCHES = (8, 2.8)


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "plot",
        "Draws what trainings' logs tell, one panel above the other: outputs of the net such as loss and "
        "accuracy, in training (dotted) and test, and the learning rate.",
        [],
        "caffe plot logs/caffe.INFO logs/before.INFO -o curves.svg",
    )
    parser.add_argument("logs", metavar="LOG", nargs="+", help="logs of trainings")
    parser.add_argument(
        "-o",
        "--output",
        dest="picture",
        metavar="PICTURE",
        default="curves.svg",
        help="the .png, .svg or .pdf file to write (curves.svg)",
    )
    parser.add_argument(
        "-x", "--x", choices=list(_X_AXES), default="iterations", help="what goes to the right (iterations)"
    )
    parser.add_argument(
        "-show", "--show", metavar="NAME[,NAME]", help="outputs to draw, or lr, the learning rate (all)"
    )
    parser.add_argument(
        "-part", "--part", choices=["train", "test"], help="draw what was measured there only (both)"
    )
    options = flags.parse(parser, arguments)
    if pathlib.Path(options.picture).suffix not in (".png", ".svg", ".pdf"):
        parser.error(f"{options.picture} ends in none of .png, .svg and .pdf")
    logs = {path: training_log.read(path) for path in options.logs}
    names = _names(logs.values())
    for name in flags.comma_list(options.show):
        if name not in names:
            raise ValueError(f"the logs have no '{name}'; they have {', '.join(names)}")
    names = flags.comma_list(options.show) or names
    parts = [options.part] if options.part else ["train", "test"]
    curves = {name: _curves(logs, name, parts, _X_AXES[options.x]) for name in names}
    if not any(curves.values()):
        raise ValueError(f"the logs have nothing of {options.part} to draw")
    draw({name: found for name, found in curves.items() if found}, options.x, options.picture)
    return 0


def _names(logs: Iterable[training_log.TrainingLog]) -> list[str]:
    """The outputs in the order of the logs, and the learning rate, as `lr`."""
    rows = [row for log in logs for row in log.train[:1] + log.test[:1]]
    return [*dict.fromkeys(name for row in rows for name in training_log.outputs(row)), "lr"]


@dataclass
class Curve:
    """A line of a panel."""

    label: str
    style: str
    color: str
    points: list[tuple[float, float]]


def _curves(
    logs: dict[str, training_log.TrainingLog], name: str, parts: Sequence[str], x_column: str
) -> list[Curve]:
    curves = []
    column = "LearningRate" if name == "lr" else name
    for number, (path, log) in enumerate(logs.items()):
        rows_of = {"train": log.train, "test": log.test}
        # The rate is the same in both.
        for part in [max(parts, key=lambda part: len(rows_of[part]))] if name == "lr" else parts:
            points = [(row[x_column], row[column]) for row in rows_of[part] if column in row]
            if points:
                label = f"{os.path.basename(path)}: {part}" if len(logs) > 1 else part
                curves.append(Curve(label, _STYLES[part] if name != "lr" else "-", f"C{number}", points))
    return curves


def draw(curves: dict[str, list[Curve]], x: str, picture: str | os.PathLike) -> None:
    """Draws a panel for each name, with its curves over what `x` says.

    Raises ValueError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            "plots need matplotlib: pip install matplotlib (or, with this package, 'hwgq-caffe[plots]')"
        ) from error
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width, height * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for panel, (name, lines) in zip(panels, curves.items(), strict=True):
        for line in lines:
            # A single point is no line.
            marker = "." if len(line.points) == 1 else None
            panel.plot(
                *zip(*line.points, strict=True), line.style, color=line.color, marker=marker, label=line.label
            )
        panel.set_ylabel("learning rate" if name == "lr" else name)
        panel.grid(alpha=0.3)
        if name != "lr":
            panel.legend()
    panels[-1].set_xlabel(x)
    figure.savefig(picture)
