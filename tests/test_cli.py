"""The caffe command, run as a user runs it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import caffe
import caffe.cli

ROOT = Path(__file__).resolve().parents[1]

NET = """
name: "small"
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
    data_filler { type: "gaussian" } data_filler { } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST not_stage: "quick" } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""

SOLVER = """
net: "net.prototxt"
test_iter: 2
test_interval: 10
base_lr: 0.1
lr_policy: "fixed"
display: 5
max_iter: 20
snapshot: 10
snapshot_prefix: "small"
random_seed: 3
"""

# Every line of the log: level, date, time, process, place.
LOG_LINE = re.compile(r"[IWE]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \w+\.\w+:\d+\] (.*)")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER + "solver_mode: CPU\n")
    (tmp_path / "gpu_solver.prototxt").write_text(SOLVER + "solver_mode: GPU\n")
    return tmp_path


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "GLOG_minloglevel": "0"}


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "caffe.cli", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def messages(done):
    return [match[1] for line in done.stderr.splitlines() if (match := LOG_LINE.match(line))]


def fails(done, *words):
    """One line that says all the words, and exit status 1."""
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("caffe "), done.stderr
    for word in words:
        assert word in last
    assert "Traceback" not in done.stderr


def test_train_logs_what_parsers_read(folder):
    done = run("train", "-solver", "solver.prototxt", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = messages(done)
    assert "Use CPU." in lines
    assert "Starting Optimization" in lines
    assert "Iteration 0, Testing net (#0)" in lines
    assert lines[-1] == "Optimization Done."
    text = "\n".join(lines)
    assert re.search(r"^Iteration 5 \([\d.e+]+ iter/s, [\d.e-]+s/5 iters\), loss = [\d.]+$", text, re.M)
    assert re.search(r"^    Train net output #0: loss = [\d.]+ \(\* 1 = [\d.]+ loss\)$", text, re.M)
    assert re.search(r"^    Test net output #0: accuracy = [\d.]+$", text, re.M)
    for name in ("small_iter_10", "small_iter_20"):
        assert (folder / f"{name}.caffemodel").exists()
        assert (folder / f"{name}.solverstate").exists()


@pytest.mark.parametrize(
    "spelling",
    [
        ["train", "--solver=solver.prototxt"],
        ["train", "--solver", "solver.prototxt"],
        ["train", "-solver=solver.prototxt"],
        ["-solver", "solver.prototxt", "train"],
        ["train", "--solver=solver.prototxt", "--logtostderr=1", "-sigint_effect=none"],
    ],
)
def test_flags_in_all_spellings(folder, spelling):
    done = run(*spelling, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert messages(done)[-1] == "Optimization Done."


def test_files_are_found_beside_the_prototxt_that_names_them(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run("train", "-solver", str(folder / "solver.prototxt"), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "small_iter_20.caffemodel").exists(), "what is written stays with the working folder"


def test_a_gpu_solver_needs_cpu_said(folder):
    fails(run("train", "-solver", "gpu_solver.prototxt", cwd=folder), "GPU", "-cpu", "solver_mode: CPU")
    assert run("train", "-cpu", "-solver", "gpu_solver.prototxt", cwd=folder).returncode == 0
    fails(run("train", "-gpu", "all", "-solver", "solver.prototxt", cwd=folder), "-gpu all", "-cpu")
    fails(run("device_query", "-gpu", "0", cwd=folder), "GPU")


def test_a_solver_that_says_no_mode_takes_what_there_is(folder):
    (folder / "solver.prototxt").write_text(SOLVER)
    done = run("train", "-solver", "solver.prototxt", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_resuming_gives_what_an_uninterrupted_run_gives(folder):
    # With the same data in every iteration the weights depend on the saved state alone.
    (folder / "net.prototxt").write_text(NET.replace('type: "gaussian"', "value: 0.5"))
    assert run("train", "-solver", "solver.prototxt", cwd=folder).returncode == 0
    whole = (folder / "small_iter_20.caffemodel").read_bytes()
    (folder / "small_iter_20.caffemodel").unlink()
    done = run("train", "-solver", "solver.prototxt", "-snapshot", "small_iter_10.solverstate", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Resuming from small_iter_10.solverstate" in messages(done)
    assert any(line.startswith("Iteration 10, Testing net") for line in messages(done))
    assert (folder / "small_iter_20.caffemodel").read_bytes() == whole


def test_finetuning_starts_from_the_weights(folder):
    assert run("train", "-solver", "solver.prototxt", cwd=folder).returncode == 0
    still = SOLVER.replace("max_iter: 20", "max_iter: 1").replace("base_lr: 0.1", "base_lr: 0")
    (folder / "still.prototxt").write_text(still + "solver_mode: CPU\n")
    done = run("train", "-solver", "still.prototxt", "-weights", "small_iter_20.caffemodel", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Finetuning from small_iter_20.caffemodel" in messages(done)
    tuned, source = (
        caffe.Net(
            str(folder / "net.prototxt"), caffe.TEST, weights=str(folder / f"small_iter_{i}.caffemodel")
        )
        for i in (1, 20)
    )
    np.testing.assert_array_equal(tuned.params["fc"][0].data, source.params["fc"][0].data)


@pytest.mark.parametrize(("number", "effect"), [(signal.SIGINT, "stop"), (signal.SIGHUP, "snapshot")])
def test_signals_stop_and_snapshot(folder, number, effect):
    endless = SOLVER.replace("max_iter: 20", "max_iter: 100000000").replace("test_interval: 10", "")
    endless = endless.replace("test_iter: 2", "").replace("snapshot: 10\n", "")
    (folder / "endless.prototxt").write_text(endless + "solver_mode: CPU\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "caffe.cli", "train", "-solver", "endless.prototxt"],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            if "Iteration 5 " in line:
                break
        process.send_signal(number)
        if effect == "snapshot":
            wait_for(lambda: list(folder.glob("small_iter_*.solverstate")), process)
            process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 0
        assert "Optimization stopped early." in rest
        assert list(folder.glob("small_iter_*.caffemodel")), "what was learned is saved"
    finally:
        process.kill()


def wait_for(condition, process):
    # The process logs on; its lines have to be taken off the pipe for it to go on.
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        process.stderr.readline()


def test_test_prints_means(folder):
    assert run("train", "-solver", "solver.prototxt", cwd=folder).returncode == 0
    done = run(
        "test",
        "-model",
        "net.prototxt",
        "-weights",
        "small_iter_20.caffemodel",
        "-iterations",
        "3",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    lines = messages(done)
    assert "Running for 3 iterations." in lines
    text = "\n".join(lines)
    batches = [float(value) for value in re.findall(r"^Batch \d, accuracy = ([\d.]+)$", text, re.M)]
    assert len(batches) == 3
    mean = float(re.search(r"^accuracy = ([\d.]+)$", text, re.M)[1])
    assert mean == pytest.approx(np.mean(batches), abs=1e-5)
    assert re.search(r"^Loss: [\d.]+$", text, re.M)
    assert re.search(r"^loss = ([\d.]+) \(\* 1 = \1 loss\)$", text, re.M)


def test_stages_choose_layers(folder):
    assert run("train", "-solver", "solver.prototxt", cwd=folder).returncode == 0
    done = run(
        "test", "-model", "net.prototxt", "-weights", "small_iter_20.caffemodel", "-iterations", "1",
        "-stage", "quick", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not any("accuracy =" in line for line in messages(done))


def test_time_lists_layers(folder):
    done = run("time", "-model", "net.prototxt", "-iterations", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    text = "\n".join(messages(done))
    assert re.search(r"^ +fc\tforward: [\d.e-]+ ms\.$", text, re.M)
    assert re.search(r"^ +fc\tbackward: [\d.e-]+ ms\.$", text, re.M)
    assert re.search(r"^Average Forward-Backward: [\d.e-]+ ms\.$", text, re.M)
    assert re.search(
        r"^Memory on the CPU: [\d.]+ k?B of parameters and their gradients; [\d.]+ k?B of blobs and "
        r"theirs, or [\d.]+ k?B where memory is reused, as in training\.$",
        text,
        re.M,
    )


def test_threads_are_those_that_are_asked_for(folder):
    command = ["-model", "net.prototxt", "-iterations", "1"]
    done = run("time", *command, "-threads", "3", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Computing with 3 threads" in messages(done)
    script = (
        "import sys; from caffe import _caffe, cli; cli.main(sys.argv[1:]); print(_caffe.parallel_threads())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "time", *command, "-threads", "3"],
        cwd=folder, capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    assert done.stdout == "3\n", done.stderr
    fails(run("time", *command, "-threads", "0", cwd=folder), "-threads must be at least 1, not 0")


def test_bad_input_is_one_line(folder):
    fails(run("train", cwd=folder), "-solver")
    fails(run("train", "-solver", "none.prototxt", cwd=folder), "none.prototxt")
    fails(run("train", "-solver", "solver.prototxt", "-frob", cwd=folder), "-frob")
    fails(
        run("train", "-solver", "solver.prototxt", "-snapshot", "a", "-weights", "b", cwd=folder),
        "not both",
    )
    (folder / "bad.prototxt").write_text('layer {\n  nmae: "x"\n}\n')
    fails(run("time", "-model", "bad.prototxt", cwd=folder), "bad.prototxt:2:", "nmae")
    (folder / "type.prototxt").write_text(NET.replace('"InnerProduct"', '"InnerProdukt"'))
    fails(run("time", "-model", "type.prototxt", cwd=folder), "type.prototxt", "fc", "InnerProduct")
    (folder / "cut.caffemodel").write_bytes(b"\x0a\xff\x01abc")
    fails(run("test", "-model", "net.prototxt", "-weights", "cut.caffemodel", cwd=folder), "cut.caffemodel")
    fails(run("test", "-model", "net.prototxt", cwd=folder), "-weights")


def test_memory_that_is_missing_is_one_line(capfd):
    for error in (MemoryError("std::bad_alloc"), MemoryError()):
        assert caffe.cli.report_error("caffe time", error) == 1
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("caffe time: not enough memory (")


def test_unknown_command_and_help(folder):
    done = run("frobnicate", cwd=folder)
    assert done.returncode == 1
    assert "unknown command 'frobnicate'" in done.stderr
    for arguments in ([], ["--help"], ["train", "--help"]):
        done = run(*arguments, cwd=folder)
        assert done.returncode == 0
        assert "caffe train -solver" in done.stdout
    assert run("--version", cwd=folder).stdout.strip() == f"caffe {caffe.__version__}"


def test_a_bad_snapshot_leaves_the_good_ones(folder):
    assert run("train", "-solver", "solver.prototxt", cwd=folder).returncode == 0
    state = folder / "small_iter_10.solverstate"
    (folder / "cut.solverstate").write_bytes(state.read_bytes()[:-3])
    before = {path: path.read_bytes() for path in folder.glob("small_iter_*")}
    fails(
        run("train", "-solver", "solver.prototxt", "-snapshot", "cut.solverstate", cwd=folder),
        "cut.solverstate",
    )
    assert {path: path.read_bytes() for path in folder.glob("small_iter_*")} == before


def test_what_is_wrong_is_the_last_line(monkeypatch, capsys):
    """Also where what failed has still something to say when it ends, as a net's threads may have."""

    class Talkative:
        def __del__(self):
            print("the end of a net", file=sys.stderr)

    def run(arguments):
        net = Talkative()
        raise caffe.Error(f"no blob '{arguments[0]}' {'' if net else 'here'}")

    monkeypatch.setattr(caffe.cli.module_of("extract_features"), "run", run)
    assert caffe.cli.main(["extract_features", "fd"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "the end of a net"
    assert "no blob 'fd'" in lines[-1]
