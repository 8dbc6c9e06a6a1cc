"""Reads the log of a training: what was measured at which iteration."""

from __future__ import annotations

import datetime
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_ITERATION = re.compile(r"Iteration (\d+)")
_OUTPUT = re.compile(r"(Train|Test) net output #(\d+): (\S+) = (\S+)")
_LEARNING_RATE = re.compile(r"lr = (\S+)")
_PREFIX = re.compile(r"[IWEF](\d{2})(\d{2}) (\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?\b")
# The line by which a solver says that it begins.
_START = "Solving "


_MEASURED_WITH = ("NumIters", "Seconds", "LearningRate")


@dataclass
class TrainingLog:
    """Rows, one for each iteration at which something was measured, of NumIters, Seconds (since the training
    began), LearningRate (nan before the log tells it) and the net's outputs by name."""

    train: list[dict[str, float]] = field(default_factory=list)
    test: list[dict[str, float]] = field(default_factory=list)


def outputs(row: dict[str, float]) -> dict[str, float]:
    """The net's outputs in a row of a :class:`TrainingLog`, by name.

    >>> outputs({"NumIters": 100.0, "Seconds": 2.5, "LearningRate": 0.01, "accuracy": 0.75})
    {'accuracy': 0.75}
    """
    return {name: value for name, value in row.items() if name not in _MEASURED_WITH}


class Reader:
    """Fills a :class:`TrainingLog` line by line.

    >>> reader = Reader()
    >>> reader.add("Iteration 100, Testing net (#0)", seconds=2.5)
    >>> reader.add("    Test net output #0: accuracy = 0.75", seconds=3.0)
    >>> reader.log.test[-1]["accuracy"]
    0.75
    """

    def __init__(self) -> None:
        self.log = TrainingLog()
        self._iteration: float | None = None
        self._learning_rate = math.nan
        self._last_number = {"Train": math.inf, "Test": math.inf}

    def add(self, line: str, seconds: float) -> None:
        """Takes a line, with or without its prefix, written `seconds` after training began."""
        if match := _ITERATION.search(line):
            self._iteration = float(match[1])
        if self._iteration is None:
            return
        if match := _LEARNING_RATE.search(line):
            self._learning_rate = _number(match[1])
        if match := _OUTPUT.search(line):
            phase, number, name, value = match.groups()
            rows = self.log.train if phase == "Train" else self.log.test
            if int(number) <= self._last_number[phase] or rows[-1]["NumIters"] != self._iteration:
                rows.append(
                    {"NumIters": self._iteration, "Seconds": seconds, "LearningRate": self._learning_rate}
                )
            self._last_number[phase] = int(number)
            rows[-1][name] = _number(value)


def read(path: str | os.PathLike) -> TrainingLog:
    """Reads a file of log lines, with whatever else between them.

    Raises ValueError where it has no lines of a log, or none of a training.
    """
    reader = Reader()
    start = None
    seconds = 0.0
    timed = False
    for line, time in _timed_lines(path):
        timed = True
        if start is None and (_START in line or _ITERATION.search(line)):
            start = time
        if start is not None:
            seconds = (time - start).total_seconds()
        reader.add(line, seconds)
    log = reader.log
    if not timed:
        raise ValueError(f"{path} has no lines of a log (such as I0102 15:04:05.123456 ...)")
    if not log.train and not log.test:
        raise ValueError(f"{path} is a log, but has no outputs of a net in training")
    for rows in (log.train, log.test):
        _take_first_rate_from_second(rows)
    return log


def _timed_lines(path: str | os.PathLike) -> Iterator[tuple[str, datetime.datetime]]:
    # Lines tell no year; that of the file is near enough for differences, from one New Year to the next.
    year = datetime.datetime.fromtimestamp(os.path.getmtime(path)).year
    last = None
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = _PREFIX.match(line)
            if not match:
                continue
            month, day, hour, minute, second = map(int, match.groups()[:5])
            microsecond = int((match[6] or "0").ljust(6, "0")[:6])
            try:
                time = datetime.datetime(year, month, day, hour, minute, second, microsecond)
                if last and time.month < last.month:
                    year += 1
                    time = time.replace(year=year)
            except ValueError:
                # A damaged line, or a 29th of February, of which the year is not this one.
                continue
            last = time
            yield line, time


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _take_first_rate_from_second(rows: list[dict[str, float]]) -> None:
    # A solver says the rate after the first iteration's outputs.
    if len(rows) > 1 and math.isnan(rows[0]["LearningRate"]):
        rows[0]["LearningRate"] = rows[1]["LearningRate"]
