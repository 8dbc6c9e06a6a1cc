"""Gathers what a training's report shows: from a run's folder, and by running its net on its test data."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import _caffe, training_log
from ..hwgq.binarize import BINARY_TYPES
from ..io import load_labels
from ..proto import caffe_pb2
from ..pycaffe import Net
from ..summary import NetSummary, summarize
from ..training_log import TrainingLog

_BINS = 60
_MOST_MISTAKES = 48
_WEIGHTED = {"Convolution", "Deconvolution", "InnerProduct", *BINARY_TYPES}


@dataclass
class Histogram:
    """How often values fall into each of equal bins from `low` to `high`; outliers are in the outer ones."""

    name: str
    #: What the values are, in words.
    values: str
    low: float
    high: float
    counts: list[int]
    #: Places to mark: what a quantizer compares with, or +-alpha.
    marks: dict[str, list[float]] = field(default_factory=dict)
    #: The share of each level after the quantizer.
    levels: dict[float, float] = field(default_factory=dict)


@dataclass
class Mistake:
    """A test image that the net takes for something else."""

    #: H x W x 3 or H x W, 0 to 255.
    pixels: np.ndarray
    truth: int
    answer: int
    #: Of the answer, by the softmax of the net's scores.
    probability: float


@dataclass
class Report:
    """What a page shows. What could not be had is missing, and `notes` say why."""

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    log: TrainingLog | None = None
    summary: NetSummary | None = None
    weights: list[Histogram] = field(default_factory=list)
    activations: list[Histogram] = field(default_factory=list)
    #: Rows are true classes, columns the net's answers.
    confusion: np.ndarray | None = None
    mistakes: list[Mistake] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def collect(
    folder: str | os.PathLike,
    solver: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    log: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
    iterations: int | None = None,
) -> Report:
    """Gathers a run's report.

    Args:
        folder: what the training read and wrote: solver, net, log, snapshots.
        solver, weights, log: the files, where the folder has several or they lie elsewhere; otherwise the
            solver, the newest .caffemodel and the newest log in the folder and the folders in it.
        labels: a file with the classes' names, one in a line.
        iterations: batches of the test data to run; the solver's test_iter where it is not given.

    Raises:
        ValueError: the folder holds neither a solver nor a log.
        caffe.Error, OSError: a file that was named cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    solver_path = Path(solver) if solver else _solver_in(folder)
    report = Report(title=folder.resolve().name)
    if labels:
        report.labels = load_labels(labels)
    report.log = training_log.read(log) if log else _log_in(folder)
    if report.log is None:
        report.notes.append("There is no log in the folder, so there are no curves: train with -log_dir.")
    if solver_path is None:
        if report.log is None:
            raise ValueError(f"{folder} holds neither a solver's prototxt nor the log of a training")
        report.notes.append("There is no solver in the folder, so nothing is said of the net.")
        return report
    param = caffe_pb2.SolverParameter.FromString(_caffe.read_solver_text(os.fspath(solver_path)))
    report.facts.update(_schedule(param))
    model = param.train_net or param.net
    if not model:
        report.notes.append(f"{solver_path.name} names no net, so nothing is said of it.")
        return report
    definition = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(model))
    report.title = definition.name or report.title
    weights_path = Path(weights) if weights else _newest(folder, "*.caffemodel", "*.caffemodel.h5")
    _add_net(report, param, definition, model, weights_path, iterations)
    return report


def _add_net(
    report: Report,
    param: caffe_pb2.SolverParameter,
    definition: caffe_pb2.NetParameter,
    model: str,
    weights: Path | None,
    iterations: int | None,
) -> None:
    state = param.test_state[0] if param.test_state else caffe_pb2.NetState()
    tested = param.test_net[0] if param.test_net else model
    try:
        net = Net(tested, caffe_pb2.TEST, state.level, list(state.stage))
    except _caffe.Error as error:
        report.notes.append(f"The test data cannot be read, so nothing was tested: {error}")
        try:
            report.summary = summarize(tested, caffe_pb2.TEST, state.level, list(state.stage))
        except (_caffe.Error, ValueError) as reason:
            report.notes.append(f"Layers' shapes cannot be told: {reason}")
        return
    report.summary = summarize(
        tested,
        caffe_pb2.TEST,
        state.level,
        list(state.stage),
        {top: net.blobs[top].shape for top in next(iter(net.top_names.values()), [])},
    )
    if weights is None:
        report.notes.append("There are no weights in the folder, so nothing was tested: give -weights.")
        return
    net.copy_from(os.fspath(weights))
    report.facts["Weights"] = weights.name
    settings = {layer.name: layer for layer in definition.layer}
    report.weights = [
        weight_histogram(name, net.layer_dict[name].type, settings.get(name), blobs[0].data)
        for name, blobs in net.params.items()
        if net.layer_dict[name].type in _WEIGHTED
    ]
    batches = iterations or (param.test_iter[0] if param.test_iter else 1)
    _test(report, net, settings, batches)


def _test(report: Report, net: Net, settings: dict, batches: int) -> None:
    """Runs the net on its test data."""
    measured = scores_and_labels(net)
    if measured is None:
        report.notes.append("The net has no layer that compares scores with labels: there are no mistakes.")
    images = next(iter(net.blobs))
    answers: list[np.ndarray] = []
    truths: list[np.ndarray] = []
    wrong: list[Mistake] = []
    for batch in range(max(batches, 1)):
        net.forward()
        if batch == 0:
            report.activations = activation_histograms(net, settings)
        if measured is None:
            break
        scores, truth = (net.blobs[name].data for name in measured)
        if scores.size // max(scores.shape[1] if scores.ndim > 1 else 1, 1) != truth.size:
            report.notes.append("Scores and labels are not one for each image: there are no mistakes.")
            return
        scores = scores.reshape(truth.size, -1)
        truths.append(truth.ravel().astype(int))
        answers.append(scores.argmax(1))
        wrong += _mistakes(net.blobs[images].data, scores, truths[-1])
        # No more are shown, and images are large.
        wrong = sorted(wrong, key=lambda mistake: -mistake.probability)[:_MOST_MISTAKES]
    if not truths:
        return
    truth, answer = np.concatenate(truths), np.concatenate(answers)
    classes = max(scores.shape[1], int(truth.max()) + 1)
    report.confusion = np.zeros((classes, classes), int)
    known = truth >= 0
    np.add.at(report.confusion, (truth[known], answer[known]), 1)
    report.mistakes = wrong
    right = int((truth == answer).sum())
    report.facts["Accuracy"] = f"{100 * right / truth.size:.2f} % of {truth.size:,} test images"


def scores_and_labels(net: Net) -> tuple[str, str] | None:
    """The blobs that the net's loss or accuracy compares."""
    for types in (("Accuracy",), ("SoftmaxWithLoss", "HingeLoss", "MultinomialLogisticLoss", "InfogainLoss")):
        for name, layer in net.layer_dict.items():
            if layer.type in types:
                scores, labels = net.bottom_names[name][:2]
                return scores, labels
    return None


def _mistakes(images: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> list[Mistake]:
    if images.ndim != 4 or len(images) != len(truth) or images.shape[1] not in (1, 3):
        return []
    answers = scores.argmax(1)
    e = np.exp(scores - scores.max(1, keepdims=True))
    # What has been through a softmax is a probability already.
    are_probabilities = scores.min() >= 0 and np.allclose(scores.sum(1), 1, atol=1e-3)
    probability = scores if are_probabilities else e / e.sum(1, keepdims=True)
    return [
        Mistake(picture(images[i]), int(truth[i]), int(answers[i]), float(probability[i, answers[i]]))
        for i in np.flatnonzero(answers != truth)
    ]


def picture(image: np.ndarray) -> np.ndarray:
    """An input of a net, C x H x W, as pixels: from its least value to its largest, blue green red as RGB."""
    low, high = float(image.min()), float(image.max())
    scaled = ((image - low) * (255 / (high - low)) if high > low else image * 0).round().astype(np.uint8)
    return scaled[0] if len(scaled) == 1 else np.ascontiguousarray(scaled[::-1].transpose(1, 2, 0))


def _histogram(name: str, what: str, values: np.ndarray, marks: dict[str, list[float]]) -> Histogram:
    finite = values[np.isfinite(values)].astype(np.float64).ravel()
    if not finite.size:
        return Histogram(name, f"{what}: no numbers", 0, 1, [0] * _BINS, marks)
    # One value in a thousand at either end does not squeeze the others.
    low, high = np.quantile(finite, [0.001, 0.999])
    marked = [place for places in marks.values() for place in places]
    low, high = min([low, *marked]), max([high, *marked])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(np.clip(finite, low, high), _BINS, (low, high))
    return Histogram(name, what, float(low), float(high), counts.tolist(), marks)


def weight_histogram(
    name: str, type: str, layer: caffe_pb2.LayerParameter | None, values: np.ndarray
) -> Histogram:
    """Of a layer's weights, with the mean +-alpha of its outputs marked where they are binary."""
    marks: dict[str, list[float]] = {}
    if type in BINARY_TYPES and layer is not None:
        use_alpha = getattr(layer, BINARY_TYPES[type][1]).use_alpha
        alpha = float(np.abs(values).mean()) if use_alpha else 1.0
        marks = {"alpha": [-alpha, alpha]}
    return _histogram(name, f"{type}, {values.size:,} weights", values, marks)


def activation_histograms(net: Net, settings: dict[str, caffe_pb2.LayerParameter]) -> list[Histogram]:
    """Of what the net's last pass left in each blob between layers, with the thresholds of the quantizer that
    reads it."""
    # What a quantizer reads may be a copy that a split makes for it.
    copied_from = {
        top: net.bottom_names[name][0]
        for name, layer in net.layer_dict.items()
        if layer.type == "Split"
        for top in net.top_names[name]
    }
    makers: dict[str, list[str]] = {}
    readers: dict[str, str] = {}
    for name, layer in net.layer_dict.items():
        if layer.type == "Split":
            continue
        if layer.type == "Quant":
            (bottom,) = net.bottom_names[name]
            readers[copied_from.get(bottom, bottom)] = name
        for top in net.top_names[name]:
            makers.setdefault(top, []).append(name)
    found = []
    for blob, layers in makers.items():
        values = net.blobs[blob].data
        last = net.layer_dict[layers[-1]]
        if values.ndim < 2 or last.type == "Quant" or not net.bottom_names[layers[-1]]:
            continue
        quantizer = readers.get(blob)
        what = f"{', '.join(net.layer_dict[name].type for name in layers)}, {values.size:,} values"
        marks, levels = {}, {}
        if quantizer is not None:
            setting = settings.get(quantizer)
            marks = _quantizer_marks(setting.quant_param if setting is not None else None)
            levels = _shares(net.blobs[net.top_names[quantizer][0]].data)
            what += f"; quantized by {quantizer}"
        histogram = _histogram(blob, what, values, marks)
        histogram.levels = levels
        found.append(histogram)
    return found


def _quantizer_marks(param: caffe_pb2.QuantParameter | None) -> dict[str, list[float]]:
    if param is None or param.forward_func not in ("hwgq", "sign"):
        return {}
    if param.forward_func == "sign":
        return {"threshold": [0.0], "level": [-1.0, 1.0]}
    centers = list(param.centers)
    between = [(a + b) / 2 for a, b in zip(centers, centers[1:], strict=False)]
    return {"threshold": [0.0, *between], "level": [-param.negative_slope or 0.0, *centers]}


def _shares(values: np.ndarray) -> dict[float, float]:
    different, counts = np.unique(values, return_counts=True)
    if len(different) > 16:
        return {}
    return {float(value): float(n / values.size) for value, n in zip(different, counts, strict=True)}


def _schedule(param: caffe_pb2.SolverParameter) -> dict[str, str]:
    facts = {
        "Solver": f"{param.type}, lr {param.base_lr:g}, policy {param.lr_policy or 'fixed'}",
        "Iterations": f"{param.max_iter:,}",
    }
    if param.momentum:
        facts["Solver"] += f", momentum {param.momentum:g}"
    if param.weight_decay:
        facts["Solver"] += f", weight decay {param.weight_decay:g}"
    return facts


def _solver_in(folder: Path) -> Path | None:
    # What is called a solver goes first.
    for path in sorted(folder.glob("*.prototxt"), key=lambda path: ("solver" not in path.name, path.name)):
        try:
            param = caffe_pb2.SolverParameter.FromString(_caffe.read_solver_text(os.fspath(path)))
        except _caffe.Error:
            continue
        if param.net or param.train_net or param.HasField("max_iter"):
            return path
    return None


def _log_in(folder: Path) -> TrainingLog | None:
    for path in _by_age(folder, "*.INFO", "*.log", "*.txt", "*.log.*"):
        try:
            return training_log.read(path)
        except (OSError, ValueError):
            continue
    return None


def _newest(folder: Path, *patterns: str) -> Path | None:
    return next(iter(_by_age(folder, *patterns)), None)


def _by_age(folder: Path, *patterns: str) -> Sequence[Path]:
    """Files in the folder and the folders in it, newest first."""
    found = {path for pattern in patterns for depth in ("", "*/") for path in folder.glob(depth + pattern)}

    def age(path: Path) -> tuple[int, int]:
        # Snapshots of one moment are in the order of their iterations.
        iteration = re.search(r"_iter_(\d+)", path.name)
        return -path.stat().st_mtime_ns, -int(iteration[1]) if iteration else 0

    return sorted((path for path in found if path.is_file()), key=age)
