"""extract_features, run as a user runs it."""

import numpy as np
import pytest
from tool_runner import fails, run

import caffe
from caffe import io
from caffe._caffe import Database
from caffe.proto.caffe_pb2 import Datum

ITEMS = 12

NET = """
layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "records" batch_size: 4 backend: LMDB } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "cube" type: "Reshape" bottom: "data" top: "cube"
  reshape_param { shape { dim: 0 dim: 3 dim: 2 dim: 2 dim: -1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


@pytest.fixture
def folder(tmp_path):
    images = np.random.default_rng(4).integers(0, 256, (ITEMS, 3, 4, 6), np.uint8)
    with Database(str(tmp_path / "records"), "new") as database:
        for number, image in enumerate(images):
            database.put(f"{number:08d}", io.array_to_datum(image, number % 5).SerializeToString())
        database.commit()
    (tmp_path / "net.prototxt").write_text(NET)
    # Caffe takes a Data layer's path from the working folder; from elsewhere, it lies beside the prototxt.
    caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST).save(str(tmp_path / "net.caffemodel"))
    return tmp_path


def extract(folder, *arguments):
    return run("extract_features", "net.caffemodel", "net.prototxt", *arguments, cwd=folder)


def features(path, backend="lmdb"):
    with Database(str(path), "read", backend) as database:
        return [(bytes(key).decode(), Datum.FromString(value)) for key, value in database.items()]


@pytest.mark.parametrize("db_type", ["lmdb", "leveldb"])
def test_extracts(folder, db_type):
    done = extract(folder, "conv,fc", "conv_db,fc_db", 3, db_type)
    assert done.returncode == 0, done.stderr
    assert "Extracted features of 12 query images for feature blob fc" in done.stderr
    assert "Successfully extracted the features!" in done.stderr
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST, weights=str(folder / "net.caffemodel"))
    conv = features(folder / "conv_db", db_type)
    fc = features(folder / "fc_db", db_type)
    assert [key for key, _ in conv] == [f"{number:010d}" for number in range(ITEMS)]
    for batch in range(3):
        net.forward()
        for item in range(4):
            datum = conv[4 * batch + item][1]
            assert (datum.channels, datum.height, datum.width) == (2, 2, 4)
            np.testing.assert_array_equal(io.datum_to_array(datum), net.blobs["conv"].data[item])
            datum = fc[4 * batch + item][1]
            assert (datum.channels, datum.height, datum.width) == (5, 1, 1)
            np.testing.assert_array_equal(io.datum_to_array(datum).ravel(), net.blobs["fc"].data[item])


def test_a_scalar_is_an_item_a_batch(folder):
    done = extract(folder, "loss", "loss_db", 2, "lmdb", "CPU")
    assert done.returncode == 0, done.stderr
    assert [len(datum.float_data) for _, datum in features(folder / "loss_db")] == [1, 1]


def test_what_is_wrong_is_one_line(folder):
    before = {path.name for path in folder.iterdir()}
    fails(extract(folder, "fc", "db", 1, "lmdb", "-plugin", "none.so"), "none.so")
    fails(extract(folder, "fc,conv", "fc_db", 1, "lmdb"), "2 names of blobs", "1 of databases")
    fails(extract(folder, "fd", "db", 1, "lmdb"), "no blob 'fd'", "conv, fc")
    fails(extract(folder, "cube", "db", 1, "lmdb"), "'cube' has 5 axes")
    fails(extract(folder, "fc", "db", 0, "lmdb"), "at least 1")
    fails(extract(folder, "fc", "db", "many", "lmdb"), "many")
    fails(extract(folder, "fc", "db", 1, "hdf5"), "hdf5", "lmdb")
    fails(extract(folder, "fc", "db", 1, "lmdb", "TPU"), "TPU")
    fails(extract(folder, "fc,conv", "db,records", 1, "lmdb"), "records exists already")
    (folder / "net.caffemodel").write_bytes(b"\x0a\xff\x01abc")
    fails(extract(folder, "fc", "db", 1, "lmdb"), "net.caffemodel")
    (folder / "net.prototxt").write_text("layer { typo: 1 }")
    fails(extract(folder, "fc", "db", 1, "lmdb"), "net.prototxt:1:", "typo")
    assert {path.name for path in folder.iterdir()} == before


def test_gpus_are_asked_for_as_in_caffe(folder):
    for arguments in (["GPU"], ["GPU", "DEVICE_ID=0"], ["GPU", "0"]):
        fails(extract(folder, "fc", "db", 1, "lmdb", *arguments), "GPU")
