"""compute_image_mean: takes the mean of the images in a database."""

from __future__ import annotations

import os
from collections.abc import Sequence

from caffe import _caffe
from caffe.cli import flags
from caffe.cli.progress import Progress

_LOG_EVERY = 10000


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "compute_image_mean",
        "Takes the mean of the images in a database, and of each channel: what transform_param has as "
        "mean_file and mean_value.",
        "compute_image_mean train_lmdb mean.binaryproto",
    )
    parser.add_argument("database", metavar="INPUT_DB", help="the database; its images have one size")
    parser.add_argument("output", metavar="OUTPUT_FILE", nargs="?", help="the file for the mean image")
    flags.add_backend(parser)
    options = flags.parse(parser, arguments)
    if options.output and not os.path.isdir(os.path.dirname(os.path.abspath(options.output))):
        raise ValueError(f"there is no folder to write {options.output} in")
    with _caffe.Database(options.database, "read", options.backend) as database:
        mean = _caffe.ImageMean(database)
        _caffe.log("Starting iteration")
        logged = 0
        with Progress("images") as progress:
            while mean.step():
                progress.show(mean.count)
                if mean.count - logged >= _LOG_EVERY:
                    logged = mean.count
                    _caffe.log(f"Processed {logged} files.")
    if mean.count == 0:
        raise ValueError(f"the database {options.database} is empty")
    if mean.count > logged:
        _caffe.log(f"Processed {mean.count} files.")
    if options.output:
        _caffe.log(f"Write to {options.output}")
        mean.write(options.output)
    means = mean.channel_means()
    _caffe.log(f"Number of channels: {len(means)}")
    for channel, value in enumerate(means):
        _caffe.log(f"mean_value channel [{channel}]: {flags.number(value)}")
    return 0
