"""Arrays over a net's memory: no copies, and valid whatever becomes of the net."""

import gc
import weakref

import numpy as np
import pytest

import caffe
from caffe._caffe import Database

INNER_PRODUCT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""
MEMORY_DATA = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 1 height: 2 width: 3 } }
layer { name: "sum" type: "Power" bottom: "data" top: "twice" power_param { scale: 2 } }
layer { name: "silence" type: "Silence" bottom: "label" }
"""


@pytest.fixture
def make_net(tmp_path):
    def make(text):
        file = tmp_path / "net.prototxt"
        file.write_text(text)
        return caffe.Net(file, caffe.TEST)

    return make


def scribble():
    """Takes the memory that has just been given back, if it has."""
    return [np.full(size, 7, np.float32) for size in (6, 8, 12, 24, 100, 1000) for _ in range(200)]


def test_views_share_the_blobs_memory(make_net):
    net = make_net(INNER_PRODUCT)
    first, second = net.blobs["data"].data, net.blobs["data"].data
    first[...] = np.arange(6).reshape(2, 3)
    assert np.shares_memory(first, second)
    np.testing.assert_array_equal(second, [[0, 1, 2], [3, 4, 5]])
    weights, bias = (blob.data for blob in net.params["ip"])
    bias[...] = [1, 2, 3, 4]
    np.testing.assert_allclose(net.forward()["ip"], first @ weights.T + bias, rtol=1e-5)


def test_values_can_be_assigned_and_changed_in_place(make_net):
    blob = make_net(INNER_PRODUCT).blobs["data"]
    blob.data = 3
    blob.data += 1
    blob.diff[0] = [1, 2, 3]
    blob.diff = blob.diff * 2
    np.testing.assert_array_equal(blob.data, np.full((2, 3), 4))
    np.testing.assert_array_equal(blob.diff, [[2, 4, 6], [0, 0, 0]])


def test_views_outlive_their_net(make_net):
    net = make_net(INNER_PRODUCT)
    data, weights, output = net.blobs["data"].data, net.params["ip"][0].data, net.forward()["ip"]
    data[...] = 1
    before = weights.copy()
    del net
    gc.collect()
    kept = scribble()
    np.testing.assert_array_equal(data, np.ones((2, 3)))
    np.testing.assert_array_equal(weights, before)
    np.testing.assert_array_equal(output, np.zeros((2, 4)))
    weights[...] = 5
    assert kept


def test_blobs_layers_and_parameters_outlive_their_net(make_net):
    net = make_net(INNER_PRODUCT)
    blob, layer, parameters = net.blobs["data"], net.layers[1], net.params["ip"]
    del net
    gc.collect()
    assert scribble()
    assert blob.shape == (2, 3)
    assert layer.type == "InnerProduct"
    assert [b.shape for b in parameters] == [(4, 3), (4,)]


@pytest.mark.parametrize("rows", [1, 1000])
def test_reshaping_leaves_views_valid(make_net, rows):
    net = make_net(INNER_PRODUCT)
    view = net.blobs["data"].data
    view[...] = 2
    net.blobs["data"].reshape(rows, 3)
    net.reshape()
    net.blobs["data"].data[...] = 1
    assert scribble()
    assert view.shape == (2, 3)
    assert net.blobs["data"].data.shape == (rows, 3)
    assert net.forward()["ip"].shape == (rows, 4)
    if rows > 2:
        np.testing.assert_array_equal(view, np.full((2, 3), 2))


def test_reshape_takes_numbers_or_a_sequence(make_net):
    blob = make_net(INNER_PRODUCT).blobs["data"]
    blob.reshape(2, 3, 4, 5)
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (2, 3, 4, 5, 120)
    blob.reshape([np.int64(6), 2])
    assert blob.shape == (6, 2)
    blob.reshape()
    assert (blob.shape, blob.data.shape, blob.count) == ((), (), 1)


@pytest.mark.parametrize("shape", [(2.5,), ("ab",), (None,), (2**40,)])
def test_shapes_are_whole_numbers(make_net, shape):
    with pytest.raises(TypeError, match="whole numbers"):
        make_net(INNER_PRODUCT).blobs["data"].reshape(*shape)


@pytest.mark.parametrize("shape", [(-1, 3), (1,) * 33, (2**30, 2**30)])
def test_impossible_shapes_are_errors(make_net, shape):
    net = make_net(INNER_PRODUCT)
    with pytest.raises(caffe.Error):
        net.blobs["data"].reshape(*shape)
    net.blobs["data"].reshape(2, 3)
    net.forward()


def test_values_of_another_shape_are_refused(make_net):
    net = make_net(INNER_PRODUCT)
    with pytest.raises(ValueError, match="broadcast"):
        net.params["ip"][0].data[...] = np.ones(5)
    with pytest.raises(ValueError, match="broadcast"):
        net.blobs["data"].data = np.ones((3, 3))


def test_vectors_of_blobs_behave_as_sequences(make_net):
    blobs = make_net(INNER_PRODUCT).params["ip"]
    assert len(blobs) == 2
    assert [b.shape for b in blobs[::-1]] == [(4,), (4, 3)]
    assert blobs[-1].count == 4
    with pytest.raises(IndexError, match="no blob 2"):
        blobs[2]
    # One that grows while it is gone through.
    shapes = []
    for blob in blobs:
        shapes.append(blob.shape)
        if len(blobs) < 50:
            blobs.add_blob(1, 2)
    assert shapes == [(4, 3), (4,)] + [(1, 2)] * 48


def test_arrays_given_as_data_are_served_and_kept(make_net):
    net = make_net(MEMORY_DATA)
    data = np.arange(24, dtype=np.float32).reshape(4, 1, 2, 3)
    net.set_input_arrays(data, np.arange(4))
    reference = weakref.ref(data)
    del data
    first = net.forward()["twice"].copy()
    second = net.forward()["twice"].copy()
    np.testing.assert_array_equal(np.concatenate([first, second]).ravel(), 2 * np.arange(24))
    view, blob = net.blobs["data"].data, net.blobs["data"]
    assert np.shares_memory(view, reference())
    np.testing.assert_array_equal(net.blobs["label"].data, [2, 3])
    del net
    gc.collect()
    assert scribble()
    np.testing.assert_array_equal(view.ravel(), np.arange(12, 24))
    np.testing.assert_array_equal(blob.data, view)
    del view, blob
    gc.collect()
    assert reference() is None


def test_batches_of_a_data_layer_are_views_too(make_net, tmp_path):
    with Database(tmp_path / "db", "new") as database:
        for number in range(4):
            datum = caffe.io.array_to_datum(np.full((1, 2, 3), number, np.uint8), number)
            database.put(f"{number}", datum.SerializeToString())
        database.commit()
    net = make_net(
        f"""layer {{ name: "data" type: "Data" top: "data" top: "label"
            data_param {{ source: "{tmp_path}/db" batch_size: 2 backend: LMDB }} }}
        layer {{ name: "sum" type: "Power" bottom: "data" top: "twice" power_param {{ scale: 2 }} }}"""
    )
    net.forward()
    view, labels = net.blobs["data"].data, net.blobs["label"].data
    np.testing.assert_array_equal(labels, [0, 1])
    view[...] = 5
    net._forward(1, 1)
    assert (net.blobs["twice"].data == 10).all()
    del net
    gc.collect()
    assert scribble()
    assert (view == 5).all()


def test_other_arrays_take_the_place_of_the_first(make_net):
    net = make_net(MEMORY_DATA)
    net.set_input_arrays(np.ones((2, 1, 2, 3)), np.zeros(2))
    net.forward()
    net.set_input_arrays(np.full((2, 1, 2, 3), 3), np.zeros(2))
    gc.collect()
    assert scribble()
    np.testing.assert_array_equal(net.blobs["data"].data, np.ones((2, 1, 2, 3)))
    assert (net.forward()["twice"] == 6).all()


def test_arrays_that_do_not_fit_are_refused(make_net):
    net = make_net(MEMORY_DATA)
    with pytest.raises(ValueError, match="N x 1 x 2 x 3"):
        net.set_input_arrays(np.ones((2, 1, 3, 3)), np.ones(2))
    with pytest.raises(ValueError, match="4 items but 2 labels"):
        net.set_input_arrays(np.ones((4, 1, 2, 3)), np.ones(2))
    with pytest.raises(caffe.Error, match="multiple of the batch size 2"):
        net.set_input_arrays(np.ones((3, 1, 2, 3)), np.ones(3))
    with pytest.raises(caffe.Error, match="there is no data"):
        net.forward()
    with pytest.raises(caffe.Error, match="MemoryData"):
        make_net(INNER_PRODUCT).set_input_arrays(np.ones((2, 1, 2, 3)), np.ones(2))
