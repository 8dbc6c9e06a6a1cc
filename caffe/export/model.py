"""From a net to an ONNX model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

from .. import _caffe
from ..pycaffe import Net

# Each of these registers what writes its layers.
from . import (  # noqa: F401
    DEFAULT_OPSET,
    FORMS,
    OLDEST_OPSET,
    arrangement,
    elementwise,
    lowbit,
    normalization,
    products,
    recurrent,
    windows,
)
from .graph import QONNX_DOMAIN, GraphBuilder
from .preprocessing import Preprocessing
from .source import Source, open_net
from .translation import Progress, Translation

_PRODUCER = "hwgq-caffe"


def to_onnx(
    model: Net | str | os.PathLike,
    weights: str | os.PathLike | None = None,
    *,
    hwgq: str = "float",
    batch: int | None = None,
    opset: int = DEFAULT_OPSET,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    preprocessing: Preprocessing | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> onnx.ModelProto:
    """A net in its test phase as an ONNX model with the same inputs and outputs.

    Data layers become inputs. Losses, accuracies and what is computed of labels only go; SoftmaxWithLoss and
    InfogainLoss leave a softmax, SigmoidCrossEntropyLoss leaves a sigmoid, with the output ``prob``.

    Args:
        model: a net in its test phase, or its prototxt, for training or for deployment, in any format Caffe
            ever had. A net's inputs lose their values.
        weights: the parameters of a prototxt, .caffemodel or .caffemodel.h5, all of which it must hold.
            Without them the parameters are what the net's fillers make.
        hwgq: how layers of low precision are written, one of :data:`FORMS`.
        batch: size of the batch. None leaves it open where the net admits that; in the QONNX forms, whose
            tools need one, it is 1 then.
        opset: version of ONNX's operators.
        input_shapes: shapes of inputs by name, where data would tell them.
        preprocessing: what the model does with an image first.
        name: of the graph; by default the prototxt's, if it has one.
        progress: called after each layer.

    Raises:
        caffe.Error: a file cannot be read, no net can be made of it, or the weights do not fit.
        ValueError: a layer cannot be expressed (the error names it and says why), or an argument is wrong.
    """
    if hwgq not in FORMS:
        raise ValueError(f"hwgq is one of {', '.join(FORMS)}, not {hwgq!r}")
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ValueError(
            f"opset is {OLDEST_OPSET} to {newest} (of the package onnx that is here), not {opset}"
        )
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    if isinstance(model, Net):
        if weights is not None or input_shapes is not None:
            raise ValueError("weights and input_shapes go with a prototxt, not with a net")
        net, own_name = model, ""
    else:
        net, own_name = open_net(model, weights, input_shapes)
    # ONNX wants one.
    name = name or own_name or "net"
    is_qonnx = hwgq in ("qonnx", "finn")
    if batch is None and is_qonnx:
        batch = 1
    source = Source(net, batch)
    if not source.layers:
        raise ValueError("the net has no layers to export")
    graph = GraphBuilder(opset)
    translation = Translation(source, graph, hwgq)
    inputs = _inputs(source, translation, preprocessing)
    translation.run(progress)
    outputs = _outputs(source, translation)
    result = helper.make_model(
        graph.finished(name, inputs, outputs),
        producer_name=_PRODUCER,
        producer_version=_caffe.__version__,
        opset_imports=_opsets(opset, is_qonnx),
        doc_string=f"{name}, exported from Caffe; layers of low precision: {FORMS[hwgq]}",
    )
    result.ir_version = helper.find_min_ir_version_for(_opsets(opset, False))
    helper.set_model_props(result, _properties(source, hwgq))
    return result


def _opsets(opset: int, is_qonnx: bool) -> list[onnx.OperatorSetIdProto]:
    opsets = [helper.make_opsetid("", opset)]
    return opsets + [helper.make_opsetid(QONNX_DOMAIN, 1)] if is_qonnx else opsets


def _properties(source: Source, form: str) -> dict[str, str]:
    properties = {"framework": "Caffe", "hwgq": form}
    if source.fixed_because:
        properties["batch_fixed_because"] = source.fixed_because
    return properties


def _inputs(
    source: Source, translation: Translation, preprocessing: Preprocessing | None
) -> list[onnx.ValueInfoProto]:
    images = [blob for blob in source.inputs if len(source.shapes[blob]) == 4]
    if preprocessing is not None and len(images) != 1:
        raise ValueError(
            f"preprocessing needs a net with one input of images; this one has {len(images) or 'none'}"
        )
    inputs = []
    for blob in source.inputs:
        name, shape = translation.graph.unique(source.blob_names[blob]), source.dimensions(blob)
        translation.tensors[blob] = name
        if preprocessing is not None and blob == images[0]:
            value, translation.tensors[blob] = preprocessing.add(translation.graph, name, shape)
        else:
            value = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        inputs.append(value)
    return inputs


def _outputs(source: Source, translation: Translation) -> list[onnx.ValueInfoProto]:
    graph = translation.graph
    outputs = []
    for blob in source.outputs:
        tensor = translation.tensors[blob]
        name = graph.final(tensor)
        blob_name = source.blob_names[blob]
        if graph.producer(tensor) is None or name != blob_name and not graph.is_taken(blob_name):
            tensor = graph("Identity", tensor)
            name = graph.rename(tensor, blob_name)
        outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, source.dimensions(blob)))
    return outputs
