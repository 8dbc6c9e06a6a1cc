"""convert_mnist_data: makes a database of images from two idx files, as MNIST comes."""

import argparse
import os
import shutil
import sys
import tempfile

from caffe import Error, idx, init_log
from caffe._caffe import Database
from caffe.proto.caffe_pb2 import Datum

_ITEMS_PER_COMMIT = 1000
# The level of the log from which on it is shown: not the name that the database has until it is whole.
_WARNINGS = 1


def write_database(images, labels, path, backend="lmdb"):
    """Writes gray images (items, rows, columns; uint8) with their labels to a new database at `path`.

    Keys are the item's number in eight digits, values are Datum messages. The database appears under its name
    when it is whole: an error leaves nothing there. Raises FileExistsError where something lies there.
    """
    images, labels = _checked(images, labels)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists already: remove it or name another database")
    folder = os.path.dirname(os.path.abspath(path))
    unfinished = tempfile.mkdtemp(prefix=os.path.basename(path) + ".unfinished-", dir=folder)
    try:
        database = os.path.join(unfinished, backend)
        _fill(database, backend, images, labels)
        os.rename(database, path)
    finally:
        shutil.rmtree(unfinished)


def _checked(images, labels):
    if images.ndim != 3 or images.dtype != "uint8":
        raise ValueError(f"images are (items, rows, columns) of uint8, not {images.shape} of {images.dtype}")
    if len(images) == 0:
        raise ValueError("there are no images")
    if len(images) != len(labels):
        raise ValueError(f"there are {len(images)} images but {len(labels)} labels")
    return images, labels


def _fill(path, backend, images, labels):
    with Database(path, "new", backend) as database:
        datum = Datum(channels=1, height=images.shape[1], width=images.shape[2])
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            datum.data = image.tobytes()
            datum.label = int(label)
            database.put(f"{number:08d}", datum.SerializeToString())
            if (number + 1) % _ITEMS_PER_COMMIT == 0:
                database.commit()
        database.commit()


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="convert_mnist_data",
        description="Makes a database of the images and labels in two idx files (plain or .gz).",
    )
    parser.add_argument("images", help="idx file of the images, such as train-images-idx3-ubyte")
    parser.add_argument("labels", help="idx file of the labels, such as train-labels-idx1-ubyte")
    parser.add_argument("database", help="the folder to make")
    parser.add_argument(
        "-backend", "--backend", default="lmdb", choices=["lmdb", "leveldb"], help="kind of database (lmdb)"
    )
    arguments = parser.parse_args(argv)
    init_log(_WARNINGS)
    try:
        images = idx.read(arguments.images, dimensions=3)
        labels = idx.read(arguments.labels, dimensions=1)
        write_database(images, labels, arguments.database, arguments.backend)
    except (OSError, ValueError, Error) as error:
        print(f"convert_mnist_data: {error}", file=sys.stderr)
        return 1
    rows, columns = images.shape[1:]
    print(f"{arguments.database}: {len(images):,} images of {rows} x {columns}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
