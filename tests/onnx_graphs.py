"""Small ONNX models for tests, and what ONNX Runtime makes of them."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

QONNX = "qonnx.custom_op.general"


def normal(*shape, seed=0):
    return np.float32(np.random.RandomState(seed).randn(*shape))


def node(op, inputs, outputs="y", **attributes):
    """A node; inputs and outputs are names, separated by spaces."""
    outputs = outputs.split()
    return helper.make_node(
        op, inputs.split(), outputs, name=attributes.pop("name", f"{op}_{outputs[0]}"), **attributes
    )


def model(nodes, inputs, outputs="y", opset=17, domains=(), **constants):
    """A model of float inputs, {"x": shape}; sizes may be names."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    made = helper.make_model(graph, opset_imports=imports)
    made.ir_version = min(made.ir_version, 10)
    return made


def run(made, **inputs):
    """The outputs, by ONNX Runtime, by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def compare(imported, made, inputs, tolerance=1e-4):
    """Runs both on the same inputs; returns the net."""
    expected = run(made, **inputs)
    net = imported.net()
    feeds = {
        name: values.transpose(imported.transposed.get(name, range(values.ndim)))
        for name, values in inputs.items()
    }
    found = net.forward(**{name: feeds[name] for name in net.inputs})
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        largest = np.abs(values).max(initial=0)
        np.testing.assert_allclose(
            found[name], values, rtol=tolerance, atol=tolerance * (largest + 1e-3), err_msg=name
        )
    return net
