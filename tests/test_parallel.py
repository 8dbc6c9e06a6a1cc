"""Training on several GPUs, from the command line and from Python."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from records import make_database
from tool_runner import command, environment, fails, run

import caffe
from caffe import _caffe

needs_nccl = pytest.mark.skipif(not caffe.has_nccl(), reason="Caffe was built without NCCL")


def num_gpus():
    try:
        return _caffe.device_count()
    except caffe.Error:
        return 0


needs_two_gpus = pytest.mark.skipif(
    not caffe.has_nccl() or num_gpus() < 2, reason="needs NCCL and two GPUs (or emulated ones)"
)

NET = """
name: "small"
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "{db}" batch_size: {batch} backend: LMDB }} transform_param {{ scale: 0.01 }} }}
layer {{ name: "first" type: "InnerProduct" bottom: "data" top: "first"
  inner_product_param {{ num_output: 6 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "first" top: "first" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "first" top: "ip"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a database and solvers of batches of 4 and 8."""
    make_database(tmp_path / "db")
    for batch in (4, 8):
        (tmp_path / f"net{batch}.prototxt").write_text(NET.format(db=tmp_path / "db", batch=batch))
        (tmp_path / f"solver{batch}.prototxt").write_text(
            f'net: "net{batch}.prototxt" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" max_iter: 8\n'
            f'display: 2 random_seed: 4 snapshot: 4 snapshot_prefix: "batch{batch}" solver_mode: GPU\n'
        )
    return tmp_path


def weights(folder, name):
    net = caffe.Net(str(folder / "net4.prototxt"), caffe.TRAIN, weights=str(folder / name))
    return [blob.data.copy() for blobs in net.params.values() for blob in blobs]


def expect_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(caffe.has_nccl(), reason="Caffe was built with NCCL")
def test_a_build_without_nccl_says_so():
    with pytest.raises(caffe.Error, match="needs NCCL|built without CUDA"):
        caffe.NCCL.new_uid()


@needs_two_gpus
def test_two_gpus_train_as_one_with_twice_the_batch(folder):
    alone = run("train", "-gpu", "0", "-solver", "solver8.prototxt", cwd=folder)
    assert alone.returncode == 0, alone.stderr
    together = run("train", "-gpu", "0,1", "-solver", "solver4.prototxt", cwd=folder)
    assert together.returncode == 0, together.stderr
    expect_close(weights(folder, "batch4_iter_8.caffemodel"), weights(folder, "batch8_iter_8.caffemodel"))
    for line in (
        "Iteration 6, lr = 0.1",
        "Optimization Done.",
        "Snapshotting to binary proto file batch4_iter_4",
    ):
        assert together.stderr.count(line) == alone.stderr.replace("batch8", "batch4").count(line) > 0

    # From the snapshot of two, on one.
    (folder / "batch8_iter_8.caffemodel").unlink()
    state = "batch4_iter_4.solverstate"
    resumed = run("train", "-gpu", "1", "-solver", "solver8.prototxt", "-snapshot", state, cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    expect_close(weights(folder, "batch8_iter_8.caffemodel"), weights(folder, "batch4_iter_8.caffemodel"))
    # And on two again.
    first = weights(folder, "batch4_iter_8.caffemodel")
    resumed = run("train", "-gpu", "0,1", "-solver", "solver4.prototxt", "-snapshot", state, cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    for one, other in zip(weights(folder, "batch4_iter_8.caffemodel"), first, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_two_gpus
def test_all_gpus_are_those_that_there_are(folder):
    done = run("train", "-gpu", "all", "-solver", "solver4.prototxt", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"Using GPUs {', '.join(map(str, range(num_gpus())))}" in done.stderr


@needs_two_gpus
def test_an_interrupt_stops_all(folder):
    endless = (folder / "solver4.prototxt").read_text().replace("max_iter: 8", "max_iter: 100000000")
    (folder / "endless.prototxt").write_text(endless.replace("snapshot: 4", "").replace("batch4", "endless"))
    process = subprocess.Popen(
        command("train", "-gpu", "0,1", "-solver", "endless.prototxt"),
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            if "Iteration 20 " in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 0, rest
    finally:
        process.kill()
        process.wait()
    assert "Optimization stopped early." in rest
    assert len(list(folder.glob("endless_iter_*.solverstate"))) == 1


@needs_two_gpus
def test_bad_data_of_one_solver_is_an_error_of_all(folder):
    with _caffe.Database(folder / "db", "write") as database:
        database.put("029", b"no datum")  # of the second solver, in the fourth batch
        database.commit()
    done = run("train", "-gpu", "0,1", "-solver", "solver4.prototxt", cwd=folder)
    fails(done, "layer 'data' (Data)", "record '029'")
    assert "Solver 1 failed" in done.stderr


@needs_two_gpus
def test_gpus_are_named_once_and_exist(folder):
    fails(run("train", "-gpu", "0,0", "-solver", "solver4.prototxt", cwd=folder), "GPU 0", "more than once")
    fails(run("train", "-gpu", "0,77", "-solver", "solver4.prototxt", cwd=folder), "GPU 77")


@needs_two_gpus
def test_threads_train_together(folder, monkeypatch):
    monkeypatch.chdir(folder)
    uid = caffe.NCCL.new_uid()
    assert isinstance(uid, bytes)
    trained = {}

    def train(rank):
        caffe.set_mode_gpu()
        caffe.set_device(rank)
        caffe.set_solver_count(2)
        caffe.set_solver_rank(rank)
        caffe.set_multiprocess(True)
        solver = caffe.get_solver("solver4.prototxt")
        nccl = caffe.NCCL(solver, uid)
        nccl.bcast()
        solver.add_callback(nccl)
        if solver.param.layer_wise_reduce:
            solver.net.after_backward(nccl)
        del nccl  # The solver keeps it.
        solver.step(8)
        trained[rank] = [blob.data.copy() for blobs in solver.net.params.values() for blob in blobs]

    threads = [threading.Thread(target=train, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    caffe.set_mode_cpu()  # What threads to come start with, too.
    for one, other in zip(trained[0], trained[1], strict=True):
        np.testing.assert_array_equal(one, other)
    run("train", "-gpu", "0", "-solver", "solver8.prototxt", cwd=folder)
    expect_close(trained[0], weights(folder, "batch8_iter_8.caffemodel"))


@needs_nccl
def test_an_nccl_needs_a_solver_and_a_uid():
    with pytest.raises(TypeError):
        caffe.NCCL(None, caffe.NCCL.new_uid())


def train_script(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(Path(caffe.__file__).parents[1] / "python/train.py"), *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@needs_two_gpus
def test_processes_train_together(folder):
    done = train_script(folder, "--solver", "solver4.prototxt", "--gpus", "0", "1", "--timing")
    assert done.returncode == 0, done.stderr
    assert "exchange" in done.stderr
    run("train", "-gpu", "0", "-solver", "solver8.prototxt", cwd=folder)
    expect_close(weights(folder, "batch4_iter_8.caffemodel"), weights(folder, "batch8_iter_8.caffemodel"))


@needs_two_gpus
def test_a_process_that_fails_takes_the_others_along(folder):
    with _caffe.Database(folder / "db", "write") as database:
        database.put("029", b"no datum")
        database.commit()
    done = train_script(folder, "--solver", "solver4.prototxt", "--gpus", "0", "1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "train.py: training failed on GPU 1"
