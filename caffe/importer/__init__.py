"""ONNX models as Caffe nets: to finetune, binarize and pack what was trained elsewhere.

>>> from caffe.importer import from_onnx
>>> net = from_onnx("model.onnx")  # doctest: +SKIP
>>> net.save("model")  # doctest: +SKIP
(PosixPath('model.prototxt'), PosixPath('model.caffemodel'))
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _caffe
from ..io import array_to_blobproto
from ..proto import caffe_pb2
from ..pycaffe import Net

# Each of these registers what reads its operators, or makes its values.
from . import (  # noqa: F401
    arrangement,
    choosing,
    elementwise,
    lowbit,
    materials,
    normalization,
    products,
    recurrent,
    windows,
)
from .check import OutputDifference, differences
from .graph import Graph, read_graph
from .lowbit_net import low_bit_net
from .translation import Translation

if TYPE_CHECKING:
    import onnx

__all__ = ["ImportedNet", "OutputDifference", "from_onnx", "low_bit_net"]


@dataclass(frozen=True)
class ImportedNet:
    """A net that was read from an ONNX model."""

    #: For deployment: inputs, and the layers in order.
    definition: caffe_pb2.NetParameter
    #: Values of the layers' parameters, by the layers' names.
    parameters: dict[str, list[np.ndarray]]
    #: Inputs whose axes Caffe has in another order: its axis i is the model's axis order[i].
    transposed: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def weights(self) -> caffe_pb2.NetParameter:
        """The definition with the parameters: the content of a .caffemodel."""
        net = caffe_pb2.NetParameter()
        net.CopyFrom(self.definition)
        for layer in net.layer:
            layer.blobs.extend(array_to_blobproto(values) for values in self.parameters.get(layer.name, ()))
        return net

    def net(self) -> Net:
        """The net in its test phase.

        Raises:
            caffe.Error: it cannot be made.
        """
        net = _caffe.net_from_bytes(
            self.definition.SerializeToString(), caffe_pb2.TEST, named_in="the import"
        )
        for name, arrays in self.parameters.items():
            for blob, values in zip(net.params[name], arrays, strict=True):
                blob.data[...] = values
        return net

    def save(self, prefix: str | os.PathLike) -> tuple[Path, Path]:
        """Writes PREFIX.prototxt and PREFIX.caffemodel; returns their paths.

        Raises:
            caffe.Error: a file cannot be written.
        """
        model, weights = Path(f"{os.fspath(prefix)}.prototxt"), Path(f"{os.fspath(prefix)}.caffemodel")
        model.parent.mkdir(parents=True, exist_ok=True)
        _caffe.write_net_binary(self.weights().SerializeToString(), str(weights))
        _caffe.write_net_text(self.definition.SerializeToString(), str(model))
        return model, weights

    def check(self, model: onnx.ModelProto | str | os.PathLike, seed: int = 0) -> list[OutputDifference]:
        """Runs the net and the model, by ONNX Runtime, on random inputs.

        Raises:
            ValueError: ONNX Runtime is not here, or cannot run the model.
        """
        return differences(self.net(), self.transposed, self._indices(), model, seed)

    def _indices(self) -> dict[str, int]:
        """Inputs whose values say which rows or items to take, with the number that they are below."""
        net, limits = self.net(), {}
        shaped = {
            layer.top[0]: layer.bottom[0]
            for layer in self.definition.layer
            if layer.type in ("Flatten", "Reshape")
        }

        def source(blob: str) -> str:
            while blob in shaped:
                blob = shaped[blob]
            return blob

        for layer in self.definition.layer:
            if layer.type == "Embed":
                limits[source(layer.bottom[0])] = layer.embed_param.input_dim
            elif layer.type == "BatchReindex":
                limits[source(layer.bottom[1])] = net.blobs[layer.bottom[0]].shape[0]
        return limits


def from_onnx(
    model: onnx.ModelProto | str | os.PathLike,
    *,
    batch: int | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> ImportedNet:
    """The Caffe net that computes what an ONNX model computes.

    Outputs keep their names; layers are named after their parameters (``features.0.weight`` is of the layer
    features.0) or their nodes. What is computed of constants is computed here.

    Args:
        model: the model, or its file; operators of version 7 or newer, and those of QONNX.
        batch: size of the batch. Without it, the model's, or 1 where that leaves it open.
        input_shapes: shapes of inputs by name, where the model leaves more open than the batch.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, a size is not known, or Caffe cannot express some of its nodes: all of them
            are named, each with the reason. Or the package onnx is not there.
    """
    where = "the model" if not isinstance(model, str | os.PathLike) else os.fspath(model)
    graph = read_graph(model)
    translation = Translation(graph, _shapes(where, graph, batch, input_shapes or {}))
    # Weights that are no numbers stay so.
    with np.errstate(all="ignore"):
        translation.run()
    if translation.problems:
        count = len(translation.problems)
        problems = "; ".join(translation.problems)
        raise ValueError(f"{where}: Caffe cannot express {count} of its nodes: {problems}")
    definition = caffe_pb2.NetParameter(name=graph.name or "net", layer=translation.layers)
    result = ImportedNet(definition, translation.parameters, translation.transposed)
    try:
        result.net()
    except _caffe.Error as error:
        raise ValueError(f"{where}: Caffe cannot make the net: {error}") from error
    return result


def _shapes(
    where: str, graph: Graph, batch: int | None, given: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    for name in given:
        if name not in graph.inputs:
            raise ValueError(
                f"{where}: there is no input {name!r}; there are {', '.join(graph.inputs) or 'none'}"
            )
    shapes, unknown = {}, []
    for name, declared in graph.inputs.items():
        shape = list(given.get(name, declared))
        if name not in given and shape:
            shape[0] = batch or shape[0] or 1
        if declared and len(shape) != len(declared):
            raise ValueError(f"{where}: the input {name!r} has {len(declared)} axes, not {len(shape)}")
        if not shape or None in shape:
            unknown.append(f"{name} ({', '.join('?' if size is None else str(size) for size in shape)})")
        shapes[name] = shape
    if unknown:
        raise ValueError(
            f"{where}: leaves the shape open of {'; '.join(unknown)}: give it, by -input NAME:N,C,H,W or "
            "input_shapes"
        )
    return {name: tuple(int(size) for size in shape) for name, shape in shapes.items()}
