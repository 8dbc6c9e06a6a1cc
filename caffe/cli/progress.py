"""Shows how far a tool is, on a terminal, in one line that the log overwrites."""

from __future__ import annotations

import sys
import time

_INTERVAL = 0.2


class Progress:
    """A with block that shows what is done of how much, the speed and the time left; nothing where standard
    error is no terminal."""

    def __init__(self, things: str, total: int | None = None):
        self._things = things
        self._total = total
        self._start = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._terminal:
            print("\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, count: int, total: int | None = None) -> None:
        """Says that `count` are done, and of how many where that has become known."""
        self._total = total or self._total
        now = time.monotonic()
        if not self._terminal or now - self._shown < _INTERVAL:
            return
        self._shown = now
        # The carriage return lets a line of the log, which is longer, take the place of this one.
        print(f"\x1b[K  {self._text(count, now - self._start)}\r", end="", file=sys.stderr, flush=True)

    def _text(self, count: int, seconds: float) -> str:
        speed = count / seconds
        if not self._total:
            return f"{count:,} {self._things}, {speed:,.0f}/s"
        text = f"{count:,} of {self._total:,} {self._things}, {speed:,.0f}/s"
        return f"{text}, {(self._total - count) / speed:,.0f} s left" if count else text
