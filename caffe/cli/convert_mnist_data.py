"""convert_mnist_data: makes a database of images from two idx files, as MNIST comes."""

from __future__ import annotations

from collections.abc import Sequence

from caffe import idx
from caffe.cli import flags
from caffe.cli.databases import write_database


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "convert_mnist_data",
        "Makes a database of the images and labels in two idx files (plain or .gz).",
        "convert_mnist_data train-images-idx3-ubyte train-labels-idx1-ubyte mnist_train_lmdb",
    )
    parser.add_argument("images", help="idx file of the images, such as train-images-idx3-ubyte")
    parser.add_argument("labels", help="idx file of the labels, such as train-labels-idx1-ubyte")
    parser.add_argument("database", help="the folder to make")
    flags.add_backend(parser)
    options = flags.parse(parser, arguments)
    images = idx.read(options.images, dimensions=3)
    labels = idx.read(options.labels, dimensions=1)
    write_database(images, labels, options.database, options.backend)
    rows, columns = images.shape[1:]
    print(f"{options.database}: {len(images):,} images of {rows} x {columns}")
    return 0
