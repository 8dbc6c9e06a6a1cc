"""Scoring a packed model on a net's test data: with its data layers and its measures, but without the net."""

from __future__ import annotations

import os

from google.protobuf import text_format

from .. import _caffe
from ..proto import caffe_pb2
from ..pycaffe import Net
from . import packed_file
from .binarize import DATA_TYPES, deploy_net, is_in_test_phase, labels_of
from .packed_net import PackedNet


def evaluation_net(model: caffe_pb2.NetParameter) -> caffe_pb2.NetParameter | None:
    """The test data layers and the measures of a net for training.

    An Input layer stands for each output of the net for deployment that a measure reads. The loss of a
    softmax becomes that of the probabilities which the net for deployment ends with. None for a net without
    data layers or measures.

    Raises:
        ValueError: a measure reads what is no output of the net for deployment, or a loss ignores a label.
    """
    layers = [layer for layer in model.layer if is_in_test_phase(layer)]
    sources = [layer for layer in layers if layer.type in DATA_TYPES]
    if not sources:
        return None
    result = caffe_pb2.NetParameter(name=model.name)
    result.layer.extend(sources)
    given = {top for source in sources for top in source.top}
    labels = given & labels_of(layers)
    deploy = deploy_net(model, {name: [1] for name in sorted(given - labels)})
    computed = {top for layer in deploy.layer for top in layer.top}
    renamed = {layer.bottom[0]: "prob" for layer in layers if layer.type == "SoftmaxWithLoss"}
    inputs: list[str] = []
    measures = []
    for layer in layers:
        if layer in sources or not labels.intersection(layer.bottom):
            continue
        measure = caffe_pb2.LayerParameter()
        measure.CopyFrom(layer)
        if layer.type == "SoftmaxWithLoss":
            if layer.loss_param.HasField("ignore_label"):
                raise ValueError(
                    f"layer {layer.name!r} ignores a label: a packed model's loss cannot do that"
                )
            measure.type = "MultinomialLogisticLoss"
            measure.ClearField("softmax_param")
        for i, bottom in enumerate(layer.bottom):
            measure.bottom[i] = renamed.get(bottom, bottom)
            if bottom in labels:
                continue
            if bottom not in computed:
                raise ValueError(f"layer {layer.name!r} measures {bottom!r}, which the net does not compute")
            if measure.bottom[i] not in inputs:
                inputs.append(measure.bottom[i])
        measures.append(measure)
    if not measures:
        return None
    for name in inputs:
        result.layer.add(name=name, type="Input", top=[name])
    result.layer.extend(measures)
    # What only the packed model reads is no score.
    read = {bottom for measure in measures for bottom in measure.bottom}
    unread = sorted(given - read)
    if unread:
        result.layer.add(name="unmeasured", type="Silence", bottom=unread)
    return result


class Evaluation:
    """A packed model between a net's data layers and its measures.

    Args:
        packed: the packed model.
        net: what :func:`evaluation_net` made, or the text in the packed model.
        named_in: the file in which data sources are named: they are looked for beside it, too.

    Raises:
        caffe.Error: the data cannot be read.
        ValueError: the model's outputs are not those that the measures read.
    """

    def __init__(self, packed: PackedNet, net: caffe_pb2.NetParameter, named_in: str | os.PathLike) -> None:
        self._packed = packed
        inputs = [layer for layer in net.layer if layer.type == "Input"]
        missing = [layer.name for layer in inputs if layer.name not in packed.outputs]
        if missing:
            raise ValueError(
                f"{os.fspath(named_in)}: the measures read {', '.join(missing)}, and the packed model "
                f"computes {', '.join(packed.outputs)}: was it packed from this net?"
            )
        shaped = caffe_pb2.NetParameter()
        shaped.CopyFrom(net)
        images = self._images(net, named_in)
        for layer in shaped.layer:
            if layer.type == "Input":
                layer.input_param.shape.add(dim=[images, *packed.outputs[layer.name]])
        #: The net of data layers, outputs and measures.
        self.net = _net(shaped, named_in)
        self._outputs = [layer.name for layer in inputs]
        # Whatever the engine adds to hand a blob to several readers comes after the layer that made it.
        self._from_outputs = list(self.net._layer_names).index(self._outputs[0])

    def _images(self, net: caffe_pb2.NetParameter, named_in: str | os.PathLike) -> int:
        """Images in a batch of the data layers."""
        data = caffe_pb2.NetParameter()
        data.layer.extend(layer for layer in net.layer if layer.type in DATA_TYPES)
        blobs = _net(data, named_in).blobs
        for name, dimensions in self._packed.inputs.items():
            if name not in blobs or tuple(blobs[name].shape)[1:] != dimensions:
                found = tuple(blobs[name].shape)[1:] if name in blobs else "nothing"
                raise ValueError(
                    f"{os.fspath(named_in)}: the packed model takes {name} of {dimensions}, and the data "
                    f"layers give {found}"
                )
        return int(blobs[next(iter(self._packed.inputs))].shape[0])

    def forward(self) -> float:
        """Scores the next batch; returns the loss. The measures are blobs of ``net``."""
        blobs = self.net.blobs
        self.net._forward(0, self._from_outputs - 1)
        scores = self._packed.forward({name: blobs[name].data for name in self._packed.inputs})
        named = scores if isinstance(scores, dict) else dict.fromkeys(self._packed.outputs, scores)
        for name in self._outputs:
            blobs[name].data[...] = named[name]
        return self.net._forward(self._from_outputs, len(self.net.layers) - 1)


def evaluation_of(
    packed: str | os.PathLike, model: str | os.PathLike | None = None, device: str = "cpu", threads: int = 0
) -> Evaluation:
    """A packed model with the data layers and measures of a net for training, or, by default, its own.

    The packed model computes on `device` and with `threads`, see :class:`caffe.hwgq.PackedNet`.

    Raises:
        caffe.Error, ValueError: a file cannot be read, or they do not fit together.
    """
    if model is None:
        text = packed_file.read(packed).test
        if not text:
            raise ValueError(
                f"{os.fspath(packed)} was packed from a net without data layers: give the net for training "
                "as -model and the packed model as -weights"
            )
        return Evaluation(
            PackedNet(packed, threads, device), text_format.Parse(text, caffe_pb2.NetParameter()), packed
        )
    net = evaluation_net(caffe_pb2.NetParameter.FromString(_caffe.read_net_text(os.fspath(model))))
    if net is None:
        raise ValueError(f"{os.fspath(model)}: has no data layers and measures to test with")
    return Evaluation(PackedNet(packed, threads, device), net, model)


def _net(definition: caffe_pb2.NetParameter, named_in: str | os.PathLike) -> Net:
    return _caffe.net_from_bytes(definition.SerializeToString(), caffe_pb2.TEST, named_in=os.fspath(named_in))
