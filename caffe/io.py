"""Conversions between arrays and the messages that Caffe stores them in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .proto import caffe_pb2


def blobproto_to_array(blob: caffe_pb2.BlobProto, return_diff: bool = False) -> np.ndarray:
    """The values (or gradients) of a stored blob, in its shape; a mean image is 1 x C x H x W."""
    if return_diff:
        values = blob.double_diff if blob.double_diff else blob.diff
    else:
        values = blob.double_data if blob.double_data else blob.data
    data = np.array(values)
    legacy = any(blob.HasField(name) for name in ("num", "channels", "height", "width"))
    shape = (blob.num, blob.channels, blob.height, blob.width) if legacy else tuple(blob.shape.dim)
    return data.reshape(shape)


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> caffe_pb2.BlobProto:
    """An array, and a gradient of its shape, as a message."""
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    _merge_floats(blob, "data", arr)
    if diff is not None:
        _merge_floats(blob, "diff", diff)
    return blob


def _merge_floats(message: caffe_pb2.BlobProto, field: str, values: np.ndarray) -> None:
    # As the bytes that stand for it: element by element, the weights of a large net take seconds.
    content = np.asarray(values, "<f4").tobytes()
    length_delimited = 2
    tag = message.DESCRIPTOR.fields_by_name[field].number << 3 | length_delimited
    message.MergeFromString(_varint(tag) + _varint(len(content)) + content)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def arraylist_to_blobprotovector_str(arraylist: Iterable[np.ndarray]) -> bytes:
    """Arrays as a serialized BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector()
    vector.blobs.extend(array_to_blobproto(array) for array in arraylist)
    return vector.SerializeToString()


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:
    """The arrays of a serialized BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector.FromString(str)
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> caffe_pb2.Datum:
    """An image C x H x W, of bytes or floating-point numbers, as a record for a database."""
    if arr.ndim != 3:
        raise ValueError(f"a datum holds an array of 3 axes (C x H x W), not of shape {arr.shape}")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).ravel())
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: caffe_pb2.Datum) -> np.ndarray:
    """The image of a database record, C x H x W. Encoded images are not decoded."""
    shape = (datum.channels, datum.height, datum.width)
    if len(datum.data):
        return np.frombuffer(datum.data, dtype=np.uint8).reshape(shape)
    return np.array(datum.float_data).astype(float).reshape(shape)
