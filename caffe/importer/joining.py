"""Several nodes that one layer computes: normalizations for which ONNX has no operator that engines know, and
steps through sequences as ``caffe export`` writes them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import folding
from .graph import DAMAGE, Branch, Graph, Node, names_read
from .steps import Step
from .values import Shape

#: A layer's type and fields, and the shape of its top.
Layer = tuple[str, dict[str, Any], Shape]

#: What a Scan may do beside going through the first axes, forward.
_SCAN_SETTINGS = ("input_axes", "input_directions", "output_axes", "output_directions")


@dataclass(eq=False)
class Joined(Node):
    """Nodes that make one tensor of another, in the place of the last of them."""

    parts: list[Node]
    #: The layer that computes the same of a tensor of a shape; None where there is none.
    layer: Callable[[Shape], Layer | None]

    @property
    def reads(self) -> int:
        """How often the parts read the tensor."""
        return sum(part.inputs.count(self.inputs[0]) for part in self.parts)


@dataclass(eq=False)
class Recurrence(Node):
    """A Scan with the products before it, which a layer does itself, in the place of the Scan.

    It reads the first states, the sequence, whether the sequences go on, and what all steps read if there is
    such.
    """

    parts: list[Node]
    layer_type: str
    #: Of the layer.
    parameters: list[np.ndarray]


def joined(graph: Graph) -> list[Node]:
    """A graph's nodes in their order; what belongs together, and what is between that nothing else reads, is
    joined."""
    finder = _Finder(graph)
    last: dict[Node, Joined | Recurrence] = {}
    taken: set[Node] = set()
    # From the end: what is centered may be normalized, too.
    for node in reversed(graph.nodes):
        if node in taken or node.domain:
            continue
        try:
            found = (
                finder.normalized(node)
                or finder.centered(node)
                or finder.normalized_nearby(node)
                or finder.drawn(node)
                or finder.recurrence(node)
            )
        except DAMAGE:
            # What makes no sense is named when it is read.
            continue
        if found:
            last[node] = found
            taken.update(found.parts)
    return [last.get(node, node) for node in graph.nodes if node in last or node not in taken]


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.nodes
        self._makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self._readers = Counter(names_read(graph.nodes))
        self._readers.update(graph.outputs)
        self._constants = graph.constants

    # ------------------------------------------------------------------ parts

    def _made(self, name: str, *operators: str) -> Node | None:
        """What makes a tensor, if it is one of some operators."""
        node = self._makers.get(name)
        return node if node is not None and not node.domain and node.op in operators else None

    def _array(self, name: str) -> np.ndarray | None:
        if name in self._constants:
            return self._constants[name]
        node = self._made(name, "Constant")
        return None if node is None else folding.fold(node, [])[0]

    def _number(self, name: str) -> float | None:
        array = self._array(name)
        return float(array.item()) if array is not None and array.size == 1 else None

    def _and_number(self, node: Node | None) -> tuple[str, float] | None:
        """What a sum or product joins with a constant number, and that number."""
        if node is None:
            return None
        for name, other in (node.inputs, node.inputs[::-1]):
            number = self._number(other)
            if number is not None:
                return name, number
        return None

    def _square(self, name: str) -> tuple[Node, str] | None:
        node = self._made(name, "Mul", "Pow")
        if node is None:
            return None
        is_square = (
            node.inputs[0] == node.inputs[1] if node.op == "Mul" else self._number(node.inputs[1]) == 2
        )
        return (node, node.inputs[0]) if is_square else None

    def _mean(self, name: str) -> tuple[Node, tuple[int, ...]] | None:
        node = self._made(name, "ReduceMean")
        if node is None or not node.get("keepdims", 1):
            return None
        axes = node.get("axes")
        if axes is None and len(node.inputs) > 1:
            array = self._array(node.inputs[1])
            axes = None if array is None else array.ravel().tolist()
        return (node, tuple(axes)) if axes else None

    def _join(
        self, operator: str, x: str, parts: list[Node], layer: Callable[[Shape], Layer | None]
    ) -> Joined | None:
        """Joins parts, the last of which ends them; None where something else reads what is between."""
        parts = [node for node in self._nodes if node in parts]
        end = parts[-1]
        if not self._alone(parts):
            return None
        name = re.sub(rf"/{re.escape(end.op)}(_\d+)?$", f"/{operator}", end.name)
        return Joined(operator, "", name, [x], end.outputs, {}, end.opset, parts, layer)

    def _alone(self, parts: list[Node]) -> bool:
        """Whether nothing else reads what is between parts, in their order."""
        inside = Counter(name for part in parts for name in part.inputs)
        between = (name for part in parts[:-1] for name in filter(None, part.outputs))
        return all(self._readers[name] == inside[name] for name in between)

    # ------------------------------------------------------------------ patterns

    def centered(self, end: Node) -> Joined | None:
        """x - mean."""
        if end.op != "Sub" or not (found := self._mean(end.inputs[1])):
            return None
        mean, axes = found
        if mean.inputs[0] != end.inputs[0]:
            return None

        def layer(shape: Shape) -> Layer | None:
            return _mean_variance(shape, axes, {"normalize_variance": False})

        return self._join("MVN", end.inputs[0], [mean, end], layer)

    def normalized(self, end: Node) -> Joined | None:
        """(x - mean) / deviation, with something added to the variance or to the deviation."""
        if end.op != "Div" or not (centered := self._made(end.inputs[0], "Sub")):
            return None
        first = self._mean(centered.inputs[1])
        x = centered.inputs[0]
        spread = self._made(end.inputs[1], "Sqrt", "Add")
        if first is None or first[0].inputs[0] != x or spread is None:
            return None
        inside = spread.op == "Sqrt"
        root = spread if inside else None
        added = self._made(spread.inputs[0], "Add") if inside else spread
        if not (found := self._and_number(added)):
            return None
        name, eps = found
        if not inside:
            root = self._made(name, "Sqrt")
            if root is None:
                return None
            name = root.inputs[0]
        second = self._mean(name)
        square = self._square(second[0].inputs[0]) if second else None
        if square is None or square[1] != centered.outputs[0] or second[1] != first[1]:
            return None
        axes = first[1]

        def layer(shape: Shape) -> Layer | None:
            if inside:
                return _batch_norm(shape, axes, eps)
            return _mean_variance(shape, axes, {"eps": eps})

        parts = [first[0], centered, square[0], second[0], root, added, end]
        return self._join("BatchNorm" if inside else "MVN", x, parts, layer)

    def normalized_nearby(self, end: Node) -> Joined | None:
        """x (1 + alpha mean of the squares around)^-beta."""
        if end.op != "Mul":
            return None
        for x, factor in (end.inputs, end.inputs[::-1]):
            power = self._made(factor, "Pow")
            beta = self._number(power.inputs[1]) if power else None
            added = self._made(power.inputs[0], "Add") if power else None
            if beta is None or not (found := self._and_number(added)) or found[1] != 1:
                continue
            name, alpha, scaled = found[0], 1.0, self._made(found[0], "Mul")
            if scaled:
                if not (found := self._and_number(scaled)):
                    continue
                name, alpha = found
            pool = self._made(name, "AveragePool")
            square = self._square(pool.inputs[0]) if pool else None
            if square is None or square[1] != x or not (size := _side(pool)):
                continue
            param = {
                "norm_region": "WITHIN_CHANNEL",
                "local_size": size,
                "alpha": float(np.float32(alpha)),
                "beta": -beta,
            }
            parts = [square[0], pool, *([scaled] if scaled else []), added, power, end]
            return self._join(
                "LRN",
                x,
                parts,
                lambda shape, param=param: ("LRN", {"lrn_param": param}, shape) if len(shape) == 4 else None,
            )
        return None

    def drawn(self, end: Node) -> Joined | None:
        """Means weighted by the values themselves, sum of squares by sum, and 0 where the sum is not above 0:
        stochastic pooling in its test phase."""
        if end.op != "Where" or self._number(end.inputs[2]) != 0:
            return None
        above, share = self._made(end.inputs[0], "Greater"), self._made(end.inputs[1], "Div")
        if above is None or share is None or self._number(above.inputs[1]) != 0:
            return None
        squares, sums = (self._sums(name) for name in share.inputs)
        if squares is None or sums is None or above.inputs[0] != share.inputs[1] or squares[2:] != sums[2:]:
            return None
        (parts, squared, window, pads), (more, x) = squares, sums[:2]
        square = self._square(squared)
        if square is None or square[1] != x:
            return None

        def layer(shape: Shape) -> Layer | None:
            return _stochastic(shape, window, pads)

        return self._join("Pooling", x, [*parts, *more, square[0], above, share, end], layer)

    def _sums(self, name: str) -> tuple[list[Node], str, tuple[tuple[int, ...], ...], list[int]] | None:
        """Sums of a window: the nodes that make them, and of what; the window's sides and steps, and by how
        much it may reach over the end of the last axes."""
        scaled = self._made(name, "Mul")
        found = self._and_number(scaled)
        pool = self._made(found[0] if found else name, "AveragePool")
        kernel = pool.get("kernel_shape") if pool else None
        if not kernel or len(kernel) != 2 or any(pool.get("pads") or []) or pool.get("ceil_mode", 0):
            return None
        if (found[1] if found else 1) != kernel[0] * kernel[1] or any(
            step != 1 for step in pool.get("dilations") or []
        ):
            return None
        window = (tuple(kernel), tuple(pool.get("strides") or (1, 1)))
        parts, padding = [pool, *([scaled] if found else [])], self._made(pool.inputs[0], "Pad")
        if padding is None:
            return parts, pool.inputs[0], window, [0, 0]
        pads = self._array(padding.inputs[1]) if len(padding.inputs) > 1 else None
        fill = self._number(padding.inputs[2]) if len(padding.inputs) == 3 else None
        if pads is None or pads.size != 8 or pads[:6].any() or fill != 0 or padding.get("mode"):
            return None
        return [*parts, padding], padding.inputs[0], window, pads[6:].tolist()

    def recurrence(self, end: Node) -> Recurrence | None:
        """Steps of an LSTM or RNN layer."""
        body = end.get("body")
        if end.op != "Scan" or not isinstance(body, Branch) or end.get("num_scan_inputs") != 2:
            return None
        if any(any(end.get(f"scan_{name}") or []) for name in _SCAN_SETTINGS):
            return None
        if not (found := Step(body, self._array).found()):
            return None
        layer_type, own = found
        *first, x, cont = end.inputs
        sum_ = self._made(x, "Add")
        static = None
        product = self._product(sum_.inputs[1]) if sum_ else None
        parts = [end]
        if product:
            node, static, static_weights = product
            parts += [sum_, node]
            own = [static_weights, *own]
            sum_ = self._made(sum_.inputs[0], "Add")
        bias = self._array(sum_.inputs[1]) if sum_ else None
        product = self._product(sum_.inputs[0]) if sum_ else None
        inner = len(own[-1] if layer_type == "LSTM" else own[-3])
        if bias is None or bias.shape != (inner,) or not product:
            return None
        node, x, weights = product
        parts = [part for part in self._nodes if part in (*parts, sum_, node)]
        if any(len(own_weights) != inner for own_weights in (weights, own[0])) or not self._alone(parts):
            return None
        inputs = [*first, x, cont, *([static] if static else [])]
        parameters = [weights, bias, *own]
        return Recurrence(
            end.op, "", end.name, inputs, end.outputs, {}, end.opset, parts, layer_type, parameters
        )

    def _product(self, name: str) -> tuple[Node, str, np.ndarray] | None:
        """A product with a constant matrix: the node, what it multiplies; and the matrix, outputs first."""
        node = self._made(name, "MatMul")
        weights = self._array(node.inputs[1]) if node else None
        if weights is None or weights.ndim != 2 or weights.dtype != np.float32:
            return None
        return node, node.inputs[0], weights.T


def _side(pool: Node) -> int | None:
    """The side of a square window that moves by one and counts as much padding as keeps the size."""
    kernel = pool.get("kernel_shape")
    if not kernel or len(kernel) != 2 or len(set(kernel)) != 1 or kernel[0] % 2 == 0:
        return None
    pads, size = pool.get("pads") or [0] * 4, kernel[0]
    plain = all(pool.get(name) in (None, [1, 1]) for name in ("strides", "dilations"))
    counts = size == 1 or pool.get("count_include_pad", 0) == 1
    same = pads == [size // 2] * 4 and pool.get("auto_pad", "NOTSET") == "NOTSET"
    return size if plain and counts and same and not pool.get("ceil_mode", 0) else None


def _axes(shape: Shape, axes: tuple[int, ...]) -> list[int]:
    count = len(shape)
    return sorted({axis % count for axis in axes if -count <= axis < count})


def _mean_variance(shape: Shape, axes: tuple[int, ...], param: dict[str, Any]) -> Layer | None:
    found = _axes(shape, axes)
    for first in (1, 2):
        if len(shape) > 2 and found == list(range(first, len(shape))):
            across = {"across_channels": True} if first == 1 else {}
            return "MVN", {"mvn_param": {**across, **param}}, shape
    return None


def _stochastic(shape: Shape, window: tuple[tuple[int, ...], ...], pads: list[int]) -> Layer | None:
    """Pooling with as many windows as fit into an image that is longer by some zeros at its ends."""
    if len(shape) != 4:
        return None
    sides = shape[2:]
    kernel, stride = window
    param: dict[str, Any] = {"pool": "STOCHASTIC"}
    if kernel == sides and pads == [0, 0]:
        return "Pooling", {"pooling_param": {**param, "global_pooling": True}}, (*shape[:2], 1, 1)
    for names, values in ((("kernel_h", "kernel_w"), kernel), (("stride_h", "stride_w"), stride)):
        param.update(zip(names, values, strict=True))
    spare = [side - size for side, size in zip(sides, kernel, strict=True)]
    if min(spare) < 0:
        return None
    over = [-(-free // step) * step - free for free, step in zip(spare, stride, strict=True)]
    if pads == [0, 0] and any(over):
        param["round_mode"] = "FLOOR"
    elif pads != over:
        return None
    counts = ((free + more) // step + 1 for free, more, step in zip(spare, pads, stride, strict=True))
    return "Pooling", {"pooling_param": param}, (*shape[:2], *counts)


def _batch_norm(shape: Shape, axes: tuple[int, ...], eps: float) -> Layer | None:
    if len(shape) < 2 or _axes(shape, axes) != [axis for axis in range(len(shape)) if axis != 1]:
        return None
    fields = {
        "batch_norm_param": {"use_global_stats": False, "eps": eps},
        # There are none: they are the batch's.
        "parameters": [np.zeros(shape[1]), np.zeros(shape[1]), np.zeros(1)],
    }
    return "BatchNorm", fields, shape
