"""Whole nets as ONNX models, and back: of this project, and of many others.

CAFFE_EXPORT_ALL=1 takes the nets of this project in their full size, too, and all nets of the collection, not
a sample of the smaller ones, and prints what became of each.
"""

import collections
import itertools
import math
import os
import time

import numpy as np
import pytest
from conftest import ROOT

from caffe import _caffe
from caffe.hwgq.binarize import BINARY_TYPES, clear_fillers
from caffe.proto import caffe_pb2

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import checked, is_free  # noqa: E402
from whole_nets import (  # noqa: E402
    comes_back,
    examine,
    opened,
    quantizers,
    randomize,
    smaller,
    smaller_batch,
)

from caffe.export import FORMS, to_onnx  # noqa: E402

ALL = bool(os.environ.get("CAFFE_EXPORT_ALL"))
MOST_PARAMETERS, MOST_PRODUCTS = 15_000_000, 1_000_000_000
# The package qonnx takes its time with long nets: these it executes with CAFFE_EXPORT_ALL only.
MOST_LAYERS_IN_QONNX = 110


def nets_of_this_project():
    """The distinct ones; many of models/ are those of examples/ for deployment."""
    found = {}
    for path in itertools.chain(*((ROOT / folder).rglob("*.prototxt") for folder in ("models", "examples"))):
        if "solver" in path.name or path.parent.name == "plugin_layer":
            continue
        definition = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(str(path)))
        definition.ClearField("name")
        for layer in definition.layer:
            clear_fillers(layer)
            layer.ClearField("param")
        found.setdefault(definition.SerializeToString(), path)
    return sorted(found.values())


NETS = nets_of_this_project()


def prepared(path):
    net = opened(path)
    smaller_batch(net)
    randomize(net, np.random.default_rng(1))
    return net


def products(net):
    """About how many multiplications a pass takes."""
    count = 0
    for name, blobs in net.params.items():
        tops = net.top_names[name]
        places = math.prod(net.blobs[tops[0]].shape[2:]) * net.blobs[tops[0]].shape[0] if tops else 0
        count += blobs[0].count * max(places, 1)
    return count


def holds_the_same(net, again):
    """The same layers with parameters, of the same types, and the same parameters."""
    for name, blobs in net.params.items():
        layer, other = net.layer_dict[name], again.layer_dict[name]
        binary = layer.type in BINARY_TYPES
        assert other.type == layer.type, name
        if layer.type == "BatchNorm":
            # Statistics are stored divided by their factor.
            blobs = [blob.data / blobs[2].data for blob in blobs]
        for i, (blob, value) in enumerate(zip(blobs, again.params[name], strict=True)):
            expected = np.asarray(blob if layer.type == "BatchNorm" else blob.data)
            if binary and i == 0:
                # A model has the weights as they are multiplied with.
                expected = _caffe.binarize_weights(expected, True)
            np.testing.assert_allclose(value.data, expected, rtol=1e-6, atol=0, err_msg=name)
    assert len(quantizers(again)) == len(quantizers(net))


def test_there_are_nets_to_test():
    names = {path.name for path in NETS}
    assert names == {"deploy.prototxt", "deploy_bw.prototxt", "train_val.prototxt"} and len(NETS) >= 30


@pytest.mark.parametrize("path", NETS, ids=lambda path: "-".join(path.parts[-2:]))
def test_nets_of_this_project(path, tmp_path):
    """In all forms, with a sixteenth of the channels: each layer, each code, and the way back."""
    net = prepared(smaller(path, tmp_path))
    for form in FORMS:
        in_qonnx = form in ("qonnx", "finn")
        if in_qonnx and len(net.layers) > MOST_LAYERS_IN_QONNX and not ALL:
            model = checked(to_onnx(net, hwgq=form))
        else:
            model, ties, count = examine(net, form)
            assert ties <= 1e-5 * count + 2, form
        assert is_free(model) != in_qonnx
        holds_the_same(net, comes_back(net, model))


@pytest.mark.skipif(not ALL, reason="takes long; CAFFE_EXPORT_ALL=1 asks for it")
@pytest.mark.parametrize("path", NETS, ids=lambda path: "-".join(path.parts[-2:]))
def test_nets_of_this_project_in_full_size(path):
    net = prepared(path)
    for form in ("float", "qdq"):
        model, ties, count = examine(net, form)
        assert ties <= 1e-5 * count + 2, form
        holds_the_same(net, comes_back(net, model))


def what_becomes_of(path):
    """ "equal", "not built: why", "refused: why", "not imported: why", or "large" where it is not tried."""
    try:
        net = opened(path)
    except Exception as error:
        return f"not built: {error}"
    smaller_batch(net)
    parameters = sum(blob.count for blobs in net.params.values() for blob in blobs)
    if not ALL and (parameters > MOST_PARAMETERS or products(net) > MOST_PRODUCTS):
        return "large"
    randomize(net, np.random.default_rng(1))
    is_low_bit = quantizers(net) or any(layer.type in BINARY_TYPES for layer in net.layers)
    result = "equal"
    for form in FORMS if is_low_bit and ALL else ["float"]:
        try:
            model, ties, count = examine(net, form)
        except ValueError as error:
            assert "layer '" in str(error) or "no layers to export" in str(error), error
            return f"refused: {error}"
        assert ties <= 1e-4 * count + 3, form
        try:
            comes_back(net, model)
        except ValueError as error:
            assert "Caffe cannot express" in str(error), error
            result = f"not imported: {error}"
    return result


def test_nets_of_other_projects(collection):
    counts, reasons, failures = collections.Counter(), [], []
    for row in collection if ALL else collection[::12]:
        begin = time.monotonic()
        path = row["path"]
        try:
            result = what_becomes_of(path)
        except Exception as error:
            result = "failed"
            failures.append(f"{row['file']}: {type(error).__name__}: {str(error)[:300]}")
        kind, _, reason = result.partition(": ")
        counts[kind] += 1
        if reason and kind != "not built":
            reasons.append(f"{row['file']}: {result}")
        if kind == "not built" and row["builds_in_reference"] == "yes":
            failures.append(f"{row['file']}: {result[:300]}")
        if ALL:
            print(f"{result[:150]}\t{time.monotonic() - begin:.1f} s\t{row['file']}", flush=True)
    print(dict(counts), *reasons, sep="\n")
    assert not failures, "\n".join(failures)
    assert counts["equal"] >= 3 and counts["refused"] <= 0.05 * sum(counts.values())
