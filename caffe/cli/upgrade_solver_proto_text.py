"""upgrade_solver_proto_text: brings a solver's definition to today's format."""

from __future__ import annotations

from collections.abc import Sequence

from caffe import _caffe
from caffe.cli.upgrade import upgrade


def run(arguments: Sequence[str]) -> int:
    return upgrade(
        "upgrade_solver_proto_text",
        "a solver's definition",
        "SolverParameter text proto",
        _caffe.upgrade_solver_text,
        arguments,
    )
