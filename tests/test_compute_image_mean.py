"""compute_image_mean, run as a user runs it."""

import re

import numpy as np
import pytest
from tool_runner import fails, run

from caffe import io
from caffe._caffe import Database
from caffe.proto.caffe_pb2 import BlobProto


def write(path, arrays, backend="lmdb"):
    with Database(str(path), "new", backend) as database:
        for number, array in enumerate(arrays):
            database.put(f"{number:08d}", io.array_to_datum(array, 1).SerializeToString())
        database.commit()


def read_mean(path):
    return BlobProto.FromString(path.read_bytes())


@pytest.fixture
def images():
    return np.random.default_rng(2).integers(0, 256, (25, 3, 7, 5), np.uint8)


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
def test_is_the_mean(tmp_path, images, backend):
    write(tmp_path / "db", images, backend)
    done = run("compute_image_mean", "-backend", backend, "db", "mean.binaryproto", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    blob = read_mean(tmp_path / "mean.binaryproto")
    assert (blob.num, blob.channels, blob.height, blob.width) == (1, 3, 7, 5)
    exact = images.astype(np.int64).sum(0) / len(images)
    np.testing.assert_array_equal(io.blobproto_to_array(blob)[0], exact.astype(np.float32))
    assert "Processed 25 files." in done.stderr
    assert "Number of channels: 3" in done.stderr
    logged = [float(value) for value in re.findall(r"mean_value channel \[\d\]: (\S+)", done.stderr)]
    np.testing.assert_allclose(logged, exact.mean((1, 2)), rtol=1e-5)


def test_does_not_depend_on_threads(tmp_path):
    floats = np.random.default_rng(3).normal(size=(4999, 1, 2, 3)).astype(np.float32)
    write(tmp_path / "db", floats)
    for threads in ("1", "3"):
        done = run("compute_image_mean", "db", threads, cwd=tmp_path, OMP_NUM_THREADS=threads)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()
    mean = io.blobproto_to_array(read_mean(tmp_path / "1"))[0]
    np.testing.assert_allclose(mean, floats.mean(0, np.float64), rtol=1e-6, atol=1e-9)


def test_needs_no_output(tmp_path, images):
    write(tmp_path / "db", images)
    done = run("compute_image_mean", "db", "-backend=lmdb", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"db"}


def test_what_is_wrong_is_one_line(tmp_path, images):
    write(tmp_path / "db", images)
    fails(run("compute_image_mean", "none", "mean", cwd=tmp_path), "compute_image_mean: ", "none")
    fails(run("compute_image_mean", "db", "no/mean", cwd=tmp_path), "no folder", "no/mean")
    fails(run("compute_image_mean", "-backend", "leveldb", "db", "mean", cwd=tmp_path), "it is an LMDB")
    write(tmp_path / "mixed", [images[0], images[1].transpose(0, 2, 1)])
    fails(run("compute_image_mean", "mixed", "mean", cwd=tmp_path), "00000001", "3 x 5 x 7", "one size")
    write(tmp_path / "empty", [])
    fails(run("compute_image_mean", "empty", "mean", cwd=tmp_path), "empty")
    with Database(str(tmp_path / "text"), "new") as database:
        database.put("first", "this is no datum")
        database.commit()
    fails(run("compute_image_mean", "text", "mean", cwd=tmp_path), "'first'", "not a Datum")
    assert not (tmp_path / "mean").exists()


def test_a_damaged_database(tmp_path, images):
    write(tmp_path / "db", images)
    data = tmp_path / "db" / "data.mdb"
    content = data.read_bytes()
    # A page that stays as it was may hold what the other pages need; all ways out are an error or the mean.
    random = np.random.default_rng(1)
    data.write_bytes(content[:5000])
    fails(run("compute_image_mean", "db", "mean", cwd=tmp_path), "db")
    for start in (4096, 8192, 12288):
        noise = random.integers(0, 256, 4096, np.uint8).tobytes()
        data.write_bytes(content[:start] + noise + content[start + 4096 :])
        done = run("compute_image_mean", "db", "mean", cwd=tmp_path)
        if done.returncode:
            fails(done, "compute_image_mean: ")
