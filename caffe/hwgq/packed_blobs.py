"""Parameters for ``caffe.Net`` with the weights of binary layers as bits: packed blobs in a .caffemodel.

docs/packed-format.md says how they are stored. A net reads them as +-alpha, which binarizes to itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import _caffe
from ..io import array_to_blobproto
from ..proto import caffe_pb2
from .binarize import BINARY_TYPES, read_deploy_net, trained_net


class PackedCaffemodel(NamedTuple):
    """The file that :func:`pack_caffemodel` wrote."""

    path: Path
    #: All parameters of the net as floats.
    float_bytes: int
    #: The file's size.
    packed_bytes: int


def pack_caffemodel(
    model: str | os.PathLike,
    weights: str | os.PathLike,
    out: str | os.PathLike,
    *,
    input_shape: Sequence[int] | None = None,
) -> PackedCaffemodel:
    """Writes the parameters of a trained net with a bit for each weight of its binary layers.

    The file is for the net with binary layers, and for that of ``caffe binarize`` with ordinary ones. All
    other parameters are as they were. Training cannot go on from binarized weights.

    Args:
        model: the net's prototxt, for training or for deployment, in any format Caffe ever had.
        weights: its parameters, .caffemodel or .caffemodel.h5.
        out: the file to write, by custom NAME.caffemodel.
        input_shape: shape of the input, N x C x H x W, where the data that would tell it is not there.

    Raises:
        caffe.Error: a file cannot be read or written, or the weights do not fit the net.
        ValueError: ``out`` is a file to read, an input's shape is not known, or no layer has binary weights.
    """
    out = Path(out)
    if out.exists() and any(os.path.exists(file) and out.samefile(file) for file in (model, weights)):
        raise ValueError(f"{out} is a file to read; choose another name for the packed weights")
    deploy = read_deploy_net(model, weights, input_shape)
    if not any(map(_binarizes, deploy.layer)):
        raise ValueError(f"{os.fspath(model)}: no layer of the net binarizes its weights: nothing to pack")
    net = trained_net(deploy, weights, model)
    for layer in deploy.layer:
        for index, blob in enumerate(net.params.get(layer.name, ())):
            if index == 0 and _binarizes(layer):
                layer.blobs.append(packed_blob(blob.data, _binary_param(layer).use_alpha))
            else:
                layer.blobs.append(array_to_blobproto(blob.data))
    _caffe.write_net_binary(deploy.SerializeToString(), str(out))
    float_bytes = sum(blob.data.nbytes for blobs in net.params.values() for blob in blobs)
    return PackedCaffemodel(out, float_bytes, out.stat().st_size)


def packed_blob(weights: np.ndarray, use_alpha: bool) -> caffe_pb2.BlobProto:
    """Weights, outputs first, as a binary layer with this setting binarizes them, packed."""
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(weights.shape)
    rows = weights.reshape(len(weights), -1)
    blob.signs = np.packbits(rows >= 0, axis=1, bitorder="little").tobytes()
    blob.alphas.extend(np.abs(_caffe.binarize_weights(rows, use_alpha)[:, 0]))
    return blob


def _binarizes(layer: caffe_pb2.LayerParameter) -> bool:
    return layer.type in BINARY_TYPES and _binary_param(layer).use_binarization


def _binary_param(
    layer: caffe_pb2.LayerParameter,
) -> caffe_pb2.BinaryConvolutionParameter | caffe_pb2.BinaryInnerProductParameter:
    return getattr(layer, BINARY_TYPES[layer.type][1])
