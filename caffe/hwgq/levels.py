"""Quantizers in integers: their levels, and integer thresholds of what is normalized and then quantized."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .graph import Quantizer

_TOLERANCE = 1e-6  # relative; of numbers that were written in decimal and are kept as floats
_MOST_DECIMALS = 4

_LEAST_INT32, _MOST_INT32 = -(2**31), 2**31 - 1


def integer_levels(values: Sequence[float], most: int) -> tuple[np.ndarray, float]:
    """Integers in the proportion of a quantizer's values, and the unit that they are multiples of.

    Those of a uniform quantizer are 0, 1, ..., n; others are exact where the values are short decimal
    numbers, else as fine as ``most``, the largest integer allowed, admits.

    >>> integer_levels([0, 0.5, 1.0, 1.5], 1000)
    (array([0, 1, 2, 3], dtype=int32), 0.5)
    >>> integer_levels([0, 0.45, 1.5], 1000)
    (array([ 0,  3, 10], dtype=int32), 0.15)
    """
    if list(values) == [-1, 1]:
        return np.array([-1, 1], np.int32), 1.0
    exact = np.asarray(values, float)
    steps = np.arange(len(exact))
    unit = float(exact[-1]) / (len(exact) - 1)
    if _alike(exact, steps * unit):
        return steps.astype(np.int32), unit
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = np.round(exact * 10**decimals)
        if scaled[1] > 0 and _alike(exact, scaled / 10**decimals):
            common = math.gcd(*map(int, scaled))
            levels = scaled / common
            if levels[-1] <= most:
                return levels.astype(np.int32), common / 10**decimals
    unit = float(exact[-1]) / most
    return np.round(exact / unit).astype(np.int32), unit


def _alike(values: np.ndarray, others: np.ndarray) -> bool:
    return bool((np.abs(values - others) <= _TOLERANCE * np.abs(values)).all())


def integer_thresholds(factor: np.ndarray, offset: np.ndarray, quantizer: Quantizer) -> np.ndarray:
    """For each threshold and channel, the least integer s for which factor s + offset reaches the next level.

    Args:
        factor: one a channel, none negative.
        offset: likewise.

    Returns:
        int32, thresholds x channels. What every integer or none reaches is the least or the largest int32.
    """
    rows = []
    for threshold in quantizer.thresholds:
        limit = 0.0 if quantizer.closed else threshold

        def reached(s: np.ndarray, limit: float = limit) -> np.ndarray:
            value = factor * s + offset
            return value >= limit if quantizer.closed else value > limit

        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = np.nan_to_num((limit - offset) / factor)
        # From below where rounding may have put it.
        least = np.clip(np.floor(crossing) - 1, _LEAST_INT32, _MOST_INT32)
        for _ in range(3):
            least = np.where(reached(least), least, least + 1)
        constant = np.where(reached(np.zeros_like(offset)), _LEAST_INT32, _MOST_INT32)
        least = np.where(factor == 0, constant, least)
        rows.append(np.clip(least, _LEAST_INT32, _MOST_INT32))
    return np.array(rows).astype(np.int32)
