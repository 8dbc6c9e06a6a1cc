"""A network as a TensorFlow Lite file, in float32 or in int8.

It is written with the schema that LiteRT brings along: no converter is needed. Input and output are float32
in both, the input as N x H x W x C.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from .network import Network, Operation

Range = tuple[float, float]
OPERATORS = schema.BuiltinOperator
RELU, LINEAR = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.NONE

#: The versions of operators that take int8, by channel where they have weights; 2 of those not named.
VERSIONS = {
    OPERATORS.CONV_2D: 5,
    OPERATORS.DEPTHWISE_CONV_2D: 5,
    OPERATORS.FULLY_CONNECTED: 5,
    OPERATORS.RESHAPE: 1,
    OPERATORS.QUANTIZE: 1,
}


def build(network: Network, ranges: Mapping[str, Range] | None = None) -> bytes:
    """The file's bytes: int8 where the ranges of all blobs are given; for one image until it is resized."""
    return _Writer(network, ranges).file()


def measured_ranges(network: Network, images: np.ndarray) -> dict[str, Range]:
    """The least and the largest value of each blob for some images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this takes memory
        interpreter = Interpreter(model_content=build(network), experimental_preserve_all_tensors=True)
    index = interpreter.get_input_details()[0]["index"]
    images = images.transpose(0, 2, 3, 1)
    interpreter.resize_tensor_input(index, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, images)
    interpreter.invoke()
    blobs = {network.input, *(operation.output for operation in network.operations)}
    result = {}
    for detail in interpreter.get_tensor_details():
        if detail["name"] in blobs:
            values = interpreter.get_tensor(detail["index"])
            result[detail["name"]] = (float(values.min()), float(values.max()))
    return result


class _Writer:
    def __init__(self, network: Network, ranges: Mapping[str, Range] | None) -> None:
        self.network, self.ranges = network, ranges
        self.shapes = network.shapes()
        self.buffers = [schema.BufferT()]
        self.tensors: list[schema.TensorT] = []
        self.operators: list[schema.OperatorT] = []
        self.codes: list[int] = []
        self.blobs: dict[str, int] = {}
        self.scales: dict[str, tuple[float, int]] = {}

    def file(self) -> bytes:
        network = self.network
        first = self.float_tensor(network.input, self.shapes[network.input])
        self.blobs[network.input] = first
        if self.ranges is not None:
            self.blobs[network.input] = self.blob(f"{network.input}/int8", network.input)
            options = schema.QuantizeOptionsT()
            self.operator(OPERATORS.QUANTIZE, [first], self.blobs[network.input], options)
        for operation in network.operations:
            getattr(self, f"add_{operation.kind}")(operation)
        last = self.as_float(network.output)

        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = network.name, self.tensors, self.operators
        graph.inputs, graph.outputs = [first], [last]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = [self.code(code) for code in self.codes]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def code(number: int) -> Any:
        result = schema.OperatorCodeT()
        result.builtinCode, result.deprecatedBuiltinCode = number, min(number, 127)
        result.version = VERSIONS.get(number, 2)
        return result

    def operator(self, code: int, inputs: Sequence[int], output: int, options: Any = None) -> None:
        """Adds an operator; the type of its options follows from their class."""
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes.index(code), list(inputs), [output]
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            made.builtinOptions = options
        self.operators.append(made)

    def tensor(self, name: str, shape: Sequence[int], kind: int, data: np.ndarray | None = None) -> int:
        """Adds a tensor, a constant where there is data."""
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), kind, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            made.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def quantized(self, tensor: int, scales: Sequence[float], zero_point: int = 0, dimension: int = 0) -> int:
        """Gives a tensor its scales."""
        parameters = schema.QuantizationParametersT()
        parameters.scale = np.asarray(scales, np.float32)
        parameters.zeroPoint = np.full(len(scales), zero_point, np.int64)
        parameters.quantizedDimension = dimension
        self.tensors[tensor].quantization = parameters
        return tensor

    @staticmethod
    def nhwc(shape: Sequence[int]) -> list[int]:
        return [1, *shape[1:], shape[0]]

    def float_tensor(self, name: str, shape: Sequence[int]) -> int:
        return self.tensor(name, self.nhwc(shape), schema.TensorType.FLOAT32)

    def blob(self, name: str, like: str, scale_of: str | None = None) -> int:
        """A tensor as the blob `like`; its int8 scale is that of another blob where one is named."""
        shape = self.shapes[like]
        if self.ranges is None:
            return self.float_tensor(name, shape)
        if scale_of is not None:
            self.scales[like] = self.scales[scale_of]
        else:
            low, high = min(self.ranges[like][0], 0.0), max(self.ranges[like][1], 0.0)
            scale = max(high - low, 1e-6) / 255
            self.scales[like] = (scale, int(round(-128 - low / scale)))
        scale, zero_point = self.scales[like]
        return self.quantized(
            self.tensor(name, self.nhwc(shape), schema.TensorType.INT8), [scale], zero_point
        )

    def output(self, operation: Operation, scale_of: str | None = None) -> int:
        self.blobs[operation.output] = self.blob(operation.output, operation.output, scale_of)
        return self.blobs[operation.output]

    def as_float(self, blob: str) -> int:
        tensor = self.blobs[blob]
        if self.tensors[tensor].type == schema.TensorType.FLOAT32:
            return tensor
        result = self.float_tensor(f"{blob}/float", self.shapes[blob])
        self.operator(OPERATORS.DEQUANTIZE, [tensor], result, schema.DequantizeOptionsT())
        return result

    def weights(
        self, operation: Operation, weight: np.ndarray, bias: np.ndarray, dimension: int
    ) -> list[int]:
        """The constants; `dimension` of the weights is that of the outputs."""
        name = operation.output
        if self.ranges is None:
            return [
                self.tensor(f"{name}/weight", weight.shape, schema.TensorType.FLOAT32, weight),
                self.tensor(f"{name}/bias", bias.shape, schema.TensorType.FLOAT32, bias),
            ]
        others = tuple(axis for axis in range(weight.ndim) if axis != dimension)
        scales = np.maximum(np.abs(weight).max(others) / 127, 1e-12)
        rows = scales.reshape([-1 if axis == dimension else 1 for axis in range(weight.ndim)])
        codes = np.clip(np.rint(weight / rows), -127, 127).astype(np.int8)
        bias_scales = scales * self.scales[operation.inputs[0]][0]
        bias_codes = np.clip(np.rint(bias / bias_scales), -(2**31) + 1, 2**31 - 1).astype(np.int32)
        made = self.tensor(f"{name}/weight", codes.shape, schema.TensorType.INT8, codes)
        made_bias = self.tensor(f"{name}/bias", bias_codes.shape, schema.TensorType.INT32, bias_codes)
        return [self.quantized(made, scales, dimension=dimension), self.quantized(made_bias, bias_scales)]

    def padded(self, operation: Operation) -> tuple[int, int]:
        """The input of a convolution, and the padding that remains to be done: SAME or VALID."""
        blob, attributes = operation.inputs[0], operation.attributes
        if self.is_same(operation):
            return self.blobs[blob], schema.Padding.SAME
        vertical, horizontal = attributes["pad"]
        if not vertical and not horizontal:
            return self.blobs[blob], schema.Padding.VALID
        channels, height, width = self.shapes[blob]
        shape = (channels, height + 2 * vertical, width + 2 * horizontal)
        name = f"{operation.output}/padded"
        if self.ranges is None:
            result = self.float_tensor(name, shape)
        else:
            result = self.tensor(name, self.nhwc(shape), schema.TensorType.INT8)
            self.quantized(result, [self.scales[blob][0]], self.scales[blob][1])
        amounts = np.array([[0, 0], [vertical] * 2, [horizontal] * 2, [0, 0]], np.int32)
        constant = self.tensor(f"{name}/amounts", amounts.shape, schema.TensorType.INT32, amounts)
        self.operator(OPERATORS.PAD, [self.blobs[blob], constant], result, schema.PadOptionsT())
        return result, schema.Padding.VALID

    def is_same(self, operation: Operation) -> bool:
        """Whether TensorFlow's SAME pads as the operation does; Caffe's pooling pads at the end alone."""
        attributes = operation.attributes
        sizes = zip(
            self.shapes[operation.inputs[0]][1:],
            self.shapes[operation.output][1:],
            attributes["kernel"],
            attributes["stride"],
            attributes["pad"],
            attributes.get("dilation", (1, 1)),
            strict=True,
        )
        for size, result, kernel, stride, pad, dilation in sizes:
            total = max((result - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            if result != -(-size // stride) or pad != total // 2:
                return False
        return True

    def add_conv(self, operation: Operation) -> None:
        if operation.attributes["group"] != (1,):
            raise ValueError(f"{operation.output}: grouped convolutions are not written")
        source, padding = self.padded(operation)
        weight = operation.arrays["weight"].transpose(0, 2, 3, 1)
        constants = self.weights(operation, weight, operation.arrays["bias"], 0)
        options = schema.Conv2DOptionsT()
        options.padding = padding
        options.strideH, options.strideW = operation.attributes["stride"]
        options.dilationHFactor, options.dilationWFactor = operation.attributes["dilation"]
        options.fusedActivationFunction = _activation(operation)
        self.operator(OPERATORS.CONV_2D, [source, *constants], self.output(operation), options)

    def add_affine(self, operation: Operation) -> None:
        """A depthwise convolution of one element."""
        weight = operation.arrays["scale"].reshape(1, 1, 1, -1)
        constants = self.weights(operation, weight, operation.arrays["shift"], 3)
        options = schema.DepthwiseConv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
        options.depthMultiplier = options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = _activation(operation)
        inputs = [self.blobs[operation.inputs[0]], *constants]
        self.operator(OPERATORS.DEPTHWISE_CONV_2D, inputs, self.output(operation), options)

    def add_dense(self, operation: Operation) -> None:
        source, shape = self.blobs[operation.inputs[0]], self.shapes[operation.inputs[0]]
        weight = operation.arrays["weight"]
        if len(shape) > 1:
            weight = weight.reshape(-1, *shape).transpose(0, 2, 3, 1).reshape(len(weight), -1)
            source = self.flattened(operation.inputs[0], weight.shape[1])
        constants = self.weights(operation, weight, operation.arrays["bias"], 0)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = _activation(operation)
        inputs = [source, *constants]
        self.operator(OPERATORS.FULLY_CONNECTED, inputs, self.output(operation), options)

    def flattened(self, blob: str, size: int) -> int:
        kind = self.tensors[self.blobs[blob]].type
        result = self.tensor(f"{blob}/flat", [1, size], kind)
        if self.ranges is not None:
            self.quantized(result, [self.scales[blob][0]], self.scales[blob][1])
        shape = np.array([-1, size], np.int32)
        constant = self.tensor(f"{blob}/flat/shape", [2], schema.TensorType.INT32, shape)
        options = schema.ReshapeOptionsT()
        options.newShape = [-1, size]
        self.operator(OPERATORS.RESHAPE, [self.blobs[blob], constant], result, options)
        return result

    def pool(self, code: int, operation: Operation) -> None:
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.SAME
        if not self.is_same(operation):
            sides = zip(self.shapes[operation.inputs[0]][1:], *_windows(operation), strict=True)
            if any(pad or (size - kernel) % stride for size, kernel, stride, pad in sides):
                raise ValueError(f"{operation.output}: TensorFlow does not pad so")
            options.padding = schema.Padding.VALID
        options.filterHeight, options.filterWidth = operation.attributes["kernel"]
        options.strideH, options.strideW = operation.attributes["stride"]
        inputs = [self.blobs[operation.inputs[0]]]
        self.operator(code, inputs, self.output(operation, scale_of=operation.inputs[0]), options)

    def add_maxpool(self, operation: Operation) -> None:
        self.pool(OPERATORS.MAX_POOL_2D, operation)

    def add_avgpool(self, operation: Operation) -> None:
        self.pool(OPERATORS.AVERAGE_POOL_2D, operation)

    def add_relu(self, operation: Operation) -> None:
        if self.ranges is not None:
            # XNNPACK, that computes the rest, has no ReLU of its own in int8.
            ones = np.ones(self.shapes[operation.output][0], np.float32)
            arrays = {"scale": ones, "shift": 0 * ones}
            self.add_affine(replace(operation, arrays=arrays, attributes={"relu": ()}))
            return
        inputs = [self.blobs[operation.inputs[0]]]
        self.operator(OPERATORS.RELU, inputs, self.output(operation))

    def add_add(self, operation: Operation) -> None:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _activation(operation)
        inputs = [self.blobs[name] for name in operation.inputs]
        self.operator(OPERATORS.ADD, inputs, self.output(operation), options)

    def add_concat(self, operation: Operation) -> None:
        options = schema.ConcatenationOptionsT()
        options.axis = len(self.shapes[operation.output])
        inputs = [self.blobs[name] for name in operation.inputs]
        self.operator(OPERATORS.CONCATENATION, inputs, self.output(operation), options)

    def add_softmax(self, operation: Operation) -> None:
        """In float32 in both kinds of file."""
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        source = self.as_float(operation.inputs[0])
        result = self.float_tensor(operation.output, self.shapes[operation.output])
        self.blobs[operation.output] = result
        self.operator(OPERATORS.SOFTMAX, [source], result, options)


def _activation(operation: Operation) -> int:
    return RELU if "relu" in operation.attributes else LINEAR


def _windows(operation: Operation) -> tuple[tuple[int, ...], ...]:
    return tuple(operation.attributes[name] for name in ("kernel", "stride", "pad"))
