"""Handwritten digits for the examples: those that come with scikit-learn, or MNIST."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from caffe import idx

ROOT = pathlib.Path(__file__).resolve().parents[1]

#: Images (items, 28, 28) of bytes, and their labels.
Part = tuple[np.ndarray, np.ndarray]


def digits() -> tuple[Part, Part]:
    """scikit-learn's digits, 1,797 images of 8 x 8, as 28 x 28 bytes: 1,437 to train with and 360 to test."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    small, labels = load_digits(return_X_y=True)
    small = small.reshape(-1, 8, 8)
    large = zoom(small, (1, 28 / 8, 28 / 8), order=1, grid_mode=True, mode="nearest")
    images = np.clip(np.rint(large * (255 / 16)), 0, 255).astype(np.uint8)
    train, test = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    return (images[train], labels[train]), (images[test], labels[test])


def mnist(folder: str | os.PathLike) -> tuple[Part, Part]:
    """MNIST from its idx files: 60,000 images to train with and 10,000 to test."""

    def part(name: str) -> Part:
        return (
            idx.read(idx.find(folder, f"{name}-images-idx3-ubyte"), dimensions=3),
            idx.read(idx.find(folder, f"{name}-labels-idx1-ubyte"), dimensions=1),
        )

    return part("train"), part("t10k")


def load() -> tuple[str, Part, Part]:
    """The name of the data set, what to train with and what to test with: MNIST where MNIST_DIR or data/mnist
    has it."""
    for folder in filter(None, (os.environ.get("MNIST_DIR"), ROOT / "data/mnist")):
        if idx.find(folder, "train-images-idx3-ubyte"):
            return "MNIST", *mnist(folder)
    return "scikit-learn's digits", *digits()
