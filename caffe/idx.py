"""Reads idx files, the format of MNIST."""

import gzip
import math
import os
import zlib

import numpy as np

_UNSIGNED_BYTE = 0x08
_GZIP_START = b"\x1f\x8b"


def read(path, dimensions):
    """The bytes of an idx file, plain or gzip-compressed, as a uint8 array with that many dimensions.

    The first dimension counts the items: images are (items, rows, columns), labels (items,).
    Raises OSError where the file can't be read, ValueError where it is damaged or of another kind.
    """
    content = _content(path)
    header = 4 + 4 * dimensions
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"{path} is not an idx file")
    if content[2] != _UNSIGNED_BYTE:
        raise ValueError(f"{path} has values of type 0x{content[2]:02x}: only unsigned bytes (0x08) are read")
    if content[3] != dimensions:
        raise ValueError(
            f"{path} has {content[3]} dimension(s), not {dimensions}: images have 3, labels have 1"
        )
    if len(content) < header:
        raise ValueError(f"{path} is cut short within its header")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise ValueError(
            f"{path} has {len(content):,} bytes where its header, {' x '.join(map(str, shape))}, "
            f"means {expected:,}: it is cut short or damaged"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def find(folder, name):
    """The path of an idx file in a folder, plain or with .gz; None where there is neither."""
    for candidate in (os.path.join(folder, name), os.path.join(folder, name + ".gz")):
        if os.path.isfile(candidate):
            return candidate
    return None


def _content(path):
    with open(path, "rb") as file:
        content = file.read()
    if not content.startswith(_GZIP_START):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} does not decompress: {error}") from error
