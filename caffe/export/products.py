"""Layers that multiply with matrices, or take their rows."""

from __future__ import annotations

import math

import numpy as np

from .lowbit import sums_of_products
from .source import Layer
from .translation import Translation, writes


@writes("InnerProduct", "BinaryInnerProduct")
def _inner_product(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.inner_product_param
    shape = layer.bottom_shapes[0]
    axis = param.axis % len(shape)
    x = layer.inputs[0]
    if len(shape) != 2 or axis != 1:
        x = t.matrix(x, axis)
    weights = layer.blobs[0].reshape(-1, param.num_output) if param.transpose else layer.blobs[0]
    weights = weights.T if param.transpose else weights.reshape(param.num_output, -1)
    bias = layer.blobs[1].ravel() if param.bias_term else None
    result = sums_of_products(t, layer, "Gemm", x, np.ascontiguousarray(weights), bias)
    if len(layer.top_shapes[0]) != 2:
        result = t.to_top(layer, result)
    return [result]


@writes("Embed")
def _embed(t: Translation, layer: Layer) -> list[str]:
    rows = t.graph("Gather", t.graph.constant(layer.blobs[0], "rows"), t.indices(layer.inputs[0]), axis=0)
    if not layer.param.embed_param.bias_term:
        return [rows]
    return [t.graph("Add", rows, t.graph.constant(layer.blobs[1].ravel(), "bias"))]


def product_with(t: Translation, x: str, weights: np.ndarray, bias: np.ndarray | None = None) -> str:
    """The last axis of x times a matrix, outputs x inputs."""
    result = t.graph("MatMul", x, t.graph.constant(weights.T, "weights"))
    return result if bias is None else t.graph("Add", result, t.graph.constant(bias, "bias"))


def rows_of(t: Translation, x: str, shape: tuple[int, ...], free: frozenset[int], axes: int) -> str:
    """A tensor with all but its first axes as one."""
    if len(shape) == axes + 1:
        return x
    sizes = (*shape[:axes], math.prod(shape[axes:]))
    return t.reshape(x, sizes, frozenset(axis for axis in free if axis < axes))
