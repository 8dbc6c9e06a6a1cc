"""Normalization, probabilities, losses and recurrence, against their definitions.

Gradients are held to differences of the definitions.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import losses as define

import caffe

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**31)
flags = st.booleans()
shapes = st.lists(sizes, min_size=1, max_size=5).map(tuple)
positive = st.sampled_from([0.25, 0.5, 1.0, 1.5])
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
