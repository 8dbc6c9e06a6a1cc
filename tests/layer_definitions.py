"""What layers compute, stated plainly in NumPy: one function for each, from bottoms and parameters to tops.

They are the definitions that the engine is held to: loops and formulas, nothing clever, in double.
"""

import itertools

import numpy as np

# Element by element.


def elu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(x))


def exponential(x, base, scale, shift):
    inner = scale * x + shift
    return np.exp(inner) if base == -1 else base**inner


def logarithm(x, base, scale, shift):
    return np.log(scale * x + shift) / (1 if base == -1 else np.log(base))


def power(x, power, scale, shift):
    return (shift + scale * x) ** power


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def prelu(x, slopes):
    """One slope for each channel, or one for all."""
    return np.where(x > 0, x, x * slopes.reshape((1, -1) + (1,) * (x.ndim - 2)))


def quantize(x, centers):
    levels = np.asarray(centers)
    nearest = levels[np.abs(np.maximum(x, 0)[..., None] - levels).argmin(-1)]
    return np.where(x > 0, nearest, 0.0)


# Sums of products.


def convolution(x, weights, bias, stride, pad, dilation, group):
    """N x C x H x W with weights O x C/group x KH x KW; stride, pad and dilation are pairs."""
    n, channels, height, width = x.shape
    outputs, per_group, kh, kw = weights.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    oh = (height + 2 * pad[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (width + 2 * pad[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, outputs, oh, ow))
    for o, i, j in itertools.product(range(outputs), range(oh), range(ow)):
        first = o // (outputs // group) * per_group
        rows = i * stride[0] + dilation[0] * np.arange(kh)
        columns = j * stride[1] + dilation[1] * np.arange(kw)
        window = x[:, first : first + per_group][:, :, rows][:, :, :, columns]
        y[:, o, i, j] = (window * weights[o]).sum((1, 2, 3))
    return y + (0 if bias is None else bias.reshape(1, -1, 1, 1))


def deconvolution(x, weights, bias, stride, pad, dilation, group):
    """The transpose: each input adds its weighted kernel to the output. Weights C x O/group x KH x KW."""
    n, channels, height, width = x.shape
    _, per_group, kh, kw = weights.shape
    full = [
        (size - 1) * s + d * (k - 1) + 1
        for size, s, d, k in zip((height, width), stride, dilation, (kh, kw), strict=True)
    ]
    y = np.zeros((n, per_group * group, *full))
    for c, i, j in itertools.product(range(channels), range(height), range(width)):
        first = c // (channels // group) * per_group
        for a, b in itertools.product(range(kh), range(kw)):
            y[
                :, first : first + per_group, i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
            ] += x[:, c, i, j][:, None] * weights[c, :, a, b]
    y = y[:, :, pad[0] : full[0] - pad[0], pad[1] : full[1] - pad[1]]
    return y + (0 if bias is None else bias.reshape(1, -1, 1, 1))


def im2col(x, kernel, stride, pad, dilation):
    n, channels, height, width = x.shape
    identity = np.eye(channels * kernel[0] * kernel[1]).reshape(-1, channels, *kernel)
    return convolution(x, identity, None, stride, pad, dilation, 1)


def binarize(weights, use_alpha):
    alpha = np.abs(weights).reshape(len(weights), -1).mean(1) if use_alpha else np.ones(len(weights))
    return np.where(weights >= 0, 1, -1) * alpha.reshape((-1,) + (1,) * (weights.ndim - 1))


def inner_product(x, weights, bias, axis, transpose):
    rows = x.reshape(*x.shape[:axis], -1)
    return rows @ (weights if transpose else weights.T) + (0 if bias is None else bias)


# Windows.


def pooling(x, method, kernel, stride, pad, ceil):
    """Windows over the padded image; the padding counts in averages, what lies beyond it does not."""
    n, channels, height, width = x.shape
    sizes = []
    for size, k, s, p in zip((height, width), kernel, stride, pad, strict=True):
        steps = (size + 2 * p - k) / s
        pooled = int(np.ceil(steps) if ceil else np.floor(steps)) + 1
        if any(pad) and (pooled - 1) * s >= size + p:
            pooled -= 1  # a window that would begin in the padding after the image
        sizes.append(pooled)
    y = np.zeros((n, channels, *sizes))
    for i, j in itertools.product(*map(range, sizes)):
        begin = [a * s - p for a, s, p in zip((i, j), stride, pad, strict=True)]
        end = [
            min(b + k, size + p) for b, k, size, p in zip(begin, kernel, (height, width), pad, strict=True)
        ]
        area = (end[0] - begin[0]) * (end[1] - begin[1])
        window = x[:, :, max(begin[0], 0) : end[0], max(begin[1], 0) : end[1]]
        y[:, :, i, j] = window.max((2, 3)) if method == "MAX" else window.sum((2, 3)) / area
    return y


def lrn_across(x, size, alpha, beta, k):
    channels = x.shape[1]
    y = np.zeros_like(x)
    for c in range(channels):
        near = x[:, max(c - size // 2, 0) : c + size // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha / size * (near**2).sum(1)) ** beta
    return y


def lrn_within(x, size, alpha, beta):
    squares = pooling(x**2, "AVE", (size, size), (1, 1), ((size - 1) // 2,) * 2, True)
    return x * (1 + alpha * squares) ** -beta


# Shapes.


def crop(x, like, axis, offsets):
    """`offsets` is one for each axis from `axis` on."""
    index = [slice(None)] * axis
    for place, offset in enumerate(offsets, start=axis):
        index.append(slice(offset, offset + like.shape[place]))
    return x[tuple(index)]


def broadcast(x, other, axis):
    """`other` laid along the axes of x from `axis` on."""
    return other.reshape((1,) * axis + other.shape + (1,) * (x.ndim - axis - other.ndim))


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
