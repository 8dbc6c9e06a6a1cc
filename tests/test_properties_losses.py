"""Losses and the accuracy, against their definitions."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import SEEDS, OneLayer, apart_from, check, distinct, fields, floats, normal, options, shapes
from reference import losses, normalization

import caffe

WEIGHTS = st.sampled_from([None, 1.0, 2.5, -0.5])
MODES = options(
    normalization=st.sampled_from(["FULL", "VALID", "BATCH_SIZE", "NONE"]), normalize=st.booleans()
)


def weighted(weight, tops=1):
    """The field of the loss's weight, and the weights as `check` takes them."""
    written = f"loss_weight: {weight} " + "loss_weight: 0 " * (tops - 1) if weight is not None else ""
    return written, [1.0 if weight is None else weight, 0][:tops]


@st.composite
def predictions(draw, first_axis=0):
    """Shape of scores, the classes' axis, shape of labels, and a label to ignore."""
    shape = draw(shapes(min_axes=first_axis + 1, max_axes=4, max_side=5))
    axis = draw(st.integers(first_axis, len(shape) - 1))
    classes = shape[axis]
    labels = shape[:axis] + shape[axis + 1 :]
    if not labels or draw(st.booleans()):
        labels = shape[:axis] + (1,) + shape[axis + 1 :]
    ignore = draw(st.one_of(st.none(), st.integers(0, classes - 1), st.sampled_from([-1, 255])))
    return shape, axis, labels, ignore


def labels_for(rng, prediction):
    shape, axis, labels, ignore = prediction
    values = rng.integers(0, shape[axis], labels)
    if ignore is not None:
        values[rng.random(labels) < 0.3] = ignore
    return values.astype(np.float32)


def named_axis(data, shape, axis):
    """The axis from either end, or left out where it is 1."""
    if axis == 1 and data.draw(st.booleans()):
        return {}
    return {"axis": data.draw(st.sampled_from([axis, axis - len(shape)]))}


def other_items(*bottoms):
    return [(len(x) + 1, *x.shape[1:]) for x in bottoms]


@given(prediction=predictions(first_axis=1), mode=MODES, weight=WEIGHTS, seed=SEEDS, data=st.data())
def test_softmax_loss(prediction, mode, weight, seed, data):
    shape, axis, _, ignore = prediction
    rng = np.random.default_rng(seed)
    bottoms = [normal(rng, shape, 2), labels_for(rng, prediction)]
    both = data.draw(st.booleans())
    written, weights = weighted(weight, 2 if both else 1)

    def definition(x, label):
        loss = losses.softmax_loss(x, label, axis, ignore_label=ignore, **mode)
        return [loss, normalization.softmax(x, axis)] if both else loss

    check(
        f'type: "SoftmaxWithLoss" softmax_param {{ {fields(**named_axis(data, shape, axis))} }} '
        f"loss_param {{ {fields(ignore_label=ignore, **mode)} }} {written}",
        bottoms,
        definition,
        tops=1 + both,
        loss_weights=weights,
        constant=[1],
        seed=seed,
        first_shapes=other_items(*bottoms) if seed % 2 else None,
    )


@given(
    prediction=predictions(first_axis=1),
    mode=MODES,
    weight=WEIGHTS,
    source=st.sampled_from(["bottom", "file"]),
    both=st.booleans(),
    seed=SEEDS,
    data=st.data(),
)
def test_infogain_loss(prediction, mode, weight, source, both, seed, data, tmp_path_factory):
    shape, axis, _, ignore = prediction
    rng = np.random.default_rng(seed)
    bottoms = [normal(rng, shape, 2), labels_for(rng, prediction)]
    matrix = rng.random((1, 1, shape[axis], shape[axis])).astype(np.float32)
    param = named_axis(data, shape, axis)
    if source == "bottom":
        bottoms.append(matrix)
    else:
        file = tmp_path_factory.mktemp("infogain") / "matrix.binaryproto"
        file.write_bytes(caffe.io.array_to_blobproto(matrix).SerializeToString())
        param["source"] = f'"{file}"'
    written, weights = weighted(weight, 2 if both else 1)

    def definition(x, label, *_):
        loss = losses.infogain_loss(x, label, matrix.astype(np.float64), axis, ignore, **mode)
        return [loss, normalization.softmax(x, axis)] if both else loss

    check(
        f'type: "InfogainLoss" infogain_loss_param {{ {fields(**param)} }} '
        f"loss_param {{ {fields(ignore_label=ignore, **mode)} }} {written}",
        bottoms,
        definition,
        tops=1 + both,
        loss_weights=weights,
        constant=[1, 2],
        seed=seed,
    )


@given(shape=shapes(min_axes=2, max_axes=4), weight=WEIGHTS, seed=SEEDS)
def test_multinomial_logistic_loss(shape, weight, seed):
    # An item has a probability for each class: no further axes.
    shape = (*shape[:2], *[1] * (len(shape) - 2))
    rng = np.random.default_rng(seed)
    bottoms = [rng.uniform(0.1, 1, shape).astype("f"), rng.integers(0, shape[1], shape[0]).astype("f")]
    written, weights = weighted(weight)
    check(
        f'type: "MultinomialLogisticLoss" {written}',
        bottoms,
        losses.multinomial_logistic_loss,
        loss_weights=weights,
        constant=[1],
        seed=seed,
        first_shapes=other_items(*bottoms) if seed % 2 else None,
    )


@given(
    shape=shapes(),
    mode=MODES,
    ignore=st.sampled_from([None, -1, 0, 1]),
    certain=st.booleans(),
    weight=WEIGHTS,
    seed=SEEDS,
)
def test_sigmoid_cross_entropy_loss(shape, mode, ignore, certain, weight, seed):
    rng = np.random.default_rng(seed)
    target = rng.random(shape)
    if certain or ignore is not None:
        target = np.round(target)
    if ignore is not None:
        target[rng.random(shape) < 0.3] = ignore
    written, weights = weighted(weight)
    bottoms = [normal(rng, shape, 2), target.astype(np.float32)]
    check(
        f'type: "SigmoidCrossEntropyLoss" loss_param {{ {fields(ignore_label=ignore, **mode)} }} {written}',
        bottoms,
        lambda x, target: losses.sigmoid_cross_entropy_loss(x, target, ignore, **mode),
        loss_weights=weights,
        constant=[1],
        seed=seed,
        first_shapes=other_items(*bottoms) if seed % 2 else None,
    )


@given(shape=shapes(), weight=WEIGHTS, seed=SEEDS)
def test_euclidean_loss(shape, weight, seed):
    rng = np.random.default_rng(seed)
    written, weights = weighted(weight)
    bottoms = [normal(rng, shape), normal(rng, shape)]
    check(
        f'type: "EuclideanLoss" {written}',
        bottoms,
        losses.euclidean_loss,
        loss_weights=weights,
        seed=seed,
        first_shapes=other_items(*bottoms) if seed % 2 else None,
    )


@given(
    shape=shapes(min_axes=2, max_axes=4), norm=st.sampled_from([None, "L1", "L2"]), weight=WEIGHTS, seed=SEEDS
)
def test_hinge_loss(shape, norm, weight, seed):
    rng = np.random.default_rng(seed)
    classes = int(np.prod(shape[1:]))
    bottoms = [apart_from(rng, shape, 1, -1), rng.integers(0, classes, shape[0]).astype("f")]
    written, weights = weighted(weight)
    check(
        f'type: "HingeLoss" hinge_loss_param {{ {fields(norm=norm)} }} {written}',
        bottoms,
        lambda x, label: losses.hinge_loss(x, label, norm),
        loss_weights=weights,
        constant=[1],
        seed=seed,
        first_shapes=other_items(*bottoms) if seed % 2 else None,
    )


@given(
    items=st.integers(1, 6),
    width=st.integers(1, 5),
    trailing=st.sampled_from([(), (1,), (1, 1)]),
    values=options(margin=floats(0.5, 4), legacy_version=st.booleans()),
    weight=WEIGHTS,
    seed=SEEDS,
)
def test_contrastive_loss(items, width, trailing, values, weight, seed):
    rng = np.random.default_rng(seed)
    a, b = (normal(rng, (items, width, *trailing)) for _ in range(2))
    similar = rng.integers(0, 2, (items, *[1 for _ in trailing])).astype(np.float32)
    distance = np.sqrt(((a - b) ** 2).reshape(items, -1).sum(1))
    margin = values.get("margin", 1)
    assume((abs(distance - margin) > 0.02).all() and (abs(distance**2 - margin) > 0.02).all())
    # The gradient divides by the distance and 1e-4, as in Caffe.
    assume((distance > 0.3).all())
    written, weights = weighted(weight)
    check(
        f'type: "ContrastiveLoss" contrastive_loss_param {{ {fields(**values)} }} {written}',
        [a, b, similar],
        lambda a, b, similar: losses.contrastive_loss(a, b, similar, **values),
        loss_weights=weights,
        constant=[2],
        seed=seed,
        first_shapes=other_items(a, b, similar) if seed % 2 else None,
        tolerance=3e-4,
    )


@given(prediction=predictions(), per_class=st.booleans(), ties=st.booleans(), seed=SEEDS, data=st.data())
def test_accuracy(prediction, per_class, ties, seed, data):
    shape, axis, _, ignore = prediction
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, shape).astype(np.float32) if ties else distinct(rng, shape)
    label = labels_for(rng, prediction)
    values = named_axis(data, shape, axis)
    if data.draw(st.booleans()):
        values["top_k"] = data.draw(st.integers(1, shape[axis]))

    def definition(x, label):
        both = losses.accuracy(x, label, values.get("top_k", 1), axis, ignore)
        return both if per_class else both[0]

    check(
        f'type: "Accuracy" accuracy_param {{ {fields(ignore_label=ignore, **values)} }}',
        [x, label],
        definition,
        tops=1 + per_class,
        backward=False,
        seed=seed,
        first_shapes=other_items(x, label) if axis and seed % 2 else None,
    )


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "SigmoidCrossEntropyLoss", "InfogainLoss"])
def test_nothing_counts(kind):
    """Where every label is ignored, the loss and its gradient are 0 in every mode."""
    x = np.ones((2, 3), np.float32)
    labels = np.full((2, 3) if kind.startswith("Sigmoid") else 2, 1, np.float32)
    more = [np.ones((1, 1, 3, 3), np.float32)] if kind == "InfogainLoss" else []
    for mode in "FULL", "VALID", "BATCH_SIZE", "NONE":
        body = f'type: "{kind}" loss_param {{ ignore_label: 1 normalization: {mode} }}'
        layer = OneLayer(body, [x, labels, *more])
        assert layer.forward()[0] == 0
        assert not layer.backward([None])[0][0].any()
