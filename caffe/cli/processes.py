"""Training in several processes that mpirun, or another launcher of MPI programs, has started."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from .. import _caffe

_Result = TypeVar("_Result")

_ERRORS_ONLY = 2


def launched() -> int | None:
    """How many processes a launcher of MPI programs has started with this one; None without a launcher, and 0
    where it does not tell."""
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    if "PMIX_RANK" not in os.environ:
        return None
    number = os.environ.get("SLURM_STEP_NUM_TASKS", "")
    return int(number) if number.isdigit() else 0


class CommonError(ValueError):
    """An error that all processes know of; raised in the root, which tells it."""


class _CommonExit(SystemExit):
    """The end of another process than the root by such an error."""


class Together:
    """The processes that train together, seen from one of them."""

    def __init__(self, group: _caffe.ProcessGroup) -> None:
        self.group = group
        self.is_root = group.rank == 0

    def do(self, step: Callable[[], _Result]) -> _Result:
        """Does a step in which the processes do not wait for each other. Where it fails in any of them, it
        does so in all, by the first one's error, which names its rank."""
        problem = ""
        try:
            result = step()
        except (_caffe.Error, OSError, ValueError) as error:
            problem = f"rank {self.group.rank} ({self.group.host}): {error}"
        self.end_for(problem)
        return result

    def end_for(self, problem: str) -> None:
        """Ends all where any of them has a problem."""
        problems = [text for text in self.group.gather(os.fsencode(problem)) if text]
        if problems:
            raise CommonError(os.fsdecode(problems[0])) if self.is_root else _CommonExit(1)

    def end(self, prog: str, error: BaseException) -> None:
        """Leaves the others where they know of the error, too, and else ends them: they may wait for this
        one."""
        if isinstance(error, (CommonError, _CommonExit)):
            self.group.leave()
            return
        from . import report_error

        try:
            status = report_error(f"{prog}: rank {self.group.rank} ({self.group.host})", error)
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stderr.flush()
        self.group.abort(status)


@contextlib.contextmanager
def together(prog: str, insists: bool) -> Iterator[Together | None]:
    """A with block in which this process belongs to those that a launcher has started; None where it is
    alone. ``insists`` looks for them even where nothing tells of a launcher."""
    number = launched()
    if number == 1 or (number is None and not insists):
        yield None
        return
    if not _caffe.has_mpi():
        reason = "-mpi was given"
        if number is not None:
            reason = f"mpirun has started {number or 'several'} processes, each of which would train alone"
        raise ValueError(
            f"{reason}: this Caffe has no MPI part; install MPI with its development files (Debian and "
            "Ubuntu: libopenmpi-dev and openmpi-bin), and build Caffe again"
        )
    group = _caffe.join_mpi()
    processes = Together(group)
    _caffe.set_solver_count(group.size)
    _caffe.set_solver_rank(group.rank)
    _caffe.set_multiprocess(True)
    try:
        if number and group.size != number:
            raise ValueError(
                f"mpirun has started {number} processes, but Caffe's MPI part finds {group.size}: it was "
                "built with another MPI; build Caffe again with the one that mpirun belongs to"
            )
        if not processes.is_root:
            _caffe.init_log(_ERRORS_ONLY)
        yield processes
    except BaseException as error:
        processes.end(prog, error)
        raise
    group.leave()
