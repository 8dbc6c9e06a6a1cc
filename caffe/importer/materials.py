"""Makes blobs of values that were kept back."""

from __future__ import annotations

import math

import numpy as np

from .graph import Refused
from .products import into_product
from .translation import Translation, makes
from .values import (
    Above,
    Affine,
    Blob,
    Coded,
    Constant,
    Flattened,
    Gate,
    Recoded,
    Reshaped,
    Transposed,
    Whole,
    levels_of,
    neat,
)

_SAME = 1e-6  # relative; what the rounding of a factor leaves
_LEAST_EXPONENT = 0.05  # of a base: floats near 1 and very large ones tell few of them apart


@makes(Constant)
def _parameter(t: Translation, value: Constant) -> Blob:
    if value.array.dtype.kind not in "fiub":
        raise Refused(f"it needs a blob of {value.array.dtype}")
    return t.add(
        "Parameter",
        value.node,
        [],
        value.shape,
        parameters=[value.array],
        name=value.name or "constant",
        param=[{"lr_mult": 0, "decay_mult": 0}],
        parameter_param={"shape": {"dim": value.shape}},
    )


@makes(Recoded)
def _recoded(t: Translation, value: Recoded) -> Blob:
    levels = levels_of(value.base)
    base = t.blob(value.base)
    if np.allclose(value.values, levels, rtol=_SAME, atol=0):
        return base
    slopes = np.diff(value.values.astype(np.float64)) / np.diff(levels)
    if not np.allclose(slopes, slopes[0], rtol=1e-5):
        raise Refused("it gives the levels of a quantizer values that no layer gives them")
    offset = float(value.values[0]) - slopes[0] * levels[0]
    shape = value.shape
    return t.blob(
        Affine(shape=shape, base=base, factor=slopes[0], offset=np.asarray(offset), node=value.node)
    )


@makes(Coded)
def _coded(t: Translation, value: Coded) -> Blob:
    raise Refused("it reads codes, and Caffe's blobs are floats: nothing makes values of them")


@makes(Whole)
def _whole(t: Translation, value: Whole) -> Blob:
    raise Refused("it reads what is cast to integers, and Caffe's blobs are floats")


@makes(Above)
def _above(t: Translation, value: Above) -> Blob:
    steps = value.steps(1, 0)
    steps.node, steps.readers = value.node, value.readers
    return t.blob(steps)


@makes(Flattened)
def _flattened(t: Translation, value: Flattened) -> Blob:
    base = t.blob(value.base)
    blob = t.add("Flatten", value.node, [base], value.shape)
    blob.levels, blob.positive = base.levels, base.positive
    return blob


@makes(Reshaped)
def _reshaped(t: Translation, value: Reshaped) -> Blob:
    return t.reshape(value.node, value.base, value.shape, value.open_axis)


@makes(Transposed)
def _transposed(t: Translation, value: Transposed) -> Blob:
    order = [axis for axis in value.order if value.base.shape[axis] != 1]
    if order != sorted(order):
        raise Refused(f"it needs axes in the order {list(value.order)}, and Caffe has no layer to transpose")
    return t.reshape(value.node, value.base, value.shape)


@makes(Gate)
def _gate(t: Translation, value: Gate) -> Blob:
    blob = t.add("Sigmoid", value.node, [t.blob(value.base)], value.shape)
    blob.positive = True
    return blob


@makes(Affine)
def _affine(t: Translation, value: Affine) -> Blob:
    """Nothing, a bias of the layer before, or a Power, Bias or Scale layer."""
    factor, offset = (_simplest(values) for values in (value.factor, value.offset))
    if factor.size == 1 and abs(factor - 1) <= _SAME:
        factor = np.asarray(1.0)
        if not offset.any():
            return value.base
    folded = into_product(t, value, factor, offset)
    if folded is not None:
        return folded
    node, base, shape = value.node, value.base, value.shape
    if factor.size == 1 and not offset.any():
        if _into_logarithm(t, base, float(factor)) or _into_reduction(t, base, float(factor)):
            return base
    if factor.size == 1 and offset.size == 1:
        param = {"scale": float(factor), "shift": float(offset)}
        return t.add("Power", node, [base], shape, power_param=param)
    axes = sorted({*_axes_of(factor), *_axes_of(offset)})
    first, last = axes[0], axes[-1]
    covered = shape[first : last + 1]

    def along(values: np.ndarray) -> np.ndarray:
        if values.ndim:
            values = values.reshape(values.shape[first : last + 1])
        return np.broadcast_to(values, covered)

    where = {} if (first, len(covered)) == (1, 1) else {"axis": first, "num_axes": len(covered)}
    if factor.size == 1 and factor == 1:
        return t.add("Bias", node, [base], shape, parameters=[along(offset)], bias_param=where)
    if not offset.any():
        return t.add("Scale", node, [base], shape, parameters=[along(factor)], scale_param=where)
    parameters = [along(factor), along(offset)]
    return t.add(
        "Scale", node, [base], shape, parameters=parameters, scale_param={**where, "bias_term": True}
    )


def _into_logarithm(t: Translation, base: Blob, factor: float) -> bool:
    """Makes a factor behind a natural logarithm the base of it, where that can be."""
    if not t.alone(base) or base.layer.type != "Log" or base.layer.log_param.HasField("base"):
        return False
    if not _LEAST_EXPONENT < abs(factor) < 1 / _LEAST_EXPONENT:
        return False
    base.layer.log_param.base = neat(math.exp(1 / factor))
    return True


def _into_reduction(t: Translation, base: Blob, factor: float) -> bool:
    """Makes a factor behind a Reduction its own."""
    if not t.alone(base) or base.layer.type != "Reduction":
        return False
    base.layer.reduction_param.coeff *= factor
    return True


def _axes_of(values: np.ndarray) -> list[int]:
    return [axis for axis, size in enumerate(values.shape) if size != 1]


def _simplest(values: np.ndarray) -> np.ndarray:
    """A constant without axes along which it is the same; one value where all are."""
    values = np.asarray(values)
    for axis in _axes_of(values):
        first = np.take(values, [0], axis)
        if np.allclose(values, first, rtol=_SAME, atol=0):
            values = first
    return values.reshape(()) if values.size == 1 else values
