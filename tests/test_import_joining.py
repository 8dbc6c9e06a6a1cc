"""Layers that ONNX has in several nodes come back as the layers that they were."""

import numpy as np
import pytest
from onnx_graphs import compare, model, node, normal

from caffe.importer import from_onnx
from caffe.proto import caffe_pb2

pytest.importorskip("onnx")

from onnx_models import input_layer, net_of, run_net  # noqa: E402

from caffe.export import to_onnx  # noqa: E402

SHAPE = (3, 4, 5, 6)


def there_and_back(body, opset=17):
    """A net of one layer, and the layers that it comes back as, with a ReLU behind."""
    net = net_of(
        input_layer("x", *SHAPE),
        f'layer {{ name: "it" bottom: "x" top: "it" {body} }}',
        'layer { name: "relu" type: "ReLU" bottom: "it" top: "y" }',
    )
    imported = from_onnx(to_onnx(net, opset=opset))
    x = {"x": np.abs(normal(*SHAPE)) + np.float32(0.1)}
    expected, found = run_net(net, x)["y"], run_net(imported.net(), x)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    return net, imported.definition.layer[1:]


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize(
    "body",
    [
        'type: "MVN" mvn_param { eps: 0.001 }',
        'type: "MVN" mvn_param { across_channels: true eps: 0.001 }',
        'type: "MVN" mvn_param { normalize_variance: false }',
        'type: "MVN" mvn_param { normalize_variance: false across_channels: true }',
        'type: "BatchNorm" batch_norm_param { use_global_stats: false eps: 0.001 }',
        'type: "LRN" lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 5e-05 beta: 0.75 }',
        'type: "LRN" lrn_param { norm_region: WITHIN_CHANNEL local_size: 5 alpha: 1 beta: 0.5 }',
        'type: "Power" power_param { power: 3 scale: 2 shift: 0.5 }',
        'type: "Power" power_param { power: 2 shift: 0.5 }',
        'type: "Exp" exp_param { scale: 0.5 shift: -0.25 }',
        'type: "Log" log_param { base: 2 scale: 0.5 shift: 3 }',
        'type: "Log" log_param { base: 10 }',
    ],
)
def test_layers_come_back(body, opset):
    net, layers = there_and_back(body, opset)
    assert [layer.type for layer in layers] == [net.layer_dict["it"].type, "ReLU"]
    assert layers[0].name == "it"
    expected = caffe_pb2.LayerParameter.FromString(net.layer_dict["it"].layer_param.SerializeToString())
    for field, param in layers[0].ListFields():
        if field.name.endswith("_param"):
            wanted = getattr(expected, field.name)
            for part, value in param.ListFields():
                assert getattr(wanted, part.name) == value, part.name


def test_another_base_of_a_power_is_the_same_function():
    _, layers = there_and_back('type: "Exp" exp_param { base: 2 scale: 0.5 shift: 1 }')
    assert [layer.type for layer in layers] == ["Exp", "ReLU"]


def normalization(axes, square=("Mul", "c c"), inside=True):
    """What frameworks write for a normalization of x over some axes."""
    nodes = [
        node("ReduceMean", "x", "m", axes=axes),
        node("Sub", "x m", "c"),
        node(*square, "s"),
        node("ReduceMean", "s", "v", axes=axes),
    ]
    if inside:
        nodes += [node("Add", "v eps", "w"), node("Sqrt", "w", "d")]
    else:
        nodes += [node("Sqrt", "v", "w"), node("Add", "eps w", "d")]
    return [*nodes, node("Div", "c d")]


def imported(nodes, outputs="y", shape=SHAPE, **constants):
    made = model(nodes, {"x": shape}, outputs, eps=np.float32(0.01), two=np.float32(2), **constants)
    net = from_onnx(made)
    compare(net, made, {"x": normal(*shape)})
    return [layer.type for layer in net.definition.layer[1:]]


def test_what_other_frameworks_write():
    assert imported(normalization([-4, -2, -1], ("Pow", "c two"))) == ["BatchNorm"]
    assert imported(normalization([3, 2], inside=False)) == ["MVN"]
    assert imported(normalization([-1, 1, 2], inside=False)) == ["MVN"]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        # With the number added elsewhere than Caffe adds it.
        (normalization([2, 3]), "y"),
        # Read by something else, too.
        (normalization([2, 3], inside=False), "y c"),
        ([*normalization([2, 3], inside=False), node("Exp", "d", "z")], "y z"),
        # Means of other axes than those that are subtracted.
        ([*normalization([2, 3], inside=False)[:3], node("ReduceMean", "s", "y", axes=[1, 2, 3])], "y"),
    ],
)
def test_other_nodes_are_read_one_by_one(nodes, outputs):
    assert imported(nodes, outputs)[-1] != "MVN"


def test_damaged_nodes_are_named():
    broken = normalization([2, 3])
    del broken[2].input[1:]
    with pytest.raises(ValueError, match="Mul_s"):
        from_onnx(model(broken, {"x": SHAPE}, eps=np.float32(0.01)))


@pytest.mark.parametrize("bias", ["true", "false"])
def test_rows_that_are_looked_up(bias):
    net = net_of(
        input_layer("x", 3, 4),
        'layer { name: "it" type: "Embed" bottom: "x" top: "it" embed_param { input_dim: 7 num_output: 5 '
        f'bias_term: {bias} weight_filler {{ type: "gaussian" }} bias_filler {{ type: "gaussian" }} }} }}',
    )
    made = to_onnx(net)
    imported = from_onnx(made)
    assert [layer.type for layer in imported.definition.layer] == ["Input", "Embed"]
    for blob, values in zip(net.params["it"], imported.parameters["it"], strict=True):
        np.testing.assert_array_equal(values, blob.data)
    assert imported.check(made)[0].largest == 0


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2), (3,)])
def test_rows_that_are_looked_up_in_another_shape(shape):
    made = model(
        [node("Reshape", "x shape", "i"), node("Cast", "i", "j", to=7), node("Gather", "rows j")],
        {"x": shape},
        shape=np.array([3, 4] if len(shape) == 2 else [-1]),
        rows=normal(7, 5),
    )
    flat = {2: [], 3: ["Reshape"], 1: []}[len(shape)]
    imported = from_onnx(made)
    assert [layer.type for layer in imported.definition.layer] == ["Input", *flat, "Embed"]
    assert imported.check(made)[0].largest == 0


@pytest.mark.parametrize("layer", ["Flatten", "Reshape"])
def test_rows_that_are_looked_up_behind_another_layer(layer):
    setting = "reshape_param { shape { dim: -1 } }" if layer == "Reshape" else ""
    net = net_of(
        input_layer("x", 3, 2, 2),
        f'layer {{ name: "flat" type: "{layer}" bottom: "x" top: "flat" {setting} }}',
        'layer { name: "it" type: "Embed" bottom: "flat" top: "it" embed_param { input_dim: 7 num_output: 5 '
        'weight_filler { type: "gaussian" } } }',
    )
    made = to_onnx(net)
    imported = from_onnx(made)
    assert [layer.type for layer in imported.definition.layer] == ["Input", layer, "Embed"]
    assert imported.check(made)[0].largest == 0


def test_items_that_are_chosen():
    net = net_of(
        input_layer("x", 3, 4),
        input_layer("i", 5),
        'layer { name: "it" type: "BatchReindex" bottom: "x" bottom: "i" top: "it" }',
    )
    made = to_onnx(net)
    imported = from_onnx(made)
    assert [layer.type for layer in imported.definition.layer] == ["Input", "Input", "BatchReindex"]
    assert imported.check(made)[0].largest == 0


def test_integers_that_are_no_indices_are_refused():
    nodes = [node("Cast", "x", "i", to=7), node("Add", "i i", "j"), node("Cast", "j", to=1)]
    with pytest.raises(ValueError, match="Add_j.*integers"):
        from_onnx(model(nodes, {"x": SHAPE}))
