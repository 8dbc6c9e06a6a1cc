"""Packed models: what a plan computes is what the net computes, in integers wherever it can be."""

import contextlib
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from one_layer import SEEDS
from packed_interpreter import Interpreter

import caffe
from caffe import idx
from caffe.hwgq import PackedNet, architectures, binarize, levels, pack, packed_file, zoo
from caffe.hwgq.graph import Quantizer
from caffe.hwgq.packed_file import Encoding, StageKind, StepKind, TensorKind
from caffe.proto import caffe_pb2

ROOT = Path(__file__).resolve().parents[1]
UNIFORM = dict(centers=[0.538, 1.076, 1.614])
SIGN = dict(forward_func="sign")


@pytest.fixture(autouse=True, scope="module")
def nets_in_float():
    """What packed models are held against: Caffe's nets would sum on integers, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWGQ_FLOAT_NET", "1")
        yield


# ---------------------------------------------------------------------- nets


class NetOf:
    """A net of few words: each method appends a layer and returns its top."""

    def __init__(self, *shape):
        self.net = caffe_pb2.NetParameter(name="test")
        self.shapes = {}
        self.data = self.input("data", *shape)

    def input(self, name, *shape):
        blob = caffe_pb2.BlobShape(dim=[2, *shape])
        self.net.layer.add(name=name, type="Input", top=[name], input_param={"shape": [blob]})
        return name

    def add(self, layer_type, *bottoms, top=None, tops=1, **params):
        name = f"{layer_type.lower()}{len(self.net.layer)}"
        names = [top] if top else [name] if tops == 1 else [f"{name}_{i}" for i in range(tops)]
        self.net.layer.add(name=name, type=layer_type, bottom=bottoms, top=names, **params)
        return names[0] if tops == 1 else names

    def conv(self, x, outputs, kernel=3, binary=True, alpha=True, bias=False, **geometry):
        param = {"num_output": outputs, "kernel_size": [kernel], "bias_term": bias}
        param.update({key: [value] if key != "group" else value for key, value in geometry.items()})
        if not binary:
            return self.add("Convolution", x, convolution_param=param)
        options = {"use_alpha": alpha}
        return self.add("BinaryConvolution", x, convolution_param=param, binary_convolution_param=options)

    def product(self, x, outputs, binary=True, bias=True, **params):
        param = {"num_output": outputs, "bias_term": bias, **params}
        if not binary:
            return self.add("InnerProduct", x, inner_product_param=param)
        options = {"use_alpha": True}
        return self.add(
            "BinaryInnerProduct", x, inner_product_param=param, binary_inner_product_param=options
        )

    def norm(self, x, scale=False, in_place=False):
        y = self.add("BatchNorm", x, top=x if in_place else None)
        return self.add("Scale", y, top=y, scale_param={"bias_term": True}) if scale else y

    def quant(self, x, **param):
        return self.add("Quant", x, quant_param=param or UNIFORM)

    def pool(self, x, kernel=2, stride=2, method="MAX", **params):
        param = {"pool": method, "kernel_size": kernel, "stride": stride, **params}
        return self.add("Pooling", x, pooling_param=param)

    def relu(self, x, **param):
        return self.add("ReLU", x, relu_param=param)

    def sum(self, *xs, **param):
        return self.add("Eltwise", *xs, eltwise_param=param)

    def concat(self, *xs):
        return self.add("Concat", *xs)


def trained(definition, folder, seed=0):
    """Writes a net with random parameters, with statistics of its own activations: codes take all values.

    Returns its prototxt, its weights, and the net.
    """
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model, weights = folder / "deploy.prototxt", folder / "net.caffemodel"
    model.write_text(str(definition))
    net = caffe.Net(str(model), caffe.TEST)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.standard_normal(net.blobs[name].shape)
    for i, (name, layer) in enumerate(net.layer_dict.items()):
        if len(layer.blobs):
            fill(net.blobs[net.bottom_names[name][0]].data, layer, rng)
        net._forward(i, i)
    net.save(str(weights))
    return model, weights, net


def fill(x, layer, rng):
    """Random parameters for a layer that reads x."""
    if layer.type != "BatchNorm":
        for blob in layer.blobs:
            blob.data[...] = rng.standard_normal(blob.shape) * (0.1 if blob.data.ndim > 1 else 1)
        if layer.type == "Scale":
            layer.blobs[0].data.flat[-1:] *= layer.blobs[0].count == 1  # a channel that is constant
        return
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    factor = 0.5 + rng.random()
    mean, variance, total = (blob.data for blob in layer.blobs)
    deviation = np.sqrt(x.var(axes) + 0.01)
    mean[...] = (x.mean(axes) + 0.1 * deviation * rng.standard_normal(len(mean))) * factor
    variance[...] = deviation**2 * factor
    total[...] = factor


# ---------------------------------------------------------------------- comparison


def run_layer(content, bottoms):
    """Runs a serialized layer with Caffe."""
    layer = caffe_pb2.LayerParameter.FromString(content)
    assert layer.phase == caffe_pb2.TEST
    count = len(layer.top)
    del layer.bottom[:], layer.top[:]
    layer.bottom.extend(f"in{i}" for i in range(len(bottoms)))
    layer.top.extend(f"out{i}" for i in range(count))
    net = caffe_pb2.NetParameter()
    for name, values in zip(layer.bottom, bottoms, strict=True):
        shape = caffe_pb2.BlobShape(dim=values.shape)
        net.layer.add(name=name, type="Input", top=[name], input_param={"shape": [shape]})
    net.layer.append(layer)
    made = caffe._caffe.net_from_bytes(net.SerializeToString(), caffe.TEST)
    for blob, values in zip(made.params.get(layer.name, ()), layer.blobs, strict=True):
        blob.data[...] = caffe.io.blobproto_to_array(values)
    results = made.forward(**{f"in{i}": values for i, values in enumerate(bottoms)})
    return [results[f"out{i}"].astype(np.float64) for i in range(count)]


class Forcing:
    """Holds tensors against the net's blobs, and goes on with the net's, so that each stage is judged alone.

    A quantized value may differ only where what is quantized lies at a threshold, within what single
    precision rounds.
    """

    def __init__(self, net, definition):
        self.net = net
        self.quants = {layer.top[0]: layer for layer in definition.layer if layer.type == "Quant"}
        self.codes_seen, self.flips = 0, 0

    def __call__(self, name, kind, found):
        if name not in self.net.blobs:
            return found
        expected = self.net.blobs[name].data.reshape(found.shape).astype(np.float64)
        if kind == TensorKind.CODES:
            expected = self.codes(expected)
            self.codes_seen += found.size
        different = np.abs(found - expected) > 3e-5 * np.abs(expected).max() + 1e-6
        if different.any():
            assert name in self.quants, f"{name} differs"
            self.flips += different.sum()
            layer = self.quants[name]
            x = self.net.blobs[layer.bottom[0]].data.reshape(found.shape)[different]
            centers = np.array(layer.quant_param.centers)
            limits = np.array([0, *(centers[:-1] + centers[1:]) / 2])
            assert (np.abs(x[:, None] - limits).min(1) <= 3e-5 * (1 + np.abs(x))).all(), name
        return expected

    def codes(self, values):
        for layer in self.quants.values():
            known = [-1, 1] if layer.quant_param.forward_func == "sign" else [0, *layer.quant_param.centers]
            places = np.searchsorted(known, values - 1e-6)
            if (np.abs(np.array([*known, np.inf])[places] - values) < 1e-5).all():
                return places.astype(np.float64)
        raise AssertionError("no quantizer made these values")


def compared(definition, folder, seed=0, forced=True, **options):
    """Packs a net and holds its outputs against the float net's; returns the report and the plan."""
    model, weights, net = trained(definition, folder, seed)
    report = pack(model, weights, Path(folder) / "net.hwgq", **options)
    rng = np.random.default_rng(seed + 1)
    inputs = {name: rng.standard_normal(net.blobs[name].shape).astype(np.float32) for name in net.inputs}
    expected = {name: values.copy() for name, values in net.forward(**inputs).items()}
    interpreter = Interpreter(report.path, run_layer)
    forcing = Forcing(net, definition)
    found = interpreter.forward(inputs, forcing if forced else None)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        tolerance = 1e-4 * max(np.abs(values).max(), 1e-3)
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=tolerance, err_msg=name)
    assert forcing.flips <= max(3, 1e-4 * forcing.codes_seen)
    check_engine(report.path, inputs, interpreter.forward(inputs))
    return report, interpreter.plan


def check_engine(path, inputs, expected):
    """The engine computes what the interpreter does, on one thread and on several."""
    for threads in (1, 3):
        found = PackedNet(path, threads).forward(inputs)
        if not isinstance(found, dict):
            found = {next(iter(expected)): found}
        assert set(found) == set(expected)
        for name, values in expected.items():
            tolerance = 1e-4 * max(np.abs(values).max(), 1e-3)
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=tolerance, err_msg=name)


def kinds(plan):
    return [stage.kind for stage in plan.stages]


def steps(stage):
    return [step.kind for step in stage.steps]


BINARY, POOLING, MAP = StageKind.BINARY_CONVOLUTION, StageKind.POOLING, StageKind.MAP
THRESHOLD, QUANTIZE, STORE = StepKind.THRESHOLD, StepKind.QUANTIZE, StepKind.STORE
AFFINE, ADD, LEVELS = StepKind.AFFINE, StepKind.ADD, StepKind.LEVELS


# ---------------------------------------------------------------------- what becomes of layers


QUANTIZERS = {
    "uniform": UNIFORM,
    "sign": SIGN,
    **{
        f"{count} {kind}": dict(centers=list(architectures.optimal_quantizer(count, kind == "even").centers))
        for count in (1, 2, 7, 15)
        for kind in ("even", "other")
    },
    "odd proportions": dict(centers=[0.1234567, 0.7654321, 2**0.5]),
}


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_between_quantizers_there_are_integers_only(tmp_path, quantizer):
    param = QUANTIZERS[quantizer]
    n = NetOf(3, 9, 9)
    x = n.quant(n.norm(n.conv(n.data, 5, binary=False)), **param)
    x = n.quant(n.norm(n.conv(x, 7, bias=True, pad=1), scale=True), **param)
    n.product(x, 4)
    _, plan = compared(n.net, tmp_path)
    assert kinds(plan) == [StageKind.CONVOLUTION, BINARY, BINARY]
    assert [steps(stage) for stage in plan.stages] == [[AFFINE, QUANTIZE], [THRESHOLD], [AFFINE, STORE]]
    assert [tensor.kind for tensor in plan.tensors].count(TensorKind.CODES) == 2
    # Bits of a channel that falls are turned around, so some are and some are not.
    assert plan.stages[1].arrays[0].size == 7 * -(-5 * 9 // 8)


@pytest.mark.parametrize(
    "geometry",
    [
        dict(kernel=1),
        dict(kernel=3, pad=1, stride=2),
        dict(kernel=3, pad=2, dilation=2),
        dict(kernel=3, group=3, pad=1),
        dict(kernel=2, group=6, alpha=False, bias=True),
    ],
)
def test_geometry(tmp_path, geometry):
    n = NetOf(4, 8, 11)
    x = n.quant(n.norm(n.conv(n.data, 6, binary=False, stride=1)))
    x = n.quant(n.norm(n.conv(x, 12, **geometry)))
    n.conv(x, 3, kernel=2, binary=False)
    _, plan = compared(n.net, tmp_path)
    assert kinds(plan) == [StageKind.CONVOLUTION, BINARY, StageKind.CONVOLUTION]
    assert steps(plan.stages[1]) == [AFFINE, LEVELS, STORE], "a float layer reads real values"


def test_rows_and_columns_apart(tmp_path):
    n = NetOf(3, 12, 9)
    x = n.quant(n.data)
    param = dict(num_output=4, kernel_h=3, kernel_w=2, stride_h=2, stride_w=1, pad_h=1, bias_term=False)
    x = n.add("BinaryConvolution", x, convolution_param=param)
    param = dict(kernel_h=2, kernel_w=3, stride_w=2, pad_w=1)
    n.add("Pooling", n.quant(n.norm(x)), pooling_param=param)
    _, plan = compared(n.net, tmp_path)
    assert plan.stages[1].attributes[1:7] == [3, 2, 2, 1, 1, 0]
    assert plan.stages[2].attributes[:7] == [0, 2, 3, 1, 2, 0, 1]


def test_pooling_comes_after_the_quantizer(tmp_path):
    n = NetOf(3, 13, 13)
    x = n.pool(n.conv(n.data, 6, binary=False, bias=True), 3, 2)
    x = n.quant(n.relu(n.norm(x, scale=True)))
    x = n.quant(n.norm(n.pool(n.conv(x, 8, pad=1)), scale=True))
    n.product(x, 3)
    _, plan = compared(n.net, tmp_path)
    assert kinds(plan) == [StageKind.CONVOLUTION, POOLING, BINARY, POOLING, BINARY]
    assert steps(plan.stages[2]) == [THRESHOLD]
    for stage in (plan.stages[1], plan.stages[3]):
        mask = stage.arrays[0]
        assert set(mask.tolist()) == {0, 255}, "Scale turns some channels around"


def test_pooling_of_codes(tmp_path):
    n = NetOf(3, 9, 9)
    x = n.pool(n.quant(n.norm(n.data, scale=True)), 3, 2, pad=1)
    n.product(n.quant(n.norm(n.conv(x, 8))), 3)
    _, plan = compared(n.net, tmp_path)
    assert kinds(plan) == [MAP, POOLING, BINARY, BINARY]
    assert plan.stages[1].arrays[0].tolist() == [0, 0, 0]


def test_pooling_stays_where_others_read_it(tmp_path):
    n = NetOf(3, 9, 9)
    pooled = n.pool(n.conv(n.data, 6, binary=False))
    n.conv(n.quant(n.norm(pooled)), 4, kernel=2)
    n.product(pooled, 3, binary=False)
    _, plan = compared(n.net, tmp_path)
    assert steps(plan.stages[0]) == [STORE]
    assert steps(plan.stages[1]) == [STORE, AFFINE, QUANTIZE]


def test_maxima_are_taken_before_a_bias_is_added(tmp_path):
    n = NetOf(3, 9, 9)
    pooled = n.pool(n.conv(n.data, 6, binary=False, bias=True), 3, 2, pad=1)
    n.conv(n.quant(n.norm(pooled)), 4, kernel=2)
    n.product(n.norm(pooled), 3, binary=False)
    report, plan = compared(n.net, tmp_path)
    assert kinds(plan)[:2] == [StageKind.CONVOLUTION, POOLING]
    assert steps(plan.stages[0]) == [STORE]
    assert steps(plan.stages[1])[0] == AFFINE
    assert plan.stages[0].name == "convolution1" and "convolution1" not in plan.stages[1].name


def test_means_and_falling_functions_stay_in_order(tmp_path):
    n = NetOf(3, 8, 8)
    n.product(n.pool(n.conv(n.data, 6, binary=False, bias=True), method="AVE"), 3, binary=False)
    n.product(n.pool(n.norm(n.conv(n.data, 6, binary=False), scale=True)), 3, binary=False)
    _, plan = compared(n.net, tmp_path)
    for stage in plan.stages:
        if stage.kind == StageKind.CONVOLUTION and stage.attributes[0] == 6:
            assert steps(stage) == [AFFINE, STORE]


def test_codes_that_are_read_as_values_too(tmp_path):
    n = NetOf(3, 10, 10)
    x = n.quant(n.norm(n.pool(n.conv(n.data, 6, binary=False))))
    n.conv(x, 4)
    n.conv(x, 4, binary=False)
    pooled = n.pool(x)
    n.conv(pooled, 2, kernel=1)
    n.pool(pooled, 2, 1, method="AVE")
    report, plan = compared(n.net, tmp_path)
    assert steps(plan.stages[1]) == [AFFINE, QUANTIZE, LEVELS, STORE]
    assert "not only codes" in report.explanation


def test_shortcuts_stay_real(tmp_path):
    n = NetOf(3, 9, 9)
    x = n.norm(n.conv(n.data, 6, binary=False))
    for scale in (False, True):
        y = n.quant(n.norm(n.conv(n.quant(n.norm(x)), 6, pad=1)))
        x = n.sum(x, n.norm(n.conv(y, 6, pad=1), scale=scale), coeff=[0.5, -1.25])
    n.product(n.relu(x), 4, binary=False)
    _, plan = compared(n.net, tmp_path)
    assert kinds(plan) == [StageKind.CONVOLUTION, *[BINARY] * 4, StageKind.CONVOLUTION]
    assert steps(plan.stages[0]) == [AFFINE, STORE, AFFINE, QUANTIZE]
    assert steps(plan.stages[2]) == [AFFINE, ADD, STORE, AFFINE, QUANTIZE]
    assert steps(plan.stages[4]) == [AFFINE, ADD, StepKind.RELU, STORE]
    assert plan.stages[2].steps[1].parameters == [-1.25, 0.5]


def test_an_offset_of_a_sum_is_added_once(tmp_path):
    n = NetOf(3, 8, 8)
    x = n.quant(n.norm(n.data))
    total = n.sum(n.norm(n.conv(x, 5)), n.norm(n.conv(x, 5), scale=True), coeff=[0.5, -2])
    kept = n.norm(n.conv(x, 5))
    n.product(n.sum(total, n.sum(kept, n.norm(n.conv(x, 5)))), 3, binary=False)
    n.product(kept, 3, binary=False)
    _, plan = compared(n.net, tmp_path)
    offsets = [step.arrays[1] for stage in plan.stages for step in stage.steps if step.kind == AFFINE]
    # The one that others read, too, stays where it is.
    assert [offset.tolist() == [0] for offset in offsets].count(True) == 1
    assert [len(offset) for offset in offsets].count(5) == 3


def test_one_number_for_all_channels(tmp_path):
    n = NetOf(3, 6, 6)
    x = n.quant(n.norm(n.data))
    n.product(x, 4, binary=False, bias=True)
    _, plan = compared(n.net, tmp_path)
    factor, offset = plan.stages[-1].steps[0].arrays
    assert factor.tolist() == [1] and offset.shape == (4,)


def test_projected_shortcut_and_three_terms(tmp_path):
    n = NetOf(3, 8, 8)
    quantized = n.quant(n.norm(n.data))
    branches = [n.norm(n.conv(quantized, 5, kernel=k, pad=k // 2)) for k in (1, 3, 5)]
    total = n.sum(*branches, coeff=[1, 0.5, -2])
    total = n.sum(total, n.relu(branches[0]), operation="MAX")
    n.product(n.quant(n.sum(total, branches[1], operation="PROD")), 3)
    compared(n.net, tmp_path)


def test_one_value_for_several(tmp_path):
    """Equal quantizers of one value are one; other readers make their own of what is stored."""
    n = NetOf(3, 8, 8)
    x = n.norm(n.conv(n.data, 6, binary=False), in_place=True)
    one, other = n.add("Split", x, tops=2)
    n.conv(n.quant(one), 4)
    n.conv(n.quant(other), 5)
    n.conv(n.quant(x, **SIGN), 3)
    n.conv(n.quant(n.norm(x)), 2)
    n.relu(x)
    _, plan = compared(n.net, tmp_path)
    assert sum(QUANTIZE in steps(stage) for stage in plan.stages) <= 2
    assert [kind for stage in plan.stages for kind in steps(stage)].count(QUANTIZE) == 3


def test_a_value_with_itself(tmp_path):
    n = NetOf(3, 5, 5)
    n.sum(n.relu(n.data), n.data)
    x = n.conv(n.data, 4, binary=False)
    n.sum(x, x, operation="PROD")
    y = n.conv(n.data, 4, binary=False)
    n.sum(n.add("Sigmoid", y), y)
    _, plan = compared(n.net, tmp_path)
    written = set(plan.inputs[0:1] and [plan.inputs[0].tensor])
    for stage in plan.stages:
        reads = [step.tensor for step in stage.steps if step.kind in (ADD, StepKind.MULTIPLY)]
        assert written.issuperset(reads), "what a stage adds, another one wrote"
        written.update(step.tensor for step in stage.steps if step.kind == STORE)


def test_concatenations_are_of_codes(tmp_path):
    n = NetOf(3, 9, 9)
    x = n.quant(n.norm(n.conv(n.data, 6, binary=False)))
    inner = n.concat(n.conv(x, 4, kernel=1), n.conv(x, 3, pad=1))
    outer = n.concat(inner, n.conv(x, 5, kernel=5, pad=2, bias=True))
    x = n.quant(n.norm(n.pool(outer, 3, 2), scale=True))
    n.product(x, 3)
    _, plan = compared(n.net, tmp_path)
    assert kinds(plan) == [StageKind.CONVOLUTION, BINARY, BINARY, BINARY, POOLING, BINARY]
    assert [stage.steps[0].channel for stage in plan.stages[1:4]] == [0, 4, 7]
    assert len({stage.steps[0].tensor for stage in plan.stages[1:4]}) == 1


def test_concatenations_of_all_sorts(tmp_path):
    n = NetOf(3, 6, 6)
    q = n.quant(n.data)
    codes = n.concat(q, n.pool(q, 3, 1, pad=1), n.quant(n.norm(n.data)))
    n.conv(codes, 3)
    n.conv(n.concat(n.quant(n.data, **SIGN), q), 3)
    values = n.concat(n.data, n.conv(codes, 2, pad=1), n.data, n.add("AbsVal", n.data))
    n.concat(values, q)
    n.relu(values)
    compared(n.net, tmp_path)


def test_activations_without_codes(tmp_path):
    n = NetOf(4, 6, 6)
    for param in (
        dict(**UNIFORM, negative_slope=0.25),
        dict(centers=[0.1 * i for i in range(1, 18)]),
        dict(forward_func="hard_tanh"),
        dict(forward_func="relu", negative_slope=0.1),
    ):
        n.conv(n.quant(n.norm(n.data), **param), 5)
    report, plan = compared(n.net, tmp_path)
    assert BINARY not in kinds(plan)
    convolutions = [stage for stage in plan.stages if stage.kind == StageKind.CONVOLUTION]
    assert {stage.attributes[-1] for stage in convolutions} == {Encoding.BITS}
    for words in ("negative slope", "more than 16 levels", "is not quantized"):
        assert words in report.explanation


def test_functions_of_elements(tmp_path):
    n = NetOf(4, 6, 6)
    n.add("Sigmoid", n.data)
    n.add("TanH", n.norm(n.data))
    n.add("Clip", n.data, clip_param={"min": -0.5, "max": 0.75})
    n.add("Power", n.data, power_param={"scale": -2, "shift": 0.5})
    n.add("Bias", n.data)
    n.add("Scale", n.data, scale_param={"num_axes": 0, "bias_term": True})
    n.add("PReLU", n.data, prelu_param={"channel_shared": True})
    n.add("Dropout", n.relu(n.data, negative_slope=0.1))
    n.add("Softmax", n.data)
    n.add("LRN", n.data, lrn_param={"local_size": 3, "alpha": 2, "k": 1.5})
    n.add("LRN", n.data, lrn_param={"local_size": 3, "norm_region": "WITHIN_CHANNEL"})
    n.pool(n.data, 3, 2, method="AVE", pad=1)
    n.pool(n.data, 3, 2, method="AVE", round_mode="FLOOR")
    n.add("Pooling", n.data, pooling_param={"pool": "AVE", "global_pooling": True})
    n.add("Silence", n.data, tops=0)
    report, plan = compared(n.net, tmp_path)
    assert not report.caffe_layers
    assert StageKind.CAFFE_LAYER not in kinds(plan)


def test_what_is_left_to_caffe(tmp_path):
    n = NetOf(4, 6, 6)
    n.add("ELU", n.data)
    n.add("PReLU", n.data)
    n.add("Slice", n.relu(n.data), tops=2)
    unread, read = n.add("Slice", n.norm(n.data), tops=2, slice_param={"slice_point": [3]})
    n.add("Silence", unread, tops=0)
    n.conv(n.quant(n.norm(read)), 3)
    n.add("Softmax", n.data, softmax_param={"axis": 2})
    n.add("Power", n.data, power_param={"power": 2})
    n.add("Scale", n.data, scale_param={"num_axes": 2})
    n.add("Scale", n.data, n.relu(n.data), scale_param={"axis": 0})
    n.pool(n.data, 1, 5)
    n.pool(n.add("AbsVal", n.data), 1, 4)
    n.add("Concat", n.data, n.data, concat_param={"axis": 2})
    n.product(n.data, 3, binary=False, axis=2)
    report, _ = compared(n.net, tmp_path)
    assert len(report.caffe_layers) == 12
    assert "left to Caffe" in report.explanation


def test_flattened_values(tmp_path):
    n = NetOf(3, 4, 5)
    flat = n.add("Flatten", n.quant(n.norm(n.data)))
    n.product(n.quant(n.norm(n.product(flat, 7))), 4)
    n.relu(n.add("Flatten", n.conv(n.data, 4, binary=False)))
    n.sum(n.add("Reshape", n.data, reshape_param={"shape": {"dim": [0, -1]}}), n.add("Flatten", n.data))
    report, _ = compared(n.net, tmp_path)
    assert not report.caffe_layers


def test_flattened_values_that_are_moved(tmp_path):
    n = NetOf(3, 4, 5)
    x = n.add("Flatten", n.conv(n.data, 4, binary=False))
    n.product(n.quant(n.norm(x)), 3)
    n.concat(x, n.add("Flatten", n.data))
    report, _ = compared(n.net, tmp_path)
    assert report.caffe_layers


def test_inputs_in_another_shape(tmp_path):
    n = NetOf(48)
    image = n.add("Reshape", n.data, reshape_param={"shape": {"dim": [0, 3, 4, 4]}})
    n.product(n.quant(n.norm(n.conv(image, 5, binary=False))), 3)
    report, plan = compared(n.net, tmp_path)
    assert not report.caffe_layers
    assert plan.inputs[0].dimensions == [48]
    assert plan.tensors[plan.inputs[0].tensor].channels == 3


def test_several_inputs_and_outputs(tmp_path):
    n = NetOf(3, 6, 6)
    other = n.input("other", 3, 6, 6)
    scores = n.input("scores", 5)
    total = n.sum(n.data, other)
    n.quant(n.norm(total))
    n.sum(n.product(total, 5, binary=False, transpose=True), scores)
    _, plan = compared(n.net, tmp_path)
    assert [port.name for port in plan.inputs] == ["data", "other", "scores"]
    assert sorted(port.dimensions for port in plan.outputs) == [[3, 6, 6], [5]]


def test_a_quantizer_in_place(tmp_path):
    n = NetOf(3, 6, 6)
    x = n.norm(n.conv(n.data, 6, binary=False), in_place=True)
    n.add("Quant", x, top=x, quant_param=UNIFORM)
    n.conv(x, 4)
    _, plan = compared(n.net, tmp_path)
    assert kinds(plan) == [StageKind.CONVOLUTION, BINARY]


def test_binarized_weights_pack_to_the_same(tmp_path):
    n = NetOf(3, 9, 9)
    x = n.quant(n.norm(n.conv(n.data, 5, binary=False, bias=True)))
    x = n.quant(n.norm(n.conv(x, 7, pad=1)))
    n.product(x, 4)
    model, weights, _ = trained(n.net, tmp_path)
    files = binarize(model, weights, tmp_path / "deploy")
    contents = [
        pack(*pair, tmp_path / "net.hwgq").path.read_bytes()
        for pair in ((model, weights), files[:2], files[2:])
    ]
    assert contents[0] == contents[1] == contents[2]


def test_a_binary_layer_of_a_real_input(tmp_path):
    n = NetOf(1, 9, 9)
    x = n.quant(n.norm(n.pool(n.conv(n.data, 6, kernel=4))))
    n.product(x, 3)
    report, plan = compared(n.net, tmp_path)
    assert plan.stages[0].attributes[-1] == Encoding.BITS
    assert [weights.encoding for weights in report.weights] == [Encoding.BITS] * 2


def test_zero_and_nan_weights(tmp_path):
    n = NetOf(2, 3, 3)
    n.conv(n.quant(n.data), 3, kernel=3, alpha=False)
    model, weights, net = trained(n.net, tmp_path)
    values = net.params["binaryconvolution2"][0].data
    values[...] = [[[[0]]], [[[-0.0]]], [[[np.nan]]]]
    values[2, 0] = -1
    values[2, 1, 0, 0] = 1
    net.save(str(weights))
    plan = packed_file.read(pack(model, weights, tmp_path / "net.hwgq").path)
    bits = np.unpackbits(plan.stages[1].arrays[0].reshape(3, -1), axis=1, bitorder="little")[:, :18]
    assert bits[0].all() and bits[1].all() and bits[2].sum() == 1


def rng_net(seed):
    """A net of random layers."""
    rng = np.random.default_rng(seed)

    def one_of(things):
        return things[rng.integers(len(things))]

    n = NetOf(int(rng.integers(1, 6)), *map(int, rng.integers(5, 12, 2)))
    quantizer = one_of(list(QUANTIZERS.values()))
    shapes = {n.data: tuple(n.net.layer[0].input_param.shape[0].dim[1:])}

    def put(name, shape):
        shapes[name] = shape
        return name

    def quantized(x):
        scaled = n.norm(x, scale=rng.random() < 0.5)
        return put(n.quant(n.relu(scaled) if rng.random() < 0.2 else scaled, **quantizer), shapes[x])

    def block(x):
        x = quantized(pooling(x) if rng.random() < 0.4 else x)
        x = pooling(x) if rng.random() < 0.3 else x
        outputs = [convolution(x, binary=True) for _ in range(rng.integers(1, 4))]
        return joined(*outputs) if rng.random() < 0.4 else outputs[0]

    def convolution(x, binary=None):
        channels, height, width = shapes[x]
        kernel = int(rng.integers(1, min(height, width, 4) + 1))
        group = 2 if channels % 2 == 0 and rng.random() < 0.3 else 1
        outputs = int(rng.integers(1, 5)) * 2
        binary = rng.random() < 0.5 if binary is None else binary
        y = n.conv(
            x, outputs, kernel, binary, rng.random() < 0.7, rng.random() < 0.3, group=group, pad=kernel // 2
        )
        bigger = 1 - kernel % 2
        return put(y, (outputs, height + bigger, width + bigger))

    def pooling(x):
        channels, height, width = shapes[x]
        if min(height, width) < 3:
            return x
        y = n.pool(x, 3, 2, one_of(["MAX", "MAX", "AVE"]), round_mode="FLOOR")
        return put(y, (channels, (height - 3) // 2 + 1, (width - 3) // 2 + 1))

    def combined(x):
        alike = [name for name in shapes if shapes[name] == shapes[x]]
        operation = one_of(["SUM", "SUM", "MAX", "PROD"])
        coeff = [0.5, -1.25] if operation == "SUM" and rng.random() < 0.5 else []
        return put(n.sum(x, one_of(alike), operation=operation, coeff=coeff), shapes[x])

    def joined(x, *others):
        alike = [name for name in shapes if shapes[name][1:] == shapes[x][1:]]
        parts = [name for name in (x, *others) if name in alike]
        parts += [one_of(alike) for _ in range(rng.integers(len(parts) == 1, 3))]
        return put(n.concat(*parts), (sum(shapes[part][0] for part in parts), *shapes[x][1:]))

    same = [
        lambda x: n.norm(x),
        lambda x: n.relu(x),
        lambda x: n.add("Dropout", x),
        lambda x: n.add(one_of(["TanH", "Sigmoid", "AbsVal", "Split"]), x),
    ]
    x = n.data
    for _ in range(rng.integers(4, 14)):
        make = one_of([block] * 4 + [convolution, pooling, combined, combined, joined, quantized, "same"])
        x = put(one_of(same)(x), shapes[x]) if make == "same" else make(x)
        x = x if rng.random() < 0.8 else one_of(list(shapes))
    if rng.random() < 0.5:
        n.product(x, 3)
    return n.net


@given(SEEDS)
def test_any_net(seed):
    with tempfile.TemporaryDirectory() as folder:
        compared(rng_net(seed), folder, seed)


# ---------------------------------------------------------------------- whole networks


def narrowed(definition, by, side):
    """The net with fewer channels and a smaller image, its last pooling over what is left."""
    for layer in definition.layer:
        if layer.type.endswith("Convolution"):
            layer.convolution_param.num_output //= by
        elif layer.type == "BinaryInnerProduct":
            layer.inner_product_param.num_output //= by
        elif layer.type == "Pooling" and layer.pooling_param.pool == caffe_pb2.PoolingParameter.AVE:
            layer.pooling_param.Clear()
            layer.pooling_param.pool = caffe_pb2.PoolingParameter.AVE
            layer.pooling_param.global_pooling = True
    definition.input_shape[0].dim[:] = [2, 3, side, side]
    return definition


NETWORKS = {
    "mnist/lenet-hwgq-3ne": None,
    "cifar10/vgg-hwgq-3ne-clip-poly": (4, 32),
    "imagenet/alex-hwgq-3ne-clip-step-160k": (8, 115),
    "imagenet/alex-hwgq-2n-clip-step-160k": (8, 99),
    "imagenet/alex-sign-step-160k": (8, 99),
    "imagenet/res18-hwgq-3ne-clip-poly-320k": (4, 64),
    "imagenet/res50-hwgq-3ne-clip-poly-640k": (8, 48),
    "imagenet/google-hwgq-3ne-clip-poly-320k": (8, 64),
    "imagenet/dark19-hwgq-3ne-clip-poly-320k": (8, 64),
    "imagenet/vgg-hwgq-3ne-clip-poly-640k": (8, 56),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks(tmp_path, name):
    definition = zoo.deploy(zoo.RUNS[name])
    if NETWORKS[name]:
        definition = narrowed(definition, *NETWORKS[name])
    report, plan = compared(definition, tmp_path)
    assert not report.caffe_layers
    binary = [stage for stage in plan.stages if stage.kind == BINARY]
    layers = sum(layer.type.startswith("Binary") for layer in definition.layer)
    # LeNet's first layer is binary, and reads an image.
    assert len(binary) == layers - (name == "mnist/lenet-hwgq-3ne")
    assert not any(LEVELS in steps(stage) for stage in plan.stages)
    ends = [steps(stage)[0] for stage in binary]
    shortcuts = sum(layer.type == "Eltwise" for layer in definition.layer)
    if not shortcuts:
        assert ends.count(THRESHOLD) >= len(ends) - 3, "but for those that go to a float layer"
    else:
        assert sum(ADD in steps(stage) for stage in binary) == shortcuts


def test_training_nets_are_packed_for_deployment(tmp_path):
    run = zoo.RUNS["cifar10/vgg-hwgq-3ne-clip-poly"]
    model, weights, _ = trained(narrowed(zoo.deploy(run), 8, 32), tmp_path)
    training = tmp_path / "train_val.prototxt"
    narrow = zoo.train_val(run)
    for layer in narrow.layer:
        if layer.type.endswith("Convolution"):
            layer.convolution_param.num_output //= 8
    training.write_text(str(narrow))
    expected = pack(model, weights, tmp_path / "one.hwgq").path.read_bytes()
    with pytest.raises(ValueError, match="input_shape"):
        pack(training, weights, tmp_path / "two.hwgq")
    report = pack(training, weights, tmp_path / "two.hwgq", input_shape=(7, 3, 32, 32))
    # It holds the data layers and measures, too.
    plan = packed_file.read(report.path)
    assert plan.test
    plan.test = ""
    packed_file.write(plan, report.path)
    assert report.path.read_bytes() == expected


def filled(name, folder):
    """A published network's files, with random weights."""
    model, weights = folder / "deploy.prototxt", folder / "net.caffemodel"
    model.write_text(str(zoo.deploy(zoo.RUNS[name])))
    net = caffe.Net(str(model), caffe.TEST)
    rng = np.random.default_rng(0)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = rng.random(blob.shape, np.float32) - (0.5 if len(blob.shape) > 1 else 0)
    net.save(str(weights))
    return model, weights


@pytest.mark.parametrize(
    ("name", "in_float", "in_int8"),
    [
        ("imagenet/alex-hwgq-3ne-clip-step-160k", 10.4, 21.8),
        ("imagenet/res18-hwgq-3ne-clip-poly-320k", 13.1, 23.9),
        ("imagenet/res50-hwgq-3ne-clip-poly-640k", 8.7, 19.7),
    ],
)
def test_files_are_as_small_as_the_parameters_allow(tmp_path, name, in_float, in_int8):
    files = filled(name, tmp_path)
    for first_last, ratio in (("float", in_float), ("int8", in_int8)):
        report = pack(*files, tmp_path / "net.hwgq", first_last=first_last)
        assert report.packed_bytes == report.path.stat().st_size
        # 2 % from it, or smaller still.
        assert report.ratio >= 0.98 * ratio
        for weights in report.weights:
            if weights.encoding == Encoding.BITS:
                assert weights.packed_bytes * 30 <= weights.float_bytes


# ---------------------------------------------------------------------- trained nets


@pytest.fixture
def digits(mnist_dir):
    """The first 1,000 test images, N x 1 x 28 x 28, 0 to 255."""
    images = idx.read(idx.find(mnist_dir, "t10k-images-idx3-ubyte"), 3)[:1000]
    return images[:, None].astype(np.float32)


@pytest.mark.parametrize(
    ("files", "scale"),
    [
        (("hwgq-sfc-w1a2-mnist/sfc-w1a2.prototxt", "hwgq-sfc-w1a2-mnist/sfc-w1a2.caffemodel"), 1),
        (("lenet-2014/lenet.prototxt", "lenet-2014/lenet_iter_10000.caffemodel"), 1 / 256),
    ],
)
def test_trained_nets_predict_the_same(shared, digits, tmp_path, files, scale):
    model, weights = (shared / "models" / file for file in files)
    if not weights.exists():
        pytest.skip(f"{weights} is not there")
    report = pack(model, weights, tmp_path / "net.hwgq")
    net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    (expected,) = net.forward_all(data=digits * scale).values()
    interpreter = Interpreter(report.path)
    batches = (interpreter.forward({"data": batch * scale}) for batch in np.split(digits, 20))
    found = np.concatenate([values for outputs in batches for values in outputs.values()])
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))
    unequal = np.abs(found - expected).max(1) > 1e-4 * np.abs(expected).max()
    assert unequal.sum() <= 3, "but for values at a threshold"


# ---------------------------------------------------------------------- 8-bit weights


def small_net():
    n = NetOf(3, 9, 9)
    x = n.quant(n.norm(n.conv(n.data, 5, binary=False)))
    x = n.relu(n.norm(n.conv(x, 8)))
    n.product(x, 4, binary=False)
    return n.net


def test_8_bit_weights(tmp_path):
    model, weights, net = trained(small_net(), tmp_path)
    report = pack(model, weights, tmp_path / "net.hwgq", first_last="int8")
    assert [it.encoding for it in report.weights] == [Encoding.INT8, Encoding.BITS, Encoding.INT8]
    plan = packed_file.read(report.path)
    original = net.params["convolution1"][0].data
    values, scales = plan.stages[0].arrays
    rounded = values.reshape(5, 3, 3, 3).transpose(0, 3, 1, 2) * scales[:, None, None, None]
    assert (np.abs(rounded - original) <= 0.5001 * scales[:, None, None, None]).all()
    np.testing.assert_allclose(scales, np.abs(original).max((1, 2, 3)) / 127, rtol=1e-6)
    error = np.sqrt(np.square(rounded - original).sum() / np.square(original).sum())
    assert report.weights[0].relative_error == pytest.approx(error, rel=1e-3)


def test_what_8_bit_weights_change(tmp_path, monkeypatch):
    class Net:
        def __init__(self, path):
            self.interpreter = Interpreter(path)
            self.outputs = {port.name: port.dimensions for port in self.interpreter.plan.outputs}

        def forward(self, inputs):
            (values,) = self.interpreter.forward({"data": inputs}).values()
            return values

    monkeypatch.setattr(sys.modules["caffe.hwgq.packing"], "PackedNet", Net)
    model, weights, net = trained(small_net(), tmp_path)
    inputs = np.random.default_rng(0).standard_normal((20, 3, 9, 9))
    report = pack(model, weights, tmp_path / "net.hwgq", first_last="int8", calibration=inputs)
    (change,) = report.changes
    assert change.name == net.outputs[0]
    assert 0 < change.mean <= change.largest < 0.5
    assert 0.5 <= change.same_best <= 1


# ---------------------------------------------------------------------- what is refused


def refused(definition, tmp_path, match):
    model, weights, _ = trained(definition, tmp_path)
    with pytest.raises(ValueError, match=match):
        pack(model, weights, tmp_path / "net.hwgq")
    assert not (tmp_path / "net.hwgq").exists()


def test_layers_that_mix_images_are_refused(tmp_path):
    n = NetOf(4, 3, 3)
    n.add("Softmax", n.data, softmax_param={"axis": 0})
    refused(n.net, tmp_path, r"deploy.prototxt: layer 'softmax1' \(Softmax\) mixes the images")
    n = NetOf(4, 3, 3)
    n.add("Reshape", n.data, reshape_param={"shape": {"dim": [4, 2, 9]}})
    refused(n.net, tmp_path, r"layer 'reshape1' \(Reshape\) .* first axis is the batch")
    n = NetOf(4, 3, 3)
    n.add("Reduction", n.data)
    refused(n.net, tmp_path, r"layer 'reduction1' \(Reduction\)")


def test_blobs_of_many_axes_are_refused(tmp_path):
    n = NetOf(4, 3, 3, 2)
    n.relu(n.data)
    refused(n.net, tmp_path, r"layer 'data' \(Input\) .* 5 axes")


def test_parameters_that_are_not_finite_are_refused(tmp_path):
    n = NetOf(2, 3, 3)
    n.norm(n.conv(n.quant(n.data), 3))
    model, weights, net = trained(n.net, tmp_path)
    net.params["batchnorm3"][1].data[1] = -1e9
    net.save(str(weights))
    with pytest.raises(ValueError, match=r"layer 'batchnorm3' \(BatchNorm\) .* not finite"):
        pack(model, weights, tmp_path / "net.hwgq")


def test_layers_of_one_name_are_refused(tmp_path):
    n = NetOf(2, 3, 3)
    n.conv(n.conv(n.data, 2, kernel=1), 2, kernel=1)
    n.net.layer[2].name = n.net.layer[1].name
    refused(n.net, tmp_path, "has the name of a layer before it")


def test_files_to_read_are_not_overwritten(tmp_path):
    model, weights, _ = trained(small_net(), tmp_path)
    before = weights.read_bytes()
    with pytest.raises(ValueError, match="another name"):
        pack(model, weights, weights)
    assert weights.read_bytes() == before


def test_unknown_words(tmp_path):
    with pytest.raises(ValueError, match="first_last is one of float, int8"):
        pack("a", "b", tmp_path / "net.hwgq", first_last="int4")


def test_weights_of_another_net_are_refused(tmp_path):
    model, weights, _ = trained(small_net(), tmp_path)
    other, _, _ = trained(zoo.deploy(zoo.RUNS["mnist/lenet-hwgq-3ne"]), tmp_path / "other")
    with pytest.raises((ValueError, caffe.Error), match="conv1"):
        pack(other, weights, tmp_path / "net.hwgq")


# ---------------------------------------------------------------------- levels and thresholds


def test_levels_in_integers():
    for values, most, expected, unit in (
        ([-1, 1], 100, [-1, 1], 1),
        ([0, 0.538, 1.076, 1.614], 100, [0, 1, 2, 3], 0.538),
        (np.float32([0, 0.453, 1.51]), 10**6, [0, 3, 10], 0.151),
        ([0, 0.7], 100, [0, 1], 0.7),
        ([0, 3, 4], 100, [0, 3, 4], 1),
    ):
        found, its_unit = levels.integer_levels(values, most)
        assert found.tolist() == expected
        assert its_unit == pytest.approx(unit, rel=1e-6)
    found, unit = levels.integer_levels([0, np.pi / 10, 1.0, np.e], 2**31 // 1000)
    assert found.max() <= 2**31 // 1000
    np.testing.assert_allclose(found * unit, [0, np.pi / 10, 1.0, np.e], rtol=1e-5)
    # Too fine a decimal for a long sum.
    assert levels.integer_levels([0, 0.4531, 1.5], 10)[0].max() <= 10


@pytest.mark.parametrize("closed", [False, True])
def test_thresholds_are_exact(closed):
    rng = np.random.default_rng(0)
    quantizer = Quantizer(
        shape=(1, 1, 1),
        name="q",
        thresholds=(-1e-45,) if closed else (0.0, 0.807, 1.345),
        values=(-1.0, 1.0) if closed else (0.0, 0.538, 1.076, 1.614),
        closed=closed,
    )
    factor = np.concatenate([rng.random(300) * 10.0 ** rng.integers(-6, 2, 300), [0, 0, 0, 1, 0.5, 1e-300]])
    offset = np.concatenate([rng.standard_normal(300) * 3, [0, 1, -1, 0, -3, 1]])
    # Sums that lie at a threshold, too.
    offset[:40] = -factor[:40] * np.arange(-20, 20)
    found = levels.integer_thresholds(factor, offset, quantizer)
    assert found.dtype == np.int32
    for row, limit in zip(found, quantizer.thresholds, strict=True):
        for least, a, b in zip(row.astype(np.float64), factor, offset, strict=True):

            def reached(s, a=a, b=b, limit=limit):
                return a * s + b >= 0 if closed else a * s + b > limit

            assert least == -(2**31) or not reached(least - 1)
            assert least == 2**31 - 1 or reached(least)
            if a == 0:
                assert least == (-(2**31) if reached(0) else 2**31 - 1)


# ---------------------------------------------------------------------- the file


def test_what_is_written_is_read(tmp_path):
    report, plan = compared(small_net(), tmp_path)
    copy = tmp_path / "copy.hwgq"
    assert packed_file.write(plan, copy) == report.packed_bytes
    assert copy.read_bytes() == report.path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "copy.hwgq", "deploy.prototxt", "net.caffemodel", "net.hwgq",
    ]  # fmt: skip


def test_the_header_byte_by_byte(tmp_path):
    report, _ = compared(small_net(), tmp_path)
    content = report.path.read_bytes()
    assert content[:8] == bytes.fromhex("89485747510D0A1A")
    version, header = struct.unpack_from("<II", content, 8)
    size, plan_at, plan_bytes, data_at, data_bytes = struct.unpack_from("<5Q", content, 16)
    assert (version, header, size, plan_at) == (1, 64, len(content), 64)
    assert data_at % 64 == 0 and data_at >= 64 + plan_bytes and data_at + data_bytes == size
    assert not any(content[64 + plan_bytes : data_at])
    assert struct.unpack_from("<II", content, 56) == (zlib.crc32(content[64:]), zlib.crc32(content[:60]))


def test_equal_arrays_are_stored_once(tmp_path):
    array = np.arange(100, dtype=np.float32)
    sizes = []
    for other in (array, array + 1):
        stages = [packed_file.Stage(MAP, "", arrays=[array, other.copy()])]
        sizes.append(packed_file.write(packed_file.Plan("net", stages=stages), tmp_path / "net.hwgq"))
    assert sizes[1] - sizes[0] == 448
    with pytest.raises(ValueError, match="float64"):
        packed_file.write(
            packed_file.Plan("net", stages=[packed_file.Stage(MAP, "", arrays=[np.zeros(3)])]),
            tmp_path / "other.hwgq",
        )
    assert not (tmp_path / "other.hwgq").exists()


def test_damage_is_noticed(tmp_path):
    n = NetOf(2, 3, 3)
    n.conv(n.quant(n.norm(n.data)), 2)
    report, _ = compared(n.net, tmp_path)
    content = report.path.read_bytes()
    damaged = tmp_path / "damaged.hwgq"
    for i in range(len(content)):
        damaged.write_bytes(content[:i])
        with pytest.raises(ValueError, match=r"damaged\.hwgq"):
            packed_file.read(damaged)
        damaged.write_bytes(content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :])
        with pytest.raises(ValueError, match=r"damaged\.hwgq .* pack"):
            packed_file.read(damaged)
    damaged.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="damaged"):
        packed_file.read(damaged)


@given(SEEDS)
def test_plans_that_make_no_sense_are_errors(seed):
    """Where the checksums are right and the plan is not."""
    rng = np.random.default_rng(seed)
    step = packed_file.Step(STORE, 0)
    stage = packed_file.Stage(MAP, "name", [1], [0], [np.zeros(4, np.float32)], [step])
    tensor = packed_file.Tensor("t", TensorKind.REAL, 1, 1, 1)
    plan = packed_file.Plan("net", [tensor], [packed_file.Input("a", 0, [1])], [], [stage])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.hwgq"
        packed_file.write(plan, path)
        content = bytearray(path.read_bytes())
        plan_bytes = struct.unpack_from("<Q", content, 32)[0]
        content[64 + rng.integers(plan_bytes)] ^= 1 << rng.integers(8)
        content[56:60] = struct.pack("<I", zlib.crc32(content[64:]))
        content[60:64] = struct.pack("<I", zlib.crc32(content[:60]))
        path.write_bytes(content)
        with contextlib.suppress(ValueError):
            packed_file.read(path)


def test_newer_versions_are_refused(tmp_path):
    report, _ = compared(small_net(), tmp_path)
    content = bytearray(report.path.read_bytes())
    content[8] = 2
    content[60:64] = struct.pack("<I", zlib.crc32(content[:60]))
    report.path.write_bytes(content)
    with pytest.raises(ValueError, match="version 2.*newer"):
        packed_file.read(report.path)


# ---------------------------------------------------------------------- the command


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "caffe.cli", "pack", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_command(tmp_path):
    model, weights, _ = trained(small_net(), tmp_path)
    expected = pack(model, weights, tmp_path / "expected.hwgq")
    for explains, arguments in (
        (False, [model, weights, "-o", "one.hwgq"]),
        (True, ["-model", model, f"--weights={weights}", "--out", "one.hwgq", "--explain"]),
        (True, ["-explain", "-o=one.hwgq", model.name, weights.name]),
    ):
        done = command(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "one.hwgq").read_bytes() == expected.path.read_bytes()
        assert f"{expected.ratio:.1f} times smaller" in done.stdout
        assert (expected.explanation in done.stdout) == explains
    done = command(model, weights, "-o", "one.hwgq", "-int8", cwd=tmp_path)
    assert done.stdout.count("8-bit weights") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy.prototxt", "net.caffemodel"], "-o FILE"),
        (["deploy.prototxt", "-o", "one.hwgq"], "two files"),
        (["deploy.prototxt", "-weights", "net.caffemodel", "-o", "one.hwgq"], "-model and -weights"),
        (["deploy.prototxt", "net.caffemodel", "-o", "one.hwgq", "-calibration", "x.npy"], "-int8"),
        (["deploy.prototxt", "missing.caffemodel", "-o", "one.hwgq"], "missing.caffemodel"),
        (["deploy.prototxt", "net.caffemodel", "-o", "one.hwgq", "-input_shape", "1,x"], "-input_shape"),
    ],
)
def test_command_errors_are_one_line(tmp_path, arguments, words):
    trained(small_net(), tmp_path)
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("caffe pack: ") and words in last
