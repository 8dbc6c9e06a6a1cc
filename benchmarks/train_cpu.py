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
"caffe, plain" is this project without oneDNN and without integers (CAFFE_ENGINE=CAFFE, HWGQ_FLOAT_NET=1).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from peers import cpu
from peers.contestant import Contestant, ContestantFailed

ROOT = Path(__file__).resolve().parents[1]


class Setting(NamedTuple):
    """A net of the zoo, its batch and the images that it takes."""

    folder: str
    batch: int
    image: tuple[int, int, int]
    classes: int


NETS = {
    "LeNet-HWGQ": Setting("mnist/lenet-hwgq-3ne", 64, (1, 28, 28), 10),
    "CIFAR-VGG-HWGQ": Setting("cifar10/vgg-hwgq-3ne-clip-poly", 100, (3, 32, 32), 10),
    "AlexNet-HWGQ": Setting("imagenet/alex-hwgq-3ne-clip-poly-320k", 32, (3, 227, 227), 1000),
    "ResNet-18-HWGQ": Setting("imagenet/res18-hwgq-3ne-clip-poly-320k", 32, (3, 224, 224), 1000),
}
CAFFE = "caffe"
#: What a process of this project gets in its environment.
OWN = {CAFFE: {}, "caffe, plain": {"CAFFE_ENGINE": "CAFFE", "HWGQ_FLOAT_NET": "1"}}
#: PyTorch's contestants: options of peers.torch_training.
PEERS = {
    "PyTorch float32": [],
    "PyTorch float32, compiled": ["--compile"],
    "PyTorch bfloat16": ["--bfloat16"],
    "PyTorch bfloat16, compiled": ["--bfloat16", "--compile"],
}


def training_net(setting: Setting, batch: int) -> Any:
    """The zoo's net as it trains, fed with images and labels that lie in its blobs."""
    from google.protobuf import text_format

    from caffe.proto import caffe_pb2

    path = ROOT / "examples" / setting.folder / "train_val.prototxt"
    net = text_format.Parse(path.read_text(), caffe_pb2.NetParameter())
    kept = [
        layer
        for layer in net.layer
        if layer.type not in ("Data", "Accuracy")
        and not any(rule.phase == caffe_pb2.TEST for rule in layer.include)
    ]
    data = caffe_pb2.LayerParameter(name="data", type="Input", top=["data", "label"])
    data.input_param.shape.add(dim=[batch, *setting.image])
    data.input_param.shape.add(dim=[batch])
    del net.layer[:]
    net.layer.extend([data, *kept])
    return net


def work(name: str, batch: int, seconds: float) -> None:
    """This project in this process, as a worker (peers.training_worker)."""
    import numpy as np
    from peers import training_worker

    import caffe
    from caffe._caffe import get_solver_from_bytes
    from caffe.proto import caffe_pb2

    setting = NETS[name]
    caffe.set_mode_cpu()
    param = caffe_pb2.SolverParameter(
        net_param=training_net(setting, batch),
        base_lr=0.01,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=0.0005,
        max_iter=10**9,
        random_seed=1,
        snapshot_after_train=False,
        solver_mode=caffe_pb2.SolverParameter.CPU,
    )
    solver = get_solver_from_bytes(param.SerializeToString())
    random = np.random.default_rng(1)
    shape = solver.net.blobs["data"].data.shape
    solver.net.blobs["data"].data[...] = random.standard_normal(shape, np.float32)
    solver.net.blobs["label"].data[...] = random.integers(0, setting.classes, batch)
    training_worker.serve(lambda: solver.step(1), batch, seconds)


class Worker(Contestant):
    """A contestant's process, and images per second of its rounds."""

    def __init__(self, command: list[str], threads: int, environment: dict[str, str]) -> None:
        super().__init__(command, threads, environment)
        self.rounds: list[float] = []


def start(contestant: str, name: str, threads: int, plan: Path, arguments: argparse.Namespace) -> Worker:
    """The process of a contestant, on a net."""
    batch = str(arguments.batch or NETS[name].batch)
    if contestant in OWN:
        command = [sys.executable, __file__, "--work", name]
    else:
        command = [arguments.peers, "-m", "peers.torch_training", str(plan), *PEERS[contestant]]
    command += ["--batch", batch, "--seconds", str(arguments.seconds)]
    return Worker(command, threads, OWN.get(contestant, {}))


def measure(
    contestants: list[str], name: str, threads: int, arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """All contestants on one net and number of threads: what each reached, or its error."""
    results: dict[str, dict[str, Any]] = {contestant: {} for contestant in contestants}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "net.json"
        from google.protobuf import json_format

        net = training_net(NETS[name], arguments.batch or NETS[name].batch)
        plan.write_text(json_format.MessageToJson(net, preserving_proto_field_name=True))
        try:
            for contestant in contestants:
                workers[contestant] = start(contestant, name, threads, plan, arguments)
            for _ in range(arguments.rounds):
                for contestant in list(workers):
                    worker = workers[contestant]
                    try:
                        worker.rounds.append(worker.ask("round"))
                    except ContestantFailed as error:
                        results[contestant]["error"] = str(error)
                        workers.pop(contestant).close()
            for contestant, worker in workers.items():
                results[contestant] = {
                    "images_per_second": statistics.median(worker.rounds),
                    "rounds": worker.rounds,
                    "peak_mb": worker.ask("end"),
                }
        finally:
            for worker in workers.values():
                worker.close()
    return results


def table(results: dict[str, dict[str, Any]]) -> str:
    """One net's results as Markdown."""
    lines = ["|  | images/s | peak memory, MB | caffe is |", "| --- | ---: | ---: | ---: |"]
    own = results.get(CAFFE, {}).get("images_per_second")
    for contestant, result in results.items():
        if "error" in result:
            lines.append(f"| {contestant} | failed: {result['error']} | | |")
            continue
        ratio = f"{own / result['images_per_second']:.2f} x" if own else ""
        speed = result["images_per_second"]
        lines.append(f"| {contestant} | {speed:,.1f} | {result['peak_mb']:,.0f} | {ratio} |")
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
            results = measure(contestants, name, threads, arguments)
            everything[f"{name}, {threads}"] = results
            batch = arguments.batch or NETS[name].batch
            print(f"\n**{name}**, batch {batch}, {threads} thread(s)\n\n{table(results)}", flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
