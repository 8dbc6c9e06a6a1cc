"""Runs the command line as a user does."""

import os
import subprocess
import sys
from pathlib import Path

import caffe

ROOT = Path(__file__).resolve().parents[1]


def command(*arguments):
    return [sys.executable, "-m", "caffe.cli", *map(str, arguments)]


def environment():
    # The package that is tested, which need not be the source tree's.
    package = Path(caffe.__file__).parents[1]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "GLOG_minloglevel": "0"}


def run(*arguments, cwd, **variables):
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def fails(done, *words):
    """Exit status 1, and a last line that has all the words."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last
