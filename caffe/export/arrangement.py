"""Layers that cut, join, repeat or choose parts of their inputs, or give them another shape."""

from __future__ import annotations

import numpy as np

from ..proto import caffe_pb2
from .source import Layer
from .translation import Translation, writes

_TO_THE_END = np.iinfo(np.int64).max


@writes("Flatten", "Reshape")
def _reshape(t: Translation, layer: Layer) -> list[str]:
    return [t.to_top(layer, layer.inputs[0])]


@writes("Concat")
def _concat(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.concat_param
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    if len(layer.inputs) == 1:
        return layer.inputs
    result = t.graph("Concat", *layer.inputs, axis=axis)
    if len({t.levels.get(tensor) for tensor in layer.inputs}) == 1:
        t.keep_levels(layer.inputs[0], result)
    return [result]


@writes("Slice")
def _slice(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.slice_param
    axes = len(layer.bottom_shapes[0])
    axis = (param.slice_dim if param.HasField("slice_dim") else param.axis) % axes
    x, parts = layer.inputs[0], len(layer.tops)
    if parts == 1:
        return [x]
    if not param.slice_point:
        tops = t.graph.split(x, axis, parts)
    elif axis in layer.bottom_free[0]:
        points = [0, *param.slice_point, _TO_THE_END]
        tops = [
            _part(t, x, [begin], [end], [axis]) for begin, end in zip(points[:-1], points[1:], strict=True)
        ]
    else:
        sizes = t.graph.integers([shape[axis] for shape in layer.top_shapes])
        tops = t.graph.add("Split", x, sizes, outputs=parts, axis=axis)
    return [t.keep_levels(x, top) for top in tops]


def _part(t: Translation, x: str, begins: list[int], ends: list[int] | str, axes: list[int]) -> str:
    number = t.graph.integers
    ends = ends if isinstance(ends, str) else number(ends)
    return t.keep_levels(x, t.graph("Slice", x, number(begins), ends, number(axes)))


@writes("Crop")
def _crop(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.crop_param
    axes = len(layer.bottom_shapes[0])
    cut = list(range(param.axis % axes, axes))
    offsets = list(param.offset) if len(param.offset) == len(cut) else list(param.offset or [0]) * len(cut)
    if not layer.bottom_free[1].intersection(cut):
        ends = [offset + layer.top_shapes[0][axis] for offset, axis in zip(offsets, cut, strict=True)]
        return [_part(t, layer.inputs[0], offsets, ends, cut)]
    shape = t.graph("Gather", t.graph("Shape", layer.inputs[1]), t.graph.integers(cut))
    return [_part(t, layer.inputs[0], offsets, t.graph("Add", shape, t.graph.integers(offsets)), cut)]


@writes("Tile")
def _tile(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.tile_param
    repeats = [1] * len(layer.bottom_shapes[0])
    repeats[param.axis] = param.tiles
    x = layer.inputs[0]
    return [t.keep_levels(x, t.graph("Tile", x, t.graph.integers(repeats)))]


@writes("BatchReindex")
def _batch_reindex(t: Translation, layer: Layer) -> list[str]:
    x, index = layer.inputs
    return [t.keep_levels(x, t.graph("Gather", x, t.indices(index), axis=0))]


@writes("Filter")
def _filter(t: Translation, layer: Layer) -> list[str]:
    selector = t.graph("Reshape", layer.inputs[-1], t.graph.integers([-1]))
    chosen = t.graph("Cast", selector, to=9)
    return [t.keep_levels(x, t.graph("Compress", x, chosen, axis=0)) for x in layer.inputs[:-1]]


@writes("Parameter")
def _parameter(t: Translation, layer: Layer) -> list[str]:
    return [t.graph.constant(layer.blobs[0], "values")]


@writes("Reduction")
def _reduction(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.reduction_param
    kind = caffe_pb2.ReductionParameter
    operators = {
        kind.SUM: "ReduceSum",
        kind.ASUM: "ReduceL1",
        kind.SUMSQ: "ReduceSumSquare",
        kind.MEAN: "ReduceMean",
    }
    axes = len(layer.bottom_shapes[0])
    reduced = list(range(param.axis % axes, axes))
    result = t.graph.reduce(operators[param.operation], layer.inputs[0], reduced, keepdims=False)
    return [t.scaled(result, param.coeff)]


@writes("ArgMax")
def _argmax(t: Translation, layer: Layer) -> list[str]:
    param = layer.param.argmax_param
    x, shape = layer.inputs[0], layer.bottom_shapes[0]
    if param.HasField("axis"):
        axis = param.axis % len(shape)
        places, values = _largest(t, x, axis, shape[axis], param.top_k, axis in layer.bottom_free[0])
        return [values if param.out_max_val else places]
    rows = t.graph("Flatten", x, axis=1)
    places, values = _largest(t, rows, 1, int(np.prod(shape[1:])), param.top_k, False)
    result = t.graph("Concat", places, values, axis=1) if param.out_max_val else places
    return [t.to_top(layer, result)]


def _largest(t: Translation, x: str, axis: int, count: int, number: int, is_free: bool) -> tuple[str, str]:
    """Places and values of the largest along an axis. Of equal ones Caffe takes the last first."""
    backwards = t.graph(
        "Slice",
        x,
        t.graph.integers([-1]),
        t.graph.integers([-_TO_THE_END]),
        t.graph.integers([axis]),
        t.graph.integers([-1]),
    )
    values, places = t.graph.add("TopK", backwards, t.graph.integers([number]), outputs=2, axis=axis)
    last = t.graph.integers([count - 1])
    if is_free:
        size = t.graph("Gather", t.graph("Shape", x), t.graph.integers([axis]))
        last = t.graph("Sub", size, t.graph.integers([1]))
    return t.graph("Cast", t.graph("Sub", last, places), to=1), values
