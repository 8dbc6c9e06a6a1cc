"""A net as a graph of operations, and how it is rewritten so that they become integer arithmetic on codes.

Each node is one operation with one result, channels x height x width for each image; layers that work in
place are nodes of their own. :func:`simplify` moves, merges and removes nodes without changing what the net
computes.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from ..proto import caffe_pb2

#: Channels, height, width.
Shape = tuple[int, int, int]

#: A binary convolution has at most so many levels, 0 included.
MOST_LEVELS = 16


@dataclass(eq=False, kw_only=True)
class Node:
    """An operation and its result.

    ``name`` is the result's (a blob's, where the net has it), ``layers`` are the net's layers that it
    computes, ``order`` is its place in the net.
    """

    inputs: list[Node] = field(default_factory=list)
    shape: Shape
    name: str
    layers: tuple[str, ...] = ()
    order: int = 0

    def key(self) -> Hashable | None:
        """Equal for nodes that compute the same; None where that is not told."""
        return None


@dataclass(eq=False, kw_only=True)
class Input(Node):
    """What is filled from outside."""


@dataclass(eq=False, kw_only=True)
class Convolution(Node):
    """Weights: outputs x kernel height x kernel width x channels of a group.

    Binary weights are ``signs`` (true for +1) times ``scales`` of each output; ``weights`` is None then.
    """

    weights: np.ndarray | None
    signs: np.ndarray | None = None
    scales: np.ndarray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def kernel(self) -> np.ndarray:
        """The weights, or their signs."""
        return self.weights if self.signs is None else self.signs


@dataclass(eq=False, kw_only=True)
class Elementwise(Node):
    """A function of one element, the same at all places of a channel."""

    def of_channels(self, begin: int, end: int) -> dict:
        """The fields that differ for some of the channels."""
        return {}


@dataclass(eq=False, kw_only=True)
class Affine(Elementwise):
    """y = factor x + offset, one of each for a channel, in double precision."""

    factor: np.ndarray
    offset: np.ndarray

    def of_channels(self, begin: int, end: int) -> dict:
        """The factors and offsets of some of the channels."""
        return {"factor": self.factor[begin:end], "offset": self.offset[begin:end]}

    def key(self) -> Hashable:
        """All of its numbers."""
        return self.factor.tobytes(), self.offset.tobytes()


@dataclass(eq=False, kw_only=True)
class Relu(Elementwise):
    """y = x for x > 0, else slope x."""

    slope: float = 0.0

    def key(self) -> Hashable:
        """The slope."""
        return self.slope


@dataclass(eq=False, kw_only=True)
class Clamp(Elementwise):
    """y = min(max(x, low), high)."""

    low: float
    high: float

    def key(self) -> Hashable:
        """The limits."""
        return self.low, self.high


@dataclass(eq=False, kw_only=True)
class Sigmoid(Elementwise):
    """y = 1 / (1 + exp(-x))."""

    def key(self) -> Hashable:
        """Nothing: all are the same."""
        return ()


@dataclass(eq=False, kw_only=True)
class TanH(Elementwise):
    """y = tanh(x)."""

    def key(self) -> Hashable:
        """Nothing: all are the same."""
        return ()


@dataclass(eq=False, kw_only=True)
class Quantizer(Elementwise):
    """y = values[k], k the number of thresholds below x; of one at x too, if it is ``closed``."""

    thresholds: tuple[float, ...]
    values: tuple[float, ...]
    closed: bool = False

    def key(self) -> Hashable:
        """The steps of the function."""
        return self.thresholds, self.values, self.closed

    @property
    def has_codes(self) -> bool:
        """Whether a binary convolution can read k in place of y."""
        return len(self.values) <= MOST_LEVELS and (self.closed or self.values[0] == 0)


@dataclass(eq=False, kw_only=True)
class Eltwise(Node):
    """The sum, with a factor for each, the product or the maximum of two results."""

    operation: int
    factors: tuple[float, float] = (1.0, 1.0)


@dataclass(eq=False, kw_only=True)
class Pooling(Node):
    """The maximum or mean of windows. ``minimum`` tells channels that take the minimum instead."""

    mean: bool
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    minimum: np.ndarray

    def key(self) -> Hashable:
        """The windows and what is taken of them."""
        return self.mean, self.kernel, self.stride, self.padding, self.minimum.tobytes()


@dataclass(eq=False, kw_only=True)
class Concat(Node):
    """Channels after channels."""


@dataclass(eq=False, kw_only=True)
class Softmax(Node):
    """Over channels."""


@dataclass(eq=False, kw_only=True)
class Lrn(Node):
    """Local response normalization, within each channel or across them."""

    within: bool
    size: int
    alpha: float
    beta: float
    k: float


@dataclass(eq=False, kw_only=True)
class CaffeLayer(Node):
    """A layer that is left as it is; its results are those of :class:`Part` nodes.

    ``dimensions`` are those of each input's blob, without the first; ``shapes`` are those of its results.
    """

    parameter: caffe_pb2.LayerParameter
    dimensions: list[tuple[int, ...]]
    shapes: list[Shape]


@dataclass(eq=False, kw_only=True)
class Part(Node):
    """One of a layer's results."""

    index: int


@dataclass(frozen=True)
class View:
    """A blob: a result, and the dimensions under which the net has it, without the first.

    Flattening changes the dimensions and not the result, whose elements in Caffe's order stay what they are.
    """

    node: Node
    dimensions: tuple[int, ...]

    @property
    def is_natural(self) -> bool:
        """Whether the dimensions are the result's channels, height and width."""
        return natural_shape(self.dimensions) == self.node.shape


def natural_shape(dimensions: tuple[int, ...]) -> Shape:
    """A blob's dimensions without the first, at most three, as channels, height and width."""
    channels, height, width = (*dimensions, 1, 1, 1)[:3]
    return channels, height, width


@dataclass
class Graph:
    """A net: its inputs and outputs by the blobs' names."""

    name: str
    inputs: dict[str, View]
    outputs: dict[str, View]

    def nodes(self) -> list[Node]:
        """All nodes that outputs depend on, and the inputs: after what they read, else in the net's order."""
        found: dict[Node, int] = {}
        unread: dict[Node, list[Node]] = {}
        pending = [view.node for view in (*self.inputs.values(), *self.outputs.values())]
        while pending:
            node = pending.pop()
            if node in found:
                continue
            operands = set(node.inputs)
            found[node] = len(operands)
            for operand in operands:
                unread.setdefault(operand, []).append(node)
            pending += operands
        tie = itertools.count()
        ready = [(node.order, next(tie), node) for node, waits_for in found.items() if not waits_for]
        heapq.heapify(ready)
        ordered = []
        while ready:
            node = heapq.heappop(ready)[2]
            ordered.append(node)
            for reader in unread.get(node, []):
                found[reader] -= 1
                if not found[reader]:
                    heapq.heappush(ready, (reader.order, next(tie), reader))
        return ordered

    def readers(self) -> dict[Node, list[Node]]:
        """The nodes that read each node; a reader that reads it twice stands there twice."""
        result: dict[Node, list[Node]] = {}
        for node in self.nodes():
            result.setdefault(node, [])
            for operand in node.inputs:
                result[operand].append(node)
        return result

    def is_output(self, node: Node) -> bool:
        """Whether the net gives the result to the outside."""
        return any(view.node is node for view in self.outputs.values())

    def replace(self, old: Node, new: Node) -> None:
        """Lets everything that reads a result read another one."""
        for node in self.nodes():
            node.inputs = [new if operand is old else operand for operand in node.inputs]
        self.outputs = {
            name: View(new, view.dimensions) if view.node is old else view
            for name, view in self.outputs.items()
        }


def has_codes(node: Node) -> Quantizer | None:
    """The quantizer whose codes can stand for a result, if there is one."""
    if isinstance(node, Quantizer):
        return node if node.has_codes else None
    if isinstance(node, Pooling) and not node.mean:
        return has_codes(node.inputs[0])
    if isinstance(node, Concat):
        quantizers = [has_codes(operand) for operand in node.inputs]
        if all(quantizer and quantizer.key() == quantizers[0].key() for quantizer in quantizers):
            return quantizers[0]
    return None


def simplify(graph: Graph) -> None:
    """Rewrites the graph until nothing is left to rewrite."""
    passes = (
        _merge_equal,
        _merge_affine,
        _add_offsets,
        _skip_relu,
        _pool_codes,
        _pool_first,
        _enter_concat,
    )
    while any([rewrite(graph) for rewrite in passes]):
        pass


def only_reader(graph: Graph, readers: dict[Node, list[Node]], node: Node) -> Node | None:
    """The node that alone reads a result, if there is one."""
    return readers[node][0] if len(readers[node]) == 1 and not graph.is_output(node) else None


def _merge_equal(graph: Graph) -> bool:
    """One node in place of two that compute the same of the same."""
    first: dict[Hashable, Node] = {}
    for node in graph.nodes():
        key = node.key()
        if key is None:
            continue
        other = first.setdefault((type(node), tuple(map(id, node.inputs)), key), node)
        if other is not node:
            other.layers = joined(other.layers, node.layers)
            graph.replace(node, other)
            return True
    return False


def joined(*layers: Iterable[str]) -> tuple[str, ...]:
    """The names of several nodes' layers, each once."""
    return tuple(dict.fromkeys(name for names in layers for name in names))


def _merge_affine(graph: Graph) -> bool:
    """One affine function in place of two in succession."""
    readers = graph.readers()
    for first in readers:
        if not isinstance(first, Affine):
            continue
        second = only_reader(graph, readers, first)
        if isinstance(second, Affine):
            second.factor, second.offset = (
                second.factor * first.factor,
                second.factor * first.offset + second.offset,
            )
            second.layers = joined(first.layers, second.layers)
            second.inputs = first.inputs
            return True
    return False


def _add_offsets(graph: Graph) -> bool:
    """One offset in place of two where the sum alone of two functions is read, as of a projected shortcut."""
    readers = graph.readers()
    for total in readers:
        if not isinstance(total, Eltwise) or total.operation != caffe_pb2.EltwiseParameter.SUM:
            continue
        first, second = total.inputs
        if not all(
            isinstance(operand, Affine) and only_reader(graph, readers, operand) is total
            for operand in total.inputs
        ):
            continue
        if first.offset.any() and total.factors[1] != 0:
            second.offset = second.offset + total.factors[0] / total.factors[1] * first.offset
            first.offset = np.zeros_like(first.offset)
            first.name += " without its offset"
            return True
    return False


def _skip_relu(graph: Graph) -> bool:
    """A quantizer to which what is negative is 0 reads what a ReLU reads."""
    for node in graph.nodes():
        if not isinstance(node, Quantizer) or node.closed or node.values[0] != 0:
            continue
        relu = node.inputs[0]
        if isinstance(relu, Relu) and relu.slope == 0:
            node.layers = joined(relu.layers, node.layers)
            node.inputs = relu.inputs
            return True
    return False


def _pool_codes(graph: Graph) -> bool:
    """Takes the maximum of codes in place of what is normalized and quantized after the maximum is taken.

    Every function in between is monotone in each channel; where it falls, the code of the maximum is the
    minimum of the codes.
    """
    readers = graph.readers()
    for pool in readers:
        if not isinstance(pool, Pooling) or pool.mean or pool.minimum.any():
            continue
        chain: list[Node] = []
        node = only_reader(graph, readers, pool)
        while isinstance(node, Affine) or (isinstance(node, Relu) and node.slope >= 0):
            chain.append(node)
            node = only_reader(graph, readers, node)
        if not isinstance(node, Quantizer) or not _is_read_as_codes(graph, readers, node):
            continue
        falls = np.zeros(pool.shape[0], bool)
        below = pool.inputs[0]
        for function in (*chain, node):
            if isinstance(function, Affine):
                falls ^= function.factor < 0
            below = dataclasses.replace(
                function, inputs=[below], shape=below.shape, name=f"{function.name} before {pool.name}"
            )
        graph.replace(
            node,
            dataclasses.replace(pool, inputs=[below], name=node.name, order=node.order, minimum=falls),
        )
        return True
    return False


def _pool_first(graph: Graph) -> bool:
    """Takes the maximum before an affine function that rises in every channel, which is less work then.

    And what is read, mostly a convolution with a bias, can be written as it is.
    """
    readers = graph.readers()
    for function in readers:
        if not isinstance(function, Affine) or not (function.factor > 0).all():
            continue
        pool = only_reader(graph, readers, function)
        if not isinstance(pool, Pooling) or pool.mean:
            continue
        (below,) = function.inputs
        pooled = dataclasses.replace(pool, inputs=[below], name=f"{pool.name} of {below.name}")
        layers = tuple(name for name in function.layers if name not in below.layers)
        graph.replace(
            pool,
            dataclasses.replace(
                function,
                inputs=[pooled],
                shape=pool.shape,
                name=pool.name,
                layers=layers,
                order=pool.order,
            ),
        )
        return True
    return False


def _is_read_as_codes(graph: Graph, readers: dict[Node, list[Node]], node: Node) -> bool:
    """Whether convolutions with binary weights are all that reads a result, through what keeps codes."""
    return (
        has_codes(node) is not None
        and not graph.is_output(node)
        and all(
            reader.signs is not None
            if isinstance(reader, Convolution)
            else isinstance(reader, Pooling | Concat) and _is_read_as_codes(graph, readers, reader)
            for reader in readers[node]
        )
    )


def _enter_concat(graph: Graph) -> bool:
    """Lets a function of single elements work on what is concatenated, not on the result."""
    readers = graph.readers()
    for concat in readers:
        if not isinstance(concat, Concat):
            continue
        function = only_reader(graph, readers, concat)
        if isinstance(function, Concat) and function is not concat:
            at = function.inputs.index(concat)
            function.inputs[at : at + 1] = concat.inputs
            return True
        if not isinstance(function, Elementwise):
            continue
        branches: list[Node] = []
        begin = 0
        for branch in concat.inputs:
            end = begin + branch.shape[0]
            branches.append(
                dataclasses.replace(
                    function,
                    inputs=[branch],
                    shape=branch.shape,
                    name=f"{function.name} of {branch.name}",
                    order=branch.order,
                    **function.of_channels(begin, end),
                )
            )
            begin = end
        graph.replace(
            function, dataclasses.replace(concat, inputs=branches, name=function.name, order=function.order)
        )
        return True
    return False
