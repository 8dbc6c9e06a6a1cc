#!/usr/bin/env python3
"""Trains on several GPUs, one process each."""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import os
import sys

import caffe
from caffe.proto import caffe_pb2


def train(solver: str, snapshot: str | None, gpus: list[int], timing: bool = False) -> None:
    """Trains ``solver`` (a prototxt), from ``snapshot`` if there is one, on these GPUs.

    ``snapshot`` is a .solverstate, or ``auto``: the newest whole one of the solver's snapshot_prefix.

    Raises:
        caffe.Error: the build has no CUDA or no NCCL.
        RuntimeError: a process failed; what it said is on standard error.
    """
    uid = caffe.NCCL.new_uid()
    caffe.init_log()
    if snapshot == "auto":
        # For all processes the same.
        param = caffe_pb2.SolverParameter.FromString(caffe._caffe.read_solver_text(solver))
        snapshot = caffe._caffe.newest_snapshot(param.snapshot_prefix)
    caffe.log(f"Using devices {gpus}")
    # The processes share the processors.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(len(os.sched_getaffinity(0)) // len(gpus), 1)))
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    processes = [
        context.Process(target=solve, args=(solver, snapshot, gpus, timing, uid, rank))
        for rank in range(len(gpus))
    ]
    for process in processes:
        process.start()
    failed = [str(gpus[rank]) for rank in _wait(processes)]
    if failed:
        raise RuntimeError(f"training failed on GPU {', '.join(failed)}")


def _wait(processes: list[multiprocessing.process.BaseProcess]) -> list[int]:
    """Waits for all, and tells which failed; the others, which wait for those, are then stopped."""
    running = list(processes)
    failed: list[int] = []
    try:
        while running and not failed:
            multiprocessing.connection.wait([process.sentinel for process in running])
            running = [process for process in processes if process.is_alive()]
            failed = [rank for rank, process in enumerate(processes) if process.exitcode]
    finally:
        for process in running:
            process.terminate()
        for process in processes:
            process.join()
    return failed


def time(solver: caffe.SGDSolver, nccl: caffe.NCCL) -> None:
    """Logs, at each display, how long each layer's passes and the exchange of gradients took, in ms."""
    forward, backward = ([caffe.Timer() for _ in solver.net.layers] for _ in range(2))
    total, exchange = caffe.Timer(), caffe.Timer()
    net = solver.net
    net.before_forward(lambda layer: forward[layer].start())
    net.after_forward(lambda layer: forward[layer].stop())
    net.before_backward(lambda layer: backward[layer].start())
    net.after_backward(lambda layer: backward[layer].stop())

    def show() -> None:
        if solver.param.display and solver.iter % solver.param.display == 0:
            lines = [
                f"{name:>30} forward {forward[i].ms:8.3f} backward {backward[i].ms:8.3f}"
                for i, name in enumerate(net._layer_names)
            ]
            caffe.log("\n".join([f"iteration took {total.ms:.3f} ms, exchange {exchange.ms:.3f} ms", *lines]))

    solver.add_callback(lambda: total.start(), lambda: exchange.start())
    solver.add_callback(nccl)
    solver.add_callback(lambda: None, lambda: (exchange.stop(), total.stop(), show()))


def solve(proto: str, snapshot: str | None, gpus: list[int], timing: bool, uid: str, rank: int) -> None:
    """Trains as number ``rank`` of the processes that share ``uid``."""
    caffe.set_mode_gpu()
    caffe.set_device(gpus[rank])
    caffe.set_solver_count(len(gpus))
    caffe.set_solver_rank(rank)
    caffe.set_multiprocess(True)

    solver = caffe.get_solver(proto)
    if snapshot:
        solver.restore(snapshot)
    nccl = caffe.NCCL(solver, uid)
    nccl.bcast()
    if timing and rank == 0:
        time(solver, nccl)
    else:
        solver.add_callback(nccl)
    if solver.param.layer_wise_reduce:
        solver.net.after_backward(nccl)
    solver.step(solver.param.max_iter - solver.iter)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solver", required=True, help="the solver's prototxt")
    parser.add_argument("--snapshot", help="the .solverstate to resume from, or auto: the newest whole one")
    parser.add_argument("--gpus", type=int, nargs="+", default=[0], help="the GPUs, by number")
    parser.add_argument("--timing", action="store_true", help="log how long each layer takes")
    arguments = parser.parse_args()
    try:
        train(arguments.solver, arguments.snapshot, arguments.gpus, arguments.timing)
    except (caffe.Error, OSError, RuntimeError) as error:
        sys.exit(f"train.py: {error}")
    except KeyboardInterrupt:
        sys.exit("train.py: interrupted")
