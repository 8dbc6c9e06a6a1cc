"""Goes through a net's layers and writes each as nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .graph import GraphBuilder
from .source import Layer, Source

#: Called with the number of layers that are done and of all.
Progress = Callable[[int, int], None]

Translator = Callable[["Translation", Layer], Sequence[str]]

#: What writes a layer, by its type.
TRANSLATORS: dict[str, Translator] = {}

#: Types that ONNX cannot express, with the reason.
REFUSED = {"Python": "what a layer written in Python computes, only Python knows"}


def writes(*types: str) -> Callable[[Translator], Translator]:
    """Marks the function that writes layers of some types and returns the tensors of their tops."""

    def register(translator: Translator) -> Translator:
        TRANSLATORS.update(dict.fromkeys(types, translator))
        return translator

    return register


@dataclass(frozen=True)
class Levels:
    """The values that a quantized tensor holds: integers times a unit."""

    #: The largest integer; the least is 0, or -1 where they are signs.
    most: int
    unit: float
    signs: bool = False


class Translation:
    """The graph while it is made.

    Args:
        source: what to write.
        graph: where to.
        form: how layers of low precision are written, one of :data:`caffe.export.FORMS`.
    """

    def __init__(self, source: Source, graph: GraphBuilder, form: str) -> None:
        self.source = source
        self.graph = graph
        self.form = form
        #: The tensor that holds a blob, as far as the layers are done.
        self.tensors: dict[int, str] = {}
        #: What is known of tensors with few levels.
        self.levels: dict[str, Levels] = {}
        self._matrices: dict[tuple[str, int], str] = {}
        #: The same values by way of codes.
        self.quantized: dict[str, str] = {}
        #: How many products read a tensor with few levels.
        self.multiplied: dict[str, int] = {}

    def run(self, progress: Progress | None = None) -> None:
        """Writes all layers.

        Raises:
            ValueError: a layer cannot be expressed; it names it.
        """
        writers: dict[int, int] = {}
        for layer in self.source.layers:
            for top in layer.tops:
                writers[top] = writers.get(top, 0) + 1
        for done, layer in enumerate(self.source.layers):
            self.graph.scope = layer.name
            tops = self._tops(layer)
            for top, tensor in zip(layer.tops, tops, strict=True):
                writers[top] -= 1
                self._name(layer, top, tensor, is_last=not writers[top])
                self.tensors[top] = tensor
            if progress:
                progress(done + 1, len(self.source.layers))
        self.graph.scope = ""

    def _tops(self, layer: Layer) -> Sequence[str]:
        if layer.type in REFUSED:
            raise layer.refusal(REFUSED[layer.type])
        if layer.type not in TRANSLATORS:
            raise layer.refusal("nothing is known of what this type of layer computes")
        layer.inputs = [self.tensors[bottom] for bottom in layer.bottoms]
        layer.bottom_shapes = [self.source.shapes[bottom] for bottom in layer.bottoms]
        layer.bottom_free = [self.source.free[bottom] for bottom in layer.bottoms]
        layer.top_shapes = [self.source.shapes[top] for top in layer.tops]
        layer.top_free = [self.source.free[top] for top in layer.tops]
        for blob in layer.blobs:
            if not np.isfinite(blob).all():
                raise layer.refusal("it has parameters that are not finite")
        return TRANSLATORS[layer.type](self, layer)

    def _name(self, layer: Layer, top: int, tensor: str, is_last: bool) -> None:
        """A blob's name is that of its last value; those before it in place get the layer's name, too."""
        node = self.graph.producer(tensor)
        if node is None or self.graph.is_renamed(tensor):
            return
        blob = self.source.blob_names[top]
        self.graph.rename(tensor, blob if is_last else f"{blob}_{layer.name}")
        self.graph.declare(tensor, self.source.dimensions(top))

    def reshape(self, tensor: str, shape: Sequence[int], free: frozenset[int]) -> str:
        """A tensor in another shape, at most one of whose axes depends on the batch."""
        sizes = [-1 if axis in free else size for axis, size in enumerate(shape)]
        return self.keep_levels(tensor, self.graph("Reshape", tensor, self.graph.integers(sizes)))

    def matrix(self, tensor: str, axis: int) -> str:
        """A tensor with the axes before ``axis`` as one and the others as another; once for all who ask."""
        if (tensor, axis) not in self._matrices:
            self._matrices[tensor, axis] = self.keep_levels(tensor, self.graph("Flatten", tensor, axis=axis))
        return self._matrices[tensor, axis]

    def to_top(self, layer: Layer, tensor: str, top: int = 0) -> str:
        """A tensor in the shape of one of the layer's tops."""
        return self.reshape(tensor, layer.top_shapes[top], layer.top_free[top])

    def keep_levels(self, tensor: str, result: str) -> str:
        """The result, which holds nothing but values of the tensor."""
        if tensor in self.levels:
            self.levels[result] = self.levels[tensor]
        return result

    def scaled(self, tensor: str, factor: float) -> str:
        """A tensor times a number."""
        return tensor if factor == 1 else self.graph("Mul", tensor, self.graph.constant(factor))

    def shifted(self, tensor: str, offset: float) -> str:
        """A tensor and a number."""
        return tensor if offset == 0 else self.graph("Add", tensor, self.graph.constant(offset))

    def indices(self, tensor: str) -> str:
        """A tensor of floats that stand for indices, as integers."""
        return self.graph("Cast", tensor, to=7)
