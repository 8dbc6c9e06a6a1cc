"""Each operator of ONNX that Caffe can express, against ONNX Runtime."""

import itertools

import numpy as np
import pytest
from onnx_graphs import QONNX, compare, model, node, normal, onnx

from caffe.importer import from_onnx


def check(nodes, shape=(2, 4, 9, 8), opset=17, outputs="y", types=None, positive=False, **constants):
    """Imports a model of one input x, compares it, and returns what was imported."""
    made = model(nodes if isinstance(nodes, list) else [nodes], {"x": shape}, outputs, opset, **constants)
    imported = from_onnx(made)
    x = normal(*shape, seed=11)
    compare(imported, made, {"x": np.abs(x) + 0.1 if positive else x})
    if types is not None:
        assert [layer.type for layer in imported.definition.layer if layer.type != "Input"] == types.split()
    return imported


def refused(nodes, message, shape=(2, 4, 9, 8), opset=17, outputs="y", **constants):
    made = model(nodes if isinstance(nodes, list) else [nodes], {"x": shape}, outputs, opset, **constants)
    with pytest.raises(ValueError, match=message) as raised:
        from_onnx(made)
    assert "\n" not in str(raised.value)


# ---------------------------------------------------------------------- products


CONVOLUTIONS = [
    dict(),
    dict(pads=[1, 1, 1, 1]),
    dict(strides=[2, 2], pads=[1, 2, 1, 2]),
    dict(dilations=[2, 1], pads=[2, 0, 2, 0]),
    dict(group=2, pads=[1, 0, 1, 0]),
    dict(group=4),
    dict(pads=[0, 0, 1, 1], strides=[2, 2]),
    dict(pads=[2, 1, 0, 3]),
    dict(pads=[0, 2, 4, 0], dilations=[2, 2]),
    *(
        dict(auto_pad=mode, strides=[a, b])
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
        for a, b in [(1, 1), (2, 3)]
    ),
]


@pytest.mark.parametrize("attributes", CONVOLUTIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_conv(attributes, bias):
    weights = normal(8, 4 // attributes.get("group", 1), 3, 2)
    constants = {"w": weights, **({"b": normal(8)} if bias else {})}
    check(node("Conv", "x w b" if bias else "x w", **attributes), types="Convolution", **constants)


@pytest.mark.parametrize("axes", [1, 3])
def test_conv_of_other_axes(axes):
    check(
        node("Conv", "x w b", pads=[1] * 2 * axes, strides=[2] * axes),
        shape=(2, 4, *[7, 6, 5][:axes]),
        w=normal(6, 4, *[3] * axes),
        b=normal(6),
    )


@pytest.mark.parametrize(
    "attributes",
    [
        dict(),
        dict(strides=[2, 2], pads=[1, 1, 1, 1]),
        dict(strides=[2, 3], output_padding=[1, 2]),
        dict(strides=[2, 2], pads=[0, 1, 2, 0], group=2),
        dict(strides=[2, 2], pads=[1, 1, 0, 0], output_padding=[1, 1]),
        dict(dilations=[2, 2], pads=[1, 1, 1, 1]),
        dict(strides=[2, 2], output_shape=[18, 16]),
        dict(strides=[2, 2], auto_pad="SAME_UPPER"),
        dict(strides=[2, 2], auto_pad="SAME_LOWER"),
    ],
)
def test_conv_transpose(attributes):
    weights = normal(4, 6 // attributes.get("group", 1), 3, 3)
    check(node("ConvTranspose", "x w b", **attributes), types="Deconvolution", w=weights, b=normal(6))


def test_conv_that_caffe_has_not():
    refused(
        node("Conv", "x w", pads=[0, 0, 1, 1], dilations=[2, 2]),
        "no multiple of its dilation",
        w=normal(2, 4, 3, 3),
    )
    refused(node("Conv", "x w"), "are not for", w=normal(2, 3, 3, 3))
    refused(node("Conv", "x x"), "not constant")
    refused(node("Conv", "x w", pads=[-1, 0, 0, 0]), "negative", w=normal(2, 4, 3, 3))
    refused(node("Conv", "x w"), "does not fit", shape=(1, 4, 2, 2), w=normal(2, 4, 3, 3))


@pytest.mark.parametrize("transposed, alpha, beta", [(0, 1.0, 1.0), (1, 0.5, 2.0)])
def test_gemm(transposed, alpha, beta):
    weights = normal(5, 7) if transposed else normal(7, 5)
    gemm = node("Gemm", "x w b", transB=transposed, alpha=alpha, beta=beta)
    check(gemm, (3, 7), types="InnerProduct", w=weights, b=normal(5))
    check(node("Gemm", "x w", transB=transposed), (3, 7), types="InnerProduct", w=weights)
    check(node("Gemm", "x w b", transB=transposed), (3, 7), types="InnerProduct", w=weights, b=normal(1, 5))
    refused(node("Gemm", "x w", transA=1), "transposes", (7, 3), w=normal(7, 5))


@pytest.mark.parametrize("shape", [(3, 7), (2, 5, 7), (2, 3, 4, 7)])
def test_matmul_and_add_are_an_inner_product(shape):
    nodes = [node("MatMul", "x w", "m"), node("Add", "b m")]
    imported = check(nodes, shape, types="InnerProduct", w=normal(7, 5), b=normal(5))
    assert [values.shape for values in imported.parameters["MatMul_m"]] == [(5, 7), (5,)]


@pytest.mark.parametrize("op", ["Flatten", "Reshape", "Transposed", "Squeezed"])
def test_inner_products_flatten_themselves(op):
    shape, middle = (3, 2, 4, 5), []
    if op == "Flatten":
        middle = [node("Flatten", "x", "f")]
    elif op == "Reshape":
        middle = [node("Reshape", "x s", "f")]
    elif op == "Transposed":
        middle = [node("Transpose", "a", "t", perm=[0, 2, 3, 1]), node("Reshape", "t s", "f")]
        middle.insert(0, node("Relu", "x", "a"))
    else:
        shape = (3, 40, 1, 1)
        middle = [node("Squeeze", "x axes", "f")]
    imported = check(
        [*middle, node("Gemm", "f w b")],
        shape,
        w=normal(40, 6),
        b=normal(6),
        s=np.array([3, -1]),
        axes=np.array([2, 3]),
    )
    types = [layer.type for layer in imported.definition.layer]
    assert types == ["Input", *(["ReLU"] if op == "Transposed" else []), "InnerProduct"]


# ---------------------------------------------------------------------- windows


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        dict(kernel_shape=[2, 2], strides=[2, 2]),
        dict(kernel_shape=[3, 3], strides=[2, 2]),
        dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
        dict(kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
        dict(kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
        dict(kernel_shape=[3, 3]),
    ],
)
@pytest.mark.parametrize("sides", [(9, 8), (12, 12)])
def test_pooling(op, attributes, sides):
    for include in [0, 1] if op == "AveragePool" else [None]:
        more = {} if include is None else {"count_include_pad": include}
        if op == "AveragePool" and "ceil_mode" in attributes:
            more["opset"] = 19  # ONNX Runtime counts otherwise before
        opset = more.pop("opset", 17)
        imported = check(node(op, "x", **attributes, **more), (2, 3, *sides), opset)
        assert imported.definition.layer[1].type == "Pooling"


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_with_other_numbers_of_windows(op):
    """Windows in the padding behind, which Caffe has as often as before, get zeros to look at."""
    pool = node(op, "r", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    check([node("Relu", "x", "r"), pool], types="ReLU Convolution Pooling" + " Scale" * (op == "AveragePool"))
    pad = node("Pad", "r p", "q")
    pool.input[0] = "q"
    constants = {"p": np.array([0, 0, 1, 2, 0, 0, 2, 0])}
    check(
        [node("Relu", "x", "r"), pad, pool],
        types="ReLU Convolution Pooling" + " Scale" * (op == "AveragePool"),
        **constants,
    )
    if op == "MaxPool":
        pool.input[0] = "x"
        refused(pool, "5 x 8 windows")


def test_windows_larger_than_the_image():
    pool = node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1])
    check(pool, (2, 3, 1, 1), types="Pooling")


def test_pooling_that_caffe_has_not():
    refused(node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2]), "dilated")
    refused(node("MaxPool", "x", kernel_shape=[3]), "N x C x H x W", (2, 3, 9))
    refused(
        node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 0]), "windows", (1, 1, 8, 8)
    )


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
def test_global_pooling(op):
    check(node(op, "x"), types="Pooling")


@pytest.mark.parametrize("axes", [1, 3])
def test_means_along_other_axes_are_convolutions(axes):
    pool = node(
        "AveragePool",
        "x",
        kernel_shape=[3] * axes,
        strides=[2] * axes,
        pads=[1] * 2 * axes,
        count_include_pad=1,
    )
    shape = (2, 3, *[7, 6, 5][:axes])
    check(pool, shape, types="Convolution")
    refused(node("AveragePool", "x", kernel_shape=[2] * axes, pads=[1] * 2 * axes), "hold as much", shape)


def test_branches_that_constants_decide():
    def branch(name, op):
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        return onnx.helper.make_graph([node(op, "r", name)], name, [], [value])

    for axis, taken in ((0, "TanH"), (1, "Sigmoid")):
        nodes = [
            node("Relu", "x", "r"),
            node("Shape", "r", "s"),
            node("Gather", "s i", "size"),
            node("Equal", "size two", "c"),
            node("If", "c", then_branch=branch("a", "Tanh"), else_branch=branch("b", "Sigmoid")),
        ]
        check(nodes, types=f"ReLU {taken}", i=np.array(axis), two=np.array(2))
    nodes = [node("ReduceMean", "x", "m", keepdims=0), node("Greater", "m zero", "c"), nodes[0], nodes[-1]]
    refused(nodes, "If.*not constant", zero=np.float32(0))


@pytest.mark.parametrize("opset", [7, 10, 13, 17])
def test_padding_goes_into_what_reads_it(opset):
    def padding(*pads):
        if opset < 11:
            return node("Pad", "x", "p", pads=[0, 0, *pads[:2], 0, 0, *pads[2:]]), {}
        return node("Pad", "x pads", "p"), {"pads": np.array([0, 0, *pads[:2], 0, 0, *pads[2:]])}

    pad, constants = padding(1, 2, 1, 2)
    conv = node("Conv", "p w", pads=[1, 0, 1, 0])
    imported = check([pad, conv], opset=opset, types="Convolution", w=normal(3, 4, 3, 3), **constants)
    assert list(imported.definition.layer[1].convolution_param.pad) == [2]
    pad, constants = padding(0, 0, 1, 1)
    average = node("AveragePool", "p", kernel_shape=[2, 2], strides=[2, 2])
    check([pad, average], (2, 3, 7, 9), opset, **constants)
    check([pad, node("Relu", "p")], opset=opset, types="Convolution ReLU", **constants)
    pad, constants = padding(1, 1, 1, 1)
    pool = node("MaxPool", "p", kernel_shape=[3, 3], strides=[2, 2])
    check([pad, pool], opset=opset, types="Convolution Pooling", **constants)
    relu, pad.input[0] = node("Relu", "x", "r"), "r"
    check([relu, pad, pool], opset=opset, types="ReLU Pooling", **constants)


def test_padding_that_caffe_has_not():
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    refused(node("Pad", "x p v"), "pads with 1", p=pads, v=np.float32(1))
    refused(node("Pad", "x p", mode="reflect"), "reflect", p=pads)
    refused(node("Pad", "x p"), "channels", p=np.array([0, 1, 0, 0, 0, 0, 0, 0]))
    refused(node("Pad", "x p"), "negative", p=np.array([0, 0, -1, 0, 0, 0, 0, 0]))


@pytest.mark.parametrize("opset", [9, 13])
def test_enlarging_by_repeating_values(opset):
    scales = np.float32([1, 1, 2, 3])
    if opset == 9:
        check(node("Upsample", "x s", mode="nearest"), opset=9, types="Deconvolution", s=scales)
    else:
        for more in (
            dict(coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            dict(coordinate_transformation_mode="half_pixel"),
        ):
            check(
                node("Resize", "x r s", mode="nearest", **more),
                types="Deconvolution",
                s=scales,
                r=np.float32([]),
            )
        check(node("Resize", "x r r z", mode="nearest"), z=np.array([2, 4, 18, 8]), r=np.float32([]))
        other = node("Resize", "x r s", mode="nearest", nearest_mode="floor")
        refused(other, "do not repeat", s=scales, r=np.float32([]))
        corners = node("Resize", "x r s", mode="nearest", coordinate_transformation_mode="align_corners")
        refused(corners, "do not repeat", s=scales, r=np.float32([]))
        refused(node("Resize", "x r s", mode="linear"), "repeating", s=scales, r=np.float32([]))


# ---------------------------------------------------------------------- normalization


@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 5), (2, 4, 5, 6)])
@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization(shape, opset):
    parameters = dict(
        s=normal(4), b=normal(4, seed=1), m=normal(4, seed=2), v=np.abs(normal(4, seed=3)) + 0.1
    )
    check(
        node("BatchNormalization", "x s b m v", epsilon=1e-3),
        shape,
        opset,
        types="BatchNorm Scale",
        **parameters,
    )
    parameters.update(s=np.ones(4, np.float32), b=np.zeros(4, np.float32))
    imported = check(node("BatchNormalization", "x s b m v"), shape, opset, types="BatchNorm", **parameters)
    mean, variance, total = next(iter(imported.parameters.values()))
    np.testing.assert_array_equal(mean, parameters["m"])
    np.testing.assert_array_equal(variance, parameters["v"])
    assert total == 1


def test_batch_normalization_in_training_is_refused():
    parameters = dict(s=normal(4), b=normal(4), m=normal(4), v=np.abs(normal(4)))
    refused(node("BatchNormalization", "x s b m v", training_mode=1), "evaluation", **parameters)
    refused(node("BatchNormalization", "x s b m m", "y"), "each channel", **{**parameters, "m": normal(3)})


def test_lrn():
    check(node("LRN", "x", size=5, alpha=0.3, beta=0.5, bias=2.0), (2, 9, 3, 4), types="LRN")
    refused(node("LRN", "x", size=4), "odd")


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op):
    for axis in (1, 2, -1):
        check(node(op, "x", axis=axis), (2, 4, 3), opset=13)
    check(node(op, "x"), (2, 5), opset=11)
    check(node(op, "x", axis=1), (2, 5, 1, 1), opset=11)
    refused(node(op, "x", axis=1), "one axis", (2, 5, 2), opset=11)


# ---------------------------------------------------------------------- element by element


ELEMENTWISE = [
    ("Relu", {}, "ReLU"),
    ("LeakyRelu", dict(alpha=0.2), "ReLU"),
    ("Elu", dict(alpha=0.7), "ELU"),
    ("Selu", {}, "ELU Power"),
    ("Sigmoid", {}, "Sigmoid"),
    ("Tanh", {}, "TanH"),
    ("Abs", {}, "AbsVal"),
    ("Exp", {}, "Exp"),
    ("Softplus", {}, "BNLL"),
    ("Neg", {}, "Power"),
    ("HardSigmoid", dict(alpha=0.3, beta=0.4), "Power Clip"),
    ("HardSwish", {}, "Power Clip Eltwise"),
    ("Identity", {}, "Split"),
]


@pytest.mark.parametrize("op, attributes, types", ELEMENTWISE)
def test_functions(op, attributes, types):
    check(node(op, "x", **attributes), types=types)


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(op):
    check(node(op, "x"), positive=True)


@pytest.mark.parametrize("opset", [7, 11, 13])
def test_clip(opset):
    def clip(low, high):
        if opset < 11:
            limits = {
                name: float(value) for name, value in (("min", low), ("max", high)) if value is not None
            }
            return node("Clip", "x", **limits), {}
        names = [name if value is not None else "" for name, value in (("l", low), ("h", high))]
        made = onnx.helper.make_node("Clip", ["x", *names], ["y"], name="clip")
        values = {name: np.float32(value) for name, value in (("l", low), ("h", high)) if value is not None}
        return made, values

    for low, high, types in ((0, 6, "Clip"), (0, None, "ReLU"), (-1, 0.5, "Clip"), (None, 1, "Clip")):
        made, constants = clip(low, high)
        check(made, opset=opset, types=types, **constants)


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,), (1, 1, 1)])
def test_prelu(shape):
    check(node("PRelu", "x s"), types="PReLU", s=np.abs(normal(*shape)))


def test_prelu_that_caffe_has_not():
    refused(node("PRelu", "x s"), "each of 4 channels", s=normal(8))
    refused(node("PRelu", "x x"), "constant")


def test_dropout_is_kept_for_finetuning():
    imported = check([node("Dropout", "x", ratio=0.3)], opset=7, types="Dropout")
    assert imported.definition.layer[1].dropout_param.dropout_ratio == pytest.approx(0.3)
    imported = check([node("Dropout", "x r")], opset=13, types="Dropout", r=np.float32(0.25))
    assert imported.definition.layer[1].dropout_param.dropout_ratio == 0.25


def test_swish_is_one_layer():
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "x s")]
    check(nodes, types="Swish")
    scaled = [node("Mul", "x b", "z"), node("Sigmoid", "z", "s"), node("Mul", "s x")]
    check(scaled, types="Swish", b=np.float32(1.5))
    check([*nodes, node("Add", "s y", "z")], outputs="z", types="Sigmoid Eltwise Eltwise")


CONSTANTS = [(), (1,), (4, 1, 1), (1, 4, 1, 1), (8,), (9, 8), (9, 1), (4, 9, 8), (1, 4, 1, 8)]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", CONSTANTS)
@pytest.mark.parametrize("first", [True, False])
def test_constants(op, shape, first):
    values = np.float32(np.abs(normal(*shape)) + 0.5)
    imported = check(node(op, "c x" if first else "x c"), positive=True, c=values)
    types = [layer.type for layer in imported.definition.layer[1:]]
    single = {"Add": "Bias", "Mul": "Scale", "Sub": "Scale" if first else "Bias", "Div": "Scale"}[op]
    single = "Power" if values.size == 1 else single
    assert types == (["Power", single] if op == "Div" and first else [single])


def test_constants_are_gathered():
    nodes = [node("Sub", "x m", "a"), node("Div", "a s", "b"), node("Mul", "b g", "c"), node("Add", "c o")]
    channels = {name: np.abs(normal(4, 1, 1, seed=i)) + 0.5 for i, name in enumerate("msgo")}
    check(nodes, types="Scale", **channels)
    check(
        [node("Mul", "x two", "a"), node("Mul", "a half", "b"), node("Relu", "b")],
        types="ReLU",
        two=np.float32(2),
        half=np.float32([0.5]),
    )
    # A value that another node reads, too, is not gathered away.
    both = [node("Mul", "x two", "a"), node("Add", "a two", "b"), node("Add", "a b")]
    check(both, types="Power Power Eltwise", two=np.float32(2))


def test_constants_that_enlarge_are_refused():
    refused(node("Add", "x c"), "larger", (2, 1, 3), c=normal(4, 3))


@pytest.mark.parametrize(
    "op, layer",
    [
        ("Add", "Eltwise"),
        ("Mul", "Eltwise"),
        ("Max", "Eltwise"),
        ("Sub", "Eltwise"),
        ("Sum", "Eltwise"),
        ("Mean", "Eltwise Power"),
    ],
)
def test_two_tensors(op, layer):
    check([node("Relu", "x", "r"), node("Tanh", "x", "t"), node(op, "r t")], types=f"ReLU TanH {layer}")


def test_three_tensors():
    check([node("Relu", "x", "r"), node("Tanh", "x", "t"), node("Sum", "r t x")])
    check([node("Relu", "x", "r"), node("Tanh", "x", "t"), node("Max", "r t x")])
    check(
        [node("Relu", "x", "r"), node("Abs", "x", "t"), node("Add", "t one", "u"), node("Div", "r u")],
        one=np.float32(1),
    )


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 9, 8), (1, 1, 1), (4, 1, 8)])
def test_tensors_that_broadcast(op, shape):
    """Of which one has come about by reducing the other."""
    axes = [axis + 1 for axis, size in enumerate(shape) if size == 1]
    reduced = {
        (2, 3): [node("GlobalAveragePool", "x", "r")],
        (1, 2, 3): [node("ReduceMean", "x", "r", axes=[1, 2, 3])],
        (1,): [node("Slice", "x zero one axis", "r")],
        (2,): [node("Slice", "x zero one axis", "r")],
    }[tuple(axes)]
    constants = dict(zero=np.array([0]), one=np.array([1]), axis=np.array([axes[0]]))
    for inputs in ("x r", "r x"):
        check([*reduced, node(op, inputs)], **(constants if len(axes) == 1 else {}))


def test_limits_by_max_and_min():
    check(
        [node("Max", "x zero", "a"), node("Min", "six a")],
        types="ReLU Clip",
        zero=np.float32(0),
        six=np.float32([6]),
    )
    check(node("Max", "c x"), types="Clip", c=np.float32(0.25))
    refused([node("Relu", "x", "r"), node("Min", "r x")], "no minimum")


@pytest.mark.parametrize("power", [2.0, 0.5, 3.0, -1.0])
def test_pow(power):
    check(node("Pow", "x p"), positive=True, types="Power", p=np.float32(power))


# ---------------------------------------------------------------------- arrangement


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concat(axis):
    check([node("Relu", "x", "r"), node("Concat", "x r x", axis=axis)], types="ReLU Concat")


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_split(opset):
    equal = {"num_outputs": 3} if opset == 18 else {}
    for attributes, sizes in ((equal, [3, 3, 3]), ({}, [2, 6, 1])):
        constants = {}
        inputs = "x"
        if sizes != [3, 3, 3]:
            if opset < 13:
                attributes = {"split": sizes}
            else:
                inputs, constants = "x s", {"s": np.array(sizes)}
        nodes = [node("Split", inputs, "a b c", axis=2, **attributes), node("Concat", "c a b", axis=2)]
        check(nodes, opset=opset, types="Slice Concat", **constants)


def test_parts_that_nothing_reads_are_no_outputs():
    imported = check([node("Split", "x", "a b", axis=1), node("Relu", "b")], types="Slice ReLU Silence")
    assert imported.net().outputs == ["y"]


@pytest.mark.parametrize("opset", [9, 13])
def test_slice(opset):
    for starts, ends, axes in (([1], [3], [1]), ([-4], [2**62], [2]), ([0, 2], [2, -1], [1, 3])):
        if opset == 9:
            check(node("Slice", "x", starts=starts, ends=ends, axes=axes), opset=9)
        else:
            check(node("Slice", "x s e a"), s=np.array(starts), e=np.array(ends), a=np.array(axes))
    if opset == 13:
        backwards = dict(s=np.array([-1]), e=np.array([-(2**62)]), a=np.array([1]), t=np.array([-1]))
        check(node("Slice", "x s e a t"), types="Slice Concat", **backwards)


def test_gather():
    check(node("Gather", "x i", axis=1), types="Slice Concat", i=np.array([2, 1, 0, 3]))
    check(node("Gather", "x i", axis=2), types="Slice Reshape Silence", i=np.array(-2))
    refused(node("Gather", "x i", axis=1), "twice", i=np.array([1, 1]))
    refused(node("Gather", "x i", axis=1), "not below", i=np.array([7]))


@pytest.mark.parametrize("shape", [[2, 9, 4, 8], [0, -1, 8], [-1, 8], [2, 4, 9, 2, 4]])
def test_reshape(shape):
    check(node("Reshape", "x s"), s=np.array(shape))


@pytest.mark.parametrize(
    "nodes, shape",
    [
        ([node("Reshape", "x s")], (10, 4)),
        ([node("Flatten", "x", axis=2)], (10, 4)),
        ([node("Reshape", "x s", "z"), node("Relu", "z", "r"), node("Reshape", "r t")], (5, 2, 4)),
        ([node("Reshape", "x s", "z"), node("MatMul", "z w", "m"), node("Reshape", "m t")], (5, 2, 4)),
    ],
)
def test_the_batch_stays_open(nodes, shape):
    constants = dict(s=np.array([-1, 4]), t=np.array([-1, 2, 4]), w=normal(4, 4))
    made = model(nodes, {"x": ("n", 2, 4)}, **constants)
    net = from_onnx(made).net()
    net.blobs["x"].reshape(5, 2, 4)
    net.reshape()
    assert net.blobs["y"].shape == shape


def test_products_along_other_axes():
    """What is joined for a product is joined by its layer, unless something else needs it."""
    weights = dict(w=normal(8, 5), s=np.array([-1, 8]), t=np.array([-1, 4, 9, 5]), b=normal(5))
    before, product = node("Reshape", "x s", "r"), node("MatMul", "r w", "m", name="it")
    nodes = [before, product, node("Reshape", "m t", "q"), node("Add", "q b")]
    imported = check(nodes, types="InnerProduct", **weights)
    assert imported.definition.layer[1].name == "it" and imported.definition.layer[1].top == ["y"]
    check([before, product, node("Add", "m b", "n"), node("Reshape", "n t")], types="InnerProduct", **weights)
    check(
        [before, product, node("Reshape", "m t"), node("Relu", "r", "z")],
        outputs="y z",
        types="Reshape InnerProduct ReLU Reshape",
        **weights,
    )
    check(
        [before, product, node("Reshape", "m t"), node("Relu", "m", "z")],
        outputs="y z",
        types="Reshape InnerProduct ReLU Reshape",
        **weights,
    )
    nodes[2] = node("Reshape", "m u", "q")
    check(nodes, types="Reshape InnerProduct Reshape Bias", u=np.array([4, 2, 9, 5]), **weights)


@pytest.mark.parametrize("end", ["Add", "Mul"])
def test_convolutions_along_other_axes(end):
    """Their channels are another axis than the second."""
    nodes = [
        node("Reshape", "x s", "r"),
        node("Conv", "r w", "c", name="it"),
        node("Reshape", "c t", "q"),
        node(end, "q b"),
    ]
    types = "Convolution" if end == "Add" else "Convolution Scale"
    imported = check(
        nodes,
        shape=(2, 3, 4, 6, 5),
        types=types,
        w=normal(3, 4, 2, 2),
        s=np.array([-1, 4, 6, 5]),
        t=np.array([2, 3, 3, 5, 4]),
        b=normal(3, 1, 1),
    )
    assert imported.definition.layer[1].convolution_param.axis == 2


@pytest.mark.parametrize("op, layer", [("Mul", "Scale"), ("Add", "Bias")])
@pytest.mark.parametrize("shape, axis", [((4, 1, 1), 1), ((1, 4, 9, 1), 1), ((8,), -1), ((2, 1, 1, 1), 0)])
def test_blobs_along_some_axes(op, layer, shape, axis):
    made = model([node(op, "z x")], {"x": (2, 4, 9, 8), "z": shape})
    imported = from_onnx(made)
    compare(imported, made, {"x": normal(2, 4, 9, 8), "z": normal(*shape, seed=3)})
    last = imported.definition.layer[-1]
    assert last.type == layer
    assert (last.scale_param if layer == "Scale" else last.bias_param).axis in (axis, axis % 4)


def test_a_factor_goes_into_the_reduction():
    nodes = [node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0), node("Mul", "m f")]
    nodes[0] = node("ReduceSum", "x a", "m", keepdims=0)
    imported = check(nodes, types="Reduction", a=np.array([2, 3]), f=np.float32(0.5))
    assert imported.definition.layer[1].reduction_param.coeff == 0.5


@pytest.mark.parametrize("axis", [0, 1, 2, 4, -1])
def test_flatten(axis):
    check(node("Flatten", "x", axis=axis))


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(opset):
    def given(*axes):
        return (" a", {}, {"a": np.array(axes)}) if opset == 13 else ("", {"axes": list(axes)}, {})

    for op, axes in (("Squeeze", [2]), ("Squeeze", [-1, 2]), ("Unsqueeze", [0, 5])):
        inputs, attributes, constants = given(*axes)
        check(node(op, "x" + inputs, **attributes), (3, 4, 1, 1), opset, **constants)
    check(node("Squeeze", "x"), (3, 1, 4, 1), opset)


def test_transpose_where_only_axes_of_one_move():
    check(
        [node("Relu", "x", "r"), node("Transpose", "r", perm=[0, 2, 3, 1])],
        (2, 3, 1, 1),
        types="ReLU Reshape",
    )
    back = [
        node("Relu", "x", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 3, 1]),
        node("Transpose", "t", "u", perm=[0, 3, 1, 2]),
        node("Tanh", "u"),
    ]
    check(back, types="ReLU TanH")
    refused(
        [node("Relu", "x", "r"), node("Transpose", "r", "t", perm=[0, 2, 3, 1]), node("Tanh", "t")],
        "to transpose",
    )


def test_axes_of_one_that_come_and_go_take_no_layers():
    nodes = [
        node("Unsqueeze", "x one", "a"),
        node("Transpose", "a", "b", perm=[1, 0, 2, 3, 4]),
        node("Reshape", "b s", "c"),
        node("Relu", "c"),
    ]
    check(nodes, types="ReLU", one=np.array([1]), s=np.array([2, 4, 9, 8]))


def test_images_with_channels_last_become_channels_first():
    nodes = [
        node("Cast", "x", "f", to=1),
        node("Transpose", "f", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w"),
    ]
    imported = check(nodes, (2, 9, 8, 3), types="Convolution", w=normal(4, 3, 3, 3))
    assert imported.transposed == {"x": (0, 3, 1, 2)}
    assert list(imported.definition.layer[0].input_param.shape[0].dim) == [2, 3, 9, 8]


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceL1", "ReduceSumSquare", "ReduceMax"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(op, keepdims):
    for axes in ([2, 3], [-1], [1, 2, 3]):
        if op == "ReduceMax" and axes != [2, 3]:
            continue
        if op == "ReduceSum":
            check(node(op, "x a", keepdims=keepdims), a=np.array(axes))
        else:
            check(node(op, "x", keepdims=keepdims, axes=axes), opset=13)
    refused(node("ReduceMean", "x", axes=[1]), "last ones", opset=13)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_argmax(keepdims):
    made = model(
        [node("ArgMax", "x", "a", axis=1, keepdims=keepdims), node("Cast", "a", to=1)], {"x": (2, 5, 3)}
    )
    compare(from_onnx(made), made, {"x": normal(2, 5, 3)})


def largest(*after, number=2, **attributes):
    """The largest of an axis, with values v and places i."""
    return [node("TopK", "x number", "v i", **attributes), *after], {"number": np.array([number])}


def test_largest():
    nodes, constants = largest(axis=1)
    check(nodes, outputs="v", types="ArgMax", **constants)
    nodes, constants = largest(node("Cast", "i", to=1), axis=-1, number=3)
    check(nodes, types="ArgMax", **constants)
    # Values and places of one axis are of two layers.
    nodes, constants = largest(node("Cast", "i", to=1), axis=2)
    check(nodes, outputs="v y", types="ArgMax ArgMax", **constants)
    nodes, constants = largest(
        node("Flatten", "v", "f"), node("Flatten", "i", "g"), node("Cast", "g", "h", to=1), axis=1
    )
    nodes.append(node("Add", "f h"))
    check(nodes, types="ArgMax ArgMax Flatten Flatten Eltwise", **constants)


def test_largest_that_caffe_has_not():
    for more, message in (({"largest": 0}, "gives the smallest"), ({"number": 9}, "takes 9 of 8")):
        nodes, constants = largest(**more)
        refused(nodes, message, outputs="v", **constants)
    flat = node("Flatten", "x", "f")
    nodes, constants = largest(axis=1)
    nodes[0].input[0] = "f"
    refused([flat, *nodes], "without their places", outputs="v", **constants)
    backwards = {"s": np.array([-1]), "e": np.array([-(2**62)]), "a": np.array([1]), "t": np.array([-1])}
    nodes, constants = largest(node("Cast", "i", "j", to=1), node("Relu", "j"), axis=1)
    nodes[0].input[0] = "r"
    refused(
        [node("Slice", "x s e a t", "r"), *nodes],
        r"Relu_y \(Relu\): .*from the end",
        **constants,
        **backwards,
    )


def test_places_of_maxima():
    pool = node("MaxPool", "x", "v i", kernel_shape=[3, 3], strides=[2, 2])
    imported = check(pool, outputs="v")
    assert len(imported.definition.layer[1].top) == 1
    nodes = [pool, node("Mod", "i plane", "j"), node("Cast", "j", to=1)]
    imported = check(nodes, outputs="v y", types="Pooling", plane=np.array(72))
    assert len(imported.definition.layer[1].top) == 2
    check([pool, *nodes[1:], node("Relu", "v", "z")], outputs="z y", types="Pooling ReLU", plane=np.array(72))
    refused(nodes, "something else than the 72 of a plane", outputs="v y", plane=np.array(9))
    refused([pool, node("Cast", "i", to=1)], "output 'y': .*over all planes", outputs="v y")
    refused([pool, node("Mod", "x plane", "j")], "rest of a division", outputs="v j", plane=np.float32(2))
    columns = node("MaxPool", "x", "v i", kernel_shape=[3, 3], storage_order=1)
    refused([columns, *nodes[1:]], "in an order", outputs="v y", plane=np.array(72))
    padded = [node("Relu", "x", "r"), node("Pad", "r pads", "p"), *nodes]
    padded[2].input[0] = "p"
    refused(
        padded,
        "a padded image",
        outputs="v y",
        pads=np.array([0, 0, 1, 0, 0, 0, 0, 0]),
        plane=np.array(80),
    )


def test_items_that_are_not_zero():
    made = model(
        [
            node("Cast", "s", "c", to=9),
            node("Compress", "x c", "y", axis=0, name="it/Compress"),
            node("Compress", "z c", "w", axis=0, name="it/Compress_2"),
            node("Compress", "x c", "v", axis=0, name="other"),
        ],
        {"x": (4, 3), "z": (4, 2, 2), "s": (4,)},
        "y w v",
    )
    imported = from_onnx(made)
    assert [layer.type for layer in imported.definition.layer[3:]] == ["Split", "Split", "Filter", "Filter"][
        2:
    ]
    selector = np.float32([0, 1, -2, 0])
    net = compare(imported, made, {"x": normal(4, 3), "z": normal(4, 2, 2), "s": selector})
    assert net.blobs["y"].shape == (2, 3) and net.blobs["w"].shape == (2, 2, 2)


def test_items_that_caffe_chooses_not():
    cast = node("Cast", "x", "c", to=9)
    refused([cast, node("Compress", "x c", axis=1)], "chooses otherwise", shape=(4,))
    refused([cast, node("Compress", "z c", axis=0)], "chooses of", shape=(4,), z=normal(3, 2))
    refused([cast, node("Cast", "c", to=1)], "is not 0", shape=(4,))
    refused(
        [node("Greater", "x z", "c"), node("Compress", "x c", axis=0)], "otherwise", (4,), z=np.float32(0)
    )


def test_expand_and_tile():
    check([node("ReduceMean", "x", "r", axes=[2, 3]), node("Expand", "r s")], s=np.array([2, 4, 3, 2]))
    check(node("Tile", "x r"), types="Tile Tile", r=np.array([1, 2, 1, 3]))


# ---------------------------------------------------------------------- constants and shapes


def test_shapes_computed_as_pytorch_does():
    """x.view(x.size(0), -1): Shape, Gather, Unsqueeze, Concat, Reshape."""
    nodes = [
        node("Relu", "x", "r"),
        node("Shape", "r", "shape"),
        node("Constant", "", "zero", value=onnx.numpy_helper.from_array(np.array(0))),
        node("Gather", "shape zero", "n"),
        node("Unsqueeze", "n axis", "n1"),
        node("Concat", "n1 rest", "wanted", axis=0),
        node("Reshape", "r wanted", "flat"),
        node("Gemm", "flat w"),
    ]
    nodes[2].ClearField("input")
    made = model(nodes, {"x": ("batch", 2, 3, 4)}, axis=np.array([0]), rest=np.array([-1]), w=normal(24, 5))
    imported = from_onnx(made, batch=3)
    compare(imported, made, {"x": normal(3, 2, 3, 4)})
    assert [layer.type for layer in imported.definition.layer] == ["Input", "ReLU", "InnerProduct"]


def test_weights_computed_of_constants():
    nodes = [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("Mul", "t two", "u"),
        node("Reshape", "u s", "v"),
        node("Cast", "half", "b", to=1),
        node("Conv", "x v b"),
    ]
    constants = dict(w=normal(4, 6), two=np.float32(2), s=np.array([6, 4, 1, 1]), half=np.float16(normal(6)))
    check(nodes, types="Convolution", **constants)


@pytest.mark.parametrize(
    "op, value", [("ConstantOfShape", None), ("Expand", None), ("Tile", None), ("Range", None)]
)
def test_constants_that_would_take_all_memory_are_refused(op, value):
    huge = np.array([2**20, 2**20, 2**20])
    nodes = {
        "ConstantOfShape": node("ConstantOfShape", "s", "c"),
        "Expand": node("Expand", "one s", "c"),
        "Tile": node("Tile", "ones s", "c"),
        "Range": node("Range", "a b d", "c"),
    }[op]
    constants = dict(s=huge, one=np.float32(1), ones=np.ones((1, 1, 1), np.float32))
    constants.update(a=np.array(0), b=np.array(2**60), d=np.array(1))
    refused([nodes, node("Add", "x c")], f"{op}.*elements", **constants)


def test_outputs_that_are_read_or_are_inputs_stay_outputs():
    nodes = [
        node("Relu", "x", "r"),
        node("Tanh", "r", "t"),
        node("Identity", "t", "same"),
        node("Identity", "x", "y"),
    ]
    imported = check(nodes, outputs="r t same y")
    assert set(imported.net().outputs) == {"r", "t", "same", "y"}


def test_outputs_keep_their_names_where_layers_have_the_same():
    nodes = [
        node("Relu", "x", "y", name="z"),
        node("Tanh", "y", "t", name="y"),
        node("Abs", "t", "z", name="q"),
    ]
    imported = check(nodes, outputs="z t y")
    assert set(imported.net().outputs) == {"z", "t", "y"}


def test_inputs_that_nothing_reads_are_left_out():
    made = model([node("Relu", "x")], {"x": (1, 2), "z": (3, 4)})
    imported = from_onnx(made)
    net = imported.net()
    assert net.inputs == ["x"] and net.outputs == ["y"]
    assert imported.check(made)[0].largest == 0


def test_what_is_read_by_several_ways_is_not_overwritten():
    flat = [
        node("Conv", "x w", "c"),
        node("Flatten", "c", "f"),
        node("Reshape", "f s", "g"),
        node("Relu", "g", "r"),
    ]
    check(
        [*flat, node("Gemm", "f v", "h"), node("Identity", "r", "y")],
        outputs="y h",
        w=normal(3, 4, 3, 3),
        v=normal(126, 5),
        s=np.array([2, 3, 7, 6]),
    )
    scaled = [
        node("Conv", "x w", "c"),
        node("Mul", "c two", "d"),
        node("Relu", "x", "r"),
        node("Conv", "r w", "e"),
        node("Add", "d e", "f"),
        node("Abs", "d", "g"),
        node("Add", "f g"),
    ]
    signs = np.where(normal(3, 4, 3, 3) >= 0, np.float32(1), np.float32(-1))
    check(scaled, w=signs, two=np.float32(2))


def test_padding_before_same_padding():
    pads = np.array([0, 0, 1, 2, 0, 0, 0, 1])
    check(
        [node("Pad", "x p", "q"), node("Conv", "q w", auto_pad="SAME_UPPER", strides=[2, 2])],
        w=normal(3, 4, 3, 3),
        p=pads,
    )


def test_operators_of_every_version_that_is_known():
    for opset in range(7, onnx.defs.onnx_opset_version() + 1):
        made = model(
            [node("Conv", "x w", "c"), node("Relu", "c")],
            {"x": (1, 2, 4, 4)},
            opset=opset,
            w=normal(2, 2, 3, 3),
        )
        assert [layer.type for layer in from_onnx(made).definition.layer] == ["Input", "Convolution", "ReLU"]


def test_steps_are_quantizers():
    def steps(op="Greater", thresholds=(0, 0.807, 1.345), values=(0, 0.538, 1.076, 1.614)):
        nodes, constants, below = [], {"v0": np.float32(values[0])}, "v0"
        for i, (threshold, value) in enumerate(zip(thresholds, values[1:], strict=True)):
            constants.update({f"t{i}": np.float32(threshold), f"v{i + 1}": np.float32(value)})
            nodes += [node(op, f"x t{i}", f"a{i}"), node("Where", f"a{i} v{i + 1} {below}", f"s{i}")]
            below = f"s{i}"
        nodes[-1].output[0] = "y"
        return nodes, constants

    nodes, constants = steps()
    imported = check(nodes, types="Quant", **constants)
    param = imported.definition.layer[1].quant_param
    assert [str(value) for value in np.float32(param.centers)] == ["0.538", "1.076", "1.614"]
    assert param.clip_thr == np.float32(1.614)
    nodes, constants = steps("GreaterOrEqual", [0], [-1, 1])
    assert check(nodes, types="Quant", **constants).definition.layer[1].quant_param.forward_func == "sign"
    nodes, constants = steps("Greater", [0.5], [2, 3])
    check(nodes, types="Threshold Power", **constants)
    nodes, constants = steps(thresholds=(0, 0.7, 1.345))
    refused(nodes, "middles", **constants)
    check([node("Greater", "x t", "a"), node("Cast", "a", to=1)], types="Threshold", t=np.float32(0.25))


def test_steps_from_above_and_by_other_comparisons():
    constants = {f"v{i}": value for i, value in enumerate(np.float32([0, 0.538, 1.076, 1.614]))}
    constants.update({f"t{i}": value for i, value in enumerate(np.float32([0, 0.807, 1.345]))})
    nodes, above = [], "v3"
    for i in (2, 1, 0):
        nodes += [node("LessOrEqual", f"x t{i}", f"a{i}"), node("Where", f"a{i} v{i} {above}", f"s{i}")]
        above = f"s{i}"
    nodes += [node("IsNaN", "x", "n"), node("Where", "n x s0")]
    check(nodes, types="Quant", **constants)
    nodes[0] = node("Greater", "x t2", "g")
    nodes.insert(1, node("Not", "g", "a2"))
    check(nodes, types="Quant", **constants)
    sign = [node("Less", "x v0", "a0"), node("Where", "a0 m p")]
    layer = check(sign, types="Quant", m=np.float32(-1), p=np.float32(1), **constants).definition.layer[1]
    assert layer.quant_param.forward_func == "sign"
    check([node("Less", "x v1", "a"), node("Cast", "a", to=1)], types="Threshold Power", **constants)


def test_low_precision_that_caffe_has_not():
    scale = dict(s=np.float32(0.1), z=np.uint8(0), b=np.float32(2), o=np.float32(0))
    refused(
        [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z")],
        "QuantizeLinear.*before it",
        **scale,
    )
    made = model([node("Quant", "x s o b", domain=QONNX)], {"x": (1, 2)}, domains=[QONNX], **scale)
    with pytest.raises(ValueError, match="Quant.*nearest code"):
        from_onnx(made)


COMBINATIONS = list(itertools.product(["Relu", "Sigmoid", "Clip"], ["Conv", "MaxPool", "Concat", "Add"]))


@pytest.mark.parametrize("function, producer", COMBINATIONS)
def test_layers_overwrite_only_what_nothing_else_reads(function, producer):
    """The gradient of what is imported is that of its definition, in place or not."""
    produce = {
        "Conv": [node("Conv", "x w", "a")],
        "MaxPool": [node("MaxPool", "x", "a", kernel_shape=[2, 2])],
        "Concat": [node("Concat", "x x", "a", axis=1)],
        "Add": [node("Add", "x x", "a")],
    }[producer]
    limits = {"Clip": " low high"}.get(function, "")
    nodes = [*produce, node(function, "a" + limits, "f"), node("Relu", "f", "g"), node("Add", "g f")]
    check(nodes, w=normal(3, 4, 3, 3), low=np.float32(-0.5), high=np.float32(0.5))
