"""Whole nets as ONNX models: of this project, and of many others.

CAFFE_EXPORT_ALL=1 takes all nets of the collection, not a sample, and prints what became of each.
"""

import collections
import math
import os
import time

import numpy as np
import pytest

import caffe
from caffe.hwgq.binarize import DATA_TYPES
from caffe.summary import open_without_data

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import checked, run, run_net  # noqa: E402

from caffe.export import to_onnx  # noqa: E402

ALL = bool(os.environ.get("CAFFE_EXPORT_ALL"))
MOST_PARAMETERS = 70_000_000 if ALL else 15_000_000
MOST_PRODUCTS = 2_500_000_000 if ALL else 1_000_000_000

# Quantizers and choices make a rounding error a whole step.
DISCONTINUOUS = {"ArgMax", "BatchReindex", "Embed", "Filter", "Quant", "Threshold"}


def randomize(net, rng):
    """Parameters with which values neither grow nor vanish."""
    for name, blobs in net.params.items():
        type = net.layer_dict[name].type
        for i, blob in enumerate(blobs):
            shape = blob.data.shape
            if type == "BatchNorm":
                values = [0.1 * rng.standard_normal(shape), 0.5 + rng.random(shape), np.ones(shape)][i]
            elif type in ("Scale", "PReLU") and i == 0:
                values = 0.5 + rng.random(shape)
            else:
                fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
                values = rng.standard_normal(shape, np.float32) * (1.4 / math.sqrt(max(fan_in, 1)))
            blob.data[...] = values


def products(net):
    """About how many multiplications a pass takes."""
    count = 0
    for name, blobs in net.params.items():
        tops = net.top_names[name]
        places = math.prod(net.blobs[tops[0]].shape[2:]) * net.blobs[tops[0]].shape[0] if tops else 0
        count += blobs[0].count * max(places, 1)
    return count


def opened(path):
    """A net of Input layers: those that a program fills in another way can't be filled here."""
    net, _ = open_without_data(path)
    filled = [
        top
        for name, layer in net.layer_dict.items()
        if layer.type in DATA_TYPES
        for top in net.top_names[name]
    ]
    if not filled:
        return net
    return open_without_data(path, input_shapes={top: tuple(net.blobs[top].shape) for top in filled})[0]


def smaller_batch(net):
    """As few items as there can be, so that a pass is short."""
    shapes = {name: tuple(net.blobs[name].shape) for name in net.inputs}
    try:
        for name, shape in shapes.items():
            if shape and len({other[:1] for other in shapes.values()}) == 1:
                net.blobs[name].reshape(1, *shape[1:])
        net.reshape()
    except caffe.Error:
        for name, shape in shapes.items():
            net.blobs[name].reshape(*shape)
        net.reshape()


def examine(net, form="float"):
    """Exports a net with random parameters; "equal", "refused: why", or "exported" where it is too large to
    be run. Where a step of a quantizer may have gone to the other side, only most values must be near."""
    rng = np.random.default_rng(1)
    smaller_batch(net)
    if sum(blob.count for blobs in net.params.values() for blob in blobs) > MOST_PARAMETERS:
        return "too large"
    randomize(net, rng)
    try:
        model = checked(to_onnx(net, hwgq=form))
    except ValueError as error:
        assert "layer '" in str(error) or "no layers to export" in str(error), error
        return f"refused: {error}"
    if products(net) > MOST_PRODUCTS:
        return "exported"
    inputs = {}
    for value in model.graph.input:
        shape = tuple(net.blobs[value.name].shape)
        inputs[value.name] = rng.standard_normal(shape).astype(np.float32)
    for name in set(net.inputs) - set(inputs):
        inputs[name] = np.zeros(tuple(net.blobs[name].shape), np.float32)
    found = run(model, inputs)
    expected = run_net(net, inputs)
    for name, values in found.items():
        if name not in expected:  # probabilities in place of a loss
            continue
        assert values.shape == expected[name].shape, name
        assert np.isfinite(expected[name]).all(), name
        away = np.abs(values - expected[name]) > 1e-4 * (np.abs(expected[name]).max() + 1e-6)
        allowed = 0.05 if any(layer.type in DISCONTINUOUS for layer in net.layers) else 0
        assert away.mean() <= allowed, f"{name}: {away.mean():.3f} of the values differ"
    return "equal"


def small_nets(root):
    return [
        path
        for path in sorted((root / "examples").rglob("*.prototxt"))
        if "solver" not in path.name and ("mnist" in path.parts or "cifar10" in path.parts)
    ]


@pytest.mark.parametrize("form", ["float", "qdq"])
def test_small_nets_of_the_examples(root, form):
    paths = small_nets(root)
    assert len(paths) >= 4
    for path in paths:
        channels, side = (1, 28) if "mnist" in path.parts else (3, 32)
        shapes = {"data": (2, channels, side, side)} if "Data" in path.read_text() else None
        net, _ = open_without_data(path, input_shapes=shapes)
        assert examine(net, form) == "equal", path


def test_large_nets_of_this_project(root):
    """They are exported, and valid; running them takes too long here."""
    paths = sorted((root / "models").glob("*/deploy*.prototxt"))
    assert len(paths) >= 8
    for path in paths if ALL else paths[:3]:
        net, _ = open_without_data(path)
        model = to_onnx(net, hwgq="qdq")
        assert [value.name for value in model.graph.output] == list(net.outputs)


def test_nets_of_other_projects(collection):
    counts, reasons, failures = collections.Counter(), [], []
    paths = [
        row["path"] for row in collection if row["builds_in_reference"] == "yes" and row["format"] != "empty"
    ]
    for path in paths if ALL else paths[::12]:
        begin = time.monotonic()
        try:
            result = examine(opened(path))
        except Exception as error:
            result = "failed"
            failures.append(f"{path}: {type(error).__name__}: {str(error)[:300]}")
        kind, _, reason = result.partition(": ")
        counts[kind] += 1
        if reason:
            reasons.append(f"{path.name}: {reason}")
        if ALL:
            print(f"{result[:150]}\t{time.monotonic() - begin:.1f} s\t{path}", flush=True)
    print(dict(counts), *reasons, sep="\n")
    assert not failures, "\n".join(failures)
    assert counts["equal"] >= 3 and counts["refused"] <= 0.05 * sum(counts.values())
