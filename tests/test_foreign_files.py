"""Files that somebody else made, or that are damaged, are refused by an error: tests/foreign_files.py changes
sound ones at random and reads them in a process of little memory, which an input that takes long would end.

CAFFE_FOREIGN_FILES=100000 reads so many of each kind, others each time.
"""

import os
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tool_runner import environment

FILES = int(os.environ.get("CAFFE_FOREIGN_FILES", 0))
SCRIPT = Path(__file__).with_name("foreign_files.py")
QUICK = {"net": 150, "onnx": 150}
READERS = ["array", "packed_array", "datum", "mean", "npy", "labels", "idx", "cifar"]
READERS += ["net", "weights", "packed_model", "log"]
READERS += [pytest.param("onnx", marks=pytest.mark.skipif(not find_spec("onnx"), reason="needs onnx"))]


@pytest.mark.parametrize("reader", READERS)
def test_changed_files_are_read_or_refused(reader, tmp_path):
    count, seed = (FILES, random.randrange(1 << 30)) if FILES else (QUICK.get(reader, 400), 7)
    asan = f"{os.environ.get('ASAN_OPTIONS', '')}:max_allocation_size_mb=512"
    done = subprocess.run(
        [sys.executable, SCRIPT, reader, str(count), str(seed), tmp_path],
        env=environment() | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ASAN_OPTIONS": asan},
        capture_output=True,
        text=True,
        check=False,
    )
    made = sorted(tmp_path.glob("input*"))
    content = [path.read_bytes() for path in made]
    assert done.returncode == 0, f"seed {seed}: status {done.returncode} on {content}\n{done.stderr[-4000:]}"
    refused = int(done.stdout.splitlines()[-1])
    assert 0 < refused < count or reader in ("labels", "log"), f"{refused} of {count} were refused"
