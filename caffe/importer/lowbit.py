"""Quantizers: what QDQ and QONNX write of the layers of low precision, and what plain ONNX does."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph import Node, Refused
from .saturation import Cut
from .translation import Translation, makes, reads
from .values import Blob, Coded, Constant, Recoded, Steps, Value, neat

_SAME = 1e-6  # relative; what factors leave of a level
_MOST_STEPS = 1024


@reads("BipolarQuant", qonnx=True)
def _bipolar(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    scale = inputs[1]
    if not isinstance(scale, Constant) or scale.array.size != 1:
        raise Refused("its scale is not one constant number")
    below = np.nextafter(np.float32(0), np.float32(-1))
    unit = np.float32(scale.array.item())
    x = inputs[0]
    return Steps(shape=x.shape, base=t.blob(x), thresholds=np.array([below]), values=np.array([-unit, unit]))


@reads("MultiThreshold", qonnx=True)
def _multi_threshold(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    thresholds = inputs[1]
    if not isinstance(thresholds, Constant) or thresholds.array.ndim != 2:
        raise Refused("its thresholds are no constant matrix")
    rows = thresholds.array.astype(np.float32)
    if (rows != rows[:1]).any():
        raise Refused("its thresholds differ from channel to channel; those of Caffe's Quant are the same")
    row = rows[0]
    if not 0 < row.size <= _MOST_STEPS or (np.diff(row) < 0).any() or not np.isfinite(row).all():
        raise Refused("its thresholds are not finite and ascending")
    reached, codes = np.unique(row, return_counts=True)
    values = np.concatenate([[0], np.cumsum(codes)])
    values = values * node.get("out_scale", 1.0) + node.get("out_bias", 0.0)
    x = inputs[0]
    return Steps(
        shape=x.shape,
        base=t.blob(x),
        # To reach a number is to be above the one before it.
        thresholds=np.nextafter(reached, np.float32(-np.inf)),
        values=np.asarray(values, np.float32),
    )


@reads("Quant", qonnx=True)
def _quant(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    raise Refused(
        "it rounds activations to the nearest code; Caffe's Quant gives every input above 0 at least its "
        "first level"
    )


@reads("Trunc", qonnx=True)
def _trunc(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    raise Refused("it cuts bits off activations, and Caffe has no layer for it")


@reads("QuantizeLinear")
def _quantize(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    x, scale, zero = inputs[0], _number(inputs, 1), _number(inputs, 2)
    if not isinstance(x, Blob) or x.grid is None or scale is None or zero is None:
        raise Refused(
            "it rounds activations that no HWGQ quantizer has given few levels; export the model before it "
            "is quantized"
        )
    unit, least, most = x.grid
    limits = np.iinfo(zero.dtype)
    low, high = limits.min - int(zero), limits.max - int(zero)
    if abs(float(scale) - unit) > _SAME * unit:
        raise Refused(f"its codes are of {scale:.6g} each, and what it reads are multiples of {unit:.6g}")
    if (least < low).any() or (most > high).any():
        if not t.alone(x):
            raise Refused("it cuts off sums that something else reads, too")
        ends = (np.full(least.shape, end * unit) for end in (low, high))
        t.cuts.append(Cut(node, x.layer, *ends, least < low, most > high))
    return Coded(shape=x.shape, base=x, scale=scale, zero=zero)


@reads("DequantizeLinear")
def _dequantize(t: Translation, node: Node, inputs: list[Value | None]) -> Value:
    x, scale, zero = inputs[0], _number(inputs, 1), _number(inputs, 2)
    if not isinstance(x, Coded) or scale != x.scale or zero != x.zero:
        raise Refused("what it reads are no codes of a quantizer")
    return x.base


def _number(inputs: list[Value | None], index: int) -> np.ndarray | None:
    """A constant number, an unsigned zero where it is left out; None for others."""
    if index >= len(inputs) or inputs[index] is None:
        return np.uint8(0)
    value = inputs[index]
    return value.array.reshape(())[()] if isinstance(value, Constant) and value.array.size == 1 else None


@makes(Steps)
def _quantizer(t: Translation, steps: Steps) -> Blob:
    """A Quant layer, or a Threshold for one step."""
    base, node = steps.base, steps.node
    thresholds, values = steps.thresholds, steps.values.astype(np.float64)
    # Some write the least normal number for what is above 0.
    is_zero = abs(float(thresholds[0])) < np.finfo(np.float32).tiny
    if len(thresholds) == 1 and is_zero and thresholds[0] < 0 and values[0] < values[1]:
        return _scaled_sign(t, steps)
    if is_zero and thresholds[0] >= 0 and values[0] <= 0 and _is_hwgq(thresholds, values):
        centers = [neat(value) for value in values[1:]]
        param: dict[str, Any] = {"centers": centers, "clip_thr": centers[-1]}
        if values[0]:
            param["negative_slope"] = neat(-values[0])
        blob = t.add("Quant", node, [base], base.shape, quant_param=param)
        return _with_levels(blob, np.array([values[0], *centers]))
    if len(thresholds) == 1:
        limit = {"threshold": float(thresholds[0])}
        blob = _with_levels(
            t.add("Threshold", node, [base], base.shape, threshold_param=limit), np.array([0.0, 1.0])
        )
        return _at(t, steps, blob, values)
    raise Refused(
        f"its levels {_listed(values)} have thresholds {_listed(thresholds)}; those of Caffe's Quant are 0 "
        "and the middles between positive levels"
    )


def _is_hwgq(thresholds: np.ndarray, values: np.ndarray) -> bool:
    centers = values[1:]
    if (np.diff(centers) <= 0).any() or centers[0] <= 0:
        return False
    middles = (centers[:-1] + centers[1:]) / 2
    return np.allclose(thresholds[1:], middles, rtol=_SAME, atol=0)


def _scaled_sign(t: Translation, steps: Steps) -> Blob:
    param = {"forward_func": "sign", "backward_func": "hard_tanh", "clip_thr": 1.0}
    blob = t.add("Quant", steps.node, [steps.base], steps.shape, quant_param=param)
    return _at(t, steps, _with_levels(blob, np.array([-1.0, 1.0])), steps.values.astype(np.float64))


def _at(t: Translation, steps: Steps, blob: Blob, values: np.ndarray) -> Blob:
    """A blob of two levels with these in their place."""
    blob.node = steps.node
    return t.blob(
        Recoded(shape=steps.shape, base=blob, values=values, node=steps.node, readers=steps.readers)
    )


def _with_levels(blob: Blob, levels: np.ndarray) -> Blob:
    blob.levels = levels
    blob.positive = bool(levels[0] >= 0)
    return blob


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
