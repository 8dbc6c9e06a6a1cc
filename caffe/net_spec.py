"""Nets written in Python: layers as function calls, nets as attributes of a NetSpec.

>>> from caffe import NetSpec, layers as L, params as P
>>> n = NetSpec()
>>> n.data = L.Input(shape=dict(dim=[1, 3, 8, 8]))
>>> n.conv1 = L.Convolution(n.data, num_output=4, kernel_size=3)
>>> n.pool1 = L.Pooling(n.conv1, pool=P.Pooling.MAX, kernel_size=2)
>>> [layer.name for layer in n.to_proto().layer]
['data', 'conv1', 'pool1']
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any

from .proto import caffe_pb2


def param_name_dict() -> dict[str, str]:
    """The field of LayerParameter for each type of layer: {"Convolution": "convolution", ...}."""
    layer = caffe_pb2.LayerParameter()
    fields = [
        field for field in layer.DESCRIPTOR.fields if field.message_type and field.name.endswith("_param")
    ]
    names = {}
    for field in fields:
        type_name = field.message_type.name
        if type_name.endswith("Parameter") and not _is_repeated(field):
            names[type_name[: -len("Parameter")]] = field.name[: -len("_param")]
    return names


def to_proto(*tops: Top) -> caffe_pb2.NetParameter:
    """The net that computes these tops, with names made up for its blobs."""
    layers: OrderedDict[Function, caffe_pb2.LayerParameter] = OrderedDict()
    autonames: Counter[str] = Counter()
    for top in tops:
        top.fn._to_proto(layers, {}, autonames)
    net = caffe_pb2.NetParameter()
    net.layer.extend(layers.values())
    return net


def assign_proto(proto: Any, name: str, val: Any) -> None:
    """Sets a field of a message from a Python value: lists for repeated fields, dicts for messages."""
    descriptor = proto.DESCRIPTOR.fields_by_name.get(name)
    if descriptor is None:
        raise ValueError(f"{proto.DESCRIPTOR.name} has no field {name!r}")
    repeated = _is_repeated(descriptor)
    if repeated and not isinstance(val, list | tuple):
        val = [val]
    if not repeated:
        if isinstance(val, dict):
            for key, item in val.items():
                assign_proto(getattr(proto, name), key, item)
        else:
            setattr(proto, name, val)
    elif val and isinstance(val[0], dict):
        for item in val:
            message = getattr(proto, name).add()
            for key, value in item.items():
                assign_proto(message, key, value)
    else:
        getattr(proto, name).extend(val)


def _is_repeated(field: Any) -> bool:
    # Protobuf 6 and later say it by is_repeated, which older ones lack.
    repeated = getattr(field, "is_repeated", None)
    return field.label == field.LABEL_REPEATED if repeated is None else repeated


class Top:
    """A blob: output ``n`` of the layer ``fn``."""

    def __init__(self, fn: Function, n: int):
        self.fn = fn
        self.n = n

    def to_proto(self) -> caffe_pb2.NetParameter:
        """The net that computes this blob."""
        return to_proto(self)

    def _to_proto(self, layers: dict, names: dict, autonames: Counter) -> Any:
        return self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer: its type, its bottoms and its parameters."""

    def __init__(self, type_name: str, inputs: tuple[Top, ...], params: dict[str, Any]):
        self.type_name = type_name
        for position, bottom in enumerate(inputs):
            if not isinstance(bottom, Top):
                # In the words of pycaffe, which tests of programs look for.
                raise TypeError(f"{type_name} input {position} is not a Top (type is {type(bottom)})")
        self.inputs = inputs
        self.params = dict(params)
        self.ntop = self.params.pop("ntop", 1)
        self.in_place = self.params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _get_name(self, names: dict[Top, str], autonames: Counter) -> str:
        if self not in names and self.ntop > 0:
            names[self] = self._get_top_name(self.tops[0], names, autonames)
        elif self not in names:
            autonames[self.type_name] += 1
            names[self] = self.type_name + str(autonames[self.type_name])
        return names[self]

    def _get_top_name(self, top: Top, names: dict, autonames: Counter) -> str:
        if top not in names:
            autonames[top.fn.type_name] += 1
            names[top] = top.fn.type_name + str(autonames[top.fn.type_name])
        return names[top]

    def _to_proto(self, layers: dict, names: dict, autonames: Counter) -> None:
        if self in layers:
            return
        for bottom in self.inputs:
            bottom._to_proto(layers, names, autonames)
        layer = caffe_pb2.LayerParameter()
        layer.type = self.type_name
        # By the names that the layers really gave them: an in-place layer's top is its bottom.
        layer.bottom.extend(layers[bottom.fn].top[bottom.n] for bottom in self.inputs)
        if self.in_place:
            layer.top.extend(layer.bottom)
        else:
            layer.top.extend(self._get_top_name(top, names, autonames) for top in self.tops)
        layer.name = self._get_name(names, autonames)
        self._assign_params(layer)
        layers[self] = layer

    def _assign_params(self, layer: Any) -> None:
        own_field = _param_names.get(self.type_name)
        own = getattr(layer, own_field + "_param") if own_field else None
        for name, value in self.params.items():
            # A field of the type's own message comes before one of the layer.
            if own is not None and not name.endswith("param") and name in own.DESCRIPTOR.fields_by_name:
                assign_proto(own, name, value)
            elif name in layer.DESCRIPTOR.fields_by_name:
                assign_proto(layer, name, value)
            else:
                place = f"{own.DESCRIPTOR.name} or " if own is not None else ""
                raise ValueError(
                    f"{self.type_name} has no parameter {name!r}: it is no field of {place}LayerParameter"
                )


class NetSpec:
    """A net under construction: each attribute is a blob, named as the attribute."""

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Top) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Top:
        try:
            return self.__dict__["tops"][name]
        except KeyError:
            raise AttributeError(f"the net has no blob {name!r}") from None

    def __setitem__(self, key: str, value: Top) -> None:
        self.__setattr__(key, value)

    def __getitem__(self, item: str) -> Top:
        return self.__getattr__(item)

    def __delitem__(self, name: str) -> None:
        del self.tops[name]

    def keys(self) -> list[str]:
        """The names of the tops."""
        return list(self.tops)

    def vals(self) -> list[Top]:
        """The tops."""
        return list(self.tops.values())

    def update(self, other: NetSpec) -> None:
        """Takes over the tops of another net."""
        self.tops.update(other.tops)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tops)

    def to_proto(self) -> caffe_pb2.NetParameter:
        """The net's definition."""
        names: dict[Any, str] = {top: name for name, top in self.tops.items()}
        layers: OrderedDict[Function, caffe_pb2.LayerParameter] = OrderedDict()
        autonames: Counter[str] = Counter()
        for top in self.tops.values():
            top._to_proto(layers, names, autonames)
        net = caffe_pb2.NetParameter()
        net.layer.extend(layers.values())
        return net


class Layers:
    """Types of layers as functions: ``layers.Convolution(bottom, num_output=8, kernel_size=3)``.

    ``ntop`` says how many blobs the function returns (a tuple unless 1), ``in_place`` that the layer
    overwrites its bottom; other arguments are fields of the layer's own message or of LayerParameter.
    """

    def __getattr__(self, name: str) -> Any:
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise AttributeError(name)

        def layer_fn(*args: Top, **kwargs: Any) -> Any:
            fn = Function(name, args, kwargs)
            if fn.ntop == 0:
                return fn
            return fn.tops[0] if fn.ntop == 1 else fn.tops

        return layer_fn


class Parameters:
    """Enumerations by the type of layer: ``params.Pooling.MAX``."""

    def __getattr__(self, name: str) -> Any:
        class Param:
            def __getattr__(self, value: str) -> int:
                return getattr(getattr(caffe_pb2, name + "Parameter"), value)

        return Param()


_param_names = param_name_dict()

layers = Layers()
params = Parameters()
