"""Recurrent layers against their recurrences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_layer import SEEDS, OneLayer, check, close, normal, shapes
from reference import recurrent

STATES = {"LSTM": 2, "RNN": 1}


class Recurrence:
    """Random inputs and parameters of a layer, and what it makes of them."""

    def __init__(self, kind, steps, items, inside, hidden, static, exposed, seed):
        rng = np.random.default_rng(seed)
        self.kind, self.static, self.exposed = kind, static, exposed
        self.state = [normal(rng, (1, items, hidden)) for _ in range(STATES[kind])]
        x = normal(rng, (steps, items, *inside))
        cont = rng.integers(0, 2, (steps, items)).astype(np.float32)
        self.bottoms = [x, cont]
        gates = 4 * hidden if kind == "LSTM" else hidden
        self.params = [normal(rng, (gates, int(np.prod(inside))), 0.5), normal(rng, (gates,), 0.5)]
        if static is not None:
            self.bottoms.append(normal(rng, (items, *static)))
            self.params.append(normal(rng, (gates, int(np.prod(static))), 0.5))
        self.params.append(normal(rng, (gates, hidden), 0.5))
        if kind == "RNN":
            self.params += [normal(rng, (hidden, hidden), 0.5), normal(rng, (hidden,), 0.5)]
        if exposed:
            self.bottoms += self.state
        self.body = (
            f'type: "{kind}" recurrent_param {{ num_output: {hidden} '
            f"{'expose_hidden: true' if exposed else ''} }}"
        )

    def run(self, *values, state=None):
        """Outputs and the last state; it begins with zeros where neither bottoms nor `state` hold it."""
        given = list(values)
        x, cont = given.pop(0), given.pop(0)
        static = given.pop(0) if self.static is not None else None
        if self.exposed:
            state = [given.pop(0)[0] for _ in self.state]
        elif state is None:
            state = [np.zeros(values.shape[1:]) for values in self.state]
        w_x, bias = given.pop(0), given.pop(0)
        w_static = given.pop(0) if self.static is not None else None
        layer = recurrent.lstm if self.kind == "LSTM" else recurrent.rnn
        return layer(x, cont, static, *state, w_x, bias, w_static, *given)

    def tops(self, *values):
        outputs, *state = self.run(*values)
        return [outputs, *[part[None] for part in state]] if self.exposed else outputs


@pytest.mark.parametrize("kind", list(STATES))
@given(
    steps=st.integers(1, 4),
    items=st.integers(1, 3),
    inside=shapes(max_axes=3, max_side=3),
    hidden=st.integers(1, 3),
    static=st.one_of(st.none(), shapes(max_axes=2, max_side=3)),
    exposed=st.booleans(),
    seed=SEEDS,
)
def test_recurrence(kind, steps, items, inside, hidden, static, exposed, seed):
    it = Recurrence(kind, steps, items, inside, hidden, static, exposed, seed)
    check(
        it.body,
        it.bottoms,
        it.tops,
        params=it.params,
        tops=1 + (STATES[kind] if exposed else 0),
        constant=[1],
        seed=seed,
    )


@pytest.mark.parametrize("kind", list(STATES))
@given(steps=st.integers(1, 3), items=st.integers(1, 3), hidden=st.integers(1, 3), seed=SEEDS)
def test_sequences_go_on_in_the_next_run(kind, steps, items, hidden, seed):
    it = Recurrence(kind, steps, items, (2,), hidden, None, False, seed)
    layer = OneLayer(it.body, it.bottoms)
    for blob, values in zip(layer.params, it.params, strict=True):
        blob.data[...] = values
    rng = np.random.default_rng(seed)
    state = None
    for run in range(3):
        layer.values = [normal(rng, it.bottoms[0].shape), np.float32(rng.random((steps, items)) < 0.8)]
        outputs, *state = it.run(*layer.values, *it.params, state=state)
        close(layer.forward()[0], outputs, f"run {run}")
