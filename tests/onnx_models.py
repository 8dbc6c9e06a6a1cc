"""Runs exported models beside the nets that they were made of."""

import numpy as np
import onnx
import onnxruntime
import pytest
from one_layer import make

from caffe.export import to_onnx


def checked(model):
    """The model, which is valid, and whose shapes agree."""
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    return model


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def run(model, inputs):
    """Outputs by name."""
    ready = session(model)
    feeds = {value.name: inputs[value.name] for value in ready.get_inputs()}
    return dict(zip([value.name for value in ready.get_outputs()], ready.run(None, feeds), strict=True))


def run_qonnx(model, inputs):
    """All tensors by name, as the package qonnx computes them."""
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    wrapper = ModelWrapper(model).transform(InferShapes()).transform(InferDataTypes())
    assert wrapper.check_all_tensor_shapes_specified()
    return execute_onnx(wrapper, inputs, return_full_exec_context=True), wrapper


def tensors(model, names, inputs):
    """Some tensors within a model that ONNX Runtime runs."""
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    known = {value.name for value in extended.graph.output}
    extended.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in known
    )
    return run(extended, inputs)


def run_net(net, inputs):
    """All of the net's blobs by name, for inputs of any batch."""
    for name, values in inputs.items():
        net.blobs[name].reshape(*values.shape)
    net.reshape()
    for name, values in inputs.items():
        net.blobs[name].data[...] = values
    net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


def close(actual, expected, what, tolerance=1e-4):
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} is not {expected.shape}"
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * largest, err_msg=what)


def compare(net, inputs, tolerance=1e-4, **options):
    """Exports a net and compares all outputs; returns the model."""
    model = checked(to_onnx(net, **options))
    expected = run_net(net, inputs)
    found = run(model, inputs)
    assert set(found) == set(net.outputs)
    for name, values in found.items():
        close(values, expected[name], name, tolerance)
    return model


def is_free(model):
    """Whether the first input's first axis is open."""
    return bool(model.graph.input[0].type.tensor_type.shape.dim[0].dim_param)


def net_of(*layers, phase=1):
    return make("\n".join(layers), phase)


def input_layer(name, *shape):
    dims = " ".join(f"dim: {side}" for side in shape)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}'


def operators(model):
    return [node.op_type for node in model.graph.node]
