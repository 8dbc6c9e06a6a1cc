"""pad_images: widens the images of a database by repeating their border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caffe import _caffe
from caffe.cli import flags
from caffe.cli.databases import new_database
from caffe.cli.progress import Progress
from caffe.io import array_to_datum, datum_to_array
from caffe.proto.caffe_pb2 import Datum

_ITEMS_PER_COMMIT = 1000


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "pad_images",
        "Makes a database of another one's images with a border, in which each pixel is the nearest of the "
        "image. Training with crop_size then cuts the image out at another place each time.",
        "pad_images -pad 4 cifar10_train_lmdb cifar10_pad_train_lmdb",
    )
    parser.add_argument("source", metavar="SOURCE_DB", help="the database of images, stored as pixels")
    parser.add_argument("target", metavar="TARGET_DB", help="the folder to make")
    parser.add_argument(
        "-pad", "--pad", type=int, default=4, metavar="PIXELS", help="width of the border (4)"
    )
    flags.add_backend(parser)
    options = flags.parse(parser, arguments)
    if options.pad < 1:
        parser.error("-pad is a number of pixels, at least 1")
    with (
        _caffe.Database(options.source, "read", options.backend) as source,
        new_database(options.target, options.backend) as target,
        Progress("images") as progress,
    ):
        count = 0
        for key, value in source.items():
            target.put(key, _padded(value, options.pad, f"{options.source}, record {key.decode()}"))
            count += 1
            if count % _ITEMS_PER_COMMIT == 0:
                target.commit()
            progress.show(count)
        if not count:
            raise ValueError(f"{options.source} holds no images")
    _caffe.log(f"Padded {count} images.")
    return 0


def _padded(value: bytes, pad: int, where: str) -> bytes:
    datum = Datum.FromString(value)
    if datum.encoded:
        raise ValueError(f"{where} is an image file: make the database without -encoded to pad it")
    image = datum_to_array(datum)
    if image.ndim != 3 or not image.size:
        raise ValueError(f"{where} holds no image")
    padded = array_to_datum(np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="edge"))
    padded.label = datum.label
    return padded.SerializeToString()
