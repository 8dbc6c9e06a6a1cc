"""From a net in its test phase to a graph of operations, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import _caffe
from ..io import array_to_blobproto
from ..proto import caffe_pb2
from ..pycaffe import Net
from . import graph as g
from .binarize import BINARY_TYPES

#: Layers whose result for an image depends on the others of a batch, whatever their parameters.
_MIXING_TYPES = {"Accuracy", "BatchReindex", "Filter", "LSTM", "Parameter", "RNN"}

_FACTORS = {"Bias", "Scale"}

# Sign is +1 at 0, too: the largest float below 0.
_BELOW_ZERO = float(np.nextafter(np.float32(0), np.float32(-1)))


def graph_of(definition: caffe_pb2.NetParameter, net: Net) -> g.Graph:
    """The graph of a deploy net.

    Args:
        definition: as :func:`caffe.hwgq.deploy_net` makes it.
        net: the same net, made of the definition, with its parameters.

    Raises:
        ValueError: a layer has no place in one: it has blobs of more than 4 axes, mixes the images of a
            batch, or has parameters that are not finite. The error names it.
    """
    return _Translation(definition, net).graph()


def _error(layer: caffe_pb2.LayerParameter, what: str) -> ValueError:
    return ValueError(f"layer {layer.name!r} ({layer.type}) {what}")


class _Translation:
    """Goes through the layers. A layer's method returns its tops, or None where it is left as it is."""

    def __init__(self, definition: caffe_pb2.NetParameter, net: Net) -> None:
        self._definition = definition
        self._net = net
        self._views: dict[str, g.View] = {}
        self._inputs: dict[str, g.View] = {}
        self._order = 0
        self._names: set[str] = set()
        self._batch = net.blobs[net.inputs[0]].shape[0] if net.inputs else 0

    def graph(self) -> g.Graph:
        """The graph of all layers."""
        for layer in self._definition.layer:
            self._order += 1
            self._check(layer)
            if layer.type == "Input":
                for top in layer.top:
                    self._add_input(layer, top)
                continue
            make: Callable | None = getattr(self, f"_layer_{layer.type}", None)
            bottoms = [self._views[bottom] for bottom in layer.bottom]
            tops = (make and make(layer, *bottoms)) or self._caffe_layer(layer, bottoms)
            for name, view in zip(layer.top, tops, strict=True):
                self._set(name, view)
        outputs = {name: self._views[name] for name in self._net.outputs if name not in self._inputs}
        return g.Graph(self._definition.name, self._inputs, outputs)

    # ------------------------------------------------------------------ blobs

    def _set(self, name: str, view: g.View) -> None:
        before = self._views.get(name)
        if before is not None and before.node.name == name and before.node is not view.node:
            before.node.name = f"{name} of {before.node.layers[-1] if before.node.layers else 'the input'}"
        self._views[name] = view

    def _add_input(self, layer: caffe_pb2.LayerParameter, top: str) -> None:
        dimensions = self._dimensions(top)
        shape = g.natural_shape(dimensions)
        readers = [reader for reader in self._definition.layer if top in reader.bottom]
        if len(readers) == 1 and readers[0].type in ("Flatten", "Reshape"):
            # Nothing has to be moved where an input is read in another shape only.
            read = self._net.blobs[readers[0].top[0]].shape[1:]
            shape = g.natural_shape(read) if len(read) <= 3 else shape
        node = g.Input(shape=shape, name=top, order=self._order)
        self._views[top] = self._inputs[top] = g.View(node, dimensions)

    def _dimensions(self, blob: str) -> tuple[int, ...]:
        return tuple(self._net.blobs[blob].shape[1:])

    def _natural(self, view: g.View) -> g.Node:
        """The result with the blob's dimensions as channels, height and width; moved if it has others."""
        if view.is_natural:
            return view.node
        reshape = caffe_pb2.LayerParameter(
            name=f"{view.node.name} in another shape",
            type="Reshape",
            bottom=["bottom"],
            top=["top"],
            phase=caffe_pb2.TEST,
            reshape_param={"axis": 1, "shape": {"dim": view.dimensions}},
        )
        shape = view.node.shape
        moved = g.CaffeLayer(
            inputs=[view.node],
            shape=shape,
            name=reshape.name,
            order=self._order,
            parameter=reshape,
            dimensions=[shape],
            shapes=[g.natural_shape(view.dimensions)],
        )
        return g.Part(
            inputs=[moved],
            shape=g.natural_shape(view.dimensions),
            name=reshape.name,
            order=self._order,
            index=0,
        )

    def _result(self, kind: type, layer: caffe_pb2.LayerParameter, top: int = 0, **fields) -> g.Node:
        """A node for a layer's top, of the top's shape unless ``fields`` hold one."""
        name = layer.top[top]
        return kind(
            **{
                "shape": g.natural_shape(self._dimensions(name)),
                "name": name,
                "layers": (layer.name,),
                "order": self._order,
                **fields,
            }
        )

    def _tops(self, layer: caffe_pb2.LayerParameter, nodes: list[g.Node]) -> list[g.View]:
        return [g.View(node, self._dimensions(name)) for name, node in zip(layer.top, nodes, strict=True)]

    def _elementwise(self, kind: type, layer: caffe_pb2.LayerParameter, x: g.View, **fields) -> list[g.View]:
        node = self._result(kind, layer, shape=x.node.shape, inputs=[x.node], **fields)
        return [g.View(node, x.dimensions)]

    def _parameters(self, layer: caffe_pb2.LayerParameter) -> list[np.ndarray]:
        return [blob.data for blob in self._net.params.get(layer.name, ())]

    # ------------------------------------------------------------------ what no plan can hold

    def _check(self, layer: caffe_pb2.LayerParameter) -> None:
        if layer.name in self._names and self._parameters(layer):
            raise _error(
                layer, "has the name of a layer before it, so that their parameters cannot be told apart"
            )
        self._names.add(layer.name)
        for name in (*layer.bottom, *layer.top):
            shape = self._net.blobs[name].shape
            if len(shape) > 4:
                raise _error(
                    layer,
                    f"has a blob {name!r} of {len(shape)} axes; a packed model has images, of 4 axes at most",
                )
            if not shape or shape[0] != self._batch:
                raise _error(
                    layer,
                    f"has a blob {name!r} of shape {list(shape)}; in a packed model the first axis is the "
                    f"batch everywhere, {self._batch} here",
                )
        if layer.type in _MIXING_TYPES or layer.type.endswith("Loss") or self._is_along_batch(layer):
            raise _error(
                layer,
                "mixes the images of a batch, which a packed model keeps apart; leave it out of the deploy "
                "net",
            )

    def _is_along_batch(self, layer: caffe_pb2.LayerParameter) -> bool:
        # A Scale or Bias of two bottoms has factors for each image.
        if not layer.bottom or layer.type == "Reshape" or len(layer.bottom) > 1 and layer.type in _FACTORS:
            return False
        axes = len(self._net.blobs[layer.bottom[0]].shape)
        return any(
            value.axis in (0, -axes)
            for field, value in layer.ListFields()
            if field.message_type is not None
            and hasattr(value, "DESCRIPTOR")
            and "axis" in value.DESCRIPTOR.fields_by_name
            and (value.HasField("axis") or field.name == "reduction_param")
        )

    def _caffe_layer(self, layer: caffe_pb2.LayerParameter, bottoms: list[g.View]) -> list[g.View]:
        parameter = caffe_pb2.LayerParameter()
        parameter.CopyFrom(layer)
        parameter.phase = caffe_pb2.TEST
        del parameter.blobs[:]
        parameter.blobs.extend(array_to_blobproto(values) for values in self._parameters(layer))
        inside = g.CaffeLayer(
            inputs=[view.node for view in bottoms],
            shape=(0, 0, 0),  # its parts have shapes
            name=layer.name,
            layers=(layer.name,),
            order=self._order,
            parameter=parameter,
            dimensions=[view.dimensions for view in bottoms],
            shapes=[g.natural_shape(self._dimensions(top)) for top in layer.top],
        )
        parts = [
            self._result(g.Part, layer, index, inputs=[inside], index=index)
            for index in range(len(layer.top))
        ]
        return self._tops(layer, parts)

    # ------------------------------------------------------------------ what passes its input on

    def _layer_Split(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        return [x] * len(layer.top)

    _layer_Dropout = _layer_Split

    def _layer_Flatten(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        return self._tops(layer, [x.node])

    _layer_Reshape = _layer_Flatten

    # ------------------------------------------------------------------ sums of products

    def _layer_Convolution(self, layer: caffe_pb2.LayerParameter, *xs: g.View) -> list[g.View] | None:
        param = layer.convolution_param
        if self._parameters(layer)[0].ndim != 4 or param.axis not in (1, -3):
            return None
        kernel = self._weights(layer).transpose(0, 2, 3, 1)
        return self._tops(
            layer,
            [
                self._sums(
                    layer,
                    top,
                    self._natural(x),
                    kernel,
                    stride=_pair(param.stride, param, "stride", 1),
                    padding=_pair(param.pad, param, "pad", 0),
                    dilation=_pair(param.dilation, None, "dilation", 1),
                    groups=param.group,
                )
                for top, x in enumerate(xs)
            ],
        )

    _layer_BinaryConvolution = _layer_Convolution

    def _layer_InnerProduct(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View] | None:
        param = layer.inner_product_param
        if param.axis not in (1, -len(x.dimensions)):
            return None
        weights = self._weights(layer)
        if param.transpose:
            weights = weights.T
        channels, height, width = x.node.shape
        kernel = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        return self._tops(layer, [self._sums(layer, 0, x.node, kernel)])

    _layer_BinaryInnerProduct = _layer_InnerProduct

    def _weights(self, layer: caffe_pb2.LayerParameter) -> np.ndarray:
        """The weights that the layer computes with."""
        weights = self._parameters(layer)[0]
        if layer.type in BINARY_TYPES:
            param = getattr(layer, BINARY_TYPES[layer.type][1])
            if param.use_binarization:
                weights = _caffe.binarize_weights(weights, param.use_alpha)
        self._check_finite(layer, weights)
        return weights

    def _sums(
        self, layer: caffe_pb2.LayerParameter, top: int, x: g.Node, kernel: np.ndarray, **geometry
    ) -> g.Node:
        """A convolution, and the addition of its bias."""
        kernel = np.ascontiguousarray(kernel)
        magnitudes = np.abs(kernel).reshape(len(kernel), -1)
        scales = magnitudes.max(1)
        binary = bool((magnitudes.min(1) == scales).all())
        sums = self._result(
            g.Convolution,
            layer,
            top,
            inputs=[x],
            weights=None if binary else kernel,
            signs=~np.signbit(kernel) if binary else None,
            scales=scales if binary else None,
            **geometry,
        )
        parameters = self._parameters(layer)
        if len(parameters) == 1:
            return sums
        bias = parameters[1].ravel().astype(np.float64)
        self._check_finite(layer, bias)
        result = self._result(g.Affine, layer, top, inputs=[sums], factor=np.ones(len(bias)), offset=bias)
        sums.name = f"{sums.name} without bias"
        return result

    def _check_finite(self, layer: caffe_pb2.LayerParameter, *values: np.ndarray) -> None:
        if not all(np.isfinite(array).all() for array in values):
            raise _error(layer, "has parameters that are not finite; was its training going well?")

    # ------------------------------------------------------------------ functions of channels

    def _affine(
        self, layer: caffe_pb2.LayerParameter, x: g.View, factor: np.ndarray, offset: np.ndarray
    ) -> list[g.View]:
        """One factor and offset for each channel, or one for all."""
        self._check_finite(layer, factor, offset)
        single = factor.size == 1 and offset.size == 1
        node = x.node if single else self._natural(x)
        channels = node.shape[0]
        return self._elementwise(
            g.Affine,
            layer,
            g.View(node, x.dimensions),
            factor=np.broadcast_to(factor.ravel(), channels).astype(np.float64),
            offset=np.broadcast_to(offset.ravel(), channels).astype(np.float64),
        )

    def _layer_BatchNorm(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        mean, variance, total = (values.astype(np.float64) for values in self._parameters(layer))
        weight = 1 / total[0] if total[0] else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = 1 / np.sqrt(variance * weight + layer.batch_norm_param.eps)
            return self._affine(layer, x, factor, -mean * weight * factor)

    def _layer_Scale(self, layer: caffe_pb2.LayerParameter, *xs: g.View) -> list[g.View] | None:
        parameters = [values.astype(np.float64) for values in self._parameters(layer)]
        if len(xs) > 1 or not self._is_of_channels(layer.scale_param, parameters[0], xs[0]):
            return None
        offset = parameters[1] if layer.scale_param.bias_term else np.zeros_like(parameters[0])
        return self._affine(layer, xs[0], parameters[0], offset)

    def _layer_Bias(self, layer: caffe_pb2.LayerParameter, *xs: g.View) -> list[g.View] | None:
        if len(xs) > 1:
            return None
        offset = self._parameters(layer)[0].astype(np.float64)
        if not self._is_of_channels(layer.bias_param, offset, xs[0]):
            return None
        return self._affine(layer, xs[0], np.ones_like(offset), offset)

    def _is_of_channels(
        self,
        param: caffe_pb2.ScaleParameter | caffe_pb2.BiasParameter,
        values: np.ndarray,
        x: g.View,
    ) -> bool:
        return values.ndim == 0 or (values.ndim == 1 and param.axis in (1, -len(x.dimensions)))

    def _layer_Power(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View] | None:
        param = layer.power_param
        if param.power != 1:
            return None
        return self._affine(layer, x, np.array(param.scale), np.array(param.shift))

    # ------------------------------------------------------------------ functions of elements

    def _layer_ReLU(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        return self._elementwise(g.Relu, layer, x, slope=layer.relu_param.negative_slope)

    def _layer_PReLU(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View] | None:
        slopes = self._parameters(layer)[0].ravel()
        self._check_finite(layer, slopes)
        if (slopes != slopes[0]).any():
            return None
        return self._elementwise(g.Relu, layer, x, slope=float(slopes[0]))

    def _layer_Sigmoid(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        return self._elementwise(g.Sigmoid, layer, x)

    def _layer_TanH(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        return self._elementwise(g.TanH, layer, x)

    def _layer_Clip(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        return self._elementwise(g.Clamp, layer, x, low=layer.clip_param.min, high=layer.clip_param.max)

    def _layer_Quant(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        param = layer.quant_param
        if param.forward_func == "hard_tanh":
            return self._elementwise(g.Clamp, layer, x, low=-1.0, high=1.0)
        if param.forward_func == "relu":
            return self._elementwise(g.Relu, layer, x, slope=param.negative_slope)
        if param.forward_func == "sign":
            steps = {"thresholds": (_BELOW_ZERO,), "values": (-1.0, 1.0), "closed": True}
            return self._elementwise(g.Quantizer, layer, x, **steps)
        # In single precision, as the layer has them.
        centers = np.array(param.centers, np.float32)
        thresholds = (0.0, *((centers[:-1] + centers[1:]) / np.float32(2)).tolist())
        values = (0.0 - param.negative_slope, *centers.tolist())
        return self._elementwise(g.Quantizer, layer, x, thresholds=thresholds, values=values)

    # ------------------------------------------------------------------ functions of several elements

    def _layer_Eltwise(self, layer: caffe_pb2.LayerParameter, *xs: g.View) -> list[g.View]:
        alike = all(x.node.shape == xs[0].node.shape for x in xs)
        nodes = [x.node if alike else self._natural(x) for x in xs]
        param = layer.eltwise_param
        factors = list(param.coeff) or [1.0] * len(nodes)
        result = nodes[0]
        for i in range(1, len(nodes)):
            if i > 1:
                result.name = f"{result.name} of {i}"
            result = self._result(
                g.Eltwise,
                layer,
                shape=nodes[0].shape,
                inputs=[result, nodes[i]],
                operation=param.operation,
                factors=(factors[0] if i == 1 else 1.0, factors[i]),
            )
        return [g.View(result, xs[0].dimensions)]

    def _layer_Concat(self, layer: caffe_pb2.LayerParameter, *xs: g.View) -> list[g.View] | None:
        param = layer.concat_param
        axis = param.concat_dim if param.HasField("concat_dim") else param.axis
        if axis not in (1, -len(xs[0].dimensions)):
            return None
        if len(xs) == 1:
            return list(xs)
        return self._tops(layer, [self._result(g.Concat, layer, inputs=[self._natural(x) for x in xs])])

    def _layer_Pooling(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View] | None:
        param = layer.pooling_param
        if param.pool == caffe_pb2.PoolingParameter.STOCHASTIC or len(layer.top) > 1:
            return None
        node = self._natural(x)
        if param.global_pooling:
            kernel = node.shape[1:]
        else:
            kernel = _pair(_given(param, "kernel_size"), param, "kernel", 1)
        pooled = self._result(
            g.Pooling,
            layer,
            inputs=[node],
            mean=param.pool == caffe_pb2.PoolingParameter.AVE,
            kernel=kernel,
            stride=_pair(_given(param, "stride"), param, "stride", 1),
            padding=_pair(_given(param, "pad"), param, "pad", 0),
            minimum=np.zeros(node.shape[0], bool),
        )
        # A window may begin beyond the edge, where strides are longer than windows.
        begins = [
            (count - 1) * stride - pad
            for count, stride, pad in zip(pooled.shape[1:], pooled.stride, pooled.padding, strict=True)
        ]
        if any(begin >= size for begin, size in zip(begins, node.shape[1:], strict=True)):
            return None
        return self._tops(layer, [pooled])

    def _layer_Softmax(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View] | None:
        if layer.softmax_param.axis not in (1, -len(x.dimensions)):
            return None
        return self._tops(layer, [self._result(g.Softmax, layer, inputs=[self._natural(x)])])

    def _layer_LRN(self, layer: caffe_pb2.LayerParameter, x: g.View) -> list[g.View]:
        param = layer.lrn_param
        within = param.norm_region == caffe_pb2.LRNParameter.WITHIN_CHANNEL
        normalized = self._result(
            g.Lrn,
            layer,
            inputs=[self._natural(x)],
            within=within,
            size=param.local_size,
            alpha=param.alpha,
            beta=param.beta,
            # The one within a channel adds 1, whatever the layer says.
            k=1.0 if within else param.k,
        )
        return self._tops(layer, [normalized])


def _given(param: caffe_pb2.PoolingParameter, name: str) -> list[int]:
    return [getattr(param, name)] if param.HasField(name) else []


def _pair(values, param, name: str, missing: int) -> tuple[int, int]:
    """Rows and columns of a setting that is given once, for each axis, or in its _h and _w forms."""
    if param is not None and (param.HasField(f"{name}_h") or param.HasField(f"{name}_w")):
        height, width = (
            getattr(param, f"{name}_{axis}") if param.HasField(f"{name}_{axis}") else missing for axis in "hw"
        )
        return height, width
    values = list(values) or [missing]
    return values[0], values[-1]
