"""Arrays and messages."""

import numpy as np
import pytest

from caffe import io
from caffe.proto import caffe_pb2


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 3, 4, 5)])
def test_blobs_round_trip(shape):
    values = np.asarray(np.random.RandomState(0).normal(size=shape), np.float32)
    gradient = values * 2
    blob = caffe_pb2.BlobProto.FromString(io.array_to_blobproto(values, gradient).SerializeToString())
    np.testing.assert_array_equal(io.blobproto_to_array(blob), values)
    np.testing.assert_array_equal(io.blobproto_to_array(blob, return_diff=True), gradient)
    assert io.blobproto_to_array(blob).shape == shape


def test_an_array_need_not_be_contiguous():
    values = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(io.blobproto_to_array(io.array_to_blobproto(values)), values)


def test_blobs_of_older_files():
    blob = caffe_pb2.BlobProto(num=1, channels=3, height=1, width=2, data=range(6))
    assert io.blobproto_to_array(blob).shape == (1, 3, 1, 2)
    double = caffe_pb2.BlobProto(shape=dict(dim=[2]), double_data=[0.1, 0.2], double_diff=[1, 2])
    np.testing.assert_array_equal(io.blobproto_to_array(double), [0.1, 0.2])
    np.testing.assert_array_equal(io.blobproto_to_array(double, return_diff=True), [1, 2])


def test_lists_of_arrays_round_trip():
    arrays = [np.ones((2, 3), np.float32), np.arange(4, dtype=np.float32)]
    back = io.blobprotovector_str_to_arraylist(io.arraylist_to_blobprotovector_str(arrays))
    assert len(back) == 2
    for one, other in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_datums_round_trip(dtype):
    image = np.arange(24).reshape(2, 3, 4).astype(dtype)
    datum = io.array_to_datum(image, 7)
    assert (datum.channels, datum.height, datum.width, datum.label) == (2, 3, 4, 7)
    assert bool(datum.data) == (dtype == np.uint8)
    np.testing.assert_array_equal(io.datum_to_array(datum), image)


def test_datums_have_three_axes():
    with pytest.raises(ValueError, match="3 axes"):
        io.array_to_datum(np.zeros((2, 3)))
    assert not io.array_to_datum(np.zeros((1, 2, 3))).HasField("label")


@pytest.mark.parametrize("shape", [[-1], [2, -3], [7], []])
def test_values_and_shapes_must_fit(shape):
    blob = caffe_pb2.BlobProto(shape=dict(dim=shape), data=range(6))
    with pytest.raises(ValueError, match="shape"):
        io.blobproto_to_array(blob)


@pytest.mark.parametrize("size", [-1, 5, 1 << 30])
def test_a_datum_holds_as_much_as_it_says(size):
    with pytest.raises(ValueError, match="shape"):
        io.datum_to_array(caffe_pb2.Datum(channels=size, height=2, width=2, data=b"12345678"))


@pytest.mark.parametrize("shape", [[], [2], [2, -9], [0, 9], [2, 1 << 40], [3, 9]])
def test_packed_weights_have_a_bit_each(shape):
    blob = caffe_pb2.BlobProto(shape=dict(dim=[2, 9]), signs=b"\1\0\2\1", alphas=[1, 2])
    np.testing.assert_array_equal(io.blobproto_to_array(blob)[0], [1] + [-1] * 8)
    blob.shape.dim[:] = shape
    with pytest.raises(ValueError, match="shape"):
        io.blobproto_to_array(blob)


def test_a_mean_in_a_npy_file_is_no_larger_than_the_file(tmp_path):
    path = tmp_path / "mean.npy"
    mean = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    np.save(path, mean)
    np.testing.assert_array_equal(io.load_mean(path), mean)
    whole = path.read_bytes()
    shape = b"(3, 2, 2)"
    for damaged in (
        whole.replace(shape + b", }" + b" " * 12, b"(3, 200000000, 2), }   "),
        whole.replace(shape, b"((((, 2) "),
        whole[:-1],
        b"",
    ):
        assert damaged != whole
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"mean.npy: is no .npy file"):
            io.load_mean(path)
    np.savez(path.with_suffix(".npz"), mean)
    path.with_suffix(".npz").rename(path)
    with pytest.raises(ValueError, match="is no .npy file"):
        io.load_mean(path)
    with pytest.raises(OSError):
        io.load_mean(tmp_path / "none.npy")
