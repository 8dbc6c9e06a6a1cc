"""caffe device_query: shows the GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _caffe
from . import flags


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "device_query", "Shows the properties of GPUs.", ["gpu"], "caffe device_query -gpu 0,1"
    )
    options = flags.parse(parser, arguments, required=[])
    _caffe.log(f"Querying GPUs {options.gpu or 'all'}")
    for device in [] if options.gpu in (None, "all") else flags.comma_list(options.gpu):
        if not device.isdigit():
            parser.error(f"-gpu takes numbers of GPUs or all, not {options.gpu}")
        _caffe.set_device(int(device))
    _caffe.device_query()
    return 0
