"""Goes through a graph's nodes and writes them as layers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._names import take_name
from ..proto import caffe_pb2
from . import folding
from .graph import DAMAGE, QONNX_DOMAINS, Graph, Node, Refused, names_read
from .joining import Joined, joined
from .saturation import Cut, makes_a_difference
from .values import (
    Affine,
    Blob,
    Constant,
    Recoded,
    Shape,
    Steps,
    Transposed,
    Value,
    levels_of,
)

Reader = Callable[["Translation", Node, list["Value | None"]], "Value | Sequence[Value | None]"]

#: Makes the blob of a value that was kept back.
Maker = Callable[["Translation", Any], Blob]

#: What reads a node, by its operator.
READERS: dict[str, Reader] = {}
QONNX_READERS: dict[str, Reader] = {}

MAKERS: dict[type, Maker] = {}

#: Layers that may take their bottom's place, and those whose gradients do not need what they made.
_IN_PLACE = {"BatchNorm", "Bias", "Dropout", "ReLU", "Scale"}
_OVERWRITABLE = {
    "BatchNorm",
    "Bias",
    "BinaryConvolution",
    "BinaryInnerProduct",
    "Concat",
    "Convolution",
    "Deconvolution",
    "Eltwise",
    "InnerProduct",
    "Pooling",
    "Scale",
}

_SAME = 1e-6  # relative; what the rounding of a factor leaves


def reads(*operators: str, qonnx: bool = False) -> Callable[[Reader], Reader]:
    """Marks the function that reads nodes of some operators. It returns what they make, or raises Refused."""

    def register(reader: Reader) -> Reader:
        (QONNX_READERS if qonnx else READERS).update(dict.fromkeys(operators, reader))
        return reader

    return register


def makes(kind: type) -> Callable[[Maker], Maker]:
    """Marks the function that makes blobs of values of a kind. It raises Refused where no layer can."""

    def register(maker: Maker) -> Maker:
        MAKERS[kind] = maker
        return maker

    return register


class Translation:
    """The net while it is made.

    Args:
        graph: what to read.
        shapes: the shape of each input.
    """

    def __init__(self, graph: Graph, shapes: Mapping[str, Shape]) -> None:
        self.graph = graph
        self.layers: list[caffe_pb2.LayerParameter] = []
        #: Values of the layers' parameters, by their names.
        self.parameters: dict[str, list[np.ndarray]] = {}
        #: What Caffe cannot express, a line for each node.
        self.problems: list[str] = []
        #: How inputs that Caffe has in another order of axes come from the graph's.
        self.transposed: dict[str, tuple[int, ...]] = {}
        #: Sums that are cut off, which no layer does.
        self.cuts: list[Cut] = []
        self._readers = Counter(names_read(graph.nodes))
        self._readers.update(graph.outputs)
        self._names: set[str] = set()
        self._blobs: set[str] = set()
        self._made: dict[Value, Blob] = {}
        self.values: dict[str, Value | None] = {
            name: Constant(shape=array.shape, array=array, name=name)
            for name, array in graph.constants.items()
        }
        for name, shape in shapes.items():
            self._add_input(name, shape)

    # ------------------------------------------------------------------ nodes

    def run(self) -> None:
        """Writes all nodes; what cannot be written is in :attr:`problems`."""
        self.run_nodes(joined(self.graph))
        if not self.problems:
            self._finish()

    def run_nodes(self, nodes: Sequence[Node]) -> None:
        """Writes some nodes."""
        for node in nodes:
            try:
                results = self._read(node)
            except Refused as error:
                self._refuse(node, str(error))
            except DAMAGE as error:
                self._refuse(node, f"it makes no sense: {type(error).__name__}: {error}")
            else:
                for name, value in zip(node.outputs, results, strict=False):
                    if value is not None:
                        self.values[name] = value

    def _refuse(self, node: Node, why: str) -> None:
        self.problems.append(f"node {node.described()}: {' '.join(why.split())}")
        self.values.update(dict.fromkeys(node.outputs))

    def _read(self, node: Node) -> Sequence[Value | None]:
        if isinstance(node, Joined):
            return self._read_joined(node)
        readers = QONNX_READERS if node.domain in QONNX_DOMAINS else {} if node.domain else READERS
        reader = readers.get(node.op)
        if reader is None and not folding.can_fold(node):
            if node.domain and node.domain not in QONNX_DOMAINS:
                raise Refused(f"operators of the domain {node.domain!r} are not known")
            raise Refused("Caffe has no layer for it")
        inputs = [self.values[name] if name else None for name in node.inputs]
        if any(name and value is None for name, value in zip(node.inputs, inputs, strict=True)):
            # Behind what was refused.
            self.values.update(dict.fromkeys(node.outputs))
            return []
        if folding.can_fold(node):
            arrays = [None if x is None else x.array if isinstance(x, Constant) else x for x in inputs]
            if all(array is None or isinstance(array, np.ndarray) for array in arrays):
                return [self._constant(node, array) for array in folding.fold(node, arrays)]
        results = self._of_levels(node, inputs)
        if results is None:
            if reader is None:
                raise Refused("Caffe has no layer for it, of what is not constant")
            results = reader(self, node, inputs)
        results = [results] if isinstance(results, Value) else list(results)
        for name, value in zip(node.outputs, results, strict=False):
            if value is None:
                continue
            if value.node is None:
                value.node = node
                value.readers = self._readers[name]
            else:
                # Another name for what is there: its readers are readers of that, in place of this node, or
                # of what is in between if nothing else reads that.
                between = [x for x in inputs if isinstance(x, Value) and x is not value]
                alone = all(x.readers == 1 for x in between if not isinstance(x, Constant))
                value.readers += self._readers[name] - alone
        return results

    def _read_joined(self, node: Joined) -> Sequence[Value]:
        """The layer that computes what several nodes do; where there is none, each as it is."""
        x = self.values[node.inputs[0]]
        layer = None if x is None or isinstance(x, Constant) else node.layer(x.shape)
        if layer is None:
            self.run_nodes(node.parts)
            return []
        layer_type, fields, shape = layer
        x.readers -= node.reads - 1
        blob = self.add(layer_type, node, [self.blob(x)], shape, **fields)
        blob.node, blob.readers = node, self._readers[node.outputs[0]]
        return [blob]

    def _constant(self, node: Node, array: np.ndarray) -> Constant:
        source = self.values.get(node.inputs[0]) if node.inputs else None
        name = source.name if isinstance(source, Constant) else ""
        return Constant(shape=array.shape, array=array, name=name, readers=1, node=node)

    def _of_levels(self, node: Node, inputs: list[Value | None]) -> Sequence[Value] | None:
        """The same few levels with other values, where a node computes each element of its own."""
        places = [i for i, value in enumerate(inputs) if not isinstance(value, Constant | None)]
        if len(places) != 1 or node.op not in (*folding.ELEMENTWISE, *_OF_ELEMENTS) or node.op == "Where":
            return None
        x = inputs[places[0]]
        if node.op in _CODING and levels_of(x) is not None:
            values = levels_of(x)
        elif isinstance(x, Steps | Recoded):
            values = x.values
        else:
            return None
        arrays = [None if other is None or other is x else other.array for other in inputs]
        if any(array is not None and array.size != 1 for array in arrays):
            return None
        arrays = [array if array is None else array.reshape(()) for array in arrays]
        arrays[places[0]] = values
        (result,) = folding.fold(node, arrays)
        if isinstance(x, Steps):
            first = x.first or x
            if result.shape == first.values.shape and np.allclose(result, first.values, rtol=_SAME, atol=0):
                return [first]
            return [Steps(shape=x.shape, base=x.base, thresholds=x.thresholds, values=result, first=first)]
        base = x.base if isinstance(x, Recoded) else x
        if np.allclose(result, levels_of(base), rtol=_SAME, atol=0):
            return [base]
        return [Recoded(shape=x.shape, base=base, values=result)]

    # ------------------------------------------------------------------ layers

    def add(
        self,
        layer_type: str,
        node: Node | None,
        bottoms: Sequence[Blob],
        *shapes: Shape,
        parameters: Sequence[np.ndarray] = (),
        name: str = "",
        **fields: Any,
    ) -> Any:
        """Adds a layer; returns its top, or a list of several where it has more than one shape.

        Args:
            node: what it is for; it gives the layer its name unless ``name`` does.
            bottoms: what it reads.
            shapes: of its tops.
            parameters: values of its blobs.
            fields: of LayerParameter.
        """
        name = self.unique(name or self.layer_name(node))
        layer = caffe_pb2.LayerParameter(
            name=name, type=layer_type, bottom=[blob.name for blob in bottoms], **fields
        )
        if self._may_overwrite(layer_type, bottoms):
            tops = [bottoms[0].name]
        else:
            tops = [self._blob_name(name if not i else f"{name}_{i + 1}") for i in range(len(shapes))]
        layer.top.extend(tops)
        self.layers.append(layer)
        if parameters:
            self.parameters[name] = [np.ascontiguousarray(values, np.float32) for values in parameters]
        blobs = [
            Blob(shape=tuple(shape), name=top, layer=layer) for top, shape in zip(tops, shapes, strict=True)
        ]
        return blobs[0] if len(blobs) == 1 else blobs

    def add_top(self, layer: caffe_pb2.LayerParameter, shape: Shape) -> Blob:
        """Adds another top to a layer."""
        layer.top.append(self._blob_name(f"{layer.name}_{len(layer.top) + 1}"))
        return Blob(shape=tuple(shape), name=layer.top[-1], layer=layer)

    def _may_overwrite(self, layer_type: str, bottoms: Sequence[Blob]) -> bool:
        if layer_type not in _IN_PLACE or len(bottoms) != 1 or bottoms[0].readers != 1:
            return False
        made_by = bottoms[0].layer
        if made_by is None:
            return False
        return made_by.type in _OVERWRITABLE or (layer_type, made_by.type) == ("Dropout", "ReLU")

    def is_read(self, name: str) -> bool:
        """Whether a node or an output reads a tensor of the graph; "" is none."""
        return bool(name) and self._readers[name] > 0

    def alone(self, value: Value) -> bool:
        """Whether the one node that reads a blob may change the layer that makes it."""
        return isinstance(value, Blob) and value.readers == 1 and value.layer is not None

    def add_input(self, name: str, shape: Shape) -> Blob:
        """Adds an input of the net."""
        top = self._blob_name(self.unique(name))
        layer = caffe_pb2.LayerParameter(name=top, type="Input", top=[top])
        layer.input_param.shape.add(dim=shape)
        self.layers.append(layer)
        return Blob(shape=tuple(shape), name=top, readers=self._readers[name])

    def _add_input(self, name: str, shape: Shape) -> None:
        readers = list(self._readers_behind(name))
        orders = {tuple(node.get("perm", ())) for node in readers if node.op == "Transpose"}
        if (
            len(orders) == 1
            and all(node.op == "Transpose" for node in readers)
            and name not in self.graph.outputs
        ):
            (order,) = orders
            if sorted(order) == list(range(len(shape))) and order[0] == 0:
                # Caffe's images have their channels first.
                blob = self.add_input(name, tuple(shape[axis] for axis in order))
                self.transposed[blob.name] = order
                back = tuple(int(axis) for axis in np.argsort(order))
                self.values[name] = Transposed(
                    shape=tuple(shape), base=blob, order=back, readers=len(readers)
                )
                return
        self.values[name] = self.add_input(name, shape)

    def _readers_behind(self, name: str) -> Iterator[Node]:
        """What reads a tensor, as it is or as another type."""
        for node in self.graph.nodes:
            if name in node.inputs:
                if node.op in ("Cast", "Identity"):
                    yield from self._readers_behind(node.outputs[0])
                else:
                    yield node

    # ------------------------------------------------------------------ names

    def unique(self, wanted: str) -> str:
        """A name for a layer like the one that is wanted."""
        return take_name(wanted, self._names)

    def _blob_name(self, wanted: str) -> str:
        return take_name(wanted, self._blobs)

    def layer_name(self, node: Node | None) -> str:
        """What a node's layer is to be called: after its parameters, or after the node."""
        if node is None:
            return "layer"
        scope = re.fullmatch(rf"([^/].*)/{re.escape(node.op)}(_\d+)?", node.name)
        if scope:
            return scope[1]
        for name in node.inputs[1:]:
            value = self.values.get(name)
            if isinstance(value, Constant):
                owner = owner_of(value.name)
                if owner:
                    return owner
        name = node.name or (node.outputs[0] if node.outputs else "")
        name = re.sub(rf"/{re.escape(node.op)}(_\d+)?$", "", name)
        name = name.removeprefix("node_").removeprefix("/") or node.op.lower()
        return f"{node.op.lower()}_{name}" if name.isdigit() else name

    # ------------------------------------------------------------------ blobs

    def blob(self, value: Value | None) -> Blob:
        """The blob that holds a value; what was kept back becomes layers.

        Raises:
            Refused: no layer makes it.
        """
        if value is None:
            raise Refused("an input is missing")
        if isinstance(value, Blob):
            return value
        if value not in self._made:
            blob = MAKERS[type(value)](self, value)
            if blob.node is None:
                blob.node, blob.readers = value.node, value.readers
            elif blob is not value:
                blob.readers += value.readers - 1
            self._made[value] = blob
        return self._made[value]

    def reshape(self, node: Node | None, base: Blob, shape: Shape, open_axis: int | None = None) -> Blob:
        """A blob in another shape; the batch is left open where it stays the first axis, or is part of the
        axis that takes up what is left."""
        if tuple(shape) == base.shape:
            return base
        dims = [-1 if i == open_axis else size for i, size in enumerate(shape)]
        if base.shape[:1] == shape[:1]:
            dims[0] = 0
        blob = self.add("Reshape", node, [base], shape, reshape_param={"shape": {"dim": dims}})
        blob.levels, blob.positive = base.levels, base.positive
        return blob

    # ------------------------------------------------------------------ factors and offsets

    def affine(self, x: Value, factor: np.ndarray, offset: np.ndarray) -> Value:
        """factor x + offset; both constants broadcast to x's shape.

        Raises:
            Refused: they are of a larger shape than x.
        """
        factor, offset = (self._laid_along(values, x.shape) for values in (factor, offset))
        if isinstance(x, Affine) and x.readers == 1:
            base, offset, factor = x.base, factor * x.offset + offset, factor * x.factor
        else:
            base = self.blob(x)
        result = Affine(shape=x.shape, base=base, factor=factor, offset=offset)
        return result

    def _laid_along(self, values: np.ndarray, shape: Shape) -> np.ndarray:
        values = np.asarray(values, np.float64)
        if values.size == 1:
            return values.reshape(())
        if np.broadcast_shapes(values.shape, shape) != tuple(shape):
            raise Refused(f"a constant of shape {list(values.shape)} would make {list(shape)} larger")
        return values.reshape(*[1] * (len(shape) - values.ndim), *values.shape)

    # ------------------------------------------------------------------ outputs

    def _finish(self) -> None:
        outputs: dict[str, Blob] = {}
        for name in self.graph.outputs:
            value = self.values[name]
            try:
                if isinstance(value, Constant):
                    raise Refused("it is constant")
                blob = self.blob(value)
            except DAMAGE as error:
                self.problems.append(f"output {name!r}: {' '.join(str(error).split())}")
                continue
            outputs[name] = blob
        if self.problems:
            return
        read = {bottom for layer in self.layers for bottom in layer.bottom if bottom not in layer.top}
        given = Counter(blob.name for blob in outputs.values())
        for name, blob in outputs.items():
            if blob.layer is None or blob.name in read or given[blob.name] > 1:
                # A blob that something reads is no output of a net.
                outputs[name] = self.add("Split", None, [blob], blob.shape, name=name)
        made = [blob.name for blob in outputs.values()]
        for cut in self.cuts:
            if makes_a_difference(cut, self.layers, self.parameters, made):
                self._refuse(cut.node, "it cuts off sums that something else than a quantizer tells apart")
        self._drop_inputs({bottom for layer in self.layers for bottom in layer.bottom})
        self._silence(read | {blob.name for blob in outputs.values()} | set(given))
        for name, blob in outputs.items():
            self._rename(blob.name, name)

    def _drop_inputs(self, read: set[str]) -> None:
        """Inputs that nothing reads would be the net's outputs, too."""
        for layer in [layer for layer in self.layers if layer.type == "Input"]:
            if layer.top[0] not in read:
                self.layers.remove(layer)

    def _silence(self, used: set[str]) -> None:
        """Outputs that nothing reads would be the net's."""
        made = dict.fromkeys(top for layer in self.layers if layer.type != "Input" for top in layer.top)
        unused = [top for top in made if top not in used]
        if unused:
            layer = caffe_pb2.LayerParameter(name=self.unique("unused"), type="Silence", bottom=unused)
            self.layers.append(layer)

    def _rename(self, old: str, new: str) -> None:
        names = {old: new}
        if new != old and new in self._blobs:
            # An output's name is its own.
            names[new] = self._blob_name(f"{new}_inside")
        for layer in self.layers:
            for blobs in (layer.bottom, layer.top):
                blobs[:] = [names.get(name, name) for name in blobs]
        self._blobs.add(new)


#: Operators, beside the element-wise functions, that compute each element of its own.
_OF_ELEMENTS = ("BipolarQuant", "Cast", "Clip", "DequantizeLinear", "Div", "Quant", "QuantizeLinear")

#: Those that read or write codes.
_CODING = ("BipolarQuant", "DequantizeLinear", "Quant", "QuantizeLinear")


def owner_of(name: str) -> str:
    """The module or layer that a parameter's name says it is of; "" for names that say nothing."""
    match = re.fullmatch(
        r"(?:p_)?(.+?)[./](?:weight|weights|bias|running_mean|running_var|kernel|mean|variance|scale|slopes|signs|alpha)",
        name,
    )
    return match[1] if match and "::" not in name else ""
