"""Normalization, probabilities, losses, recurrence."""

import numpy as np

from . import windows


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lrn_across(x, size, alpha, beta, k):
    channels = x.shape[1]
    y = np.zeros_like(x)
    for c in range(channels):
        near = x[:, max(c - size // 2, 0) : c + size // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha / size * (near**2).sum(1)) ** beta
    return y


def lrn_within(x, size, alpha, beta):
    squares = windows.pooling(x**2, "AVE", kernel_size=size, stride=1, pad=(size - 1) // 2)
    return x * (1 + alpha * squares) ** -beta


# Normalization.


def batch_norm(x, mean, variance, eps):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps)


def mvn(x, across, variance, eps):
    axes = tuple(range(1 if across else 2, x.ndim))
    centered = x - x.mean(axes, keepdims=True)
    return centered / (np.sqrt((centered**2).mean(axes, keepdims=True)) + eps) if variance else centered


# Probabilities and losses.


def softmax(x, axis):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def normalizer(mode, outer, inner, valid):
    counts = {"FULL": outer * inner, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1}
    return max(counts[mode], 1)


def labels_at(x, labels, axis):
    """The scores moved so that classes are the last axis, as rows, and the labels in the same order."""
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), labels.reshape(-1).astype(int)


def softmax_loss(x, labels, axis, ignore, mode):
    rows, classes = labels_at(softmax(x, axis), labels, axis)
    kept = classes != (np.nan if ignore is None else ignore)
    outer = int(np.prod(x.shape[:axis]))
    total = -np.log(rows[kept, classes[kept]]).sum()
    return total / normalizer(mode, outer, len(classes) // outer, kept.sum())


def infogain_loss(x, labels, matrix, axis, ignore, mode):
    rows, classes = labels_at(softmax(x, axis), labels, axis)
    kept = classes != (np.nan if ignore is None else ignore)
    outer = int(np.prod(x.shape[:axis]))
    total = -(matrix[classes[kept]] * np.log(rows[kept])).sum()
    return total / normalizer(mode, outer, len(classes) // outer, kept.sum())


def sigmoid_loss(x, targets, ignore, mode):
    kept = targets != (np.nan if ignore is None else ignore)
    p = sigmoid(x)
    total = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))[kept].sum()
    return total / normalizer(mode, len(x), x[0].size, kept.sum())


def hinge_loss(x, labels, norm):
    rows = x.reshape(len(x), -1)
    signs = np.where(np.arange(rows.shape[1]) == labels.reshape(-1, 1), 1, -1)
    missed = np.maximum(0, 1 - signs * rows)
    return (missed**2 if norm == "L2" else missed).sum() / len(x)


def contrastive_loss(a, b, similar, margin, legacy):
    squared = ((a - b) ** 2).reshape(len(a), -1).sum(1)
    if legacy:
        apart = np.maximum(margin - squared, 0)
    else:
        apart = np.maximum(margin - np.sqrt(squared), 0) ** 2
    return np.where(similar.reshape(-1) != 0, squared, apart).sum() / len(a) / 2


def accuracy(x, labels, axis, top_k, ignore):
    rows, classes = labels_at(x, labels, axis)
    kept = [i for i in range(len(rows)) if classes[i] != ignore]
    hits = [(rows[i] >= rows[i, classes[i]]).sum() <= top_k for i in kept]
    return np.mean(hits) if kept else 0.0


# Recurrence.


def lstm(x, cont, w_x, b, w_h):
    """T x N x I; gates are input, forget, output, candidate."""
    steps, n, _ = x.shape
    hidden = w_h.shape[1]
    h, c = np.zeros((n, hidden)), np.zeros((n, hidden))
    out = []
    for t in range(steps):
        going_on = cont[t][:, None]
        gates = x[t] @ w_x.T + b + (h * going_on) @ w_h.T
        i, f, o = (sigmoid(gates[:, k * hidden : (k + 1) * hidden]) for k in range(3))
        g = np.tanh(gates[:, 3 * hidden :])
        c = going_on * f * c + i * g
        h = o * np.tanh(c)
        out.append(h)
    return np.array(out)


def rnn(x, cont, w_x, b_h, w_h, w_o, b_o):
    steps, n, _ = x.shape
    h = np.zeros((n, w_h.shape[0]))
    out = []
    for t in range(steps):
        h = np.tanh((h * cont[t][:, None]) @ w_h.T + x[t] @ w_x.T + b_h)
        out.append(np.tanh(h @ w_o.T + b_o))
    return np.array(out)
