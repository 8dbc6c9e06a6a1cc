"""What a terminal shows while a net is trained, in place of the log's lines."""

from __future__ import annotations

import collections
import math
import os
import sys
import threading
import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .. import _caffe
from ..proto import caffe_pb2
from ..training_log import Reader, outputs

_INTERVAL = 0.1
# The speed shown is that of the last so many seconds of training.
_SPEED_SECONDS = 5.0
# How far the loss shown follows that of the newest batch, each time the display is drawn.
_FOLLOW = 0.2


def wanted() -> bool:
    """Whether standard error is a terminal that can show it."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class TrainingDisplay:
    """A with block in which the log's lines turn into a live display on standard error.

    Results of tests, snapshots and warnings stay on the terminal, line by line; below them stands where the
    training is. The log's file, if there is one, gets every line.
    """

    def __init__(self, solver_file: str) -> None:
        self._name = solver_file
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._lines = _caffe.LogLines()
        self._thread = threading.Thread(target=self._run, name="train-display", daemon=True)
        self._stop = threading.Event()
        self._reader = Reader()
        self._progress: _Progress | None = None
        self._pending_test: dict[str, float] | None = None
        self._testing = False

    def __enter__(self) -> TrainingDisplay:
        self._lines.__enter__()
        self._live.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._lines.__exit__(*error)
        self._show_lines()
        self._show_test()
        self._live.__exit__(*error)
        if self._progress and error[0] is None:
            self._console.print(self._progress.summary())

    def watch(self, solver: _caffe.Solver, param: caffe_pb2.SolverParameter) -> None:
        """Shows how this solver gets on from now."""
        self._progress = _Progress(solver, param)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._show_lines()
            self._live.update(self._picture(), refresh=True)

    def _show_lines(self) -> None:
        for level, line, message in self._lines.take():
            seconds = self._progress.seconds() if self._progress else 0.0
            tests = len(self._reader.log.test)
            self._reader.add(message, seconds)
            if len(self._reader.log.test) > tests:
                self._show_test()
                self._pending_test = self._reader.log.test[-1]
            elif "Test net output" not in message:
                self._show_test()
                self._testing = "Testing net" in message
            if level > 0:
                self._console.print(Text(line, style="yellow"))
            elif message.startswith(("Snapshotting to", "Resuming from", "Finetuning from")):
                self._console.print(Text(message, style="dim"))

    def _show_test(self) -> None:
        """Prints a test's results, once all are there."""
        if self._pending_test is None:
            return
        row, self._pending_test = self._pending_test, None
        self._console.print(
            Text.assemble(
                f"Iteration {row['NumIters']:,.0f}: test ",
                (", ".join(f"{name} {value:g}" for name, value in outputs(row).items()), "bold"),
            )
        )

    def _picture(self) -> Group | Text:
        if self._progress is None:
            return Text(f"{self._name}: making the nets and opening the data ...", style="dim")
        return self._progress.picture(self._reader, self._testing)


class _Progress:
    """Where a solver is, how fast it gets on, and how that looks."""

    def __init__(self, solver: _caffe.Solver, param: caffe_pb2.SolverParameter) -> None:
        self._watch = _caffe.TrainingWatch(solver)
        self._first = solver.iter
        self._last = max(param.max_iter, self._first)
        batch = next(iter(solver.net.blobs.values()), None)
        images = batch.shape[0] if batch is not None and len(batch.shape) else 1
        self._images = images * max(param.iter_size, 1) * _caffe.solver_count()
        self._start = time.monotonic()
        self._points = collections.deque([(self._start, self._first)])
        self._loss = math.nan
        self._rate = math.nan

    def seconds(self) -> float:
        """Since training began."""
        return time.monotonic() - self._start

    def summary(self) -> Text:
        """The line that stays when training has ended."""
        done = self._watch.iteration
        seconds = self.seconds()
        speed = (done - self._first) * self._images / seconds if seconds else 0
        text = f"Trained to iteration {done:,} in {_time(seconds)}, {speed:,.0f} images/s with tests."
        if done < self._last:
            text += f" Stopped before iteration {self._last:,}: go on with -snapshot."
        return Text(text, style="bold")

    def picture(self, reader: Reader, testing: bool) -> Group:
        """The lines that show the present state."""
        done = self._watch.iteration
        self._take_speed(done, testing)
        self._follow_loss()
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text.assemble("Iteration ", (f"{done:,}", "bold"), f" of {self._last:,}"),
            ProgressBar(total=max(self._last, 1), completed=done, width=30),
            f"{100 * done / max(self._last, 1):.0f} %",
            "testing" if testing else f"{self._rate * self._images:,.0f} images/s",
            self._time_left(done),
        )
        facts = [Text.assemble("loss ", (f"{self._loss:.4g}", "bold")), Text(f"lr {self._watch.lr:g}")]
        if reader.log.test:
            row = reader.log.test[-1]
            results = ", ".join(f"{name} {value:g}" for name, value in outputs(row).items())
            facts.append(Text(f"test at {row['NumIters']:,.0f}: {results}"))
        foot = Table.grid(padding=(0, 2))
        foot.add_row(*facts)
        return Group(head, foot)

    def _take_speed(self, done: int, testing: bool) -> None:
        now = time.monotonic()
        if testing:
            # A test's time is not training's.
            self._points.clear()
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] > _SPEED_SECONDS:
            self._points.popleft()
        then, before = self._points[0]
        if done > before:
            self._rate = (done - before) / (now - then)

    def _follow_loss(self) -> None:
        loss = self._watch.loss
        steady = math.isfinite(self._loss) and math.isfinite(loss)
        self._loss = self._loss + _FOLLOW * (loss - self._loss) if steady else loss

    def _time_left(self, done: int) -> str:
        # By the whole run so far, for tests and snapshots take time, too.
        if done <= self._first:
            return ""
        return f"{_time(self.seconds() / (done - self._first) * (self._last - done))} left"


def _time(seconds: float) -> str:
    """Hours, minutes and seconds, as a clock has them."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
