#!/usr/bin/env python3
"""Inference speed and memory on the CPU: this project, packed and in float, beside other engines.

    python3 -m venv /tmp/peers                              # the peers' own environment
    /tmp/peers/bin/pip install onnx onnxruntime openvino nncf ai-edge-litert
    .venv/bin/python benchmarks/inference_cpu.py --peers /tmp/peers/bin/python
    .venv/bin/python benchmarks/inference_cpu.py --help     # fewer nets, batches, threads, engines; JSON

Every engine computes the same shapes in a process of its own: nets of the zoo with random weights, and batch
normalization that fits random images. For each net, batch and number of threads, rounds of all engines follow
one another, so that a busy moment of the machine hits all alike; a round is a pass to warm up, then passes
for some time. The table shows medians over all passes, from images as a float32 array to probabilities as an
array, and each process's peak memory (VmHWM), Python's own included.

The packed net and caffe.Net compute the net as it is. In the peers' models binary layers are ordinary ones
with weights +-alpha, Quant, which they cannot express cheaply, is ReLU, and batch normalization is folded
into convolutions wherever that is possible, also through max pooling. Their int8 models are statically
quantized, weights by channel: ONNX Runtime's by its quantize_static (QDQ), OpenVINO's a QDQ model too and one
by NNCF, LiteRT's written directly (no converter is needed). Below the table is in which types OpenVINO
computes.

What engines compute is compared for the largest batch: the largest difference from this project's float Net
before the softmax, relative to its largest value there (the median of the images), and the share of images of
which the same class is best. Peers are compared with the net with ReLU, packed nets with the net as it is.
With random weights a code on the other side of a threshold changes the whole rest of the net, and int8
changes much: this says nothing about trained nets. On processors with AMX there are variants that keep off
it: HWGQ_AMX for packed nets, ONEDNN_MAX_CPU_ISA for OpenVINO.

Then, for each net packed, what bounds its stages: multiply-adds over the measured peak of the kernel
(build/benchmarks/binary_kernels, else the fastest stage of the net; float32 in registers), bytes over the
measured bandwidth of the cache that holds them, whichever takes longer. Kernels named "winograd" take but
a quarter of a convolution's multiply-adds, and so may take less than all of them would.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers import bounds, cpu
from peers.contestant import Contestant, ContestantFailed, module_environment
from peers.engines import ENGINES, Engine
from peers.files import Files

ROOT = Path(__file__).resolve().parents[1]
NETS = {
    "AlexNet": "models/alexnet_hwgq/deploy.prototxt",
    "ResNet-18": "models/resnet18_hwgq/deploy.prototxt",
    "VGG": "models/vggnet_hwgq/deploy.prototxt",
    "CIFAR-VGG": "examples/cifar10/vgg-hwgq-3ne-clip-poly/deploy.prototxt",
}
#: The largest relative difference of a float peer from this project's float Net.
AGREE = 1e-3


class Configuration(NamedTuple):
    """Images of a batch, and threads."""

    batch: int
    threads: int

    def __str__(self) -> str:
        return f"b{self.batch} t{self.threads}"


class Worker(Contestant):
    """An engine's process, with a network loaded; its first answer comes when it is."""

    def __init__(self, engine: Engine, python: str, folder: Path, configuration: Configuration) -> None:
        command = [python, "-m", "peers.worker", engine.name, str(folder), *map(str, configuration)]
        super().__init__(command, configuration.threads, engine.environment)
        self.times: list[float] = []
        self.details: dict[str, Any] = {}


def say(text: str) -> None:
    """Shows progress."""
    print(text, file=sys.stderr, flush=True)


def run_module(python: str, module: str, *arguments: Path | str) -> str | None:
    """Runs a module; returns what went wrong, or None."""
    command = [python, "-m", module, *map(str, arguments)]
    result = subprocess.run(command, env=module_environment(), capture_output=True, text=True)
    if result.returncode == 0:
        return None
    return (result.stderr.strip().splitlines() or [f"status {result.returncode}"])[-1]


def installed_versions(python: str, packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that a Python has."""
    code = """
import importlib.metadata, json, sys
found = {}
for package in sys.argv[1:]:
    try:
        found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
    result = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{python}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def usable_engines(
    patterns: Sequence[str], python: str
) -> tuple[list[Engine], dict[str, str], dict[str, str]]:
    """The engines to run, why the others are missing, and the versions of the peers."""
    wanted = [e for e in ENGINES.values() if not patterns or any(p in e.name for p in patterns)]
    packages = sorted({package for engine in wanted for package in engine.packages})
    versions = installed_versions(python, packages)
    usable, missing = [], {}
    for engine in wanted:
        absent = [package for package in engine.packages if package not in versions]
        if engine.flags and not any(map(cpu.has, engine.flags)):
            missing[engine.name] = f"needs a processor with {' or '.join(engine.flags)}"
        elif absent:
            missing[engine.name] = f"not installed: {python} -m pip install {' '.join(absent)}"
        else:
            usable.append(engine)
    return usable, missing, versions


def scores(probabilities: np.ndarray) -> np.ndarray:
    """What the softmax was computed of, less the mean of each image."""
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    return logarithms - logarithms.mean(1, keepdims=True)


def compared(engine: Engine, output: Sequence[Sequence[float]], files: Files) -> dict[str, Any]:
    """How an output compares with what is expected.

    `differences` are the images' largest differences of scores, relative to the largest score expected;
    `same_class` is the share of images with the same best class.
    """
    expected = np.load(files.expected(engine.expected))
    # Images are repeated where a batch has more.
    expected = scores(np.resize(expected, (len(output), *expected.shape[1:])))
    found = scores(np.array(output))
    differences = np.abs(found - expected).max(1) / np.abs(expected).max(1)
    same = np.mean(found.argmax(1) == expected.argmax(1))
    return {"differences": differences.tolist(), "same_class": float(same)}


def timing(seconds: Sequence[float], batch: int) -> dict[str, float]:
    """Milliseconds per image of some passes."""
    per_image = 1e3 / batch
    return {
        "ms": statistics.median(seconds) * per_image,
        "least_ms": min(seconds) * per_image,
        "passes": len(seconds),
    }


def measure(
    engines: Sequence[Engine], files: Files, configuration: Configuration, arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """All engines on one net, batch and number of threads: what each took, or its error."""
    workers: dict[str, Worker] = {}
    by_name = {engine.name: engine for engine in engines}
    results: dict[str, dict[str, Any]] = {engine.name: {} for engine in engines}

    def each(action: Callable[[Worker], None]) -> None:
        for name in list(workers):
            try:
                action(workers[name])
            except ContestantFailed as error:
                results[name] = {"error": str(error)}
                workers.pop(name).close()

    try:
        for engine in engines:
            python = arguments.peers if engine.is_peer else sys.executable
            workers[engine.name] = Worker(engine, python, files.folder, configuration)
        each(lambda worker: worker.details.update(worker.answer()))
        for _ in range(arguments.rounds):
            each(lambda worker: worker.times.extend(worker.ask(f"round {arguments.seconds}")))
        each(lambda worker: worker.details.update(stages=worker.ask("profile")))
        each(lambda worker: worker.details.update(peak_mb=worker.ask("end")))
        for name, worker in workers.items():
            comparison = compared(by_name[name], worker.details.pop("output"), files)
            results[name] = timing(worker.times, configuration.batch) | comparison | worker.details
    finally:
        for worker in workers.values():
            worker.close()
    return results


def prepare(name: str, files: Files, engines: Sequence[Engine], python: str) -> None:
    """Makes the models of one net. What the folder has is kept, but packed anew: their format may change."""
    files.folder.mkdir(parents=True, exist_ok=True)
    say(f"{name}: this project's models")
    if error := run_module(sys.executable, "peers.from_caffe", ROOT / NETS[name], files.folder):
        say(f"{name}: {error}")
    if any(engine.is_peer for engine in engines) and not files.model("prepared").exists():
        say(f"{name}: the peers' models")
        if error := run_module(python, "peers.prepare", files.folder):
            say(f"{name}: {error}")
        else:
            files.model("prepared").touch()


def best(
    results: dict[str, dict[str, Any]], kind: str, without_amx: bool = False
) -> tuple[str, float] | None:
    """The fastest engine of a kind, with its milliseconds per image."""
    times = [
        (result["ms"], name)
        for name, result in results.items()
        if ENGINES[name].kind == kind and ENGINES[name].without_amx == without_amx and "ms" in result
    ]
    return min(times)[::-1] if times else None


def ratios(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How many times as fast as the best peers the packed net is."""
    found = {}
    rows = (
        ("packed vs. best int8 peer", "packed", "int8", False),
        ("packed vs. best float32 peer", "packed", "float32", False),
        ("packed vs. best bfloat16 peer", "packed", "bfloat16", False),
        ("packed vs. best int8 peer, no AMX", "packed, no AMX", "int8", True),
    )
    for title, packed, kind, without_amx in rows:
        peer = best(results, kind, without_amx)
        if peer and "ms" in results.get(packed, {}):
            found[title] = {"ratio": peer[1] / results[packed]["ms"], "peer": peer[0]}
    return found


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table; its first columns are aligned left, the others right."""
    lines = [list(header), ["---" if i < left else "---:" for i in range(len(header))], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def milliseconds(value: float) -> str:
    """Three digits, as far as there are that many."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def agreement(engine: Engine, result: dict[str, Any]) -> str:
    """How an engine's output compares, in words."""
    text = f"{statistics.median(result['differences']):.0e}, {result['same_class']:.0%}"
    is_wrong = engine.kind == "float32" and max(result["differences"]) > AGREE
    return text + (" WRONG" if is_wrong else "")


def net_table(measured: dict[Configuration, dict[str, dict[str, Any]]]) -> str:
    """Milliseconds per image and peak memory of each engine, with the ratios below."""
    configurations = list(measured)
    largest = max(configurations)
    fewest = min(configuration.threads for configuration in configurations)
    memory = [c for c in configurations if c.threads == fewest]
    header = ["ms per image", *map(str, configurations)]
    header += [f"peak MB, b{c.batch}" for c in memory] + ["model, MB", "difference, same class"]
    rows, failures = [], []
    for name in measured[largest]:
        results = {c: measured[c][name] for c in configurations}
        last = results[largest]
        if "ms" not in last:
            failures.append(f"{name}: {last['error']}")
            continue
        row = [name, *(milliseconds(r["ms"]) if "ms" in r else "-" for r in results.values())]
        row += [f"{results[c]['peak_mb']:,.0f}" if "ms" in results[c] else "-" for c in memory]
        rows.append([*row, f"{last['file_bytes'] / 1e6:,.1f}", agreement(ENGINES[name], last)])
    text = markdown(header, rows)
    found = {c: ratios(measured[c]) for c in configurations}
    for title in dict.fromkeys(title for value in found.values() for title in value):
        parts = [f"{c} {found[c][title]['ratio']:.2f}x ({found[c][title]['peer']})" for c in configurations]
        text += f"\n\n{title}: " + ", ".join(parts)
    for note in precision_notes(measured[largest]) + failures:
        text += f"\n\n{note}"
    return text


def precision_notes(results: dict[str, dict[str, Any]]) -> list[str]:
    """In which types OpenVINO computes its int8 models."""
    return [
        f"{name} computes "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(result["precisions"].items()))
        for name, result in results.items()
        if ENGINES[name].kind == "int8" and "precisions" in result
    ]


def stages_table(result: dict[str, Any], peaks: bounds.Peaks) -> str:
    """What bounds each stage of a packed net."""
    stages = [bounds.Stage(*stage) for stage in result["stages"]]
    return markdown(bounds.HEADER, bounds.table(stages, peaks), left=2)


def peaks_line(threads: int, peaks: bounds.Peaks) -> str:
    """The peaks in words."""
    arithmetic = [f"{name} {rate * 1e-9:,.0f}" for name, rate in peaks.multiply_adds.items()]
    memory = [f"{rate * 1e-9:,.0f} up to {size / (1 << 20):,.1f} MiB" for size, rate in peaks.bandwidth]
    return (
        f"{threads} thread(s): multiply-adds a nanosecond: {', '.join(arithmetic) or 'not measured'}; "
        f"copies, GB/s: {', '.join(memory)}"
    )


def parsed_arguments() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=sys.executable, help="the Python that has the peers installed")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16], help="at most 16")
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, cores}))
    parser.add_argument(
        "--engines", nargs="+", default=[], help="only those whose names contain one of these"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long passes go on in a round")
    parser.add_argument("--folder", type=Path, help="keeps the models there, for the next run")
    parser.add_argument(
        "--kernel-benchmark",
        type=Path,
        default=ROOT / "build/benchmarks/binary_kernels",
        help="the program that measures the binary kernels",
    )
    parser.add_argument("--no-bounds", action="store_true", help="leaves out what bounds the stages")
    parser.add_argument(
        "-json", "--json", nargs="?", const="-", metavar="FILE", help="JSON, in place of tables without FILE"
    )
    arguments = parser.parse_args()
    if not all(1 <= batch <= 16 for batch in arguments.batches):
        parser.error("batches are of 1 to 16 images")
    return arguments


def run(arguments: argparse.Namespace, folder: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """Measures everything; returns it as JSON, and shows the tables one by one."""
    engines, missing, versions = usable_engines(arguments.engines, arguments.peers)
    show(f"Processor: {cpu.name()}")
    show("Peers: " + (", ".join(f"{name} {version}" for name, version in versions.items()) or "none"))
    for name, reason in missing.items():
        show(f"Missing: {name}: {reason}")
    report: dict[str, Any] = {"processor": cpu.name(), "peers": versions, "missing": missing, "nets": {}}
    peaks = {}
    if not arguments.no_bounds and any(engine.kind == "packed" for engine in engines):
        peaks = {t: bounds.measured_peaks(t, arguments.kernel_benchmark) for t in arguments.threads}
        report["peaks"] = {threads: value.as_json() for threads, value in peaks.items()}
        for threads, value in peaks.items():
            show(f"Peaks, {peaks_line(threads, value)}")
    for name in arguments.nets:
        files = Files(folder / name)
        prepare(name, files, engines, arguments.peers)
        measured: dict[Configuration, dict[str, dict[str, Any]]] = {}
        for batch in arguments.batches:
            for threads in arguments.threads:
                configuration = Configuration(batch, threads)
                say(f"{name}: batch {batch}, {threads} thread(s)")
                measured[configuration] = measure(engines, files, configuration, arguments)
        report["nets"][name] = net_report(measured)
        show(f"\n## {name}\n\n{net_table(measured)}")
        for configuration, results in measured.items():
            if peaks and results.get("packed", {}).get("stages"):
                show(f"\n{name}, packed, {configuration}:\n")
                show(stages_table(results["packed"], peaks[configuration.threads]))
    return report


def net_report(measured: dict[Configuration, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A net's measurements as JSON."""
    return [
        {"batch": c.batch, "threads": c.threads, "engines": results, "ratios": ratios(results)}
        for c, results in measured.items()
    ]


def main() -> None:
    arguments = parsed_arguments()
    show: Callable[[str], None] = print
    if arguments.json == "-":
        show = say
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
