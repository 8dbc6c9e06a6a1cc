"""Normalization, and softmax."""

from __future__ import annotations

import math

import numpy as np

from .graph import Node, Refused
from .products import weights_of
from .translation import Translation, owner_of, reads
from .values import Blob, Constant, Value


@reads("BatchNormalization")
def _batch_norm(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    if node.get("training_mode", 0) or any(node.outputs[1:]):
        raise Refused("it is in training; export the model in evaluation")
    if not node.get("spatial", 1):
        raise Refused("it normalizes each place by itself (spatial = 0)")
    x = t.blob(inputs[0])
    factor, bias, mean, variance = (weights_of(inputs, i, "parameters") for i in (1, 2, 3, 4))
    if len(x.shape) < 2 or any(
        values is None or values.shape != (x.shape[1],) for values in (factor, bias, mean, variance)
    ):
        raise Refused(f"its parameters are not one for each channel of {list(x.shape)}")
    names = [t.layer_name(node)] * 2
    owners = [owner_of(value.name) if isinstance(value := inputs[i], Constant) else "" for i in (3, 1)]
    names = [owners[0] or names[0], owners[1] or names[1]]
    if names[1] == names[0]:
        names[1] = f"{names[0]}_scale"
    statistics = [mean, variance, np.ones(1)]
    # Caffe's batch normalization learns nothing; its net has a Scale behind it where something is learned.
    plain = (factor == 1).all() and (bias == 0).all()
    eps = node.get("epsilon", 1e-5)
    param = {} if math.isclose(eps, 1e-5, rel_tol=1e-6) else {"eps": eps}
    blob = t.add(
        "BatchNorm", node, [x], x.shape, parameters=statistics, name=names[0], batch_norm_param=param
    )
    if plain:
        return blob
    parameters = [factor, bias] if bias.any() else [factor]
    param = {"bias_term": True} if bias.any() else {}
    return t.add("Scale", node, [blob], x.shape, parameters=parameters, name=names[1], scale_param=param)


@reads("LRN")
def _lrn(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    x = t.blob(inputs[0])
    size = node.get("size")
    if len(x.shape) != 4 or not size or size % 2 == 0:
        raise Refused(f"Caffe's LRN takes N x C x H x W and an odd size, not {list(x.shape)} and {size}")
    return t.add(
        "LRN",
        node,
        [x],
        x.shape,
        lrn_param={
            "local_size": size,
            "alpha": node.get("alpha", 1e-4),
            "beta": node.get("beta", 0.75),
            "k": node.get("bias", 1.0),
        },
    )


@reads("Softmax", "LogSoftmax")
def _softmax(t: Translation, node: Node, inputs: list[Value | None]) -> Blob:
    x = t.blob(inputs[0])
    axes = len(x.shape)
    axis = node.get("axis", 1 if node.opset < 13 else -1)
    if not -axes <= axis < axes:
        raise Refused(f"there is no axis {axis} of {axes}")
    axis %= axes
    if node.opset < 13 and any(size != 1 for size in x.shape[axis + 1 :]):
        raise Refused(f"it is over axis {axis} and all behind it; Caffe's is over one axis")
    param = {} if axis == 1 else {"axis": axis}
    blob = t.add("Softmax", node, [x], x.shape, softmax_param=param)
    if node.op == "LogSoftmax":
        return t.add("Log", node, [blob], x.shape)
    blob.positive = True
    return blob
