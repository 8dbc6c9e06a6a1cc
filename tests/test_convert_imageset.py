"""convert_imageset, run as a user runs it."""

import os
import resource
import signal
import struct
import subprocess
import time
import zlib

import numpy as np
import pytest
from tool_runner import command, environment, fails, run

from caffe._caffe import Database
from caffe.proto.caffe_pb2 import Datum


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels):
    """The bytes of a PNG of (rows, columns, 3), red first."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def images():
    return np.random.default_rng(5).integers(0, 256, (12, 6, 5, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, images):
    (tmp_path / "images").mkdir()
    lines = []
    for number, image in enumerate(images):
        name = f"the image {number}.png"
        (tmp_path / "images" / name).write_bytes(png(image))
        lines.append(f"{name} {number % 3}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def convert(folder, *arguments, **variables):
    return run("convert_imageset", *arguments, "images/", "list.txt", "db", cwd=folder, **variables)


def records(path, backend="lmdb"):
    with Database(str(path), "read", backend) as database:
        return [(bytes(key).decode(), Datum.FromString(value)) for key, value in database.items()]


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
def test_converts(folder, images, backend):
    done = convert(folder, "-backend", backend)
    assert done.returncode == 0, done.stderr
    assert "A total of 12 images." in done.stderr
    assert "Processed 12 files." in done.stderr
    found = records(folder / "db", backend)
    assert [key for key, _ in found] == [f"{number:08d}_the image {number}.png" for number in range(12)]
    for number, (_, datum) in enumerate(found):
        assert (datum.channels, datum.height, datum.width, datum.label) == (3, 6, 5, number % 3)
        assert not datum.encoded
        blue_first = images[number][:, :, ::-1].transpose(2, 0, 1)
        assert datum.data == blue_first.tobytes()
    assert names(folder) == {"images", "list.txt", "db"}


@pytest.mark.parametrize(
    "flags",
    [
        ["-gray"],
        ["--gray"],
        ["-gray=true"],
        ["--gray=1", "--logtostderr=1"],
        ["-alsologtostderr", "-gray", "-noshuffle"],
    ],
)
def test_gray_in_all_spellings(folder, images, flags):
    done = convert(folder, *flags)
    assert done.returncode == 0, done.stderr
    weights = np.array([0.299, 0.587, 0.114])
    for image, (_, datum) in zip(images, records(folder / "db"), strict=True):
        assert datum.channels == 1
        gray = np.frombuffer(datum.data, np.uint8).reshape(6, 5)
        np.testing.assert_allclose(gray, image @ weights, atol=1.1)


def test_flags_may_follow(folder):
    done = run("convert_imageset", "images", "list.txt", "db", "-gray=false", "-backend=lmdb", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert records(folder / "db")[0][1].channels == 3


def test_resizes(folder):
    done = convert(folder, "--resize_width=3", "-resize_height", "8", "-check_size")
    assert done.returncode == 0, done.stderr
    assert {(datum.height, datum.width) for _, datum in records(folder / "db")} == {(8, 3)}


def test_encoded_keeps_the_files(folder):
    assert convert(folder, "-encoded").returncode == 0
    for number, (_, datum) in enumerate(records(folder / "db")):
        assert datum.encoded
        assert datum.data == (folder / "images" / f"the image {number}.png").read_bytes()
        assert not datum.HasField("channels")
        assert datum.label == number % 3


def test_encodes(folder):
    done = convert(folder, "-encode_type=jpg")
    assert "assuming encoded=true" in done.stderr
    assert all(datum.data.startswith(b"\xff\xd8\xff") for _, datum in records(folder / "db"))


def test_shuffles_by_seed(folder):
    done = convert(folder, "-shuffle", "-seed", "7")
    assert "Shuffling data with seed 7" in done.stderr
    first = records(folder / "db")
    assert [key[:8] for key, _ in first] == [f"{number:08d}" for number in range(12)]
    order = [int(key.split()[-1].split(".")[0]) for key, _ in first]
    assert sorted(order) == list(range(12))
    assert order != list(range(12))
    assert [datum.label for _, datum in first] == [number % 3 for number in order]
    os.rename(folder / "db", folder / "first")
    convert(folder, "-shuffle", "-seed", "7", OMP_NUM_THREADS="1")
    assert records(folder / "db") == first

    os.rename(folder / "db", folder / "second")
    done = convert(folder, "-shuffle")
    seed = done.stderr.split("-seed ")[1].split()[0]
    other = records(folder / "db")
    os.rename(folder / "db", folder / "third")
    convert(folder, "-shuffle", "-seed", seed)
    assert records(folder / "db") == other, "the seed that the log says gives the order again"


def test_leaves_out_what_cannot_be_read(folder):
    (folder / "images" / "the image 3.png").write_bytes(b"garbage")
    (folder / "images" / "the image 5.png").write_bytes(b"")
    (folder / "images" / "the image 8.png").unlink()
    (folder / "images" / "the image 9.png").unlink()
    (folder / "images" / "the image 9.png").mkdir()
    done = convert(folder)
    assert done.returncode == 0, done.stderr
    for number in (3, 5, 8, 9):
        (line,) = [line for line in done.stderr.splitlines() if f"the image {number}.png" in line]
        assert line.startswith("W")
    assert "Left out 4 of 12 images" in done.stderr
    assert "Processed 8 files." in done.stderr
    assert [key[:8] for key, _ in records(folder / "db")] == [
        f"{number:08d}" for number in (0, 1, 2, 4, 6, 7, 10, 11)
    ]


def test_nothing_read_is_a_failure(folder):
    for path in (folder / "images").iterdir():
        path.write_bytes(path.read_bytes()[:20])
    fails(convert(folder), "convert_imageset: none of the 12 images")
    assert names(folder) == {"images", "list.txt"}


def test_check_size(folder):
    (folder / "images" / "the image 4.png").write_bytes(png(np.zeros((5, 6, 3), np.uint8)))
    assert convert(folder).returncode == 0
    os.rename(folder / "db", folder / "mixed")
    fails(convert(folder, "-check_size"), "the image 4.png", "3 x 5 x 6", "3 x 6 x 5")
    assert names(folder) == {"images", "list.txt", "mixed"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-resize_width", "3"], ["-resize_height"]),
        (["-resize_width=-3", "-resize_height=-3"], ["numbers of pixels"]),
        (["-resize_width=x", "-resize_height=3"], ["-resize_width", "'x'"]),
        (["-backend", "sqlite"], ["sqlite", "lmdb", "leveldb"]),
        (["-encode_type", "gif"], ["gif", "png"]),
        (["-seed", "-1", "-shuffle"], ["-seed"]),
        (["-seed", "1"], ["-seed", "-shuffle"]),
        (["-shuffle=perhaps"], ["-shuffle", "perhaps"]),
        (["-resizewidth", "3"], ["-resizewidth"]),
        (["one too many"], ["one too many", "unexpected"]),
    ],
)
def test_wrong_flags(folder, flags, words):
    done = run("convert_imageset", "images/", "list.txt", "db", *flags, cwd=folder)
    fails(done, "convert_imageset: ", *words)
    assert len(done.stderr.splitlines()) == 1
    assert names(folder) == {"images", "list.txt"}


@pytest.mark.parametrize("line", ["no label", "label 1.5", "x.png 99999999999"])
def test_bad_lines_are_named_by_number(folder, line):
    text = (folder / "list.txt").read_text()
    (folder / "list.txt").write_text(text + line + "\n")
    fails(convert(folder), "list.txt:13:", line)
    assert names(folder) == {"images", "list.txt"}


def test_lists_that_are_none(folder):
    (folder / "list.txt").write_text("\n\n")
    fails(convert(folder), "list.txt", "empty")
    (folder / "list.txt").unlink()
    fails(convert(folder), "list.txt", "No such file")
    (folder / "list.txt").mkdir()
    fails(convert(folder), "list.txt")


def test_keeps_what_is_there(folder):
    (folder / "db").mkdir()
    (folder / "db" / "mine").write_text("kept")
    fails(convert(folder), "db exists already")
    assert (folder / "db" / "mine").read_text() == "kept"
    fails(run("convert_imageset", "images/", "list.txt", "none/db", cwd=folder), "there is no folder", "none")


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
def test_a_full_disk_leaves_nothing(folder, backend):
    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    arguments = ["-backend", backend, "-resize_width=500", "-resize_height=500"]
    done = subprocess.run(
        command("convert_imageset", *arguments, "images/", "list.txt", "db"),
        cwd=folder,
        env=environment(),
        preexec_fn=limit_files,
        capture_output=True,
        text=True,
        check=False,
    )
    fails(done, "convert_imageset: cannot write to the")
    assert names(folder) == {"images", "list.txt"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_conversion_leaves_nothing(folder, number):
    # Named pipes take long to read.
    os.mkfifo(folder / "images" / "endless.png")
    with open(folder / "list.txt", "a") as file:
        file.write("endless.png 0\n" * 10)
    process = subprocess.Popen(
        command("convert_imageset", "-resize_width=900", "-resize_height=900", "images/", "list.txt", "db"),
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not any("unfinished" in name for name in names(folder)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for line in process.stderr:
            if "A total of 22 images." in line:
                break
        process.send_signal(number)
        # Whoever waits for the pipe gets what is no image.
        while process.poll() is None:
            try:
                os.close(os.open(folder / "images" / "endless.png", os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                time.sleep(0.01)
            assert time.monotonic() < deadline
        assert process.returncode != 0
        assert "Traceback" not in process.stderr.read()
        assert names(folder) == {"images", "list.txt"}
    finally:
        process.kill()


def test_names_need_not_be_unicode(folder, images):
    name = b"caf\xe9.png"
    with open(os.path.join(os.fsencode(folder), b"images", name), "wb") as file:
        file.write(png(images[0]))
    (folder / "list.txt").write_bytes(name + b" 4\ngone\xe9.png 3\n")
    arguments = command("convert_imageset", "images/", "list.txt", "db")
    done = subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"gone\xe9.png" in done.stderr
    with Database(str(folder / "db"), "read") as database:
        assert [bytes(key) for key, _ in database.items()] == [b"00000000_" + name]


def test_photographs(shared, tmp_path):
    source = shared / "data/imagenet-sample"
    if not source.is_dir():
        pytest.skip("there are no photographs")
    done = run(
        "convert_imageset", "-resize_width=256", "-resize_height=256", "-check_size", source,
        source / "list.txt", tmp_path / "db", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = records(tmp_path / "db")
    assert len(found) == len((source / "list.txt").read_text().splitlines())
    assert "Left out" not in done.stderr
    cv2 = pytest.importorskip("cv2")
    for key, datum in found:
        expected = cv2.resize(cv2.imread(str(source / key[9:])), (256, 256))
        pixels = np.frombuffer(datum.data, np.uint8).reshape(3, 256, 256).transpose(1, 2, 0)
        # The two may be linked to different versions of libjpeg.
        assert np.abs(pixels.astype(int) - expected).max() <= 3, key
