"""Reads idx files, the format of MNIST."""

import gzip
import math
import os
import struct
import zlib

import numpy as np

_UNSIGNED_BYTE = 0x08
_GZIP_START = b"\x1f\x8b"


def read(path, dimensions):
    """The bytes of an idx file, plain or gzip-compressed, as a uint8 array with that many dimensions.

    The first dimension counts the items: images are (items, rows, columns), labels (items,).
    Raises OSError where the file can't be read, ValueError where it is damaged or of another kind.
    """
    header_bytes = 4 + 4 * dimensions
    with open(path, "rb") as stored:
        packed = stored.read(len(_GZIP_START)) == _GZIP_START
        stored.seek(0)
        file = gzip.GzipFile(fileobj=stored) if packed else stored
        try:
            shape = _shape(path, file.read(header_bytes), dimensions)
            expected = math.prod(shape)
            # One more, to see that there are more: all of them may be far more than the file has.
            content = _read(file, expected + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} does not decompress: {error}") from error
    if len(content) != expected:
        found = "more" if len(content) > expected else f"{header_bytes + len(content):,}"
        raise ValueError(
            f"{path} has {found} bytes where its header, {' x '.join(map(str, shape))}, "
            f"means {header_bytes + expected:,}: it is cut short or damaged"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(path, header, dimensions):
    if len(header) < 4 or header[:2] != b"\0\0":
        raise ValueError(f"{path} is not an idx file")
    if header[2] != _UNSIGNED_BYTE:
        raise ValueError(f"{path} has values of type 0x{header[2]:02x}: only unsigned bytes (0x08) are read")
    if header[3] != dimensions:
        raise ValueError(
            f"{path} has {header[3]} dimension(s), not {dimensions}: images have 3, labels have 1"
        )
    if len(header) < 4 + 4 * dimensions:
        raise ValueError(f"{path} is cut short within its header")
    return struct.unpack_from(f">{dimensions}I", header, 4)


def find(folder, name):
    """The path of an idx file in a folder, plain or with .gz; None where there is neither."""
    for candidate in (os.path.join(folder, name), os.path.join(folder, name + ".gz")):
        if os.path.isfile(candidate):
            return candidate
    return None


def _read(file, most):
    # In blocks: asked for at once, memory is taken for what a damaged header says.
    blocks = []
    while most and (block := file.read(min(most, 1 << 20))):
        blocks.append(block)
        most -= len(block)
    return b"".join(blocks)
