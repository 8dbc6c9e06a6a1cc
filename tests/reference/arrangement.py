"""Layers that cut, join, repeat or choose parts of their inputs, or give them another shape."""

import math

import numpy as np


def concat(*bottoms, axis=1):
    return np.concatenate(bottoms, axis)


def slices(x, parts, axis=1, slice_point=()):
    """Cut at the points, or into equal parts."""
    return np.split(x, list(slice_point) or parts, axis)


def flatten(x, axis=1, end_axis=-1):
    """The axes from axis to end_axis, both included, as one."""
    axis, end_axis = axis % x.ndim, end_axis % x.ndim
    middle = math.prod(x.shape[axis : end_axis + 1])
    return x.reshape(*x.shape[:axis], middle, *x.shape[end_axis + 1 :])


def reshape(x, dim, axis=0, num_axes=-1):
    """num_axes axes (-1: all the rest) from axis on get the sides dim; 0 copies the input's side at that
    place, -1 is what is left over. A negative axis counts from behind the last."""
    axis = axis if axis >= 0 else axis + x.ndim + 1
    end = x.ndim if num_axes == -1 else axis + num_axes
    middle = [x.shape[axis + i] if side == 0 else side for i, side in enumerate(dim)]
    return x.reshape((*x.shape[:axis], *middle, *x.shape[end:]))


def tile(x, tiles, axis=1):
    """All of an axis, again and again."""
    return np.concatenate([x] * tiles, axis)


def crop(x, like, axis=2, offset=()):
    """The part of x with the other's sides, from axis on, that begins at the offset: one for all axes or one
    for each."""
    axis %= x.ndim
    cut = range(axis, x.ndim)
    offsets = list(offset) if len(offset) == len(cut) else (list(offset) or [0]) * len(cut)
    places = [slice(o, o + like.shape[i]) for i, o in zip(cut, offsets, strict=True)]
    return x[(slice(None),) * axis + tuple(places)]


def batch_reindex(x, index):
    return x[index.astype(int)]


def filtered(*bottoms):
    """The items of all bottoms but the last where the last is not zero."""
    return [x[bottoms[-1].reshape(-1) != 0] for x in bottoms[:-1]]


def argmax(x, out_max_val=False, top_k=1, axis=None):
    """Places of the largest values, the largest first: along an axis, where their values are an alternative;
    or in each whole item, where they come in addition."""
    if axis is not None:
        places = np.flip(np.argsort(x, axis), axis).take(np.arange(top_k), axis)
        return np.take_along_axis(x, places, axis) if out_max_val else places
    rows = x.reshape(len(x), -1)
    places = np.argsort(rows, 1)[:, ::-1][:, :top_k]
    found = [places, np.take_along_axis(rows, places, 1)] if out_max_val else [places]
    return np.stack(found, 1).reshape(len(x), len(found), top_k, *[1] * (x.ndim - 3))
