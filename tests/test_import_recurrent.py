"""Layers that carry a state from step to step: the Scan that they are exported as, and ONNX's operators."""

import itertools

import numpy as np
import pytest
from onnx_graphs import TensorProto, compare, helper, model, node, normal, onnx

from caffe.importer import from_onnx
from caffe.proto import caffe_pb2

pytest.importorskip("onnx")

from onnx_models import input_layer, net_of, run_net  # noqa: E402

from caffe.export import to_onnx  # noqa: E402

STEPS, ITEMS, OUTPUTS = 5, 3, 4
STATES = {"LSTM": 2, "RNN": 1}


def recurrent_net(layer_type, sides=(6,), static=None, exposed=False, items=ITEMS):
    """A net of one such layer."""
    states = [f"first{i}" for i in range(STATES[layer_type])] if exposed else []
    inputs = {"x": (STEPS, items, *sides), "cont": (STEPS, items)}
    if static is not None:
        inputs["static"] = (items, *static)
    inputs |= {name: (1, items, OUTPUTS) for name in states}
    bottoms = " ".join(f'bottom: "{name}"' for name in inputs)
    tops = " ".join(f'top: "{name}"' for name in ["y", *(f"last{i}" for i in range(len(states)))])
    filler = 'type: "uniform" min: -0.8 max: 0.8'
    setting = f"weight_filler {{ {filler} }} bias_filler {{ {filler} }} expose_hidden: {str(exposed).lower()}"
    return net_of(
        *(input_layer(name, *shape) for name, shape in inputs.items()),
        f'layer {{ name: "it" type: "{layer_type}" {bottoms} {tops} '
        f"recurrent_param {{ num_output: {OUTPUTS} {setting} }} }}",
    )


def inputs_of(net):
    values = {name: normal(*net.blobs[name].shape, seed=i) for i, name in enumerate(net.inputs)}
    values["cont"] = np.float32(values["cont"] > -0.5)
    return values


def same_net(net, imported):
    """The layers, their blobs, parameters and outputs are those of the net."""
    again = imported.net()
    assert [layer.type for layer in again.layers] == [layer.type for layer in net.layers]
    assert list(again.inputs) == list(net.inputs) and again.outputs == net.outputs
    layer, wanted = (
        caffe_pb2.LayerParameter.FromString(it.layer_dict["it"].layer_param.SerializeToString())
        for it in (again, net)
    )
    assert (layer.bottom, layer.top) == (wanted.bottom, wanted.top)
    for blob, other in zip(net.params["it"], again.params["it"], strict=True):
        np.testing.assert_array_equal(other.data, blob.data)
    inputs = inputs_of(net)
    # The state goes on from run to run where it is no input.
    for _ in range(2):
        expected, found = run_net(net, inputs), run_net(again, inputs)
        for output in net.outputs:
            np.testing.assert_allclose(found[output], expected[output], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer_type", STATES)
@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("sides", [(6,), (2, 3), (1, 1)])
@pytest.mark.parametrize("static", [None, (2,), (2, 2)])
def test_exported_layers_come_back(layer_type, sides, static, exposed):
    net = recurrent_net(layer_type, sides, static, exposed)
    same_net(net, from_onnx(to_onnx(net)))


@pytest.mark.parametrize("layer_type", STATES)
@pytest.mark.parametrize("opset", [13, 18, 21])
def test_exported_layers_of_one_item_come_back_from_all_opsets(layer_type, opset):
    for exposed, static in itertools.product([False, True], [None, (2, 2)]):
        net = recurrent_net(layer_type, (2, 3), static, exposed, items=1)
        same_net(net, from_onnx(to_onnx(net, opset=opset)))


def test_last_states_that_nothing_reads_are_dropped():
    net = recurrent_net("LSTM", exposed=True)
    made = to_onnx(net)
    del made.graph.output[1:]
    again = from_onnx(made).net()
    inputs = inputs_of(net)
    np.testing.assert_allclose(run_net(again, inputs)["y"], run_net(net, inputs)["y"], rtol=1e-5, atol=1e-6)
    assert again.outputs == ["y"]


def changed(change, layer_type="LSTM", **options):
    """An exported model in which something is changed."""
    made = to_onnx(recurrent_net(layer_type, **options))
    scan = next(item for item in made.graph.node if item.op_type == "Scan")
    change(made.graph, scan, next(it.g for it in scan.attribute if it.name == "body"))
    return made


def in_body(op, **attributes):
    """Makes the first node of a kind in the body another one."""

    def change(graph, scan, body):
        found = next(item for item in body.node if item.op_type == op)
        found.op_type = attributes.pop("to", op)
        found.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())

    return change


def swapped_gates(graph, scan, body):
    split = next(item for item in body.node if item.op_type == "Split")
    split.output[:] = [split.output[i] for i in (1, 0, 2, 3)]


def swapped_states(graph, scan, body):
    body.output[0].name, body.output[1].name = body.output[1].name, body.output[0].name


def backwards(graph, scan, body):
    scan.attribute.append(helper.make_attribute("scan_input_directions", [1, 1]))


def read_by_another(graph, scan, body):
    graph.output.append(helper.make_tensor_value_info(scan.input[2], TensorProto.FLOAT, None))


def without_bias(graph, scan, body):
    product, sum_ = (next(item for item in graph.node if item.op_type == op) for op in ("MatMul", "Add"))
    product.output[0] = sum_.output[0]
    graph.node.remove(sum_)


def other_axis(graph, scan, body):
    body.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.array([0]), body.initializer[0].name))


def other_cell(graph, scan, body):
    # The old cell, and not the output, goes through the forget gate.
    names = {body.input[0].name: body.input[1].name, body.input[1].name: body.input[0].name}
    for item in body.node:
        item.input[:] = [names.get(name, name) for name in item.input]


@pytest.mark.parametrize(
    "change",
    [
        in_body("Tanh", to="Sigmoid"),
        in_body("Mul", to="Add"),
        in_body("Split", axis=0),
        swapped_gates,
        swapped_states,
        backwards,
        read_by_another,
        without_bias,
        other_axis,
        other_cell,
    ],
)
def test_other_scans_are_named(change):
    with pytest.raises(
        ValueError, match=r"cannot express 1 of its nodes: node it/Scan \(Scan\): Caffe's layers"
    ):
        from_onnx(changed(change))


def test_scans_of_other_shapes_are_named():
    def long_static(graph, scan, body):
        # What is added at all steps is of each step.
        graph.input[2].type.tensor_type.shape.CopyFrom(graph.input[0].type.tensor_type.shape)
        reshape = next(item for item in graph.node if item.op_type == "Reshape")
        reshape.op_type, reshape.input[1:] = "Identity", []

    made = changed(long_static, sides=(2,), static=(2, 1))
    with pytest.raises(ValueError, match=r"node it/Scan \(Scan\): it goes through \[5, 3, 2\], and \[3, 2\]"):
        from_onnx(made)


def test_graphs_with_inputs_inside_nodes_are_named():
    """They are no damage, whether they are those of a Scan or of a Loop."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Add", "s e", "t"), node("Identity", "t", "o"), node("Identity", "go", "on")],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("s", TensorProto.FLOAT, [2]),
        ],
        [value("on", TensorProto.BOOL, []), value("o", TensorProto.FLOAT, [2])],
    )
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], name="loop", body=body)
    made = model([node("Relu", "x", "e"), loop], {"x": [2]}, count=np.array(3))
    with pytest.raises(
        ValueError, match=r"cannot express 1 of its nodes: node loop \(Loop\): Caffe has no layer"
    ):
        from_onnx(made)
    body.node[0].input[0] = "absent"
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], name="loop", body=body)
    made = model([node("Relu", "x", "e"), loop], {"x": [2]}, count=np.array(3))
    with pytest.raises(ValueError, match="reads 'absent', which nothing before it makes"):
        from_onnx(made)


# ---------------------------------------------------------------------- ONNX's operators

WIDTH = 6


def operator(op, outputs="y", states=(), initial=(), bias=True, lengths=None, items=ITEMS, **attributes):
    """A model of one node of ONNX's LSTM or RNN.

    Args:
        states: inputs that are first states.
        initial: which of them are constant instead, with their values.
    """
    gates = {"LSTM": 4, "RNN": 1}[op]
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = gates * OUTPUTS
    constants = {
        "w": normal(directions, rows, WIDTH, seed=1) * np.float32(0.5),
        "r": normal(directions, rows, OUTPUTS, seed=2) * np.float32(0.5),
    }
    if bias:
        constants["b"] = normal(directions, 2 * rows, seed=3)
    if lengths is not None:
        constants["n"] = np.int32(lengths)
    constants.update(initial)
    names = [*"xwr", "b" if bias else "", "n" if lengths is not None else ""]
    names += [name if name in states or name in initial else "" for name in ("h", "c")[: STATES[op]]]
    inputs = {"x": (STEPS, items, WIDTH), **{name: (1, items, OUTPUTS) for name in states}}
    made = helper.make_node(op, names, outputs.split(" "), name="it", hidden_size=OUTPUTS, **attributes)
    return model([made], inputs, " ".join(filter(None, outputs.split(" "))), **constants)


def same_results(made):
    """The net of a model gives its outputs, in one run after another; returns the net."""
    imported = from_onnx(made)
    inputs = {
        value.name: normal(*(dim.dim_value for dim in value.type.tensor_type.shape.dim), seed=7 + i)
        for i, value in enumerate(made.graph.input)
    }
    net = compare(imported, made, inputs)
    first = {name: net.blobs[name].data.copy() for name in net.outputs}
    for name, values in run_net(net, inputs).items():
        if name in first:
            np.testing.assert_array_equal(values, first[name])
    return net


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"lengths": [STEPS] * ITEMS},
        {"outputs": "y h1"},
        {"outputs": "y h1 c1"},
        {"outputs": " h1"},
        {"outputs": "  c1"},
        {"states": ["h", "c"]},
        {"states": ["c"]},
        {"states": ["h"], "outputs": "y h1 c1"},
        {"initial": {"h": normal(1, ITEMS, OUTPUTS), "c": normal(1, ITEMS, OUTPUTS)}},
        {"initial": {"h": np.zeros((1, ITEMS, OUTPUTS), np.float32)}},
        {"activations": ["Sigmoid", "Tanh", "Tanh"]},
        {"items": 1, "states": ["h", "c"], "outputs": "y h1 c1"},
    ],
)
def test_lstm(options):
    net = same_results(operator("LSTM", **options))
    assert [layer.type for layer in net.layers if layer.blobs and layer.type != "Parameter"] == ["LSTM"]
    assert "it" in net.layer_dict


@pytest.mark.parametrize(
    "options", [{}, {"states": ["h"]}, {"bias": False}, {"initial": {"h": normal(1, ITEMS, OUTPUTS)}}]
)
def test_last_state_of_rnn(options):
    net = same_results(operator("RNN", outputs=" h1", **options))
    assert net.layer_dict["it"].type == "RNN"


@pytest.mark.parametrize(
    "op, message, options",
    [
        ("RNN", "it gives out its states at all steps; Caffe's RNN gives out a function of them", {}),
        ("RNN", "its functions are .*'Relu'.*; Caffe's are .*'Tanh'", {"activations": ["Relu"]}),
        ("LSTM", "its functions are", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
        ("LSTM", "its direction is 'reverse'; Caffe's goes forward", {"direction": "reverse"}),
        ("LSTM", "its direction is 'bidirectional'", {"direction": "bidirectional"}),
        ("LSTM", "it clips", {"clip": 1.0}),
        ("LSTM", "its items come before its steps", {"layout": 1}),
        ("LSTM", "coupled", {"input_forget": 1}),
        ("LSTM", "not all known to have as many steps", {"lengths": [STEPS, 1, 2]}),
        ("LSTM", "its first state is of shape", {"initial": {"h": normal(1, 1, OUTPUTS)}}),
        ("LSTM", "its weights are of shape", {"initial": {"w": normal(1, 4, WIDTH)}}),
        ("LSTM", "its biases are of shape", {"initial": {"b": normal(1, 4)}}),
    ],
)
def test_other_recurrent_operators_are_named(op, message, options):
    with pytest.raises(ValueError, match=rf"node it \({op}\): .*{message}"):
        from_onnx(operator(op, **options))


def test_peepholes_are_named():
    made = operator("LSTM", states=["h", "c"])
    made.graph.node[0].input.append("p")
    made.graph.initializer.append(onnx.numpy_helper.from_array(normal(1, 3 * OUTPUTS), "p"))
    with pytest.raises(ValueError, match=r"node it \(LSTM\): it has peepholes"):
        from_onnx(made)


def test_classifier_of_sequences():
    """As PyTorch exports it: the states behind, and a product with the last output."""
    nodes = [
        *operator("LSTM", outputs="all h1 c1").graph.node,
        node("Squeeze", "all one", "s"),
        node("Gather", "s last", "t", axis=0),
        node("Gemm", "t fc.weight", "y", transB=1),
    ]
    weights = {it.name: onnx.numpy_helper.to_array(it) for it in operator("LSTM").graph.initializer}
    weights |= {"one": np.array([1]), "last": np.array(-1), "fc.weight": normal(2, OUTPUTS)}
    made = model(nodes, {"x": (STEPS, ITEMS, WIDTH)}, **weights)
    net = same_results(made)
    assert net.layer_dict["fc"].type == "InnerProduct"
