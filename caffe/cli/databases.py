"""Databases that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np

from .. import _caffe
from .._caffe import Database
from ..proto.caffe_pb2 import Datum

_ITEMS_PER_COMMIT = 1000

# The level of the log from which on it is shown: not the name that the database has until it is whole.
_WARNINGS = 1


@contextlib.contextmanager
def new_database(path: str | os.PathLike, backend: str = "lmdb") -> Iterator[Database]:
    """A database to fill, which gets its name when the block ends: what ends it by an error leaves nothing.

    Raises FileExistsError where something lies there already.
    """
    path = os.path.normpath(path)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists already: remove it or name another database")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder {folder} to make {os.path.basename(path)} in")
    unfinished = tempfile.mkdtemp(prefix=os.path.basename(path) + ".unfinished-", dir=folder)
    try:
        content = os.path.join(unfinished, backend)
        with _opened(content, backend) as database:
            yield database
            database.commit()
        os.rename(content, path)
    finally:
        shutil.rmtree(unfinished)


def _opened(path: str, backend: str) -> Database:
    level = _caffe.log_level()
    _caffe.init_log(max(level, _WARNINGS))
    try:
        return Database(path, "new", backend)
    finally:
        _caffe.init_log(level)


def write_database(
    images: np.ndarray,
    labels: np.ndarray,
    path: str | os.PathLike,
    backend: str = "lmdb",
    key_digits: int = 8,
) -> None:
    """Writes images with their labels to a new database at `path`.

    Images are of uint8, gray (items, rows, columns) or (items, channels, rows, columns). Keys are the item's
    number with leading zeros, values are Datum messages. The database appears under its name when it is
    whole: an error leaves nothing there. Raises FileExistsError where something lies there.
    """
    images = _checked(images, labels)
    with new_database(path, backend) as database:
        _fill(database, images, labels, key_digits)


def _checked(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if images.ndim not in (3, 4) or images.dtype != "uint8":
        raise ValueError(
            f"images are (items, rows, columns) or (items, channels, rows, columns) of uint8, "
            f"not {images.shape} of {images.dtype}"
        )
    if len(images) == 0:
        raise ValueError("there are no images")
    if len(images) != len(labels):
        raise ValueError(f"there are {len(images)} images but {len(labels)} labels")
    return images if images.ndim == 4 else images[:, None]


def _fill(database: Database, images: np.ndarray, labels: np.ndarray, key_digits: int) -> None:
    channels, height, width = images.shape[1:]
    datum = Datum(channels=channels, height=height, width=width)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        datum.data = image.tobytes()
        datum.label = int(label)
        database.put(f"{number:0{key_digits}d}", datum.SerializeToString())
        if (number + 1) % _ITEMS_PER_COMMIT == 0:
            database.commit()
