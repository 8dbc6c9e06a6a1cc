"""Training runs that are killed, starved of disk and data, or diverge, and go on.

The kills come at random moments; CAFFE_KILLS=300 sends so many. Their seed is new each time then, and
told when something goes wrong.
"""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import tool_runner
from PIL import Image

import caffe
from caffe._caffe import Database
from caffe.proto import caffe_pb2

KILLS = int(os.environ.get("CAFFE_KILLS", 8))
SEED = random.SystemRandom().randrange(2**32) if "CAFFE_KILLS" in os.environ else 1
ITERATIONS = 60
SNAPSHOT = 4

# A LeNet with 416,000 weights, with all that is random: order, crops, flips, dropout.
NET = """
name: "lenet"
layer {{ name: "data" type: "{type}" top: "data" top: "label" include {{ phase: TRAIN }} {source}
  transform_param {{ crop_size: 24 mirror: true scale: 0.00390625 }} }}
layer {{ name: "test" type: "Data" top: "data" top: "label" include {{ phase: TEST }}
  data_param {{ source: "lmdb" backend: LMDB batch_size: 3 }}
  transform_param {{ crop_size: 24 mirror: true scale: 0.00390625 }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param {{ num_output: 20 kernel_size: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "norm" type: "BatchNorm" bottom: "conv1" top: "norm" }}
layer {{ name: "pool1" type: "Pooling" bottom: "norm" top: "pool1"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param {{ num_output: 50 kernel_size: 3 stride: 2 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "ip1" type: "InnerProduct" bottom: "conv2" top: "ip1"
  inner_product_param {{ num_output: 500 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "ip1" top: "ip1" }}
layer {{ name: "drop" type: "Dropout" bottom: "ip1" top: "ip1" }}
layer {{ name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }}
"""
# Layer, its source, and the format of the snapshots.
SOURCES = {
    "LMDB": ("Data", 'data_param { source: "lmdb" backend: LMDB batch_size: 7 rand_skip: 9 }', "BINARYPROTO"),
    "LevelDB": ("Data", 'data_param { source: "leveldb" backend: LEVELDB batch_size: 7 }', "BINARYPROTO"),
    "images": (
        "ImageData",
        'image_data_param { source: "list.txt" batch_size: 7 shuffle: true }',
        "BINARYPROTO",
    ),
    "images to HDF5": (
        "ImageData",
        'image_data_param { source: "list.txt" batch_size: 7 shuffle: true }',
        "HDF5",
    ),
}
SOLVER = dict(
    net='"net.prototxt"',
    solver_mode="CPU",
    base_lr=0.01,
    lr_policy='"inv"',
    gamma=0.01,
    power=0.75,
    momentum=0.9,
    weight_decay=0.0005,
    test_iter=2,
    test_interval=10,
    display=1,
    average_loss=5,
    max_iter=ITERATIONS,
    snapshot=SNAPSHOT,
    snapshot_prefix='"s"',
    random_seed=11,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with images as files and in databases, and a net for each."""
    folder = tmp_path_factory.mktemp("data")
    pixels = np.random.default_rng(3).integers(0, 256, (40, 28, 28), np.uint8)
    (folder / "images").mkdir()
    lines = []
    for number, image in enumerate(pixels):
        file = f"images/{number}.png"
        Image.fromarray(image).convert("RGB").save(folder / file)
        lines.append(f"{file} {number % 10}\n")
    (folder / "list.txt").write_text("".join(lines))
    for backend in ("lmdb", "leveldb"):
        with Database(folder / backend, "new", backend=backend) as database:
            for number, image in enumerate(pixels):
                datum = caffe.io.array_to_datum(np.stack([image] * 3), number % 10)
                database.put(f"{number:03}", datum.SerializeToString())
            database.commit()
    return folder


@pytest.fixture
def prepare(data, tmp_path):
    """Makes a folder with the data and a solver that has these fields, too; returns it."""

    def prepare(name, source="LMDB", **fields):
        folder = tmp_path / name
        shutil.copytree(data, folder)
        kind, layer, snapshot_format = SOURCES[source]
        (folder / "net.prototxt").write_text(NET.format(type=kind, source=layer))
        lines = [f"{field}: {value}\n" for field, value in (SOLVER | fields).items()]
        lines.append(f"snapshot_format: {snapshot_format}\n")
        (folder / "solver.prototxt").write_text("".join(lines))
        return folder

    return prepare


def environment():
    return tool_runner.environment() | {"OMP_NUM_THREADS": "1"}


def start(folder, *flags, **options):
    with open(folder / "log", "w") as log:
        return subprocess.Popen(
            tool_runner.command("train", "-solver", "solver.prototxt", *flags),
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            **options,
        )


def train(folder, *flags, **options):
    """Exit status and log of a run."""
    status = start(folder, *flags, **options).wait(300)
    return status, (folder / "log").read_text()


def wait_for(process, folder, text):
    """Until the log says it, or the run has ended."""
    while text not in (folder / "log").read_text() and process.poll() is None:
        time.sleep(0.001)


def losses(log):
    """The displayed means of the losses, by iteration."""
    found = re.findall(r"\] Iteration (\d+) \(.*\), loss = (\S+)", log)
    return {int(iteration): loss for iteration, loss in found}


def state(folder, iteration):
    """What a state holds of the run, apart from when it was saved."""
    message = caffe_pb2.SolverState.FromString((folder / f"s_iter_{iteration}.solverstate").read_bytes())
    for field in ("saved_at", "kept_iter", "checksum"):
        message.ClearField(field)
    return message


def leftovers(folder):
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


def weights(net):
    return np.concatenate([blob.data.ravel() for blobs in net.params.values() for blob in blobs])


def same_end(folder, whole, iterations=ITERATIONS):
    name = f"s_iter_{iterations}.caffemodel"
    if (whole / f"{name}.h5").exists():
        # An HDF5 file tells when it was made, too.
        one, other = (
            caffe.Net(str(place / "net.prototxt"), caffe.TEST, weights=str(place / f"{name}.h5"))
            for place in (folder, whole)
        )
        np.testing.assert_array_equal(weights(one), weights(other))
    else:
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
        assert state(folder, iterations) == state(whole, iterations)


def last(log):
    return log.strip().splitlines()[-1]


# ----------------------------------------------------------------------------------------------------- kills


class Killer:
    """Trains in a folder until it is done, killed again and again on the way."""

    def __init__(self, folder, seconds, generator):
        self.folder = folder
        self.seconds = seconds
        self.random = generator
        self.kills = self.while_saving = 0
        self.losses = {}

    def run(self, kills):
        """Sends up to so many kills, and ends with a run that is let alone."""
        while kills > self.kills:
            complete = self.newest()
            process = start(self.folder, "-resume", "auto")
            if self.random.random() < 0.5:
                time.sleep(self.random.uniform(0, self.seconds))
            else:
                self.wait_for_a_snapshot(process)
            process.kill()
            if process.wait() == -signal.SIGKILL:
                self.kills += 1
                self.while_saving += bool(leftovers(self.folder))
            self.look_at_log(complete)
            if self.newest() == ITERATIONS:
                break
        complete = self.newest()
        status, log = train(self.folder, "-resume", "auto")
        assert status == 0, log
        self.look_at_log(complete)
        assert not leftovers(self.folder)

    def wait_for_a_snapshot(self, process):
        """Until one is being written, after some others."""
        writes = self.random.randrange(8)
        seen = set(leftovers(self.folder))
        while process.poll() is None and writes >= 0:
            new = set(leftovers(self.folder)) - seen
            writes -= len(new)
            seen |= new
        time.sleep(self.random.choice([0, 0, 0.0003, 0.001]))

    @staticmethod
    def iteration(name):
        """That of a state's file, or 0."""
        match = re.fullmatch(r"s_iter_(\d+)\.solverstate(\.h5)?", name)
        return int(match[1]) if match else 0

    def newest(self):
        """The iteration of the newest state, of which there is one only when it is whole."""
        return max(map(self.iteration, os.listdir(self.folder)))

    def look_at_log(self, complete):
        """A run goes on from the newest snapshot, and shows what every other run shows."""
        log = (self.folder / "log").read_text()
        resumed = re.search(r"Resuming from s_iter_(\d+)\.solverstate", log)
        if resumed or "Starting Optimization" in log:
            assert (int(resumed[1]) if resumed else 0) == complete, log
        assert "Passing over" not in log
        for iteration, loss in losses(log).items():
            assert self.losses.setdefault(iteration, loss) == loss, f"iteration {iteration}"


@pytest.mark.parametrize("source", SOURCES)
def test_killed_runs_end_as_whole_ones(prepare, source):
    generator = random.Random(f"{SEED} {source}")
    whole = prepare("whole", source, snapshot_keep=2)
    begin = time.monotonic()
    status, log = train(whole)
    seconds = time.monotonic() - begin
    if "built without it" in log:
        pytest.skip("a build without HDF5")
    assert status == 0, log
    kills = while_saving = runs = 0
    wanted = -(-KILLS // len(SOURCES))
    while kills < wanted:
        folder = prepare(f"killed{runs}", source, snapshot_keep=2)
        killer = Killer(folder, seconds, generator)
        try:
            killer.run(wanted - kills)
            same_end(folder, whole)
            assert killer.losses == losses(log)
            kept = {killer.iteration(name) for name in os.listdir(folder)} - {0}
            assert kept == {ITERATIONS - SNAPSHOT, ITERATIONS}
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, {source}, run {runs}: {error}") from error
        shutil.rmtree(folder)
        kills += killer.kills
        while_saving += killer.while_saving
        runs += 1
    print(f"{source}: {kills} kills in {runs} runs, {while_saving} while a file was written")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_stopped_runs_go_on(prepare, number):
    """A run that was asked to stop, or to save and was killed later."""
    whole = prepare("whole")
    assert train(whole)[0] == 0
    folder = prepare("stopped", snapshot=1000)
    process = start(folder)
    wait_for(process, folder, "Iteration 15 ")
    process.send_signal(number)
    wait_for(process, folder, "Snapshotting solver state")
    if number == signal.SIGINT:
        assert process.wait() == 0
    else:
        process.kill()
        process.wait()
    solver = folder / "solver.prototxt"
    solver.write_text(solver.read_text().replace("snapshot: 1000", f"snapshot: {SNAPSHOT}"))
    status, log = train(folder, "-resume", "auto")
    assert status == 0, log
    same_end(folder, whole)


# ---------------------------------------------------------------------------------------------------- resume


def test_resume_finds_the_newest_whole_snapshot(prepare):
    folder = prepare("run", max_iter=12)
    status, log = train(folder, "-resume", "auto")
    assert status == 0, log
    assert (
        "There is no snapshot s_iter_N.solverstate to resume from: training starts from the beginning" in log
    )
    (folder / "s_iter_12.solverstate").write_bytes((folder / "s_iter_12.solverstate").read_bytes()[:-1000])
    weights = (folder / "s_iter_12.caffemodel").read_bytes()
    status, log = train(folder, "-resume", "auto")
    assert status == 0, log
    assert "Passing over the snapshot s_iter_12.solverstate: " in log
    assert "Resuming from s_iter_8.solverstate" in log
    assert (folder / "s_iter_12.caffemodel").read_bytes() == weights
    os.remove(folder / "s_iter_12.caffemodel")
    assert "Resuming from s_iter_8.solverstate" in train(folder, "--resume=auto")[1]
    assert "Resuming from s_iter_4.solverstate" in train(folder, "-resume", "s_iter_4.solverstate")[1]


def test_resume_does_not_begin_anew_where_the_net_has_changed(prepare):
    folder = prepare("run", max_iter=4)
    assert train(folder)[0] == 0
    net = folder / "net.prototxt"
    net.write_text(net.read_text().replace("num_output: 10", "num_output: 12"))
    status, log = train(folder, "-resume", "auto")
    assert status == 1
    assert "s_iter_4" in last(log) and "shape" in last(log)
    assert "Starting Optimization" not in log


def test_resume_and_other_flags(prepare):
    folder = prepare("run", max_iter=4)
    assert train(folder)[0] == 0
    for flags, words in {
        ("-resume", "auto", "-snapshot", "s_iter_4.solverstate"): "-resume and -snapshot say the same",
        (
            "-resume",
            "s_iter_4.solverstate",
            "-weights",
            "s_iter_4.caffemodel",
        ): "-weights to finetune, but not both",
        ("-resume", "none.solverstate"): "none.solverstate",
    }.items():
        status, log = train(folder, *flags)
        assert status == 1
        assert words in last(log)
    # Weights to begin with, where there is nothing to go on from.
    shutil.copy(folder / "s_iter_4.caffemodel", folder / "begin.caffemodel")
    flags = ("-resume", "auto", "-weights", "begin.caffemodel")
    assert "Resuming from s_iter_4.solverstate" in train(folder, *flags)[1]
    for file in folder.glob("s_iter_*"):
        file.unlink()
    status, log = train(folder, *flags)
    assert status == 0 and "Resuming" not in log and "Finetuning from begin.caffemodel" in log
    solver = folder / "solver.prototxt"
    solver.write_text(solver.read_text().replace('snapshot_prefix: "s"\n', "").replace("snapshot: 4\n", ""))
    # Without a prefix snapshots are the solver's file name's.
    assert train(folder, "-resume", "auto")[0] == 0
    (trained,) = folder.glob("solver_iter_*.solverstate")
    assert f"Resuming from {trained.name}" in train(folder, "-resume", "auto")[1]


def test_solvers_in_python(prepare, monkeypatch):
    folder = prepare("run", max_iter=20)
    monkeypatch.chdir(folder)
    whole = caffe.get_solver("solver.prototxt")
    assert whole.restore_latest() == "" and whole.iter == 0
    whole.step(9)
    expected = weights(whole.net)
    resumed = caffe.get_solver("solver.prototxt")
    assert resumed.restore_latest() == "s_iter_8.solverstate" == caffe._caffe.newest_snapshot("s")
    resumed.step(1)
    np.testing.assert_array_equal(weights(resumed.net), expected)
    # In pieces, it is the same run.
    resumed.step(2)
    expected = weights(resumed.net)
    in_pieces = caffe.get_solver("solver.prototxt")
    in_pieces.restore("s_iter_8.solverstate")
    for _ in range(3):
        in_pieces.step(1)
    np.testing.assert_array_equal(weights(in_pieces.net), expected)


# -------------------------------------------------------------------------------------------------- accidents


def test_a_vanished_source_loses_nothing(prepare):
    # Long enough for the source to vanish on the way.
    iterations = 400
    whole = prepare("whole", "images", max_iter=iterations)
    assert train(whole)[0] == 0
    folder = prepare("run", "images", max_iter=iterations, snapshot=1000)
    process = start(folder)
    wait_for(process, folder, "Iteration 15 ")
    os.rename(folder / "images", folder / "gone")
    assert process.wait() == 1
    log = (folder / "log").read_text()
    assert "images/" in last(log) and "No such file" in last(log)
    saved = int(re.search(r"Training fails in iteration (\d+): saving the state at its start", log)[1])
    assert 15 <= saved < iterations and (folder / f"s_iter_{saved}.solverstate").exists()
    status, log = train(folder, "-resume", "auto")
    assert status == 1 and "images/" in last(log)

    os.rename(folder / "gone", folder / "images")
    solver = folder / "solver.prototxt"
    solver.write_text(solver.read_text().replace("snapshot: 1000", f"snapshot: {SNAPSHOT}"))
    status, log = train(folder, "-resume", "auto")
    assert status == 0 and f"Resuming from s_iter_{saved}.solverstate" in log
    same_end(folder, whole, iterations)


def test_a_full_disk_keeps_the_run_and_the_snapshots(prepare):
    folder = prepare("run", max_iter=20, snapshot=10)
    status, log = train(
        folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    )
    assert "The snapshot of iteration 10 failed: cannot write 's_iter_10.caffemodel': File too large" in log
    assert "it is tried again at iteration 11" in log
    assert "Iteration 19 " in log, "training goes on"
    assert status == 1 and "s_iter_20.caffemodel" in last(log), "the last one must succeed"
    assert not [name for name in os.listdir(folder) if name.startswith("s_iter")]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB; skipped where this user may not make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("file systems can be mounted by root only")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_disk_that_fills_up_and_is_emptied(prepare, small_disk):
    prefix = f'"{small_disk}/s"'
    folder = prepare("run", max_iter=600, snapshot=10, snapshot_keep=1, snapshot_prefix=prefix)
    (small_disk / "ballast").write_bytes(bytes(7_500_000))
    process = start(folder)
    wait_for(process, folder, "snapshot of iteration 11 failed")
    os.remove(small_disk / "ballast")
    status = process.wait()
    log = (folder / "log").read_text()
    assert status == 0, log
    assert re.search(r"No space left on device \(0\.\d MiB are free in '.*disk': make room there\)", log)
    assert sorted(os.listdir(small_disk)) == ["s_iter_600.caffemodel", "s_iter_600.solverstate"]

    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    status, log = train(folder)
    assert status == 1
    assert "cannot write to snapshot_prefix" in last(log) and "Read-only file system" in last(log)


# --------------------------------------------------------------------------------------------------- numbers

DIVERGING = dict(base_lr=1e8, lr_policy='"fixed"')


def test_a_diverged_loss_stops_after_saving(prepare):
    folder = prepare("run", snapshot=1, stop_on_nan="true", snapshot_keep=2, **DIVERGING)
    status, log = train(folder)
    assert status == 1
    found = re.search(
        r"(?:the loss is -?\w+|the weights hold .*) at iteration (\d+): training has diverged", last(log)
    )
    assert found, log
    assert "base_lr" in last(log) and "-check-numerics" in last(log)
    iteration = int(found[1])
    assert f"the state is saved in 's_nan_iter_{iteration}.solverstate'" in last(log)
    kept = sorted(folder.glob("s_iter_*.solverstate"))
    assert f"s_iter_{iteration}.solverstate" not in [file.name for file in kept]
    for file in folder.glob("s_iter_*.caffemodel"):
        net = caffe_pb2.NetParameter.FromString(file.read_bytes())
        assert all(np.isfinite(blob.data).all() for layer in net.layer for blob in layer.blobs)

    # The same again from there, and now with the place where it begins.
    status, log = train(folder, "-snapshot", f"s_nan_iter_{iteration}.solverstate", "-check-numerics")
    assert status == 1
    assert re.search(r"layer '\w+' \(\w+\): .* holds -?(nan|inf) at \[", last(log))


def test_numbers_are_checked_on_demand(prepare):
    folder = prepare("run", **DIVERGING)
    for flag in ("-check-numerics", "--check_numerics", "-check-numerics=true"):
        status, log = train(folder, flag)
        assert status == 1
        assert re.search(
            r"layer '\w+' \(\w+\): .* holds -?(nan|inf) at \[.*\], the first of \d+ such values", last(log)
        )
    shutil.copy(next(folder.glob("s_nan_iter_*.caffemodel")), folder / "broken.caffemodel")
    done = tool_runner.run(
        "test", "-model", "net.prototxt", "-weights", "broken.caffemodel", "-check-numerics", cwd=folder
    )
    if done.returncode:
        assert "layer '" in done.stderr.strip().splitlines()[-1]


def test_a_net_checks_its_numbers(prepare, monkeypatch):
    folder = prepare("run")
    monkeypatch.chdir(folder)
    net = caffe.Net("net.prototxt", caffe.TEST)
    assert net.check_numerics is False
    net.check_numerics = True
    net.forward()
    net.params["conv2"][0].data[1, 2] = np.nan
    with pytest.raises(
        caffe.Error, match=r"layer 'conv2' \(Convolution\): top blob 'conv2' holds nan at \[0, 1, 0, 0\]"
    ):
        net.forward()
    net.check_numerics = False
    net.forward()
