"""A network as ONNX, in float32 and statically quantized to int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from .network import Network, Operation

BATCH = "batch"


def build(network: Network) -> onnx.ModelProto:
    """The network in float32; the size of the batch is the free dimension BATCH."""
    graph = _Graph()
    shapes = network.shapes()
    for operation in network.operations:
        graph.add(operation, shapes)
    first = helper.make_tensor_value_info(network.input, onnx.TensorProto.FLOAT, [BATCH, *network.shape])
    last_shape = [BATCH, *shapes[network.output]]
    last = helper.make_tensor_value_info(network.output, onnx.TensorProto.FLOAT, last_shape)
    made = helper.make_graph(graph.nodes, network.name, [first], [last], graph.initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Collects nodes and initializers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, operation: Operation, shapes: dict[str, tuple[int, ...]]) -> None:
        """Adds an operation's nodes."""
        inputs = list(operation.inputs)
        if operation.kind == "dense" and len(shapes[inputs[0]]) > 1:
            inputs = [self.node("Flatten", inputs, f"{operation.output}/flat", axis=1)]
        result = operation.output
        if "relu" in operation.attributes:
            result += "/linear"
        getattr(self, f"add_{operation.kind}")(operation, inputs, result, shapes)
        if "relu" in operation.attributes:
            self.node("Relu", [result], operation.output)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Adds a node and returns its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        """Adds an initializer and returns its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def add_conv(self, operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        attributes = operation.attributes
        self.node(
            "Conv",
            [
                *inputs,
                self.constant(f"{result}/weight", operation.arrays["weight"]),
                self.constant(f"{result}/bias", operation.arrays["bias"]),
            ],
            result,
            kernel_shape=attributes["kernel"],
            strides=attributes["stride"],
            pads=attributes["pad"] * 2,
            dilations=attributes["dilation"],
            group=attributes["group"][0],
        )

    def add_dense(self, operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        weight = self.constant(f"{result}/weight", operation.arrays["weight"])
        bias = self.constant(f"{result}/bias", operation.arrays["bias"])
        self.node("Gemm", [*inputs, weight, bias], result, transB=1)

    def add_affine(self, operation: Operation, inputs: list[str], result: str, shapes: dict) -> None:
        scale, shift = operation.arrays["scale"], operation.arrays["shift"]
        names = ("scale", "shift", "mean", "variance")
        values = (scale, shift, np.zeros_like(scale), np.ones_like(scale))
        constants = [self.constant(f"{result}/{n}", v) for n, v in zip(names, values, strict=True)]
        self.node("BatchNormalization", [*inputs, *constants], result, epsilon=0.0)

    def add_pool(self, kind: str, operation: Operation, inputs: list[str], result: str, **more: int) -> None:
        attributes = operation.attributes
        self.node(
            kind,
            inputs,
            result,
            kernel_shape=attributes["kernel"],
            strides=attributes["stride"],
            pads=attributes["pad"] * 2,
            ceil_mode=1,
            **more,
        )

    def add_maxpool(self, operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        self.add_pool("MaxPool", operation, inputs, result)

    def add_avgpool(self, operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        self.add_pool("AveragePool", operation, inputs, result, count_include_pad=1)

    def add_relu(self, _operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        self.node("Relu", inputs, result)

    def add_add(self, _operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        self.node("Add", inputs, result)

    def add_concat(self, _operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        self.node("Concat", inputs, result, axis=1)

    def add_softmax(self, _operation: Operation, inputs: list[str], result: str, _shapes: dict) -> None:
        self.node("Softmax", inputs, result, axis=1)


class _Images(CalibrationDataReader):
    def __init__(self, name: str, images: np.ndarray) -> None:
        self.batches = iter([{name: image[None]} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def quantize(
    source: Path, target: Path, network: Network, images: np.ndarray, signed: bool, narrow: bool
) -> None:
    """Writes a model's static int8 form: QDQ, weights by channel, scales from some images; softmax in float.

    Args:
        signed: activations are int8, not uint8.
        narrow: weights are of 7 bits, for processors whose 8-bit products saturate.
    """
    quantize_static(
        str(source),
        str(target),
        _Images(network.input, images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=narrow,
        nodes_to_exclude=[node.output for node in network.operations if node.kind == "softmax"],
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
