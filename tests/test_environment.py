"""What the package tells the libraries of its engine before they are loaded."""

import os
import subprocess
import sys

import pytest

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_CORETYPE")


def value_after_import(root, name, given):
    environment = {key: value for key, value in os.environ.items() if key not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", f"import caffe, os; print(os.environ.get('{name}'))"],
        env={**environment, "PYTHONPATH": str(root), **given},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "2000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
    ],
)
def test_waiting_is_short_unless_the_user_says_otherwise(root, given, expected):
    assert value_after_import(root, "GOMP_SPINCOUNT", given) == expected


def test_kernels_are_the_same_on_all_processors_with_avx512(root):
    with open("/proc/cpuinfo") as cpuinfo:
        text = cpuinfo.read()
    has_them = all(f" avx512{part}" in text for part in ("f", "cd", "bw", "dq", "vl"))
    assert value_after_import(root, "OPENBLAS_CORETYPE", {}) == ("SkylakeX" if has_them else "None")
    assert value_after_import(root, "OPENBLAS_CORETYPE", {"OPENBLAS_CORETYPE": "Haswell"}) == "Haswell"
