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
    named = options.gpu or "all"
    _caffe.log(f"Querying GPUs {named}")
    for device in flags.existing_gpus(named, f"-gpu {named}"):
        _caffe.set_device(device)
        _caffe.device_query()
    return 0
