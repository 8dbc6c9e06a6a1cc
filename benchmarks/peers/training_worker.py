"""How a process that trains answers its benchmark."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

WARM_UP = 2


def peak_megabytes() -> float:
    """The most memory that this process ever had in RAM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def serve(step: Callable[[], None], batch: int, seconds: float) -> None:
    """Answers a line "round" with images per second over so many seconds, any other with peak memory."""
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm = False
    for line in sys.stdin:
        if line.strip() != "round":
            print(peak_megabytes(), file=answers, flush=True)
            return
        for _ in range(1 if warm else WARM_UP):
            step()
        warm = True
        start = time.perf_counter()
        steps = 0
        while (spent := time.perf_counter() - start) < seconds:
            step()
            steps += 1
        print(batch * steps / spent, file=answers, flush=True)
