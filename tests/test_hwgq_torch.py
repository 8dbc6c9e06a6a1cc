"""The low-bit layers as PyTorch modules, against the engine's layers and their definitions."""

import copy
import subprocess
import sys

import numpy as np
import pytest
from one_layer import OneLayer, fields
from reference import elementwise, windows

import caffe
from caffe import idx
from caffe.hwgq import PackedNet, pack
from caffe.importer import from_onnx
from caffe.proto import caffe_pb2

torch = pytest.importorskip("torch")

from caffe.hwgq import torch as hwgq_torch  # noqa: E402  (needs PyTorch)

F = torch.nn.functional
CENTERS = [0.538, 1.076, 1.614]
#: Zero, thresholds and centers, and what is beyond all of them.
EDGES = [0.0, -0.0, 0.538, 0.807, 1.076, 1.345, 1.614, 1.6140001, -1.0, 1.0, -1.0000001, 9.0, -9.0]

QUANTIZERS = [
    dict(centers=CENTERS),
    dict(centers=CENTERS, clip_thr=1.614),
    dict(centers=CENTERS, clip_thr=1.614, negative_slope=0.25),
    dict(centers=CENTERS, backward_func="log_tailed_relu", clip_thr=1.614),
    dict(centers=[0.75], backward_func="hard_tanh", clip_thr=1.0),
    dict(centers=[0.3 * i + 0.01 * i * i for i in range(1, 21)], clip_thr=3.0, thrs=[]),
    dict(forward_func="sign", backward_func="hard_tanh", clip_thr=1.0),
    dict(forward_func="sign", backward_func="hard_tanh"),
    dict(forward_func="hard_tanh", backward_func="hard_tanh", clip_thr=1.0),
    dict(forward_func="relu", negative_slope=0.125, clip_thr=2.0),
]
CONVOLUTIONS = [
    dict(),
    dict(use_alpha=True),
    dict(use_alpha=True, bias_term=False, pad=1),
    dict(use_alpha=True, group=2, stride=2),
    dict(use_alpha=True, kernel_h=3, kernel_w=2, stride_h=1, stride_w=2, pad_h=2, pad_w=0),
    dict(use_alpha=True, dilation=2, pad=2),
    dict(use_alpha=True, use_binarization=False, group=2),
]


def normal(*shape, seed=0):
    return np.float32(np.random.RandomState(seed).randn(*shape))


def inputs(*shape):
    values = normal(*shape)
    values.flat[: len(EDGES)] = EDGES
    return values


def close(actual, expected, what=""):
    actual = actual.detach().numpy() if isinstance(actual, torch.Tensor) else actual
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=4e-6 * largest, err_msg=what)


def named(options):
    """Fields for the text format: strings in quotes."""
    return fields(
        **{name: f'"{value}"' if isinstance(value, str) else value for name, value in options.items()}
    )


@pytest.mark.parametrize("options", QUANTIZERS)
def test_quant_is_the_engines(options):
    x, dy = inputs(3, 4, 5, 2), normal(3, 4, 5, 2, seed=1)
    layer = OneLayer(f'type: "Quant" quant_param {{ {named(options)} }}', [x])
    (expected,) = layer.forward()
    (gradient,), _ = layer.backward([dy])
    module = hwgq_torch.Quant(**options)
    input = torch.from_numpy(x).requires_grad_()
    output = module(input)
    output.backward(torch.from_numpy(dy))
    np.testing.assert_array_equal(output.detach().numpy(), expected)
    close(input.grad, gradient)


@pytest.mark.parametrize("options", QUANTIZERS)
def test_quant_in_double(options):
    options = {
        name: np.float32(value).tolist() if name in ("centers", "clip_thr") else value
        for name, value in options.items()
    }
    x = np.random.RandomState(3).randn(4, 50)
    input = torch.from_numpy(x).requires_grad_()
    output = hwgq_torch.Quant(**options)(input)
    assert output.dtype == torch.float64
    output.backward(torch.ones_like(output))
    np.testing.assert_allclose(output.detach(), elementwise.quant(x, **options), rtol=1e-15)
    np.testing.assert_allclose(input.grad, elementwise.quant_gradient(1.0, x, **options), rtol=1e-14)


def test_nan_shows_and_has_the_engines_gradient():
    for options in QUANTIZERS:
        x = torch.tensor([float("nan"), 1.0], requires_grad=True)
        y = hwgq_torch.Quant(**options)(x)
        assert y[0].isnan() and not y[1].isnan()
        y.sum().backward()
        relu_like = options.get("backward_func") != "hard_tanh"
        assert x.grad[0] == (options.get("negative_slope", 0.0) if relu_like else 0.0)


def test_the_papers_quantizer():
    x = torch.tensor([-1.0, 0.1, 0.9, 5.0], requires_grad=True)
    y = hwgq_torch.HWGQ()(x)
    y.sum().backward()
    close(y, np.float32([0, 0.538, 1.076, 1.614]))
    assert x.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(), "centers"),
        (dict(centers=[1.0, 0.5]), "ascending"),
        (dict(centers=[-1.0, 0.5]), "positive"),
        (dict(centers=[1.0, 2.0], thrs=[1.2]), "midpoints"),
        (dict(forward_func="hwqg"), "hwqg"),
        (dict(centers=[1.0], backward_func="tanh"), "tanh"),
        (dict(centers=[1.0], backward_func="log_tailed_relu"), "clip_thr"),
    ],
)
def test_bad_quantizers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        hwgq_torch.Quant(**options)


def binary_convolution(options):
    """The engine's layer and the module, of 4 channels to 6, with the same parameters."""
    binary = {name: options[name] for name in ("use_alpha", "use_binarization") if name in options}
    window = {name: value for name, value in options.items() if name not in binary}
    if "kernel_h" not in window:
        window["kernel_size"] = 3
    param = fields(num_output=6, **window)
    x = inputs(2, 4, 9, 8)
    layer = OneLayer(
        f'type: "BinaryConvolution" convolution_param {{ {param} }} '
        f"binary_convolution_param {{ {fields(**binary)} }}",
        [x],
    )

    def pair(name, missing):
        value = window.get("kernel_size" if name == "kernel" else name, missing)
        return window.get(f"{name}_h", value), window.get(f"{name}_w", value)

    module = hwgq_torch.BinaryConv2d(
        4,
        6,
        pair("kernel", None),
        stride=pair("stride", 1),
        padding=pair("pad", 0),
        dilation=pair("dilation", 1),
        groups=window.get("group", 1),
        bias=window.get("bias_term", True),
        **{"use_alpha": False, **binary},
    )
    return x, layer, module


def fill(layer, module):
    parameters = [
        parameter for name in ("weight", "bias") if (parameter := getattr(module, name)) is not None
    ]
    for seed, (blob, parameter) in enumerate(zip(layer.params, parameters, strict=True)):
        values = normal(*blob.data.shape, seed=seed + 5)
        values.flat[0] = 0  # whose sign is +1
        blob.data[...] = values
        parameter.data = torch.from_numpy(values.copy())
    return parameters


def compare_with_layer(x, layer, module, parameters):
    (expected,) = layer.forward()
    dy = normal(*expected.shape, seed=9)
    (gradient,), gradients = layer.backward([dy])
    input = torch.from_numpy(x).requires_grad_()
    output = module(input)
    output.backward(torch.from_numpy(dy))
    close(output, expected, "output")
    close(input.grad, gradient, "gradient of the input")
    for parameter, values in zip(parameters, gradients, strict=True):
        close(parameter.grad, values, "gradient of a parameter")


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_binary_convolution_is_the_engines(options):
    x, layer, module = binary_convolution(options)
    compare_with_layer(x, layer, module, fill(layer, module))


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_binary_convolution_in_double(options):
    x, layer, module = binary_convolution(options)
    fill(layer, module)
    module.double()
    binary = {name: options[name] for name in ("use_alpha", "use_binarization") if name in options}
    window = {name: value for name, value in options.items() if name not in (*binary, "bias_term")}
    if "kernel_h" not in window:
        window["kernel_size"] = 3
    parameters = [parameter.detach().numpy() for parameter in module.parameters()]
    weights = windows.binarized(parameters[0], **binary)
    expected = windows.convolution(x.astype(np.float64), weights, *parameters[1:], **window)
    np.testing.assert_allclose(
        module(torch.from_numpy(x).double()).detach(), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("use_alpha", [True, False])
@pytest.mark.parametrize("use_binarization", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_binary_linear_is_the_engines(use_alpha, use_binarization, bias):
    x = inputs(5, 7)
    options = dict(use_alpha=use_alpha, use_binarization=use_binarization)
    layer = OneLayer(
        f'type: "BinaryInnerProduct" inner_product_param {{ {fields(num_output=4, bias_term=bias)} }} '
        f"binary_inner_product_param {{ {fields(**options)} }}",
        [x],
    )
    module = hwgq_torch.BinaryLinear(7, 4, bias, **options)
    compare_with_layer(x, layer, module, fill(layer, module))
    module.double()
    weights = windows.binarized(module.weight.detach().numpy(), **options)
    expected = x @ weights.T + (module.bias.detach().numpy() if bias else 0)
    np.testing.assert_allclose(module(torch.from_numpy(x).double()).detach(), expected, rtol=1e-12)


def test_weights_of_one_magnitude_binarize_to_themselves():
    once = hwgq_torch.binarize(torch.from_numpy(normal(8, 3, 5, 7)))
    assert torch.equal(hwgq_torch.binarize(once), once)
    with pytest.raises(ValueError, match="zeros"):
        hwgq_torch.BinaryConv2d(1, 1, 1, padding_mode="reflect")


def small_net():
    torch.manual_seed(4)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3),
        torch.nn.BatchNorm2d(8),
        hwgq_torch.HWGQ(),
        hwgq_torch.BinaryConv2d(8, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        hwgq_torch.HWGQ(),
        torch.nn.Flatten(),
        hwgq_torch.BinaryLinear(8 * 36, 10),
    )


def test_compiled_modules_compute_the_same(tmp_path):
    net = small_net()
    x = torch.from_numpy(normal(4, 1, 8, 8))
    compiled = torch.compile(copy.deepcopy(net), backend="aot_eager", fullgraph=True)
    results = []
    for module in (net, compiled):
        output = module(x)
        output.square().sum().backward()
        results.append([output, *(parameter.grad for parameter in module.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
    hwgq_torch.save_caffemodel(compiled, tmp_path / "compiled.caffemodel", NAMES)
    hwgq_torch.load_caffemodel(net, tmp_path / "compiled.caffemodel", NAMES)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_moves_no_threshold(dtype):
    quantizer = hwgq_torch.HWGQ()
    x = torch.linspace(-1, 3, 4001).to(dtype)
    codes = (quantizer(x).float() / 0.538).round()
    assert torch.equal(codes, (quantizer(x.float()) / 0.538).round())
    net = small_net()
    with torch.autocast("cpu", dtype=dtype):
        assert net[3:](net[:3](torch.from_numpy(normal(2, 1, 8, 8)))).dtype == dtype
        net(torch.from_numpy(normal(2, 1, 8, 8))).float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in net.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_modules_work_under_function_transforms():
    module = hwgq_torch.BinaryLinear(5, 3)
    x = torch.from_numpy(normal(4, 5))
    rows = torch.vmap(lambda row: hwgq_torch.quantize(module(row), CENTERS))(x)
    torch.testing.assert_close(rows, hwgq_torch.quantize(module(x), CENTERS))


def layer_text(name, type, bottom, top=None, body=""):
    return f'layer {{ name: "{name}" type: "{type}" bottom: "{bottom}" top: "{top or name}" {body} }}\n'


INPUT = 'name: "small" layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {} }} }} }}\n'
QUANT = "quant_param { centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614 }"
SMALL = (
    INPUT.format("dim: 3 dim: 1 dim: 8 dim: 8")
    + layer_text("c1", "Convolution", "data", body="convolution_param { num_output: 8 kernel_size: 3 }")
    + layer_text("n1", "BatchNorm", "c1")
    + layer_text("n1_scale", "Scale", "n1", "n1", "scale_param { bias_term: true }")
    + layer_text("q1", "Quant", "n1", body=QUANT)
    + layer_text(
        "c2",
        "BinaryConvolution",
        "q1",
        body="convolution_param { num_output: 8 kernel_size: 3 pad: 1 } "
        "binary_convolution_param { use_alpha: true }",
    )
    + layer_text("n2", "BatchNorm", "c2")
    + layer_text("n2/scale", "Scale", "n2", "n2", "scale_param { bias_term: true }")
    + layer_text("q2", "Quant", "n2", body=QUANT)
    + layer_text(
        "ip",
        "BinaryInnerProduct",
        "q2",
        body="inner_product_param { num_output: 10 } binary_inner_product_param { use_alpha: true }",
    )
)
NAMES = {"0": "c1", "1": "n1", "3": "c2", "4": ("n2", "n2/scale"), "7": "ip"}


@pytest.fixture
def prototxt(tmp_path):
    def write(text, name="net.prototxt"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def digits(count, seed):
    """Images of ten patterns in noise, 8 x 8, as handwritten digits of scikit-learn are, and their labels."""
    rng = np.random.RandomState(seed)
    patterns = np.random.RandomState(100).rand(10, 8, 8)
    labels = rng.randint(0, 10, count)
    return (patterns[labels] + 0.3 * rng.randn(count, 8, 8))[:, None].astype(np.float32), labels


def test_a_net_trained_by_torch_is_run_by_caffe_and_packed(prototxt, tmp_path):
    net = small_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    images, labels = digits(320, seed=1)
    losses = []
    for _ in range(8):
        for first in range(0, len(images), 32):
            loss = F.cross_entropy(
                net(torch.from_numpy(images[first : first + 32])),
                torch.from_numpy(labels[first : first + 32]),
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    net.eval()
    weights = str(tmp_path / "net.caffemodel")
    hwgq_torch.save_caffemodel(net, weights, NAMES)
    test_images, test_labels = digits(90, seed=2)
    with torch.no_grad():
        expected = net(torch.from_numpy(test_images)).numpy()
    assert (expected.argmax(1) == test_labels).mean() > 0.8
    model = prototxt(SMALL)
    scores = caffe.Net(model, caffe.TEST, weights=weights).forward_all(data=test_images)["ip"]
    # Where a sum lies at a threshold, rounding decides.
    assert (np.abs(scores - expected).max(1) < 1e-4).mean() > 0.97
    assert (scores.argmax(1) == expected.argmax(1)).mean() > 0.97
    pack(model, weights, tmp_path / "net.hwgq")
    packed = PackedNet(tmp_path / "net.hwgq").forward(test_images)
    assert (np.abs(packed - expected).max(1) < 1e-4).mean() > 0.97
    # And back into a module of the prototxt, and one of its own.
    again = hwgq_torch.Net(model, weights).eval()
    other = small_net().eval()
    hwgq_torch.load_caffemodel(other, weights, NAMES)
    with torch.no_grad():
        close(other(torch.from_numpy(test_images)), expected)
        found = again(torch.from_numpy(test_images)).numpy()
    assert (np.abs(found - expected).max(1) < 1e-4).mean() > 0.97


def test_both_engines_train_alike(tmp_path):
    """Steps of plain gradient descent in PyTorch and by the engine leave the same net."""
    filler = 'weight_filler { type: "xavier" } num_output'
    (tmp_path / "net.prototxt").write_text(
        SMALL.replace("dim: 3 dim: 1", "dim: 32 dim: 1").replace("num_output", filler)
        + 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 32 } } }\n'
        + layer_text("loss", "SoftmaxWithLoss", "ip", body='bottom: "label"')
    )
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 9 random_seed: 3 '
        "solver_mode: CPU"
    )
    solver = caffe.get_solver(str(tmp_path / "solver.prototxt"))
    start = str(tmp_path / "start.caffemodel")
    solver.net.save(start)
    net = hwgq_torch.Net(tmp_path / "net.prototxt", start)
    assert net.inputs == ["data"] and net.outputs == ["ip"]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for step in range(3):
        images, labels = digits(32, seed=step)
        solver.net.blobs["data"].data[...] = images
        solver.net.blobs["label"].data[...] = labels
        solver.step(1)
        loss = F.cross_entropy(net(torch.from_numpy(images)), torch.from_numpy(labels))
        assert loss.item() == pytest.approx(float(solver.net.blobs["loss"].data), rel=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    end = str(tmp_path / "end.caffemodel")
    hwgq_torch.save_caffemodel(net, end)
    trained = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST, weights=end)
    for name, blobs in solver.net.params.items():
        for blob, other in zip(blobs, trained.params[name], strict=True):
            np.testing.assert_allclose(other.data, blob.data, rtol=1e-3, atol=1e-4, err_msg=name)


def test_files_that_do_not_fit_change_nothing(tmp_path):
    net = small_net()
    path = tmp_path / "net.caffemodel"
    hwgq_torch.save_caffemodel(net, path, NAMES)
    other = small_net()
    other[0] = torch.nn.Conv2d(1, 8, 5)
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(
        ValueError, match="'c1' has parameters 8 x 1 x 3 x 3, 8, the module 8 x 1 x 5 x 5, 8.*'3'"
    ):
        hwgq_torch.load_caffemodel(other, path, {**NAMES, "3": "3"})
    assert all(torch.equal(values, before[name]) for name, values in other.state_dict().items())
    hwgq_torch.load_caffemodel(other, path, {**NAMES, "0": None})
    assert torch.equal(other[7].weight, net[7].weight)
    with pytest.raises(ValueError, match="no module 'conv'"):
        hwgq_torch.load_caffemodel(other, path, {"conv": "c1"})
    with pytest.raises(ValueError, match="two modules would be the layer 'c1'"):
        hwgq_torch.save_caffemodel(net, path, {**NAMES, "3": "c1"})
    with pytest.raises(ValueError, match="GRU"):
        hwgq_torch.save_caffemodel(torch.nn.Sequential(torch.nn.GRU(2, 2)), path)
    with pytest.raises(ValueError, match="no statistics"):
        hwgq_torch.save_caffemodel(torch.nn.BatchNorm2d(2, track_running_stats=False), path)
    with pytest.raises(caffe.Error, match="absent"):
        hwgq_torch.load_caffemodel(net, tmp_path / "absent.caffemodel", NAMES)


def test_batch_statistics_weigh_in_caffe_what_they_weighed_in_torch(tmp_path):
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(3, momentum=0.05))
    net(torch.from_numpy(normal(4, 3, 5, 5)))
    path = tmp_path / "norm.caffemodel"
    hwgq_torch.save_caffemodel(net, path, {"0": ("norm", "scale")})
    saved = caffe_pb2.NetParameter.FromString(path.read_bytes())
    assert [(layer.name, layer.type) for layer in saved.layer] == [("norm", "BatchNorm"), ("scale", "Scale")]
    mean, _, total = (np.array(blob.data) for blob in saved.layer[0].blobs)
    assert total == pytest.approx(20)
    close(net[0].running_mean, mean.astype(np.float32) / 20)
    other = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    hwgq_torch.load_caffemodel(other, path, {"0": ("norm", "scale")})
    close(other[0].running_var, net[0].running_var.numpy())


def pooling(**options):
    return layer_text("it", "Pooling", "data", body=f"pooling_param {{ {fields(**options)} }}")


def convolution(type="Convolution", **options):
    return layer_text("it", type, "data", body=f"convolution_param {{ {fields(num_output=6, **options)} }}")


def other_layer(type, body="", bottoms=("data",)):
    return layer_text(
        "it", type, bottoms[0], body=" ".join(f'bottom: "{name}"' for name in bottoms[1:]) + body
    )


BRANCH = convolution(kernel_size=1).replace('"it"', '"branch"').replace("num_output: 6", "num_output: 4")
LAYERS = [
    *(
        pooling(pool=method, **window)
        for method in ("MAX", "AVE")
        for window in (
            dict(kernel_size=3, stride=2),
            dict(kernel_size=3, stride=2, pad=1),
            dict(kernel_size=3, stride=2, pad=2, round_mode="FLOOR"),
            dict(kernel_h=2, kernel_w=4, stride_h=2, stride_w=3, pad_h=0, pad_w=2),
            dict(kernel_size=2, stride=3, pad=1),
            dict(global_pooling=True),
        )
    ),
    convolution(kernel_size=3, pad=1, stride=2, group=2),
    convolution("Deconvolution", kernel_size=3, pad=1, stride=2, group=2, bias_term=False),
    other_layer("InnerProduct", "inner_product_param { num_output: 5 axis: 2 transpose: true }"),
    other_layer("BatchNorm"),
    other_layer("BatchNorm", "batch_norm_param { use_global_stats: true }"),
    other_layer("Scale", 'scale_param { axis: 2 num_axes: 2 bias_term: true filler { type: "gaussian" } }'),
    other_layer("Bias", 'bias_param { filler { type: "gaussian" } }'),
    BRANCH + other_layer("Scale", "scale_param { axis: 0 }", ("data", "branch")),
    BRANCH + other_layer("Bias", "bias_param { axis: 0 }", ("data", "branch")),
    BRANCH + other_layer("Eltwise", "eltwise_param { coeff: 1 coeff: -0.5 }", ("data", "branch")),
    BRANCH + other_layer("Eltwise", "eltwise_param { operation: PROD }", ("data", "branch")),
    BRANCH + other_layer("Eltwise", "eltwise_param { operation: MAX }", ("data", "branch")),
    BRANCH + other_layer("Concat", "concat_param { axis: 2 }", ("data", "branch")),
    other_layer("ReLU", "relu_param { negative_slope: 0.25 }"),
    other_layer("PReLU"),
    other_layer("PReLU", "prelu_param { channel_shared: true }"),
    other_layer("ELU", "elu_param { alpha: 0.5 }"),
    other_layer("Power", "power_param { power: 2 scale: 0.5 shift: 1 }"),
    other_layer("Clip", "clip_param { min: -0.5 max: 0.75 }"),
    *(
        other_layer(type)
        for type in ("ReLU", "Sigmoid", "TanH", "AbsVal", "BNLL", "Softmax", "Dropout", "LRN")
    ),
    other_layer("Flatten", "flatten_param { axis: 1 end_axis: 2 }"),
    other_layer("Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 2 dim: -1 } }"),
    other_layer("Slice", 'top: "second" slice_param { slice_point: 1 }')
    + layer_text("last", "ReLU", "second"),
]


@pytest.mark.parametrize("text", LAYERS)
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_modules_of_layers_are_the_engines(text, phase, prototxt, tmp_path):
    if phase == caffe.TRAIN and "Dropout" in text:
        pytest.skip("drops other values in each pass")
    model = prototxt("force_backward: true " + INPUT.format("dim: 2 dim: 4 dim: 7 dim: 9") + text)
    caffe.set_random_seed(7)
    net = caffe.Net(model, phase)
    for name, blobs in net.params.items():
        for blob in blobs:
            blob.data[...] = np.abs(normal(*blob.data.shape, seed=len(name))) + 0.1
    weights = str(tmp_path / "it.caffemodel")
    net.save(weights)
    module = hwgq_torch.Net(model, weights).train(phase == caffe.TRAIN)
    assert module.inputs == net.inputs and module.outputs == net.outputs
    x = normal(2, 4, 7, 9)
    expected = net.forward(data=x)
    input = torch.from_numpy(x).requires_grad_()
    found = module(input)
    found = found if isinstance(found, dict) else {net.outputs[0]: found}
    diffs = {name: normal(*values.shape, seed=3) for name, values in expected.items()}
    gradient = net.backward(**diffs)["data"]
    torch.autograd.backward(list(found.values()), [torch.from_numpy(diffs[name]) for name in found])
    for name, values in expected.items():
        close(found[name], values, name)
    np.testing.assert_allclose(input.grad, gradient, rtol=1e-4, atol=1e-5)
    # The file comes back as it was, batch statistics with what the pass added to them.
    again = str(tmp_path / "again.caffemodel")
    hwgq_torch.save_caffemodel(module, again)
    reloaded = caffe.Net(model, phase, weights=again)
    for name, blobs in net.params.items():
        for blob, other in zip(blobs, reloaded.params[name], strict=True):
            np.testing.assert_allclose(other.data, blob.data, rtol=1e-5, atol=1e-6)
    hwgq_torch.load_caffemodel(module, weights)


@pytest.mark.parametrize(
    "folder, model, weights, scale, wrong",
    # As many as the reference implementation gets wrong: see test_models.py.
    [
        ("hwgq-sfc-w1a2-mnist", "sfc-w1a2.prototxt", "sfc-w1a2.caffemodel", 1, 357),
        ("lenet-2014", "lenet.prototxt", "lenet_iter_10000.caffemodel", 1 / 256, 95),
    ],
)
def test_trained_nets_keep_their_accuracy(folder, model, weights, scale, wrong, shared, mnist_dir, tmp_path):
    """As modules, in a file that these write, packed, and by way of PyTorch's own exporter."""
    if not (shared / "models" / folder).is_dir():
        pytest.skip("the published weights are not here")
    model = shared / "models" / folder / model
    images = idx.read(mnist_dir / "t10k-images-idx3-ubyte.gz", 3)[:, None] * np.float32(scale)
    labels = idx.read(mnist_dir / "t10k-labels-idx1-ubyte.gz", 1)

    def errors(scores):
        parts = [np.asarray(scores(part)).reshape(len(part), -1) for part in np.split(images, 10)]
        return int((np.concatenate(parts).argmax(1) != labels).sum())

    def scores_of(net):
        def scores(part):
            net.blobs[net.inputs[0]].reshape(*part.shape)
            net.reshape()
            return net.forward(**{net.inputs[0]: part})[net.outputs[0]].copy()

        return scores

    module = hwgq_torch.Net(model, model.parent / weights).eval()
    with torch.no_grad():
        assert errors(lambda part: module(torch.from_numpy(part))) == wrong
    hwgq_torch.save_caffemodel(module, tmp_path / "net.caffemodel")
    net = caffe.Net(str(model), caffe.TEST, weights=str(tmp_path / "net.caffemodel"))
    assert errors(scores_of(net)) == wrong
    pack(model, tmp_path / "net.caffemodel", tmp_path / "net.hwgq")
    assert errors(PackedNet(tmp_path / "net.hwgq").forward) == wrong
    pytest.importorskip("onnx")
    torch.onnx.export(
        module,
        (torch.from_numpy(images[:1]),),
        str(tmp_path / "net.onnx"),
        dynamo=False,
        input_names=["x"],
        output_names=["y"],
    )
    assert errors(scores_of(from_onnx(tmp_path / "net.onnx").net())) == wrong


def test_without_pytorch_the_error_says_how_to_get_it():
    program = "import sys; sys.modules['torch'] = None; import caffe; import caffe.hwgq.torch"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ImportError: caffe.hwgq.torch needs PyTorch: pip install 'hwgq-caffe[torch]'" in done.stderr


def test_layers_may_share_parameters(prototxt):
    text = INPUT.format("dim: 2 dim: 4 dim: 7 dim: 9")
    for name, bottom in (("one", "data"), ("two", "one")):
        body = 'param { name: "w" } param { name: "b" } convolution_param { num_output: 4 kernel_size: 1 }'
        text += layer_text(name, "Convolution", bottom, body=body)
    net = hwgq_torch.Net(prototxt(text))
    assert len(list(net.parameters())) == 2
    assert net.layers["one"].weight is net.layers["two"].weight


def test_layers_without_a_module_are_named(prototxt):
    text = INPUT.format("dim: 2 dim: 4 dim: 7 dim: 9")
    text += layer_text("m", "MVN", "data") + layer_text("t", "Tile", "m", body="tile_param { tiles: 2 }")
    with pytest.raises(ValueError, match=r"no module computes 'm' \(MVN\), 't' \(Tile\)"):
        hwgq_torch.Net(prototxt(text))
    text = INPUT.format("dim: 2 dim: 4 dim: 7 dim: 9")
    text += layer_text("lrn", "LRN", "data", body="lrn_param { norm_region: WITHIN_CHANNEL }")
    with pytest.raises(ValueError, match=r"'lrn' \(LRN\) normalizes within channels"):
        hwgq_torch.Net(prototxt(text))
    text = INPUT.format("dim: 2 dim: 4 dim: 7 dim: 9") + pooling(kernel_size=1, stride=4)
    with pytest.raises(ValueError, match=r"'it' \(Pooling\) has windows beyond the edge"):
        hwgq_torch.Net(prototxt(text))
    net = hwgq_torch.Net(prototxt(SMALL))
    with pytest.raises(ValueError, match="inputs are data; got 2"):
        net(torch.zeros(1), torch.zeros(1))
