"""Layers that divide by what surrounds a value."""

import numpy as np

from .windows import pooling


def channels_along(values, axes):
    """One value for each channel, axis 1; a single axis has one channel."""
    return values.reshape((1, -1) + (1,) * (axes - 2)) if axes > 1 else values


def channel_axes(x):
    """All axes but the channels'."""
    return (0, *range(2, x.ndim))


def batch_norm(x, eps=1e-5):
    """With the mean and the variance of each channel in the batch."""
    mean = x.mean(channel_axes(x), keepdims=True)
    return (x - mean) / np.sqrt(x.var(channel_axes(x), keepdims=True) + eps)


def batch_norm_global(x, mean, variance, factor, eps=1e-5):
    """With stored sums: divided by the factor, they are the statistics. A factor of 0 makes them 0."""
    part = 0 if factor[0] == 0 else 1 / factor[0]
    mean, variance = (channels_along(values * part, x.ndim) for values in (mean, variance))
    return (x - mean) / np.sqrt(variance + eps)


def moving_statistics(x, mean, variance, factor, moving_average_fraction=0.999):
    """The stored sums after a batch, which enters with the unbiased variance."""
    m = x.size // (x.shape[1] if x.ndim > 1 else 1)
    now = x.mean(channel_axes(x)), x.var(channel_axes(x)) * (m / (m - 1) if m > 1 else 1)
    fraction = moving_average_fraction
    return [mean * fraction + now[0], variance * fraction + now[1], factor * fraction + 1]


def mvn(x, normalize_variance=True, across_channels=False, eps=1e-9):
    """Each item, or each of its channels, has mean 0 and deviation 1."""
    axes = tuple(range(1 if across_channels else 2, x.ndim))
    y = x - x.mean(axes, keepdims=True)
    return y / (np.sqrt((y**2).mean(axes, keepdims=True)) + eps) if normalize_variance else y


def mvn_gradient(dy, x, across_channels=False, eps=1e-9):
    """As in Caffe the deviation's own gradient knows nothing of eps: exact where eps is small."""
    axes = tuple(range(1 if across_channels else 2, x.ndim))
    y = mvn(x, across_channels=across_channels, eps=eps)
    centered = dy - dy.mean(axes, keepdims=True) - y * (dy * y).mean(axes, keepdims=True)
    return centered / (x.std(axes, keepdims=True) + eps)


def lrn(x, local_size=5, alpha=1.0, beta=0.75, k=1.0, norm_region="ACROSS_CHANNELS"):
    """Krizhevsky et al. 2012, section 3.3, with alpha divided by the number of values. Within a channel,
    where k is 1, they are those of a square."""
    half = local_size // 2
    if norm_region == "WITHIN_CHANNEL":
        squares = pooling(x**2, "AVE", kernel_size=local_size, pad=half)
        return x * (1 + alpha * squares) ** -beta
    padded = np.pad(x**2, [(0, 0), (half, half)] + [(0, 0)] * (x.ndim - 2))
    sums = sum(padded[:, i : i + x.shape[1]] for i in range(local_size))
    return x * (k + alpha / local_size * sums) ** -beta


def softmax(x, axis=1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
