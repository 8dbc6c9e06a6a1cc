"""convert_cifar_data and its example, run as a user runs them."""

import subprocess

import numpy as np
import pytest
from tool_runner import fails, run

from caffe import io
from caffe._caffe import Database
from caffe.proto.caffe_pb2 import Datum

FILES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
ITEMS = 7


@pytest.fixture
def batches(tmp_path):
    """Content by file: labels, and images with red first."""
    random = np.random.default_rng(6)
    (tmp_path / "bin").mkdir()
    content = {}
    for name in FILES:
        labels = random.integers(0, 10, ITEMS, np.uint8)
        images = random.integers(0, 256, (ITEMS, 3, 32, 32), np.uint8)
        content[name] = labels, images
        records = np.concatenate([labels[:, None], images.reshape(ITEMS, -1)], 1)
        (tmp_path / "bin" / name).write_bytes(records.tobytes())
    return content


def check(path, batches, backend="lmdb"):
    with Database(str(path), "read", backend) as database:
        records = list(database.items())
    assert [bytes(key) for key, _ in records] == [b"%05d" % number for number in range(ITEMS * len(batches))]
    data = [Datum.FromString(value) for _, value in records]
    np.testing.assert_array_equal([datum.label for datum in data], np.concatenate([b[0] for b in batches]))
    images = np.stack([io.datum_to_array(datum) for datum in data])
    np.testing.assert_array_equal(images, np.concatenate([b[1] for b in batches]))


@pytest.mark.parametrize("db_type", ["lmdb", "leveldb"])
def test_converts(tmp_path, batches, db_type):
    done = run("convert_cifar_data", "bin", ".", db_type, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check(tmp_path / f"cifar10_train_{db_type}", [batches[name] for name in FILES[:5]], db_type)
    check(tmp_path / f"cifar10_test_{db_type}", [batches[FILES[5]]], db_type)
    fails(run("convert_cifar_data", "bin", ".", db_type, cwd=tmp_path), f"cifar10_train_{db_type} exists")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-1], ["21510 bytes", "cut short"]),
        (lambda content: b"", ["0 bytes"]),
        (lambda content: b"\x0a" + content[1:], ["label 10"]),
        (None, ["No such file"]),
    ],
)
def test_damaged_files(tmp_path, batches, damage, words):
    path = tmp_path / "bin" / "data_batch_3.bin"
    content = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(content))
    fails(run("convert_cifar_data", "bin", ".", "lmdb", cwd=tmp_path), "data_batch_3.bin", *words)
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}
    fails(run("convert_cifar_data", "bin", ".", "hdf5", cwd=tmp_path), "hdf5", "lmdb")


@pytest.fixture
def example(root):
    if not (root / "build/tools/convert_imageset").is_file():
        pytest.skip("there is no build folder")
    return root / "examples/cifar10/create_cifar10.sh"


def test_example_of_binary_files(tmp_path, batches, example):
    done = subprocess.run(
        ["bash", example, tmp_path / "bin", tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out" / "cifar10_test_lmdb", [batches[FILES[5]]])
    assert io.load_mean(tmp_path / "out" / "mean.binaryproto").shape == (3, 32, 32)
    assert io.load_mean(tmp_path / "out" / "mean_pad.binaryproto").shape == (3, 40, 40)
    with Database(str(tmp_path / "out" / "cifar10_pad_train_lmdb"), "read") as database:
        datum = Datum.FromString(next(iter(database.items()))[1])
    assert (datum.height, datum.width) == (40, 40)


def test_example_of_images(tmp_path, shared, example):
    pictures = sorted((shared / "data/imagenet-sample").glob("n*/*.JPEG"))[:4]
    for part in ("train", "test"):
        for number, picture in enumerate(pictures):
            folder = tmp_path / "images" / part / f"class {number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / picture.name).symlink_to(picture)
    for _ in range(2):
        done = subprocess.run(
            ["bash", example, tmp_path / "images", tmp_path / "out"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    with Database(str(tmp_path / "out" / "cifar10_train_lmdb"), "read") as database:
        data = [Datum.FromString(value) for _, value in database.items()]
    assert sorted(datum.label for datum in data) == [0, 0, 1, 1]
    assert {(datum.channels, datum.height, datum.width) for datum in data} == {(3, 32, 32)}
    with Database(str(tmp_path / "out" / "cifar10_pad_train_lmdb"), "read") as database:
        assert sum(1 for _ in database.items()) == 4


def test_example_says_what_is_missing(tmp_path, example):
    done = subprocess.run(
        ["bash", example, tmp_path, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "data_batch_1.bin" in done.stderr
    assert str(tmp_path) in done.stderr
