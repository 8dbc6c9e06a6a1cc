#!/usr/bin/env python3
"""Inference speed on a GPU: packed nets beside PyTorch in half precision, with torch.compile.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch numpy      # the peer's own environment
    .venv/bin/python benchmarks/inference_gpu.py --peers /tmp/peers/bin/python

Every engine computes the same shapes in a process of its own: nets of the zoo with random weights, see
inference_cpu.py, whose rounds these are, too. A pass goes from images that lie on the GPU (float32 for packed
nets, in its own precision and channels last for PyTorch) to probabilities on the host; one packed engine
takes its images from the host, which the copy over PCIe dominates. PyTorch has batch normalization folded
into convolutions wherever that is possible, and ReLU in place of Quant.

For each net and batch: milliseconds per batch and images per second, the ratio of the packed net to the
fastest engine in half precision (the goal is 2 at batch 64), and how outputs compare with this project's
float Net. Then the floor of each stage of the packed net: multiply-adds over the rate of large matrix
products (int8 for binary layers; TF32, which takes three for a product of floats, or two where weights are
int8), or bytes over the bandwidth of copies, whichever is longer, as measured by PyTorch in the same run; and
the share of the floor that is reached.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inference_cpu import NETS, Configuration, agreement, installed_versions, markdown, measure, prepare, say
from peers import bounds
from peers.contestant import module_environment
from peers.engines import Engine
from peers.files import Files
from peers.gpu_engines import GPU_ENGINES, PACKED_ON_GPU

GOAL = 2.0
#: Products of TF32 that a product of each kernel takes.
TF32_PRODUCTS = {"cuda_3xtf32_mma": 3, "cuda_2xtf32_mma": 2}


def why_no_gpu() -> str | None:
    """Why there is no GPU to measure, or None."""
    import caffe

    try:
        caffe._caffe.device_count()
    except caffe.Error as error:
        return str(error)
    return None


def measured_peaks(python: str) -> tuple[bounds.Peaks, dict[str, Any]] | None:
    """The GPU's peaks, for the packed nets' kernels and as they were measured; None without PyTorch."""
    command = [python, "-m", "peers.gpu_peaks"]
    result = subprocess.run(command, env=module_environment(), capture_output=True, text=True)
    if result.returncode != 0:
        say(f"no peaks: {(result.stderr.strip().splitlines() or ['no message'])[-1]}")
        return None
    found = json.loads(result.stdout)
    rates = found["rates"]
    by_kernel = {"cuda_int8_mma": rates["int8"]}
    by_kernel |= {kernel: rates["tf32"] / products for kernel, products in TF32_PRODUCTS.items()}
    return bounds.Peaks(by_kernel, tuple((size, rate) for size, rate in found["bandwidth"])), found


def usable_engines(patterns: Sequence[str], python: str) -> tuple[list[Engine], dict[str, str]]:
    """The engines to run, and why the others are missing."""
    has_torch = bool(installed_versions(python, ["torch"]))
    usable, missing = [], {}
    for engine in GPU_ENGINES.values():
        if patterns and not any(pattern in engine.name for pattern in patterns):
            continue
        if engine.packages and not has_torch:
            missing[engine.name] = f"not installed: {python} -m pip install torch"
        else:
            usable.append(engine)
    return usable, missing


def ratio(results: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """How many times as fast as the fastest engine in half precision the packed net is."""
    peers = [
        (result["ms"], name)
        for name, result in results.items()
        if GPU_ENGINES[name].kind == "half" and "ms" in result
    ]
    if not peers or "ms" not in results.get(PACKED_ON_GPU, {}):
        return None
    ms, peer = min(peers)
    return {"ratio": ms / results[PACKED_ON_GPU]["ms"], "peer": peer}


def batch_table(batch: int, results: dict[str, dict[str, Any]]) -> str:
    """What each engine took for a batch, and the ratio below."""
    rows, failures = [], []
    for name, result in results.items():
        if "ms" not in result:
            failures.append(f"{name}: {result['error']}")
            continue
        ms = result["ms"] * batch
        row = [name, f"{ms:.3f}", f"{result['least_ms'] * batch:.3f}", f"{1e3 * batch / ms:,.0f}"]
        rows.append([*row, f"{result['file_bytes'] / 1e6:,.1f}", agreement(GPU_ENGINES[name], result)])
    header = ["engine", "ms per batch", "least", "images/s", "model, MB", "difference, same class"]
    text = markdown(header, rows)
    if found := ratio(results):
        met = "met" if found["ratio"] >= GOAL else "not met"
        text += f"\n\npacked vs. {found['peer']}: {found['ratio']:.2f}x (goal {GOAL:g}x: {met})"
    return "\n\n".join([text, *failures])


def floor_table(result: dict[str, Any], batch: int, peaks: bounds.Peaks) -> str:
    """The floor of each stage and of the whole net, with the share that is reached."""
    stages = [bounds.Stage(*stage) for stage in result["stages"]]
    floor = sum(peaks.bound(stage).seconds for stage in stages)
    kernels = sum(stage.seconds for stage in stages)
    whole = result["ms"] * batch / 1e3
    return (
        markdown(bounds.HEADER, bounds.table(stages, peaks), left=2)
        + f"\n\nall stages: floor {floor * 1e6:,.0f} us, {floor / kernels:.0%} of their "
        f"{kernels * 1e6:,.0f} us, {floor / whole:.0%} of a pass"
    )


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["AlexNet", "ResNet-18"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument(
        "--engines", nargs="+", default=[], help="only those whose names contain one of these"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long passes go on in a round")
    parser.add_argument("--folder", type=Path, help="keeps the models there, for the next run")
    parser.add_argument(
        "-json", "--json", nargs="?", const="-", metavar="FILE", help="JSON, in place of tables without FILE"
    )
    arguments = parser.parse_args()
    if min(arguments.batches) < 1:
        parser.error("a batch has at least one image")
    return arguments


def run(arguments: argparse.Namespace, folder: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """Measures everything; returns it as JSON, and shows the tables one by one."""
    engines, missing = usable_engines(arguments.engines, arguments.peers)
    for name, reason in missing.items():
        show(f"Missing: {name}: {reason}")
    report: dict[str, Any] = {"missing": missing, "nets": {}}
    peaks = measured_peaks(arguments.peers)
    if peaks:
        report["peaks"] = peaks[1]
        show(f"Peaks: {json.dumps(peaks[1])}")
    for name in arguments.nets:
        files = Files(folder / name)
        prepare(name, files, engines, arguments.peers)
        report["nets"][name] = []
        for batch in arguments.batches:
            say(f"{name}: batch {batch}")
            results = measure(engines, files, Configuration(batch, 1), arguments)
            report["nets"][name].append({"batch": batch, "engines": results, "ratio": ratio(results)})
            show(f"\n## {name}, batch {batch}\n\n{batch_table(batch, results)}")
            if peaks and results.get(PACKED_ON_GPU, {}).get("stages"):
                show(f"\n{floor_table(results[PACKED_ON_GPU], batch, peaks[0])}")
    return report


def main() -> None:
    arguments = parsed_arguments()
    if reason := why_no_gpu():
        sys.exit(f"inference_gpu.py measures a GPU, and there is none: {reason}")
    show: Callable[[str], None] = say if arguments.json == "-" else print
    with tempfile.TemporaryDirectory() as temporary:
        report = run(arguments, arguments.folder or Path(temporary), show)
    if arguments.json:
        text = json.dumps(report, indent=1)
        if arguments.json == "-":
            print(text)
        else:
            Path(arguments.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
