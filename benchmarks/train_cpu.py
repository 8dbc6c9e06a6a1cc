#!/usr/bin/env python3
"""Training speed and memory on the CPU: this project, and PyTorch beside it in the same run.

    python3 -m venv /tmp/torch                              # the peer's own environment
    /tmp/torch/bin/pip install torch numpy
    .venv/bin/python benchmarks/train_cpu.py --peers /tmp/torch/bin/python
    .venv/bin/python benchmarks/train_cpu.py --help         # fewer nets, threads, engines; JSON

Every engine trains the same nets of the zoo (weights alpha * sign(W) with a straight-through gradient, the
2-bit quantizer with its clipped gradient, batch normalization, SGD with momentum and weight decay) on random
images, already in memory, in a process of its own. For each net and number of threads, rounds of all engines
follow one another, so that a busy moment of the machine hits all alike; a round is as many iterations as fit
into some seconds after others that warm up. The table shows the median round in images per second, and each
process's peak memory (VmHWM), Python's own included.

PyTorch builds the nets from the same list of layers, in float32 and with its automatic mixed precision in
bfloat16, as it is and by torch.compile (which needs a C++ compiler), activations and weights channels-last.
"caffe, plain" is this project without oneDNN and without integers (CAFFE_ENGINE=CAFFE, HWGQ_FLOAT_NET=1),
"caffe, bfloat16" the mixed mode: binary layers exact on integers going forward, their gradients in bfloat16
(CAFFE_BACKWARD=BF16). The last columns hold float32 and bfloat16 against all others.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from peers import cpu, training, training_worker
from peers.training import NETS, Worker, measure

CAFFE, MIXED = "caffe", "caffe, bfloat16"
#: What a process of this project gets in its environment.
OWN = {
    CAFFE: {},
    MIXED: {"CAFFE_BACKWARD": "BF16"},
    "caffe, plain": {"CAFFE_ENGINE": "CAFFE", "HWGQ_FLOAT_NET": "1"},
}
#: PyTorch's contestants: options of peers.torch_training.
PEERS = {
    "PyTorch float32": [],
    "PyTorch float32, compiled": ["--compile"],
    "PyTorch bfloat16": ["--bfloat16"],
    "PyTorch bfloat16, compiled": ["--bfloat16", "--compile"],
}


def work(name: str, batch: int, seconds: float) -> None:
    """This project in this process, as a worker (peers.training_worker)."""
    import caffe

    caffe.set_mode_cpu()
    solver = training.make_solver(name, batch)
    # As `caffe train` does.
    solver.net.reuses_memory = True
    training_worker.serve(lambda: solver.step(1), batch, seconds)


def start(contestant: str, name: str, threads: int, plan: Path, arguments: argparse.Namespace) -> Worker:
    """The process of a contestant, on a net."""
    batch = str(arguments.batch or NETS[name].batch)
    if contestant in OWN:
        command = [sys.executable, __file__, "--work", name]
    else:
        command = [arguments.peers, "-m", "peers.torch_training", str(plan), *PEERS[contestant]]
    command += ["--batch", batch, "--seconds", str(arguments.seconds)]
    return Worker(command, threads, OWN.get(contestant, {}))


def table(results: dict[str, dict[str, Any]]) -> str:
    """One net's results as Markdown."""
    lines = [
        "|  | images/s | peak memory, MB | caffe is | in bfloat16 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    own = [results.get(contestant, {}).get("images_per_second") for contestant in (CAFFE, MIXED)]
    for contestant, result in results.items():
        if "error" in result:
            lines.append(f"| {contestant} | failed: {result['error']} | | | |")
            continue
        speed = result["images_per_second"]
        ratios = " | ".join(f"{mine / speed:.2f} x" if mine else "" for mine in own)
        lines.append(f"| {contestant} | {speed:,.1f} | {result['peak_mb']:,.0f} | {ratios} |")
    return "\n".join(lines)


def main() -> None:
    """Parses the command line and runs."""
    every = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NET")
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, every}))
    parser.add_argument("--engines", nargs="+", metavar="TEXT", help="contestants whose names hold a text")
    parser.add_argument("--peers", metavar="PYTHON", help="the interpreter that has PyTorch")
    parser.add_argument("--batch", type=int, help="another batch than the nets' own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of a round")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there, too")
    parser.add_argument("--work", choices=NETS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.batch, arguments.seconds)
        return

    contestants = [*OWN, *(PEERS if arguments.peers else ())]
    if arguments.engines:
        contestants = [c for c in contestants if any(text in c for text in arguments.engines)]
    print(f"Training on {cpu.name()}, medians of {arguments.rounds} rounds of {arguments.seconds:g} s")
    everything: dict[str, Any] = {}
    for name in arguments.nets:
        for threads in arguments.threads:
            starts = {c: partial(start, c, name, threads, arguments=arguments) for c in contestants}
            batch = arguments.batch or NETS[name].batch
            results = measure(starts, name, batch, arguments.rounds)
            everything[f"{name}, {threads}"] = results
            print(f"\n**{name}**, batch {batch}, {threads} thread(s)\n\n{table(results)}", flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
