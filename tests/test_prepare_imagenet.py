"""caffe prepare-imagenet and the scripts around it, run as a user runs them."""

import os
import shutil
import signal
import subprocess
import sys
import time

import imageio.v3
import numpy as np
import pytest
from tool_runner import command, environment, fails, run

from caffe import io
from caffe._caffe import Database
from caffe.proto.caffe_pb2 import Datum

WNIDS = ["n03", "n01", "n02"]


@pytest.fixture
def images(tmp_path):
    """Three classes of five images to train with, and two each to validate with."""
    generator = np.random.default_rng(8)
    for part, count in (("train", 5), ("val", 2)):
        for wnid in WNIDS:
            (tmp_path / "in" / part / wnid).mkdir(parents=True)
            for number in range(count):
                image = generator.integers(0, 256, (20, 30, 3), np.uint8)
                path = tmp_path / "in" / part / wnid / f"{wnid}_{number}.JPEG"
                imageio.v3.imwrite(path, image, quality=95)
    return tmp_path / "in"


def records(path):
    with Database(str(path), "read") as database:
        return [(bytes(key).decode(), Datum.FromString(value)) for key, value in database.items()]


def prepare(images, *arguments):
    return run("prepare-imagenet", images, "-out", "out", "-size", 8, *arguments, cwd=images.parent)


def test_makes_and_verifies(images):
    done = prepare(images)
    assert done.returncode == 0, done.stderr
    assert "15 images of 8 x 8 verified" in done.stderr and "6 images of 8 x 8 verified" in done.stderr
    out = images.parent / "out"
    assert {path.name for path in out.iterdir()} == {"ilsvrc12_train_lmdb", "ilsvrc12_val_lmdb"}
    train = records(out / "ilsvrc12_train_lmdb")
    names = [key.partition("_")[2] for key, _ in train]
    assert sorted(names) == [f"{wnid}/{wnid}_{i}.JPEG" for wnid in sorted(WNIDS) for i in range(5)]
    assert names != sorted(names), "in random order"
    for key, datum in train:
        assert datum.label == sorted(WNIDS).index(key[9:12])
        assert (datum.channels, datum.height, datum.width) == (3, 8, 8)
    val = records(out / "ilsvrc12_val_lmdb")
    assert [datum.label for _, datum in val] == [0, 0, 1, 1, 2, 2]
    # The whole again only verifies; with another order it would not be what was asked for.
    assert prepare(images).returncode == 0
    fails(prepare(images, "-seed", 2), "ilsvrc12_train_lmdb", "no image of the list")
    fails(prepare(images, "-encoded"), "other options")


def test_one_seed_gives_one_order(images):
    keys = []
    for seed in (1, 1, 2):
        shutil.rmtree(images.parent / "out", ignore_errors=True)
        assert prepare(images, "-seed", seed).returncode == 0
        keys.append([key for key, _ in records(images.parent / "out/ilsvrc12_train_lmdb")])
    assert keys[0] == keys[1] != keys[2]


def test_encoded_images(images):
    assert prepare(images, "-encoded").returncode == 0
    for _, datum in records(images.parent / "out/ilsvrc12_val_lmdb"):
        assert datum.encoded and datum.data.startswith(b"\xff\xd8")
    assert prepare(images, "-encoded", "-verify_only").returncode == 0


def test_classes_from_lists(images):
    (images.parent / "synsets.txt").write_text("n03 third\nn02 second, two\n\nn01 first\n")
    flat = images / "flat"
    flat.mkdir()
    for path in (images / "val").glob("*/*"):
        shutil.copy(path, flat / path.name)
    shutil.rmtree(images / "val")
    flat.rename(images / "val")
    fails(prepare(images), "val.txt", "-val_list")
    (images / "val.txt").write_text("n01_0.JPEG 2\nn03_1.JPEG 0\n")
    done = prepare(images, "-synsets", "synsets.txt")
    assert done.returncode == 0, done.stderr
    val = records(images.parent / "out/ilsvrc12_val_lmdb")
    assert [(key.partition("_")[2], datum.label) for key, datum in val] == [
        ("n01_0.JPEG", 2),
        ("n03_1.JPEG", 0),
    ]
    train = records(images.parent / "out/ilsvrc12_train_lmdb")
    assert {key[9:12]: datum.label for key, datum in train} == {"n03": 0, "n02": 1, "n01": 2}
    for wrong in ("n01_0.JPEG 3", "n01_0.JPEG", "n01_0.JPEG x"):
        (images / "val.txt").write_text(wrong)
        fails(prepare(images), "val.txt, line 1", "0 to 2")


def test_unreadable_images_are_left_out(images):
    (images / "train/n01/n01_2.JPEG").write_bytes(b"no image")
    done = prepare(images)
    assert done.returncode == 0, done.stderr
    assert "n01_2.JPEG" in done.stderr and "leaves out 1 files" in done.stderr
    assert len(records(images.parent / "out/ilsvrc12_train_lmdb")) == 14


def test_goes_on_after_it_was_killed(images):
    # Enough images that the work is interrupted in the middle: links to the same few.
    for number in range(6000):
        (images / f"train/n01/more_{number}.JPEG").symlink_to("n01_0.JPEG")
    arguments = ["prepare-imagenet", images, "-out", "out", "-size", 64]
    state = images.parent / "out/ilsvrc12_train_lmdb.unfinished/state.json"
    process = subprocess.Popen(
        command(*arguments), cwd=images.parent, env=environment(), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.exists(), "it was killed on its way"
    assert not (images.parent / "out/ilsvrc12_train_lmdb").exists()
    fails(run(*arguments, "-seed", 3, cwd=images.parent), "was begun with other images or options")
    done = run(*arguments, cwd=images.parent)
    assert done.returncode == 0, done.stderr
    assert "Going on with ilsvrc12_train_lmdb at image" in done.stderr
    assert "6015 images of 64 x 64 verified" in done.stderr
    found = records(images.parent / "out/ilsvrc12_train_lmdb")
    assert [int(key[:8]) for key, _ in found] == list(range(6015))
    whole = run(*arguments[:3], "whole", *arguments[4:], cwd=images.parent)
    assert whole.returncode == 0
    assert [datum for _, datum in found] == [
        datum for _, datum in records(images.parent / "whole/ilsvrc12_train_lmdb")
    ]


def test_verification_finds_damage(images):
    assert prepare(images).returncode == 0
    path = images.parent / "out/ilsvrc12_val_lmdb"
    key, datum = records(path)[3]
    for change in (dict(label=datum.label + 1), dict(data=datum.data[:-1])):
        damaged = Datum()
        damaged.CopyFrom(datum)
        for name, value in change.items():
            setattr(damaged, name, value)
        with Database(str(path), "write") as database:
            database.put(key.encode(), damaged.SerializeToString())
            database.commit()
        fails(prepare(images, "-verify_only"), "ilsvrc12_val_lmdb", key)


def test_what_is_wrong_is_one_line(images):
    fails(run("prepare-imagenet", images.parent, cwd=images.parent), "train", "val")
    fails(prepare(images, "-size", 0), "-size")
    fails(prepare(images, "-verify_only"), "ilsvrc12_train_lmdb")
    (images.parent / "synsets.txt").write_text("n01\nn02\n")
    fails(prepare(images, "-synsets", "synsets.txt"), "n03", "-synsets")
    shutil.rmtree(images / "train")
    (images / "train").mkdir()
    fails(prepare(images), "train", "no folders of classes")


@pytest.fixture
def path_of_caffe(tmp_path):
    """A PATH with the commands that scripts call."""
    (tmp_path / "bin").mkdir()
    for name in ("caffe", "compute_image_mean"):
        tool = "" if name == "caffe" else name
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m caffe.cli {tool} "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    return environment() | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def script(path, *arguments, env, cwd=None):
    return subprocess.run(
        ["bash", path, *map(str, arguments)], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_the_scripts(root, images, tmp_path, path_of_caffe):
    # Copies, for they write beside themselves.
    work = tmp_path / "examples"
    work.mkdir()
    for name in ("create_imagenet.sh", "make_imagenet_mean.sh", "resume_training.sh"):
        shutil.copy(root / "examples/imagenet" / name, work)
    done = script(work / "create_imagenet.sh", images, "-size", 16, env=path_of_caffe)
    assert done.returncode == 0, done.stderr
    done = script(work / "make_imagenet_mean.sh", env=path_of_caffe)
    assert done.returncode == 0, done.stderr
    assert io.load_mean(work / "imagenet_mean.binaryproto").shape == (3, 16, 16)
    done = script(work / "create_imagenet.sh", env=path_of_caffe)
    assert done.returncode == 1 and "IMAGENET_DIR" in done.stderr


def test_resuming_takes_the_newest_snapshot(root, tmp_path, path_of_caffe):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/solver.prototxt").write_text(
        "net_param {\n"
        "layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param { shape { dim: 1 dim: 1 } } }\n"
        "layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' "
        "inner_product_param { num_output: 1 } }\n"
        "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'data' top: 'loss' } }\n"
        "base_lr: 0.1 lr_policy: 'fixed' max_iter: 20 snapshot: 9 snapshot_prefix: 'net' solver_mode: CPU"
    )
    resume = root / "examples/imagenet/resume_training.sh"
    done = script(resume, tmp_path / "run", env=path_of_caffe)
    assert done.returncode == 1 and "no .solverstate" in done.stderr
    assert run("train", "-solver", "solver.prototxt", cwd=tmp_path / "run").returncode == 0
    (tmp_path / "run/net_iter_20.solverstate").unlink()
    done = script(resume, tmp_path / "run", env=path_of_caffe)
    assert done.returncode == 0, done.stderr
    assert "Resuming from net_iter_18.solverstate" in done.stderr
    assert script(resume, tmp_path, env=path_of_caffe).returncode == 1
