"""What the engine's libraries read when they are loaded, so that it has to be said before.

GNU OpenMP: by default threads wait for each other in a busy loop for milliseconds. Where other programs
want the same processors, the loops take the time of those they wait for, and training slows down tenfold. A
short loop costs next to nothing where the machine is free. OMP_WAIT_POLICY or GOMP_SPINCOUNT, if set,
decide instead.

OpenBLAS: it has several sets of kernels for processors with AVX-512, equally fast, that add up in different
orders. One set for all of them makes results the same on each: a sum that lies within rounding of a
quantizer's threshold goes to the same side. OPENBLAS_CORETYPE, if set, decides instead.
"""

import os

#: What the kernels named SkylakeX need.
_AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def _has_avx512() -> bool:
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            flags = next((line.split() for line in cpuinfo if line.startswith("flags")), [])
    except OSError:
        return False
    return _AVX512.issubset(flags)


if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
if _has_avx512():
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
