"""Parameters of PyTorch modules from and to .caffemodel files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv

from ... import _caffe
from ...io import array_to_blobproto, blobproto_to_array
from ...proto import caffe_pb2
from .layers import BinaryConv2d, BinaryLinear
from .modules import BatchNorm, Factor

#: Layers' names by modules' names; two for a batch normalization with weights, None for a module left out.
Names = Mapping[str, str | tuple[str, str] | None]


class _Part(NamedTuple):
    """A layer that a module, or half of one, stands for."""

    name: str
    type: str
    module: nn.Module
    #: In the order of the layer's blobs.
    tensors: list[Tensor]


_BLOBS = ("weight", "bias")

# Subclasses first.
_TYPES = (
    (BinaryConv2d, "BinaryConvolution"),
    (BinaryLinear, "BinaryInnerProduct"),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), "Convolution"),
    (conv._ConvTransposeNd, "Deconvolution"),
    (nn.Linear, "InnerProduct"),
    (nn.PReLU, "PReLU"),
)


def _parts(module: nn.Module, names: Names | None) -> Iterator[_Part]:
    # What torch.compile made has the module inside.
    module = getattr(module, "_orig_mod", module)
    names = {**getattr(module, "layer_names", {}), **(names or {})}
    paths = dict(module.named_modules())
    for path in names:
        if path not in paths:
            raise ValueError(f"there is no module {path!r}; there are {', '.join(filter(None, paths))}")
    for path, child in paths.items():
        given = names.get(path, path)
        if given is None:
            continue
        tensors = [
            values for name in _BLOBS if isinstance(values := getattr(child, name, None), torch.Tensor)
        ]
        if isinstance(child, BatchNorm):
            tensors = [child.running_mean, child.running_var, child.total]
        if isinstance(child, batchnorm._BatchNorm):
            if child.running_mean is None or child.running_var is None:
                raise ValueError(f"module {path!r} keeps no statistics: a BatchNorm layer stores them")
            first, second = given if isinstance(given, tuple) else (given, f"{given}_scale")
            yield _Part(first, "BatchNorm", child, [child.running_mean, child.running_var])
            if tensors:
                yield _Part(second, "Scale", child, tensors)
            continue
        type = next((name for kind, name in _TYPES if isinstance(child, kind)), None)
        if isinstance(child, BatchNorm):
            type = "BatchNorm"
        elif isinstance(child, Factor):
            type = "Scale" if child.weight is not None else "Bias"
        if type is not None:
            if isinstance(given, tuple):
                raise ValueError(f"module {path!r} is one layer, not the two {', '.join(given)}")
            yield _Part(given, type, child, tensors)
        elif any(True for _ in child.parameters(recurse=False)):
            raise ValueError(
                f"module {path!r} ({child.__class__.__name__}) has parameters that no layer of Caffe stores; "
                f"leave it out with names={{{path!r}: None}}"
            )


def load_caffemodel(module: nn.Module, path: str | os.PathLike, names: Names | None = None) -> None:
    """Fills a module's parameters and batch statistics from a .caffemodel of any age.

    Modules are found in the file by name: ``features.conv1`` is the layer of that name. A
    ``torch.nn.BatchNorm2d`` stands for a BatchNorm layer of its name and, where it has weights, a Scale layer
    NAME_scale. Nothing is changed where anything does not fit.

    Args:
        module: made of convolutions, linear maps, batch normalizations, PReLU, and the modules from here.
        path: the file. Its other layers are left alone.
        names: layers' names for modules' that differ: {"fc": "ip2", "bn1": ("bn1", "scale1")}; None for a
            module to leave as it is.

    Raises:
        caffe.Error: the file cannot be read.
        ValueError: it lacks a layer, or one has parameters of another shape; all of them are named.
    """
    saved = caffe_pb2.NetParameter.FromString(_caffe.read_net_binary(os.fspath(path)))
    layers = {layer.name: layer for layer in saved.layer if layer.blobs}
    found: list[tuple[Tensor, np.ndarray]] = []
    wrong = []
    for part in _parts(module, names):
        if part.name not in layers:
            wrong.append(f"there is no layer {part.name!r}")
            continue
        arrays = _arrays(part, layers[part.name])
        shapes = [
            [_significant(shape) for shape in shapes] for shapes in (_shapes(arrays), _shapes(part.tensors))
        ]
        if shapes[0] != shapes[1]:
            wrong.append(
                f"layer {part.name!r} has parameters {_listed(arrays)}, the module {_listed(part.tensors)}"
            )
            continue
        found += zip(part.tensors, arrays, strict=True)
    if wrong:
        raise ValueError(f"{os.fspath(path)}: {'; '.join(wrong)}")
    with torch.no_grad():
        for tensor, array in found:
            tensor.copy_(torch.from_numpy(array.reshape(tensor.shape)))


def save_caffemodel(module: nn.Module, path: str | os.PathLike, names: Names | None = None) -> None:
    """Writes a module's parameters and batch statistics to a .caffemodel, for the prototxt of its layers.

    Weights of binary layers are stored in full precision, as Caffe stores them. Arguments as of
    :func:`load_caffemodel`.

    Raises:
        caffe.Error: the file cannot be written.
        ValueError: a module has parameters that no layer stores, or two would be layers of one name.
    """
    net = caffe_pb2.NetParameter(name=module.__class__.__name__)
    written: set[str] = set()
    for part in _parts(module, names):
        if part.name in written:
            raise ValueError(f"two modules would be the layer {part.name!r}: give names")
        written.add(part.name)
        layer = net.layer.add(name=part.name, type=part.type)
        arrays = [tensor.detach().cpu().float().numpy() for tensor in part.tensors]
        if part.type == "BatchNorm":
            total = _weight_of_the_past(part.module)
            arrays = [values * total for values in arrays[:2]] + [np.array([total])]
        if isinstance(part.module, BinaryConv2d):
            layer.binary_convolution_param.use_alpha = part.module.use_alpha
            layer.binary_convolution_param.use_binarization = part.module.use_binarization
        if isinstance(part.module, BinaryLinear):
            layer.binary_inner_product_param.use_alpha = part.module.use_alpha
            layer.binary_inner_product_param.use_binarization = part.module.use_binarization
        if isinstance(part.module, nn.PReLU) and getattr(
            part.module, "channel_shared", part.module.num_parameters == 1
        ):
            layer.prelu_param.channel_shared = True
            arrays[0] = arrays[0].reshape(())
        if getattr(part.module, "transpose", False):
            layer.inner_product_param.transpose = True
            arrays[0] = arrays[0].T
        layer.blobs.extend(array_to_blobproto(values) for values in arrays)
    _caffe.write_net_binary(net.SerializeToString(), os.fspath(path))


def _weight_of_the_past(module: nn.Module) -> np.float32:
    if isinstance(module, BatchNorm):
        return np.float32(module.total.item())
    # What a running mean weighs when it has settled: so that Caffe's goes on where this one stopped.
    return np.float32(1 / module.momentum if module.momentum else max(int(module.num_batches_tracked), 1))


def _arrays(part: _Part, layer: caffe_pb2.LayerParameter) -> list[np.ndarray]:
    """The parameters in a file, as the module has them."""
    arrays = [blobproto_to_array(blob) for blob in layer.blobs]
    if part.type == "BatchNorm" and len(arrays) == 3 and arrays[2].size == 1:
        total = arrays[2].item()
        arrays[:2] = [values / total if total else np.zeros_like(values) for values in arrays[:2]]
        arrays = arrays[: len(part.tensors)]
    param = layer.inner_product_param
    transposed = param.transpose if param.HasField("transpose") else getattr(part.module, "transpose", False)
    if transposed and "InnerProduct" in part.type and arrays[0].ndim == 2:
        arrays[0] = arrays[0].T
    return [np.ascontiguousarray(values) for values in arrays]


def _shapes(arrays: list) -> list[tuple[int, ...]]:
    return [tuple(values.shape) for values in arrays]


def _significant(shape: tuple[int, ...]) -> tuple[int, ...]:
    # Old files have four axes for every blob, and a shared slope has one or none.
    return tuple(size for size in shape if size != 1)


def _listed(arrays: list) -> str:
    return ", ".join(" x ".join(map(str, shape)) or "1" for shape in _shapes(arrays)) or "none"
