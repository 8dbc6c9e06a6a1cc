"""Layers that add and multiply, against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import SEEDS, apart_from, check, distinct, fields, floats, normal, options, shapes
from reference import arithmetic, windows


def grown(shape, fixed=()):
    """Another shape with the same sides at the fixed axes."""
    return tuple(side if i in fixed else side + 1 for i, side in enumerate(shape))


@given(
    shape=shapes(min_side=0),
    count=st.integers(2, 5),
    operation=st.sampled_from([None, "SUM", "PROD", "MAX"]),
    stable=st.sampled_from([None, True, False]),
    seed=SEEDS,
    data=st.data(),
)
def test_eltwise(shape, count, operation, stable, seed, data):
    rng = np.random.default_rng(seed)
    values = {} if operation is None else {"operation": operation}
    if operation in (None, "SUM") and data.draw(st.booleans()):
        values["coeff"] = [data.draw(floats(-2, 2)) for _ in range(count)]
    # No ties, and nothing near zero, by which the gradient of a product may divide.
    bottoms = list(distinct(rng, (count, *shape)))
    if operation == "PROD":
        bottoms = [apart_from(rng, shape, 0, margin=0.3) for _ in range(count)]
    check(
        f'type: "Eltwise" eltwise_param {{ {fields(stable_prod_grad=stable, **values)} }}',
        bottoms,
        lambda *bottoms: arithmetic.eltwise(*bottoms, **values),
        seed=seed,
        first_shapes=[grown(shape)] * count if seed % 2 else None,
    )


@given(
    shape=shapes(),
    values=options(
        operation=st.sampled_from(["SUM", "ASUM", "SUMSQ", "MEAN"]),
        axis=st.integers(-5, 4),
        coeff=floats(-2, 2),
    ),
    seed=SEEDS,
)
def test_reduction(shape, values, seed):
    if "axis" in values:
        assume(-len(shape) <= values["axis"] < len(shape))
    x = apart_from(np.random.default_rng(seed), shape, 0)
    check(
        f'type: "Reduction" reduction_param {{ {fields(**values)} }}',
        [x],
        lambda x: arithmetic.reduction(x, **values),
        seed=seed,
        first_shapes=[grown(shape)] if seed % 2 else None,
    )


@st.composite
def broadcasts(draw):
    """Two shapes of which the second lies along axes of the first, and the axis."""
    shape = draw(shapes())
    axis = draw(st.integers(0, len(shape) - 1))
    end = draw(st.integers(axis, len(shape)))
    return shape, shape[axis:end], axis - len(shape) if draw(st.booleans()) else axis


@pytest.mark.parametrize("kind", ["Scale", "Bias"])
@given(case=broadcasts(), learned=st.booleans(), with_bias=st.booleans(), seed=SEEDS, data=st.data())
def test_scale_and_bias(kind, case, learned, with_bias, seed, data):
    shape, part, axis = case
    rng = np.random.default_rng(seed)
    begin = axis % len(shape)
    values = {} if axis == 1 and data.draw(st.booleans()) else {"axis": axis}
    if learned:
        values["num_axes"] = len(part)
        if begin + len(part) == len(shape) and data.draw(st.booleans()):
            values["num_axes"] = -1
        elif len(part) == 1 and data.draw(st.booleans()):
            del values["num_axes"]
    with_bias = with_bias and kind == "Scale"
    if with_bias:
        values["bias_term"] = True
    second = normal(rng, part)
    definition = arithmetic.scale if kind == "Scale" else arithmetic.bias
    body = f'type: "{kind}" {kind.lower()}_param {{ {fields(**values)} }}'
    x = normal(rng, shape)
    more = [normal(rng, part)] if with_bias else []
    bottoms, params = ([x], [second, *more]) if learned else ([x, second], more)
    fixed = range(begin, begin + len(part))
    check(
        body,
        bottoms,
        lambda *values: definition(*values, axis=axis),
        params=params,
        seed=seed,
        first_shapes=[grown(shape, fixed), part][: len(bottoms)] if seed % 2 else None,
    )
    if learned:
        check(
            body,
            bottoms,
            lambda *values: definition(*values, axis=axis),
            params=params,
            seed=seed,
            in_place=True,
        )


@st.composite
def inner_products(draw):
    shape = draw(shapes(min_side=1, max_side=5, most=120))
    values = {"num_output": draw(st.integers(1, 6))}
    axis = draw(st.integers(0, len(shape) - 1))
    if axis != 1 or draw(st.booleans()):
        values["axis"] = axis - len(shape) if draw(st.booleans()) else axis
    if draw(st.booleans()):
        values["bias_term"] = draw(st.booleans())
    return shape, axis, values


@given(case=inner_products(), transpose=st.sampled_from([None, True, False]), seed=SEEDS)
def test_inner_product(case, transpose, seed):
    shape, axis, values = case
    rng = np.random.default_rng(seed)
    sides = (values["num_output"], math.prod(shape[axis:]))
    params = [normal(rng, sides[::-1] if transpose else sides)]
    if values.get("bias_term", True):
        params.append(normal(rng, sides[:1]))
    check(
        f'type: "InnerProduct" inner_product_param {{ {fields(transpose=transpose, **values)} }}',
        [normal(rng, shape)],
        lambda x, *params: arithmetic.inner_product(x, *params, axis=axis, transpose=transpose or False),
        params=params,
        seed=seed,
        first_shapes=[grown(shape, range(axis, len(shape)))] if seed % 2 else None,
    )


@given(
    case=inner_products(),
    binary=options(use_alpha=st.booleans(), use_binarization=st.booleans()),
    seed=SEEDS,
)
def test_binary_inner_product(case, binary, seed):
    shape, axis, values = case
    rng = np.random.default_rng(seed)
    inputs = math.prod(shape[axis:])
    params = [apart_from(rng, (values["num_output"], inputs), 0, margin=1e-4)]
    if values.get("bias_term", True):
        params.append(normal(rng, (values["num_output"],)))

    def definition(x, weights, *bias):
        return arithmetic.inner_product(x, windows.binarized(weights, **binary), *bias, axis=axis)

    def straight_through(top_diffs, x, weights, *bias):
        dy = top_diffs[0].reshape(-1, values["num_output"]).astype(np.float64)
        dx = dy @ windows.binarized(weights, **binary)
        return [dx.reshape(shape), dy.T @ x.reshape(-1, inputs), *[dy.sum(0) for _ in bias]]

    check(
        f'type: "BinaryInnerProduct" inner_product_param {{ {fields(**values)} }} '
        f"binary_inner_product_param {{ {fields(**binary)} }}",
        [normal(rng, shape)],
        definition,
        params=params,
        gradients=straight_through,
        seed=seed,
        first_shapes=[grown(shape, range(axis, len(shape)))] if seed % 2 else None,
    )


@given(
    shape=shapes(max_axes=3, max_side=4),
    rows=st.integers(1, 6),
    width=st.integers(1, 5),
    bias=st.sampled_from([None, True, False]),
    seed=SEEDS,
)
def test_embed(shape, rows, width, bias, seed):
    rng = np.random.default_rng(seed)
    params = [normal(rng, (rows, width))]
    if bias is not False:
        params.append(normal(rng, (width,)))
    check(
        f'type: "Embed" propagate_down: false embed_param {{ '
        f"{fields(input_dim=rows, num_output=width, bias_term=bias)} }}",
        [rng.integers(0, rows, shape).astype(np.float32)],
        arithmetic.embed,
        params=params,
        constant=[0],
        seed=seed,
        first_shapes=[grown(shape)] if seed % 2 else None,
    )
