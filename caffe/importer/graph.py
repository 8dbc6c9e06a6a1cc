"""Reads ONNX files into nodes with plain values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7

#: Domains of operators that are known here; "ai.onnx" is "" by another name.
QONNX_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")

# What reading a damaged file, or a value that makes no sense, can raise in Python.
DAMAGE = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


class Refused(ValueError):
    """Says why Caffe has no layer for a node."""


@dataclass(eq=False)
class Node:
    """An operation."""

    op: str
    domain: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    #: Version of the domain's operators.
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where it is not given."""
        return self.attributes.get(name, default)

    def described(self) -> str:
        """The node as errors name it."""
        kind = f"{self.domain}.{self.op}" if self.domain else self.op
        name = self.name or f"without a name, making {', '.join(self.outputs)}"
        return " ".join(f"{name} ({kind})".split())


@dataclass(eq=False)
class Branch:
    """A graph inside a node, which sees the tensors around it."""

    proto: onnx.GraphProto
    inputs: list[str]
    outputs: list[str]
    constants: dict[str, np.ndarray]
    nodes: list[Node] = field(default_factory=list)


@dataclass
class Graph:
    """A model's graph."""

    name: str
    #: Shapes of the inputs by name; None for a size that is not given.
    inputs: dict[str, list[int | None]]
    outputs: list[str]
    nodes: list[Node]
    constants: dict[str, np.ndarray] = field(default_factory=dict)


def read_graph(model: onnx.ModelProto | str | os.PathLike) -> Graph:
    """The graph of a model or of a file, whose external data lies beside it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, no ONNX model, or of operators that are unknown here; or there is no
            package onnx.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ValueError(
            "reading ONNX files needs the package onnx: pip install 'hwgq-caffe[onnx]'"
        ) from error
    where = "the model"
    if not isinstance(model, onnx.ModelProto):
        where = os.fspath(model)
        content = Path(model).read_bytes()
        try:
            model = onnx.ModelProto.FromString(content)
        except DecodeError as error:
            raise ValueError(f"{where}: is damaged, or no ONNX model") from error
        try:
            onnx.external_data_helper.load_external_data_for_model(model, str(Path(where).absolute().parent))
        except (onnx.checker.ValidationError, OSError, *DAMAGE) as error:
            raise ValueError(f"{where}: its external data cannot be read: {error}") from error
    if not model.HasField("graph") or not model.graph.node:
        raise ValueError(f"{where}: holds no graph; is it an ONNX model?")
    opsets = {_domain(opset.domain): opset.version for opset in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    opset = opsets.get("", 0)
    if not OLDEST_OPSET <= opset <= newest:
        advice = "export it for a newer one" if opset < OLDEST_OPSET else "update the package onnx"
        raise ValueError(
            f"{where}: its operators are of version {opset}; known here are {OLDEST_OPSET} to {newest}: "
            f"{advice}"
        )
    if model.functions:
        try:
            from onnx import inliner

            model = inliner.inline_local_functions(model)
        except (ImportError, RuntimeError, *DAMAGE) as error:
            raise ValueError(f"{where}: its functions cannot be put in their places: {error}") from error
    try:
        return _graph(model.graph, opsets)
    except DAMAGE as error:
        raise ValueError(f"{where}: is damaged: {error}") from error


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _graph(proto: onnx.GraphProto, opsets: Mapping[str, int]) -> Graph:
    from onnx import numpy_helper

    if proto.sparse_initializer:
        raise ValueError("sparse tensors are not read")
    _check_names(proto.name, *(item.name for item in (*proto.initializer, *proto.input, *proto.output)))
    constants = {}
    for tensor in proto.initializer:
        try:
            constants[tensor.name] = numpy_helper.to_array(tensor)
        except DAMAGE as error:
            raise ValueError(f"the tensor {tensor.name!r} cannot be read: {error}") from error
    inputs: dict[str, list[int | None]] = {}
    for value in proto.input:
        if value.name in constants:
            continue
        if not value.type.HasField("tensor_type"):
            raise ValueError(f"the input {value.name!r} is no tensor")
        inputs[value.name] = [
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
            for dim in value.type.tensor_type.shape.dim
        ]
    made = {"", *constants, *inputs}
    nodes = nodes_of(proto, opsets, made)
    outputs = [value.name for value in proto.output]
    for name in outputs:
        if not name or name not in made:
            raise ValueError(f"nothing makes the output {name!r}")
    if not outputs:
        raise ValueError("the graph has no outputs")
    return Graph(proto.name, inputs, outputs, nodes, constants)


def nodes_of(proto: onnx.GraphProto, opsets: Mapping[str, int], made: set[str]) -> list[Node]:
    """A graph's nodes.

    Args:
        opsets: versions of operators by domain.
        made: names of the tensors that are there before them; those that they make are added.

    Raises:
        ValueError: a node reads what is not there, or makes what is.
    """
    nodes = []
    for item in proto.node:
        _check_names(item.name, item.op_type, item.domain, *item.input, *item.output)
        domain = _domain(item.domain)
        attributes = {attribute.name: _value(attribute) for attribute in item.attribute}
        node = Node(
            item.op_type,
            domain,
            item.name,
            list(item.input),
            list(item.output),
            attributes,
            opsets.get(domain, 1),
        )
        for name, value in attributes.items():
            if isinstance(value, Branch):
                inside = {*made, *value.constants, *value.inputs}
                value.nodes = nodes_of(value.proto, opsets, inside)
                if not inside.issuperset(value.outputs):
                    raise ValueError(f"node {node.described()}: nothing makes the outputs of its {name}")
        for name in node.inputs:
            if name not in made:
                raise ValueError(f"node {node.described()} reads {name!r}, which nothing before it makes")
        for name in filter(None, node.outputs):
            if name in made:
                raise ValueError(f"node {node.described()} makes {name!r}, which is there already")
            made.add(name)
        nodes.append(node)
    return nodes


def names_read(nodes: Sequence[Node]) -> Iterator[str]:
    """What nodes read, and the graphs inside them, as often as they do."""
    for node in nodes:
        yield from node.inputs
        for value in node.attributes.values():
            if isinstance(value, Branch):
                yield from names_read(value.nodes)
                yield from value.outputs


def _check_names(*names: str | bytes) -> None:
    # What is no text, protobuf hands over as bytes.
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"the name {name!r} is no text")


def _branch(proto: onnx.GraphProto) -> Branch:
    from onnx import numpy_helper

    _check_names(*(item.name for item in (*proto.initializer, *proto.input, *proto.output)))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.initializer}
    inputs, outputs = ([value.name for value in values] for values in (proto.input, proto.output))
    return Branch(proto, inputs, outputs, constants)


def _value(attribute: onnx.AttributeProto) -> Any:
    from onnx import AttributeProto, helper, numpy_helper

    if attribute.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(attribute.t)
    if attribute.type == AttributeProto.STRING:
        return attribute.s.decode()
    if attribute.type == AttributeProto.STRINGS:
        return [value.decode() for value in attribute.strings]
    if attribute.type in (AttributeProto.FLOAT, AttributeProto.INT):
        return helper.get_attribute_value(attribute)
    if attribute.type in (AttributeProto.FLOATS, AttributeProto.INTS):
        return list(helper.get_attribute_value(attribute))
    if attribute.type == AttributeProto.GRAPH:
        return _branch(attribute.g)
    # Types, sparse tensors and lists: nothing here reads them.
    return attribute
