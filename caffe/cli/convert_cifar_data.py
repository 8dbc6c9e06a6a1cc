"""convert_cifar_data: makes the databases of CIFAR-10's binary files."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from caffe import _caffe
from caffe.cli import flags
from caffe.cli.databases import write_database

_SHAPE = (3, 32, 32)
_BYTES = int(np.prod(_SHAPE))
_TRAIN_FILES = [f"data_batch_{number}.bin" for number in range(1, 6)]
_TEST_FILES = ["test_batch.bin"]
_CLASSES = 10
# As Caffe's tool has them.
_KEY_DIGITS = 5


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (items, 3, 32, 32), red first, and labels of a file of records: a label and 3,072 values."""
    content = np.fromfile(path, np.uint8)
    if len(content) == 0 or len(content) % (1 + _BYTES):
        raise ValueError(
            f"{path} has {len(content)} bytes, not {1 + _BYTES} for each image: it is cut short, or no "
            "binary file of CIFAR-10"
        )
    records = content.reshape(-1, 1 + _BYTES)
    labels = records[:, 0]
    if labels.max() >= _CLASSES:
        raise ValueError(f"{path} has a label {labels.max()}: it is damaged, or no binary file of CIFAR-10")
    return records[:, 1:].reshape(-1, *_SHAPE), labels


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "convert_cifar_data",
        "Makes cifar10_train_TYPE and cifar10_test_TYPE of the binary version of CIFAR-10, data_batch_1.bin "
        "to data_batch_5.bin and test_batch.bin.",
        "convert_cifar_data cifar-10-batches-bin examples/cifar10 lmdb",
    )
    parser.add_argument("input_folder", help="the folder of the binary files")
    parser.add_argument("output_folder", help="the folder to make the databases in")
    parser.add_argument("db_type", choices=["lmdb", "leveldb"], help="kind of database")
    options = flags.parse(parser, arguments)
    for part, files in (("Training", _TRAIN_FILES), ("Testing", _TEST_FILES)):
        _caffe.log(f"Writing {part} data")
        images, labels = zip(*(read(os.path.join(options.input_folder, name)) for name in files), strict=True)
        name = f"cifar10_{part.lower().removesuffix('ing')}_{options.db_type}"
        path = os.path.join(options.output_folder, name)
        write_database(np.concatenate(images), np.concatenate(labels), path, options.db_type, _KEY_DIGITS)
    return 0
