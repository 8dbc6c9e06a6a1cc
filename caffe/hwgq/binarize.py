"""From a trained net to nets for deployment: one with binary layers, one with their weights binarized.

The first (``deploy.prototxt``) computes what the trained net computes in its test phase, without data and
loss layers. The second (``deploy_bw.prototxt`` with ``_BW.caffemodel``) is the first with ordinary
convolutions and inner products in place of the binary ones, and weights +-alpha in place of the real ones;
the outputs are equal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import _caffe
from ..io import array_to_blobproto
from ..proto import caffe_pb2
from ..pycaffe import Net

#: Ordinary type and parameter field for each binary type.
BINARY_TYPES = {
    "BinaryConvolution": ("Convolution", "binary_convolution_param"),
    "BinaryInnerProduct": ("InnerProduct", "binary_inner_product_param"),
}

DATA_TYPES = {"Data", "ImageData", "HDF5Data", "WindowData", "MemoryData", "DummyData"}

# Parts of a definition that only training reads.
TRAINING_FIELDS = ("param", "include", "exclude", "phase", "loss_weight", "propagate_down", "blobs")


class BinarizedModel(NamedTuple):
    """The files that :func:`binarize` writes."""

    deploy: Path
    weights: Path
    deploy_bw: Path
    weights_bw: Path


def deploy_net(
    model: caffe_pb2.NetParameter,
    input_shapes: Mapping[str, Sequence[int]],
) -> caffe_pb2.NetParameter:
    """A net for deployment from one for training.

    Data layers become inputs, SoftmaxWithLoss becomes Softmax, other layers that need labels go, batch
    normalization uses its stored statistics, and what only training reads (fillers, learning rates) goes too.

    Args:
        model: the net's definition, in today's format (train and test phase together, or a deploy net).
        input_shapes: the shape of each input by name; data layers' tops that it does not name are labels.

    Raises:
        ValueError: no layer reads one of the inputs.
    """
    net = caffe_pb2.NetParameter(name=model.name)
    labels: set[str] = set()
    made: set[str] = set()
    for layer in model.layer:
        if not is_in_test_phase(layer):
            continue
        if layer.type in DATA_TYPES or (layer.type == "Input" and set(layer.top) <= set(input_shapes)):
            for top in layer.top:
                if top not in input_shapes:
                    labels.add(top)
                elif top not in made:
                    made.add(top)
                    shape = caffe_pb2.BlobShape(dim=input_shapes[top])
                    net.layer.add(
                        name=top, type="Input", top=[top], input_param=caffe_pb2.InputParameter(shape=[shape])
                    )
            continue
        if labels.intersection(layer.bottom):
            if layer.type != "SoftmaxWithLoss":
                # Whatever is computed with labels is a measure, and so is what is computed of it.
                labels.update(layer.top)
                continue
            softmax = net.layer.add(name="prob", type="Softmax", bottom=layer.bottom[:1], top=["prob"])
            if layer.HasField("softmax_param"):
                softmax.softmax_param.CopyFrom(layer.softmax_param)
            labels.update(layer.top)
            continue
        net.layer.add().CopyFrom(_for_deployment(layer))
    read = {bottom for layer in net.layer for bottom in layer.bottom}
    for name in input_shapes:
        if name not in read:
            raise ValueError(f"no layer of the net reads an input {name!r}")
    return net


def read_deploy_net(
    model: str | os.PathLike, weights: str | os.PathLike, input_shape: Sequence[int] | None = None
) -> caffe_pb2.NetParameter:
    """The net for deployment from a file, as :func:`deploy_net` makes it; arguments as of :func:`binarize`.

    Raises:
        caffe.Error: a file cannot be read.
        ValueError: an input's shape is not known, or there are several that no Input layers declare.
    """
    definition = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(os.fspath(model)))
    return deploy_net(definition, _input_shapes(definition, model, weights, input_shape))


def trained_net(
    deploy: caffe_pb2.NetParameter, weights: str | os.PathLike, named_in: str | os.PathLike
) -> Net:
    """A deploy net in its test phase with the parameters of a file, all of which it must hold.

    Args:
        deploy: the net's definition.
        weights: its parameters, .caffemodel or .caffemodel.h5.
        named_in: the file that errors name.

    Raises:
        caffe.Error: the weights cannot be read or do not fit the net.
        ValueError: they lack a layer.
    """
    net = _caffe.net_from_bytes(deploy.SerializeToString(), caffe_pb2.TEST, named_in=os.fspath(named_in))
    load_all(net, weights)
    return net


def load_all(net: Net, weights: str | os.PathLike) -> None:
    """Gives a net the parameters of a file, all of which it must hold; errors as of :func:`trained_net`."""
    # What no file fills stays NaN.
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = np.nan
    net.copy_from(os.fspath(weights))
    missing = [
        name
        for name, blobs in net.params.items()
        if any(np.isnan(blob.data).all() for blob in blobs if blob.count)
    ]
    if missing:
        raise ValueError(
            f"{os.fspath(weights)}: holds no parameters for {', '.join(missing)}; was it saved for this net?"
        )


def binarized_net(deploy: caffe_pb2.NetParameter) -> caffe_pb2.NetParameter:
    """The deploy net with ordinary layers in place of the binary ones, for binarized weights."""
    net = caffe_pb2.NetParameter()
    net.CopyFrom(deploy)
    for layer in net.layer:
        if layer.type in BINARY_TYPES:
            layer.type, field = BINARY_TYPES[layer.type]
            layer.ClearField(field)
    return net


def binarize(
    model: str | os.PathLike,
    weights: str | os.PathLike,
    out: str | os.PathLike = ".",
    input_shape: Sequence[int] | None = None,
) -> BinarizedModel:
    """Writes a trained net for deployment, with binary layers and with binarized weights.

    Args:
        model: the trained net's prototxt, for training or for deployment, in any format Caffe ever had.
        weights: its parameters, .caffemodel or .caffemodel.h5.
        out: folder for the four files; they are named deploy.prototxt, deploy_bw.prototxt, and after
            ``weights``, NAME.caffemodel and NAME_BW.caffemodel.
        input_shape: shape of the input, N x C x H x W, where the data that would tell it is not there.

    Raises:
        caffe.Error: a file cannot be read or written, or the weights do not fit the net.
        ValueError: the net has no binary layers, an input of unknown shape, or several that no Input layers
            declare.
    """
    deploy = read_deploy_net(model, weights, input_shape)
    if not any(layer.type in BINARY_TYPES for layer in deploy.layer):
        raise ValueError(
            f"{os.fspath(model)}: the net has no BinaryConvolution or BinaryInnerProduct layers to binarize"
        )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(weights).name.removesuffix(".h5").removesuffix(".caffemodel")
    result = BinarizedModel(
        folder / "deploy.prototxt",
        folder / f"{stem}.caffemodel",
        folder / "deploy_bw.prototxt",
        folder / f"{stem}_BW.caffemodel",
    )
    if result.weights.exists() and result.weights.samefile(weights):
        raise ValueError(f"{result.weights} is the file to read; choose another folder for the results")
    _caffe.write_net_text(deploy.SerializeToString(), str(result.deploy))
    net = trained_net(deploy, weights, result.deploy)
    parameters = {name: [blob.data.copy() for blob in blobs] for name, blobs in net.params.items()}
    _caffe.write_net_binary(_with_blobs(deploy, parameters).SerializeToString(), str(result.weights))

    deploy_bw = binarized_net(deploy)
    _caffe.write_net_text(deploy_bw.SerializeToString(), str(result.deploy_bw))
    for layer in deploy.layer:
        if layer.type not in BINARY_TYPES:
            continue
        param = getattr(layer, BINARY_TYPES[layer.type][1])
        if param.use_binarization:
            values = parameters[layer.name]
            values[0] = _caffe.binarize_weights(values[0], param.use_alpha)
    _caffe.write_net_binary(_with_blobs(deploy_bw, parameters).SerializeToString(), str(result.weights_bw))
    return result


def is_in_test_phase(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer is part of a deployed net, which is at level 0, in no stage."""

    def meets(rule: caffe_pb2.NetStateRule) -> bool:
        return (
            (not rule.HasField("phase") or rule.phase == caffe_pb2.TEST)
            and (not rule.HasField("min_level") or rule.min_level <= 0)
            and (not rule.HasField("max_level") or rule.max_level >= 0)
            and not rule.stage
        )

    if layer.include:
        return any(meets(rule) for rule in layer.include)
    return not any(meets(rule) for rule in layer.exclude)


def _for_deployment(layer: caffe_pb2.LayerParameter) -> caffe_pb2.LayerParameter:
    result = caffe_pb2.LayerParameter()
    result.CopyFrom(layer)
    for field in TRAINING_FIELDS:
        result.ClearField(field)
    clear_fillers(result)
    if layer.type == "BatchNorm":
        result.batch_norm_param.ClearField("moving_average_fraction")
        result.batch_norm_param.use_global_stats = True
    return result


def labels_of(layers: Iterable[caffe_pb2.LayerParameter]) -> set[str]:
    """The blobs that hold labels: what losses and accuracies read second."""
    return {
        layer.bottom[1]
        for layer in layers
        if (layer.type.endswith("Loss") or layer.type == "Accuracy") and len(layer.bottom) > 1
    }


def _input_shapes(
    definition: caffe_pb2.NetParameter,
    model: str | os.PathLike,
    weights: str | os.PathLike,
    input_shape: Sequence[int] | None,
) -> dict[str, list[int]]:
    """The inputs of the net for deployment, by name, with their shapes."""
    sources = [
        layer
        for layer in definition.layer
        if is_in_test_phase(layer) and (layer.type in DATA_TYPES or layer.type == "Input")
    ]
    declared = {
        top: list(layer.input_param.shape[min(i, len(layer.input_param.shape) - 1)].dim)
        for layer in sources
        if layer.type == "Input" and layer.input_param.shape
        for i, top in enumerate(layer.top)
    }
    measured = labels_of(definition.layer)
    names = [top for layer in sources for top in layer.top if top not in measured]
    if len(names) > 1 and input_shape is None and all(name in declared for name in names):
        return {name: declared[name] for name in names}
    if len(names) != 1:
        raise ValueError(
            f"{os.fspath(model)}: a net with one input is needed; this one has {', '.join(names) or 'none'}"
        )
    name = names[0]
    if input_shape is not None:
        return {name: [int(size) for size in input_shape]}
    if name in declared:
        return {name: declared[name]}
    source = next(layer for layer in sources if name in layer.top)
    crop = source.transform_param.crop_size
    if crop:
        channels = _channels_read(definition, name, weights)
        if channels:
            return {name: [max(batch_size(source), 1), channels, crop, crop]}
    try:
        return {name: list(Net(os.fspath(model), caffe_pb2.TEST).blobs[name].shape)}
    except _caffe.Error as error:
        raise ValueError(
            f"{os.fspath(model)}: the shape of the input {name!r} cannot be told from the net's data "
            f"({error}); give input_shape"
        ) from error


def clear_fillers(layer: caffe_pb2.LayerParameter) -> None:
    """Leaves out what parameters are filled with before training."""
    for field, value in layer.ListFields():
        if field.message_type is None or getattr(value, "DESCRIPTOR", None) is None:
            continue
        for name in ("filler", "weight_filler", "bias_filler"):
            if name in value.DESCRIPTOR.fields_by_name:
                value.ClearField(name)


def batch_size(layer: caffe_pb2.LayerParameter) -> int:
    """Items in a batch of a data layer; 0 where it does not say."""
    for field, value in layer.ListFields():
        if field.name.endswith("data_param") and "batch_size" in value.DESCRIPTOR.fields_by_name:
            return value.batch_size
    return 0


def _channels_read(definition: caffe_pb2.NetParameter, blob: str, weights: str | os.PathLike) -> int:
    """The channels that the first convolution of a blob was trained for; 0 if there is none."""
    for layer in definition.layer:
        if blob in layer.bottom and layer.type in ("Convolution", "BinaryConvolution"):
            if os.fspath(weights).endswith(".h5"):
                return 0
            saved = caffe_pb2.NetParameter.FromString(_caffe.read_net_binary(os.fspath(weights)))
            for candidate in saved.layer:
                if candidate.name == layer.name and candidate.blobs:
                    stored = candidate.blobs[0]
                    per_group = stored.shape.dim[1] if len(stored.shape.dim) > 1 else stored.channels
                    return int(per_group) * layer.convolution_param.group
    return 0


def _with_blobs(
    net: caffe_pb2.NetParameter, parameters: Mapping[str, Sequence[np.ndarray]]
) -> caffe_pb2.NetParameter:
    result = caffe_pb2.NetParameter()
    result.CopyFrom(net)
    for layer in result.layer:
        layer.blobs.extend(array_to_blobproto(values) for values in parameters.get(layer.name, ()))
    return result
