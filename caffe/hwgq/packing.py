"""From a trained net to a packed model: one file with the net's plan, its binary weights as bits.

Layers between binary convolutions and quantizers become integer thresholds where nothing else reads what is
in between; docs/packed-format.md describes the file, :class:`PackReport` says what became of each layer.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf import text_format

from .. import _caffe
from ..proto import caffe_pb2
from . import packed_file
from .binarize import read_deploy_net, trained_net
from .evaluation import evaluation_net
from .graph import simplify
from .net_graph import graph_of
from .packed_file import Encoding, Plan, Stage, StageKind, Step, StepKind, TensorKind
from .packed_net import PackedNet
from .planner import Planned, WeightsReport, make_plan

#: How the weights of layers that are not binary can be kept.
FIRST_LAST = ("float", "int8")


@dataclass(frozen=True)
class OutputChange:
    """What 8-bit weights change in an output, over some inputs."""

    name: str
    #: Of the differences from the output with float weights, over the largest magnitude in it.
    largest: float
    mean: float
    #: The share of inputs for which the same class scores highest.
    same_best: float


@dataclass(frozen=True)
class PackReport:
    """The file that :func:`pack` wrote, and what it holds."""

    path: Path
    #: All parameters of the net as floats.
    float_bytes: int
    #: The file's size.
    packed_bytes: int
    #: The weights of each convolution and inner product, in the order of their computation.
    weights: tuple[WeightsReport, ...]
    #: The plan as text: a line for each stage, with lines on what could not be fused, and why.
    explanation: str
    #: Layers that only Caffe can compute: :class:`caffe.hwgq.PackedNet` cannot run a file with such.
    caffe_layers: tuple[str, ...]
    #: What 8-bit weights change; empty where they were not tried.
    changes: tuple[OutputChange, ...] = ()

    @property
    def ratio(self) -> float:
        """How many times the parameters as floats are larger than the file."""
        return self.float_bytes / self.packed_bytes


def pack(
    model: str | os.PathLike,
    weights: str | os.PathLike,
    out: str | os.PathLike,
    *,
    first_last: str = "float",
    input_shape: Sequence[int] | None = None,
    calibration: np.ndarray | None = None,
) -> PackReport:
    """Writes a trained net as a packed model.

    Args:
        model: the net's prototxt, for training or for deployment, in any format Caffe ever had.
        weights: its parameters, .caffemodel or .caffemodel.h5.
        out: the file to write, by custom NAME.hwgq.
        first_last: "float" keeps weights that are not binary, by custom the first and the last layer's, as
            they are; "int8" rounds them to 8 bits, with a scale for each output.
        input_shape: shape of the input, N x C x H x W, where the data that would tell it is not there.
        calibration: inputs, N x C x H x W, on which the net is run with and without 8-bit weights.

    Raises:
        caffe.Error: a file cannot be read, or the weights do not fit the net.
        OSError: the file cannot be written.
        ValueError: ``first_last`` is none of the two, ``out`` is a file to read, an input's shape is not
            known, or a layer has no place in a packed model.
    """
    if first_last not in FIRST_LAST:
        raise ValueError(f"first_last is one of {', '.join(FIRST_LAST)}, not {first_last!r}")
    out = Path(out)
    if out.exists() and any(os.path.exists(file) and out.samefile(file) for file in (model, weights)):
        raise ValueError(f"{out} is a file to read; choose another name for the packed model")
    deploy = read_deploy_net(model, weights, input_shape)
    net = trained_net(deploy, weights, model)
    try:
        graph = graph_of(deploy, net)
    except ValueError as error:
        raise ValueError(f"{os.fspath(model)}: {error}") from error
    simplify(graph)
    planned = make_plan(graph, int8=first_last == "int8")
    planned.plan.test = _test_text(model)
    size = packed_file.write(planned.plan, out)
    changes: tuple[OutputChange, ...] = ()
    if calibration is not None and first_last == "int8":
        with tempfile.TemporaryDirectory() as folder:
            exact = Path(folder) / "float.hwgq"
            packed_file.write(make_plan(graph).plan, exact)
            changes = compared(exact, out, calibration)
    return PackReport(
        out,
        sum(blob.data.nbytes for blobs in net.params.values() for blob in blobs),
        size,
        tuple(planned.weights),
        explained(planned),
        tuple(stage.name for stage in planned.plan.stages if stage.kind == StageKind.CAFFE_LAYER),
        changes,
    )


def _test_text(model: str | os.PathLike) -> str:
    """What caffe test needs beside the net, where the net's definition has it."""
    try:
        net = evaluation_net(caffe_pb2.NetParameter.FromString(_caffe.read_net_text(os.fspath(model))))
    except ValueError:
        # Measures that a packed model cannot have keep nobody from packing; caffe test says what is wrong.
        return ""
    return "" if net is None else text_format.MessageToString(net)


def compared(
    exact: str | os.PathLike, rounded: str | os.PathLike, inputs: np.ndarray
) -> tuple[OutputChange, ...]:
    """How the outputs of two packed models of one net differ on some inputs."""

    def outputs(path: str | os.PathLike) -> dict[str, np.ndarray]:
        net = PackedNet(path)
        result = net.forward(inputs)
        return result if isinstance(result, dict) else {next(iter(net.outputs)): result}

    expected, found = outputs(exact), outputs(rounded)
    changes = []
    for name, values in expected.items():
        rows = values.reshape(len(values), -1)
        others = found[name].reshape(rows.shape)
        difference = np.abs(others - rows) / max(float(np.abs(rows).max()), np.finfo(np.float32).tiny)
        same = rows.argmax(1) == others.argmax(1)
        changes.append(
            OutputChange(name, float(difference.max()), float(difference.mean()), float(same.mean()))
        )
    return tuple(changes)


_STAGES = {
    StageKind.CONVOLUTION: "convolution",
    StageKind.BINARY_CONVOLUTION: "binary convolution",
    StageKind.POOLING: "pooling",
    StageKind.MAP: "map",
    StageKind.SOFTMAX: "softmax",
    StageKind.LRN: "normalization",
    StageKind.CAFFE_LAYER: "Caffe layer",
}

_WRITING = (StepKind.STORE, StepKind.QUANTIZE, StepKind.THRESHOLD)

_ENCODINGS = {
    Encoding.FLOAT: "float weights",
    Encoding.INT8: "8-bit weights",
    Encoding.BITS: "binary weights, float sums",
}


def explained(planned: Planned) -> str:
    """A plan as text, a stage after the other."""
    lines = []
    for number, stage in enumerate(planned.plan.stages):
        lines.append(f"{number + 1:3}  {_STAGES[stage.kind]}: {stage.name or 'copy'}")
        lines.append(f"     {_shapes(planned.plan, stage)}; {', '.join(_done(planned.plan, stage))}")
        lines += [f"     note: {note}" for note in planned.notes.get(number, ())]
    return "\n".join(lines)


def _shapes(plan: Plan, stage: Stage) -> str:
    written = [step.tensor for step in stage.steps if step.kind in _WRITING]
    return f"{_listed(plan, stage.inputs)} -> {_listed(plan, written)}"


def _listed(plan: Plan, tensors: Sequence[int]) -> str:
    texts = []
    for index in dict.fromkeys(tensors):
        tensor = plan.tensors[index]
        kind = "codes" if tensor.kind == TensorKind.CODES else "float"
        texts.append(f"{tensor.channels}x{tensor.height}x{tensor.width} {kind}")
    return ", ".join(texts)


def _done(plan: Plan, stage: Stage) -> list[str]:
    """What a stage and its steps do, in words."""
    words = []
    if stage.kind == StageKind.CONVOLUTION:
        words.append(_ENCODINGS[Encoding(stage.attributes[-1])])
    elif stage.kind == StageKind.BINARY_CONVOLUTION:
        words.append(f"integer sums of {len(stage.arrays[1])} levels")
    elif stage.kind == StageKind.POOLING:
        words.append("mean" if stage.attributes[0] else "maximum of codes" if stage.arrays else "maximum")
    return words + [_step_words(plan, step) for step in stage.steps]


def _step_words(plan: Plan, step: Step) -> str:
    if step.kind == StepKind.QUANTIZE:
        return f"quantize to {len(step.parameters) + 1} codes"
    if step.kind == StepKind.THRESHOLD:
        return f"{step.arrays[0].shape[0]} integer thresholds"
    if step.kind == StepKind.STORE:
        return f"store {plan.tensors[step.tensor].name!r}"
    if step.tensor is not None:
        return f"{step.kind.name.lower()} {plan.tensors[step.tensor].name!r}"
    return step.kind.name.lower()
