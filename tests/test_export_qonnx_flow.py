"""The steps that FINN's build flow begins with, as the package qonnx has them, change no result."""

import numpy as np
import pytest
from onnx_models import close, input_layer, net_of, operators
from test_export_forms import UNIFORM, batch_norm, convolution, pooling, product, quant

import caffe

pytest.importorskip("onnx")
pytest.importorskip("qonnx", reason="the package qonnx is not here")

from onnx import numpy_helper  # noqa: E402
from qonnx.core.modelwrapper import ModelWrapper  # noqa: E402
from qonnx.core.onnx_exec import execute_onnx  # noqa: E402
from qonnx.transformation.base import Transformation  # noqa: E402
from qonnx.transformation.batchnorm_to_affine import BatchNormToAffine  # noqa: E402
from qonnx.transformation.bipolar_to_xnor import ConvertBipolarMatMulToXnorPopcount  # noqa: E402
from qonnx.transformation.change_batchsize import ChangeBatchSize  # noqa: E402
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean  # noqa: E402
from qonnx.transformation.extract_conv_bias import ExtractBiasFromConv  # noqa: E402
from qonnx.transformation.extract_quant_scale_zeropt import ExtractQuantScaleZeroPt  # noqa: E402
from qonnx.transformation.fold_constants import FoldConstants  # noqa: E402
from qonnx.transformation.gemm_to_matmul import GemmToMatMul  # noqa: E402
from qonnx.transformation.general import ConvertDivToMul, ConvertSubToAdd  # noqa: E402
from qonnx.transformation.infer_data_layouts import InferDataLayouts  # noqa: E402
from qonnx.transformation.infer_datatypes import InferDataTypes  # noqa: E402
from qonnx.transformation.infer_shapes import InferShapes  # noqa: E402
from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul  # noqa: E402
from qonnx.transformation.qonnx_to_qcdq import QuantToQCDQ  # noqa: E402
from qonnx.transformation.remove import RemoveIdentityOps  # noqa: E402
from qonnx.util.cleanup import cleanup_model  # noqa: E402
from qonnx.util.inference_cost import inference_cost  # noqa: E402

from caffe.export import to_onnx  # noqa: E402

FORMS = ["qonnx", "finn"]


def exported(form, seed=4):
    """A model with a layer of each kind, its batch 1, and an input."""
    caffe.set_random_seed(seed)
    net = net_of(
        input_layer("data", 1, 3, 13, 11),
        convolution("conv1", "data", "Convolution"),
        quant("q1", "conv1"),
        pooling("pool", "q1"),
        convolution("conv2", "pool", setting="pad: 1"),
        batch_norm("bn2", "conv2"),
        quant("q2", "bn2", 'forward_func: "sign"'),
        convolution("conv3", "q2"),
        quant("q3", "conv3", UNIFORM),
        product("fc1", "q3", outputs=40),
        batch_norm("bn4", "fc1"),
        quant("q4", "bn4"),
        product("fc2", "q4"),
    )
    for layer in net.layers:
        if layer.type == "BatchNorm":
            values = np.random.default_rng(seed).normal(size=(2, layer.blobs[0].count))
            for blob, value in zip(layer.blobs, (values[0], values[1] ** 2 + 0.5, 1), strict=True):
                blob.data[...] = value
    data = np.random.default_rng(8).normal(size=(1, 3, 13, 11)).astype(np.float32)
    return to_onnx(net, hwgq=form), data, net.forward(data=data)["fc2"]


def clean(model):
    """As FINN takes a model: with the shapes and types of all tensors, and names that it knows."""
    return cleanup_model(ModelWrapper(model))


def result(wrapper, data):
    (output,) = execute_onnx(wrapper, {wrapper.graph.input[0].name: data}).values()
    return output


def test_clean_models_compute_the_same():
    for form in FORMS:
        model, data, expected = exported(form)
        wrapper = clean(model)
        assert wrapper.check_all_tensor_shapes_specified()
        close(result(wrapper, data), expected, form)


STEPS = [
    BatchNormToAffine(),
    ConvertBipolarMatMulToXnorPopcount(),
    ConvertDivToMul(),
    ConvertSubToAdd(),
    ConvertToChannelsLastAndClean(),
    ExtractBiasFromConv(),
    ExtractQuantScaleZeroPt(),
    GemmToMatMul(),
    InferDataLayouts(),
    InferDataTypes(),
    LowerConvsToMatMul(),
    QuantToQCDQ(),
    RemoveIdentityOps(),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_each_step_keeps_what_a_model_computes(form, step: Transformation):
    model, data, expected = exported(form)
    wrapper = clean(model).transform(step).transform(InferShapes())
    if tuple(wrapper.get_tensor_shape(wrapper.graph.input[0].name)) != data.shape:
        data = data.transpose(0, 2, 3, 1)
    close(result(wrapper, data), expected, type(step).__name__)


@pytest.mark.parametrize("form", FORMS)
def test_convolutions_become_products_of_signs(form):
    """The steps one after the other, up to where signs meet codes in a product of matrices."""
    model, data, expected = exported(form)
    wrapper = clean(model)
    steps = [
        FoldConstants(exclude_op_types=[]),
        ExtractBiasFromConv(),
        GemmToMatMul(),
        BatchNormToAffine(),
        LowerConvsToMatMul(),
        InferShapes(),
        InferDataTypes(),
        InferDataLayouts(),
    ]
    for step in steps:
        wrapper = wrapper.transform(step)
        close(result(wrapper, data), expected, type(step).__name__)
    left = set(operators(wrapper.model))
    assert not left & {"BatchNormalization", "Conv", "Gemm"}
    weights = [wrapper.get_initializer(node.input[1]) for node in wrapper.get_nodes_by_op_type("MatMul")]
    # The first convolution is not of low precision.
    assert [bool((np.abs(values) == 1).all()) for values in weights] == [False, *[True] * 4]


@pytest.mark.parametrize("form", FORMS)
def test_other_batches(form):
    model, data, expected = exported(form)
    wrapper = clean(model).transform(ChangeBatchSize(4)).transform(InferShapes())
    output = result(wrapper, np.concatenate([data] * 4))
    close(output, np.concatenate([expected] * 4), form)


def test_costs_are_those_of_signs_and_codes_of_two_bits():
    model, _, _ = exported("qonnx")
    cost = inference_cost(clean(model))["total_cost"]
    signs = [name for name in cost if name.startswith("op_mac") and name.endswith("BIPOLAR")]
    assert signs and sum(cost[name] for name in signs) < cost["total_macs"]
    # The first layer's weights are floats, those of the others take a bit each.
    bits = 32 * 6 * 3 * 3 * 3 + cost["mem_w_BIPOLAR"]
    assert cost["total_mem_w_bits"] <= bits


def test_thresholds_say_where_the_channels_are():
    """Else what is behind them would pass for channels last, and thresholds that become one for each channel
    for those of another axis."""
    for form in FORMS:
        model, _, _ = exported(form)
        layouts = [
            attribute.s.decode()
            for node in model.graph.node
            if node.op_type == "MultiThreshold"
            for attribute in node.attribute
            if attribute.name == "data_layout"
        ]
        assert layouts == ["NCHW", "NCHW", "NC"]
        wrapper = clean(model).transform(InferDataLayouts())
        for node in wrapper.graph.node:
            shape = wrapper.get_tensor_shape(node.output[0])
            if node.op_type in ("Conv", "MaxPool", "MultiThreshold") and len(shape) == 4:
                assert wrapper.get_tensor_layout(node.output[0]) == list("NCHW"), node.op_type


@pytest.mark.parametrize("form", FORMS)
def test_zeros_stay_below_thresholds_that_are_divided(form):
    """Sums of signs are often 0, and tools divide thresholds by what sums are multiplied with."""
    net = net_of(input_layer("data", 1, 4), quant("q", "data", UNIFORM))
    (thresholds,) = (
        values
        for values in map(numpy_helper.to_array, to_onnx(net, hwgq=form).graph.initializer)
        if values.shape == (1, 3)
    )
    assert (thresholds / np.float32(1000) > 0).all() and thresholds[0, 0] < 1e-37
