"""Builds an ONNX graph node by node, each with a name of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .._names import take_name

#: A dimension of a shape: its size, or the name of one that is known when the model runs only, or None.
Dimension = int | str | None

QONNX_DOMAIN = "qonnx.custom_op.general"


@dataclass(eq=False)
class Node:
    """An operation. Names of tensors may still change until the graph is finished."""

    op: str
    name: str
    domain: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class GraphBuilder:
    """Collects the nodes and constants of a graph.

    Args:
        opset: version of ONNX's operators.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        #: What names of nodes and tensors begin with: the layer that is being translated.
        self.scope = ""
        self._nodes: list[Node] = []
        self._producers: dict[str, Node] = {}
        self._constants: dict[tuple, str] = {}
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._taken: set[str] = set()
        self._final: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, Sequence[Dimension]]] = {}

    def unique(self, wanted: str) -> str:
        """A name like the one that is wanted, which nothing else has."""
        return take_name(wanted, self._taken)

    def is_taken(self, name: str) -> bool:
        """Whether something has a name already."""
        return name in self._taken

    def add(
        self,
        op: str,
        *inputs: str,
        outputs: int = 1,
        domain: str = "",
        names: Sequence[str] = (),
        **attributes,
    ) -> list[str]:
        """Adds a node; returns the names of its outputs, which are made unless ``names`` holds them."""
        node = Node(
            op,
            self.unique(f"{self.scope}/{op}" if self.scope else op),
            domain,
            list(inputs),
            list(names),
            {name: value for name, value in attributes.items() if value is not None},
        )
        for index in range(0 if names else outputs):
            node.outputs.append(self.unique(f"{node.name}:{index}" if index else f"{node.name}_output"))
        self._nodes.append(node)
        self._producers.update(dict.fromkeys(node.outputs, node))
        return list(node.outputs)

    def __call__(self, op: str, *inputs: str, **attributes) -> str:
        """Adds a node with one output; returns its name."""
        return self.add(op, *inputs, **attributes)[0]

    def constant(self, values: Any, name: str = "constant", dtype: Any = np.float32) -> str:
        """A constant tensor; equal ones are one."""
        array = np.ascontiguousarray(np.asarray(values, dtype)).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, hashlib.blake2b(array.tobytes(), digest_size=16).digest())
        if key not in self._constants:
            final = self.unique(f"{self.scope}/{name}" if self.scope else name)
            self._constants[key] = final
            self._initializers[final] = numpy_helper.from_array(array, final)
        return self._constants[key]

    def integers(self, values: Sequence[int] | int) -> str:
        """A constant of indices, axes or sizes."""
        return self.constant(values, "sizes", np.int64)

    def producer(self, tensor: str) -> Node | None:
        """The node whose output a tensor is, if it is one's."""
        return self._producers.get(tensor)

    def is_output_of(self, tensor: str, op: str) -> bool:
        """Whether a tensor is the output of a node of a kind."""
        node = self._producers.get(tensor)
        return node is not None and node.op == op

    def rename(self, tensor: str, wanted: str) -> str:
        """Gives a node's output the name that it has in the finished graph, once; returns it."""
        self._final[tensor] = self.unique(wanted)
        return self._final[tensor]

    def final(self, tensor: str) -> str:
        """The name of a tensor in the finished graph."""
        return self._final.get(tensor, tensor)

    def is_renamed(self, tensor: str) -> bool:
        """Whether a tensor has its name in the finished graph already."""
        return tensor in self._final

    def declare(self, tensor: str, shape: Sequence[Dimension], element: int = onnx.TensorProto.FLOAT) -> None:
        """States the shape of a tensor between nodes."""
        self._shapes[tensor] = (element, tuple(shape))

    def reduce(self, op: str, tensor: str, axes: Sequence[int], keepdims: bool) -> str:
        """A reduction over some axes, as the opset writes it."""
        if op == "ReduceSum" or self.opset >= 18:
            return self(op, tensor, self.integers(list(axes)), keepdims=int(keepdims))
        return self(op, tensor, axes=list(axes), keepdims=int(keepdims))

    def split(self, tensor: str, axis: int, parts: int) -> list[str]:
        """Equal parts of a tensor along an axis."""
        number = {"num_outputs": parts} if self.opset >= 18 else {}
        return self.add("Split", tensor, outputs=parts, axis=axis, **number)

    def finished(
        self,
        name: str,
        inputs: Iterable[onnx.ValueInfoProto],
        outputs: Iterable[onnx.ValueInfoProto],
    ) -> onnx.GraphProto:
        """The graph, without what its outputs do not need."""

        final = self.final
        outputs = list(outputs)
        needed = {output.name for output in outputs}
        kept = []
        for node in reversed(self._nodes):
            if any(final(tensor) in needed for tensor in node.outputs):
                kept.append(node)
                needed.update(final(tensor) for tensor in node.inputs)
                for value in node.attributes.values():
                    if isinstance(value, onnx.GraphProto):
                        needed.update(tensor for inner in value.node for tensor in inner.input)
        made = [
            helper.make_node(
                node.op,
                [final(tensor) for tensor in node.inputs],
                [final(tensor) for tensor in node.outputs],
                name=node.name,
                domain=node.domain or None,
                **node.attributes,
            )
            for node in reversed(kept)
        ]
        inside = {tensor for node in made for tensor in node.output} - {output.name for output in outputs}
        return helper.make_graph(
            made,
            name,
            list(inputs),
            outputs,
            [tensor for tensor_name, tensor in self._initializers.items() if tensor_name in needed],
            value_info=[
                helper.make_tensor_value_info(final(tensor), element, list(shape))
                for tensor, (element, shape) in self._shapes.items()
                if final(tensor) in inside
            ],
        )
