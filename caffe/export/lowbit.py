"""Layers of low precision, in each of the forms in which ONNX can have them."""

from __future__ import annotations

import numpy as np

from .. import _caffe
from ..hwgq.binarize import BINARY_TYPES
from ..hwgq.levels import integer_levels
from .elementwise import leaky_relu
from .graph import QONNX_DOMAIN
from .saturation import offsets_into_a_byte
from .source import Layer
from .translation import Levels, Translation, writes

_MOST_CODE = 127  # of a byte
_TOLERANCE = 1e-6  # relative; a level as a float and the same as a multiple of the unit

#: What the axes of a tensor are, by their number, as QONNX names them.
_LAYOUTS = {2: "NC", 3: "NCW", 4: "NCHW"}


# ---------------------------------------------------------------------- weights


def sums_of_products(
    t: Translation,
    layer: Layer,
    operator: str,
    x: str,
    weights: np.ndarray,
    bias: np.ndarray | None,
    top: int = 0,
    **attributes,
) -> str:
    """A convolution, the transpose of one (``ConvTranspose``), or the product with a matrix (``Gemm``), with
    the bias added.

    Args:
        x: items x channels x sides, or items x inputs.
        weights: outputs x inputs of an output; of a transposed convolution channels x outputs x sides.
        bias: one for each output.
        top: the number of the layer's top that this is.
    """
    binary = None
    if layer.type in BINARY_TYPES:
        param = getattr(layer.param, BINARY_TYPES[layer.type][1])
        if param.use_binarization:
            weights = _caffe.binarize_weights(weights, param.use_alpha)
            binary = signs_of(weights)
    elif operator != "ConvTranspose" and weights[0].size > 1 and weights.all():
        # Weights that have been binarized before they were saved.
        binary = signs_of(weights)
    if t.form == "float" or binary is None:
        if operator == "Gemm":
            attributes["transB"] = 1
        rest = () if bias is None else (t.graph.constant(bias.ravel(), "bias"),)
        return t.graph(operator, x, t.graph.constant(weights, "weights"), *rest, **attributes)
    signs, alphas = binary
    if t.form == "qdq":
        x = _own_codes(t, x, signs.ndim)
    if operator == "Gemm" and t.form == "qdq" and x not in t.levels:
        # ONNX Runtime would round the floats that MatMul takes to bytes.
        attributes["transB"] = 1
    elif operator == "Gemm":
        # The product with a matrix, which integer engines and FINN know best.
        operator, signs = "MatMul", signs.T
    if t.form == "qdq":
        if operator == "Conv" and x in t.levels:
            offsets = offsets_into_a_byte(t, layer, top, t.levels[x], alphas, bias)
            if offsets is not None:
                return _convolution_of_codes(t, layer, x, binary, offsets, bias, attributes)
        quantized = _signs_in_bytes(t, signs, alphas, axis=1 if operator == "MatMul" else 0)
        result = t.graph(operator, x, quantized, **attributes)
    else:
        one = t.graph.constant(1.0)
        quantized = t.graph("BipolarQuant", t.graph.constant(signs, "signs"), one, domain=QONNX_DOMAIN)
        t.graph.declare(quantized, signs.shape)
        result = t.graph(operator, x, quantized, **attributes)
        if (alphas != 1).any():
            result = t.graph("Mul", result, _for_channels(t, signs, alphas, "alpha"))
    if bias is None or not bias.any():
        return result
    if t.form == "qdq" and operator == "MatMul":
        # Less the opposite: ONNX Runtime would join an addition with the product, and compute both in floats.
        return t.graph("Sub", result, _for_channels(t, signs, -bias, "bias"))
    return t.graph("Add", result, _for_channels(t, signs, bias, "bias"))


def _own_codes(t: Translation, x: str, axes: int) -> str:
    """Codes that no other product reads, where that can be: ONNX Runtime computes only those in integers."""
    x = as_codes(t, x)
    node = t.graph.producer(x)
    if x not in t.levels or node is None:
        return x
    copy = t.multiplied.get(x, 0)
    t.multiplied[x] = copy + 1
    if copy == 0 or copy >= axes:
        return x
    # Equal nodes would be joined again. The axis, by default 1, says nothing with one step for all elements.
    axis = 0 if copy == 1 else copy
    quantize = t.graph.producer(node.inputs[0])
    codes = t.graph("QuantizeLinear", *quantize.inputs, axis=axis)
    return t.keep_levels(x, t.graph("DequantizeLinear", codes, *node.inputs[1:], axis=axis))


def _signs_in_bytes(t: Translation, signs: np.ndarray, alphas: np.ndarray, axis: int) -> str:
    return t.graph(
        "DequantizeLinear",
        t.graph.constant(signs, "signs", np.int8),
        t.graph.constant(alphas, "alpha"),
        t.graph.constant(np.zeros(len(alphas)), "zeros", np.int8),
        axis=axis,
    )


def _convolution_of_codes(
    t: Translation,
    layer: Layer,
    x: str,
    binary: tuple[np.ndarray, np.ndarray],
    offsets: np.ndarray,
    bias: np.ndarray | None,
    attributes: dict,
) -> str:
    """A convolution whose sums are integers in a byte; alpha and bias come after it."""
    signs, alphas = binary
    step = t.levels[x].unit
    unit, zero = t.graph.constant(step, "unit"), t.graph.constant(0, "zero", np.int8)
    quantized = _signs_in_bytes(t, signs, np.ones_like(alphas), axis=0)
    moved = ()
    if offsets.any():
        units, zeros = np.full(len(offsets), step), np.zeros(len(offsets))
        moved = (
            t.graph(
                "DequantizeLinear",
                t.graph.constant(offsets, "offsets", np.int32),
                t.graph.constant(units, "units"),
                t.graph.constant(zeros, "zeros", np.int32),
                axis=0,
            ),
        )
    sums = t.graph("QuantizeLinear", t.graph("Conv", x, quantized, *moved, **attributes), unit, zero)
    result = t.graph("DequantizeLinear", sums, unit, zero)
    if (alphas != 1).any():
        result = t.graph("Mul", result, _for_channels(t, signs, alphas, "alpha"))
    addend = (0 if bias is None else bias.ravel()) - offsets * np.float64(step) * alphas
    return t.graph("Add", result, _for_channels(t, signs, addend, "bias")) if addend.any() else result


def _for_channels(t: Translation, weights: np.ndarray, values: np.ndarray, name: str) -> str:
    """A constant with one value for each output of the weights: of a matrix, or channel of an image."""
    return t.graph.constant(values.reshape(-1, *[1] * (weights.ndim - 2)), name)


def signs_of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Signs, +1 or -1, and the magnitude of each output; None for weights that are not binary."""
    magnitudes = np.abs(weights).reshape(len(weights), -1)
    alphas = magnitudes.max(1)
    if (magnitudes.min(1) != alphas).any():
        return None
    return np.where(np.signbit(weights), -1, 1).astype(np.float32), alphas


# ---------------------------------------------------------------------- activations


@writes("Quant")
def _quant(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.quant_param
    x = layer.inputs[0]
    if param.forward_func == "relu":
        return [leaky_relu(t, x, param.negative_slope)]
    if param.forward_func == "hard_tanh":
        return [t.graph("Clip", x, t.graph.constant(-1.0), t.graph.constant(1.0))]
    if param.forward_func == "sign":
        return [_sign(t, layer, x)]
    centers = np.array(param.centers, np.float32)
    thresholds = np.array([0, *((centers[:-1] + centers[1:]) / np.float32(2))], np.float32)
    values = np.array([0 - param.negative_slope, *centers], np.float32)
    codes = _codes(values)
    if codes is None:
        # No multiples of a unit: no integers can stand for them.
        return [_steps(t, x, thresholds, values)]
    integers, unit = codes
    levels = Levels(int(integers[-1]), unit)
    if t.form in ("qonnx", "finn") and len(layer.bottom_shapes[0]) > 1:
        result = _multi_threshold(t, layer, x, thresholds, integers, levels)
    else:
        result = _steps(t, x, thresholds, values)
    t.levels[result] = levels
    if t.form == "qdq":
        result = as_codes(t, result)
    elif t.form == "qonnx":
        result = _declared(t, layer, result, levels)
    t.levels[result] = levels
    return [result]


def _sign(t: Translation, layer: Layer, x: str) -> str:
    one = t.graph.constant(1.0)
    if t.form in ("qonnx", "finn"):
        result = t.graph("BipolarQuant", x, one, domain=QONNX_DOMAIN)
        t.graph.declare(result, t.source.dimensions(layer.tops[0]))
        return result
    is_positive = t.graph("GreaterOrEqual", x, t.graph.constant(0.0))
    result = t.graph("Where", is_positive, one, t.graph.constant(-1.0))
    t.levels[result] = Levels(1, 1.0, signs=True)
    return as_codes(t, result) if t.form == "qdq" else result


def _codes(values: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Integers of a byte that the values are multiples of, and the unit; None where there are none."""
    if values[0] != 0:
        return None
    integers, unit = integer_levels(values.tolist(), _MOST_CODE)
    if integers[-1] > _MOST_CODE or (np.abs(integers * unit - values) > _TOLERANCE * values).any():
        return None
    return integers, unit


def _steps(t: Translation, x: str, thresholds: np.ndarray, values: np.ndarray) -> str:
    """values[j] for x above j of the thresholds."""
    result = t.graph.constant(values[0])
    for threshold, value in zip(thresholds, values[1:], strict=True):
        above = t.graph("Greater", x, t.graph.constant(threshold))
        result = t.graph("Where", above, t.graph.constant(value), result)
    return result


def _multi_threshold(
    t: Translation, layer: Layer, x: str, thresholds: np.ndarray, integers: np.ndarray, levels: Levels
) -> str:
    """FINN's thresholds: the number of those that x reaches, times the unit. A step of several units is as
    many thresholds of one value."""
    # To reach the next float is to be above this one. Those next to 0 would vanish where tools divide
    # thresholds by the factors before them, and 0 would reach them.
    reached = np.maximum(np.nextafter(thresholds, np.float32(np.inf)), np.finfo(np.float32).tiny)
    codes = t.graph(
        "MultiThreshold",
        x,
        t.graph.constant(np.repeat(reached, np.diff(integers)).reshape(1, -1), "thresholds"),
        domain=QONNX_DOMAIN,
        out_dtype="BINARY" if levels.most == 1 else f"UINT{_bits(levels)}",
        # Without it QONNX's tools take what follows for channels last.
        data_layout=_LAYOUTS.get(len(layer.bottom_shapes[0])),
    )
    t.graph.declare(codes, t.source.dimensions(layer.tops[0]))
    return t.scaled(codes, levels.unit)


def _declared(t: Translation, layer: Layer, x: str, levels: Levels) -> str:
    """The same values, said to be quantized: in QONNX a Quant node behind a ReLU, as FINN takes it."""
    result = t.graph(
        "Quant",
        t.graph("Relu", x),
        t.graph.constant(levels.unit),
        t.graph.constant(0.0),
        t.graph.constant(float(_bits(levels))),
        domain=QONNX_DOMAIN,
        signed=0,
        narrow=0,
        rounding_mode="ROUND",
    )
    t.graph.declare(result, t.source.dimensions(layer.tops[0]))
    return result


def _bits(levels: Levels) -> int:
    return levels.most.bit_length()


def as_codes(t: Translation, x: str) -> str:
    """The same values by way of codes in a byte, for a tensor that is known to have few levels."""
    levels = t.levels.get(x)
    if levels is None or t.graph.is_output_of(x, "DequantizeLinear"):
        return x
    if x not in t.quantized:
        unit = t.graph.constant(levels.unit, "unit")
        zero = t.graph.constant(0, "zero", np.int8)
        codes = t.graph("QuantizeLinear", x, unit, zero)
        t.quantized[x] = t.keep_levels(x, t.graph("DequantizeLinear", codes, unit, zero))
    return t.quantized[x]
