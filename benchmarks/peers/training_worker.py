"""How a process that trains answers its benchmark."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WARM_UP = 2


def peak_megabytes() -> float:
    """The most memory that this process ever had in RAM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def serve(
    step: Callable[[], None],
    batch: int,
    seconds: float,
    finish: Callable[[], None] = lambda: None,
    answers: Mapping[str, Callable[[], Any]] | None = None,
) -> None:
    """Answers lines, with JSON.

    "round" asks for images per second over so many seconds, "peak_mb" for peak memory in RAM, and other
    questions are the caller's. `finish` waits for the steps that were started.
    """
    known = {"peak_mb": peak_megabytes} | dict(answers or {})
    # What libraries print must not mix with the answers.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm = False
    for line in sys.stdin:
        if line.strip() != "round":
            print(json.dumps(known[line.strip()]()), file=output, flush=True)
            continue
        for _ in range(1 if warm else WARM_UP):
            step()
        finish()
        warm = True
        start = time.perf_counter()
        steps = 0
        while time.perf_counter() - start < seconds:
            step()
            steps += 1
        finish()
        print(batch * steps / (time.perf_counter() - start), file=output, flush=True)
