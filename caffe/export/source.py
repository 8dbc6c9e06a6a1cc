"""A net as what is to be exported: which layers, between which inputs and outputs, with which shapes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import _caffe
from ..hwgq.binarize import DATA_TYPES, load_all
from ..proto import caffe_pb2
from ..pycaffe import Net
from ..summary import open_without_data

#: Layers that fill blobs from outside.
SOURCE_TYPES = DATA_TYPES | {"Input"}

#: Losses whose first part is what a deployed net ends with.
ENDINGS = {
    "InfogainLoss": "Softmax",
    "SigmoidCrossEntropyLoss": "Sigmoid",
    "SoftmaxWithLoss": "Softmax",
}

#: Layers without tops.
SINK_TYPES = {"HDF5Output", "Silence"}

_DYNAMIC_TYPES = {"Filter"}


def is_measure(type: str) -> bool:
    """Whether a type of layer compares predictions with labels."""
    return type.endswith("Loss") or type == "Accuracy"


@dataclass(eq=False)
class Layer:
    """A layer of the net. Blobs are numbered as in the net: a layer in place has a bottom for its top."""

    name: str
    type: str
    param: caffe_pb2.LayerParameter
    bottoms: list[int]
    tops: list[int]
    #: Its parameters.
    blobs: list[np.ndarray]
    #: Names of the tensors that hold its bottoms; set when its turn has come.
    inputs: list[str] = field(default_factory=list)
    #: Shapes of its bottoms and tops, and which of their axes depend on the batch.
    bottom_shapes: list[tuple[int, ...]] = field(default_factory=list)
    top_shapes: list[tuple[int, ...]] = field(default_factory=list)
    bottom_free: list[frozenset[int]] = field(default_factory=list)
    top_free: list[frozenset[int]] = field(default_factory=list)

    def refusal(self, why: str) -> ValueError:
        """The error that says that ONNX cannot express the layer."""
        return ValueError(f"layer {self.name!r} ({self.type}) cannot be exported to ONNX: {why}")


def open_net(
    model: str | os.PathLike,
    weights: str | os.PathLike | None,
    input_shapes: Mapping[str, Sequence[int]] | None,
) -> tuple[Net, str]:
    """A net in its test phase, with the parameters of a file or else as its fillers make them; and its name.

    Raises:
        caffe.Error: a file cannot be read, no net can be made of it, or the weights do not fit.
        ValueError: an input's shape is not known, or the weights lack a layer.
    """
    net, definition = open_without_data(model, input_shapes=input_shapes, fill=weights is None)
    if weights is not None:
        load_all(net, weights)
    return net, definition.name


class Source:
    """The layers of a net that are exported, its inputs and outputs.

    Layers for training go: losses and accuracies, and what is computed of labels only. A loss with a softmax
    or a sigmoid leaves that behind.

    Args:
        net: in its test phase.
        batch: size of the batch; None keeps the net's.
    """

    def __init__(self, net: Net, batch: int | None = None) -> None:
        self._net = net
        everything = [
            Layer(
                name,
                layer.type,
                caffe_pb2.LayerParameter.FromString(layer.layer_param.SerializeToString()),
                list(net._bottom_ids(i)),
                list(net._top_ids(i)),
                [blob.data for blob in layer.blobs],
            )
            for i, (name, layer) in enumerate(zip(net._layer_names, net.layers, strict=True))
        ]
        if any(layer.param.phase == caffe_pb2.TRAIN for layer in everything):
            raise ValueError("the net is in its training phase: make it with caffe.TEST")
        #: Names of the blobs, by their numbers.
        self.blob_names: list[str] = list(net._blob_names)
        #: What is exported, in order.
        self.layers = _without_measures(everything, _labels(everything))
        read = {bottom for layer in self.layers for bottom in layer.bottoms}
        sources = {top for layer in everything if layer.type in SOURCE_TYPES for top in layer.tops}
        #: Blobs that are filled from outside.
        self.inputs: list[int] = sorted(sources & read)
        self.shapes: list[tuple[int, ...]] = []
        #: For each blob the axes that depend on the batch.
        self.free: list[frozenset[int]] = []
        #: Why the batch is fixed; empty where it is free.
        self.fixed_because = ""
        self._measure_shapes(batch)
        self._end()
        #: Blobs that the model gives out.
        self.outputs: list[int] = _outputs(everything, self.layers, set(net._outputs))

    def dimensions(self, blob: int) -> list[int | str | None]:
        """A blob's shape, with names for what depends on the batch, and None for what depends on values."""
        return [
            self._named(size) if axis in self.free[blob] else size
            for axis, size in enumerate(self.shapes[blob])
        ]

    def _named(self, size: int) -> str | None:
        if self.fixed_because:
            return None
        if size == self.batch:
            return "batch"
        return f"{size // self.batch}*batch" if size % self.batch == 0 else f"batch+{size - self.batch}"

    def _end(self) -> None:
        """Gives losses that become probabilities a blob for these."""
        endings = [layer for layer in self.layers if layer.type in ENDINGS]
        for layer in endings:
            bottom = layer.bottoms[0]
            if layer.type == "InfogainLoss":
                layer.param.softmax_param.axis = layer.param.infogain_loss_param.axis
            layer.type = ENDINGS[layer.type]
            if len(layer.tops) > 1:
                layer.tops = layer.tops[1:]
                continue
            layer.tops = [len(self.blob_names)]
            self.blob_names.append("prob" if len(endings) == 1 else f"{layer.name}_prob")
            self.shapes.append(self.shapes[bottom])
            self.free.append(self.free[bottom])

    # ------------------------------------------------------------------ shapes

    def _measure_shapes(self, batch: int | None) -> None:
        """Finds the shapes, and which axes grow with the batch: by growing it."""
        net = self._net
        before = [tuple(blob.shape) for blob in net._blobs]
        dynamic = self._dynamic()
        #: Size of the batch for which the shapes are.
        self.batch = before[self.inputs[0]][0] if self.inputs and before[self.inputs[0]] else 1
        if dynamic or not self.inputs or not before[self.inputs[0]]:
            self.fixed_because = "it has layers whose output depends on values" if dynamic else "no inputs"
            if batch is not None:
                raise ValueError(f"the batch cannot be set: {self.fixed_because}")
            self.shapes = before
            self.free = [frozenset({0}) if blob in dynamic else frozenset() for blob in range(len(before))]
            return
        growing = [blob for blob in self._all_sources() if before[blob][:1] == (self.batch,)]
        try:
            if batch is not None and batch != self.batch:
                try:
                    self._reshape(growing, batch)
                except _caffe.Error as error:
                    raise ValueError(f"the net cannot have a batch of {batch}: {error}") from error
                self.batch = batch
            self.shapes = [tuple(blob.shape) for blob in net._blobs]
            self.free = [frozenset()] * len(before)
            if batch is None:
                try:
                    self._reshape(growing, self.batch + 1)
                    self._compare([tuple(blob.shape) for blob in net._blobs])
                except _caffe.Error as error:
                    self.fixed_because = " ".join(str(error).split())
        finally:
            for blob in growing:
                net._blobs[blob].reshape(*before[blob])
            net.reshape()

    def _all_sources(self) -> list[int]:
        return [
            top
            for i, layer in enumerate(self._net.layers)
            if layer.type in SOURCE_TYPES
            for top in self._net._top_ids(i)
        ]

    def _reshape(self, blobs: Sequence[int], batch: int) -> None:
        for blob in blobs:
            self._net._blobs[blob].reshape(batch, *tuple(self._net._blobs[blob].shape)[1:])
        self._net.reshape()

    def _compare(self, grown: Sequence[tuple[int, ...]]) -> None:
        free = [
            frozenset(axis for axis, (one, other) in enumerate(zip(a, b, strict=True)) if one != other)
            for a, b in zip(self.shapes, grown, strict=True)
        ]
        exported = {blob for layer in self.layers for blob in (*layer.bottoms, *layer.tops)}
        for blob in exported:
            if len(free[blob]) > 1:
                self.fixed_because = f"several axes of {self.blob_names[blob]!r} depend on it"
                return
        self.free = free

    def _dynamic(self) -> set[int]:
        """Blobs whose number of items depends on values."""
        dynamic: set[int] = set()
        for layer in self.layers:
            if layer.type in _DYNAMIC_TYPES or dynamic.intersection(layer.bottoms):
                dynamic.update(layer.tops)
        return dynamic


def _predictions(layer: Layer) -> int:
    """How many of a measure's bottoms are predictions, not what they are compared with."""
    # Of the three of a contrastive loss the last says whether the others should be alike.
    return 2 if layer.type == "ContrastiveLoss" else 1


def _labels(layers: Sequence[Layer]) -> set[int]:
    """Blobs filled from outside that only serve to be compared with."""
    makers: dict[int, list[Layer]] = {}
    for layer in layers:
        for top in layer.tops:
            makers.setdefault(top, []).append(layer)

    def sources(blobs: Sequence[int]) -> set[int]:
        found, seen, waiting = set(), set(), list(blobs)
        while waiting:
            blob = waiting.pop()
            if blob in seen:
                continue
            seen.add(blob)
            for layer in makers.get(blob, ()):
                if layer.type in SOURCE_TYPES:
                    found.add(blob)
                waiting += layer.bottoms
        return found

    measured, predicted = [], []
    read = {bottom for layer in layers for bottom in layer.bottoms}
    for layer in layers:
        if is_measure(layer.type):
            predicted += layer.bottoms[: _predictions(layer)]
            measured += layer.bottoms[_predictions(layer) :]
        elif layer.type not in SOURCE_TYPES:
            predicted += [top for top in layer.tops if top not in read]
    return sources(measured) - sources(predicted)


def _without_measures(layers: Sequence[Layer], labels: set[int]) -> list[Layer]:
    kept = []
    tainted = set(labels)
    for layer in layers:
        if layer.type in SOURCE_TYPES | SINK_TYPES:
            continue
        if is_measure(layer.type):
            if layer.type in ENDINGS and layer.bottoms[0] not in tainted:
                layer.bottoms = layer.bottoms[:1]
                kept.append(layer)
            tainted.update(layer.tops[:1])
        elif tainted.intersection(layer.bottoms):
            tainted.update(layer.tops)
        else:
            kept.append(layer)
    return kept


def _outputs(everything: Sequence[Layer], kept: Sequence[Layer], unread: set[int]) -> list[int]:
    """Blobs whose last values no layer reads, unless it is one to be compared with or to be silent on.

    ``unread`` are those that no layer of the whole net reads.
    """
    current: dict[int, tuple[int, int]] = {}
    made: dict[tuple[int, int], int] = {}
    read: set[tuple[int, int]] = set()
    for number, layer in enumerate(everything):
        bottoms = [current[bottom] for bottom in layer.bottoms if bottom in current]
        if layer in kept and layer.type == "Split" and not unread.intersection(layer.tops):
            # Copies for several readers are no results; a Split that ends the net is a layer as others.
            current.update(dict.fromkeys(layer.tops, bottoms[0]) if bottoms else {})
        elif layer in kept:
            read.update(bottoms)
            current.update({top: (number, top) for top in layer.tops})
            made.update({(number, top): top for top in layer.tops})
        elif is_measure(layer.type):
            read.update(bottoms[_predictions(layer) :])
        elif layer.type == "Silence":
            read.update(bottoms)
    return [blob for value, blob in made.items() if value not in read]
