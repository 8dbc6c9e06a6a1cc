"""Layers that cut, join, repeat, choose and reshape, against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import SEEDS, OneLayer, check, distinct, fields, normal, options, shapes
from reference import arrangement

import caffe

COUNTS = st.integers(1, 4)


def other_items(shape):
    return (shape[0] + 1, *shape[1:])


@st.composite
def axis_of(draw, shape, low=0):
    """An axis, counted from the front or from the back."""
    axis = draw(st.integers(low, len(shape) - 1))
    return axis - len(shape) if draw(st.booleans()) else axis


@st.composite
def axis_fields(draw, shape, old_name):
    """An axis, and the fields that name it: left out for axis 1, or of the old name, where they can be."""
    axis = draw(axis_of(shape))
    if axis >= 0 and draw(st.integers(0, 2)) == 0:
        return axis, {old_name: axis}
    if axis == 1 and draw(st.booleans()):
        return axis, {}
    return axis, {"axis": axis}


@given(shape=shapes(min_side=0, max_side=4), count=COUNTS, seed=SEEDS, data=st.data())
def test_concat(shape, count, seed, data):
    axis, written = data.draw(axis_fields(shape, "concat_dim"))
    rng = np.random.default_rng(seed)
    bottoms = []
    for _ in range(count):
        sides = list(shape)
        sides[axis] = data.draw(st.integers(0, 4))
        bottoms.append(normal(rng, sides))
    check(
        f'type: "Concat" concat_param {{ {fields(**written)} }}',
        bottoms,
        lambda *bottoms: arrangement.concat(*bottoms, axis=axis),
        seed=seed,
        first_shapes=[tuple(side + 1 for side in x.shape) for x in bottoms] if seed % 2 else None,
    )


@given(shape=shapes(min_side=0, max_side=4), seed=SEEDS, data=st.data())
def test_slice(shape, seed, data):
    axis, written = data.draw(axis_fields(shape, "slice_dim"))
    parts = data.draw(COUNTS)
    sides = list(shape)
    if parts > 1 and data.draw(st.booleans()):
        written["slice_point"] = np.cumsum([data.draw(st.integers(1, 3)) for _ in range(parts - 1)]).tolist()
        sides[axis] = written["slice_point"][-1] + data.draw(st.integers(1, 3))
    else:
        sides[axis] = parts * data.draw(st.integers(1, 3))
    first = [side if i == axis % len(sides) else side + 1 for i, side in enumerate(sides)]
    check(
        f'type: "Slice" slice_param {{ {fields(**written)} }}',
        [normal(np.random.default_rng(seed), sides)],
        lambda x: arrangement.slices(x, parts, axis, written.get("slice_point", ())),
        tops=parts,
        seed=seed,
        first_shapes=[first] if seed % 2 else None,
    )


@given(shape=shapes(min_side=0), count=COUNTS, seed=SEEDS)
def test_split(shape, count, seed):
    x = normal(np.random.default_rng(seed), shape)
    check(
        'type: "Split"', [x], lambda x: [x] * count, tops=count, seed=seed, first_shapes=[other_items(shape)]
    )


@given(shape=shapes(min_side=0), count=COUNTS, seed=SEEDS)
def test_silence(shape, count, seed):
    bottoms = [normal(np.random.default_rng(seed), shape)] * count
    check(
        'type: "Silence"',
        bottoms,
        lambda *bottoms: [],
        tops=0,
        gradients=lambda diffs, *bottoms: [np.zeros(shape)] * count,
        seed=seed,
    )


@given(shape=shapes(), seed=SEEDS, data=st.data())
def test_flatten(shape, seed, data):
    values = {}
    if len(shape) == 1 or data.draw(st.booleans()):
        values["axis"] = data.draw(axis_of(shape))
    if data.draw(st.booleans()):
        values["end_axis"] = data.draw(axis_of(shape, values.get("axis", 1) % len(shape)))
    check(
        f'type: "Flatten" flatten_param {{ {fields(**values)} }}',
        [normal(np.random.default_rng(seed), shape)],
        lambda x: arrangement.flatten(x, **values),
        seed=seed,
        first_shapes=[tuple(side + 1 for side in shape)] if seed % 2 else None,
    )


@given(shape=shapes(max_side=6), seed=SEEDS, data=st.data())
def test_reshape(shape, seed, data):
    values = {}
    begin = data.draw(st.integers(0, len(shape)))
    if begin or data.draw(st.booleans()):
        values["axis"] = begin - len(shape) - 1 if data.draw(st.booleans()) else begin
    end = len(shape)
    if data.draw(st.booleans()):
        values["num_axes"] = data.draw(st.integers(0, len(shape) - begin))
        end = begin + values["num_axes"]
    # Sides with the product of those that they replace, some of them written as 0 or -1.
    left = math.prod(shape[begin:end])
    dim = []
    for _ in range(data.draw(st.integers(0, 3))):
        dim.append(data.draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0])))
        left //= dim[-1]
    if left > 1:
        dim.append(left)
    for i, side in enumerate(dim):
        if begin + i < len(shape) and shape[begin + i] == side and data.draw(st.booleans()):
            dim[i] = 0
    if dim and data.draw(st.booleans()):
        dim[data.draw(st.integers(0, len(dim) - 1))] = -1
    check(
        f'type: "Reshape" reshape_param {{ shape {{ {fields(dim=dim)} }} {fields(**values)} }}',
        [normal(np.random.default_rng(seed), shape)],
        lambda x: arrangement.reshape(x, dim, **values),
        seed=seed,
    )


@given(shape=shapes(), seed=SEEDS)
def test_reshape_follows_its_input(shape, seed):
    """What was copied or left over when the net was made is so again for inputs of another shape."""
    check(
        'type: "Reshape" reshape_param { shape { dim: 0 dim: -1 } }',
        [normal(np.random.default_rng(seed), shape)],
        lambda x: x.reshape(len(x), -1),
        seed=seed,
        first_shapes=[tuple(side + 1 for side in shape)],
    )


@given(shape=shapes(max_side=4, most=60), tiles=COUNTS, seed=SEEDS, data=st.data())
def test_tile(shape, tiles, seed, data):
    values = {"tiles": tiles}
    if len(shape) == 1 or data.draw(st.booleans()):
        values["axis"] = data.draw(axis_of(shape))
    check(
        f'type: "Tile" tile_param {{ {fields(**values)} }}',
        [normal(np.random.default_rng(seed), shape)],
        lambda x: arrangement.tile(x, **values),
        seed=seed,
        first_shapes=[tuple(side + 1 for side in shape)] if seed % 2 else None,
    )


@given(shape=shapes(max_side=5), seed=SEEDS, data=st.data())
def test_crop(shape, seed, data):
    values = {}
    if len(shape) < 3 or data.draw(st.booleans()):
        values["axis"] = data.draw(axis_of(shape))
    axis = values.get("axis", 2) % len(shape)
    cut = shape[axis:]
    like = [side + data.draw(st.integers(0, 2)) for side in shape[:axis]]
    form = data.draw(st.sampled_from(["none", "one", "each"]))
    if form == "none":
        like += [data.draw(st.integers(1, side)) for side in cut]
    elif form == "one":
        values["offset"] = [data.draw(st.integers(0, min(cut) - 1))]
        like += [data.draw(st.integers(1, side - values["offset"][0])) for side in cut]
    else:
        values["offset"] = [data.draw(st.integers(0, side - 1)) for side in cut]
        like += [data.draw(st.integers(1, n - o)) for n, o in zip(cut, values["offset"], strict=True)]
    x, like = normal(np.random.default_rng(seed), shape), np.ones(like, np.float32)
    check(
        f'type: "Crop" crop_param {{ {fields(**values)} }}',
        [x, like],
        lambda x, like: arrangement.crop(x, like, **values),
        constant=[1],
        seed=seed,
        first_shapes=[tuple(n + 1 for n in x.shape), tuple(n + 1 for n in like.shape)] if seed % 2 else None,
    )


@given(shape=shapes(max_side=5), count=st.integers(1, 7), seed=SEEDS)
def test_batch_reindex(shape, count, seed):
    rng = np.random.default_rng(seed)
    index = rng.integers(0, shape[0], count).astype(np.float32)
    check(
        'type: "BatchReindex"',
        [normal(rng, shape), index],
        arrangement.batch_reindex,
        constant=[1],
        seed=seed,
        first_shapes=[other_items(shape), (count + 1,)] if seed % 2 else None,
    )


@given(shape=shapes(max_side=5), count=st.integers(1, 3), seed=SEEDS, data=st.data())
def test_filter(shape, count, seed, data):
    rng = np.random.default_rng(seed)
    selector = rng.integers(-1, 2, shape[0]).astype(np.float32)
    assume(selector.any())
    if data.draw(st.booleans()):
        selector = selector.reshape(-1, 1)
    bottoms = [normal(rng, (shape[0], *shape[1 : 1 + i])) for i in range(count)]
    check(
        'type: "Filter"',
        [*bottoms, selector],
        arrangement.filtered,
        tops=count,
        constant=[count],
        seed=seed,
    )


@given(shape=shapes(), values=options(out_max_val=st.booleans()), seed=SEEDS, data=st.data())
def test_argmax(shape, values, seed, data):
    largest = math.prod(shape[1:])
    if data.draw(st.booleans()):
        values["axis"] = data.draw(axis_of(shape))
        largest = shape[values["axis"]]
    if data.draw(st.booleans()):
        values["top_k"] = data.draw(st.integers(1, largest))
    check(
        f'type: "ArgMax" argmax_param {{ {fields(**values)} }}',
        [distinct(np.random.default_rng(seed), shape)],
        lambda x: arrangement.argmax(x, **values),
        backward=False,
        seed=seed,
        first_shapes=[tuple(side + 1 for side in shape)] if seed % 2 else None,
    )


@pytest.mark.parametrize("chosen", [0, 2])
def test_filter_changes_its_size_from_run_to_run(chosen):
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    selector = np.array([1, 0, 1, 1], np.float32)
    layer = OneLayer('type: "Filter"', [x, selector], phase=caffe.TEST)
    np.testing.assert_array_equal(layer.forward()[0], x[[0, 2, 3]])
    layer.values[1] = np.arange(4, dtype=np.float32) == chosen
    np.testing.assert_array_equal(layer.forward()[0], x[[chosen]])
