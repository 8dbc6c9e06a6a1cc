"""A network as a list of plain operations, between Caffe's files and the formats of other engines.

Blobs have one writer each, BatchNorm and Scale are one operation `affine`, and Quant is a ReLU. `simplified`
folds what can be folded, so that no engine depends on its own optimizer for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Operation:
    """One of conv, dense, affine, relu, maxpool, avgpool, add, concat and softmax.

    Attributes are kernel, stride, pad and dilation (of height and width) and group. Arrays are weight and
    bias of conv (outputs, inputs / group, height, width) and dense (outputs, inputs), scale and shift of
    affine. `relu` of a conv, dense, affine or add is a ReLU of its result.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """Operations in order, from the blob `input` to the blob `output`; `shape` is channels, height, width."""

    name: str
    input: str
    output: str
    shape: tuple[int, ...]
    operations: tuple[Operation, ...]

    def readers(self, blob: str) -> list[Operation]:
        """The operations that read a blob."""
        return [operation for operation in self.operations if blob in operation.inputs]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Each blob's shape without the batch."""
        result = {self.input: self.shape}
        for operation in self.operations:
            result[operation.output] = _output_shape(operation, [result[name] for name in operation.inputs])
        return result

    def save(self, path: Path) -> None:
        """Writes the network into one .npz file."""
        arrays = {
            f"{number}.{name}": array
            for number, operation in enumerate(self.operations)
            for name, array in operation.arrays.items()
        }
        plan = {
            "network": [self.name, self.input, self.output, self.shape],
            "operations": [[o.kind, o.inputs, o.output, o.attributes] for o in self.operations],
        }
        np.savez(path, plan=np.array(json.dumps(plan)), **arrays)

    @staticmethod
    def load(path: Path) -> Network:
        """Reads what `save` wrote."""
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        plan = json.loads(str(arrays.pop("plan")))
        operations = tuple(
            Operation(
                kind,
                tuple(inputs),
                output,
                {key: tuple(value) for key, value in attributes.items()},
                {key.split(".")[1]: a for key, a in arrays.items() if key.split(".")[0] == str(number)},
            )
            for number, (kind, inputs, output, attributes) in enumerate(plan["operations"])
        )
        name, first, last, shape = plan["network"]
        return Network(name, first, last, tuple(shape), operations)


def pooled_size(size: int, kernel: int, stride: int, pad: int) -> int:
    """Caffe's size of a pooled side: rounded up; a window must start inside the padded input."""
    result = -(-(size + 2 * pad - kernel) // stride) + 1
    if pad and (result - 1) * stride >= size + pad:
        result -= 1
    return result


def _output_shape(operation: Operation, inputs: list[tuple[int, ...]]) -> tuple[int, ...]:
    attributes = operation.attributes
    if operation.kind == "dense":
        return (len(operation.arrays["weight"]),)
    if operation.kind == "concat":
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])
    if operation.kind not in ("conv", "maxpool", "avgpool"):
        return inputs[0]
    sides = zip(inputs[0][1:], attributes["kernel"], attributes["stride"], attributes["pad"], strict=True)
    if operation.kind == "conv":
        dilation = attributes["dilation"]
        spatial = [
            (size + 2 * pad - ((kernel - 1) * dilated + 1)) // stride + 1
            for (size, kernel, stride, pad), dilated in zip(sides, dilation, strict=True)
        ]
        return (len(operation.arrays["weight"]), *spatial)
    return (inputs[0][0], *(pooled_size(*side) for side in sides))


def simplified(network: Network) -> Network:
    """The same function in fewer operations.

    An affine is folded into the affine, convolution or inner product before it, where nothing else reads what
    is between, also through max pooling where its scales are positive. A ReLU becomes part of the operation
    before it, also through max pooling.
    """
    changed = True
    while changed:
        changed = False
        for second in network.operations:
            first = _sole_writer(network, second)
            if first is None:
                continue
            before = _sole_writer(network, first)
            if joined := _joined(first, second):
                network = _replaced(network, first, second, (joined,))
            elif first.kind == "maxpool" and before and _passes_pooling(second) and _joined(before, second):
                between = first.output
                pair = (
                    replace(second, inputs=first.inputs, output=between),
                    replace(first, inputs=(between,), output=second.output),
                )
                network = _replaced(network, first, second, pair)
            else:
                continue
            changed = True
            break
    return network


def _sole_writer(network: Network, reader: Operation) -> Operation | None:
    """What writes an operation's first input, where nothing else reads that."""
    if len(network.readers(reader.inputs[0])) > 1:
        return None
    return next((o for o in network.operations if o.output == reader.inputs[0]), None)


def _passes_pooling(operation: Operation) -> bool:
    """Whether the operation is the same before and after max pooling."""
    return operation.kind == "relu" or (
        operation.kind == "affine" and bool((operation.arrays["scale"] > 0).all())
    )


def _joined(first: Operation, second: Operation) -> Operation | None:
    """One operation in place of two that follow one another, or None."""
    relu = {"relu": ()}
    if second.kind == "relu" and first.kind in ("conv", "dense", "affine", "add"):
        return replace(first, output=second.output, attributes=first.attributes | relu)
    if (
        second.kind == "affine"
        and first.kind in ("conv", "dense", "affine")
        and "relu" not in first.attributes
    ):
        attributes = first.attributes | (relu if "relu" in second.attributes else {})
        arrays = _folded(first, second.arrays["scale"], second.arrays["shift"])
        return replace(first, output=second.output, attributes=attributes, arrays=arrays)
    return None


def _folded(first: Operation, scale: np.ndarray, shift: np.ndarray) -> Arrays:
    arrays = first.arrays
    if first.kind == "affine":
        return {"scale": arrays["scale"] * scale, "shift": arrays["shift"] * scale + shift}
    rows = scale.reshape(-1, *[1] * (arrays["weight"].ndim - 1))
    return {"weight": arrays["weight"] * rows, "bias": arrays["bias"] * scale + shift}


def _replaced(network: Network, first: Operation, second: Operation, by: Iterable[Operation]) -> Network:
    operations: list[Operation] = []
    for operation in network.operations:
        if operation is second:
            operations.extend(by)
        elif operation is not first:
            operations.append(operation)
    return replace(network, operations=tuple(operations))
