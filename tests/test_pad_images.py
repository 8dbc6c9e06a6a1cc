"""pad_images, run as a user runs it."""

import numpy as np
import pytest
from tool_runner import fails, run

from caffe import io
from caffe._caffe import Database
from caffe.proto.caffe_pb2 import Datum


@pytest.fixture
def images(tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (5, 3, 6, 4), np.uint8)
    with Database(str(tmp_path / "small"), "new") as database:
        for number, image in enumerate(images):
            database.put(b"%03d" % number, io.array_to_datum(image, 2 * number).SerializeToString())
        database.commit()
    return images


@pytest.mark.parametrize("pad", [1, 4])
def test_the_border_repeats_the_nearest_pixel(tmp_path, images, pad):
    done = run("pad_images", "-pad", pad, "small", "wide", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Database(str(tmp_path / "wide"), "read") as database:
        records = [(bytes(key), Datum.FromString(value)) for key, value in database.items()]
    assert [(key, datum.label) for key, datum in records] == [(b"%03d" % i, 2 * i) for i in range(5)]
    for (_, datum), image in zip(records, images, strict=True):
        rows = np.clip(np.arange(6 + 2 * pad) - pad, 0, 5)
        columns = np.clip(np.arange(4 + 2 * pad) - pad, 0, 3)
        np.testing.assert_array_equal(io.datum_to_array(datum), image[:, rows][:, :, columns])


def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, images):
    fails(run("pad_images", "none", "wide", cwd=tmp_path), "pad_images: ", "none")
    fails(run("pad_images", "-pad", "0", "small", "wide", cwd=tmp_path), "-pad")
    fails(run("pad_images", "small", "small", cwd=tmp_path), "small exists")
    with Database(str(tmp_path / "files"), "new") as database:
        database.put(b"7", Datum(encoded=True, data=b"jpeg").SerializeToString())
        database.commit()
    fails(run("pad_images", "files", "wide", cwd=tmp_path), "record 7", "-encoded")
    Database(str(tmp_path / "empty"), "new").close()
    fails(run("pad_images", "empty", "wide", cwd=tmp_path), "empty holds no images")
    assert {path.name for path in tmp_path.iterdir()} == {"small", "files", "empty"}
