"""caffe draw: a net as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _caffe, draw
from ..proto import caffe_pb2
from . import flags


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "draw",
        "Draws a net as a graph of layers and blobs, by Graphviz.",
        ["phase"],
        "caffe draw train_val.prototxt net.svg -phase TEST",
    )
    parser.add_argument("model", metavar="MODEL", help="the net's definition")
    parser.add_argument("picture", metavar="PICTURE", help="the .svg, .png, .pdf or .dot file to write")
    parser.add_argument(
        "-rankdir",
        "--rankdir",
        default="TB",
        choices=["TB", "BT", "LR", "RL"],
        help="direction: TB is top to bottom (TB)",
    )
    parser.add_switch("display_lrm", "show the learning rates' multipliers")
    options = flags.parse(parser, arguments)
    net = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(options.model))
    phase = flags.phase(options, -1)
    try:
        draw.draw_net_to_file(
            net, options.picture, options.rankdir, phase if phase >= 0 else None, options.display_lrm
        )
    except ImportError as error:
        raise ValueError(str(error)) from error
    return 0
