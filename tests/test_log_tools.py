"""parse_log and caffe plot, run as a user runs them."""

import csv
import math
import os
import subprocess
import sys

import pytest
from tool_runner import environment, fails, run

LOG = """\
Log file created at: 2024/12/31 23:59:00
Log line format: [IWEF]mmdd hh:mm:ss.uuuuuu threadid file:line] msg
I1231 23:59:58.000000  1234 caffe.cpp:197] Using CPU
I1231 23:59:58.500000  1234 solver.cpp:280] Solving LeNet
I1231 23:59:58.600000  1234 solver.cpp:337] Iteration 0, Testing net (#0)
I1231 23:59:59.000000  1234 solver.cpp:404]     Test net output #0: accuracy = 0.125
I1231 23:59:59.000001  1234 solver.cpp:404]     Test net output #1: loss = 2.5 (* 1 = 2.5 loss)
I1231 23:59:59.500000  1234 solver.cpp:228] Iteration 0, loss = 2.25
I1231 23:59:59.500000  1234 solver.cpp:244]     Train net output #0: loss = 2.25 (* 1 = 2.25 loss)
I1231 23:59:59.500000  1234 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0101 00:00:01.500000  1234 solver.cpp:218] Iteration 50 (25 iter/s, 2s/50 iters), loss = 1.5
I0101 00:00:01.500000  1234 solver.cpp:237]     Train net output #0: loss = 1.5 (* 1 = 1.5 loss)
I0101 00:00:01.500000  1234 sgd_solver.cpp:105] Iteration 50, lr = 1e-03
W0101 00:00:01.600000 what another thread I0101 00:00
not a line of the log
I0101 00:00:03.500000  1234 solver.cpp:218] Iteration 100 (25 iter/s, 2s/50 iters), loss = 1.25
I0101 00:00:03.500000  1234 solver.cpp:237]     Train net output #0: loss = nan (* 1 = nan loss)
I0101 00:00:03.500000  1234 sgd_solver.cpp:105] Iteration 100, lr = 1e-03
I0101 00:00:04.500000  1234 solver.cpp:337] Iteration 100, Testing net (#0)
I0101 00:00:05.000000  1234 solver.cpp:404]     Test net output #0: accuracy = 0.75
I0101 00:00:05.000000  1234 solver.cpp:404]     Test net output #1: loss = 0.5 (* 1 = 0.5 loss)
I0101 00:00:05.500000  1234 solver.cpp:322] Optimization Done.
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "caffe.log").write_text(LOG)
    (tmp_path / "out").mkdir()
    return tmp_path


def table(path, delimiter=","):
    with open(path, newline="") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    return header, [[float(value) for value in row] for row in rows]


def test_tables(folder):
    done = run("parse_log", "caffe.log", "out", "--verbose", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Wrote out/caffe.log.train\nWrote out/caffe.log.test\n"
    header, rows = table(folder / "out/caffe.log.train")
    assert header == ["NumIters", "Seconds", "LearningRate", "loss"]
    assert rows[:2] == [[0, 1, 0.01, 2.25], [50, 3, 0.01, 1.5]]
    assert rows[2][:3] == [100, 5, 0.001]
    assert math.isnan(rows[2][3])
    header, rows = table(folder / "out/caffe.log.test")
    assert header == ["NumIters", "Seconds", "LearningRate", "accuracy", "loss"]
    assert rows == [[0, 0.5, 0.001, 0.125, 2.5], [100, 6.5, 0.001, 0.75, 0.5]]


@pytest.mark.parametrize(("flag", "delimiter"), [(";", ";"), ("\t", "\t"), (r"\t", "\t")])
def test_delimiter(folder, flag, delimiter):
    done = run("parse_log", "--delimiter", flag, "caffe.log", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert table(folder / "out/caffe.log.test", delimiter)[0][-1] == "loss"


def test_old_paths(root, folder):
    script = root / "tools/extra/parse_log.py"
    done = subprocess.run(
        [sys.executable, script, "caffe.log", "out"], cwd=folder, env=environment(), check=False
    )
    assert done.returncode == 0
    assert (folder / "out/caffe.log.train").is_file()


def test_a_vectors_values_are_one_row(folder):
    text = LOG.replace("Test net output #1: loss", "Test net output #1: accuracy")
    (folder / "caffe.log").write_text(text)
    assert run("parse_log", "caffe.log", "out", cwd=folder).returncode == 0
    _, rows = table(folder / "out/caffe.log.test")
    assert [row[0] for row in rows] == [0, 100]


def test_a_training_without_test_has_one_table(folder):
    (folder / "caffe.log").write_text("".join(li for li in LOG.splitlines(True) if "Test" not in li))
    done = run("parse_log", "caffe.log", "out", "--verbose", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Not writing out/caffe.log.test" in done.stdout
    assert os.listdir(folder / "out") == ["caffe.log.train"]


def test_logs_cut_anywhere(folder):
    for length in range(0, len(LOG), 97):
        (folder / "caffe.log").write_text(LOG[length:])
        done = run("parse_log", "caffe.log", "out", cwd=folder)
        if done.returncode:
            fails(done, "parse_log: caffe.log")


def test_what_is_wrong_is_one_line(folder):
    fails(run("parse_log", "none", "out", cwd=folder), "parse_log: ", "none")
    fails(run("parse_log", "caffe.log", "caffe.log/tables", cwd=folder), "caffe.log/tables")
    fails(run("parse_log", "caffe.log", "out", "--delimiter", "ab", cwd=folder), "delimiter", "'ab'")
    (folder / "noise").write_bytes(bytes(range(256)) * 10)
    fails(run("parse_log", "noise", "out", cwd=folder), "noise", "no lines of a log")
    (folder / "other").write_text("I1231 23:59:58.000000  1234 caffe.cpp:197] Using CPU\n")
    fails(run("parse_log", "other", "out", cwd=folder), "other", "no outputs")
    fails(run("plot", "none", cwd=folder), "caffe plot: ", "none")
    fails(run("plot", "caffe.log", "-o", "p.gif", cwd=folder), "p.gif", ".png")
    fails(run("plot", "caffe.log", "-o", "p.png", "-show", "los", cwd=folder), "'los'", "accuracy")
    assert not os.listdir(folder / "out")


def plot(folder, *arguments):
    pytest.importorskip("matplotlib")
    done = run("plot", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_pictures(folder):
    plot(folder, "caffe.log", "-o", "curves.png")
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    (folder / "second").write_text(LOG)
    plot(folder, "-x", "seconds", "caffe.log", "second")
    assert "<svg" in (folder / "curves.svg").read_text()


def test_chosen_curves(folder, monkeypatch):
    from caffe import cli
    from caffe.cli import plot as command

    drawn = {}

    def draw(curves, x, picture):
        drawn.update(curves=curves, x=x, picture=picture)

    monkeypatch.setattr(command, "draw", draw)
    monkeypatch.chdir(folder)
    assert cli.main(["plot", "caffe.log", "-o", "p.png"]) == 0
    assert list(drawn["curves"]) == ["loss", "accuracy", "lr"]
    assert [line.label for line in drawn["curves"]["loss"]] == ["train", "test"]
    assert [line.label for line in drawn["curves"]["accuracy"]] == ["test"]
    assert len(drawn["curves"]["lr"]) == 1
    assert drawn["curves"]["accuracy"][0].points == [(0, 0.125), (100, 0.75)]
    assert cli.main(["plot", "-show", "loss", "-part=test", "-x=seconds", "caffe.log"]) == 0
    assert drawn["curves"]["loss"][0].points == [(0.5, 2.5), (6.5, 0.5)]
    assert len(drawn["curves"]["loss"]) == 1
    assert cli.main(["plot", "-show", "accuracy", "-part", "train", "caffe.log"]) == 1


@pytest.mark.parametrize("kind", range(8))
def test_plots_by_caffes_kinds(root, folder, kind):
    pytest.importorskip("matplotlib")
    script = root / "tools/extra/plot_training_log.py"
    done = subprocess.run(
        [sys.executable, script, str(kind), "p.png", "caffe.log"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "p.png").is_file()


def test_plots_say_what_they_need(folder):
    (folder / "matplotlib.py").write_text("raise ImportError('not here')")
    done = run(
        "plot", "caffe.log", "-o", "p.png", cwd=folder, PYTHONPATH=f"{folder}:{environment()['PYTHONPATH']}"
    )
    fails(done, "pip install matplotlib")
