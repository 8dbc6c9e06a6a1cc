"""Layers that carry a state from step to step.

x: steps x items x inputs; cont: steps x items, 0 where a sequence begins; static: items x inputs, the same at
every step. Parameters stand in the order of the layers' blobs.
"""

import numpy as np

from .elementwise import sigmoid


def inputs_of_steps(x, w_x, bias, static=None, w_static=None):
    rows = x.reshape(*x.shape[:2], -1) @ w_x.T + bias
    return rows if static is None else rows + static.reshape(len(static), -1) @ w_static.T


def lstm(x, cont, static, h, c, w_x, bias, w_static, w_h):
    """Hochreiter and Schmidhuber 1997, with forget gates and no peepholes. All outputs, the last output, the
    last cell. The four gates stand one after the other: input, forget, output, and what is written."""
    outputs = []
    for step, going_on in zip(inputs_of_steps(x, w_x, bias, static, w_static), cont[..., None], strict=True):
        gates = step + (going_on * h) @ w_h.T
        write, keep, show, new = np.split(gates, 4, -1)
        c = going_on * sigmoid(keep) * c + sigmoid(write) * np.tanh(new)
        h = sigmoid(show) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def rnn(x, cont, static, h, w_x, bias, w_static, w_h, w_o, bias_o):
    """All outputs, and the last state."""
    outputs = []
    for step, going_on in zip(inputs_of_steps(x, w_x, bias, static, w_static), cont[..., None], strict=True):
        h = np.tanh((going_on * h) @ w_h.T + step)
        outputs.append(np.tanh(h @ w_o.T + bias_o))
    return np.stack(outputs), h
