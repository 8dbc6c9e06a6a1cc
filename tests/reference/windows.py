"""Layers that look through a window which moves over the last axes: convolution, pooling, their kin."""

import itertools
import math

import numpy as np


def per_axis(value, axes, default):
    """One number for each spatial axis from none, one or as many."""
    values = list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
    return (values or [default]) * (axes if len(values) < 2 else 1)


def geometry(axes, kernel_size=None, stride=None, pad=None, dilation=None, **by_name):
    """Kernel, stride, pad and dilation of each axis."""
    given = [kernel_size, stride, pad, dilation]
    for i, name in enumerate(["kernel", "stride", "pad"]):
        if by_name.get(f"{name}_h") is not None or by_name.get(f"{name}_w") is not None:
            given[i] = [by_name.get(f"{name}_h") or 0, by_name.get(f"{name}_w") or 0]
    return [per_axis(*it) for it in zip(given, [axes] * 4, [None, 1, 0, 1], strict=True)]


def extent(kernel, dilation):
    """How far a dilated kernel reaches."""
    return [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]


def patches(x, axes, **window):
    """What the window sees: x of lead + sides to lead + kernel + output sides."""
    kernel, stride, pad, dilation = geometry(axes, **window)
    lead, sides = x.shape[:-axes], x.shape[-axes:]
    reach = extent(kernel, dilation)
    out = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(sides, pad, reach, stride, strict=True)]
    x = np.pad(x, [(0, 0)] * len(lead) + [(p, p) for p in pad])
    seen = np.empty((*lead, *kernel, *out))
    for offset in np.ndindex(*kernel):
        places = [
            slice(o * d, o * d + s * (n - 1) + 1, s)
            for o, d, s, n in zip(offset, dilation, stride, out, strict=True)
        ]
        seen[(..., *offset, *[slice(None)] * axes)] = x[(..., *places)]
    return seen


def im2col(x, axis=1, **window):
    """Each patch of all channels as a column."""
    axes = x.ndim - axis - 1
    seen = patches(x, axes, **window)
    return seen.reshape(*x.shape[:axis], -1, *seen.shape[-axes:])


def convolution(x, weights, bias=None, axis=1, group=1, **window):
    """Sums over the window and the channels of the group, for each output channel.

    x: items + channels + sides; weights: outputs x channels of a group x kernel.
    """
    axes = x.ndim - axis - 1
    items, channels = x.shape[:axis], x.shape[axis]
    outputs = weights.shape[0]
    seen = patches(x, axes, **window)
    out = seen.shape[-axes:]
    columns = seen.reshape(-1, group, channels // group * math.prod(weights.shape[2:]), math.prod(out))
    rows = weights.reshape(group, outputs // group, -1)
    y = np.einsum("gok,ngkp->ngop", rows, columns).reshape(*items, outputs, *out)
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def deconvolution(x, weights, bias=None, axis=1, group=1, **window):
    """The transpose of convolution: each input value adds the kernel, weighted by it, to the output.

    weights: channels of x x outputs of a group x kernel.
    """
    axes = x.ndim - axis - 1
    kernel, stride, pad, dilation = geometry(axes, **window)
    items, channels, sides = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    reach = extent(kernel, dilation)
    whole = [s * (n - 1) + r for n, s, r in zip(sides, stride, reach, strict=True)]
    per_group = weights.shape[1]
    y = np.zeros((math.prod(items), group, per_group, *whole))
    x = x.reshape(-1, group, channels // group, *sides)
    weights = weights.reshape(group, channels // group, per_group, *kernel)
    for offset in np.ndindex(*kernel):
        places = [
            slice(o * d, o * d + s * (n - 1) + 1, s)
            for o, d, s, n in zip(offset, dilation, stride, sides, strict=True)
        ]
        y[(..., *places)] += np.einsum("ngc...,gco->ngo...", x, weights[(..., *offset)])
    y = y.reshape(*items, group * per_group, *whole)
    y = y[(..., *[slice(p, n - p) for p, n in zip(pad, whole, strict=True)])]
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def binarized(weights, use_alpha=False, use_binarization=True):
    """One sign for each weight, and for each output one magnitude: the mean one, or 1."""
    if not use_binarization:
        return weights
    rows = weights.reshape(len(weights), -1)
    alpha = np.abs(rows).mean(1, keepdims=True) if use_alpha else 1
    return np.where(rows >= 0, alpha, -alpha).reshape(weights.shape)


def pooled_side(side, kernel, stride, pad, any_pad, round_mode="CEIL"):
    """Windows along a side. With padding, none begins behind the input and the padding before it."""
    rounded = math.floor if round_mode == "FLOOR" else math.ceil
    windows = rounded((side + 2 * pad - kernel) / stride) + 1
    if any_pad and (windows - 1) * stride >= side + pad:
        windows -= 1
    return windows


def pooling_windows(x, global_pooling=False, round_mode="CEIL", **window):
    """Output sides, and for each output place its window inside the input and its number of elements, the
    padding counted that it covers."""
    sides = x.shape[-2:]
    if global_pooling:
        kernel, stride, pad = list(sides), [1, 1], [0, 0]
    else:
        kernel, stride, pad, _ = geometry(2, **window)
    out = [
        pooled_side(n, k, s, p, any(pad), round_mode)
        for n, k, s, p in zip(sides, kernel, stride, pad, strict=True)
    ]
    places = []
    for at in itertools.product(*map(range, out)):
        begins = [i * s - p for i, s, p in zip(at, stride, pad, strict=True)]
        ends = [min(b + k, n + p) for b, k, n, p in zip(begins, kernel, sides, pad, strict=True)]
        size = math.prod(e - b for b, e in zip(begins, ends, strict=True))
        inside = tuple(slice(max(b, 0), min(e, n)) for b, e, n in zip(begins, ends, sides, strict=True))
        places.append((at, inside, size))
    return out, places


def pooling(x, pool="MAX", **window):
    """The largest or the mean value of each window. The mean counts padding as zeros."""
    out, places = pooling_windows(x, **window)
    y = np.empty((*x.shape[:-2], *out))
    for at, inside, size in places:
        seen = x[(..., *inside)]
        y[(..., *at)] = seen.max((-2, -1)) if pool == "MAX" else seen.sum((-2, -1)) / size
    return y


def pooling_mask(x, **window):
    """Where in its plane each largest value lies."""
    out, places = pooling_windows(x, **window)
    numbers = np.arange(math.prod(x.shape[-2:])).reshape(x.shape[-2:])
    mask = np.empty((*x.shape[:-2], *out))
    for at, inside, _ in places:
        seen = x[(..., *inside)]
        largest = seen.reshape(*x.shape[:-2], -1).argmax(-1)
        mask[(..., *at)] = numbers[inside].reshape(-1)[largest]
    return mask


def expected_pooling(x, **window):
    """Stochastic pooling in test: the mean of the window's values, each with its own value for a weight."""
    out, places = pooling_windows(x, **window)
    y = np.empty((*x.shape[:-2], *out))
    for at, inside, _ in places:
        seen = x[(..., *inside)]
        y[(..., *at)] = (seen**2).sum((-2, -1)) / seen.sum((-2, -1))
    return y


def spp_window(side, bins):
    """Kernel and padding with which so many windows cover a side."""
    kernel = math.ceil(side / bins)
    return kernel, (kernel * bins - side + 1) // 2


def spp(x, pyramid_height, pool="MAX"):
    """Spatial pyramid pooling: level l has 2^l x 2^l windows; all levels flat, one after the other. A single
    level is pooling over everything."""
    if pyramid_height == 1:
        return pooling(x, pool, global_pooling=True)
    levels = []
    for level in range(pyramid_height):
        kernel, pad = zip(*[spp_window(side, 2**level) for side in x.shape[-2:]], strict=True)
        pooled = pooling(x, pool, kernel_size=kernel, stride=kernel, pad=pad)
        levels.append(pooled.reshape(len(x), -1))
    return np.concatenate(levels, 1)
