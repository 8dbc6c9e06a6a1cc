"""One engine in its process: `python -m peers.worker ENGINE FOLDER BATCH THREADS`.

It answers each line on its input with a line of JSON: "round SECONDS" with the seconds of passes,
"profile" with the stages, "end" with the peak memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .engines import ENGINES
from .files import Files
from .gpu_engines import GPU_ENGINES
from .training_worker import peak_megabytes

PROFILES = 5
MOST_PASSES = 1000


def passes(run: Callable[[], np.ndarray], seconds: float) -> list[float]:
    """Times of passes after one that warms up: at least one, and until the seconds are over."""
    run()
    times: list[float] = []
    while not times or (sum(times) < seconds and len(times) < MOST_PASSES):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def median_profile(profile: Callable[[], list[tuple]]) -> list[list[Any]]:
    """The stages with the median of their seconds."""
    profile()
    runs = [[list(stage) for stage in profile()] for _ in range(PROFILES)]
    stages = runs[0]
    position = next(i for i, value in enumerate(stages[0]) if isinstance(value, float))
    for number, stage in enumerate(stages):
        stage[position] = float(np.median([run[number][position] for run in runs]))
    return stages


def main(name: str, folder: Path, batch: int, threads: int) -> None:
    """Loads, computes once for the comparison, and answers."""
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    files = Files(folder)
    images = np.load(files.images, mmap_mode="r")
    # Images are repeated where a batch has more.
    images = np.ascontiguousarray(np.resize(images, (batch, *images.shape[1:])), np.float32)
    before = peak_megabytes()
    loaded = (ENGINES | GPU_ENGINES)[name].load(files, images, threads)
    output = np.asarray(loaded.run()).reshape(batch, -1)
    answer({"before_mb": before, "output": output.tolist(), **loaded.details})
    for line in sys.stdin:
        command, *values = line.split()
        if command == "round":
            answer(passes(loaded.run, float(values[0])))
        elif command == "profile":
            answer(median_profile(loaded.profile) if loaded.profile else [])
        else:
            answer(peak_megabytes())
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
