"""What bounds the stages of a packed net: the machine's peaks, and each stage's share of its bound."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import cpu

RUNS = 7


class Stage(NamedTuple):
    """A stage as caffe.hwgq.PackedNet.profile reports it."""

    name: str
    kind: str
    kernel: str
    seconds: float
    multiply_adds: int
    bytes: int


class Bound(NamedTuple):
    """The least seconds that a stage could take, and why."""

    seconds: float
    reason: str


def kernel_of(stage: Stage) -> str:
    """What Peaks calls the stage's kernel."""
    if stage.kind == "convolution" and not stage.kernel.startswith(("int8", "cuda")):
        return "float32"
    return stage.kernel


@dataclass(frozen=True)
class Peaks:
    """What the machine can do with a number of threads.

    `multiply_adds` a second by kernel, and "float32"; `bandwidth` in bytes a second of copies between arrays
    of that many bytes in all, the smallest first.
    """

    multiply_adds: dict[str, float]
    bandwidth: tuple[tuple[int, float], ...]

    def bound(self, stage: Stage) -> Bound:
        """The larger of the stage's two least times."""
        bandwidth = next(
            (rate for size, rate in self.bandwidth if stage.bytes <= size), self.bandwidth[-1][1]
        )
        memory = Bound(stage.bytes / bandwidth, "memory")
        kernel = kernel_of(stage)
        peak = self.multiply_adds.get(kernel)
        if not stage.multiply_adds or not peak:
            return memory
        return max(Bound(stage.multiply_adds / peak, f"{kernel} multiply-adds"), memory)

    def as_json(self) -> dict[str, Any]:
        """For the JSON."""
        return {"multiply_adds_per_second": self.multiply_adds, "bytes_per_second": dict(self.bandwidth)}


def measured_peaks(threads: int, kernel_benchmark: Path) -> Peaks:
    """Measures the machine; arithmetic on one core, times the threads."""
    rates = {name: rate * threads for name, rate in kernel_rates(kernel_benchmark).items()}
    if rate := fma_rate():
        rates["float32"] = rate * threads
    levels = cpu.cache_bytes()
    # Half of each cache, but of the first, whose copies are mostly calls; then what no cache holds.
    sizes = [size // 2 for size in levels[1:]] + [max(256 << 20, 4 * levels[-1])]
    return Peaks(rates, tuple((size, copy_rate(size, threads)) for size in sizes))


def kernel_rates(benchmark: Path) -> dict[str, float]:
    """Multiply-adds a second on one core of the binary kernels, the best over their shapes."""
    if not benchmark.exists():
        return {}
    rates = {}
    for line in subprocess.run([benchmark], capture_output=True, text=True, check=True).stdout.splitlines():
        name, *numbers = line.split()
        if len(numbers) > 1 and all(number.replace(".", "").isdigit() for number in numbers):
            # The first is what the engine expects.
            rates[name] = 1e9 * max(float(number) for number in numbers[1:])
    return rates


def fma_rate() -> float | None:
    """Multiply-adds a second of float32 on one core; None without a compiler."""
    source = Path(__file__).with_name("fma_peak.cpp")
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/fma_peak"
        command = ["c++", "-O3", "-march=native", str(source), "-o", program]
        try:
            subprocess.run(command, check=True, capture_output=True)
            result = subprocess.run([program], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    return 1e9 * float(result.stdout)


def copy_rate(size: int, threads: int) -> float:
    """Bytes a second, read or written, of copies between arrays; those of all threads take `size`."""
    repeats = max(1, (64 << 20) // size)
    items = size // threads // 16
    pairs = [(np.ones(items), np.ones(items)) for _ in range(threads)]

    def copy(pair: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(repeats):
            np.copyto(*pair)

    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(RUNS):
            start = time.perf_counter()
            list(pool.map(copy, pairs))
            best = min(best, time.perf_counter() - start)
    return 16 * items * repeats * threads / best


def with_fastest_stages(peaks: Peaks, stages: Sequence[Stage]) -> Peaks:
    """The same peaks; a kernel whose own was not measured has what it reached in its fastest stage."""
    rates: dict[str, float] = {}
    for stage in stages:
        if stage.multiply_adds and stage.seconds:
            kernel = kernel_of(stage)
            rates[kernel] = max(rates.get(kernel, 0), stage.multiply_adds / stage.seconds)
    return replace(peaks, multiply_adds=rates | peaks.multiply_adds)


def table(stages: Sequence[Stage], peaks: Peaks) -> list[list[str]]:
    """Rows of what HEADER names."""
    peaks = with_fastest_stages(peaks, stages)
    rows = []
    total = sum(stage.seconds for stage in stages)
    for stage in stages:
        bound = peaks.bound(stage)
        rate = stage.multiply_adds / stage.seconds * 1e-9 if stage.seconds else 0
        rows.append(
            [
                stage.name,
                f"{stage.kind}, {stage.kernel}",
                f"{stage.seconds * 1e6:,.0f}",
                f"{stage.seconds / total:.0%}",
                f"{rate:,.0f}" if stage.multiply_adds else "",
                f"{bound.seconds * 1e6:,.0f}",
                bound.reason,
                f"{bound.seconds / stage.seconds:.0%}" if stage.seconds else "",
            ]
        )
    return rows


#: Columns of a table of stages.
HEADER = ["stage", "kind, kernel", "us", "of all", "GMAC/s", "bound, us", "by", "of the bound"]
