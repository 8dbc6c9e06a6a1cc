#!/usr/bin/env python3
"""How training in several processes scales: measured on this machine, and computed for many GPUs.

    .venv/bin/python benchmarks/scaling.py measure                  # by mpirun; needs Caffe built with MPI
    .venv/bin/python benchmarks/scaling.py model                    # from the nets of the zoo alone
    .venv/bin/python benchmarks/scaling.py model --batch 32 --rate 120

``measure`` trains each net with 1, 2 and 4 processes of a thread each, the batch of each process always the
same (weak scaling), on random images in memory. Rounds of three ways follow one another: processes apart,
whose loss is what the machine lacks (memory's bandwidth, processors where there are more processes than
these); processes whose gradients travel while backward runs; and processes whose gradients travel after it
(layer_wise_reduce: false). The median round counts.

``model`` adds up a training step. Forward and backward of each layer take their multiply-adds, doubled
backward, by a stated rate. As in the engine (ParamLayout::FirstToSend), a part of the gradients starts on
its way when 4 MiB of them (as floats) are complete, one part after the other; the step ends when backward
and the last part have ended. A part of S bytes takes, on n GPUs of which g share a machine (m = n / g),

    ring: 2 (n - 1) / n S / B + 2 ((n - m) a + m b)
    tree: 2 S / B + 2 ((g - 1) a + log2(m) b)

where a and b are the delays of a hop within and between machines, and B the bandwidth of the narrowest
link: of NVLink in one machine, and else the smaller of it and of what leaves a machine. The faster counts.
Gradients of fewer bits cost passes over memory that make and read them. In brackets stands the efficiency
where gradients travel after backward.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from peers.training import NETS, ROOT, Setting, make_solver

# ------------------------------------------------------------------------------------------------ measurement

PROCESSES = (1, 2, 4)
MEASURED = {"LeNet-HWGQ": 64, "CIFAR-VGG-HWGQ": 25, "AlexNet-HWGQ": 16, "ResNet-18-HWGQ": 4}
WAYS = ("apart", "overlapped", "afterwards")


def work(name: str, batch: int, way: str, iterations: int, output: Path) -> None:
    """One of the processes: writes the seconds of its iterations."""
    import caffe
    from caffe import _caffe

    group = _caffe.join_mpi()
    if way != "apart":
        caffe.set_solver_count(group.size)
        caffe.set_solver_rank(group.rank)
        caffe.set_multiprocess(True)
    _caffe.init_log(2)
    caffe.set_mode_cpu()
    moments = []
    solver = make_solver(name, batch, layer_wise_reduce=way == "overlapped", max_iter=iterations)
    solver.add_callback(lambda: moments.append(time.perf_counter()), lambda: None)
    group.gather(b"")  # All begin together.
    if way == "apart":
        solver.solve()
    else:
        _caffe.solve_in_processes(solver, group)
    moments.append(time.perf_counter())
    output.joinpath(f"{group.rank}.json").write_text(json.dumps(moments))
    group.leave()


def measure_once(name: str, batch: int, processes: int, way: str, iterations: int) -> float:
    """Images per second of all processes together; the first third of the iterations warms up."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mpirun", "-n", str(processes), sys.executable, __file__, "work", name]
        command += [str(batch), way, str(iterations), folder]
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_hwloc_base_binding_policy": "none",
        }
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        moments = [json.loads(path.read_text()) for path in Path(folder).iterdir()]
    first = iterations // 3
    return sum(batch * (iterations - first) / (seen[-1] - seen[first]) for seen in moments)


def measure(arguments: argparse.Namespace) -> None:
    rows = ["| net, images a process | processes | " + " | ".join(WAYS) + " | of one's | of apart |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    processors = len(os.sched_getaffinity(0))
    for name in arguments.nets or MEASURED:
        batch = MEASURED[name]
        seconds = batch / measure_once(name, batch, 1, "apart", 6)
        iterations = max(12, round(arguments.seconds / seconds))
        rates: dict[tuple[int, str], list[float]] = {}
        for _ in range(arguments.rounds):
            for processes in PROCESSES:
                for way in WAYS if processes > 1 else ("apart",):
                    rate = measure_once(name, batch, processes, way, iterations)
                    rates.setdefault((processes, way), []).append(rate)
        medians = {key: statistics.median(values) for key, values in rates.items()}
        for processes in PROCESSES:
            found = [medians.get((processes, way)) for way in WAYS]
            possible = medians[1, "apart"] * min(processes, processors)
            cells = ["" if rate is None else f"{rate:,.1f}" for rate in found]
            for whole in (possible, found[0]):
                cells.append(f"{100 * found[1] / whole:.0f} %" if found[1] else "")
            rows.append(f"| {name}, {batch} | {processes} | " + " | ".join(cells) + " |")
            print(rows[-1], file=sys.stderr)
    print("\n".join(rows))


# ------------------------------------------------------------------------------------------------------ model

ZOO = {
    "AlexNet": NETS["AlexNet-HWGQ"],
    "ResNet-18": NETS["ResNet-18-HWGQ"],
    "ResNet-34": Setting("imagenet/res34-hwgq-3ne-clip-poly-320k", 32, (3, 224, 224), 1000),
    "ResNet-50": NETS["ResNet-50-HWGQ"],
    "GoogLeNet": Setting("imagenet/google-hwgq-3ne-clip-poly-320k", 32, (3, 224, 224), 1000),
    "VggNet": Setting("imagenet/vgg-hwgq-3ne-clip-poly-640k", 32, (3, 224, 224), 1000),
    "DarkNet19": Setting("imagenet/dark19-hwgq-3ne-clip-poly-320k", 32, (3, 224, 224), 1000),
}
GPUS = (8, 16, 64, 256, 1024)
GPUS_OF_MACHINE = 8
PART_BYTES = 4 << 20


class Link(NamedTuple):
    """What leaves a machine: bytes a second in each direction, and seconds of a hop."""

    name: str
    bandwidth: float
    delay: float


NVLINK = Link("NVLink", 450e9, 3e-6)
NETWORKS = (Link("400 Gb/s InfiniBand a GPU", 8 * 50e9, 8e-6), Link("100 GbE a machine", 12.5e9, 30e-6))
#: Of a link's bandwidth, what large collectives reach.
SHARE_OF_BANDWIDTH = 0.8
MEMORY_BANDWIDTH = 3.35e12
#: Bits a number, and passes over memory (4 bytes a number) that making and reading them takes.
WIDTHS = {"32-bit": (32, 0), "16-bit": (16, 2), "1-bit": (1, 4)}


class Work(NamedTuple):
    """A layer's multiply-adds for an image, and its parameters."""

    multiply_adds: float
    parameters: int


def layers_of(setting: Setting) -> list[Work]:
    """The layers of a net of the zoo, as it trains."""
    from caffe.summary import summarize

    path = ROOT / "examples" / setting.folder / "train_val.prototxt"
    summary = summarize(str(path), input_shapes={"data": (1, *setting.image)})
    return [Work(layer.multiply_adds / summary.batch, layer.parameters) for layer in summary.layers]


def exchange_seconds(size: float, gpus: int, network: Link) -> float:
    """The sum of ``size`` bytes over all GPUs: the faster of ring and tree."""
    of_machine = min(gpus, GPUS_OF_MACHINE)
    machines = gpus // of_machine
    bandwidth = NVLINK.bandwidth if machines == 1 else min(NVLINK.bandwidth, network.bandwidth)
    bandwidth *= SHARE_OF_BANDWIDTH
    hops_inside = gpus if machines == 1 else gpus - machines
    hops_outside = 0 if machines == 1 else machines
    ring_delay = 2 * (hops_inside * NVLINK.delay + hops_outside * network.delay)
    ring = 2 * (gpus - 1) / gpus * size / bandwidth + ring_delay
    tree_delay = 2 * ((of_machine - 1) * NVLINK.delay + math.log2(machines) * network.delay)
    return min(ring, 2 * size / bandwidth + tree_delay)


def step_seconds(
    layers: list[Work], batch: int, rate: float, gpus: int, network: Link, width: str, overlap: bool = True
) -> float:
    """A training step; ``rate`` in multiply-adds a second."""
    bits, passes = WIDTHS[width]
    total = sum(layer.multiply_adds for layer in layers)
    now = total * batch / rate  # Forward.
    waiting, left, link_free = 0, sum(layer.parameters for layer in layers), 0.0
    least = PART_BYTES // 4
    for layer in reversed(layers):
        now += 2 * layer.multiply_adds * batch / rate
        waiting += layer.parameters
        left -= layer.parameters
        if overlap and waiting and (waiting >= least or left == 0):
            start = max(now, link_free)
            link_free = start + _part_seconds(waiting, bits, passes, gpus, network)
            waiting = 0
    if waiting:
        link_free = now + _part_seconds(waiting, bits, passes, gpus, network)
    return max(now, link_free)


def _part_seconds(numbers: int, bits: int, passes: int, gpus: int, network: Link) -> float:
    return exchange_seconds(numbers * bits / 8, gpus, network) + passes * 4 * numbers / MEMORY_BANDWIDTH


def model(arguments: argparse.Namespace) -> None:
    rate = arguments.rate * 1e12 / 2
    nets = {name: layers_of(setting) for name, setting in ZOO.items()}
    print("| net | parameters, millions | multiply-adds an image, 10^9 | step on one GPU, ms |")
    print("| --- | ---: | ---: | ---: |")
    for name, layers in nets.items():
        parameters = sum(layer.parameters for layer in layers)
        multiply_adds = sum(layer.multiply_adds for layer in layers)
        alone = 1000 * 3 * multiply_adds * arguments.batch / rate
        print(f"| {name} | {parameters / 1e6:.1f} | {multiply_adds / 1e9:.2f} | {alone:.1f} |")
    for network in NETWORKS:
        for width in WIDTHS:
            print(f"\nEfficiency, {width} gradients, {network.name}:\n")
            print("| net | " + " | ".join(f"{gpus:,} GPUs" for gpus in GPUS) + " |")
            print("| --- |" + " ---: |" * len(GPUS))
            for name, layers in nets.items():
                alone = 3 * sum(layer.multiply_adds for layer in layers) * arguments.batch / rate
                cells = []
                for gpus in GPUS:
                    step = step_seconds(layers, arguments.batch, rate, gpus, network, width)
                    after = step_seconds(layers, arguments.batch, rate, gpus, network, width, overlap=False)
                    cells.append(f"{100 * alone / step:.0f} % ({100 * alone / after:.0f})")
                print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    measured = commands.add_parser("measure", help="train on this machine")
    measured.add_argument("--nets", nargs="+", choices=MEASURED, help="fewer nets")
    measured.add_argument("--rounds", type=int, default=3)
    measured.add_argument("--seconds", type=float, default=6, help="of an undisturbed process's training")
    modelled = commands.add_parser("model", help="compute tables for many GPUs")
    modelled.add_argument("--batch", type=int, default=64, help="images of a GPU (64)")
    modelled.add_argument("--rate", type=float, default=60, help="10^12 operations a second of a GPU (60)")
    worker = commands.add_parser("work")
    for argument, kind in [("name", str), ("batch", int), ("way", str), ("iterations", int)]:
        worker.add_argument(argument, type=kind)
    worker.add_argument("output", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "work":
        options: dict[str, Any] = vars(arguments)
        options.pop("command")
        work(**options)
    elif arguments.command == "measure":
        measure(arguments)
    else:
        model(arguments)


if __name__ == "__main__":
    main()
