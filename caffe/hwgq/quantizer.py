"""The half-wave Gaussian quantizer: the levels that lose least of a rectified standard normal variable.

After batch normalization a layer's sums are nearly standard normal, whatever the layer; so one quantizer
serves all (HWGQ-Net, Cai et al., CVPR 2017, section 4.2). Negative inputs become 0; a positive input
becomes the nearest of n positive levels. The levels minimize the mean squared error over positive inputs,
by Lloyd's algorithm ("Least squares quantization in PCM", 1982): thresholds half-way between levels, then
each level to the mean of what falls to it.

>>> optimal_quantizer(3).centers
(0.538, 1.076, 1.614)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

_GRID = 0.002  # of the steps that the paper searched


class Quantizer(NamedTuple):
    """Levels above 0, ascending; the thresholds between them; the mean squared error over positive inputs."""

    centers: tuple[float, ...]
    thresholds: tuple[float, ...]
    mse: float


def _moments(edges: np.ndarray) -> np.ndarray:
    """Mass, first and second moment of the density 2 phi(x) between successive edges: 3 x bins."""
    density = 2 * np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi)
    cumulative = np.array([math.erf(edge / math.sqrt(2)) for edge in edges])
    finite = np.where(np.isinf(edges), 0, edges)
    mass = np.diff(cumulative)
    return np.array([mass, -np.diff(density), mass - np.diff(finite * density)])


def _edges(centers: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], (centers[:-1] + centers[1:]) / 2, [np.inf]])


def mean_squared_error(centers: tuple[float, ...] | np.ndarray) -> float:
    """The mean of (Q(x) - x)^2 over positive standard normal x, for these levels."""
    levels = np.asarray(centers, dtype=float)
    mass, first, second = _moments(_edges(levels))
    return float((second - 2 * levels * first + levels**2 * mass).sum())


def lloyd(levels: int, uniform: bool = True, tolerance: float = 1e-12) -> np.ndarray:
    """The optimal levels to full precision, ascending.

    Args:
        levels: how many, without 0: 3 for 2-bit activations.
        uniform: multiples of one step, as integer arithmetic needs them, or any levels.
        tolerance: stop when no level moves by more.
    """
    if levels < 1:
        raise ValueError(f"a quantizer has at least one level above 0, not {levels}")
    multiples = np.arange(1, levels + 1, dtype=float)
    centers = multiples * (2 / levels)
    while True:
        mass, first, _ = _moments(_edges(centers))
        # With the thresholds held, the error is quadratic in the step, or in each level.
        better = multiples * (multiples @ first / (multiples**2 @ mass)) if uniform else first / mass
        if np.abs(better - centers).max() < tolerance:
            return better
        centers = better


def optimal_quantizer(levels: int, uniform: bool = True) -> Quantizer:
    """The optimal quantizer with its levels as the published nets have them: the step of a uniform one is a
    multiple of 0.002 (the exact one for three levels, 0.53881, becomes 0.538); other levels have three digits
    after the point."""
    exact = lloyd(levels, uniform)
    if uniform:
        step = round(float(exact[0]) / _GRID) * _GRID
        centers = tuple(round(step * i, 3) for i in range(1, levels + 1))
    else:
        centers = tuple(round(float(center), 3) for center in exact)
    thresholds = tuple((a + b) / 2 for a, b in zip(centers, centers[1:], strict=False))
    return Quantizer(centers, thresholds, mean_squared_error(centers))
