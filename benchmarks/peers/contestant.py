"""A contestant's process, which answers lines with lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ContestantFailed(RuntimeError):
    """The process ended early; the message says why."""


def module_environment() -> dict[str, str]:
    """The environment in which `peers` can be imported."""
    paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "GLOG_minloglevel": "2"}


class Contestant:
    """A process that may use so many threads, with more in its environment."""

    def __init__(self, command: list[str], threads: int, environment: Mapping[str, str]) -> None:
        numbers = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command,
            env=module_environment() | dict(environment) | numbers,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def ask(self, question: str) -> Any:
        """Sends a line and returns the answer."""
        assert self.process.stdin
        try:
            print(question, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        return self.answer()

    def answer(self) -> Any:
        """The next answer."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().split("\n")
        last = next((text for text in reversed(lines) if text.strip()), "no message")
        raise ContestantFailed(f"ended with status {self.process.returncode}: {last.strip()[:200]}")

    def close(self) -> None:
        """Ends the process, if it still runs."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()
