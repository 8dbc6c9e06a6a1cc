"""ONNX models as nets: the command, what it refuses, and damaged files."""

import random
import signal
import sys

import numpy as np
import pytest
from onnx_graphs import QONNX, compare, model, node, normal, onnx, run
from test_import_recurrent import recurrent_net
from tool_runner import fails
from tool_runner import run as run_tool

import caffe
from caffe.export import to_onnx
from caffe.hwgq import PackedNet, pack
from caffe.importer import from_onnx
from caffe.proto import caffe_pb2

LEVELS = np.float32([0, 0.538, 1.076, 1.614])
THRESHOLDS = np.float32([0, 0.807, 1.345])


def signs(*shape, seed=0):
    return np.where(normal(*shape, seed=seed) >= 0, np.float32(1), np.float32(-1))


def low_bit_model(form):
    """Two binary layers and quantizers, as plain operators, in QDQ form or in QONNX."""
    nodes, constants = [node("Conv", "x w0", "c0")], {"w0": normal(4, 1, 3, 3), "one": np.float32(1)}
    alphas = {1: np.abs(normal(6, seed=3)) + 0.1, 2: np.abs(normal(5, seed=4)) + 0.1}

    def quantize(x, name):
        if form == "qonnx":
            nodes.append(
                node("MultiThreshold", f"{x} thresholds", f"{name}codes", domain=QONNX, out_dtype="UINT2")
            )
            nodes.append(node("Mul", f"{name}codes unit", name + ("r" if name == "q0" else "")))
            if name == "q0":
                # As FINN's front end writes it: said again to be quantized.
                nodes.append(node("Relu", "q0r", "q0s"))
                nodes.append(
                    node(
                        "Quant",
                        "q0s unit zero two",
                        "q0",
                        domain=QONNX,
                        signed=0,
                        narrow=0,
                        rounding_mode="ROUND",
                    )
                )
            return
        below = "l0"
        for i in range(3):
            above = name + ("steps" if form == "qdq" and i == 2 else str(i) if i < 2 else "")
            nodes.append(node("Greater", f"{x} t{i}", f"{name}a{i}"))
            nodes.append(node("Where", f"{name}a{i} l{i + 1} {below}", above))
            below = above
        if form == "qdq":
            nodes.append(node("QuantizeLinear", f"{below} unit code0", f"{name}q"))
            nodes.append(node("DequantizeLinear", f"{name}q unit code0", name))

    def weights(index, values):
        axis = 0 if index == 1 else 1
        if form == "qonnx":
            constants[f"s{index}"] = values
            nodes.append(node("BipolarQuant", f"s{index} one", f"w{index}", domain=QONNX))
        elif form == "qdq":
            constants[f"s{index}"], constants[f"z{index}"] = (
                values.astype(np.int8),
                np.zeros(len(alphas[index]), np.int8),
            )
            constants[f"alpha{index}"] = alphas[index]
            nodes.append(node("DequantizeLinear", f"s{index} alpha{index} z{index}", f"w{index}", axis=axis))
        else:
            shape = (-1, 1, 1, 1) if index == 1 else (1, -1)
            constants[f"w{index}"] = values * alphas[index].reshape(shape)

    quantize("c0", "q0")
    weights(1, signs(6, 4, 3, 3))
    nodes.append(node("Conv", "q0 w1", "c1", pads=[1, 1, 1, 1]))
    if form == "qonnx":
        constants["a1"] = alphas[1].reshape(1, -1, 1, 1)
        nodes[-1].output[0] = "c1s"
        nodes.append(node("Mul", "c1s a1", "c1"))
    nodes.append(node("BatchNormalization", "c1 g b m v", "n1"))
    quantize("n1", "q1")
    nodes.append(node("MaxPool", "q1", "p1", kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(node("Flatten", "p1", "f1"))
    flat = "f1"
    if form == "qdq":
        nodes += [
            node("QuantizeLinear", "f1 unit code0", "fq"),
            node("DequantizeLinear", "fq unit code0", "fd"),
        ]
        flat = "fd"
    weights(2, signs(6 * 9, 5, seed=2))
    nodes.append(node("MatMul", f"{flat} w2", "m2"))
    last = "m2"
    if form == "qonnx":
        constants["a2"] = alphas[2]
        nodes.append(node("Mul", "m2 a2", "m2s"))
        last = "m2s"
    nodes.append(node("Add", f"{last} bias", "y"))
    constants.update(
        g=np.ones(6, np.float32),
        b=np.zeros(6, np.float32),
        m=normal(6, seed=8),
        v=np.abs(normal(6, seed=9)) + 1,
        bias=normal(5, seed=7),
        unit=LEVELS[1],
        code0=np.uint8(0),
        zero=np.float32(0),
        two=np.float32(2),
    )
    for i in range(3):
        constants[f"t{i}"] = THRESHOLDS[i]
    for i in range(4):
        constants[f"l{i}"] = LEVELS[i]
    constants["thresholds"] = np.nextafter(THRESHOLDS, np.float32(9)).reshape(1, -1)
    domains = [QONNX] if form == "qonnx" else []
    return model(nodes, {"x": ("batch", 1, 8, 8)}, "y", domains=domains, **constants), alphas


@pytest.mark.parametrize("form", ["plain", "qdq", "qonnx"])
def test_layers_of_low_precision_come_back(form, tmp_path):
    made, alphas = low_bit_model(form)
    imported = from_onnx(made, batch=3)
    layers = imported.definition.layer
    assert [layer.type for layer in layers] == [
        "Input",
        "Convolution",
        "Quant",
        "BinaryConvolution",
        "BatchNorm",
        "Quant",
        "Pooling",
        "BinaryInnerProduct",
    ]
    for layer in layers:
        if layer.type == "Quant":
            np.testing.assert_allclose(layer.quant_param.centers, LEVELS[1:], rtol=1e-6)
    convolution, product = layers[3], layers[7]
    assert convolution.binary_convolution_param.use_alpha and product.binary_inner_product_param.use_alpha
    for index, layer in ((1, convolution), (2, product)):
        weights = imported.parameters[layer.name][0]
        np.testing.assert_allclose(
            np.abs(weights).reshape(len(weights), -1).mean(1), alphas[index], rtol=1e-6
        )
    x = normal(3, 1, 8, 8)
    if form == "qonnx":
        # ONNX Runtime has no operators of QONNX; the other forms are the same net.
        expected = run(low_bit_model("plain")[0], x=x)["y"]
        np.testing.assert_allclose(imported.net().forward(x=x)["y"], expected, rtol=1e-4, atol=1e-5)
    else:
        compare(imported, made, {"x": x})
    prototxt, weights = imported.save(tmp_path / "low")
    pack(prototxt, weights, tmp_path / "low.hwgq")
    packed = PackedNet(tmp_path / "low.hwgq").forward(x)
    np.testing.assert_allclose(packed, imported.net().forward(x=x)["y"], rtol=1e-4, atol=1e-4)


def test_qonnx_is_what_the_qonnx_package_computes():
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    made, _ = low_bit_model("qonnx")
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    made.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 5]))
    wrapped = ModelWrapper(made).transform(InferShapes())
    x = normal(2, 1, 8, 8)
    expected = execute_onnx(wrapped, {"x": x})["y"]
    np.testing.assert_allclose(from_onnx(made).net().forward(x=x)["y"], expected, rtol=1e-4, atol=1e-5)


def test_signs_alone_are_binary_weights_without_alpha():
    made = model([node("Conv", "x w")], {"x": (1, 2, 5, 5)}, w=signs(3, 2, 3, 3))
    layer = from_onnx(made).definition.layer[1]
    assert layer.type == "BinaryConvolution" and not layer.binary_convolution_param.use_alpha
    # Zeros in the kernel, which stand for padding on one side, are no signs.
    made = model([node("Conv", "x w", pads=[0, 0, 1, 1])], {"x": (1, 2, 5, 5)}, w=signs(3, 2, 3, 3))
    imported = from_onnx(made)
    assert imported.definition.layer[1].type == "Convolution"
    compare(imported, made, {"x": normal(1, 2, 5, 5)})


# ---------------------------------------------------------------------- the command


@pytest.fixture
def folder(tmp_path):
    nodes = [
        node("Conv", "x conv1.weight", "c"),
        node("Relu", "c", "r"),
        node("Conv", "r conv2.weight", "d"),
        node("Relu", "d", "s"),
        node("GlobalAveragePool", "s", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f fc.weight", transB=1),
    ]
    weights = {
        "conv1.weight": normal(4, 1, 3, 3),
        "conv2.weight": normal(4, 4, 3, 3),
        "fc.weight": normal(3, 4),
    }
    onnx.save(model(nodes, {"x": ("n", 1, 9, 9)}, **weights), tmp_path / "net.onnx")
    return tmp_path


def test_the_command_writes_a_net(folder):
    done = run_tool("import", "net.onnx", "-check", "-hwgq", "-batch", 4, cwd=folder)
    assert done.returncode == 0, done.stderr
    checked, *files = done.stdout.splitlines()
    assert checked.startswith("y: within ")
    assert files == ["net.prototxt", "net.caffemodel", "net_hwgq.prototxt"]
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST, weights=str(folder / "net.caffemodel"))
    assert list(net.params) == ["conv1", "conv2", "fc"] and net.blobs["x"].shape == (4, 1, 9, 9)
    low = caffe_pb2.NetParameter.FromString(caffe._caffe.read_net_text(str(folder / "net_hwgq.prototxt")))
    assert [layer.type for layer in low.layer if layer.name == "conv2"] == ["BinaryConvolution"]
    done = run_tool("import", "net.onnx", "-o", "out/other", "-input", "x:2,1,11,11", cwd=folder)
    assert done.stdout.splitlines() == ["out/other.prototxt", "out/other.caffemodel"]
    assert "dim: 11" in (folder / "out/other.prototxt").read_text()


def test_the_command_says_in_a_line_what_is_wrong(folder):
    fails(run_tool("import", "absent.onnx", cwd=folder), "absent.onnx")
    fails(run_tool("import", "net.onnx", "-batch", 0, cwd=folder), "batch must be at least 1")
    fails(run_tool("import", "net.onnx", "-input", "z:1,1,9,9", cwd=folder), "no input 'z'; there are x")
    fails(run_tool("import", "net.onnx", "-input", "x:1,9,9", cwd=folder), "has 4 axes, not 3")
    fails(run_tool("import", "net.onnx", "-input", "x:1,2,9,9", cwd=folder), "(Conv)")
    (folder / "text.onnx").write_text("no model")
    fails(run_tool("import", "text.onnx", cwd=folder), "text.onnx", "no ONNX model")
    made = model([node("Erf", "x", "e"), node("Cosh", "e"), node("Erf", "x", "z")], {"x": (1, 2)}, "y z")
    onnx.save(made, folder / "strange.onnx")
    done = run_tool("import", "strange.onnx", cwd=folder)
    fails(
        done,
        "strange.onnx: Caffe cannot express 3 of its nodes",
        "Erf_e (Erf)",
        "Cosh_y (Cosh)",
        "Erf_z (Erf)",
    )
    assert not (folder / "strange.prototxt").exists()


def test_the_check_finds_a_difference(folder, monkeypatch):
    imported = from_onnx(folder / "net.onnx")
    (same,) = imported.check(folder / "net.onnx")
    assert same.name == "y" and same.largest < 1e-5 and same.share == 0
    imported.parameters["fc"][0][0] += 0.1
    (other,) = imported.check(onnx.load(folder / "net.onnx"))
    assert other.largest > 1e-3 and other.share > 0
    with pytest.raises(ValueError, match="ONNX Runtime cannot run the model"):
        from_onnx(low_bit_model("qonnx")[0]).check(low_bit_model("qonnx")[0])


# ---------------------------------------------------------------------- what is refused


def refused(made, message, **options):
    with pytest.raises(ValueError, match=message) as raised:
        from_onnx(made, **options)
    assert str(raised.value).startswith("the model: ") and "\n" not in str(raised.value)


def test_without_onnx_the_error_says_how_to_get_it(monkeypatch):
    made = model([node("Relu", "x")], {"x": (1, 2)})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="pip install onnxruntime"):
        from_onnx(made).check(made)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"pip install 'hwgq-caffe\[onnx\]'"):
        from_onnx("net.onnx")


def test_versions_and_domains_that_are_unknown():
    made = model([node("Relu", "x")], {"x": (1, 2)})
    made.opset_import[0].version = 999
    refused(made, "version 999; known here are 7 to .*update the package onnx")
    made.opset_import[0].version = 6
    refused(made, "version 6;.*newer one")
    made = model([node("Relu", "x", domain="com.microsoft")], {"x": (1, 2)}, domains=["com.microsoft"])
    refused(made, r"Relu_y \(com.microsoft.Relu\): operators of the domain 'com.microsoft' are not known")
    # A domain that nothing is of does no harm.
    from_onnx(model([node("Relu", "x")], {"x": (1, 2)}, domains=["com.microsoft"]))


def test_graphs_that_make_no_sense():
    refused(model([node("Relu", "z")], {"x": (1, 2)}), "reads 'z', which nothing before it makes")
    refused(model([node("Relu", "x"), node("Relu", "x")], {"x": (1, 2)}), "makes 'y', which is there already")
    refused(model([node("Relu", "x")], {"x": (1, 2)}, "q"), "nothing makes the output 'q'")
    nameless = model([node("Relu", "x")], {"x": (1, 2)})
    nameless.graph.output[0].name = ""
    refused(nameless, "nothing makes the output ''")
    refused(onnx.ModelProto(), "holds no graph")
    made = model([node("Conv", "x w")], {"x": (1, 2, 4, 4)}, w=normal(2, 2, 3, 3))
    made.graph.initializer[0].raw_data = b"123"
    refused(made, "tensor 'w' cannot be read")
    refused(model([node("Gemm", "x w")], {"x": (1, 2)}, w=np.array(["a", "b"])), "weights are")
    refused(model([node("Identity", "w")], {"x": (1, 2)}, w=normal(2)), "output 'y': it is constant")


@pytest.mark.parametrize("name", [b"Relu_y", b"Tanh_z", b"graph", b"Relu"])
def test_names_that_are_no_text(name, tmp_path):
    made = model([node("Relu", "x"), node("Tanh", "y", "z")], {"x": (1, 2)}, "z")
    content = made.SerializeToString()
    (tmp_path / "names.onnx").write_bytes(content.replace(name, name[:-1] + b"\xff"))
    with pytest.raises(ValueError, match="names.onnx: is damaged") as raised:
        from_onnx(tmp_path / "names.onnx")
    assert "\n" not in str(raised.value)


def test_shapes_that_are_not_known():
    made = model([node("Relu", "x")], {"x": ("n", 3, "h", "w")})
    refused(made, r"open of x \(1, 3, \?, \?\): give it, by -input", batch=None)
    assert from_onnx(made, input_shapes={"x": (2, 3, 4, 5)}).net().blobs["y"].shape == (2, 3, 4, 5)


def test_weights_beside_the_model(tmp_path):
    weights = normal(4, 2, 3, 3)
    made = model([node("Conv", "x w")], {"x": (1, 2, 5, 5)}, w=weights)
    onnx.save(made, tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0, location="net.data")
    np.testing.assert_array_equal(
        next(iter(from_onnx(tmp_path / "net.onnx").parameters.values()))[0], weights
    )
    (tmp_path / "net.data").unlink()
    with pytest.raises(ValueError, match="net.onnx: its external data cannot be read"):
        from_onnx(tmp_path / "net.onnx")


def test_functions_of_the_model_are_put_in_their_places():
    made = model([onnx.helper.make_node("Twice", ["x"], ["y"], domain="own")], {"x": (1, 3)}, domains=["own"])
    function = onnx.helper.make_function(
        "own", "Twice", ["a"], ["b"], [onnx.helper.make_node("Add", ["a", "a"], ["b"])], made.opset_import[:1]
    )
    made.functions.append(function)
    compare(from_onnx(made), made, {"x": normal(1, 3)})


class TooLong(Exception):
    pass


@pytest.fixture
def alarm():
    """Ends what takes longer than ten seconds."""

    def ring(number, frame):
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(0)
    yield lambda: signal.alarm(10)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def damaged_models():
    made, _ = low_bit_model("qdq")
    yield made.SerializeToString()
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], group=2),
        node("BatchNormalization", "c s b m v", "n"),
        node("Relu", "n", "r"),
        node("AveragePool", "r", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
        node("Pad", "p pads", "q"),
        node("ConvTranspose", "q u", "t", strides=[2, 2], output_padding=[1, 1]),
        node("Shape", "t", "shape"),
        node("Slice", "shape zero one", "first"),
        node("Concat", "first rest", "wanted", axis=0),
        node("Split", "t", "a1 a2", axis=1),
        node("Tile", "a1 tiles", "a3"),
        node("Reshape", "a3 wanted", "f"),
        node("Gemm", "f g", "h"),
        node("Softmax", "h"),
        node("Resize", "a2 none scales", "z", mode="nearest"),
        node("Expand", "one1 big", "e"),
        node("Add", "a2 e", "k"),
    ]
    constants = dict(
        w=normal(4, 1, 3, 3),
        b=normal(4),
        s=normal(4),
        m=normal(4),
        v=np.abs(normal(4)),
        pads=np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        u=normal(4, 2, 3, 3),
        zero=np.array([0]),
        one=np.array([1]),
        rest=np.array([-1]),
        tiles=np.array([1, 2, 1, 1]),
        g=normal(2 * 14 * 14, 3),
        none=np.float32([]),
        scales=np.float32([1, 1, 2, 2]),
        one1=np.float32([1]),
        big=np.array([1, 1, 14, 14]),
    )
    yield model(nodes, {"x": (1, 2, 8, 8)}, "y z k", **constants).SerializeToString()
    yield to_onnx(recurrent_net("LSTM", (2, 3), (2, 2), True)).SerializeToString()
    nodes = [
        node("LSTM", "x w r b", "y h", hidden_size=3),
        node("Squeeze", "y one", "s"),
        node("TopK", "s two", "v i", axis=2),
        node("Cast", "i", "places", to=1),
        node("Cast", "c", "chosen", to=9),
        node("Compress", "s chosen", "z", axis=0),
        node("MaxPool", "y", "p q", kernel_shape=[1, 2]),
        node("Mod", "q plane", "t"),
        node("Cast", "t", "u", to=1),
    ]
    constants = dict(
        w=normal(1, 12, 2),
        r=normal(1, 12, 3),
        b=normal(1, 24),
        one=np.array([1]),
        two=np.array([2]),
        plane=np.array(6),
    )
    inputs = {"x": (4, 2, 2), "c": (4,)}
    yield model(nodes, inputs, "h v places z p u", **constants).SerializeToString()


@pytest.mark.parametrize(
    "content", list(damaged_models()), ids=["low precision", "plain", "steps", "choices"]
)
def test_damaged_files_are_refused_or_read(content, tmp_path, alarm):
    """Cut off or with bits flipped, a file is a net or an error in one line; never a crash, never a hang."""
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    from_onnx(path)
    rng = random.Random(1)
    outcomes = {"read": 0, "refused": 0}
    for trial in range(300):
        data = bytearray(content)
        if trial % 5 == 0:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.choice([1, 1, 2, 8])):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        alarm()
        try:
            from_onnx(path)
        except (ValueError, OSError) as error:
            assert str(path) in str(error), error
            assert "\n" not in str(error)
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert outcomes["refused"] > 50
