"""The published runs: each network's training, deployment and solver files.

``python -m caffe.hwgq.zoo [FOLDER]`` writes them all below FOLDER (``examples`` of the checkout by default);
the files that are checked in are what it writes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message

from ..proto import caffe_pb2
from . import architectures
from .architectures import Precision, hwgq, sign
from .binarize import binarized_net, deploy_net


@dataclass(frozen=True)
class Run:
    """A network with its precision, its schedule and the size of its input.

    ``gpus`` is how many GPUs it was published with; the batch of a net's data layer is that of each.
    """

    architecture: Callable[[Precision], caffe_pb2.NetParameter]
    solver: Mapping[str, Any]
    input_shape: tuple[int, int, int]
    precision: Precision = Precision()
    gpus: int = 1


def _solver(prefix: str, base_lr: float, max_iter: int, weight_decay: float, **more: Any) -> dict[str, Any]:
    """Stochastic gradient descent with momentum 0.9."""
    return {
        "net": "train_val.prototxt",
        "base_lr": base_lr,
        "momentum": 0.9,
        "weight_decay": weight_decay,
        "max_iter": max_iter,
        "snapshot_prefix": prefix,
        "solver_mode": "GPU",
        **more,
    }


#: The learning rate falls linearly to 0.
_LINEAR = {"lr_policy": "poly", "power": 1.0}


def _steps(stepsize: int) -> dict[str, Any]:
    """The learning rate falls to a tenth every ``stepsize`` iterations."""
    return {"lr_policy": "step", "gamma": 0.1, "stepsize": stepsize}


def _tested(test_iter: int, test_interval: int) -> dict[str, Any]:
    return {"test_iter": [test_iter], "test_interval": test_interval}


_ALEXNET_TESTED = {**_tested(1000, 1000), "display": 100}
_ALEXNET_POLY = _solver("alexnet", 0.02, 320000, 5e-4, **_LINEAR, **_ALEXNET_TESTED, snapshot=100000)
_ALEXNET_STEP = _solver("alexnet", 0.01, 160000, 5e-4, **_steps(50000), **_ALEXNET_TESTED, snapshot=50000)


def _linear(prefix: str, test_iter: int, weight_decay: float = 5e-5) -> dict[str, Any]:
    return _solver(
        prefix, 0.1, 320000, weight_decay, **_LINEAR, **_tested(test_iter, 2000), display=100, snapshot=50000
    )


def _untested(prefix: str, base_lr: float, weight_decay: float) -> dict[str, Any]:
    return _solver(prefix, base_lr, 640000, weight_decay, **_LINEAR, display=100, snapshot=10000)


_224 = (3, 224, 224)
_227 = (3, 227, 227)

#: The runs by the folder of their files below ``examples``.
RUNS: dict[str, Run] = {
    "imagenet/alex-hwgq-3ne-clip-poly-320k": Run(architectures.alexnet, _ALEXNET_POLY, _227, gpus=2),
    "imagenet/alex-hwgq-3ne-clip-step-160k": Run(architectures.alexnet, _ALEXNET_STEP, _227, gpus=2),
    "imagenet/alex-hwgq-2n-clip-step-160k": Run(
        architectures.alexnet, _ALEXNET_STEP, _227, Precision(hwgq(2, uniform=False)), gpus=2
    ),
    "imagenet/alex-sign-step-160k": Run(
        architectures.alexnet, _ALEXNET_STEP, _227, Precision(sign()), gpus=2
    ),
    "imagenet/res18-hwgq-3ne-clip-poly-320k": Run(
        lambda precision: architectures.resnet(18, precision), _linear("resnet18", 2000), _224, gpus=4
    ),
    "imagenet/res34-hwgq-3ne-clip-poly-320k": Run(
        lambda precision: architectures.resnet(34, precision), _linear("resnet34", 5000), _224, gpus=4
    ),
    "imagenet/res50-hwgq-3ne-clip-poly-640k": Run(
        lambda precision: architectures.resnet(50, precision), _untested("resnet50", 0.1, 5e-5), _224, gpus=8
    ),
    "imagenet/google-hwgq-3ne-clip-poly-320k": Run(
        architectures.googlenet, _linear("googlenet", 1000), _224, gpus=4
    ),
    "imagenet/dark19-hwgq-3ne-clip-poly-320k": Run(
        architectures.darknet19, _linear("darknet", 2000), _224, gpus=4
    ),
    "imagenet/vgg-hwgq-3ne-clip-poly-640k": Run(
        architectures.vgg, _untested("vggnet", 0.01, 5e-4), _224, gpus=2
    ),
    "cifar10/vgg-hwgq-3ne-clip-poly": Run(
        architectures.cifar10_vgg,
        _solver("vggnet", 0.01, 100000, 5e-4, **_LINEAR, **_tested(100, 1000), display=200, snapshot=40000),
        (3, 32, 32),
    ),
    "mnist/lenet-hwgq-3ne": Run(
        architectures.lenet,
        _solver(
            "lenet-hwgq", 0.01, 10000, 5e-4, **_steps(500), **_tested(100, 500), display=100, snapshot=5000
        ),
        (1, 28, 28),
    ),
}

#: Images of a batch of the deployment nets.
DEPLOY_BATCH = 50


def train_val(run: Run) -> caffe_pb2.NetParameter:
    """The net for training and testing."""
    return run.architecture(run.precision)


def deploy(run: Run) -> caffe_pb2.NetParameter:
    """The net for deployment, with binary layers, and its input in the fields that the published nets use."""
    net = deploy_net(train_val(run), {"data": (DEPLOY_BATCH, *run.input_shape)})
    (source,) = (layer for layer in net.layer if layer.type == "Input")
    net.input.append("data")
    net.input_shape.append(source.input_param.shape[0])
    net.layer.remove(source)
    return net


def deploy_bw(run: Run) -> caffe_pb2.NetParameter:
    """The net for deployment with weights that were binarized."""
    return binarized_net(deploy(run))


def solver(run: Run) -> caffe_pb2.SolverParameter:
    """The solver."""
    return caffe_pb2.SolverParameter(**run.solver)


def _text(message: Message, about: str) -> str:
    return f"# {about} Written by python -m caffe.hwgq.zoo.\n{text_format.MessageToString(message)}"


_TRAIN_SCRIPT = """#!/usr/bin/env bash
# Trains this net, as published on {gpus_in_words}. More flags go to `caffe train`: -snapshot X.solverstate
# resumes.
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
caffe train -solver solver.prototxt -gpu {gpus} "$@"
"""


def files(run: Run) -> dict[str, str]:
    """The contents of a run's files, by name."""
    gpus_in_words = "one GPU" if run.gpus == 1 else f"{run.gpus} GPUs"
    return {
        "train_val.prototxt": _text(train_val(run), "For training and testing."),
        "deploy.prototxt": _text(deploy(run), "For deployment, with the trained weights."),
        "deploy_bw.prototxt": _text(deploy_bw(run), "For deployment, with binarized weights."),
        "solver.prototxt": _text(solver(run), f"The schedule; batches are those of each of {gpus_in_words}."),
        "train.sh": _TRAIN_SCRIPT.format(
            gpus=",".join(map(str, range(run.gpus))), gpus_in_words=gpus_in_words
        ),
    }


def write(folder: Path) -> None:
    """Writes the files of all runs below ``folder``."""
    for name, run in RUNS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, content in files(run).items():
            path = folder / name / file
            path.write_text(content)
            path.chmod(0o755 if path.suffix == ".sh" else 0o644)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "examples")
