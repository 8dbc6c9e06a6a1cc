"""Pictures of nets: layers and blobs as a graph, drawn by Graphviz.

Needs the Python package pydot, and the program dot (Debian's package graphviz) to write anything but a graph
description. ``pip install hwgq-caffe[draw]`` brings the former.
"""

from __future__ import annotations

import os
from typing import Any

from .proto import caffe_pb2

LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": "#90EE90", "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}

_COLORS = {
    "Convolution": "#FF5050",
    "Deconvolution": "#FF5050",
    "BinaryConvolution": "#FF9E9E",
    "Pooling": "#FF9900",
    "InnerProduct": "#CC33FF",
    "BinaryInnerProduct": "#E0A3FF",
    "Quant": "#7FD7A4",
}


def _pydot() -> Any:
    try:
        import pydot
    except ImportError as error:
        raise ImportError("drawing nets needs pydot: pip install pydot") from error
    return pydot


def get_pooling_types_dict() -> dict[int, str]:
    """The names of the pooling methods by number."""
    return {value: name for name, value in caffe_pb2.PoolingParameter.PoolMethod.items()}


def get_edge_label(layer: caffe_pb2.LayerParameter) -> str:
    """What to write on the edges from a layer: its batch size or number of outputs; '""' for none."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution", "BinaryConvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type in ("InnerProduct", "BinaryInnerProduct"):
        return str(layer.inner_product_param.num_output)
    return '""'


def get_layer_lr_mult(layer: caffe_pb2.LayerParameter) -> float | list[float]:
    """The learning-rate multiplier of a layer's parameters; a list where they differ."""
    if layer.type not in (
        "Convolution",
        "Deconvolution",
        "InnerProduct",
        "BinaryConvolution",
        "BinaryInnerProduct",
    ):
        return []
    multipliers = [param.lr_mult for param in layer.param] or [1.0]
    return multipliers[0] if len(set(multipliers)) == 1 else multipliers


def _by_axis(param: Any, name: str, default: int, legacy: str) -> str:
    """A geometry parameter, "3", or "3x5" where rows and columns have their own."""
    if param.HasField(f"{legacy}_h") or param.HasField(f"{legacy}_w"):
        return f"{getattr(param, legacy + '_h')}x{getattr(param, legacy + '_w')}"
    value = getattr(param, name)
    values = [value] if isinstance(value, int) else list(value)
    return "x".join(map(str, values or [default]))


def get_layer_label(layer: caffe_pb2.LayerParameter, rankdir: str, display_lrm: bool = False) -> str:
    """What to write into a layer's node: name, type, geometry, and with ``display_lrm`` the learning rate's
    multiplier. Pieces stand beside each other where the graph grows downward, else below each other."""
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    pieces = [f"{layer.name}", f"({layer.type})"]
    if layer.type in ("Convolution", "Deconvolution", "BinaryConvolution"):
        geometry = layer.convolution_param
        pieces.append(f"kernel size: {_by_axis(geometry, 'kernel_size', 1, 'kernel')}")
    elif layer.type == "Pooling":
        geometry = layer.pooling_param
        pieces[1] = f"({get_pooling_types_dict()[geometry.pool]} {layer.type})"
        kernel = "global" if geometry.global_pooling else _by_axis(geometry, "kernel_size", 1, "kernel")
        pieces.append(f"kernel size: {kernel}")
    else:
        geometry = None
    if geometry is not None:
        pieces.append(f"stride: {_by_axis(geometry, 'stride', 1, 'stride')}")
        pieces.append(f"pad: {_by_axis(geometry, 'pad', 0, 'pad')}")
    if layer.type == "Quant":
        pieces.append(layer.quant_param.forward_func)
    if display_lrm and (multiplier := get_layer_lr_mult(layer)):
        pieces.append(f"lr mult: {multiplier}")
    return separator.join(pieces)


def choose_color_by_layertype(layertype: str) -> str:
    """The color of a layer's node."""
    return _COLORS.get(layertype, "#6495ED")


def _is_included(layer: caffe_pb2.LayerParameter, phase: int | None) -> bool:
    if phase is None:
        return True
    if layer.include:
        return any(not rule.HasField("phase") or rule.phase == phase for rule in layer.include)
    return not any(rule.HasField("phase") and rule.phase == phase for rule in layer.exclude)


def get_pydot_graph(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """A net as a pydot graph.

    Args:
        caffe_net: the net, in today's format.
        rankdir: the direction in which it grows: LR, TB, RL or BT.
        label_edges: write numbers of outputs on the edges.
        phase: draw the layers of this phase only.
        display_lrm: write the learning rate's multipliers into the layers.
    """
    pydot = _pydot()
    graph = pydot.Dot(caffe_net.name or "Net", graph_type="digraph", rankdir=rankdir)
    quoted = '"{}"'.format
    blobs: set[str] = set()
    edges = []
    for input_blob in caffe_net.input:
        blobs.add(input_blob)
    for layer in caffe_net.layer:
        if not _is_included(layer, phase):
            continue
        node = quoted(f"{layer.name}_{layer.type}")
        in_place = len(layer.bottom) == 1 and list(layer.top) == list(layer.bottom)
        style = dict(NEURON_LAYER_STYLE if in_place else LAYER_STYLE_DEFAULT)
        if layer.type in _COLORS:
            style["fillcolor"] = choose_color_by_layertype(layer.type)
        graph.add_node(pydot.Node(node, label=quoted(get_layer_label(layer, rankdir, display_lrm)), **style))
        for bottom in layer.bottom:
            blobs.add(bottom)
            edges.append((quoted(bottom + "_blob"), node, '""'))
        for top in layer.top:
            blobs.add(top)
            label = get_edge_label(layer) if label_edges else '""'
            edges.append((node, quoted(top + "_blob"), label if label == '""' else quoted(label)))
    for blob in sorted(blobs):
        graph.add_node(pydot.Node(quoted(blob + "_blob"), label=quoted(blob), **BLOB_STYLE))
    for source, target, label in edges:
        graph.add_edge(pydot.Edge(source, target, label=label))
    return graph


def draw_net(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """A picture of a net in the format ``ext``: png, svg, pdf, or raw for the graph description.

    Raises:
        FileNotFoundError: Graphviz is missing.
    """
    graph = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm)
    try:
        return graph.create(format=ext)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            "drawing nets needs Graphviz, whose program 'dot' is not in PATH: install it"
            " (Debian and Ubuntu: apt-get install graphviz)"
        ) from error


def draw_net_to_file(
    caffe_net: caffe_pb2.NetParameter,
    filename: str | os.PathLike,
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Writes a picture of a net to a file, in the format of its extension."""
    extension = os.path.splitext(os.fspath(filename))[1][1:]
    picture = draw_net(caffe_net, rankdir, extension or "png", phase, display_lrm)
    with open(filename, "wb") as file:
        file.write(picture)
