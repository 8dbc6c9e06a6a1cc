"""Layers that carry a state from step to step: the Scan that ``caffe export`` writes, and ONNX's operators.

The state of Caffe's layers outlives a run, unless it is a bottom (``expose_hidden``); ONNX's begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrangement import reshaped
from .graph import Node, Refused
from .joining import Recurrence
from .products import weights_of
from .translation import Translation, reads
from .values import Blob, Constant, Flattened, Reshaped, Value

_Inputs = list[Value | None]

#: Where ONNX's LSTM has the gates that Caffe's has one after the other: input, forget, output, new.
_GATES = [0, 2, 1, 3]

_STATES = {"LSTM": 2, "RNN": 1}


@reads("Scan")
def _scan(t: Translation, node: Node, inputs: _Inputs) -> Sequence[Value | None]:
    """The layer that was exported: its outputs are the last states, and what each step gives out."""
    if not isinstance(node, Recurrence):
        raise Refused(
            "Caffe's layers of steps are LSTM and RNN, and it is not what these are exported as: "
            "their steps, of a product with constant weights and a constant bias"
        )
    count = _STATES[node.layer_type]
    first, (x, cont, *static) = inputs[:count], inputs[count:]
    steps, items = cont.shape if len(cont.shape) == 2 else (0, 0)
    outputs = node.parameters[-1].shape[-1]
    widths = [weights.shape[1] for weights in node.parameters[: 3 if static else 1 : 2]]
    wanted = [
        *[(items, outputs)] * count,
        (steps, items, widths[0]),
        *((items, width) for width in widths[1:]),
    ]
    for value, shape in zip([*first, x, *static], wanted, strict=True):
        if value.shape != shape or not steps:
            raise Refused(f"it goes through {list(value.shape)}, and {list(shape)} would be for its weights")
    carried = all(isinstance(state, Constant) and not state.array.any() for state in first)
    # A layer without them as bottoms begins with zeros, too, and keeps its last ones to itself.
    if carried and not any(t.is_read(name) for name in node.outputs[:count]):
        first = []
    bottoms = [_sequence(t, x), t.blob(cont)]
    if static:
        bottoms.append(_static(t, static[0]))
    *states, output = _layer(t, node, node.layer_type, bottoms, first, (steps, items), node.parameters)
    if not first:
        return [*[None] * count, output]
    return [*(reshaped(t, state, state.shape[1:]) for state in states), output]


def _sequence(t: Translation, x: Value | None) -> Blob:
    """Steps x items x ...: the layer itself joins the axes behind."""
    if isinstance(x, Reshaped) and len(x.base.shape) > 2 and x.base.shape[:2] == x.shape[:2]:
        return x.base
    return t.blob(x)


def _static(t: Translation, x: Value | None) -> Blob:
    """Items x ...: likewise."""
    if isinstance(x, Flattened) and isinstance(x.base, Blob):
        return x.base
    return t.blob(x)


def _layer(
    t: Translation,
    node: Node,
    layer_type: str,
    bottoms: Sequence[Blob],
    first: Sequence[Value],
    sizes: tuple[int, int],
    parameters: Sequence[np.ndarray],
) -> list[Value]:
    """Adds a layer.

    Args:
        bottoms: what it reads at each step, whether sequences go on, and what it reads at all steps.
        first: the states with which it begins; it carries them from run to run itself where there are none.
        sizes: steps and items.
        parameters: its own.

    Returns:
        The last states, 1 x items x outputs, where it was given the first ones; and the outputs.
    """
    outputs = parameters[-1].shape[-1]
    state_shape, shape = (1, sizes[1], outputs), (*sizes, outputs)
    param: dict[str, Any] = {"num_output": outputs}
    if not first:
        top = t.add(layer_type, node, bottoms, shape, parameters=parameters, recurrent_param=param)
        return [top]
    param["expose_hidden"] = True
    states = [t.blob(reshaped(t, state, state_shape)) for state in first]
    tops = t.add(
        layer_type,
        node,
        [*bottoms, *states],
        shape,
        *[state_shape] * len(states),
        parameters=parameters,
        recurrent_param=param,
    )
    return [*tops[1:], tops[0]]


# ---------------------------------------------------------------------- ONNX's operators


@reads("LSTM")
def _lstm(t: Translation, node: Node, inputs: _Inputs) -> Sequence[Value | None]:
    x, weights, recurrent, bias, first = _parts(t, node, inputs, ["Sigmoid", "Tanh", "Tanh"], 4)
    if node.get("input_forget", 0):
        raise Refused("its input gate is coupled to its forget gate")
    if len(inputs) > 7 and inputs[7] is not None:
        raise Refused("it has peepholes, which Caffe's LSTM has not")

    def arranged(values: np.ndarray) -> np.ndarray:
        return values.reshape(4, -1, *values.shape[1:])[_GATES].reshape(values.shape)

    parameters = [arranged(values) for values in (weights, bias, recurrent)]
    return _own(t, node, "LSTM", x, first, parameters)


@reads("RNN")
def _rnn(t: Translation, node: Node, inputs: _Inputs) -> Sequence[Value | None]:
    x, weights, recurrent, bias, first = _parts(t, node, inputs, ["Tanh"], 1)
    if t.is_read(node.outputs[0]):
        raise Refused(
            "it gives out its states at all steps; Caffe's RNN gives out a function of them, and the last one"
        )
    outputs = len(recurrent)
    to_output = [np.zeros((outputs, outputs), np.float32), np.zeros(outputs, np.float32)]
    return _own(t, node, "RNN", x, first, [weights, bias, recurrent, *to_output])


def _parts(
    t: Translation, node: Node, inputs: _Inputs, functions: Sequence[str], gates: int
) -> tuple[Blob, np.ndarray, np.ndarray, np.ndarray, list[Value | None]]:
    """The sequence; weights of it and of the state; their bias; and the first states, None for zeros.

    Raises:
        Refused: Caffe's layers go through sequences in another way, or a part is not for the others.
    """
    direction = node.get("direction", "forward")
    if direction != "forward":
        raise Refused(f"its direction is {direction!r}; Caffe's goes forward")
    if list(node.get("activations") or functions) != functions:
        raise Refused(f"its functions are {node.get('activations')}; Caffe's are {functions}")
    if node.get("clip") is not None:
        raise Refused("it clips, which Caffe's does not")
    if node.get("layout", 0):
        raise Refused("its items come before its steps (layout 1); Caffe's steps come first")
    x = t.blob(inputs[0])
    weights, recurrent = weights_of(inputs, 1, "weights"), weights_of(inputs, 2, "recurrent weights")
    if len(x.shape) != 3 or weights is None or recurrent is None:
        raise Refused(f"its input is of shape {list(x.shape)}, or it lacks weights")
    steps, items, width = x.shape
    outputs = recurrent.shape[-1]
    bias = weights_of(inputs, 3, "biases")
    bias = np.zeros((1, 2 * gates * outputs), np.float32) if bias is None else bias
    shapes = [(1, gates * outputs, width), (1, gates * outputs, outputs), (1, 2 * gates * outputs)]
    for values, shape, what in zip(
        (weights, recurrent, bias), shapes, ("weights", "recurrent weights", "biases"), strict=True
    ):
        if values.shape != shape or not values.size:
            raise Refused(f"its {what} are of shape {list(values.shape)}, not {list(shape)}")
    lengths = inputs[4] if len(inputs) > 4 else None
    if lengths is not None and not (isinstance(lengths, Constant) and (lengths.array == steps).all()):
        raise Refused("its sequences are not all known to have as many steps as its input")
    first = [inputs[5 + i] if len(inputs) > 5 + i else None for i in range(_STATES[node.op])]
    for state in first:
        if state is not None and state.shape != (1, items, outputs):
            raise Refused(f"its first state is of shape {list(state.shape)}, not {[1, items, outputs]}")
    return x, weights[0], recurrent[0], bias.reshape(2, -1).sum(0), first


def _own(
    t: Translation,
    node: Node,
    layer_type: str,
    x: Blob,
    first: Sequence[Value | None],
    parameters: Sequence[np.ndarray],
) -> list[Value | None]:
    """The outputs of one of ONNX's operators: those of all steps, and the last states."""
    steps, items, outputs = *x.shape[:2], parameters[-1].shape[-1]
    begins = all(
        state is None or isinstance(state, Constant) and not state.array.any() for state in first
    ) and not any(t.is_read(name) for name in node.outputs[1:])
    name = t.layer_name(node)

    def constant(values: np.ndarray, what: str) -> Constant:
        return Constant(shape=values.shape, array=values, name=f"{name}_{what}")

    going_on = np.ones((steps, items), np.float32)
    if begins:
        # Nothing goes on from the run before.
        going_on[0] = 0
        states = []
    else:
        zeros = np.zeros((1, items, outputs), np.float32)
        states = [
            constant(zeros, f"state_{i + 1}") if state is None else state for i, state in enumerate(first)
        ]
    bottoms = [x, t.blob(constant(going_on, "cont"))]
    *last, output = _layer(t, node, layer_type, bottoms, states, (steps, items), parameters)
    every = Reshaped(shape=(steps, 1, items, outputs), base=output)
    return [every, *(last or [None] * len(first))]
