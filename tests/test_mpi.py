"""Training in several processes that mpirun starts."""

import os
import signal
import subprocess
import sys
import time

import imageio.v3 as imageio
import numpy as np
import pytest
from google.protobuf import text_format
from mpi_runner import (
    SABOTEUR_LAYER,
    fails_together,
    fill,
    mpi_environment,
    mpirun,
    needs_mpi,
    train,
    weights,
    write_solver,
)
from test_parallel import expect_close, needs_two_gpus
from tool_runner import command, run

import caffe
from caffe import _caffe, cli
from caffe.cli import processes
from caffe.proto import caffe_pb2


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path)


# ------------------------------------------------------------------------------------------------- equality


@needs_mpi
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, "momentum: 0.9 weight_decay: 0.01"),
        (4, "momentum: 0.9 layer_wise_reduce: false"),
        (2, "momentum: 0.9 iter_size: 3 clip_gradients: 0.05"),
        (3, 'type: "Adam" momentum: 0.9 momentum2: 0.99 delta: 1e-3'),
    ],
)
def test_processes_train_as_one_with_the_whole_batch(folder, number, text):
    alone = run("train", "-solver", write_solver(folder, 4 * number, text), cwd=folder)
    assert alone.returncode == 0, alone.stderr
    together = train(folder, number, write_solver(folder, 4, text))
    assert together.returncode == 0, together.stderr
    expect_close(
        weights(folder, "batch4_iter_8.caffemodel", 4),
        weights(folder, f"batch{4 * number}_iter_8.caffemodel", 4),
    )


STEPS = """
import hashlib, sys
import numpy as np
import caffe
from caffe import _caffe

group = _caffe.join_mpi()
caffe.set_solver_count(group.size)
caffe.set_solver_rank(group.rank)
caffe.set_multiprocess(True)
_caffe.init_log(2)
solver = caffe.get_solver(sys.argv[1])
assert _caffe.training_differs(solver, group) == ""
blobs = [blob for blobs in solver.net.params.values() for blob in blobs]
rows = []
solver.add_callback(
    lambda: rows.append([solver.iter, *np.concatenate([blob.data.ravel() for blob in blobs])]), lambda: None)
_caffe.solve_in_processes(solver, group)
rows.append([solver.iter, *np.concatenate([blob.data.ravel() for blob in blobs])])
np.save(f"rank{group.rank}.npy", np.array(rows))
group.leave()
"""


@needs_mpi
@pytest.mark.parametrize("number", [2, 3])
def test_all_have_the_same_weights_after_each_step(folder, number):
    # Without a common seed: the root's weights count.
    solver = write_solver(folder, 4, "momentum: 0.9 random_seed: -1")
    done = mpirun(folder, (number, [sys.executable, "-c", STEPS, solver]))
    assert done.returncode == 0, done.stderr
    root = np.load(folder / "rank0.npy")
    assert root[:, 0].tolist() == list(range(9))
    assert len(np.unique(root[:, 1:], axis=0)) == 9
    for rank in range(1, number):
        np.testing.assert_array_equal(np.load(folder / f"rank{rank}.npy"), root)


# -------------------------------------------------------------------------------------------------- the root


@needs_mpi
def test_the_root_alone_tests_logs_and_takes_snapshots(folder):
    text = "momentum: 0.9 test_iter: 2 test_interval: 4"
    (folder / "logs").mkdir()
    alone = run("train", "-solver", write_solver(folder, 8, text), cwd=folder)
    together = train(folder, 2, write_solver(folder, 4, text), "-log_dir", "logs")
    assert together.returncode == 0, together.stderr
    for line in (
        "Iteration 6, lr = 0.1",
        "Optimization Done.",
        "Snapshotting to binary proto file batch4_iter_4",
        "Iteration 4, Testing net (#0)",
        "Starting Optimization",
        "Creating test net (#0)",
    ):
        assert together.stderr.count(line) == alone.stderr.replace("batch8", "batch4").count(line) > 0
    assert "2 processes on 1 machine train together; this one computes with 1 threads" in together.stderr
    assert len([path for path in (folder / "logs").iterdir() if not path.is_symlink()]) == 1
    assert len(list(folder.glob("batch4_iter_*"))) == 4


@needs_mpi
def test_a_snapshot_that_the_root_has_resumes_with_another_number(folder):
    text = "momentum: 0.9"
    done = train(folder, 2, write_solver(folder, 6, text))
    assert done.returncode == 0, done.stderr
    expected = weights(folder, "batch6_iter_8.caffemodel", 6)
    state = "batch6_iter_4.solverstate"
    # The same again: bit for bit.
    (folder / "batch6_iter_8.caffemodel").unlink()
    assert train(folder, 2, "batch6.prototxt", "-snapshot", state).returncode == 0
    for one, other in zip(weights(folder, "batch6_iter_8.caffemodel", 6), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    solver = write_solver(folder, 4, text)
    done = mpirun(
        folder,
        (1, command("train", "-solver", solver, "-snapshot", state)),
        (2, command("train", "-solver", solver, "-snapshot", "is_not_there.solverstate")),
    )
    assert done.returncode == 0, done.stderr
    expect_close(weights(folder, "batch4_iter_8.caffemodel", 4), expected)


@needs_mpi
def test_weights_to_start_from_are_the_roots(folder):
    text = "momentum: 0.9"
    run("train", "-solver", write_solver(folder, 8, text), cwd=folder)
    run("train", "-solver", "batch8.prototxt", "-weights", "batch8_iter_4.caffemodel", cwd=folder)
    solver = write_solver(folder, 4, text)
    done = mpirun(
        folder,
        (1, command("train", "-solver", solver, "-weights", "batch8_iter_4.caffemodel")),
        (1, command("train", "-solver", solver, "-weights", "is_not_there.caffemodel")),
    )
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------- failures


@needs_mpi
def test_an_error_of_one_ends_all(folder):
    with _caffe.Database(folder / "db", "write") as database:
        database.put("029", b"no datum")  # of the second process, in the fourth batch
        database.commit()
    fails_together(
        train(folder, 2, write_solver(folder, 4)), "rank 1 (", "layer 'data' (Data)", "record '029'"
    )


@needs_mpi
def test_a_process_that_is_killed_ends_all_and_the_last_snapshot_resumes(folder):
    solver = write_solver(folder, 4, "max_iter: 1000000 snapshot: 2 momentum: 0.9", more=SABOTEUR_LAYER)
    begin = time.monotonic()
    done = train(folder, 3, solver, PASS="7", RANK="1", DEED="SIGKILL")
    assert done.returncode != 0
    assert "rank 1" in done.stderr
    assert "signal 9" in done.stderr
    assert time.monotonic() - begin < 60  # and not for ever
    snapshots = sorted(folder.glob("batch4_iter_*.solverstate"))
    assert snapshots[-1].name == "batch4_iter_6.solverstate"
    solver = write_solver(folder, 4, "momentum: 0.9")
    done = train(folder, 2, solver, "-snapshot", snapshots[-1].name)
    assert done.returncode == 0, done.stderr
    assert (folder / "batch4_iter_8.caffemodel").exists()


@needs_mpi
def test_what_is_missing_for_one_is_an_error_of_all(folder):
    solver = write_solver(folder, 4)
    for place in (0, 1):
        programs = [(1, command("train", "-solver", solver))] * 2
        programs[place] = (1, command("train", "-solver", "is_not_there.prototxt"))
        fails_together(mpirun(folder, *programs), f"rank {place} (", "is_not_there.prototxt")
    fails_together(train(folder, 3, "is_not_there.prototxt"), "rank 0 (", "is_not_there.prototxt")


@needs_mpi
@pytest.mark.parametrize(
    ("batch", "text", "words"),
    [
        (4, "base_lr: 0.2", "it has 'base_lr: 0.2', where rank 0 has 'base_lr: 0.1'"),
        (5, "", "it has 'layer 'data': batch_size: 5', where rank 0 has 'layer 'data': batch_size: 4'"),
    ],
)
def test_different_trainings_are_not_mixed(folder, batch, text, words):
    solver, other = write_solver(folder, 4), write_solver(folder, batch, text, name="other")
    done = mpirun(folder, (1, command("train", "-solver", solver)), (1, command("train", "-solver", other)))
    fails_together(done, "rank 1 (", "would train something else", words)


def test_without_its_mpi_part_nothing_is_trained_several_times(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(_caffe, "has_mpi", lambda: False)
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    solver = write_solver(folder, 4)
    for variables, flags, word in [
        ({"OMPI_COMM_WORLD_SIZE": "4"}, [], "4 processes"),
        ({"PMI_SIZE": "3"}, [], "3 processes"),
        ({"PMIX_RANK": "0"}, [], "several processes"),
        ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "2"}, [], "2 processes"),
        ({}, ["-mpi"], "-mpi was given"),
    ]:
        with monkeypatch.context() as context:
            for name, value in variables.items():
                context.setenv(name, value)
            assert cli.main(["train", "-solver", solver, *flags]) == 1
        last = capfd.readouterr().err.splitlines()[-1]
        assert word in last
        assert "no MPI part; install MPI" in last
    assert not list(folder.glob("batch4_iter_*"))


def test_one_process_trains_alone(monkeypatch):
    monkeypatch.delenv("PMI_SIZE", raising=False)
    monkeypatch.delenv("PMIX_RANK", raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    with processes.together("caffe train", insists=False) as together:
        assert together is None


@needs_mpi
def test_an_mpirun_of_another_mpi_is_noticed(folder):
    done = subprocess.run(
        command("train", "-solver", write_solver(folder, 4)),
        cwd=folder,
        env=mpi_environment(folder, PMI_SIZE="2"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    fails_together(done, "mpirun has started 2 processes", "built with another MPI")


# -------------------------------------------------------------------------------------------------- signals


@needs_mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_stops_all(folder, rank):
    solver = write_solver(folder, 4, "max_iter: 1000000 snapshot: 0", more=SABOTEUR_LAYER)
    done = train(folder, 3, solver, PASS="7", RANK=str(rank), DEED="SIGINT")
    assert done.returncode == 0, done.stderr
    assert "Optimization stopped early." in done.stderr
    # Told before the next iteration, and done after it.
    assert [path.name for path in folder.glob("*.solverstate")] == ["batch4_iter_8.solverstate"]


@needs_mpi
def test_a_signal_for_a_snapshot_is_for_the_root(folder):
    solver = write_solver(folder, 4, "max_iter: 12 snapshot: 0", more=SABOTEUR_LAYER)
    done = train(folder, 2, solver, PASS="6", RANK="1", DEED="SIGHUP")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.glob("*.solverstate")} == {
        "batch4_iter_7.solverstate",
        "batch4_iter_12.solverstate",
    }


@needs_mpi
@pytest.mark.parametrize("name", ["SIGUSR1", "SIGINT"])
def test_mpirun_stops_all(folder, name):
    # Of what they log from then on mpirun takes nothing, so that they would wait for it if they logged much.
    solver = write_solver(folder, 4, "max_iter: 1000000 snapshot: 0 display: 5", more=SABOTEUR_LAYER)
    idle = {"PASS": "0", "RANK": "0", "PAUSE": "0.02"}
    process = subprocess.Popen(
        ["mpirun", "-n", "2", *command("train", "-solver", solver)],
        cwd=folder,
        # mpirun gives the processes so many seconds to end.
        env=mpi_environment(folder, OMPI_MCA_odls_base_sigkill_timeout="5", **idle),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            if "Iteration 20 " in line:
                break
        process.send_signal(getattr(signal, name))
        rest = process.stderr.read()
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert "Optimization stopped early." in rest or name == "SIGINT"
    assert len(list(folder.glob("*.solverstate"))) == 1


@needs_mpi
def test_a_stop_while_the_root_tests_stops_all(folder):
    in_test = SABOTEUR_LAYER.replace("TRAIN", "TEST")
    solver = write_solver(
        folder, 4, "max_iter: 1000000 snapshot: 0 test_iter: 5 test_interval: 3", more=in_test
    )
    # The test before training, and the second pass of the next one.
    done = train(folder, 2, solver, PASS="7", RANK="0", DEED="SIGINT")
    assert done.returncode == 0, done.stderr
    assert "Test interrupted." in done.stderr
    assert [path.name for path in folder.glob("*.solverstate")] == ["batch4_iter_3.solverstate"]


# ----------------------------------------------------------------------------------------------------- data


def served(text, label, ranks, passes):
    """What solvers of one training get from a data layer: an array of solver, pass, and values."""
    rows = []
    try:
        _caffe.set_solver_count(ranks)
        for rank in range(ranks):
            _caffe.set_solver_rank(rank)
            param = caffe_pb2.SolverParameter(base_lr=0.1, lr_policy="fixed", random_seed=7)
            text_format.Parse(text, param.train_net_param)
            solver = _caffe.get_solver_from_bytes(param.SerializeToString())
            batches = []
            for _ in range(passes):
                solver.net.forward()
                batches.append(solver.net.blobs[label].data.copy().ravel())
            rows.append(batches)
    finally:
        _caffe.set_solver_count(1)
        _caffe.set_solver_rank(0)
    return np.array(rows)


def write_hdf5(folder, name, labels):
    """A file with the dataset "label"."""
    prototxt = folder / "write.prototxt"
    prototxt.write_text(
        'layer { name: "in" type: "Input" top: "a" input_param { '
        f"shape {{ dim: {len(labels)} dim: 1 }} }} }} "
        'layer { name: "out" type: "HDF5Output" bottom: "a" bottom: "a" '
        f'hdf5_output_param {{ file_name: "{folder / name}" }} }}'
    )
    net = caffe.Net(str(prototxt), caffe.TEST)
    net.blobs["a"].data[:, 0] = labels
    net.forward()


def test_data_layers_share_the_records(tmp_path):
    pixels = np.random.RandomState(5).randint(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    with _caffe.Database(tmp_path / "db", "new") as database:
        for number, image in enumerate(pixels):
            imageio.imwrite(tmp_path / f"{number}.png", image)
            datum = caffe_pb2.Datum(channels=3, height=8, width=8, label=number, data=image.tobytes())
            database.put(f"{number:03}", datum.SerializeToString())
        database.commit()
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path}/{i}.png {i}\n" for i in range(12)))
    for part, numbers in enumerate([range(5), range(5, 12)]):
        write_hdf5(tmp_path, f"{part}.h5", numbers)
    (tmp_path / "files.txt").write_text(f"{tmp_path}/0.h5\n{tmp_path}/1.h5\n")
    layers = [
        f'type: "Data" top: "data" top: "label" data_param {{ source: "{tmp_path}/db" backend: LMDB '
        "batch_size: %d }",
        f'type: "Data" top: "data" top: "label" data_param {{ source: "{tmp_path}/db" backend: LMDB '
        "rand_skip: 9 batch_size: %d }",
        f'type: "ImageData" top: "data" top: "label" image_data_param {{ source: "{tmp_path}/list.txt" '
        "batch_size: %d }",
        f'type: "ImageData" top: "data" top: "label" image_data_param {{ source: "{tmp_path}/list.txt" '
        "shuffle: true batch_size: %d }",
        f'type: "HDF5Data" top: "label" hdf5_data_param {{ source: "{tmp_path}/files.txt" '
        "shuffle: true batch_size: %d }",
    ]
    for layer in layers:
        text = 'layer { name: "data" ' + layer + " }"
        alone = served(text % 6, "label", 1, 4)[0]
        for ranks in (2, 3):
            together = served(text % (6 // ranks), "label", ranks, 4)
            # rank, pass, item -> pass, item, rank: the records in order.
            np.testing.assert_array_equal(together.transpose(1, 2, 0).reshape(4, 6), alone, layer)
        assert sorted(alone[:2].ravel()) == list(range(12)), layer


def test_windows_are_shared(tmp_path):
    imageio.imwrite(tmp_path / "image.png", np.zeros((8, 8, 3), np.uint8))
    windows = "".join(f"{label} 1 0 0 4 4\n" for label in range(1, 31))
    (tmp_path / "windows.txt").write_text(f"# 0\n{tmp_path}/image.png\n3\n8\n8\n30\n{windows}")
    text = (
        'layer { name: "data" type: "WindowData" top: "data" top: "label" transform_param { crop_size: 4 } '
        f'window_data_param {{ source: "{tmp_path}/windows.txt" fg_fraction: 1 batch_size: %d }} }}'
    )
    alone = served(text % 6, "label", 1, 3)[0]
    assert len(np.unique(alone)) > 6
    together = served(text % 2, "label", 3, 3)
    np.testing.assert_array_equal(together.transpose(1, 2, 0).reshape(3, 6), alone)


def test_random_crops_are_those_of_one_process(folder):
    text = (
        f'layer {{ name: "data" type: "Data" top: "data" top: "label" data_param {{ source: "{folder}/db" '
        "backend: LMDB batch_size: %d } transform_param { mirror: true } }"
    )
    alone = served(text % 4, "data", 1, 3)[0].reshape(3, 4, -1)
    together = served(text % 2, "data", 2, 3).reshape(2, 3, 2, -1)
    np.testing.assert_array_equal(together.transpose(1, 2, 0, 3).reshape(3, 4, -1), alone)


def test_made_up_data_are_each_ones_own():
    text = (
        'layer { name: "data" type: "DummyData" top: "data" '
        'dummy_data_param { shape { dim: 4 } data_filler { type: "gaussian" } } }'
    )
    one, other = served(text, "data", 2, 2)
    assert not np.isin(one, other).any()


# -------------------------------------------------------------------------------------------- threads, GPUs


@needs_mpi
def test_processes_share_the_processors(folder):
    # In one piece, so that mpirun keeps the processes' lines apart.
    write = 'print(f"{_caffe.parallel_threads()}\\n", end="", flush=True)'
    script = f"from caffe import _caffe; g = _caffe.join_mpi(); {write}; g.leave()"
    line = ["mpirun", "--bind-to", "none", "-n", "2", sys.executable, "-c", script]
    variables = mpi_environment(folder)
    del variables["OMP_NUM_THREADS"]
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == [str(max(len(os.sched_getaffinity(0)) // 2, 1))] * 2, done.stderr
    done = mpirun(folder, (2, [sys.executable, "-c", script]), OMP_NUM_THREADS="3")
    assert done.stdout.split() == ["3", "3"]


@needs_mpi
@needs_two_gpus
def test_gpus_of_processes_train_as_one_with_the_whole_batch(folder):
    text = "momentum: 0.9"
    run("train", "-gpu", "0", "-solver", write_solver(folder, 8, text), cwd=folder)
    together = train(folder, 2, write_solver(folder, 4, text), "-gpu", "all")
    assert together.returncode == 0, together.stderr
    expect_close(
        weights(folder, "batch4_iter_8.caffemodel", 4), weights(folder, "batch8_iter_8.caffemodel", 4)
    )
    fails_together(train(folder, 2, "batch4.prototxt", "-gpu", "0"), "rank 1 (", "each needs one")
