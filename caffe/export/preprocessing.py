"""What turns an image into the net's input, as the first nodes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from ..io import center_of
from .graph import Dimension, GraphBuilder

#: The kinds of an image's values.
ELEMENTS = {"float32": onnx.TensorProto.FLOAT, "uint8": onnx.TensorProto.UINT8}

LAYOUTS = ("NCHW", "NHWC")


@dataclass(frozen=True)
class Preprocessing:
    """From an image, red, green and blue from 0 to 255, to the net's input: (image - mean) * scale, blue,
    green and red.

    Args:
        mean: what to subtract, in the order of the net's channels: one value for all channels, one for each,
            or channels x height x width, whose middle is taken where it is larger than the input.
        scale: factor after that.
        raw_scale: factor before that; 255 for images from 0 to 1.
        swap: whether the net's channels are the image's in the opposite order; None: if there are three.
        element: "float32" or "uint8".
        layout: "NCHW" or "NHWC".
    """

    mean: np.ndarray | Sequence[float] | None = None
    scale: float = 1.0
    raw_scale: float = 1.0
    swap: bool | None = None
    element: str = "float32"
    layout: str = "NCHW"

    def __post_init__(self) -> None:
        if self.element not in ELEMENTS:
            raise ValueError(f"an image's values are {' or '.join(ELEMENTS)}, not {self.element!r}")
        if self.layout not in LAYOUTS:
            raise ValueError(f"an image's layout is {' or '.join(LAYOUTS)}, not {self.layout!r}")

    def add(
        self, graph: GraphBuilder, name: str, shape: Sequence[Dimension]
    ) -> tuple[onnx.ValueInfoProto, str]:
        """Adds the nodes.

        Args:
            graph: where to.
            name: the net's input, which the image has the name of.
            shape: its shape.

        Returns:
            The model's input, and the tensor that the net reads.

        Raises:
            ValueError: the input or the mean is not for images.
        """
        if len(shape) != 4 or not all(isinstance(size, int) for size in shape[1:]):
            raise ValueError(f"the net's input {name!r} takes no images, but {list(shape)}")
        items, channels, height, width = shape
        graph.scope = "preprocessing"
        image_shape = list(shape) if self.layout == "NCHW" else [items, height, width, channels]
        image = helper.make_tensor_value_info(name, ELEMENTS[self.element], image_shape)
        x = graph("Cast", name, to=onnx.TensorProto.FLOAT) if self.element == "uint8" else name
        if self.layout == "NHWC":
            x = graph("Transpose", x, perm=[0, 3, 1, 2])
        if channels == 3 if self.swap is None else self.swap:
            x = graph("Gather", x, graph.integers(list(range(channels))[::-1]), axis=1)
        if self.raw_scale != 1:
            x = graph("Mul", x, graph.constant(self.raw_scale))
        if self.mean is not None:
            x = graph("Sub", x, graph.constant(self._mean(name, shape), "mean"))
        if self.scale != 1:
            x = graph("Mul", x, graph.constant(self.scale))
        graph.scope = ""
        return image, x

    def _mean(self, name: str, shape: Sequence[Dimension]) -> np.ndarray:
        mean = np.atleast_1d(np.asarray(self.mean, np.float32))
        if mean.ndim == 1 and len(mean) in (1, shape[1]):
            return mean.reshape(-1, 1, 1)
        if mean.ndim == 3 and len(mean) == shape[1]:
            return center_of(mean, *shape[2:])
        raise ValueError(
            f"a mean of shape {list(mean.shape)} is not for the net's input {name!r}, {list(shape)[1:]}: "
            "give a value for each channel, or an image of the input's size"
        )
