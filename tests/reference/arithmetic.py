"""Layers that add and multiply."""

import math

import numpy as np


def eltwise(*bottoms, operation="SUM", coeff=()):
    if operation == "PROD":
        return math.prod(bottoms)
    if operation == "MAX":
        return np.max(bottoms, 0)
    coeff = coeff or [1] * len(bottoms)
    return sum(c * x for c, x in zip(coeff, bottoms, strict=True))


def reduction(x, operation="SUM", axis=0, coeff=1.0):
    """All axes from axis on become one number."""
    rows = x.reshape(*x.shape[: axis % x.ndim], -1)
    terms = {"ASUM": np.abs, "SUMSQ": np.square}.get(operation, np.asarray)(rows)
    return coeff * (terms.mean(-1) if operation == "MEAN" else terms.sum(-1))


def along(x, other, axis):
    """The other's axes laid along those of x from axis on."""
    axis %= x.ndim
    return other.reshape((1,) * axis + other.shape + (1,) * (x.ndim - axis - other.ndim))


def scale(x, factor, bias=None, axis=1):
    y = x * along(x, factor, axis)
    return y if bias is None else y + along(x, bias, axis)


def bias(x, bias, axis=1):
    return x + along(x, bias, axis)


def inner_product(x, weights, bias=None, axis=1, transpose=False):
    """Everything from axis on times a matrix: outputs x inputs, or inputs x outputs."""
    y = x.reshape(*x.shape[: axis % x.ndim], -1) @ (weights if transpose else weights.T)
    return y if bias is None else y + bias


def embed(index, weights, bias=None):
    """A row of the weights for each index."""
    y = weights[index.astype(int)]
    return y if bias is None else y + bias
