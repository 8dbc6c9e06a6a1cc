"""caffe summary: a table of a net's layers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from ..proto import caffe_pb2
from ..summary import NetSummary, summarize
from . import flags
from .table import shape, size, table


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "summary",
        "Lists a net's layers: the shapes of their outputs, parameters, multiply-adds, and the memory of "
        "their weights in float and with a bit for each binary weight.",
        ["phase", "level", "stage", "plugin"],
        "caffe summary train_val.prototxt -input data:1,3,224,224",
    )
    parser.add_argument("model", metavar="MODEL", help="the net's definition")
    flags.add_input(parser)
    parser.add_switch("json", "write JSON")
    options = flags.parse(parser, arguments)
    flags.hide_information()
    level, stages = flags.state(options)
    phase = flags.phase(options, caffe_pb2.TEST)
    summary = summarize(options.model, phase, level, stages, flags.input_shapes(parser, options))
    print(json.dumps(dataclasses.asdict(summary), indent=2) if options.json else _text(summary, phase))
    return 0


def _text(summary: NetSummary, phase: int) -> str:
    rows = []
    for layer in summary.layers:
        if layer.type == "Split":  # which the engine adds
            continue
        rows.append(
            [
                layer.name,
                layer.type,
                ", ".join(shape(sizes) for sizes in layer.tops.values()),
                f"{layer.parameters:,}" if layer.parameters else "",
                f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
                size(layer.weight_bytes) if layer.parameters else "",
                size(layer.weight_bytes_in_bits) if layer.parameters else "",
            ]
        )
    headers = ["layer", "type", "output", "parameters", "multiply-adds", "in float", "in bits"]
    per_image = summary.multiply_adds // max(summary.batch, 1)
    binary = summary.binary_multiply_adds / summary.multiply_adds if summary.multiply_adds else 0
    lines = [
        table(headers, rows, "lllrrrr"),
        "",
        f"parameters     {summary.parameters:,}",
        f"multiply-adds  {per_image:,} for each of {summary.batch} images, {100 * binary:.1f} % with binary "
        "weights",
        f"weights        {_saving(summary.weight_bytes, summary.weight_bytes_in_bits)}",
        f"activations    {_saving(summary.activation_bytes, summary.activation_bytes_in_bits)}",
        f"a pass takes   {_pass(summary, phase)}",
    ]
    return "\n".join(lines)


def _saving(in_float: int, in_bits: int) -> str:
    ratio = f", {in_float / in_bits:.1f} times less" if in_bits < in_float else ""
    return f"{size(in_float)} in float, {size(in_bits)} in bits{ratio}"


def _pass(summary: NetSummary, phase: int) -> str:
    blobs = f"{size(summary.pass_bytes)} for blobs, whose memory is reused, and"
    weights = 4 * summary.parameters
    if phase == caffe_pb2.TEST:
        return f"{blobs} {size(weights)} of parameters"
    return (
        f"{blobs} gradients; parameters, their gradients and a solver's history at most {size(3 * weights)}"
    )
