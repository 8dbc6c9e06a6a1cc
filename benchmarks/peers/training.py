"""Nets of the zoo that contestants train, rounds of them, and this project as a contestant."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .contestant import Contestant, ContestantFailed

ROOT = Path(__file__).resolve().parents[2]


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
    "ResNet-50-HWGQ": Setting("imagenet/res50-hwgq-3ne-clip-poly-640k", 32, (3, 224, 224), 1000),
}


def training_net(setting: Setting, batch: int, data: Any = None) -> Any:
    """The zoo's net as it trains, fed by a layer `data` or with images and labels that lie in its blobs."""
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
    if data is None:
        data = caffe_pb2.LayerParameter(name="data", type="Input", top=["data", "label"])
        data.input_param.shape.add(dim=[batch, *setting.image])
        data.input_param.shape.add(dim=[batch])
    del net.layer[:]
    net.layer.extend([data, *kept])
    return net


def make_solver(name: str, batch: int, on_gpu: bool = False, data: Any = None, **settings: Any) -> Any:
    """A solver of this project, with other settings, too, whose net has random images or those of `data`."""
    import numpy as np

    from caffe._caffe import get_solver_from_bytes
    from caffe.proto import caffe_pb2

    setting = NETS[name]
    solver_mode = caffe_pb2.SolverParameter.GPU if on_gpu else caffe_pb2.SolverParameter.CPU
    param = caffe_pb2.SolverParameter(
        net_param=training_net(setting, batch, data),
        base_lr=0.01,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=0.0005,
        max_iter=10**9,
        random_seed=1,
        snapshot_after_train=False,
        solver_mode=solver_mode,
    )
    for field, value in settings.items():
        setattr(param, field, value)
    solver = get_solver_from_bytes(param.SerializeToString())
    if data is not None:
        return solver
    random = np.random.default_rng(1)
    shape = solver.net.blobs["data"].data.shape
    solver.net.blobs["data"].data[...] = random.standard_normal(shape, np.float32)
    solver.net.blobs["label"].data[...] = random.integers(0, setting.classes, batch)
    return solver


class Worker(Contestant):
    """A contestant's process, and images per second of its rounds."""

    def __init__(self, command: list[str], threads: int, environment: dict[str, str]) -> None:
        super().__init__(command, threads, environment)
        self.rounds: list[float] = []


def measure(
    starts: dict[str, Callable[[Path], Worker]],
    name: str,
    batch: int,
    rounds: int,
    questions: tuple[str, ...] = ("peak_mb",),
) -> dict[str, dict[str, Any]]:
    """All contestants on one net: what each reached and answered to the questions, or its error.

    A start gets the net as JSON, in a file.
    """
    from google.protobuf import json_format

    results: dict[str, dict[str, Any]] = {contestant: {} for contestant in starts}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "net.json"
        net = training_net(NETS[name], batch)
        plan.write_text(json_format.MessageToJson(net, preserving_proto_field_name=True))
        try:
            for contestant, start in starts.items():
                workers[contestant] = start(plan)
            for _ in range(rounds):
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
                } | {question: worker.ask(question) for question in questions}
        finally:
            for worker in workers.values():
                worker.close()
    return results
