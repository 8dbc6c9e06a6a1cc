"""What the GPU can do: `python -m peers.gpu_peaks`, by a Python that has PyTorch, prints it as JSON.

`rates` are multiply-adds a second of large matrix products by the type of their operands, `bandwidth` is
bytes a second, read or written, of copies that take so many bytes in all: ones that the second cache holds,
and others.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch

SIDE = 8192
RUNS = 20


def seconds(run: Callable[[], object]) -> float:
    """The least time of a run."""
    times = []
    for _ in range(RUNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return min(times)


def product_rate(kind: str) -> float:
    """Multiply-adds a second."""
    if kind == "int8":
        a, b = (torch.randint(-3, 4, (SIDE, SIDE), dtype=torch.int8, device="cuda") for _ in range(2))
        # Its second operand lies by columns.
        return SIDE**3 / seconds(lambda: torch._int_mm(a, b.t()))
    torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    number = {"half": torch.float16, "tf32": torch.float32}[kind]
    a, b = (torch.randn(SIDE, SIDE, dtype=number, device="cuda") for _ in range(2))
    return SIDE**3 / seconds(lambda: a @ b)


def copy_rate(size: int) -> float:
    """Bytes a second of copies of `size` bytes, read and written together."""
    source = torch.zeros(size // 2, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return size / seconds(lambda: target.copy_(source))


def main() -> None:
    """Measures, and prints."""
    properties = torch.cuda.get_device_properties(0)
    cached = properties.L2_cache_size // 2
    peaks = {
        "gpu": properties.name,
        "rates": {kind: product_rate(kind) for kind in ("int8", "half", "tf32")},
        "bandwidth": [(size, copy_rate(size)) for size in (cached, 4 << 30)],
    }
    print(json.dumps(peaks))


if __name__ == "__main__":
    main()
