"""What the processor is."""

from __future__ import annotations

import functools
import re
from pathlib import Path


@functools.cache
def _fields() -> dict[str, str]:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return dict(re.findall(r"^(.*?)\s*: (.*)$", text, re.MULTILINE))


def has(flag: str) -> bool:
    """Whether Linux names an instruction set, as amx_int8."""
    return flag in _fields().get("flags", "").split()


def name() -> str:
    """The processor's name, and the instruction sets that matter here."""
    flags = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_vpopcntdq", "avx512_bf16", "amx_int8")
    sets = ", ".join(flag for flag in flags if has(flag)) or "no AVX2"
    return f"{_fields().get('model name', 'unknown processor')} ({sets})"


def cache_bytes() -> list[int]:
    """Sizes of the data caches of the first processor, from the first level on."""
    sizes: dict[int, int] = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()
            scale = {"K": 1 << 10, "M": 1 << 20}[size[-1]]
            sizes[int((index / "level").read_text())] = int(size[:-1]) * scale
    return [sizes[level] for level in sorted(sizes)] or [32 << 10, 512 << 10, 8 << 20]
