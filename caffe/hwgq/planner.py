"""From a graph of operations to the stages of a packed model.

A stage is a convolution, a pooling or the like with all that can be done to its values while they are at
hand. Convolutions with binary weights read codes where their input is quantized; what follows one up to the
next quantizer becomes integer thresholds, where nothing else reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..proto import caffe_pb2
from . import graph as g
from .levels import integer_levels, integer_thresholds
from .packed_file import (
    Encoding,
    Input,
    Output,
    Plan,
    Stage,
    StageKind,
    Step,
    StepKind,
    Tensor,
    TensorKind,
)

_MOST_SUM = 2**31 - 2
_INT8_MOST = 127
_MOST_INT16 = 2**15 - 1


@dataclass(frozen=True)
class WeightsReport:
    """What became of a convolution's or an inner product's weights."""

    layer: str
    encoding: Encoding
    float_bytes: int
    #: With scales of their own; those of integer sums are part of what follows these.
    packed_bytes: int
    #: Root of the mean squared error over that of the mean square; 0 where weights are kept exactly.
    relative_error: float


@dataclass
class Planned:
    """A plan, and what there is to say about it."""

    plan: Plan
    weights: list[WeightsReport] = field(default_factory=list)
    #: By stage: why it is not all in integers.
    notes: dict[int, list[str]] = field(default_factory=dict)


def make_plan(graph: g.Graph, int8: bool = False) -> Planned:
    """The stages of a simplified graph.

    Args:
        int8: whether weights that are not binary become 8-bit integers.
    """
    return _Planner(graph, int8).planned()


class _Planner:
    def __init__(self, graph: g.Graph, int8: bool) -> None:
        self._graph = graph
        self._int8 = int8
        self._nodes = graph.nodes()
        self._readers = graph.readers()
        self._result = Planned(Plan(graph.name))
        # Which results somebody reads as codes, and which as real values.
        self._as_codes: set[g.Node] = set()
        self._as_real: set[g.Node] = set()
        self._tensors: dict[tuple[g.Node, TensorKind], int] = {}
        self._done: set[g.Node] = set()
        # Results of the stage that is being made, which no step of it can read from a tensor.
        self._fresh: set[g.Node] = set()
        self._stage = Stage(StageKind.MAP, "")
        self._layers: tuple[str, ...] = ()

    def planned(self) -> Planned:
        """Goes through the graph; what a stage takes along is done when its turn comes."""
        self._see_what_is_read()
        for node in self._nodes:
            if isinstance(node, g.Elementwise | g.Eltwise):
                while node not in self._done:
                    self._map(node.inputs[0])
            elif isinstance(node, g.Input):
                self._tensor(node, TensorKind.REAL)
            elif isinstance(node, g.Concat):
                self._finish_concat(node)
            elif isinstance(node, g.CaffeLayer):
                self._caffe_layer(node)
            elif isinstance(node, g.Convolution):
                if self._reads(node, TensorKind.CODES):
                    self._binary_convolution(node)
                else:
                    self._convolution(node)
            elif isinstance(node, g.Pooling):
                self._pooling(node)
            elif isinstance(node, g.Softmax):
                self._begin(StageKind.SOFTMAX, node)
                self._finish(node)
            elif isinstance(node, g.Lrn):
                self._begin(StageKind.LRN, node, [int(node.within), node.size])
                self._stage.arrays = [np.array([node.alpha, node.beta, node.k], np.float32)]
                self._finish(node)
            self._done.add(node)
        self._add_ports()
        return self._result

    # ------------------------------------------------------------------ codes or real values

    def _see_what_is_read(self) -> None:
        self._as_real.update(view.node for view in self._graph.outputs.values())
        for node in reversed(self._nodes):
            for kind, wanted in ((TensorKind.REAL, self._as_real), (TensorKind.CODES, self._as_codes)):
                if self._reads(node, kind):
                    wanted.update(node.inputs)

    def _reads(self, node: g.Node, kind: TensorKind) -> bool:
        """Whether a node reads its inputs as real values or as codes; some do both."""
        if isinstance(node, g.Concat | g.Pooling):
            return node in (self._as_codes if kind == TensorKind.CODES else self._as_real)
        binary = isinstance(node, g.Convolution) and node.signs is not None
        return (kind == TensorKind.CODES) == (binary and g.has_codes(node.inputs[0]) is not None)

    def _is_only_codes(self, node: g.Node) -> bool:
        return isinstance(node, g.Quantizer) and node in self._as_codes and node not in self._as_real

    # ------------------------------------------------------------------ tensors

    def _tensor(self, node: g.Node, kind: TensorKind) -> int:
        """The tensor of a result, a new one if there is none yet."""
        key = (node, kind)
        if key not in self._tensors:
            self._tensors[key] = self._new_tensor(node.name, kind, node.shape)
        return self._tensors[key]

    def _new_tensor(self, name: str, kind: TensorKind, shape: g.Shape) -> int:
        tensors = self._result.plan.tensors
        tensors.append(Tensor(name, kind, *shape))
        return len(tensors) - 1

    def _places(self, node: g.Node, kind: TensorKind, without: g.Node | None = None) -> list[tuple[int, int]]:
        """Tensors, and channels of them, in which readers that are not done expect a result.

        ``without`` is the reader to which the stage itself hands it on.
        """
        own = kind == TensorKind.REAL and self._graph.is_output(node)
        parts: list[tuple[int, int]] = []
        for reader in dict.fromkeys(self._readers[node]):
            if reader is without or reader in self._done or not self._reads(reader, kind):
                continue
            if isinstance(reader, g.Concat):
                parts += [(self._tensor(reader, kind), at) for at in _channels_of(reader, node)]
            else:
                own = True
        return [(self._tensor(node, kind), 0), *parts] if own else parts

    def _finish_concat(self, concat: g.Concat) -> None:
        """Copies into a concatenation what was not written there in the first place."""
        for kind, wanted in ((TensorKind.REAL, self._as_real), (TensorKind.CODES, self._as_codes)):
            for source in dict.fromkeys(concat.inputs if concat in wanted else ()):
                if isinstance(source, g.Input | g.Concat | g.Part):
                    self._begin(StageKind.MAP, concat, inputs=[self._tensor(source, kind)])
                    for channel in _channels_of(concat, source):
                        self._step(StepKind.STORE, self._tensor(concat, kind), channel)

    def _add_ports(self) -> None:
        plan = self._result.plan
        for name, view in self._graph.inputs.items():
            plan.inputs.append(Input(name, self._tensor(view.node, TensorKind.REAL), list(view.dimensions)))
        for name, view in self._graph.outputs.items():
            plan.outputs.append(Output(name, self._tensor(view.node, TensorKind.REAL), list(view.dimensions)))

    # ------------------------------------------------------------------ stages

    def _begin(
        self,
        kind: StageKind,
        node: g.Node,
        attributes: Sequence[int] = (),
        inputs: Sequence[int] | None = None,
        read: TensorKind = TensorKind.REAL,
    ) -> None:
        """A new stage, which reads the node's inputs unless others are given."""
        if inputs is None:
            inputs = [self._tensor(operand, read) for operand in node.inputs]
        self._stage = Stage(kind, "", list(attributes), list(inputs))
        self._result.plan.stages.append(self._stage)
        self._fresh = set()
        self._layers = ()
        self._take(node.layers)

    def _take(self, layers: tuple[str, ...]) -> None:
        self._layers = g.joined(self._layers, layers)
        self._stage.name = " + ".join(self._layers)

    def _note(self, text: str) -> None:
        self._result.notes.setdefault(len(self._result.plan.stages) - 1, []).append(text)

    def _step(self, kind: StepKind, tensor: int | None = None, channel: int = 0, **content: list) -> None:
        self._stage.steps.append(Step(kind, tensor, channel, **content))

    def _map(self, source: g.Node) -> None:
        """A stage for functions of a result that a tensor holds."""
        self._begin(StageKind.MAP, source, inputs=[self._tensor(source, TensorKind.REAL)])
        self._layers = ()
        self._finish(source, stored=True)

    def _convolution(self, conv: g.Convolution) -> None:
        self._begin(StageKind.CONVOLUTION, conv)
        encoding, self._stage.arrays = self._encoded(conv)
        self._stage.attributes = [*_geometry(conv), encoding]
        if conv.signs is not None:
            self._note(f"no integer sums: its input {conv.inputs[0].name!r} is not quantized to codes")
        self._finish(conv)

    def _encoded(self, conv: g.Convolution) -> tuple[Encoding, list[np.ndarray]]:
        if conv.signs is not None:
            arrays = [_bits(conv.signs), conv.scales.astype(np.float32)]
            self._report(conv, Encoding.BITS, sum(array.nbytes for array in arrays))
            return Encoding.BITS, arrays
        weights = conv.weights.astype(np.float32)
        if not self._int8:
            self._report(conv, Encoding.FLOAT, weights.nbytes)
            return Encoding.FLOAT, [weights]
        rows = weights.reshape(len(weights), -1)
        scales = np.abs(rows).max(1) / np.float32(_INT8_MOST)
        steps = np.round(rows / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
        error = np.square(steps * scales[:, None] - rows).sum() / max(np.square(rows).sum(), 1e-30)
        self._report(conv, Encoding.INT8, steps.nbytes + scales.nbytes, float(np.sqrt(error)))
        return Encoding.INT8, [steps, scales]

    def _report(
        self, conv: g.Convolution, encoding: Encoding, packed_bytes: int, relative_error: float = 0.0
    ) -> None:
        float_bytes = conv.kernel.size * np.dtype(np.float32).itemsize
        self._result.weights.append(
            WeightsReport(" + ".join(conv.layers), encoding, float_bytes, packed_bytes, relative_error)
        )

    def _binary_convolution(self, conv: g.Convolution) -> None:
        self._begin(StageKind.BINARY_CONVOLUTION, conv, _geometry(conv), read=TensorKind.CODES)
        levels, unit = integer_levels(g.has_codes(conv.inputs[0]).values, _MOST_SUM // conv.signs[0].size)
        factor, offset = conv.scales * unit, np.zeros(len(conv.scales))
        node: g.Node = conv
        reader = g.only_reader(self._graph, self._readers, conv)
        if isinstance(reader, g.Affine):
            node = reader
            factor, offset = reader.factor * factor, reader.offset
            self._take(reader.layers)
            self._done.add(reader)
        read_by = self._real_readers(node)
        if read_by:
            self._note(f"no integer thresholds: the sums go to {read_by} as real values")
            self._affine(factor, offset)
            self._finish(node)
            signs = conv.signs
        else:
            # Thresholds are for sums that rise; one that falls is that of the opposite weights, which rises.
            signs = conv.signs ^ (factor < 0)[:, None, None, None]
            for quantizer in dict.fromkeys(self._readers[node]):
                thresholds = integer_thresholds(np.abs(factor), offset, quantizer)
                if conv.signs[0].size * np.abs(levels).max() < _MOST_INT16:
                    # No sum is beyond 16 bits, and none reaches the largest of them.
                    thresholds = np.clip(thresholds, -_MOST_INT16 - 1, _MOST_INT16).astype(np.int16)
                for tensor, channel in self._places(quantizer, TensorKind.CODES):
                    self._step(StepKind.THRESHOLD, tensor, channel, arrays=[thresholds])
                self._take(quantizer.layers)
                self._done.add(quantizer)
        self._stage.arrays = [_bits(signs), levels]
        self._report(conv, Encoding.BITS, self._stage.arrays[0].nbytes)

    def _pooling(self, pool: g.Pooling) -> None:
        attributes = [int(pool.mean), *pool.kernel, *pool.stride, *pool.padding, *pool.shape[1:]]
        if pool in self._as_codes:
            self._begin(StageKind.POOLING, pool, attributes, read=TensorKind.CODES)
            self._stage.arrays = [np.where(pool.minimum, 255, 0).astype(np.uint8)]
            for tensor, channel in self._places(pool, TensorKind.CODES):
                self._step(StepKind.STORE, tensor, channel)
        if pool in self._as_real:
            self._begin(StageKind.POOLING, pool, attributes)
            self._finish(pool)

    def _caffe_layer(self, layer: g.CaffeLayer) -> None:
        attributes = [number for sizes in layer.dimensions for number in (len(sizes), *sizes)]
        self._begin(StageKind.CAFFE_LAYER, layer, attributes)
        self._stage.name = layer.name
        self._stage.arrays = [np.frombuffer(layer.parameter.SerializeToString(), np.uint8)]
        self._note(f"left to Caffe: no stage computes this {layer.parameter.type} layer")
        parts = {part.index: part for part in self._readers[layer]}
        for index, shape in enumerate(layer.shapes):
            if index in parts:
                tensor = self._tensor(parts[index], TensorKind.REAL)
            else:
                tensor = self._new_tensor(f"unread result {index} of {layer.name}", TensorKind.REAL, shape)
            self._step(StepKind.STORE, tensor)

    # ------------------------------------------------------------------ steps

    def _finish(self, node: g.Node | None, stored: bool = False) -> None:
        """Steps for all that can be done while the real values of a result are at hand.

        One reader after the other takes the values on, preferably one that leads to codes; for the rest they
        are stored, unless ``stored`` says that they are.
        """
        while node is not None:
            self._done.add(node)
            if not stored:
                self._fresh.add(node)
            quantizers = [
                reader
                for reader in dict.fromkeys(self._readers[node])
                if self._is_only_codes(reader) and reader not in self._done
            ]
            self._done.update(quantizers)
            following = self._following(node)
            if not stored:
                for tensor, channel in self._places(node, TensorKind.REAL, without=following):
                    self._step(StepKind.STORE, tensor, channel)
            for quantizer in quantizers:
                self._quantize(quantizer)
            if following is not None:
                self._apply(following, node)
            node, stored = following, False

    def _following(self, node: g.Node) -> g.Node | None:
        """The reader that is to take a result on."""
        candidates = []
        for reader in dict.fromkeys(self._readers[node]):
            if reader in self._done:
                continue
            if isinstance(reader, g.Eltwise):
                other = _other_operand(reader, node)
                if other in self._done and other not in self._fresh:
                    candidates.append(reader)
            elif isinstance(reader, g.Elementwise):
                candidates.append(reader)
        return max(candidates, key=self._leads_to_codes, default=None)

    def _leads_to_codes(self, node: g.Node) -> bool:
        while isinstance(node, g.Elementwise | g.Eltwise):
            readers = self._readers[node]
            if node in self._as_codes or any(map(self._is_only_codes, readers)):
                return True
            if len(readers) != 1:
                return False
            node = readers[0]
        return False

    def _apply(self, function: g.Node, source: g.Node) -> None:
        """The steps of a function of elements."""
        if isinstance(function, g.Affine):
            self._affine(function.factor, function.offset)
        elif isinstance(function, g.Relu):
            self._step(StepKind.RELU, parameters=[function.slope])
        elif isinstance(function, g.Clamp):
            self._step(StepKind.CLAMP, parameters=[function.low, function.high])
        elif isinstance(function, g.Sigmoid):
            self._step(StepKind.SIGMOID)
        elif isinstance(function, g.TanH):
            self._step(StepKind.TANH)
        elif isinstance(function, g.Quantizer):
            self._quantize(function)
            self._step(StepKind.LEVELS, parameters=[*function.thresholds, *function.values])
            self._note(self._why_levels(function))
        elif isinstance(function, g.Eltwise):
            self._combine(function, source)
        self._take(function.layers)

    def _combine(self, function: g.Eltwise, source: g.Node) -> None:
        other = self._tensor(_other_operand(function, source), TensorKind.REAL)
        if function.operation == caffe_pb2.EltwiseParameter.SUM:
            own, its = function.factors if function.inputs[0] is source else function.factors[::-1]
            self._step(StepKind.ADD, other, parameters=[own, its])
        elif function.operation == caffe_pb2.EltwiseParameter.MAX:
            self._step(StepKind.MAXIMUM, other)
        else:
            self._step(StepKind.MULTIPLY, other)

    def _affine(self, factor: np.ndarray, offset: np.ndarray) -> None:
        if (factor != 1).any() or offset.any():
            self._step(StepKind.AFFINE, arrays=[_once_if_equal(factor), _once_if_equal(offset)])

    def _quantize(self, quantizer: g.Quantizer) -> None:
        for tensor, channel in self._places(quantizer, TensorKind.CODES):
            self._step(StepKind.QUANTIZE, tensor, channel, parameters=list(quantizer.thresholds))
        self._take(quantizer.layers)

    # ------------------------------------------------------------------ reasons

    def _why_levels(self, quantizer: g.Quantizer) -> str:
        name = quantizer.layers[-1]
        if len(quantizer.values) > g.MOST_LEVELS:
            return f"{name!r} has more than {g.MOST_LEVELS} levels: no codes"
        if not quantizer.has_codes:
            return f"{name!r} has a negative slope: no codes"
        return f"not only codes: what {name!r} makes goes to {self._real_readers(quantizer)} as real values"

    def _real_readers(self, node: g.Node) -> str:
        """The layers to which a result must be real values."""
        names = [
            repr(reader.layers[-1] if reader.layers else reader.name)
            for reader in dict.fromkeys(self._readers[node])
            if self._reads(reader, TensorKind.REAL) and not self._is_only_codes(reader)
        ]
        if self._graph.is_output(node):
            names.append("the net's user")
        return ", ".join(names)


def _channels_of(concat: g.Concat, node: g.Node) -> list[int]:
    """The first channels of a result in a concatenation."""
    begins = np.cumsum([0, *(operand.shape[0] for operand in concat.inputs)])
    return [int(begin) for begin, operand in zip(begins, concat.inputs, strict=False) if operand is node]


def _other_operand(function: g.Eltwise, node: g.Node) -> g.Node:
    return function.inputs[1] if function.inputs[0] is node else function.inputs[0]


def _geometry(conv: g.Convolution) -> list[int]:
    outputs, height, width, _ = conv.kernel.shape
    return [outputs, height, width, *conv.stride, *conv.padding, *conv.dilation, conv.groups]


def _once_if_equal(values: np.ndarray) -> np.ndarray:
    """One value for all channels where they have the same, in single precision."""
    values = values.astype(np.float32)
    return values[:1] if (values == values[0]).all() else values


def _bits(signs: np.ndarray) -> np.ndarray:
    return np.packbits(signs.reshape(len(signs), -1), axis=1, bitorder="little")
