"""Coordinate maps between blobs, and the crops made of them."""

import numpy as np
import pytest

import caffe
from caffe import coord_map
from caffe import layers as L


def grown(stride=2, kernel=4, pad=1, conv_pad=0):
    """A net whose score map is its input shrunk by `stride` and grown again."""
    n = caffe.NetSpec()
    n.data = L.Input(input_param=dict(shape=dict(dim=[1, 1, 40, 40])))
    n.conv = L.Convolution(n.data, num_output=2, kernel_size=3, pad=conv_pad)
    n.relu = L.ReLU(n.conv, in_place=True)
    n.pool = L.Pooling(n.relu, pool=0, kernel_size=stride, stride=stride)
    n.up = L.Deconvolution(
        n.pool, convolution_param=dict(num_output=2, kernel_size=kernel, stride=stride, pad=pad)
    )
    return n


def place_of(fn, size, at):
    """Where output `at` of a sliding layer is centered in its input: the mean of the inputs it sees."""
    axis, stride, kernel, pad = coord_map.conv_params(fn)
    return at * stride - pad + (kernel - 1) / 2


def test_maps_give_the_centers_of_what_a_layer_sees():
    n = caffe.NetSpec()
    n.data = L.Input()
    n.conv = L.Convolution(n.data, num_output=1, kernel_size=5, stride=2, pad=1, dilation=2)
    axis, a, b = coord_map.coord_map(n.conv.fn)
    assert axis == 1
    for at in range(4):
        center = place_of(n.conv.fn, 40, at)
        np.testing.assert_allclose(a * center + b, at)
    # and back, which is what a deconvolution of the same geometry does
    n.up = L.Deconvolution(n.conv, convolution_param=dict(num_output=1, kernel_size=5, stride=2, pad=1))
    n.down = L.Convolution(n.up, num_output=1, kernel_size=5, stride=2, pad=1)
    axis, a, b = coord_map.compose(coord_map.coord_map(n.down.fn), coord_map.coord_map(n.up.fn))
    assert (axis, a, b) == (1, 1, 0)


def test_layers_that_keep_coordinates():
    n = caffe.NetSpec()
    n.data = L.Input()
    for name in ("ReLU", "Quant", "BatchNorm", "Scale", "Dropout", "LRN"):
        assert coord_map.coord_map(getattr(L, name)(n.data).fn) == (None, 1, 0)


def test_composing_and_inverting():
    axis, a, b = coord_map.compose((1, 2, 3), (None, 5, 7))
    assert (axis, a, b) == (1, 10, 17)  # 2 (5 x + 7) + 3
    assert coord_map.compose((2, 4, 5), coord_map.inverse((2, 4, 5))) == (2, 1, 0)
    with pytest.raises(coord_map.AxisMismatchException, match="axis 1.*axis 2"):
        coord_map.compose((1, 1, 0), (2, 1, 0))


def test_a_crop_aligns_a_score_map_with_the_image(tmp_path):
    for conv_pad in (0, 1):
        n = grown(conv_pad=conv_pad)
        _, a, b = coord_map.coord_map_from_to(n.up, n.data)
        assert a == 1 and b == 1 - conv_pad  # the convolution cut one pixel on each side
    # a larger padding, as fully convolutional nets have, makes room to crop
    n = grown(conv_pad=3)
    n.score = coord_map.crop(n.up, n.data)
    (layer,) = [layer for layer in n.to_proto().layer if layer.type == "Crop"]
    assert list(layer.crop_param.offset) == [2] and layer.crop_param.axis == 2
    file = tmp_path / "net.prototxt"
    file.write_text(str(n.to_proto()))
    net = caffe.Net(file, caffe.TEST)
    assert net.blobs["score"].data.shape == (1, 2, 40, 40)


def test_a_crop_of_a_crop():
    n = grown(conv_pad=3)
    n.first = L.Crop(n.up, n.data, crop_param=dict(axis=2, offset=1))
    n.second = coord_map.crop(n.first, n.data)
    assert n.second.fn.params["crop_param"]["offset"] == [1]


def test_each_axis_has_its_own_numbers():
    n = caffe.NetSpec()
    n.data = L.Input()
    n.conv = L.Convolution(n.data, convolution_param=dict(num_output=1, kernel_size=[3, 5], pad=[4, 5]))
    _, a, b = coord_map.coord_map_from_to(n.conv, n.data)
    np.testing.assert_array_equal(b, [-3, -3])
    assert coord_map.crop(n.conv, n.data).fn.params["crop_param"] == dict(axis=2, offset=[3, 3])


def test_maps_that_do_not_exist():
    n = grown()
    n.score = L.InnerProduct(n.up, num_output=3)
    with pytest.raises(coord_map.UndefinedMapException, match="InnerProduct"):
        coord_map.coord_map(n.score.fn)
    other = caffe.NetSpec()
    other.data = L.Input()
    for start in (n.score, other.data):
        with pytest.raises(RuntimeError, match="no coordinate map"):
            coord_map.coord_map_from_to(start, n.data)


def test_crops_that_cannot_be():
    n = grown()
    with pytest.raises(AssertionError, match="scale"):
        coord_map.crop(n.pool, n.data)
    with pytest.raises(AssertionError, match="before its input"):
        coord_map.crop(n.up, n.data)
    halves = grown(kernel=3, conv_pad=3)
    with pytest.raises(AssertionError, match="between two pixels"):
        coord_map.crop(halves.up, halves.data)
    n.uneven = L.Convolution(n.data, num_output=1, kernel_h=3, kernel_w=5)
    with pytest.raises(ValueError, match="kernel_h, kernel_w: use kernel_size"):
        coord_map.coord_map(n.uneven.fn)
