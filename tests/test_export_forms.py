"""Layers of low precision in their four forms: the same codes, in the operators that each form promises."""

import numpy as np
import pytest

import caffe
from caffe import idx

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx_models import (  # noqa: E402
    checked,
    close,
    input_layer,
    net_of,
    operators,
    run,
    run_net,
    run_qonnx,
    tensors,
)

from caffe.export import FORMS, to_onnx  # noqa: E402

UNIFORM = "centers: 0.538 centers: 1.076 centers: 1.614"
# Thresholds of the first three, and the values on either side of each.
EDGES = np.array([0, 0.807, 1.345], np.float32)


def quant(name, bottom, setting=UNIFORM, top=None):
    return (
        f'layer {{ name: "{name}" type: "Quant" bottom: "{bottom}" top: "{top or name}" '
        f"quant_param {{ {setting} }} }}"
    )


def convolution(name, bottom, type="BinaryConvolution", use_alpha="true", setting="", outputs=6):
    param = "" if type == "Convolution" else f"binary_convolution_param {{ use_alpha: {use_alpha} }}"
    return (
        f'layer {{ name: "{name}" type: "{type}" bottom: "{bottom}" top: "{name}" convolution_param {{ '
        f'num_output: {outputs} kernel_size: 3 {setting} weight_filler {{ type: "gaussian" std: 0.3 }} '
        f'bias_filler {{ type: "gaussian" std: 0.3 }} }} {param} }}'
    )


def product(name, bottom, use_alpha="true", outputs=5):
    return (
        f'layer {{ name: "{name}" type: "BinaryInnerProduct" bottom: "{bottom}" top: "{name}" '
        f'inner_product_param {{ num_output: {outputs} weight_filler {{ type: "gaussian" std: 0.3 }} '
        f'bias_filler {{ type: "gaussian" std: 0.3 }} }} '
        f"binary_inner_product_param {{ use_alpha: {use_alpha} }} }}"
    )


def batch_norm(name, bottom):
    return f'layer {{ name: "{name}" type: "BatchNorm" bottom: "{bottom}" top: "{name}" }}'


def pooling(name, bottom):
    return (
        f'layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}" '
        "pooling_param { kernel_size: 3 stride: 2 } }"
    )


def net(setting=UNIFORM, use_alpha="true", seed=2):
    """Two quantized branches that meet, and a last inner product."""
    caffe.set_random_seed(seed)
    result = net_of(
        input_layer("data", 2, 3, 13, 11),
        convolution("conv1", "data", "Convolution"),
        quant("q1", "conv1", setting),
        pooling("pool", "q1"),
        convolution("conv2", "pool", use_alpha=use_alpha, setting="pad: 1 group: 2"),
        batch_norm("bn2", "conv2"),
        quant("q2", "bn2", setting),
        'layer { name: "both" type: "Concat" bottom: "q2" bottom: "pool" top: "both" }',
        product("fc1", "both", use_alpha, 40),
        batch_norm("bn3", "fc1"),
        quant("q3", "bn3", setting),
        product("fc2", "q3", use_alpha),
    )
    rng = np.random.default_rng(seed)
    for name in ("bn2", "bn3"):
        mean, variance, factor = (blob.data for blob in result.params[name])
        mean[...], variance[...], factor[...] = rng.normal(size=mean.shape), 4 + rng.random(mean.shape), 1
    return result


def codes(values):
    return np.round(values / 0.538)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("use_alpha", ["true", "false"])
def test_all_forms_compute_what_the_net_computes(form, use_alpha):
    it = net(use_alpha=use_alpha)
    inputs = {"data": np.random.default_rng(8).normal(size=(2, 3, 13, 11)).astype(np.float32)}
    expected = run_net(it, inputs)
    model = checked(to_onnx(it, hwgq=form, batch=2))
    names = ["q1", "q2", "q3", "fc2"]
    if form in ("float", "qdq"):
        found = tensors(model, names, inputs)
    else:
        found, _ = run_qonnx(model, inputs)
    for name in names[:3]:
        np.testing.assert_array_equal(codes(found[name]), codes(expected[name]), err_msg=name)
        close(found[name], expected[name], name, 1e-6)
    close(found["fc2"], expected["fc2"], "fc2")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "setting",
    [
        UNIFORM,
        "centers: 0.538",
        "centers: 0.2 centers: 0.7 centers: 1.9",
        "centers: 0.1 centers: 0.25123 centers: 0.3135 centers: 1.3337",
        UNIFORM + " negative_slope: 0.3",
        " ".join(f"centers: {0.25 * i}" for i in range(1, 16)),
        'forward_func: "sign"',
    ],
)
def test_quantizers_are_exact_at_their_thresholds(form, setting):
    it = net_of(input_layer("data", 1, 300), quant("q", "data", setting))
    centers = np.array(
        [float(word) for word in setting.replace("negative_slope: 0.3", "").split() if word[0].isdigit()],
        np.float32,
    )
    thresholds = np.array([0, *((centers[:-1] + centers[1:]) / np.float32(2))], np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    above = np.nextafter(thresholds, up)
    if form in ("qonnx", "finn"):
        # A threshold that others divide must not vanish.
        above = np.maximum(above, np.finfo(np.float32).tiny)
    edges = np.concatenate([thresholds, above, np.nextafter(thresholds, down)])
    values = np.zeros(300, np.float32)
    values[: edges.size] = edges
    values[edges.size :] = np.random.default_rng(1).normal(size=300 - edges.size) * 2
    inputs = {"data": values.reshape(1, -1)}
    expected = run_net(it, inputs)["q"]
    model = checked(to_onnx(it, hwgq=form))
    found = run(model, inputs)["q"] if form in ("float", "qdq") else run_qonnx(model, inputs)[0]["q"]
    # The same level everywhere; as a multiple of the unit it may be rounded otherwise.
    np.testing.assert_allclose(found, expected, rtol=3e-7)


def test_float_weights_are_plus_and_minus_alpha():
    it = net()
    model = to_onnx(it)
    weights = it.params["conv2"][0].data
    alphas = np.abs(weights).reshape(6, -1).mean(1)
    stored = [numpy_helper.to_array(t) for t in model.graph.initializer if t.name.startswith("conv2/weights")]
    np.testing.assert_allclose(
        np.abs(stored[0]), np.broadcast_to(alphas.reshape(-1, 1, 1, 1), weights.shape), rtol=1e-6
    )
    assert {node.domain for node in model.graph.node} == {""}


def test_qdq_has_signs_in_bytes_with_alpha_for_each_output_and_codes_with_the_step():
    it = net()
    model = to_onnx(it, hwgq="qdq")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if not node.name.startswith(("fc1/MatMul", "fc2/MatMul")):
            continue
        layer = node.name.split("/")[0]
        activations, weights = (made[name] for name in node.input[:2])
        assert activations.op_type == weights.op_type == "DequantizeLinear"
        signs, alphas, zeros = (constants[name] for name in weights.input)
        assert signs.dtype == zeros.dtype == np.int8 and not zeros.any()
        assert set(np.unique(signs)) == {-1, 1}
        expected = np.abs(it.params[layer][0].data).reshape(len(alphas), -1).mean(1)
        np.testing.assert_allclose(alphas, expected, rtol=1e-6)
        quantize = made[activations.input[0]]
        assert quantize.op_type == "QuantizeLinear"
        np.testing.assert_allclose(constants[quantize.input[1]], 0.538, rtol=1e-6)
        assert constants[quantize.input[2]].dtype == np.int8


def optimized(model, folder):
    """The operators that ONNX Runtime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    return operators(onnx.load(options.optimized_model_filepath))


def test_onnx_runtime_computes_qdq_in_integers(tmp_path):
    found = optimized(to_onnx(net(), hwgq="qdq"), tmp_path)
    assert found.count("MatMulIntegerToFloat") == 2
    assert found.count("QLinearConv") == 1


@pytest.mark.parametrize("middle", [[], [pooling("pool", "q")]])
def test_two_products_of_the_same_codes_are_both_in_integers(middle, tmp_path):
    caffe.set_random_seed(2)
    read = "pool" if middle else "q"
    branches = [product("a", read), product("b", read)]
    it = net_of(input_layer("data", 2, 2, 5, 5), quant("q", "data"), *middle, *branches)
    inputs = {"data": np.random.default_rng(8).normal(size=(2, 2, 5, 5)).astype(np.float32)}
    expected = run_net(it, inputs)
    model = checked(to_onnx(it, hwgq="qdq"))
    for name, values in run(model, inputs).items():
        close(values, expected[name], name)
    found = optimized(model, tmp_path)
    assert found.count("MatMulIntegerToFloat") == 2


def wide(*middle, channels=40):
    """A convolution whose sums do not fit into a byte, and a quantizer with something between them."""
    caffe.set_random_seed(6)
    it = net_of(
        input_layer("data", 2, channels, 9, 8),
        quant("q1", "data"),
        convolution("conv", "q1", setting="pad: 1", outputs=16),
        *middle,
    )
    rng = np.random.default_rng(7)
    for name, blobs in it.params.items():
        if it.layer_dict[name].type == "BatchNorm":
            blobs[0].data[...] = rng.normal(size=16) * 2
            blobs[1].data[...] = (rng.random(16) + 0.5) * 30
            blobs[2].data[...] = 1
        elif name != "conv":
            for blob in blobs:
                blob.data[...] = rng.choice([-1, 1], 16) * (0.7 + 0.6 * rng.random(16))
    return it


SCALE = 'layer { name: "scale" type: "Scale" bottom: "bn" top: "bn" scale_param { bias_term: true } }'
BIAS = 'layer { name: "add" type: "Bias" bottom: "conv" top: "conv" }'


@pytest.mark.parametrize(
    "middle",
    [
        [batch_norm("bn", "conv"), quant("q2", "bn")],
        [batch_norm("bn", "conv"), SCALE, pooling("pool", "bn"), quant("q2", "pool")],
        [pooling("pool", "conv"), batch_norm("bn", "pool"), SCALE, quant("q2", "bn")],
        [BIAS, batch_norm("bn", "conv"), quant("q2", "bn", 'forward_func: "sign"')],
        [batch_norm("bn", "conv"), quant("q2", "bn"), quant("q3", "bn", "centers: 0.3 centers: 0.6")],
    ],
)
def test_sums_that_only_quantizers_read_are_cut_off_where_it_does_not_matter(middle, tmp_path):
    it = wide(*middle)
    inputs = {"data": np.random.default_rng(8).normal(size=(2, 40, 9, 8)).astype(np.float32)}
    expected = run_net(it, inputs)
    model = checked(to_onnx(it, hwgq="qdq"))
    found = run(model, inputs)
    for name in it.outputs:
        assert len(np.unique(expected[name])) > 1
        close(found[name], expected[name], name, 1e-6)
    assert optimized(model, tmp_path).count("QLinearConv") == 1


@pytest.mark.parametrize(
    "middle",
    [
        [],  # the sums are the result
        [
            batch_norm("bn", "conv"),
            quant("q2", "bn"),
            'layer { name: "s" type: "Sigmoid" bottom: "bn" top: "s" }',
        ],
        ['layer { name: "abs" type: "AbsVal" bottom: "conv" top: "abs" }', quant("q2", "abs")],
        [batch_norm("bn", "conv"), quant("q2", "bn", "centers: 10 centers: 20")],  # thresholds too far apart
    ],
)
def test_sums_that_matter_are_left_whole(middle, tmp_path):
    it = wide(*middle)
    inputs = {"data": np.random.default_rng(8).normal(size=(2, 40, 9, 8)).astype(np.float32)}
    expected = run_net(it, inputs)
    model = checked(to_onnx(it, hwgq="qdq"))
    for name, values in run(model, inputs).items():
        close(values, expected[name], name)
    assert "QLinearConv" not in optimized(model, tmp_path)


def test_signs_as_activations():
    caffe.set_random_seed(5)
    layers = [
        input_layer("data", 2, 4, 6, 6),
        quant("q", "data", 'forward_func: "sign"'),
        convolution("conv", "q", setting="pad: 1"),
    ]
    it = net_of(*layers)
    inputs = {"data": np.random.default_rng(1).normal(size=(2, 4, 6, 6)).astype(np.float32)}
    inputs["data"][0, 0, 0] = 0
    expected = run_net(it, inputs)["conv"]
    for form in FORMS:
        model = checked(to_onnx(it, hwgq=form, batch=2))
        found = run(model, inputs) if form in ("float", "qdq") else run_qonnx(model, inputs)[0]
        close(found["conv"], expected, form)
    assert operators(to_onnx(it, hwgq="qonnx")).count("BipolarQuant") == 2


def test_qonnx_knows_how_many_bits_there_are():
    model = to_onnx(net(), hwgq="qonnx")
    assert {"BipolarQuant", "MultiThreshold", "Quant"} <= set(operators(model))
    cleanup = pytest.importorskip("qonnx.util.cleanup")
    _, wrapper = run_qonnx(model, {"data": np.zeros((1, 3, 13, 11), np.float32)})
    assert {"BipolarQuant", "MultiThreshold", "Quant"} <= set(operators(cleanup.cleanup_model(wrapper).model))
    for node in wrapper.graph.node:
        if node.op_type == "BipolarQuant":
            assert wrapper.get_tensor_datatype(node.output[0]).name == "BIPOLAR"
        if node.op_type == "MultiThreshold":
            assert wrapper.get_tensor_datatype(node.output[0]).name == "UINT2"
        if node.op_type == "Quant":
            assert wrapper.get_initializer(node.input[3]) == 2
            assert wrapper.get_initializer(node.input[1]) == np.float32(0.538)


def test_finns_form_is_made_of_what_its_streamlining_moves():
    from_qonnx = pytest.importorskip("qonnx.transformation.batchnorm_to_affine")
    model = to_onnx(net(), hwgq="finn")
    assert "Quant" not in operators(model)
    inputs = {"data": np.random.default_rng(8).normal(size=(1, 3, 13, 11)).astype(np.float32)}
    expected, wrapper = run_qonnx(model, inputs)
    made = {output: node.op_type for node in wrapper.graph.node for output in node.output}
    for node in wrapper.graph.node:
        if node.op_type in ("MatMul", "Conv") and "conv1" not in node.name:
            assert made[node.input[1]] == "BipolarQuant"
    lowered = wrapper.transform(from_qonnx.BatchNormToAffine())
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul
    from qonnx.transformation.quant_constant_folding import FoldTransposeIntoQuantInit

    lowered = (
        lowered.transform(LowerConvsToMatMul())
        .transform(FoldTransposeIntoQuantInit())
        .transform(InferShapes())
    )
    assert "BatchNormalization" not in operators(lowered.model)
    found = execute_onnx(lowered, inputs)
    close(found["fc2"], expected["fc2"], "fc2", 1e-3)


def test_weights_that_were_binarized_before_are_as_well_signs(tmp_path):
    """A net of ordinary layers with +-alpha, as caffe binarize writes it."""
    caffe.set_random_seed(5)
    it = net_of(input_layer("data", 1, 4, 6, 6), quant("q", "data"), convolution("conv", "q", "Convolution"))
    rng = np.random.default_rng(3)
    weights = it.params["conv"][0].data
    weights[...] = np.where(rng.random(weights.shape) < 0.5, -1, 1) * rng.random((6, 1, 1, 1))

    def signs():
        constants = to_onnx(it, hwgq="qdq").graph.initializer
        return [tensor for tensor in constants if tensor.name.startswith("conv/signs")]

    assert len(signs()) == 1
    weights[0, 0, 0, 0] *= 2
    assert not signs()
    weights[...] = 0
    assert not signs()


@pytest.mark.parametrize("form", FORMS)
def test_accuracy_of_a_trained_net(form, shared, mnist_dir):
    """HWGQ's perceptron: 0.9643 of 10,000 images, in Caffe and in each form; codes are the same."""
    folder = shared / "models/hwgq-sfc-w1a2-mnist"
    if not folder.is_dir():
        pytest.skip("the trained net is not there")
    images, labels = (
        idx.read(idx.find(mnist_dir, f"t10k-{name}"), axes)
        for name, axes in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1))
    )
    inputs = {"data": images[:, None].astype(np.float32)}
    model = to_onnx(folder / "sfc-w1a2.prototxt", folder / "sfc-w1a2.caffemodel", hwgq=form, batch=10000)
    names = ["qt_inp", "qt1", "qt2", "qt3"]
    output = model.graph.output[0].name
    found = tensors(model, names, inputs) if form in ("float", "qdq") else run_qonnx(model, inputs)[0]
    assert np.mean(found[output].argmax(1) == labels) == 0.9643
    it = caffe.Net(str(folder / "sfc-w1a2.prototxt"), str(folder / "sfc-w1a2.caffemodel"), caffe.TEST)
    expected = run_net(it, inputs)
    for name in names:
        bottom = expected[it.bottom_names[name][0]]
        differ = codes(found[name]) != codes(expected[name])
        near = np.abs(bottom[..., None] - EDGES).min(-1) < 1e-5
        # Sums of floats may be rounded to the other side of a threshold, nowhere else.
        assert not (differ & ~near).any(), name
        assert differ.sum() <= 1e-6 * differ.size + 3, name


def test_accuracy_of_lenet(shared, mnist_dir):
    folder = shared / "models/lenet-2014"
    if not folder.is_dir():
        pytest.skip("the trained net is not there")
    images, labels = (
        idx.read(idx.find(mnist_dir, f"t10k-{name}"), axes)
        for name, axes in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1))
    )
    model = to_onnx(
        folder / "lenet_train_test.prototxt",
        folder / "lenet_iter_10000.caffemodel",
        input_shapes={"data": (1, 1, 28, 28)},
    )
    found = run(model, {"data": images[:, None].astype(np.float32) / 256})
    assert np.mean(found["prob"].argmax(1) == labels) == 0.9905
