"""What the tensors of a graph are, as far as it has been read.

Many nodes make no layer by themselves: a padding goes into the convolution that reads it, a product with a
constant into a Scale layer with the sum behind it. Such values are kept as they are until something needs a
blob.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..proto import caffe_pb2
from .graph import Node

Shape = tuple[int, ...]


@dataclass(eq=False, kw_only=True)
class Value:
    """A tensor.

    Args:
        shape: its sizes, the batch included.
        readers: how many nodes and outputs read it.
        node: what made it, for names.
    """

    shape: Shape
    readers: int = 1
    node: Node | None = None


@dataclass(eq=False, kw_only=True)
class Constant(Value):
    """A tensor whose values are known."""

    array: np.ndarray
    #: The initializer that it is, "" for others.
    name: str = ""


@dataclass(eq=False, kw_only=True)
class Blob(Value):
    """What a layer has made."""

    name: str
    layer: caffe_pb2.LayerParameter | None = None
    #: All values that it can have, ascending; None where they are not few.
    levels: np.ndarray | None = None
    #: Whether it has none below 0.
    positive: bool = False
    #: Where it holds integers times a unit: the unit, and of each channel the least and largest integer.
    grid: tuple[float, np.ndarray, np.ndarray] | None = None
    #: Of the result of a product: what it was computed of, if that had been put into another shape for it.
    source: Reshaped | None = None


@dataclass(eq=False, kw_only=True)
class Affine(Value):
    """factor x + offset of a blob of the same shape; both have its number of axes, or none."""

    base: Blob
    factor: np.ndarray
    offset: np.ndarray


@dataclass(eq=False, kw_only=True)
class Steps(Value):
    """values[j] for x above j of the ascending thresholds."""

    base: Blob
    thresholds: np.ndarray
    values: np.ndarray
    #: The steps whose values these were, before they became codes and the like.
    first: Steps | None = None


@dataclass(eq=False, kw_only=True)
class Recoded(Value):
    """A value of few levels, each of which has become another."""

    base: Blob | Flattened | Reshaped
    values: np.ndarray


@dataclass(eq=False, kw_only=True)
class Coded(Value):
    """A value as codes that hold all of it: (code - zero) scale."""

    base: Value
    scale: np.ndarray
    zero: np.ndarray


@dataclass(eq=False, kw_only=True)
class Above(Value):
    """Whether x is above a threshold, or, negated, whether it is not."""

    base: Blob
    threshold: np.float32
    negated: bool = False

    def steps(self, above: np.ndarray | float, below: np.ndarray | float) -> Steps:
        """The one number where this holds, else the other."""
        values = [above, below] if self.negated else [below, above]
        return Steps(
            shape=self.shape,
            base=self.base,
            thresholds=np.array([self.threshold], np.float32),
            values=np.array(values, np.float32),
        )


@dataclass(eq=False, kw_only=True)
class Padded(Value):
    """An image with zeros around it: so many before and behind along each axis after the channels."""

    base: Blob
    before: list[int]
    behind: list[int]


@dataclass(eq=False, kw_only=True)
class Flattened(Value):
    """All axes but the first as one."""

    base: Blob | Transposed


@dataclass(eq=False, kw_only=True)
class Reshaped(Value):
    """A blob's values in another shape, of which those with all axes but the first as one are Flattened."""

    base: Blob
    #: The axis that takes up what the others leave, where the graph leaves it open.
    open_axis: int | None = None


@dataclass(eq=False, kw_only=True)
class Transposed(Value):
    """Axis i is the base's axis order[i]."""

    base: Blob
    order: tuple[int, ...]


@dataclass(eq=False, kw_only=True)
class Whole(Value):
    """Values as integers: they are to be indices, which Caffe has as floats."""

    base: Value


@dataclass(eq=False, kw_only=True)
class NotZero(Value):
    """Whether a value is something else than 0."""

    base: Value


@dataclass(eq=False, kw_only=True)
class Backwards(Value):
    """A value whose axis begins at its end."""

    base: Value
    axis: int


@dataclass(eq=False, kw_only=True)
class Largest(Value):
    """The largest of an axis, in their order."""

    base: Value
    axis: int
    count: int
    #: What finds them.
    of: Node
    #: "values", "places", "places from the end", or "both": places and then values.
    what: str


@dataclass(eq=False, kw_only=True)
class InPlanes(Value):
    """Places that are counted over all planes; the base has them within each, of so many."""

    base: Blob
    size: int


@dataclass(eq=False, kw_only=True)
class Gate(Value):
    """The sigmoid of a value."""

    base: Value


def levels_of(value: Value | None) -> np.ndarray | None:
    """All values that a blob can have, in any shape; None where they are not few."""
    if isinstance(value, Flattened | Reshaped):
        value = value.base
    return value.levels if isinstance(value, Blob) else None


def neat(value: float) -> float:
    """The number that people would have written, where it is the same but for rounding."""
    short = float(f"{value:.6g}")
    return short if abs(short - value) <= 2e-7 * abs(value) else float(value)
