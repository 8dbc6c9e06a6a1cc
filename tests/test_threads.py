"""How threads wait for each other."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "2000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
    ],
)
def test_waiting_is_short_unless_the_user_says_otherwise(root, given, expected):
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", "import caffe, os; print(os.environ.get('GOMP_SPINCOUNT'))"],
        env={**environment, "PYTHONPATH": str(root), **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected
