"""Tells what a step of a Scan computes: whether it is what ``caffe export`` writes of a layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import folding
from .graph import Branch

#: A part of a pattern: a node's operator and inputs; the output of a Split among them by its number; or the
#: name of a tensor, the same wherever it stands.
_Pattern = str | tuple

_GOING_ON = ("Unsqueeze", "cont", "axis")
_SUMS = ("Add", "x", ("MatMul", ("Mul", "h", _GOING_ON), "weights"))


def _gate(function: str, index: int) -> _Pattern:
    return (function, ("Split", index, _SUMS))


_CELL = (
    "Add",
    ("Mul", ("Mul", _GOING_ON, _gate("Sigmoid", 1)), "c"),
    ("Mul", _gate("Sigmoid", 0), _gate("Tanh", 3)),
)
_HIDDEN = ("Mul", _gate("Sigmoid", 2), ("Tanh", _CELL))
_STATE = ("Tanh", _SUMS)

#: Of each layer: names of what a step reads, in order, what it computes, and which of its constants are the
#: layer's parameters, as they are there.
_STEPS: dict[str, tuple[list[str], list[_Pattern], list[str]]] = {
    "LSTM": (["h", "c", "x", "cont"], [_HIDDEN, _CELL, _HIDDEN], ["weights"]),
    "RNN": (
        ["h", "x", "cont"],
        [_STATE, ("Tanh", ("Add", ("MatMul", _STATE, "to_output"), "bias"))],
        ["weights", "to_output", "bias"],
    ),
}


class Step:
    """What a Scan does at each step."""

    def __init__(self, body: Branch, outside: Callable[[str], np.ndarray | None]) -> None:
        self._body = body
        self._outside = outside
        self._makers = {name: node for node in body.nodes for name in node.outputs if name}
        self._names: dict[str, str] = {}

    def found(self) -> tuple[str, list[np.ndarray]] | None:
        """The type of the layer whose step this is, and those parameters that are here; None for others."""
        for layer_type, (reads, computes, parameters) in _STEPS.items():
            if (len(reads), len(computes)) != (len(self._body.inputs), len(self._body.outputs)):
                continue
            self._names = dict(zip(reads, self._body.inputs, strict=True))
            if not all(map(self._is, self._body.outputs, computes)):
                return None
            arrays = [self._array(self._names[name]) for name in (*parameters, "axis")]
            if any(array is None for array in arrays):
                return None
            *values, axis = arrays
            if axis.ravel().tolist() != [1] or any(array.dtype != np.float32 for array in values):
                return None
            outputs = values[0].shape[0]
            rows = 4 * outputs if layer_type == "LSTM" else outputs
            shapes = [(outputs, rows), (outputs, outputs), (outputs,)]
            if [array.shape for array in values] != shapes[: len(values)]:
                return None
            return layer_type, [array.T for array in values]
        return None

    def _is(self, name: str, pattern: _Pattern) -> bool:
        while name in self._makers and self._makers[name].op == "Identity":
            name = self._makers[name].inputs[0]
        if isinstance(pattern, str):
            return self._names.setdefault(pattern, name) == name
        operator, *inputs = pattern
        node = self._makers.get(name)
        if node is None or node.domain or node.op != operator:
            return False
        if operator == "Split":
            index, source = inputs
            in_four = len(node.outputs) == 4 and len(node.inputs) == 1 and node.get("axis", 0) == 1
            return in_four and node.outputs[index] == name and self._is(node.inputs[0], source)
        return len(node.inputs) == len(inputs) and all(map(self._is, node.inputs, inputs))

    def _array(self, name: str) -> np.ndarray | None:
        node = self._makers.get(name)
        if name in self._body.constants:
            return self._body.constants[name]
        if node is not None:
            return folding.fold(node, [])[0] if node.op == "Constant" else None
        return self._outside(name)
