"""Losses, and the accuracy."""

import numpy as np

from .elementwise import sigmoid
from .normalization import softmax


def normalizer(mode, outer, inner, valid):
    """What a sum over all places is divided by, never less than 1."""
    return max(1, {"FULL": outer * inner, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1}[mode])


def chosen_mode(default, normalization=None, normalize=None):
    """The new field before the old one."""
    if normalization is not None:
        return normalization
    return default if normalize is None else "VALID" if normalize else "BATCH_SIZE"


def places(x, label, axis, ignore_label=None):
    """The values as rows of classes, the labels in the same order, and which of them count."""
    rows = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    label = label.reshape(-1).astype(int)
    return rows, label, np.ones(len(label), bool) if ignore_label is None else label != ignore_label


def infogain_loss(x, label, matrix, axis=1, ignore_label=None, **mode):
    """Minus the log probabilities of all classes, weighted with the label's row of the matrix."""
    axis %= x.ndim
    rows, label, counts = places(softmax(x, axis), label, axis, ignore_label)
    outer = int(np.prod(x.shape[:axis]))
    total = -(matrix.reshape(x.shape[axis], -1)[label[counts]] * np.log(rows[counts])).sum()
    return total / normalizer(chosen_mode("VALID", **mode), outer, len(label) // outer, counts.sum())


def softmax_loss(x, label, axis=1, **more):
    """Infogain with the unit matrix."""
    return infogain_loss(x, label, np.eye(x.shape[axis]), axis, **more)


def multinomial_logistic_loss(probabilities, label):
    rows = probabilities.reshape(len(probabilities), -1)
    return -np.log(rows[np.arange(len(rows)), label.reshape(-1).astype(int)]).mean()


def sigmoid_cross_entropy_loss(x, target, ignore_label=None, **mode):
    """Targets are probabilities."""
    counts = np.ones(x.shape, bool) if ignore_label is None else target != ignore_label
    p = sigmoid(x)
    total = -(target * np.log(p) + (1 - target) * np.log(1 - p))[counts].sum()
    outer = len(x)
    return total / normalizer(chosen_mode("BATCH_SIZE", **mode), outer, x.size // outer, counts.sum())


def euclidean_loss(a, b):
    return ((a - b) ** 2).sum() / (2 * len(a))


def hinge_loss(x, label, norm="L1"):
    """One against all."""
    rows = x.reshape(len(x), -1)
    sign = np.where(np.arange(rows.shape[1]) == label.reshape(-1, 1), 1, -1)
    short = np.maximum(0, 1 - sign * rows)
    return (short**2 if norm == "L2" else short).sum() / len(x)


def contrastive_loss(a, b, similar, margin=1.0, legacy_version=False):
    """Hadsell et al. 2006. The old version compares the squared distance with the margin."""
    squared = ((a - b) ** 2).reshape(len(a), -1).sum(1)
    apart = np.maximum(margin - squared, 0) if legacy_version else np.maximum(margin - squared**0.5, 0) ** 2
    return np.where(similar.reshape(-1) != 0, squared, apart).sum() / (2 * len(a))


def accuracy(x, label, top_k=1, axis=1, ignore_label=None):
    """The part of all places, and of those of each class, whose own class is among the top_k: no more than so
    many classes, itself included, have no smaller value. 0 of nothing."""
    rows, label, counts = places(x, label, axis, ignore_label)
    rows, label = rows[counts], label[counts]
    right = (rows >= np.take_along_axis(rows, label[:, None], 1)).sum(1) <= top_k
    parts = [right, *[right[label == c] for c in range(rows.shape[1])]]
    whole, *of_class = [np.mean(part) if len(part) else 0 for part in parts]
    return whole, np.array(of_class)
