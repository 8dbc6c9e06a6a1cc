"""Layers that are functions of single elements, against their definitions."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import SEEDS, OneLayer, apart_from, check, fields, floats, normal, options, shapes
from reference import elementwise

import caffe

# Blobs without elements are legal wherever each element stands for itself.
ANY = shapes(min_side=0)
IN_PLACE = st.booleans()


def draw_check(kind, definition, message, values, x, in_place, seed, **more):
    parameters = f"{message} {{ {fields(**values)} }}" if message else ""

    def of_bottom(x):
        return definition(x, **values)

    other = tuple(side + 1 for side in x.shape)
    check(f'type: "{kind}" {parameters}', [x], of_bottom, seed=seed, in_place=in_place, **more)
    check(f'type: "{kind}" {parameters}', [x], of_bottom, seed=seed, first_shapes=[other], **more)


@pytest.mark.parametrize("kind", ["Sigmoid", "TanH", "BNLL"])
@given(shape=ANY, in_place=IN_PLACE, seed=SEEDS)
def test_smooth(kind, shape, in_place, seed):
    x = normal(np.random.default_rng(seed), shape, 2)
    draw_check(kind, getattr(elementwise, kind.lower()), "", {}, x, in_place, seed)


@given(shape=ANY, seed=SEEDS)
def test_absval(shape, seed):
    x = apart_from(np.random.default_rng(seed), shape, 0)
    draw_check("AbsVal", elementwise.absval, "", {}, x, False, seed)


@given(shape=ANY, in_place=IN_PLACE, seed=SEEDS, values=options(negative_slope=floats(0.1, 2)))
def test_relu(shape, in_place, seed, values):
    x = apart_from(np.random.default_rng(seed), shape, 0)
    draw_check("ReLU", elementwise.relu, "relu_param", values, x, in_place, seed)


@given(shape=ANY, in_place=IN_PLACE, seed=SEEDS, values=options(alpha=floats(0.1, 2)))
def test_elu(shape, in_place, seed, values):
    x = apart_from(np.random.default_rng(seed), shape, 0)
    draw_check("ELU", elementwise.elu, "elu_param", values, x, in_place, seed)


@given(shape=ANY, in_place=IN_PLACE, seed=SEEDS, values=options(beta=floats(-2, 3)))
def test_swish(shape, in_place, seed, values):
    x = normal(np.random.default_rng(seed), shape)
    draw_check("Swish", elementwise.swish, "swish_param", values, x, in_place, seed)


@given(shape=ANY, in_place=IN_PLACE, seed=SEEDS, low=floats(-1, 0.5), span=floats(0.1, 2))
def test_clip(shape, in_place, seed, low, span):
    x = apart_from(np.random.default_rng(seed), shape, low, low + span)
    draw_check("Clip", elementwise.clip, "clip_param", dict(min=low, max=low + span), x, in_place, seed)


POWERS = st.one_of(st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, 0.5]), floats(-2, 3))


@given(
    shape=ANY,
    in_place=IN_PLACE,
    seed=SEEDS,
    values=options(power=POWERS, scale=floats(-2, 2), shift=floats(-1, 1)),
)
def test_power(shape, in_place, seed, values):
    x = normal(np.random.default_rng(seed), shape)
    scale, shift = values.get("scale", 1.0), values.get("shift", 0.0)
    if values.get("power", 1.0) not in (0, 1, 2, 3):
        # The base of a broken or negative power is kept positive, away from 0.
        assume(scale != 0 or shift > 0.3)
        if scale:
            x = ((np.abs(x) + 0.3 - shift) / scale).astype(np.float32)
    draw_check("Power", elementwise.power, "power_param", values, x, in_place, seed)


BASES = st.one_of(st.just(-1.0), floats(0.3, 0.9), floats(1.1, 10))


@given(
    shape=ANY,
    in_place=IN_PLACE,
    seed=SEEDS,
    values=options(base=BASES, scale=floats(-1.5, 1.5), shift=floats(-2, 2)),
)
def test_exp(shape, in_place, seed, values):
    x = normal(np.random.default_rng(seed), shape)
    draw_check("Exp", elementwise.exp, "exp_param", values, x, in_place, seed)


@given(
    shape=ANY,
    in_place=IN_PLACE,
    seed=SEEDS,
    values=options(base=BASES, scale=floats(0.2, 2), shift=floats(0, 2)),
)
def test_log(shape, in_place, seed, values):
    x = np.abs(normal(np.random.default_rng(seed), shape)) + np.float32(0.3)
    draw_check("Log", elementwise.log, "log_param", values, x, in_place, seed)


@given(shape=ANY, seed=SEEDS, values=options(threshold=floats(-1, 1)))
def test_threshold(shape, seed, values):
    x = apart_from(np.random.default_rng(seed), shape, values.get("threshold", 0), margin=1e-4)
    draw_check("Threshold", elementwise.threshold, "threshold_param", values, x, False, seed, backward=False)


def test_threshold_is_not_above_itself():
    x = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)
    (y,) = OneLayer('type: "Threshold" threshold_param { threshold: 0.5 }', [x]).forward()
    assert y.tolist() == [0, 1]


@given(shape=shapes(min_axes=2), shared=st.booleans(), in_place=IN_PLACE, seed=SEEDS)
def test_prelu(shape, shared, in_place, seed):
    rng = np.random.default_rng(seed)
    x = apart_from(rng, shape, 0)
    # In place the sign of the input is that of the output where the slope is positive.
    slope = np.abs(normal(rng, () if shared else shape[1:2])) + np.float32(0.1)
    body = f'type: "PReLU" prelu_param {{ {fields(channel_shared=shared)} }}'
    check(body, [x], elementwise.prelu, params=[slope], seed=seed, in_place=in_place)
    other = (shape[0] + 1, shape[1], *shape[2:])
    check(body, [x], elementwise.prelu, params=[slope - 1], seed=seed, first_shapes=[other])


CENTERS = st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True).map(
    lambda centers: [center / 64 for center in sorted(centers)]
)


@given(
    shape=ANY,
    seed=SEEDS,
    centers=CENTERS,
    values=options(
        forward_func=st.sampled_from(["hwgq", "sign", "hard_tanh", "relu"]),
        backward_func=st.sampled_from(["relu", "hard_tanh", "log_tailed_relu"]),
        clip_thr=floats(0, 2),
        negative_slope=floats(0, 0.5),
    ),
)
def test_quant(shape, seed, centers, values):
    values = values | {"centers": centers}
    if values.get("backward_func") == "log_tailed_relu":
        values["clip_thr"] = values.get("clip_thr") or 1.0
    middles = [(a + b) / 2 for a, b in zip(centers, centers[1:], strict=False)]
    end = values.get("clip_thr", 0)
    x = apart_from(np.random.default_rng(seed), shape, 0, *middles, 1, -1, end, -end, margin=1e-5)
    written = {name: f'"{value}"' if isinstance(value, str) else value for name, value in values.items()}
    check(
        f'type: "Quant" quant_param {{ {fields(**written)} }}',
        [x],
        lambda x: elementwise.quant(x, **values),
        gradients=lambda dy, x: [elementwise.quant_gradient(dy[0], x, **values)],
        seed=seed,
    )


@given(shape=ANY, ratio=st.one_of(st.none(), floats(0.1, 0.9)), in_place=IN_PLACE, seed=SEEDS)
def test_dropout(shape, ratio, in_place, seed):
    """In training what stays is scaled so that the mean stays; in test nothing happens."""
    body = 'type: "Dropout"' + ("" if ratio is None else f" dropout_param {{ dropout_ratio: {ratio} }}")
    kept_scale = 1 / (1 - (0.5 if ratio is None else ratio))
    rng = np.random.default_rng(seed)
    x = apart_from(rng, shape, 0, margin=1e-3)
    layer = OneLayer(body, [x], in_place=in_place)
    (y,) = layer.forward()
    kept = y != 0
    np.testing.assert_allclose(y, np.where(kept, x * kept_scale, 0), rtol=1e-5)
    dy = normal(rng, shape)
    (dx,), _ = layer.backward([dy])
    np.testing.assert_allclose(dx, np.where(kept, dy * kept_scale, 0), rtol=1e-5)
    check(body, [x], lambda x: x, phase=caffe.TEST, seed=seed, in_place=in_place)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_how_much_dropout_drops(ratio):
    caffe.set_random_seed(3)
    count = 40000
    layer = OneLayer(f'type: "Dropout" dropout_param {{ dropout_ratio: {ratio} }}', [np.ones(count, "f")])
    first, second = layer.forward()[0], layer.forward()[0]
    spread = 5 * np.sqrt(ratio * (1 - ratio) / count)
    assert abs((first == 0).mean() - ratio) < spread
    # Each run drops others.
    assert abs(((first == 0) & (second == 0)).mean() - ratio**2) < spread
