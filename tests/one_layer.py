"""Holds one layer against a plain statement of what it computes.

A net of Input layers and the layer runs forward and backward on random values. What comes out is compared
with the definition in double precision: values, shapes, and gradients. Gradients are those of the definition
itself, by central differences, unless a test states them, as where a layer's gradient is not the derivative.
"""

import os
import tempfile

import numpy as np
from hypothesis import strategies as st

import caffe

SEEDS = st.integers(0, 2**16)
MOST_DIFFERENCES = 24  # elements of each input whose gradient is compared


def text_of(value):
    """One value in the text format. Strings are taken as they are: names of enum values, or quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + fields(**value) + " }"
    return repr(value) if isinstance(value, float) else str(value)


def fields(**values):
    """Fields in the text format; a list is a repeated field, None a field that is left out."""
    parts = []
    for name, value in values.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                parts.append(f"{name}: {text_of(item)}")
    return " ".join(parts)


def shapes(min_axes=1, max_axes=5, min_side=1, max_side=7, most=300):
    """Shapes of odd and even sides, single items included, with at most so many elements."""
    sides = st.integers(min_side, max_side)
    return st.lists(sides, min_size=min_axes, max_size=max_axes).map(lambda shape: _shrunk(shape, most))


def _shrunk(shape, most):
    shape = list(shape)
    while np.prod(shape) > most:
        largest = int(np.argmax(shape))
        shape[largest] -= 1
    return tuple(shape)


def options(**choices):
    """Parameters by name, each of which may be left at its default."""
    return st.fixed_dictionaries({}, optional=choices)


def floats(low, high):
    """Numbers that float and the text format hold alike."""
    return st.integers(round(low * 64), round(high * 64)).map(lambda n: n / 64)


def normal(rng, shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def apart_from(rng, shape, *places, margin=0.02, scale=1.0):
    """Normal values, none of them near the places, where a function has a kink."""
    values = normal(rng, shape, scale)
    for place in sorted(places):
        near = np.abs(values - place) < margin
        values[near] += np.where(values[near] < place, -2, 2) * np.float32(margin)
    for place in places:
        assert (np.abs(values - place) >= margin / 2).all()
    return values


def distinct(rng, shape, spread=4.0):
    """Values of which no two are near each other."""
    count = int(np.prod(shape))
    values = (np.arange(count) - count / 2 + 0.37) * spread / max(count, 8)
    return rng.permutation(values).reshape(shape).astype(np.float32)


def prototxt(body, bottom_shapes, tops, in_place=False):
    lines = ["force_backward: true"]
    for i, shape in enumerate(bottom_shapes):
        shape = fields(shape={"dim": list(shape)})
        lines.append(f'layer {{ name: "in{i}" type: "Input" top: "in{i}" input_param {{ {shape} }} }}')
    names = [f'bottom: "in{i}"' for i in range(len(bottom_shapes))]
    names += ['top: "in0"'] if in_place else [f'top: "out{i}"' for i in range(tops)]
    lines.append(f'layer {{ name: "it" {" ".join(names)} {body} }}')
    return "\n".join(lines) + "\n"


def make(text, phase=caffe.TRAIN):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.prototxt")
        with open(path, "w") as file:
            file.write(text)
        return caffe.Net(path, phase)


class OneLayer:
    """A net of Input layers and one layer.

    Args:
        body: the layer's fields in the text format.
        bottoms: its inputs.
        tops: number of outputs.
        in_place: whether the output takes the input's place.
        first_shapes: shapes with which the net is made and run before it gets those of ``bottoms``.
    """

    def __init__(self, body, bottoms, tops=1, phase=caffe.TRAIN, in_place=False, first_shapes=None):
        built_with = first_shapes or [bottom.shape for bottom in bottoms]
        self.text = prototxt(body, built_with, tops, in_place)
        self.net = make(self.text, phase)
        self.bottoms = [self.net.blobs[f"in{i}"] for i in range(len(bottoms))]
        self.tops = self.bottoms[:1] if in_place else [self.net.blobs[f"out{i}"] for i in range(tops)]
        self.params = list(self.net.params["it"]) if "it" in self.net.params else []
        if first_shapes:
            self.net.forward()
            for blob, bottom in zip(self.bottoms, bottoms, strict=True):
                blob.reshape(*bottom.shape)
            self.net.reshape()
        self.values = bottoms

    def forward(self):
        for blob, values in zip(self.bottoms, self.values, strict=True):
            blob.data[...] = values
        self.net.forward()
        return [blob.data.copy() for blob in self.tops]

    def backward(self, top_diffs):
        """Gradients of the bottoms and of the parameters; the latter are added to what is there."""
        for blob, diff in zip(self.tops, top_diffs, strict=True):
            if diff is not None:
                blob.diff[...] = diff
        self.net.backward()
        return [blob.diff.copy() for blob in self.bottoms], [blob.diff.copy() for blob in self.params]


def close(actual, expected, what, tolerance=1e-4):
    expected = np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} is not {expected.shape}"
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(
        actual, expected, rtol=tolerance, atol=tolerance * (largest + 0.01), err_msg=what
    )


def as_list(values):
    return list(values) if isinstance(values, list | tuple) else [values]


def differences(definition, inputs, which, top_diffs, rng, step=1e-5):
    """Indices into inputs[which], and the derivatives there of the outputs' sum weighted with top_diffs."""
    inputs = [np.array(values, np.float64) for values in inputs]
    values = inputs[which].reshape(-1)
    chosen = np.arange(values.size)
    if values.size > MOST_DIFFERENCES:
        chosen = np.sort(rng.choice(values.size, MOST_DIFFERENCES, replace=False))

    def weighted():
        tops = as_list(definition(*inputs))
        return sum((top * diff).sum() for top, diff in zip(tops, top_diffs, strict=True) if diff is not None)

    slopes = []
    for i in chosen:
        middle = values[i]
        values[i] = middle + step
        above = weighted()
        values[i] = middle - step
        slopes.append((above - weighted()) / (2 * step))
        values[i] = middle
    return chosen, np.array(slopes)


def check(
    body,
    bottoms,
    definition,
    *,
    seed,
    params=(),
    tops=1,
    phase=caffe.TRAIN,
    in_place=False,
    first_shapes=None,
    backward=True,
    gradients=None,
    constant=(),
    loss_weights=None,
    tolerance=1e-4,
):
    """Compares a layer with its definition.

    Args:
        definition: outputs as a function of all bottoms and params.
        params: values of the layer's parameters.
        backward: whether the layer has a gradient.
        gradients: the gradients as a function of the list of top diffs and all bottoms and params, in place
            of the definition's derivative; None where one is not to be compared.
        constant: positions among bottoms and params that have no gradient, such as labels.
        loss_weights: of tops that are losses; they are their diffs already. 0 for a top without gradient.
    """
    rng = np.random.default_rng(seed)
    layer = OneLayer(body, bottoms, tops, phase, in_place, first_shapes)
    assert [blob.data.shape for blob in layer.params] == [values.shape for values in params]
    for blob, values in zip(layer.params, params, strict=True):
        blob.data[...] = values
    inputs = [np.asarray(values, np.float64) for values in (*bottoms, *params)]
    expected = [np.asarray(values) for values in as_list(definition(*inputs))]
    found = layer.forward()
    assert len(found) == len(expected)
    for i, (top, values) in enumerate(zip(found, expected, strict=True)):
        close(top, values, f"top {i}", tolerance)
    if not backward:
        return layer
    if loss_weights is None:
        top_diffs = [normal(rng, values.shape) for values in expected]
        written = top_diffs
    else:
        top_diffs = [weight or None for weight in loss_weights]
        written = [None] * tops
    there_before = [normal(rng, values.shape) for values in params]
    for blob, values in zip(layer.params, there_before, strict=True):
        blob.diff[...] = values
    bottom_diffs, param_diffs = layer.backward(written)
    if not in_place:
        for blob, values in zip(layer.bottoms, bottoms, strict=True):
            np.testing.assert_array_equal(blob.data, values, err_msg="backward changed a bottom")
    param_diffs = [
        diff.astype(np.float64) - before for diff, before in zip(param_diffs, there_before, strict=True)
    ]
    stated = gradients(top_diffs, *inputs) if gradients else [None] * len(inputs)
    for i, diff in enumerate([*bottom_diffs, *param_diffs]):
        what = f"gradient of bottom {i}" if i < len(bottoms) else f"gradient of parameter {i - len(bottoms)}"
        if i in constant:
            continue
        assert diff.shape == inputs[i].shape, what
        if gradients:
            if stated[i] is not None:
                close(diff, stated[i], what, tolerance)
            continue
        chosen, slopes = differences(definition, inputs, i, top_diffs, rng)
        close(diff.reshape(-1)[chosen], slopes, what, 3 * tolerance)
    return layer
