"""convert_mnist_data and the reading of idx files."""

import gzip
import struct
import subprocess

import numpy as np
import pytest

from caffe import cli, idx
from caffe._caffe import Database
from caffe.cli import databases
from caffe.proto.caffe_pb2 import Datum


def idx_bytes(array, kind=0x08):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def images():
    return np.random.default_rng(3).integers(0, 256, (1203, 5, 7), np.uint8)


@pytest.fixture
def labels():
    return (np.arange(1203) % 10).astype(np.uint8)


@pytest.fixture
def files(tmp_path, images, labels):
    (tmp_path / "images").write_bytes(idx_bytes(images))
    (tmp_path / "labels").write_bytes(idx_bytes(labels))
    return tmp_path


def convert(folder, *options):
    return cli.main(
        ["convert_mnist_data", *options, *(str(folder / name) for name in ("images", "labels", "db"))]
    )


def test_reads_plain_and_compressed(tmp_path, images):
    (tmp_path / "plain").write_bytes(idx_bytes(images))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx_bytes(images)))
    assert idx.find(tmp_path, "plain") == str(tmp_path / "plain")
    assert idx.find(tmp_path, "packed") == str(tmp_path / "packed.gz")
    assert idx.find(tmp_path, "other") is None
    for name in ("plain", "packed.gz"):
        np.testing.assert_array_equal(idx.read(tmp_path / name, dimensions=3), images)


def test_converts(files, images, labels, capsys):
    assert convert(files, "-backend", "lmdb") == 0
    assert "1,203 images of 5 x 7" in capsys.readouterr().out
    with Database(str(files / "db"), "read") as database:
        records = list(database.items())
    assert [bytes(key) for key, _ in records] == [b"%08d" % number for number in range(len(images))]
    for (_, value), image, label in zip(records, images, labels, strict=True):
        datum = Datum.FromString(value)
        assert (datum.channels, datum.height, datum.width, datum.label) == (1, 5, 7, label)
        assert datum.data == image.tobytes()
        assert not datum.encoded


def test_leaves_only_the_database(files):
    before = {path.name for path in files.iterdir()}
    assert convert(files) == 0
    assert {path.name for path in files.iterdir()} == before | {"db"}


@pytest.mark.parametrize("flag", [["-backend=lmdb"], ["--backend", "lmdb"], ["--backend=lmdb"]])
def test_flag_forms(files, flag):
    assert convert(files, *flag) == 0


def truncated(content):
    return content[:-1]


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("images", truncated, "cut short or damaged"),
        ("labels", truncated, "cut short or damaged"),
        ("images", lambda content: content[:9], "cut short within its header"),
        ("images", lambda content: b"", "not an idx file"),
        ("images", lambda content: b"\x89PNG" + content, "not an idx file"),
        ("images", lambda content: content[:2] + b"\x0d" + content[3:], "type 0x0d"),
        ("labels", lambda content: idx_bytes(np.zeros((1203, 5, 7), np.uint8)), "3 dimension(s), not 1"),
        ("labels", lambda content: idx_bytes(np.zeros(1202, np.uint8)), "1203 images but 1202 labels"),
        ("images", lambda content: gzip.compress(content)[:-20], "does not decompress"),
        ("images", lambda content: content[:4] + b"\xff" * 12 + content[16:], "means 79,228,162,458,924,"),
        ("images", lambda content: gzip.compress(content + bytes(1 << 24)), "has more bytes"),
    ],
)
def test_damaged_files(files, capsys, name, damage, message):
    path = files / name
    path.write_bytes(damage(path.read_bytes()))
    before = {path.name for path in files.iterdir()}
    assert convert(files) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("convert_mnist_data: ")
    assert message in line
    assert {path.name for path in files.iterdir()} == before


def test_missing_file(files, capsys):
    (files / "labels").unlink()
    assert convert(files) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "labels" in line


def test_keeps_what_is_there(files, capsys):
    (files / "db").mkdir()
    (files / "db" / "mine").write_text("kept")
    assert convert(files) == 1
    assert "exists already" in capsys.readouterr().err
    assert (files / "db" / "mine").read_text() == "kept"


def test_an_error_while_writing_leaves_nothing(files, monkeypatch, capsys):
    class Full:
        def __init__(self, *arguments):
            self.database = Database(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.database.close()

        def put(self, key, value):
            self.database.put(key, value)

        def commit(self):
            raise OSError(28, "No space left on device")

    before = {path.name for path in files.iterdir()}
    monkeypatch.setattr(databases, "Database", Full)
    assert convert(files) == 1
    assert "No space left" in capsys.readouterr().err
    assert {path.name for path in files.iterdir()} == before


def test_create_mnist(root, tmp_path, images, labels):
    (tmp_path / "idx").mkdir()
    for part in ("train", "t10k"):
        (tmp_path / "idx" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / "idx" / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    command = ["bash", root / "examples/mnist/create_mnist.sh", tmp_path / "out"]
    environment = {"MNIST_DIR": str(tmp_path / "idx"), "PATH": "/usr/bin:/bin"}
    for _ in range(2):
        subprocess.run(command, env=environment, check=True)
    for part in ("train", "test"):
        with Database(str(tmp_path / "out" / f"mnist_{part}_lmdb"), "read") as database:
            assert len(list(database.items())) == len(images)


def test_create_mnist_says_which_file_is_missing(root, tmp_path):
    result = subprocess.run(
        ["bash", root / "examples/mnist/create_mnist.sh", tmp_path / "out"],
        env={"MNIST_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "train-images-idx3-ubyte" in result.stderr
    assert str(tmp_path) in result.stderr
