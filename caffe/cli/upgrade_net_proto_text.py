"""upgrade_net_proto_text: brings a net's definition to today's format."""

from __future__ import annotations

from collections.abc import Sequence

from caffe import _caffe
from caffe.cli.upgrade import upgrade


def run(arguments: Sequence[str]) -> int:
    return upgrade(
        "upgrade_net_proto_text",
        "a net's definition",
        "NetParameter text proto",
        _caffe.upgrade_net_text,
        arguments,
    )
