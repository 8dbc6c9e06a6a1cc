"""Functions of single elements."""

import numpy as np


def relu(x, negative_slope=0.0):
    return np.where(x > 0, x, negative_slope * x)


def prelu(x, slope):
    """One slope for each channel (axis 1), or one for all."""
    if slope.ndim:
        slope = slope.reshape((-1,) + (1,) * (x.ndim - 2))
    return np.where(x > 0, x, slope * x)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def tanh(x):
    return np.tanh(x)


def absval(x):
    return np.abs(x)


def bnll(x):
    """Binomial normal log likelihood."""
    return np.logaddexp(0, x)


def swish(x, beta=1.0):
    return x * sigmoid(beta * x)


def clip(x, min, max):
    return np.clip(x, min, max)


def power(x, power=1.0, scale=1.0, shift=0.0):
    return (shift + scale * x) ** power


def exp(x, base=-1.0, scale=1.0, shift=0.0):
    """A base of -1 stands for e."""
    return (np.e if base == -1 else base) ** (shift + scale * x)


def log(x, base=-1.0, scale=1.0, shift=0.0):
    return np.log(shift + scale * x) / (1 if base == -1 else np.log(base))


def threshold(x, threshold=0.0):
    return np.where(x > threshold, 1.0, 0.0)


def quant(x, forward_func="hwgq", centers=(), negative_slope=0.0, **backward):
    """The half-wave Gaussian quantizer and its kin."""
    if forward_func == "sign":
        return np.where(x >= 0, 1.0, -1.0)
    if forward_func == "hard_tanh":
        return np.clip(x, -1, 1)
    if forward_func == "relu":
        return relu(x, negative_slope)
    centers = np.asarray(centers)
    between = (centers[:-1] + centers[1:]) / 2
    return np.where(x > 0, centers[np.searchsorted(between, x)], -negative_slope)


def quant_gradient(dy, x, backward_func="relu", clip_thr=0.0, negative_slope=0.0, **forward):
    """What stands in for the derivative of the quantizer, which is zero nearly everywhere."""
    end = clip_thr if clip_thr > 0 else np.inf
    if backward_func == "hard_tanh":
        return np.where(np.abs(x) <= end, dy, 0)
    inside = dy * np.where(x > 0, 1, negative_slope)
    if backward_func == "log_tailed_relu":
        return np.where(x > end, dy / (1 + np.maximum(x - end, 0)), inside)
    return np.where(x > end, 0, inside)
