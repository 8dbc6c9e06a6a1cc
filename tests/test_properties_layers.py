"""Shapes, sums of products, normalization, losses and recurrence, against their definitions.

Gradients are held to differences of the definitions.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import layers as define
from reference import windows

import caffe

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**31)
flags = st.booleans()
shapes = st.lists(sizes, min_size=1, max_size=5).map(tuple)
positive = st.sampled_from([0.25, 0.5, 1.0, 1.5])
numbers = st.sampled_from([-1.5, -0.5, 0.0, 0.5, 2.0])
modes = st.sampled_from(["FULL", "VALID", "BATCH_SIZE", "NONE"])


def text(flag):
    return str(flag).lower()


def shape_text(shape):
    return "shape { " + " ".join(f"dim: {size}" for size in shape) + " }"


def values(seed, shape, low=0.1, spread=True):
    """Values of both signs, none near 0, 1 or another of them, for no kink or tie to be near."""
    random = np.random.RandomState(seed)
    count = int(np.prod(shape))
    if not spread:
        return random.randn(*shape)
    steps = random.permutation(count) + random.uniform(-0.2, 0.2, count)
    magnitudes = low + 0.85 * (steps + 0.5) / count
    return (magnitudes * random.choice([-1, 1], count)).reshape(shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nets")


class Run:
    """A net of one layer: its tops, and the gradients of the sum of its tops times random weights."""

    def __init__(self, folder, body, bottoms, tops=1, params=None, phase=caffe.TEST, backward=True, seed=0):
        file = folder / "net.prototxt"
        inputs = "".join(
            f'layer {{ name: "in{i}" type: "Input" top: "in{i}" input_param {{ {shape_text(b.shape)} }} }}\n'
            for i, b in enumerate(bottoms)
        )
        blobs = "".join(f'bottom: "in{i}" ' for i in range(len(bottoms)))
        blobs += "".join(f'top: "out{i}" ' for i in range(tops))
        force = "force_backward: true\n" if backward else ""
        file.write_text(f'{force}{inputs}layer {{ name: "layer" {blobs} {body} }}\n')
        net = caffe.Net(file, phase)
        for i, bottom in enumerate(bottoms):
            net.blobs[f"in{i}"].data[...] = bottom
        self.params = []
        if "layer" in net.params:
            for i, blob in enumerate(net.params["layer"]):
                if params is not None and params[i] is not None:
                    blob.data[...] = params[i]
                self.params.append(blob.data.astype(float))
        net.forward()
        self.net = net
        self.tops = [net.blobs[f"out{i}"].data.astype(float) for i in range(tops)]
        if not backward:
            return
        random = np.random.RandomState(seed)
        self.weights = [random.choice([-1.0, -0.5, 0.5, 1.0], top.shape) for top in self.tops]
        for i, weights in enumerate(self.weights):
            net.blobs[f"out{i}"].diff[...] = weights
        net.clear_param_diffs()
        net.backward()
        self.bottom_diffs = [net.blobs[f"in{i}"].diff.astype(float) for i in range(len(bottoms))]
        self.param_diffs = [blob.diff.astype(float) for blob in net.params["layer"]] if self.params else []


def difference(function, arrays, place, weights, step=1e-5):
    """The gradient of sum(weights * function(arrays)) by arrays[place], from central differences."""
    arrays = [np.array(array, dtype=float) for array in arrays]
    gradient = np.zeros(arrays[place].shape)
    for index in np.ndindex(*gradient.shape):
        for sign in (1, -1):
            before = arrays[place][index]
            arrays[place][index] = before + sign * step
            tops = function(*arrays)
            tops = tops if isinstance(tops, list | tuple) else [tops]
            total = sum((w * np.asarray(top)).sum() for w, top in zip(weights, tops, strict=True))
            gradient[index] += sign * total / (2 * step)
            arrays[place][index] = before
    return gradient


def check(folder, body, bottoms, function, with_gradient=None, tops=1, params=None, tolerance=2e-3, **more):
    """Holds the layer to function(*bottoms, *params): values, and gradients of the bottoms `with_gradient`
    (of all, if not given) and of all parameters."""
    gradient_of = range(len(bottoms)) if with_gradient is None else with_gradient
    needs_gradient = with_gradient is None or len(with_gradient) > 0 or params is not None
    run = Run(folder, body, bottoms, tops, params, backward=needs_gradient, **more)
    arrays = [*(np.float32(bottom).astype(float) for bottom in bottoms), *run.params]
    expected = function(*arrays)
    expected = expected if isinstance(expected, list | tuple) else [expected]
    for top, values_ in zip(run.tops, expected, strict=True):
        assert top.shape == np.shape(values_)
        np.testing.assert_allclose(top, values_, rtol=tolerance, atol=tolerance)
    if not needs_gradient:
        return run
    for i in gradient_of:
        np.testing.assert_allclose(
            run.bottom_diffs[i], difference(function, arrays, i, run.weights), rtol=tolerance, atol=tolerance
        )
    for i, diff in enumerate(run.param_diffs):
        np.testing.assert_allclose(
            diff,
            difference(function, arrays, len(bottoms) + i, run.weights),
            rtol=tolerance,
            atol=tolerance,
        )
    return run


# Sums of products.


@given(shape=shapes, seed=seeds, data=st.data(), bias=flags, transpose=flags)
def test_inner_product(folder, shape, seed, data, bias, transpose):
    axis = data.draw(st.integers(0, len(shape) - 1))
    body = (
        f'type: "InnerProduct" inner_product_param {{ num_output: 3 axis: {axis} bias_term: {text(bias)} '
        f"transpose: {text(transpose)} "
        'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } }'
    )
    check(
        folder,
        body,
        [values(seed, shape)],
        lambda x, w, b=None: define.inner_product(x, w, b, axis, transpose),
        params=[None] * (1 + bias),
    )


@given(shape=shapes, seed=seeds, use_alpha=flags)
def test_binary_inner_product(folder, shape, seed, use_alpha):
    axis = len(shape) - 1
    x = values(seed, shape)
    body = (
        f'type: "BinaryInnerProduct" inner_product_param {{ num_output: 3 axis: {axis} '
        'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } } '
        f"binary_inner_product_param {{ use_alpha: {text(use_alpha)} }}"
    )
    run = Run(folder, body, [x])
    arrays = [x, windows.binarized(run.params[0], use_alpha), run.params[1]]

    def plain(x, w, b):
        return define.inner_product(x, w, b, axis, False)

    np.testing.assert_allclose(run.tops[0], plain(*arrays), rtol=1e-3, atol=1e-3)
    for place, diff in enumerate([run.bottom_diffs[0], *run.param_diffs]):
        expected = difference(plain, arrays, place, run.weights)
        np.testing.assert_allclose(diff, expected, rtol=1e-3, atol=1e-3)


@given(seed=seeds, shape=shapes, rows=st.integers(1, 5), width=sizes, bias=flags)
def test_embed(folder, seed, shape, rows, width, bias):
    indices = np.random.RandomState(seed).randint(0, rows, shape)
    body = (
        f'type: "Embed" embed_param {{ input_dim: {rows} num_output: {width} bias_term: {text(bias)} '
        'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } }'
    )
    run = Run(folder, body, [indices], backward=False)
    expected = run.params[0][indices] + (run.params[1] if bias else 0)
    np.testing.assert_allclose(run.tops[0], expected, rtol=1e-5)


# Windows.


@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 6), sizes, sizes),
    seed=seeds,
    size=st.sampled_from([1, 3, 5]),
    alpha=positive,
    beta=positive,
    k=positive,
)
def test_lrn(folder, shape, seed, size, alpha, beta, k):
    param = f"local_size: {size} alpha: {alpha} beta: {beta}"
    x = values(seed, shape)
    check(
        folder,
        f'type: "LRN" lrn_param {{ {param} k: {k} }}',
        [x],
        lambda x: define.lrn_across(x, size, alpha, beta, k),
    )
    check(
        folder,
        f'type: "LRN" lrn_param {{ {param} norm_region: WITHIN_CHANNEL }}',
        [x],
        lambda x: define.lrn_within(x, size, alpha, beta),
    )


# Shapes.


@given(shape=shapes, seed=seeds, data=st.data(), count=st.integers(1, 3))
def test_concat_and_slice(folder, shape, seed, data, count):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for i in range(count):
        part = list(shape)
        part[axis] = data.draw(sizes)
        parts.append(values(seed + i, part))
    check(
        folder,
        f'type: "Concat" concat_param {{ axis: {axis} }}',
        parts,
        lambda *x: np.concatenate(x, axis),
    )
    points = np.cumsum([part.shape[axis] for part in parts])[:-1]
    body = (
        f'type: "Slice" slice_param {{ axis: {axis} ' + " ".join(f"slice_point: {p}" for p in points) + " }"
    )
    whole = np.concatenate(parts, axis)
    check(folder, body, [whole], lambda x: np.split(x, points, axis), tops=count)


@given(shape=shapes, seed=seeds, data=st.data())
def test_flatten_and_reshape(folder, shape, seed, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(axis, len(shape) - 1))
    x = values(seed, shape)
    flat = (*shape[:axis], int(np.prod(shape[axis : end + 1])), *shape[end + 1 :])
    check(
        folder,
        f'type: "Flatten" flatten_param {{ axis: {axis} end_axis: {end} }}',
        [x],
        lambda x: x.reshape(flat),
    )
    new_shape = f"axis: {axis} num_axes: {end + 1 - axis} shape {{ dim: 1 dim: -1 }}"
    body = f'type: "Reshape" reshape_param {{ {new_shape} }}'
    check(folder, body, [x], lambda x: x.reshape(*flat[:axis], 1, *flat[axis:]))


@given(shape=shapes, seed=seeds, data=st.data(), tiles=st.integers(1, 3))
def test_tile_and_crop(folder, shape, seed, data, tiles):
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = values(seed, shape)
    repeats = [tiles if i == axis else 1 for i in range(len(shape))]
    body = f'type: "Tile" tile_param {{ axis: {axis} tiles: {tiles} }}'
    check(folder, body, [x], lambda x: np.tile(x, repeats))
    offsets = [data.draw(st.integers(0, size - 1)) for size in shape[axis:]]
    like = np.zeros((*shape[:axis], *(s - o for s, o in zip(shape[axis:], offsets, strict=True))))
    body = f'type: "Crop" crop_param {{ axis: {axis} ' + " ".join(f"offset: {o}" for o in offsets) + " }"
    check(folder, body, [x, like], lambda x, like: define.crop(x, like, axis, offsets))


@given(
    shape=shapes,
    seed=seeds,
    data=st.data(),
    coeff=numbers,
    op=st.sampled_from(["SUM", "ASUM", "SUMSQ", "MEAN"]),
)
def test_reduction(folder, shape, seed, data, coeff, op):
    axis = data.draw(st.integers(0, len(shape) - 1))
    terms = {"ASUM": np.abs, "SUMSQ": np.square}.get(op, lambda x: x)
    rest = tuple(range(axis, len(shape)))
    reduce = np.mean if op == "MEAN" else np.sum
    body = f'type: "Reduction" reduction_param {{ operation: {op} axis: {axis} coeff: {coeff} }}'
    check(folder, body, [values(seed, shape)], lambda x: coeff * reduce(terms(x), rest))


@given(shape=shapes, seed=seeds, count=st.integers(2, 3), op=st.sampled_from(["PROD", "SUM", "MAX"]))
def test_eltwise(folder, shape, seed, count, op):
    bottoms = np.split(values(seed, (count, *shape)), count)
    bottoms = [bottom[0] for bottom in bottoms]
    coeffs = [0.5, -2.0, 1.5][:count]
    body = f'type: "Eltwise" eltwise_param {{ operation: {op} '
    body += " ".join(f"coeff: {c}" for c in coeffs) + " }" if op == "SUM" else "}"
    combine = {
        "PROD": lambda *x: np.prod(x, 0),
        "SUM": lambda *x: sum(c * y for c, y in zip(coeffs, x, strict=True)),
        "MAX": lambda *x: np.max(x, 0),
    }[op]
    check(folder, body, bottoms, combine)


@given(shape=shapes, seed=seeds, data=st.data(), learned=flags, bias=flags)
def test_scale_and_bias(folder, shape, seed, data, learned, bias):
    axis = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(axis, len(shape)))
    if not learned:
        end = max(end, axis + 1)
    x, factor = values(seed, shape), values(seed + 1, shape[axis:end])
    shift = values(seed + 2, shape[axis:end])
    num_axes = f"num_axes: {end - axis}" if learned else ""

    def scaled(x, factor, shift=None):
        y = x * define.broadcast(x, factor, axis)
        return y if shift is None else y + define.broadcast(x, shift, axis)

    body = f'type: "Scale" scale_param {{ axis: {axis} {num_axes} bias_term: {text(bias)} }}'
    params = ([factor] if learned else []) + ([shift] if bias else [])
    check(folder, body, [x] if learned else [x, factor], scaled, params=params)
    body = f'type: "Bias" bias_param {{ axis: {axis} {num_axes} }}'
    check(
        folder,
        body,
        [x] if learned else [x, shift],
        lambda x, shift: x + define.broadcast(x, shift, axis),
        params=[shift] if learned else [],
    )


@given(seed=seeds, items=st.integers(1, 5), shape=shapes, data=st.data())
def test_choosing_items(folder, seed, items, shape, data):
    x = values(seed, (items, *shape[:3]))
    chosen = data.draw(st.lists(st.integers(0, items - 1), min_size=1, max_size=6))
    check(
        folder,
        'type: "BatchReindex"',
        [x, np.array(chosen, float)],
        lambda x, i: x[i.astype(int)],
        with_gradient=[0],
    )
    selector = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 1.0, -2.0]), min_size=items, max_size=items))
    )
    run = Run(folder, 'type: "Filter"', [x, selector], backward=False)
    np.testing.assert_allclose(run.tops[0], x[selector != 0], rtol=1e-6)


@given(seed=seeds, shape=shapes, data=st.data(), values_too=flags)
def test_argmax(folder, seed, shape, data, values_too):
    axis = data.draw(st.integers(0, len(shape) - 1))
    k = data.draw(st.integers(1, shape[axis]))
    x = values(seed, shape)
    body = f'type: "ArgMax" argmax_param {{ axis: {axis} top_k: {k} out_max_val: {text(values_too)} }}'
    places = np.flip(np.argsort(x, axis), axis).take(range(k), axis)
    expected = np.take_along_axis(x, places, axis) if values_too else places
    run = Run(folder, body, [x], backward=False)
    np.testing.assert_allclose(run.tops[0], expected, rtol=1e-6)


# Normalization.


@given(shape=st.lists(sizes, min_size=2, max_size=4).map(tuple), seed=seeds, eps=st.sampled_from([1e-5, 0.1]))
def test_batch_norm_with_stored_statistics(folder, shape, seed, eps):
    mean, factor = values(seed, (shape[1],)), 2.5
    variance = np.abs(values(seed + 1, (shape[1],), low=0.3))
    body = f'type: "BatchNorm" batch_norm_param {{ use_global_stats: true eps: {eps} }}'
    x = values(seed, shape)
    run = Run(folder, body, [x], params=[mean * factor, variance * factor, [factor]])
    np.testing.assert_allclose(run.tops[0], define.batch_norm(x, mean, variance, eps), rtol=1e-3, atol=1e-4)
    expected = define.batch_norm(run.weights[0], 0 * mean, variance, eps)
    np.testing.assert_allclose(run.bottom_diffs[0], expected, rtol=1e-3)


@given(shape=st.lists(st.integers(2, 4), min_size=2, max_size=4).map(tuple), seed=seeds, fraction=positive)
def test_batch_norm_with_those_of_the_batch(folder, shape, seed, fraction):
    body = (
        f'type: "BatchNorm" batch_norm_param {{ use_global_stats: false moving_average_fraction: {fraction} '
        "eps: 0.01 }"
    )
    axes = (0, *range(2, len(shape)))

    def normalized(x):
        return define.batch_norm(x, x.mean(axes), x.var(axes), 0.01)

    x = values(seed, shape, low=0.3)
    stored = [np.full(shape[1], 2.0), np.full(shape[1], 3.0), [4.0]]
    run = Run(folder, body, [x], params=stored)
    np.testing.assert_allclose(run.tops[0], normalized(x), rtol=1e-3, atol=1e-3)
    expected = difference(normalized, [x], 0, run.weights)
    np.testing.assert_allclose(run.bottom_diffs[0], expected, rtol=5e-3, atol=5e-3)
    count = x.size // shape[1]
    moving = [
        2 * fraction + x.mean(axes),
        3 * fraction + x.var(axes) * count / (count - 1),
        [4 * fraction + 1],
    ]
    for blob, value in zip(run.net.params["layer"], moving, strict=True):
        np.testing.assert_allclose(blob.data, value, rtol=1e-3, atol=1e-5)


@given(
    shape=st.lists(st.integers(2, 4), min_size=3, max_size=4).map(tuple),
    seed=seeds,
    across=flags,
    variance=flags,
)
def test_mvn(folder, shape, seed, across, variance):
    body = f'type: "MVN" mvn_param {{ across_channels: {text(across)} normalize_variance: {text(variance)} }}'
    x = values(seed, shape, low=0.3)
    check(folder, body, [x], lambda x: define.mvn(x, across, variance, 1e-9), tolerance=1e-2)


# Probabilities and losses.


@given(shape=shapes, seed=seeds, data=st.data())
def test_softmax(folder, shape, seed, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    body = f'type: "Softmax" softmax_param {{ axis: {axis} }}'
    check(folder, body, [5 * values(seed, shape)], lambda x: define.softmax(x, axis))


@st.composite
def predictions(draw):
    shape = draw(st.lists(st.integers(2, 4), min_size=2, max_size=4).map(tuple))
    axis = draw(st.integers(1, len(shape) - 1))
    seed = draw(seeds)
    ignore = draw(st.sampled_from([None, 0, 1]))
    random = np.random.RandomState(seed)
    labels = random.randint(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    return 3 * values(seed, shape), labels.astype(float), axis, ignore, draw(modes)


def loss_param(ignore, mode):
    ignored = "" if ignore is None else f"ignore_label: {ignore} "
    return f"loss_param {{ {ignored}normalization: {mode} }}"


@given(prediction=predictions())
def test_softmax_loss(folder, prediction):
    x, labels, axis, ignore, mode = prediction
    body = (
        f'type: "SoftmaxWithLoss" softmax_param {{ axis: {axis} }} {loss_param(ignore, mode)} loss_weight: 1'
    )
    run = Run(folder, body, [x, labels])
    assert run.tops[0] == pytest.approx(
        define.softmax_loss(x, labels, axis, ignore, mode), rel=1e-4, abs=1e-5
    )
    expected = difference(
        lambda x: define.softmax_loss(x, labels, axis, ignore, mode), [x], 0, [run.weights[0]]
    )
    np.testing.assert_allclose(run.bottom_diffs[0], expected, rtol=2e-3, atol=1e-4)


@given(prediction=predictions())
def test_accuracy(folder, prediction):
    x, labels, axis, ignore, _ = prediction
    ignored = "" if ignore is None else f"ignore_label: {ignore}"
    for top_k in (1, 2):
        body = f'type: "Accuracy" accuracy_param {{ axis: {axis} top_k: {top_k} {ignored} }}'
        run = Run(folder, body, [x, labels], backward=False)
        assert run.tops[0] == pytest.approx(define.accuracy(x, labels, axis, top_k, ignore), abs=1e-6)


@given(shape=st.lists(sizes, min_size=2, max_size=4).map(tuple), seed=seeds, mode=modes, ignored=flags)
def test_sigmoid_loss(folder, shape, seed, mode, ignored):
    targets = np.random.RandomState(seed).randint(0, 2, shape).astype(float)
    ignore = 1 if ignored else None
    body = f'type: "SigmoidCrossEntropyLoss" {loss_param(ignore, mode)} loss_weight: 1'
    x = 3 * values(seed, shape)
    run = Run(folder, body, [x, targets])
    assert run.tops[0] == pytest.approx(define.sigmoid_loss(x, targets, ignore, mode), rel=1e-4, abs=1e-5)
    expected = difference(lambda x: define.sigmoid_loss(x, targets, ignore, mode), [x], 0, [run.weights[0]])
    np.testing.assert_allclose(run.bottom_diffs[0], expected, rtol=2e-3, atol=1e-4)


@given(items=sizes, rest=shapes, seed=seeds)
def test_euclidean_loss(folder, items, rest, seed):
    shape = (items, *rest[:3])
    body = 'type: "EuclideanLoss" loss_weight: 1'
    check(
        folder,
        body,
        [values(seed, shape), values(seed + 1, shape)],
        lambda a, b: ((a - b) ** 2).sum() / items / 2,
    )


@given(items=sizes, classes=st.integers(2, 5), seed=seeds, norm=st.sampled_from(["L1", "L2"]))
def test_hinge_loss(folder, items, classes, seed, norm):
    labels = np.random.RandomState(seed).randint(0, classes, items).astype(float)
    body = f'type: "HingeLoss" hinge_loss_param {{ norm: {norm} }} loss_weight: 1'
    check(
        folder,
        body,
        [values(seed, (items, classes)), labels],
        lambda x, labels: define.hinge_loss(x, labels, norm),
        with_gradient=[0],
    )


@given(items=sizes, width=sizes, seed=seeds, margin=st.sampled_from([0.5, 1.0, 3.0]), legacy=flags)
def test_contrastive_loss(folder, items, width, seed, margin, legacy):
    similar = np.random.RandomState(seed).randint(0, 2, items).astype(float)
    body = (
        'type: "ContrastiveLoss" loss_weight: 1 '
        f"contrastive_loss_param {{ margin: {margin} legacy_version: {text(legacy)} }}"
    )
    check(
        folder,
        body,
        [values(seed, (items, width)), values(seed + 1, (items, width)), similar],
        lambda a, b, similar: define.contrastive_loss(a, b, similar, margin, legacy),
        with_gradient=[0, 1],
    )


@given(prediction=predictions())
def test_infogain_loss(folder, prediction):
    x, labels, axis, ignore, mode = prediction
    classes = x.shape[axis]
    matrix = np.random.RandomState(classes).uniform(0.1, 1, (classes, classes))
    body = f'type: "InfogainLoss" infogain_loss_param {{ axis: {axis} }} loss_weight: 1 '
    body += loss_param(ignore, mode)
    run = Run(folder, body, [x, labels, matrix[None, None]])

    def loss(x):
        return define.infogain_loss(x, labels, matrix, axis, ignore, mode)

    assert run.tops[0] == pytest.approx(loss(x), rel=1e-4, abs=1e-5)
    expected = difference(loss, [x], 0, [run.weights[0]])
    np.testing.assert_allclose(run.bottom_diffs[0], expected, rtol=2e-3, atol=1e-4)


@given(items=sizes, classes=st.integers(2, 5), seed=seeds)
def test_multinomial_logistic_loss(folder, items, classes, seed):
    random = np.random.RandomState(seed)
    probabilities = random.uniform(0.1, 1, (items, classes))
    labels = random.randint(0, classes, items).astype(float)
    check(
        folder,
        'type: "MultinomialLogisticLoss" loss_weight: 1',
        [probabilities, labels],
        lambda p, labels: -np.log(p[np.arange(items), labels.astype(int)]).sum() / items,
        with_gradient=[0],
    )


# Recurrence.


@given(
    steps=st.integers(1, 3),
    items=st.integers(1, 2),
    width=st.integers(1, 3),
    hidden=st.integers(1, 2),
    seed=seeds,
)
def test_recurrent_layers(folder, steps, items, width, hidden, seed):
    cont = np.random.RandomState(seed).randint(0, 2, (steps, items)).astype(float)
    x = values(seed, (steps, items, width))
    for kind, function in (("LSTM", define.lstm), ("RNN", define.rnn)):
        body = (
            f'type: "{kind}" recurrent_param {{ num_output: {hidden} '
            'weight_filler { type: "gaussian" std: 0.7 } bias_filler { type: "gaussian" } }'
        )
        check(
            folder, body, [x, cont], function, with_gradient=[0], params=[None] * (3 if kind == "LSTM" else 5)
        )
