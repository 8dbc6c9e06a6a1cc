"""The low-bit layers as PyTorch modules, for training loops of one's own; weights go both ways.

Forward and backward are those of :class:`caffe.Net` to float rounding, and :func:`load_caffemodel` and
:func:`save_caffemodel` read and write the same files; so what is trained here is packed by ``caffe pack``.
:class:`Net` is the module of a whole prototxt. PyTorch is needed for this module alone.
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        "caffe.hwgq.torch needs PyTorch: pip install 'hwgq-caffe[torch]', or see https://pytorch.org"
    ) from error

from .layers import HWGQ, BinaryConv2d, BinaryLinear, Quant, binarize, quantize
from .net import Net
from .weights import load_caffemodel, save_caffemodel

__all__ = [
    "HWGQ",
    "BinaryConv2d",
    "BinaryLinear",
    "Net",
    "Quant",
    "binarize",
    "load_caffemodel",
    "quantize",
    "save_caffemodel",
]
