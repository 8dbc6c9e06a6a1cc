"""Convolution, pooling and their kin, against their definitions."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import SEEDS, OneLayer, apart_from, check, distinct, fields, normal, options
from reference import windows

import caffe


@st.composite
def windows_over(draw, axes, dilated=True):
    """Fields of a window over so many axes, once for all or one for each, or by the names of height and
    width."""
    if axes == 2 and draw(st.booleans()):
        window = {"kernel_h": draw(st.integers(1, 4)), "kernel_w": draw(st.integers(1, 4))}
        for name, low in ("stride", 1), ("pad", 0):
            if draw(st.booleans()):
                window |= {f"{name}_{axis}": draw(st.integers(low, 3)) for axis in "hw"}
    else:
        several = st.booleans() if axes else st.just(False)

        def field(low, high):
            if draw(several):
                return [draw(st.integers(low, high)) for _ in range(axes)]
            return draw(st.integers(low, high))

        window = {"kernel_size": field(1, 4)}
        if draw(st.booleans()):
            window["stride"] = field(1, 3)
        if draw(st.booleans()):
            window["pad"] = field(0, 3)
    if dilated and draw(st.booleans()):
        window["dilation"] = draw(st.integers(1, 3))
    return window


@st.composite
def convolutions(draw, transposed=False):
    """Input shape, output channels, parameters."""
    axes = draw(st.sampled_from([2, 2, 2, 1, 3]))
    axis = draw(st.sampled_from([1, 1, 1, 2, 0]))
    window = draw(windows_over(axes))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    channels, outputs = (group * draw(st.integers(1, 3)) for _ in range(2))
    kernel, _, pad, dilation = windows.geometry(axes, **window)
    reach = windows.extent(kernel, dilation)
    if transposed:
        sides = [draw(st.integers(1, 4)) for _ in range(axes)]
        assume(all(r > 2 * p for r, p in zip(reach, pad, strict=True)))
    else:
        least = [max(1, r - 2 * p) for r, p in zip(reach, pad, strict=True)]
        sides = [draw(st.integers(n, n + (5 if axes < 3 else 2))) for n in least]
    items = [draw(st.integers(1, 3)) for _ in range(axis)]
    more = {"group": group} if group > 1 else {}
    if axis != 1 or draw(st.booleans()):
        more["axis"] = draw(st.sampled_from([axis, axis - len(items) - 1 - axes]))
    if draw(st.booleans()):
        more["bias_term"] = draw(st.booleans())
    if draw(st.booleans()):
        more["force_nd_im2col"] = draw(st.booleans())
    if draw(st.booleans()):
        more["engine"] = "CAFFE"
    return (*items, channels, *sides), axis, outputs, window | more


def convolution_case(case, seed, transposed=False):
    shape, axis, outputs, values = case
    rng = np.random.default_rng(seed)
    group = values.get("group", 1)
    kernel = windows.geometry(len(shape) - axis - 1, **values)[0]
    if transposed:
        params = [normal(rng, (shape[axis], outputs // group, *kernel))]
    else:
        params = [normal(rng, (outputs, shape[axis] // group, *kernel))]
    if values.get("bias_term", True):
        params.append(normal(rng, (outputs,)))
    window = {
        name: value
        for name, value in values.items()
        if name not in ("axis", "bias_term", "engine", "force_nd_im2col")
    }
    return normal(rng, shape), params, window | {"axis": axis}


def grown(shape, axis):
    """Another shape that the same parameters fit."""
    return tuple(side + (i != axis) for i, side in enumerate(shape))


@given(case=convolutions(), seed=SEEDS)
def test_convolution(case, seed):
    x, params, window = convolution_case(case, seed)
    check(
        f'type: "Convolution" convolution_param {{ {fields(num_output=case[2], **case[3])} }}',
        [x],
        lambda x, *params: windows.convolution(x, *params, **window),
        params=params,
        seed=seed,
        first_shapes=[grown(x.shape, window["axis"])] if seed % 2 else None,
    )


@given(case=convolutions(transposed=True), seed=SEEDS)
def test_deconvolution(case, seed):
    x, params, window = convolution_case(case, seed, transposed=True)
    check(
        f'type: "Deconvolution" convolution_param {{ {fields(num_output=case[2], **case[3])} }}',
        [x],
        lambda x, *params: windows.deconvolution(x, *params, **window),
        params=params,
        seed=seed,
        first_shapes=[grown(x.shape, window["axis"])] if seed % 2 else None,
    )


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@given(case=convolutions(), count=st.integers(2, 3), seed=SEEDS)
def test_several_bottoms_share_the_weights(kind, case, count, seed):
    transposed = kind == "Deconvolution"
    if transposed:
        kernel, _, pad, dilation = windows.geometry(len(case[0]) - case[1] - 1, **case[3])
        reach = windows.extent(kernel, dilation)
        assume(all(r > 2 * p for r, p in zip(reach, pad, strict=True)))
    x, params, window = convolution_case(case, seed, transposed)
    rng = np.random.default_rng(seed)
    definition = windows.deconvolution if transposed else windows.convolution
    check(
        f'type: "{kind}" convolution_param {{ {fields(num_output=case[2], **case[3])} }}',
        [x, *[normal(rng, x.shape) for _ in range(count - 1)]],
        lambda *values: [definition(x, *values[count:], **window) for x in values[:count]],
        params=params,
        tops=count,
        seed=seed,
    )


BINARY = options(use_alpha=st.booleans(), use_binarization=st.booleans())


@given(case=convolutions(), binary=BINARY, seed=SEEDS)
def test_binary_convolution(case, binary, seed):
    x, params, window = convolution_case(case, seed)
    params[0] = apart_from(np.random.default_rng(seed), params[0].shape, 0, margin=1e-4)

    def straight_through(top_diffs, x, weights, *bias):
        # The layer is linear in what it multiplies with, whose gradient is handed to the weights.
        used = windows.binarized(weights, **binary)
        dy = top_diffs[0].astype(np.float64)

        def of_weights(w):
            return (dy * windows.convolution(x, w, **window)).sum()

        def of_input(x):
            return (dy * windows.convolution(x, used, **window)).sum()

        found = [slopes_of_linear(of_input, x), slopes_of_linear(of_weights, used)]
        axes = tuple(i for i in range(dy.ndim) if i != window["axis"])
        return found + [dy.sum(axes) for _ in bias]

    check(
        f'type: "BinaryConvolution" convolution_param {{ {fields(num_output=case[2], **case[3])} }} '
        f"binary_convolution_param {{ {fields(**binary)} }}",
        [x],
        lambda x, weights, *bias: windows.convolution(
            x, windows.binarized(weights, **binary), *bias, **window
        ),
        params=params,
        gradients=straight_through,
        seed=seed,
    )


def slopes_of_linear(function, at):
    """The gradient of a linear function: its values on unit vectors."""
    unit = np.zeros(at.shape)
    slopes = np.empty(at.size)
    for i in range(at.size):
        unit.flat[i] = 1
        slopes[i] = function(unit)
        unit.flat[i] = 0
    return slopes.reshape(at.shape)


@given(case=convolutions(), seed=SEEDS)
def test_im2col(case, seed):
    shape, axis, _, values = case
    values = {name: value for name, value in values.items() if name not in ("group", "bias_term", "engine")}
    window = {name: value for name, value in values.items() if name not in ("force_nd_im2col", "axis")}
    check(
        f'type: "Im2col" convolution_param {{ {fields(**values)} }}',
        [normal(np.random.default_rng(seed), shape)],
        lambda x: windows.im2col(x, axis=axis, **window),
        seed=seed,
        first_shapes=[grown(shape, axis)] if seed % 2 else None,
    )


@st.composite
def poolings(draw):
    """Input shape and parameters in which each window sees something."""
    if draw(st.integers(0, 5)) == 0:
        values = {"global_pooling": True}
        sides = [draw(st.integers(1, 6)) for _ in range(2)]
    else:
        one = st.booleans()
        values = {}
        if draw(one):
            values["kernel_size"] = draw(st.integers(1, 5))
        else:
            values |= {"kernel_h": draw(st.integers(1, 5)), "kernel_w": draw(st.integers(1, 5))}
        if draw(one):
            values["stride"] = draw(st.integers(1, 4))
        elif draw(one):
            values |= {"stride_h": draw(st.integers(1, 4)), "stride_w": draw(st.integers(1, 4))}
        if draw(one):
            values["pad"] = draw(st.integers(0, 4))
        elif draw(one):
            values |= {"pad_h": draw(st.integers(0, 4)), "pad_w": draw(st.integers(0, 4))}
        if draw(one):
            values["round_mode"] = draw(st.sampled_from(["CEIL", "FLOOR"]))
        kernel, stride, pad, _ = windows.geometry(2, **values)
        assume(all(p < k for k, p in zip(kernel, pad, strict=True)))
        sides = [draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, pad, strict=True)]
        for n, k, s, p in zip(sides, kernel, stride, pad, strict=True):
            last = windows.pooled_side(n, k, s, p, any(pad), values.get("round_mode", "CEIL")) - 1
            assume(last * s - p < n)
    return (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *sides), values


@pytest.mark.parametrize("pool", [None, "MAX", "AVE"])
@given(case=poolings(), seed=SEEDS)
def test_pooling(pool, case, seed):
    shape, values = case
    check(
        f'type: "Pooling" pooling_param {{ {fields(pool=pool, **values)} }}',
        [distinct(np.random.default_rng(seed), shape)],
        lambda x: windows.pooling(x, pool or "MAX", **values),
        seed=seed,
        first_shapes=[tuple(side + 1 for side in shape)] if seed % 2 else None,
    )


@given(case=poolings(), seed=SEEDS)
def test_where_the_largest_lie(case, seed):
    shape, values = case
    check(
        f'type: "Pooling" pooling_param {{ {fields(**values)} }}',
        [distinct(np.random.default_rng(seed), shape)],
        lambda x: [windows.pooling(x, **values), windows.pooling_mask(x, **values)],
        tops=2,
        gradients=lambda dy, x: [None],
        seed=seed,
    )


@given(case=poolings(), seed=SEEDS)
def test_stochastic_pooling(case, seed):
    """In training each window gives one of its values, and that one gets the gradient; in test their mean,
    weighted with themselves."""
    shape, values = case
    _, _, pad, _ = windows.geometry(2, **values)
    assume(not any(pad))
    rng = np.random.default_rng(seed)
    x = np.abs(distinct(rng, shape)) + np.float32(0.1)
    body = f'type: "Pooling" pooling_param {{ {fields(pool="STOCHASTIC", **values)} }}'
    layer = OneLayer(body, [x])
    (y,) = layer.forward()
    dy = normal(rng, y.shape)
    (dx,), _ = layer.backward([dy])
    out, places = windows.pooling_windows(x, **values)
    assert y.shape == (*shape[:2], *out)
    expected = np.zeros(shape)
    for at, inside, _ in places:
        for plane in np.ndindex(*shape[:2]):
            found = np.argwhere(x[(*plane, *inside)] == y[(*plane, *at)])
            assert len(found) == 1
            place = tuple(int(i) + s.start for i, s in zip(found[0], inside, strict=True))
            expected[(*plane, *place)] += dy[(*plane, *at)]
    np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-5)
    test = OneLayer(body, [x], phase=caffe.TEST)
    np.testing.assert_allclose(test.forward()[0], windows.expected_pooling(x, **values), rtol=1e-4)


@st.composite
def pyramids(draw):
    height = draw(st.integers(1, 3))
    sides = [draw(st.integers(1, 11)) for _ in range(2)]
    for level in range(height):
        for side in sides:
            kernel, pad = windows.spp_window(side, 2**level)
            assume(pad < kernel)
            # Windows that begin behind the input would be left out, and the output have another size.
            assume(windows.pooled_side(side, kernel, kernel, pad, True) == 2**level)
    return (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *sides), height


@pytest.mark.parametrize("pool", [None, "MAX", "AVE"])
@given(case=pyramids(), seed=SEEDS)
def test_spp(pool, case, seed):
    shape, height = case
    check(
        f'type: "SPP" spp_param {{ {fields(pyramid_height=height, pool=pool)} }}',
        [distinct(np.random.default_rng(seed), shape)],
        lambda x: windows.spp(x, height, pool or "MAX"),
        seed=seed,
        first_shapes=[(shape[0] + 1, *shape[1:])] if seed % 2 else None,
    )
