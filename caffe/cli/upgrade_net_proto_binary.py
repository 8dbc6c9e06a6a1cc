"""upgrade_net_proto_binary: brings a .caffemodel to today's format."""

from __future__ import annotations

from collections.abc import Sequence

from caffe import _caffe
from caffe.cli.upgrade import upgrade


def run(arguments: Sequence[str]) -> int:
    return upgrade(
        "upgrade_net_proto_binary",
        "a .caffemodel",
        "NetParameter binary proto",
        _caffe.upgrade_net_binary,
        arguments,
    )
