"""Sums that a model cuts off at the ends of a byte: left out where quantizers tell nothing apart there."""

import numpy as np
import pytest
from onnx_graphs import compare, model, node, normal

from caffe.importer import from_onnx

THRESHOLDS, LEVELS = np.float32([0, 0.807, 1.345]), np.float32([0, 0.538, 1.076, 1.614])


def quantized(x, name):
    nodes, below = [], "l0"
    for i in range(3):
        nodes += [
            node("Greater", f"{x} t{i}", f"{name}a{i}"),
            node("Where", f"{name}a{i} l{i + 1} {below}", f"{name}{i}"),
        ]
        below = f"{name}{i}"
    nodes += [
        node("QuantizeLinear", f"{below} unit zero", f"{name}q"),
        node("DequantizeLinear", f"{name}q unit zero", name),
    ]
    return nodes


def cut_model(alpha=0.05, shift=0, behind="BatchNormalization", zero=-128, scale=0.538):
    """Codes convolved with signs, sums of up to 3 * 64 * 9 units cut off to -128 ... 127."""
    signs = np.where(normal(6, 64, 3, 3) >= 0, np.float32(1), np.float32(-1))
    constants = dict(
        s=signs,
        unit=np.float32(0.538),
        zero=np.uint8(0),
        sumzero=np.int8(zero),
        sumunit=np.float32(scale),
        alpha=np.full((6, 1, 1), alpha, np.float32),
        bias=np.full(6, shift * 0.538, np.float32),
        back=np.full((6, 1, 1), -shift * 0.538 * alpha, np.float32),
        g=np.sign(normal(6, seed=5)) * 2,
        b=0.1 * normal(6, seed=6),
        m=0.1 * normal(6, seed=7),
        v=np.abs(normal(6, seed=8)) + 0.5,
    )
    nodes = [
        *quantized("x", "x1"),
        node("Conv", "x1 s bias", "c"),
        node("QuantizeLinear", "c sumunit sumzero", "cq"),
        node("DequantizeLinear", "cq sumunit sumzero", "d"),
        node("Mul", "d alpha", "e"),
        node("Add", "e back", "f"),
    ]
    if behind == "BatchNormalization":
        nodes += [
            node("BatchNormalization", "f g b m v", "n"),
            node("MaxPool", "n", "p", kernel_shape=[2, 2]),
        ]
        nodes += quantized("p", "y")
    else:
        nodes.append(node(behind, "f", "y"))
    for i, value in enumerate(THRESHOLDS):
        constants[f"t{i}"] = value
    for i, value in enumerate(LEVELS):
        constants[f"l{i}"] = value
    return model(nodes, {"x": (2, 64, 6, 6)}, **constants)


@pytest.mark.parametrize("shift", [0, 20, -33])
def test_cuts_beyond_the_thresholds_are_left_out(shift):
    made = cut_model(shift=shift, zero=0)
    imported = from_onnx(made)
    types = [layer.type for layer in imported.definition.layer]
    assert types == ["Input", "Quant", "BinaryConvolution", "BatchNorm", "Scale", "Pooling", "Quant"]
    weights = imported.parameters["Conv_c"]
    # A bias that moves the sums cancels out; zeros that were there stay.
    assert len(weights) == (1 if shift else 2) and set(np.unique(np.abs(weights[0]))) == {np.float32(0.05)}
    compare(imported, made, {"x": normal(2, 64, 6, 6)})


def test_cuts_that_make_a_difference_are_refused():
    for options in (dict(alpha=0.001), dict(behind="Tanh"), dict(shift=400), dict(zero=100)):
        with pytest.raises(ValueError, match="QuantizeLinear.*cuts off sums"):
            from_onnx(cut_model(**{"zero": 0, **options}))
    with pytest.raises(ValueError, match="multiples of 0.538"):
        from_onnx(cut_model(scale=0.7))
