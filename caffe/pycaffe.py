"""The Python half of Net and the solvers: names for what the compiled half numbers."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ._caffe import (
    NCCL,
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    Blob,
    BlobVec,
    Layer,
    NesterovSolver,
    Net,
    RMSPropSolver,
    SGDSolver,
    Timer,
)

__all__ = [
    "NCCL",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
]


def _cached(net: Net, name: str, make: Any) -> Any:
    # A net's structure never changes, so its dictionaries are made once. They hold blobs, not views.
    if name not in net.__dict__:
        net.__dict__[name] = make()
    return net.__dict__[name]


def _one_at_a_time(method: Any) -> Any:
    """The same method, one thread at a time on each net: setting inputs, running, reading outputs belong
    together."""

    @functools.wraps(method)
    def locked(self: Net, *args: Any, **kwargs: Any) -> Any:
        with self.__dict__.setdefault("_run_lock", threading.RLock()):
            return method(self, *args, **kwargs)

    return locked


def _blobs(self: Net) -> OrderedDict[str, Blob]:
    """The net's blobs by name, in the order in which they are computed."""
    return _cached(self, "_blobs_dict", lambda: OrderedDict(zip(self._blob_names, self._blobs, strict=True)))


def _blob_loss_weights(self: Net) -> OrderedDict[str, float]:
    """The loss weight of each blob by name; 0 for blobs that are no losses."""
    return _cached(
        self,
        "_blob_loss_weights_dict",
        lambda: OrderedDict(zip(self._blob_names, self._blob_loss_weights, strict=False)),
    )


def _layer_dict(self: Net) -> OrderedDict[str, Layer]:
    """The net's layers by name, in order."""
    return _cached(self, "_layer_dict", lambda: OrderedDict(zip(self._layer_names, self.layers, strict=True)))


def _params(self: Net) -> OrderedDict[str, BlobVec]:
    """The parameters of each layer that has some, by the layer's name: params["conv1"][0] are its weights."""
    return _cached(
        self,
        "_params_dict",
        lambda: OrderedDict(
            (name, layer.blobs)
            for name, layer in zip(self._layer_names, self.layers, strict=True)
            if len(layer.blobs) > 0
        ),
    )


def _inputs(self: Net) -> list[str]:
    """Names of the blobs that are filled from outside."""
    return [self._blob_names[i] for i in self._inputs]


def _outputs(self: Net) -> list[str]:
    """Names of the blobs that no layer reads."""
    return [self._blob_names[i] for i in self._outputs]


def _id_name(ids_of: str, cache: str) -> Any:
    def names(self: Net) -> OrderedDict[str, list[str]]:
        def make() -> OrderedDict[str, list[str]]:
            return OrderedDict(
                (layer, [self._blob_names[blob] for blob in getattr(self, ids_of)(i)])
                for i, layer in enumerate(self._layer_names)
            )

        return _cached(self, cache, make)

    return names


def _layer_position(net: Net, name: str) -> int:
    try:
        return list(net._layer_names).index(name)
    except ValueError:
        raise ValueError(f"the net has no layer {name!r}") from None


def _check_names(given: Mapping[str, Any], expected: Sequence[str], what: str) -> None:
    if set(given) != set(expected):
        raise ValueError(
            f"the net's {what} are {', '.join(map(repr, expected)) or 'none'}; "
            f"got {', '.join(map(repr, given))}"
        )


def _assign(blob: Blob, values: Any, name: str, diff: bool = False) -> None:
    values = np.asarray(values)
    if values.shape[:1] != tuple(blob.shape[:1]):
        raise ValueError(
            f"{name!r} holds {values.shape[0] if values.shape else 0} items, but the net's batch is "
            f"{blob.shape[0] if len(blob.shape) else 0}; reshape the blob, or use forward_all"
        )
    view = blob.diff if diff else blob.data
    view[...] = values


@_one_at_a_time
def _forward(
    self: Net,
    blobs: Sequence[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    **kwargs: Any,
) -> dict[str, np.ndarray]:
    """Runs the net forward.

    Args:
        blobs: blobs to return beside the outputs.
        start: name of the layer to start at.
        end: name of the layer to stop after.
        kwargs: values for all inputs by name, for a batch of the net's size.

    Returns:
        The outputs (those of layer ``end`` where one is given) and ``blobs`` by name, as views of the net's
        memory.
    """
    start_at = _layer_position(self, start) if start is not None else 0
    if end is not None:
        end_at = _layer_position(self, end)
        outputs = set(self.top_names[end]) | set(blobs or [])
    else:
        end_at = len(self.layers) - 1
        outputs = set(self.outputs) | set(blobs or [])
    if kwargs:
        _check_names(kwargs, self.inputs, "inputs")
        for name, values in kwargs.items():
            _assign(self.blobs[name], values, name)
    self._forward(start_at, end_at)
    return {name: self.blobs[name].data for name in outputs}


@_one_at_a_time
def _backward(
    self: Net,
    diffs: Sequence[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    **kwargs: Any,
) -> dict[str, np.ndarray]:
    """Runs the net backward.

    Args:
        diffs: blobs whose gradients to return beside those of the inputs.
        start: name of the layer to start at.
        end: name of the layer to stop after.
        kwargs: gradients of all outputs by name.

    Returns:
        Gradients of the inputs (those of the bottoms of layer ``end`` where one is given) and of ``diffs`` by
        name.
    """
    start_at = _layer_position(self, start) if start is not None else len(self.layers) - 1
    if end is not None:
        end_at = _layer_position(self, end)
        outputs = set(self.bottom_names[end]) | set(diffs or [])
    else:
        end_at = 0
        outputs = set(self.inputs) | set(diffs or [])
    if kwargs:
        _check_names(kwargs, self.outputs, "outputs")
        for name, values in kwargs.items():
            _assign(self.blobs[name], values, name, diff=True)
    self._backward(start_at, end_at)
    return {name: self.blobs[name].diff for name in outputs}


def _batch(self: Net, blobs: Mapping[str, Any]) -> Iterator[dict[str, np.ndarray]]:
    """Cuts inputs of any number of items into batches of the net's size; the last is filled up with zeros."""
    total = len(next(iter(blobs.values())))
    size = self.blobs[next(iter(blobs))].shape[0]
    for begin in range(0, total, size):
        batch = {}
        for name, values in blobs.items():
            part = np.asarray(values[begin : begin + size])
            missing = size - len(part)
            if missing:
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            batch[name] = part
        yield batch


@_one_at_a_time
def _forward_all(self: Net, blobs: Sequence[str] | None = None, **kwargs: Any) -> dict[str, np.ndarray]:
    """Runs the net forward over any number of items, batch by batch.

    Returns:
        Outputs and ``blobs`` by name, as arrays of their own, one row for each item.
    """
    collected: dict[str, list[np.ndarray]] = {}
    for batch in self._batch(kwargs):
        for name, values in self.forward(blobs=blobs, **batch).items():
            collected.setdefault(name, []).append(values.copy())
    return _joined(collected, len(next(iter(kwargs.values()))))


@_one_at_a_time
def _forward_backward_all(
    self: Net, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None, **kwargs: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Runs the net forward and backward over any number of items, batch by batch.

    ``kwargs`` hold the inputs and, optionally, gradients of the outputs by name.

    Returns:
        Outputs and ``blobs``; gradients of the inputs and ``diffs``: by name, one row for each item.
    """
    values: dict[str, list[np.ndarray]] = {}
    gradients: dict[str, list[np.ndarray]] = {}
    inputs = {name: array for name, array in kwargs.items() if name in self.inputs}
    output_diffs = {name: array for name, array in kwargs.items() if name not in self.inputs}
    diff_batches = self._batch(output_diffs) if output_diffs else None
    for batch in self._batch(inputs):
        for name, array in self.forward(blobs=blobs, **batch).items():
            values.setdefault(name, []).append(array.copy())
        for name, array in self.backward(diffs=diffs, **(next(diff_batches) if diff_batches else {})).items():
            gradients.setdefault(name, []).append(array.copy())
    total = len(next(iter(inputs.values())))
    return _joined(values, total), _joined(gradients, total)


def _joined(batches: dict[str, list[np.ndarray]], total: int) -> dict[str, np.ndarray]:
    # What was filled up with zeros is cut off again; a blob without a batch axis has one value a batch.
    return {
        name: np.concatenate([np.atleast_1d(part) for part in parts])[:total]
        for name, parts in batches.items()
    }


def _set_input_arrays(self: Net, data: np.ndarray, labels: np.ndarray) -> None:
    """Lets the net's MemoryData layer read from arrays, which it keeps.

    Args:
        data: N x C x H x W, N a multiple of the batch size.
        labels: N labels.
    """
    self._set_input_arrays(np.require(data, np.float32, "CW"), np.require(labels, np.float32, "CW"))


Net.blobs = property(_blobs)
Net.blob_loss_weights = property(_blob_loss_weights)
Net.layer_dict = property(_layer_dict)
Net.params = property(_params)
Net.inputs = property(_inputs)
Net.outputs = property(_outputs)
Net.top_names = property(_id_name("_top_ids", "_top_names_dict"))
Net.bottom_names = property(_id_name("_bottom_ids", "_bottom_names_dict"))
Net.forward = _forward
Net.backward = _backward
Net.forward_all = _forward_all
Net.forward_backward_all = _forward_backward_all
Net.set_input_arrays = _set_input_arrays
Net._batch = _batch
