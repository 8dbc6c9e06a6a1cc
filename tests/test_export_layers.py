"""Each layer as ONNX operators: ONNX Runtime computes what the engine computes."""

import re

import numpy as np
import pytest

import caffe

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import one_layer  # noqa: E402
from onnx_models import close, compare, is_free, run, run_net  # noqa: E402

from caffe.export import to_onnx  # noqa: E402
from caffe.importer import from_onnx  # noqa: E402

IMAGES = (2, 4, 7, 5)


def case(type, *shapes, tops=1, kind="normal", **params):
    """One layer: its type, the shapes of its bottoms, its settings."""
    body = one_layer.fields(type=f'"{type}"', **params)
    text = [f"{type}{'x'.join(map(str, shapes[0] if shapes else ()))}"]
    text += [f"{key}={value}" for group in params.values() for key, value in _items(group)]
    return pytest.param(body, shapes, tops, kind, id="-".join(text).replace(" ", ""))


def _items(group):
    return group.items() if isinstance(group, dict) else []


def quoted(**values):
    return {name: f'"{value}"' if isinstance(value, str) else value for name, value in values.items()}


def filled(**values):
    """Settings, and fillers that make the layer's parameters differ from each other."""
    gaussian = dict(type='"gaussian"', std=0.5)
    return dict(weight_filler=gaussian, bias_filler=gaussian, **values)


def convolutions(type="Convolution", **extra):
    settings = [
        (IMAGES, dict(num_output=3, kernel_size=3)),
        (IMAGES, dict(num_output=3, kernel_size=3, bias_term=False, pad=1, stride=2)),
        (IMAGES, dict(num_output=6, kernel_size=[3, 2], group=2, dilation=[2, 1], pad=[2, 0])),
        (
            IMAGES,
            dict(num_output=4, kernel_h=2, kernel_w=3, stride_h=2, stride_w=1, pad_h=1, pad_w=2, group=4),
        ),
        ((3, 2, 9), dict(num_output=5, kernel_size=4, stride=3)),
        ((2, 2, 5, 4, 6), dict(num_output=3, kernel_size=2, pad=1)),
        ((2, 3, 2, 5, 4), dict(num_output=3, kernel_size=2, axis=2)),
        # Without an axis to move along.
        ((2, 6), dict(num_output=4, kernel_size=1, group=2)),
        ((2, 3, 6), dict(num_output=4, kernel_size=1, axis=-1)),
    ]
    return [case(type, shape, convolution_param=filled(**setting), **extra) for shape, setting in settings]


def poolings():
    cases = []
    for pool in ("MAX", "AVE", "STOCHASTIC"):
        kind = "positive" if pool == "STOCHASTIC" else "normal"
        settings = [
            dict(kernel_size=3, stride=2),
            dict(kernel_size=2, stride=3),
            dict(kernel_size=1, stride=3),
            dict(kernel_size=2, stride=2, round_mode="FLOOR"),
            dict(kernel_h=3, kernel_w=2, stride_h=1, stride_w=2),
            dict(global_pooling=True),
        ]
        if pool != "STOCHASTIC":
            settings += [
                dict(kernel_size=3, stride=2, pad=1),
                dict(kernel_size=3, stride=3, pad=2),
                dict(kernel_size=3, pad=1),
                dict(kernel_size=5, stride=4, pad=2),
                dict(kernel_size=3, stride=2, pad_h=0, pad_w=1),
                dict(kernel_size=3, stride=2, pad=1, round_mode="FLOOR"),
            ]
        for shape in (IMAGES, (1, 2, 6, 8), (2, 1, 5, 9)):
            cases += [
                case("Pooling", shape, kind=kind, pooling_param=dict(pool=pool, **setting))
                for setting in settings
            ]
    cases += [
        case("Pooling", shape, tops=2, pooling_param=dict(pool="MAX", **setting))
        for shape in (IMAGES, (1, 2, 6, 8))
        for setting in (
            dict(kernel_size=3, stride=2, pad=1),
            dict(kernel_size=2),
            dict(kernel_size=1, stride=3),
        )
    ]
    return cases


def elementwise():
    shapes = [IMAGES, (3, 5)]
    cases = []
    for shape in shapes:
        cases += [
            case("ReLU", shape),
            case("ReLU", shape, relu_param=dict(negative_slope=0.1)),
            case("PReLU", shape, prelu_param=dict(filler=dict(type='"uniform"', min=0.1, max=0.9))),
            case("PReLU", shape, prelu_param=dict(channel_shared=True)),
            case("ELU", shape, elu_param=dict(alpha=0.7)),
            case("Sigmoid", shape),
            case("TanH", shape),
            case("AbsVal", shape),
            case("BNLL", shape, kind="large"),
            case("Swish", shape, swish_param=dict(beta=1.5)),
            case("Clip", shape, clip_param=dict(min=-0.5, max=0.25)),
            case("Threshold", shape, threshold_param=dict(threshold=0.3)),
            case("Dropout", shape),
            case("Power", shape),
            case("Power", shape, power_param=dict(power=2, scale=0.5, shift=-1)),
            case("Power", shape, power_param=dict(power=0, scale=0.5)),
            case("Power", shape, kind="positive", power_param=dict(power=-0.75, scale=2, shift=0.5)),
            case("Exp", shape),
            case("Exp", shape, exp_param=dict(base=2, scale=0.5, shift=1.5)),
            case("Log", shape, kind="positive"),
            case("Log", shape, kind="positive", log_param=dict(base=10, scale=3, shift=0.5)),
        ]
    for operation in ("PROD", "SUM", "MAX"):
        cases.append(case("Eltwise", *[IMAGES] * 3, eltwise_param=dict(operation=operation)))
    cases.append(case("Eltwise", *[(2, 3)] * 3, eltwise_param=dict(operation="SUM", coeff=[1, -0.5, 2])))
    filler = dict(type='"uniform"', min=0.5, max=2.0)
    for axis, number in ((1, 1), (0, 1), (1, 2), (-1, 1), (2, -1), (0, 0)):
        setting = dict(axis=axis, num_axes=number, filler=filler)
        cases.append(case("Scale", IMAGES, scale_param=dict(setting, bias_term=True, bias_filler=filler)))
        cases.append(case("Scale", IMAGES, scale_param=setting))
        cases.append(case("Bias", IMAGES, bias_param=setting))
    for axis, other in ((1, (4,)), (0, (2, 4)), (-1, (5,)), (1, (4, 7)), (0, IMAGES)):
        cases.append(case("Scale", IMAGES, other, scale_param=dict(axis=axis)))
        cases.append(case("Bias", IMAGES, other, bias_param=dict(axis=axis)))
    cases.append(case("Scale", IMAGES, (4,), scale_param=dict(bias_term=True, bias_filler=filler)))
    return cases


def normalizations():
    cases = [
        case("LRN", shape, lrn_param=dict(norm_region=region, local_size=size, alpha=0.7, beta=0.6, k=2.0))
        for shape in (IMAGES, (1, 9, 3, 4))
        for region in ("ACROSS_CHANNELS", "WITHIN_CHANNEL")
        for size in (1, 3, 5)
    ]
    for shape in (IMAGES, (4, 3), (2, 3, 5)):
        for across in (False, True):
            for variance in (False, True):
                setting = dict(across_channels=across, normalize_variance=variance)
                cases.append(case("MVN", shape, mvn_param=setting))
        cases.append(case("BatchNorm", shape))
        cases.append(case("BatchNorm", shape, batch_norm_param=dict(use_global_stats=False, eps=1e-3)))
        for axis in range(len(shape)):
            cases.append(case("Softmax", shape, softmax_param=dict(axis=axis)))
    cases.append(case("BatchNorm", (6,)))
    cases.append(case("Softmax", IMAGES, softmax_param=dict(axis=-2)))
    return cases


def arrangements():
    cases = [
        case("Flatten", IMAGES, flatten_param=dict(axis=a, end_axis=e)) for a, e in ((1, -1), (0, 2), (2, 3))
    ]
    for dims, axis, number in (
        ([0, -1], 0, -1),
        ([0, 0, 5, 7], 0, -1),
        ([-1, 5], 0, -1),
        ([7, 4], 1, 2),
        ([2, 2], 1, 1),
        ([1], 1, 0),
        ([-1], -1, 0),
    ):
        if dims == [-1]:
            dims = [1]
        setting = dict(shape=dict(dim=dims), axis=axis, num_axes=number)
        cases.append(case("Reshape", IMAGES, reshape_param=setting))
    for axis in (0, 1, -1):
        cases.append(case("Concat", *[IMAGES] * 3, concat_param=dict(axis=axis)))
        cases.append(case("Tile", IMAGES, tile_param=dict(axis=axis, tiles=3)))
    cases.append(case("Concat", (2, 3), (2, 5), concat_param=dict(concat_dim=1)))
    cases.append(case("Concat", (2, 3)))
    cases += [
        case("Slice", IMAGES, tops=2),
        case("Slice", IMAGES, tops=3, slice_param=dict(axis=2, slice_point=[2, 3])),
        case("Slice", (4, 3), tops=2, slice_param=dict(axis=0)),
        case("Slice", (4, 3), tops=2, slice_param=dict(axis=0, slice_point=1)),
        case("Slice", (4, 6), tops=2, slice_param=dict(slice_dim=1)),
        case("Slice", (4, 6), tops=1),
        case("Crop", IMAGES, (2, 4, 3, 2), crop_param=dict(offset=[2, 1])),
        case("Crop", IMAGES, (2, 3, 5, 2), crop_param=dict(axis=1, offset=1)),
        case("Crop", IMAGES, (1, 3, 5, 2), crop_param=dict(axis=0)),
        case("Split", IMAGES, tops=2),
        case("BatchReindex", IMAGES, (5,), kind="index2"),
        case("Filter", IMAGES, (2, 3), (2,), tops=2, kind="selector"),
        case("Embed", (3, 2), kind="index6", embed_param=filled(num_output=4, input_dim=6)),
        case("Embed", (3,), kind="index6", embed_param=filled(num_output=4, input_dim=6, bias_term=False)),
        case("Im2col", IMAGES, convolution_param=dict(kernel_size=3, pad=1, stride=2)),
        case("Im2col", IMAGES, convolution_param=dict(kernel_size=[2, 3], dilation=2)),
        case("SPP", (2, 3, 8, 9), spp_param=dict(pyramid_height=1)),
        case("SPP", (2, 3, 8, 9), spp_param=dict(pyramid_height=3)),
        case("SPP", (2, 3, 7, 5), spp_param=dict(pyramid_height=2, pool="AVE")),
    ]
    for operation in ("SUM", "ASUM", "SUMSQ", "MEAN"):
        for axis in (0, 1, -1):
            cases.append(
                case("Reduction", IMAGES, reduction_param=dict(operation=operation, axis=axis, coeff=0.5))
            )
    for kind in ("normal", "ties"):
        for values in (False, True):
            cases.append(case("ArgMax", IMAGES, kind=kind, argmax_param=dict(out_max_val=values, top_k=3)))
            cases.append(case("ArgMax", (2, 6), kind=kind, argmax_param=dict(out_max_val=values)))
            for axis in (0, 1, -1):
                setting = dict(out_max_val=values, top_k=2, axis=axis)
                cases.append(case("ArgMax", IMAGES, kind=kind, argmax_param=setting))
    return cases


def products():
    cases = [
        case(
            "InnerProduct",
            shape,
            inner_product_param=filled(num_output=3, axis=axis, transpose=transpose, bias_term=bias),
        )
        for shape, axis in ((IMAGES, 1), ((2, 6), 1), (IMAGES, 2), (IMAGES, 0), ((2, 3, 5), -1))
        for transpose in (False, True)
        for bias in (False, True)
    ]
    return cases + convolutions() + convolutions("Deconvolution")


def recurrences():
    cases = []
    for type, states in (("LSTM", 2), ("RNN", 1)):
        for static in ((), ((3, 2),)):
            setting = filled(num_output=4)
            cases.append(case(type, (5, 3, 2, 3), (5, 3), *static, kind="cont1", recurrent_param=setting))
            hidden = [(1, 3, 4)] * states
            cases.append(
                case(
                    type,
                    (5, 3, 6),
                    (5, 3),
                    *static,
                    *hidden,
                    tops=1 + states,
                    kind="cont1",
                    recurrent_param=dict(setting, expose_hidden=True),
                )
            )
    cases.append(case("LSTMUnit", (1, 3, 4), (1, 3, 16), (1, 3), tops=2, kind="cont2"))
    return cases


def binary_layers():
    cases = []
    for setting in (dict(), dict(use_alpha=True), dict(use_binarization=False)):
        cases += convolutions("BinaryConvolution", binary_convolution_param=setting)
        for shape, axis in ((IMAGES, 1), ((2, 6), 1), (IMAGES, 2)):
            cases.append(
                case(
                    "BinaryInnerProduct",
                    shape,
                    inner_product_param=filled(num_output=3, axis=axis),
                    binary_inner_product_param=setting,
                )
            )
    return cases


def quantizers():
    settings = [
        dict(centers=[0.538, 1.076, 1.614]),
        dict(centers=[0.538]),
        dict(centers=[0.2, 0.7, 1.9]),
        dict(centers=[0.1, 0.25, 0.31, 1.3337]),
        dict(centers=[0.538, 1.076, 1.614], negative_slope=0.25),
        dict(centers=[i * 0.25 for i in range(1, 16)]),
        dict(forward_func='"sign"'),
        dict(forward_func='"hard_tanh"'),
        dict(forward_func='"relu"', negative_slope=0.1),
        dict(forward_func='"relu"'),
    ]
    return [
        case("Quant", shape, quant_param=setting)
        for shape in (IMAGES, (2, 6), (2, 3, 4), (7,))
        for setting in settings
    ]


CASES = [
    *elementwise(),
    *normalizations(),
    *arrangements(),
    *products(),
    *poolings(),
    *recurrences(),
    *binary_layers(),
    *quantizers(),
]

FIXED = {"Filter", "LSTM", "RNN"}  # whose batch the engine fixes, or whose output depends on values


def values_of(kind, shapes, rng, batch=None):
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    if kind == "positive":
        inputs = [np.abs(values) + np.float32(0.1) for values in inputs]
    elif kind == "large":
        inputs = [values * 30 for values in inputs]
    elif kind == "ties":
        inputs = [np.round(values) for values in inputs]
    elif kind.startswith("index"):
        inputs[-1] = rng.integers(0, int(kind[5:]), shapes[-1]).astype(np.float32)
    elif kind == "selector":
        inputs[-1] = (np.arange(len(inputs[-1])) % 2).astype(np.float32)
    elif kind.startswith("cont"):
        inputs[int(kind[4:])] = (rng.random(shapes[int(kind[4:])]) > 0.3).astype(np.float32)
    return {f"in{i}": values for i, values in enumerate(inputs)}


def net_with_parameters(body, shapes, tops, rng):
    net = one_layer.make(one_layer.prototxt(body, shapes, tops), caffe.TEST)
    for layer in net.layers:
        if layer.type == "BatchNorm":
            mean, variance, factor = (blob.data for blob in layer.blobs)
            mean[...] = rng.standard_normal(mean.shape)
            variance[...] = rng.random(variance.shape) + 0.5
            factor[...] = 2.5
    return net


@pytest.mark.parametrize(("body", "shapes", "tops", "kind"), CASES)
def test_layer(body, shapes, tops, kind):
    caffe.set_random_seed(3)
    rng = np.random.default_rng(5)
    net = net_with_parameters(body, shapes, tops, rng)
    model = compare(net, values_of(kind, shapes, rng))
    type = net.layers[-1].type
    batches = {shape[0] for shape in shapes}
    if type in FIXED:
        assert not is_free(model)
    elif is_free(model) and len(batches) == 1 and kind != "index2":
        # The model takes other batches than that with which it was made.
        inputs = values_of(kind, [(shape[0] + 2, *shape[1:]) for shape in shapes], rng)
        expected = run_net(net, inputs)
        for name, values in run(model, inputs).items():
            one_layer.close(values, expected[name], name)


# Layers that come back as others, which compute the same.
OTHERS = re.compile(
    r'type: "(Crop|Dropout|Im2col|LSTMUnit|SPP|Split)"|flatten_param|num_axes: (0|-1)|'
    r'kernel_size: [12] stride: 3|use_binarization: false|forward_func: "(hard_tanh|relu)"|'
    r"slice_param: { axis: 0 slice_point: 1 }"
)


def is_kept(body, shapes, tops):
    """Whether a layer comes back as one of its type."""
    type = body.split('"')[1]
    if OTHERS.search(body) or len(shapes[0]) < {"BatchNorm": 2, "MVN": 3}.get(type, 0):
        return False
    if type in ("Bias", "Scale") and len(shapes) > 1:
        # A product or sum of all elements is an Eltwise; a bias behind a product with a blob is a Bias.
        return shapes[1] != shapes[0] and "bias_term" not in body
    does_nothing = {"Power": "power_param" not in body, "Concat": len(shapes) == 1, "Slice": tops == 1}
    return not does_nothing.get(type, False)


@pytest.mark.parametrize(("body", "shapes", "tops", "kind"), CASES)
def test_layer_comes_back(body, shapes, tops, kind):
    caffe.set_random_seed(3)
    rng = np.random.default_rng(5)
    net = net_with_parameters(body, shapes, tops, rng)
    inputs = values_of(kind, shapes, rng)
    model = to_onnx(net)
    if net.layers[-1].type == "Pooling" and tops > 1 and "kernel_size: 1 stride: 3" in body:
        with pytest.raises(ValueError, match="it pads with -1"):
            from_onnx(model)
        return
    read = {value.name for value in model.graph.input}
    given = {name: values.shape for name, values in inputs.items() if name in read}
    again = from_onnx(model, input_shapes=given).net()
    if is_kept(body, shapes, tops):
        assert [layer.type for layer in again.layers] == [layer.type for layer in net.layers]
        assert "it" in again.layer_dict
    expected, found = run_net(net, inputs), run_net(again, {name: inputs[name] for name in again.inputs})
    for name in net.outputs:
        close(found[name], expected[name], name)


@pytest.mark.parametrize(("body", "shapes", "tops", "kind"), binary_layers())
def test_layers_with_binary_weights_in_bytes(body, shapes, tops, kind):
    caffe.set_random_seed(3)
    rng = np.random.default_rng(5)
    net = net_with_parameters(body, shapes, tops, rng)
    compare(net, values_of(kind, shapes, rng), hwgq="qdq")
