"""Images, and conversions between arrays and the messages that Caffe stores them in."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from google.protobuf.message import DecodeError

from .proto import caffe_pb2

#: The mean color, blue green red, of the ImageNet classification data (ILSVRC 2012), in [0, 255]. Scripts for
#: pycaffe read imagenet/ilsvrc_2012_mean.npy, whose pixels all have it.
IMAGENET_MEAN = (104.00698793, 116.66876762, 122.67891434)


def blobproto_to_array(blob: caffe_pb2.BlobProto, return_diff: bool = False) -> np.ndarray:
    """The values (or gradients) of a stored blob, in its shape; a mean image is 1 x C x H x W.

    Packed weights are +-alpha. Raises ValueError where values and shape do not fit.
    """
    if blob.HasField("signs") and not return_diff:
        return _unpacked(blob)
    if return_diff:
        values = blob.double_diff if blob.double_diff else blob.diff
    else:
        values = blob.double_data if blob.double_data else blob.data
    data = np.array(values)
    legacy = any(blob.HasField(name) for name in ("num", "channels", "height", "width"))
    shape = (blob.num, blob.channels, blob.height, blob.width) if legacy else tuple(blob.shape.dim)
    return _shaped(data, shape)


def _shaped(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    # A negative size would be taken for what is left over.
    if min(shape, default=0) < 0:
        raise ValueError(f"a stored array cannot have the shape {shape}")
    return values.reshape(shape)


def _unpacked(blob: caffe_pb2.BlobProto) -> np.ndarray:
    shape = tuple(blob.shape.dim)
    if not shape or min(shape) < 1 or len(blob.alphas) != shape[0]:
        raise ValueError(f"packed weights of {len(blob.alphas)} outputs cannot have the shape {shape}")
    rows = _shaped(np.frombuffer(blob.signs, np.uint8), (shape[0], -(-math.prod(shape[1:]) // 8)))
    signs = np.unpackbits(rows, axis=1, count=math.prod(shape[1:]), bitorder="little")
    alphas = np.array(blob.alphas)[:, None]
    return np.where(signs, alphas, -alphas).reshape(shape)


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
    """The image of a database record, C x H x W. Encoded images are not decoded.

    Raises ValueError where values and shape do not fit.
    """
    shape = (datum.channels, datum.height, datum.width)
    if len(datum.data):
        return _shaped(np.frombuffer(datum.data, dtype=np.uint8), shape)
    return _shaped(np.array(datum.float_data).astype(float), shape)


class Transformer:
    """Turns images as they are loaded into what a net takes, and back.

    ``inputs`` maps a blob's name to its shape, N x C x H x W. Each step is set by input and left out where it
    is not: resize to H x W, ``transpose`` (H x W x C to C x H x W is ``(2, 0, 1)``), ``channel_swap`` (RGB to
    BGR is ``(2, 1, 0)``), times ``raw_scale``, minus ``mean``, times ``input_scale``; in this order.

    >>> transformer = Transformer({"data": (1, 3, 2, 2)})
    >>> transformer.set_transpose("data", (2, 0, 1))
    >>> transformer.set_raw_scale("data", 255)
    >>> transformer.preprocess("data", np.ones((2, 2, 3))).shape
    (3, 2, 2)
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def _check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise Exception(f"{in_} is not one of the net inputs: {list(self.inputs)}")

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """An image H' x W' x C as the net's input: float32, C x H x W. ``data`` stays as it is."""
        self._check_input(in_)
        image = np.array(data, dtype=np.float32)
        size = tuple(self.inputs[in_][2:])
        if image.shape[:2] != size:
            image = resize_image(image, size)
        if in_ in self.transpose:
            image = image.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            image = image[list(self.channel_swap[in_])]
        if in_ in self.raw_scale:
            image = image * np.float32(self.raw_scale[in_])
        if in_ in self.mean:
            image = image - self.mean[in_]
        if in_ in self.input_scale:
            image = image * np.float32(self.input_scale[in_])
        return image.astype(np.float32, copy=False)

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """The image that ``preprocess`` made ``data`` of, in the net's size. ``data`` stays as it is."""
        self._check_input(in_)
        image = np.array(data).squeeze()
        if in_ in self.input_scale:
            image = image / self.input_scale[in_]
        if in_ in self.mean:
            image = image + self.mean[in_]
        if in_ in self.raw_scale:
            image = image / self.raw_scale[in_]
        if in_ in self.channel_swap:
            image = image[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            image = image.transpose(np.argsort(self.transpose[in_]))
        return image

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of the axes, one for each axis of the input but the first."""
        self._check_input(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise Exception(
                f"the transpose order of {in_} must name {len(self.inputs[in_]) - 1} axes, not {len(order)}"
            )
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of the channels, as an image has them after ``transpose``."""
        self._check_input(in_)
        if len(order) != self.inputs[in_][1]:
            raise Exception(
                f"the channel swap of {in_} must name {self.inputs[in_][1]} channels, not {len(order)}"
            )
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """What values are multiplied by first: 255 for images in [0, 1] and a net trained on [0, 255]."""
        self._check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """The mean to subtract: one number for each channel, or an image C x H x W (resized if need be)."""
        self._check_input(in_)
        mean = np.asarray(mean)
        channels, *size = self.inputs[in_][1:]
        if mean.ndim == 1:
            if mean.shape[0] != channels:
                raise ValueError(f"the mean has {mean.shape[0]} channels, but {in_} has {channels}")
            mean = mean[:, np.newaxis, np.newaxis]
        else:
            if mean.ndim not in (2, 3):
                raise ValueError(f"a mean has 1 to 3 axes, not the shape {mean.shape}")
            if mean.ndim == 2:
                mean = mean[np.newaxis]
            if mean.shape[0] not in (1, channels):
                raise ValueError(f"the mean has {mean.shape[0]} channels, but {in_} has {channels}")
            if mean.shape[1:] != tuple(size):
                mean = resize_image(mean.transpose(1, 2, 0), size).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """What values are multiplied by last, after the mean was subtracted."""
        self._check_input(in_)
        self.input_scale[in_] = scale


def load_image(filename: str | os.PathLike, color: bool = True) -> np.ndarray:
    """An image file as H x W x 3 (RGB), or H x W x 1 with ``color=False``: float32 in [0, 1]."""
    import skimage.io
    import skimage.util

    image = skimage.util.img_as_float32(skimage.io.imread(os.fspath(filename), as_gray=not color))
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
        return np.tile(image, (1, 1, 3)) if color else image
    if image.shape[2] == 2:  # gray and opacity
        return np.tile(image[:, :, :1], (1, 1, 3))
    return np.ascontiguousarray(image[:, :, :3])


def load_mean(filename: str | os.PathLike) -> np.ndarray:
    """The mean in a .binaryproto file (of compute_image_mean), C x H x W, or what a .npy file holds.

    Raises ValueError where the file holds none.
    """
    name = os.fspath(filename)
    if name.endswith(".npy"):
        try:
            # Mapped, an array is no larger than the file.
            return np.array(np.lib.format.open_memmap(name, mode="r"))
        except OSError:
            raise
        except Exception as error:  # a damaged header is told by many
            raise ValueError(f"{name}: is no .npy file of an array ({error})") from error
    with open(name, "rb") as file:
        blob = caffe_pb2.BlobProto()
        try:
            blob.ParseFromString(file.read())
            mean = blobproto_to_array(blob)
        except (DecodeError, ValueError) as error:
            raise ValueError(f"{name}: is no .binaryproto file of a mean image ({error})") from error
    if mean.ndim < 3 or not mean.size:
        raise ValueError(f"{name}: a mean image is C x H x W, not {mean.shape}")
    return mean[0] if mean.ndim == 4 else mean


def center_of(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of an image, C x H x W; ValueError where it is smaller than that."""
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    if top < 0 or left < 0:
        raise ValueError(f"an image of {image.shape[1:]} is smaller than {height} x {width}")
    return image[:, top : top + height, left : left + width]


def load_labels(filename: str | os.PathLike) -> list[str]:
    """The classes' names in a text file, one in a line; blank lines do not count."""
    with open(filename, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """An image H x W x C resized to ``new_dims`` = (height, width), as float32.

    ``interp_order`` is the order of the interpolation: 0 nearest, 1 bilinear, 3 cubic. With 1 or 3 channels
    pixels are areas; with another number they are points, the corners of which stay where they are.
    """
    im = np.asarray(im, dtype=np.float32)
    height, width = (int(size) for size in new_dims)
    if im.shape[-1] not in (1, 3):
        import scipy.ndimage

        scale = (height / im.shape[0], width / im.shape[1], 1)
        return scipy.ndimage.zoom(im, scale, order=interp_order).astype(np.float32)
    import skimage.transform

    # Between the least and the largest value, as what lies outside of the image counts as the least.
    low, high = im.min(), im.max()
    if high <= low:
        return np.full((height, width, im.shape[-1]), low, dtype=np.float32)
    resized = skimage.transform.resize(
        (im - low) / (high - low), (height, width), order=interp_order, mode="constant", anti_aliasing=False
    )
    return (resized * (high - low) + low).astype(np.float32)


def oversample(images: Sequence[np.ndarray], crop_dims: Sequence[int]) -> np.ndarray:
    """Ten crops of each image H x W x C: the four corners and the center, and these five mirrored.

    Returns float32, 10 N x height x width x C for ``crop_dims`` = (height, width).
    """
    size = np.array(images[0].shape[:2])
    crop = np.array(crop_dims, dtype=int)
    last = size - crop
    corners = [(top, left) for top in (0, last[0]) for left in (0, last[1])]
    center = tuple(int(start) for start in size / 2.0 - crop / 2.0)
    crops = []
    for image in images:
        five = [image[top : top + crop[0], left : left + crop[1]] for top, left in (*corners, center)]
        crops += five + [part[:, ::-1] for part in five]
    return np.array(crops, dtype=np.float32)
