"""Layers that carry a state from step to step, as a Scan over the steps.

A model is without memory: where the net's layer goes on with the state of the run before, the model begins
with zeros in each run. ``expose_hidden`` makes the state an input and an output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper

from .graph import GraphBuilder
from .products import product_with, rows_of
from .source import Layer
from .translation import Translation, writes

#: From the states and a step's inputs: the new states and the step's output.
_Step = Callable[[GraphBuilder, Sequence[str], str, str], tuple[Sequence[str], str]]


@writes("LSTM")
def _lstm(t: Translation, layer: Layer) -> list[str]:
    weights = layer.blobs[-1]

    def step(g: GraphBuilder, states: Sequence[str], x: str, going_on: str) -> tuple[Sequence[str], str]:
        h, c = states
        gates = g("Add", x, _kept_product(g, h, going_on, weights))
        h, c = _lstm_cell(g, c, gates, going_on, axis=1)
        return [h, c], h

    return _scan(t, layer, states=2, inner=weights.shape[0], step=step)


@writes("RNN")
def _rnn(t: Translation, layer: Layer) -> list[str]:
    weights, to_output, output_bias = layer.blobs[-3:]

    def step(g: GraphBuilder, states: Sequence[str], x: str, going_on: str) -> tuple[Sequence[str], str]:
        h = g("Tanh", g("Add", x, _kept_product(g, states[0], going_on, weights)))
        rows = g("MatMul", h, g.constant(to_output.T, "weights"))
        return [h], g("Tanh", g("Add", rows, g.constant(output_bias, "bias")))

    return _scan(t, layer, states=1, inner=weights.shape[0], step=step)


@writes("LSTMUnit")
def _lstm_unit(t: Translation, layer: Layer) -> list[str]:
    c, gates, cont = layer.inputs
    going_on = t.graph("Unsqueeze", cont, t.graph.integers([2]))
    h, c = _lstm_cell(t.graph, c, gates, going_on, axis=2)
    return [c, h]


def _kept_product(g: GraphBuilder, h: str, going_on: str, weights: np.ndarray) -> str:
    return g("MatMul", g("Mul", h, going_on), g.constant(weights.T, "weights"))


def _lstm_cell(g: GraphBuilder, c: str, gates: str, going_on: str, axis: int) -> tuple[str, str]:
    """Output and cell after a step. ``going_on`` is 0 where a sequence begins."""
    write, keep, show, new = g.split(gates, axis, 4)
    kept = g("Mul", g("Mul", going_on, g("Sigmoid", keep)), c)
    c = g("Add", kept, g("Mul", g("Sigmoid", write), g("Tanh", new)))
    return g("Mul", g("Sigmoid", show), g("Tanh", c)), c


def _scan(t: Translation, layer: Layer, states: int, inner: int, step: _Step) -> list[str]:
    param = layer.param.recurrent_param
    steps, items = layer.bottom_shapes[0][:2]
    first_state = len(layer.inputs) - states if param.expose_hidden else len(layer.inputs)
    w_x, bias = layer.blobs[:2]
    x = rows_of(t, layer.inputs[0], layer.bottom_shapes[0], layer.bottom_free[0], 2)
    x = product_with(t, x, w_x, bias)
    if first_state > 2:
        static = rows_of(t, layer.inputs[2], layer.bottom_shapes[2], layer.bottom_free[2], 1)
        x = t.graph("Add", x, product_with(t, static, layer.blobs[2]))
    zeros = np.zeros((items, param.num_output))
    first = [
        t.graph("Squeeze", state, t.graph.integers([0])) if param.expose_hidden else t.graph.constant(zeros)
        for state in layer.inputs[first_state:] or range(states)
    ]
    body = _body(t, layer, states, (items, inner), step)
    results = t.graph.add(
        "Scan", *first, x, layer.inputs[1], outputs=states + 1, body=body, num_scan_inputs=2
    )
    if not param.expose_hidden:
        return results[-1:]
    axis = t.graph.integers([0])
    return [results[-1], *(t.graph("Unsqueeze", state, axis) for state in results[:-1])]


def _body(
    t: Translation, layer: Layer, states: int, x_shape: tuple[int, int], step: _Step
) -> onnx.GraphProto:
    """What a step computes."""
    items, outputs = x_shape[0], layer.param.recurrent_param.num_output
    g = GraphBuilder(t.graph.opset)
    g.scope = f"{layer.name}/step"

    def value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape))

    before = [g.unique(f"{g.scope}/state_{i}") for i in range(states)]
    x, cont = g.unique(f"{g.scope}/x"), g.unique(f"{g.scope}/cont")
    going_on = g("Unsqueeze", cont, g.integers([1]))
    after, output = step(g, before, x, going_on)
    results = [g("Identity", tensor) for tensor in (*after, output)]
    state_shape = (items, outputs)
    return g.finished(
        f"{layer.name} step",
        [*(value(name, state_shape) for name in before), value(x, x_shape), value(cont, (items,))],
        [value(name, state_shape) for name in results],
    )
