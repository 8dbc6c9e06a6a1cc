"""Layers that normalize, against their definitions."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import SEEDS, OneLayer, check, close, fields, floats, normal, options, shapes
from reference import normalization

import caffe


def other_items(shape):
    return (shape[0] + 1, *shape[1:])


STATISTICS = options(moving_average_fraction=floats(0.1, 1), eps=st.sampled_from([1e-5, 1e-3, 0.5]))


def stored(rng, shape):
    channels = shape[1] if len(shape) > 1 else 1
    mean, variance = normal(rng, (channels,)), np.abs(normal(rng, (channels,))) + np.float32(0.5)
    return mean, variance, np.array([2.5], np.float32)


@given(
    shape=shapes(),
    values=STATISTICS,
    written=st.sampled_from([None, False]),
    in_place=st.booleans(),
    seed=SEEDS,
)
def test_batch_norm_in_training(shape, values, written, in_place, seed):
    rng = np.random.default_rng(seed)
    moving = {name: value for name, value in values.items() if name != "eps"}
    eps = {name: value for name, value in values.items() if name == "eps"}
    x = normal(rng, shape)
    # With few values of nearly the same size, rounding would be all that is left.
    axes = normalization.channel_axes(x)
    assume(eps.get("eps", 0) > 0.1 or (x.std(axes) > 0.2).all())
    params = stored(rng, shape)
    layer = check(
        f'type: "BatchNorm" batch_norm_param {{ {fields(use_global_stats=written, **values)} }}',
        [x],
        lambda x, *params: normalization.batch_norm(x, **eps),
        params=params,
        constant=[1, 2, 3],
        in_place=in_place,
        seed=seed,
        first_shapes=[other_items(shape)] if seed % 2 and len(shape) > 1 and not in_place else None,
        tolerance=1e-3,
    )
    after = normalization.moving_statistics(*(v.astype(np.float64) for v in (x, *params)), **moving)
    for blob, expected, what in zip(layer.params, after, ["mean", "variance", "factor"], strict=True):
        close(blob.data, expected, what)


@given(
    shape=shapes(min_side=1),
    values=STATISTICS,
    by_phase=st.booleans(),
    in_place=st.booleans(),
    factor=floats(0, 3),
    seed=SEEDS,
)
def test_batch_norm_with_stored_statistics(shape, values, by_phase, in_place, factor, seed):
    rng = np.random.default_rng(seed)
    eps = {name: value for name, value in values.items() if name == "eps"}
    assume(factor > 0 or eps.get("eps", 0) > 1e-2)
    written = None if by_phase else True
    params = [*stored(rng, shape)[:2], np.array([factor], np.float32)]
    layer = check(
        f'type: "BatchNorm" batch_norm_param {{ {fields(use_global_stats=written, **values)} }}',
        [normal(rng, shape)],
        lambda x, *params: normalization.batch_norm_global(x, *params, **eps),
        params=params,
        constant=[1, 2, 3],
        phase=caffe.TEST if by_phase else caffe.TRAIN,
        in_place=in_place,
        seed=seed,
        first_shapes=[other_items(shape)] if seed % 2 else None,
    )
    for blob, before in zip(layer.params, params, strict=True):
        np.testing.assert_array_equal(blob.data, before)


@given(
    shape=shapes(min_axes=2, min_side=2),
    normalize=st.sampled_from([None, True, False]),
    values=options(across_channels=st.booleans(), eps=st.sampled_from([1e-9, 0.1])),
    seed=SEEDS,
)
def test_mvn(shape, normalize, values, seed):
    # Channels of one value have no deviation.
    assume(len(shape) > 2 or values.get("across_channels"))
    x = normal(np.random.default_rng(seed), shape)
    axes = tuple(range(1 if values.get("across_channels") else 2, len(shape)))
    assume((x.std(axes) > 0.2).all())

    def stated(dy, x):
        return [normalization.mvn_gradient(dy[0], x, **values)]

    check(
        f'type: "MVN" mvn_param {{ {fields(normalize_variance=normalize, **values)} }}',
        [x],
        lambda x: normalization.mvn(x, normalize is not False, **values),
        gradients=stated if normalize is not False and values.get("eps") == 0.1 else None,
        seed=seed,
        first_shapes=[tuple(side + 1 for side in shape)] if seed % 2 else None,
        tolerance=1e-3,
    )


@pytest.mark.parametrize("region", [None, "ACROSS_CHANNELS", "WITHIN_CHANNEL"])
@given(
    shape=shapes(min_axes=4, max_axes=4, max_side=6),
    values=options(
        local_size=st.sampled_from([1, 3, 5, 7]),
        alpha=floats(0.1, 2),
        beta=floats(0.1, 1.5),
        k=floats(0.5, 3),
        engine=st.just("CAFFE"),
    ),
    seed=SEEDS,
)
def test_lrn(region, shape, values, seed):
    written = fields(norm_region=region, **values)
    values = {name: value for name, value in values.items() if name != "engine"}
    check(
        f'type: "LRN" lrn_param {{ {written} }}',
        [normal(np.random.default_rng(seed), shape)],
        lambda x: normalization.lrn(x, norm_region=region, **values),
        seed=seed,
        first_shapes=[tuple(side + 1 for side in shape)] if seed % 2 else None,
    )


@given(shape=shapes(), spread=st.sampled_from([1, 10]), in_place=st.booleans(), seed=SEEDS, data=st.data())
def test_softmax(shape, spread, in_place, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    written = "" if axis == 1 and data.draw(st.booleans()) else f"softmax_param {{ axis: {axis} }}"
    check(
        f'type: "Softmax" {written}',
        [normal(np.random.default_rng(seed), shape, spread)],
        lambda x: normalization.softmax(x, axis),
        seed=seed,
        in_place=in_place,
    )


def test_softmax_of_large_numbers():
    x = np.array([[1e4, 1e4 - 1, -1e4], [-3e38, 3e38, 0]], np.float32)
    (y,) = OneLayer('type: "Softmax"', [x]).forward()
    np.testing.assert_allclose(y, [[1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], [0, 1, 0]], rtol=1e-5)
