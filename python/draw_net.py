#!/usr/bin/env python3
"""Draws a net as a graph of layers and blobs."""

from __future__ import annotations

import argparse
import sys

import caffe
import caffe.draw
from caffe.proto import caffe_pb2


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input_net_proto_file", help="the net's prototxt, of any format")
    parser.add_argument("output_image_file", help="the picture: .png, .svg, .pdf, .dot ...")
    parser.add_argument(
        "--rankdir",
        default="LR",
        choices=["LR", "RL", "TB", "BT"],
        help="direction of growth: LR is left to right",
    )
    parser.add_argument(
        "--phase", default="ALL", choices=["TRAIN", "TEST", "ALL"], help="draw the layers of this phase (ALL)"
    )
    parser.add_argument("--display_lrm", action="store_true", help="show the learning rate's multipliers")
    return parser.parse_args(argv)


def main() -> None:
    """Runs the script."""
    arguments = parse_args()
    net = caffe_pb2.NetParameter.FromString(caffe._caffe.read_net_text(arguments.input_net_proto_file))
    print(f"Drawing net to {arguments.output_image_file}")
    phase = None if arguments.phase == "ALL" else caffe_pb2.Phase.Value(arguments.phase)
    caffe.draw.draw_net_to_file(
        net, arguments.output_image_file, arguments.rankdir, phase, arguments.display_lrm
    )


if __name__ == "__main__":
    try:
        main()
    except (caffe.Error, ImportError, OSError, ValueError) as error:
        sys.exit(f"draw_net.py: {error}")
