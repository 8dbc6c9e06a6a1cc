#!/usr/bin/env python3
"""Training speed and memory on a GPU: this project, and PyTorch beside it in the same run.

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy    # the peer's own environment
    .venv/bin/python benchmarks/train_gpu.py --peers /tmp/torch/bin/python
    .venv/bin/python benchmarks/train_gpu.py --cpu --nets LeNet-HWGQ --batch 8    # the script itself, tried

Every engine trains the same nets of the zoo on random images, as train_cpu.py does, whose rounds these are:
each in a process of its own, images already on the GPU. PyTorch builds the nets from the same list of layers,
channels-last, with a straight-through alpha * sign(W) and quantizer, as it is and by torch.compile. On both
sides floats may be multiplied as TF32; here the gradients of binary layers also are products of bfloat16, as
a contestant of its own (CAFFE_BACKWARD). PyTorch's automatic mixed precision in bfloat16 is shown, too, but
is no part of the goals: 1.5 times the images per second of PyTorch's best in TF32, and half of its peak
memory for activations, which is the peak without parameters, their gradients and their momentum.

The floor of a step is the sum of two: multiply-adds over the rates of large products, int8 for binary layers
going forward, TF32 or bfloat16 for all else; and bytes over the bandwidth of copies, where every layer with
weights writes its result once and has it read once, and so with its gradient. Rates are measured by PyTorch
in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from peers import cpu, training, training_worker
from peers.contestant import module_environment
from peers.training import NETS, Worker, measure

GOAL_SPEED, GOAL_MEMORY = 1.5, 0.5
TF32 = {"CAFFE_TF32": "1", "CAFFE_BACKWARD": "TF32"}
#: What a process of this project gets in its environment.
OWN = {"caffe": TF32, "caffe, bfloat16 gradients": TF32 | {"CAFFE_BACKWARD": "BF16"}}
#: PyTorch's contestants: options of peers.torch_training; and whether the goals compare with them.
PEERS = {
    "PyTorch": ([], True),
    "PyTorch, compiled": (["--compile"], True),
    "PyTorch, compiled for long": (["--compile", "max-autotune"], True),
    "PyTorch bfloat16, compiled": (["--bfloat16", "--compile"], False),
}


def why_no_gpu() -> str | None:
    """Why there is no GPU to measure, or None."""
    import caffe

    try:
        caffe._caffe.device_count()
    except caffe.Error as error:
        return str(error)
    return None


def costs(name: str, batch: int) -> dict[str, int]:
    """Of a step: multiply-adds of binary and of other layers going forward, and elements of their results."""
    net = training.make_solver(name, 1).net
    found = {"binary": 0, "other": 0, "results": 0}
    for layer_name, layer in zip(net._layer_names, net.layers, strict=True):
        if layer.type not in ("Convolution", "BinaryConvolution", "InnerProduct", "BinaryInnerProduct"):
            continue
        result, weights = net.blobs[net.top_names[layer_name][0]], layer.blobs[0]
        products = weights.count * result.count // weights.shape[0]
        found["binary" if layer.type.startswith("Binary") else "other"] += products * batch
        found["results"] += result.count * batch
    return found


def work(name: str, batch: int, seconds: float, on_gpu: bool) -> None:
    """This project in this process, as a worker (peers.training_worker)."""
    import caffe

    if on_gpu:
        caffe.set_mode_gpu()
    else:
        caffe.set_mode_cpu()
    solver = training.make_solver(name, batch, on_gpu)
    # As `caffe train` does.
    solver.net.reuses_memory = True
    kept = sum(blob.count for blobs in solver.net.params.values() for blob in blobs) * 12

    def gpu_memory() -> dict[str, int]:
        peak = caffe._caffe.gpu_memory()[1]
        return {"peak": peak, "activations": peak - kept}

    # A step reads the loss, so that it waits for the GPU.
    training_worker.serve(lambda: solver.step(1), batch, seconds, answers={"gpu_memory": gpu_memory})


def start(contestant: str, name: str, plan: Path, arguments: argparse.Namespace) -> Worker:
    """The process of a contestant, on a net."""
    if contestant in OWN:
        command = [sys.executable, __file__, "--work", name] + ["--cpu"] * arguments.cpu
    else:
        command = [arguments.peers, "-m", "peers.torch_training", str(plan), *PEERS[contestant][0]]
        command += ["--device", "cpu" if arguments.cpu else "cuda"]
    command += ["--batch", str(arguments.batch), "--seconds", str(arguments.seconds)]
    return Worker(command, arguments.threads, OWN.get(contestant, {}))


def measured_peaks(python: str) -> dict[str, Any] | None:
    """The GPU's peaks; None without PyTorch."""
    command = [python, "-m", "peers.gpu_peaks"]
    result = subprocess.run(command, env=module_environment(), capture_output=True, text=True)
    if result.returncode != 0:
        print(f"no peaks: {(result.stderr.strip().splitlines() or ['no message'])[-1]}", file=sys.stderr)
        return None
    return json.loads(result.stdout)


def floor(costs: dict[str, int], contestant: str, peaks: dict[str, Any]) -> dict[str, float]:
    """Seconds of a step's floor, by what it is for."""
    rates = peaks["rates"]
    backward = rates["half" if "bfloat16" in contestant else "tf32"]
    products = costs["binary"] / rates["int8"] + costs["other"] * 3 / rates["tf32"]
    products += costs["binary"] * 2 / backward
    copies = costs["results"] * 4 * 4 / peaks["bandwidth"][-1][1]
    return {"multiply-adds": products, "bytes": copies}


def table(results: dict[str, dict[str, Any]]) -> str:
    """One net's results as Markdown."""
    header = ["", "images/s", "peak memory, MB", "of it activations", "RAM, MB"]
    lines = [f"| {' | '.join(header)} |", f"| --- {'| ---: ' * (len(header) - 1)}|"]
    for contestant, result in results.items():
        if "error" in result:
            lines.append(f"| {contestant} | failed: {result['error']} {'| ' * (len(header) - 1)}|")
            continue
        memory = result.get("gpu_memory", {})
        cells = [f"{result['images_per_second']:,.1f}"]
        cells += [f"{memory[key] / 1e6:,.0f}" if memory else "" for key in ("peak", "activations")]
        cells.append(f"{result['peak_mb']:,.0f}")
        lines.append(f"| {contestant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdicts(results: dict[str, dict[str, Any]]) -> list[str]:
    """How each contestant of this project stands to PyTorch's best, and whether that meets the goals."""
    peers = [
        result
        for name, result in results.items()
        if name in PEERS and PEERS[name][1] and "images_per_second" in result
    ]
    lines: list[str] = []
    for name, result in results.items():
        if name not in OWN or "images_per_second" not in result or not peers:
            continue
        speed = result["images_per_second"] / max(peer["images_per_second"] for peer in peers)
        met = "met" if speed >= GOAL_SPEED else "not met"
        lines.append(f"{name}: {speed:.2f}x PyTorch's best images/s (goal {GOAL_SPEED}x: {met})")
        if "gpu_memory" in result:
            least = min(peer["gpu_memory"]["activations"] for peer in peers)
            share = result["gpu_memory"]["activations"] / least
            met = "met" if share <= GOAL_MEMORY else "not met"
            lines.append(f"{name}: {share:.2f} of PyTorch's activations (goal {GOAL_MEMORY}: {met})")
    return lines


def floors(
    results: dict[str, dict[str, Any]], batch: int, costs: dict[str, int], peaks: dict[str, Any]
) -> list[str]:
    """The share of the floor that each contestant of this project reaches."""
    lines = []
    for name, result in results.items():
        if name not in OWN or "images_per_second" not in result:
            continue
        parts = floor(costs, name, peaks)
        least, spent = sum(parts.values()), batch / result["images_per_second"]
        text = " + ".join(f"{1e3 * seconds:.2f} ms of {what}" for what, seconds in parts.items())
        lines.append(
            f"{name}: floor {text}, of {1e3 * spent:.2f} ms a step: {least / spent:.0%} of it reached"
        )
    return lines


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    nets = ["AlexNet-HWGQ", "ResNet-18-HWGQ", "ResNet-50-HWGQ"]
    parser.add_argument("--nets", nargs="+", choices=NETS, default=nets, metavar="NET")
    parser.add_argument("--engines", nargs="+", metavar="TEXT", help="contestants whose names hold a text")
    parser.add_argument("--peers", metavar="PYTHON", help="the interpreter that has PyTorch")
    parser.add_argument("--batch", type=int, default=128, help="less where 128 does not fit")
    parser.add_argument("--threads", type=int, default=4, help="of the CPU, for each process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of a round")
    parser.add_argument("--cpu", action="store_true", help="computes on the CPU: only to try the script")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there, too")
    parser.add_argument("--work", choices=NETS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Runs what the command line asks for."""
    arguments = parsed_arguments()
    os.environ.setdefault("GLOG_minloglevel", "2")
    if arguments.work:
        work(arguments.work, arguments.batch, arguments.seconds, not arguments.cpu)
        return
    if not arguments.cpu and (reason := why_no_gpu()):
        sys.exit(f"train_gpu.py measures a GPU, and there is none: {reason}")

    contestants = [*OWN, *(PEERS if arguments.peers else ())]
    if arguments.engines:
        contestants = [c for c in contestants if any(text in c for text in arguments.engines)]
    peaks = measured_peaks(arguments.peers) if arguments.peers and not arguments.cpu else None
    where = f"the CPU, which says nothing of a GPU: {cpu.name()}" if arguments.cpu else "a GPU"
    print(f"Training on {where}, medians of {arguments.rounds} rounds of {arguments.seconds:g} s")
    if peaks:
        print(f"Peaks: {json.dumps(peaks)}")
    questions = ("peak_mb",) if arguments.cpu else ("peak_mb", "gpu_memory")
    everything: dict[str, Any] = {"peaks": peaks, "batch": arguments.batch, "nets": {}}
    for name in arguments.nets:
        starts = {c: partial(start, c, name, arguments=arguments) for c in contestants}
        results = measure(starts, name, arguments.batch, arguments.rounds, questions)
        everything["nets"][name] = results
        lines = [] if arguments.cpu else verdicts(results)
        if peaks:
            lines += floors(results, arguments.batch, costs(name, arguments.batch), peaks)
        print(f"\n**{name}**, batch {arguments.batch}\n\n{table(results)}")
        print("".join(f"\n{line}" for line in lines), flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
