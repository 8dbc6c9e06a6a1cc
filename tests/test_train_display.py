"""caffe train on a terminal."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest
from test_cli import NET, SOLVER
from tool_runner import command, environment

import caffe
from caffe import _caffe, training_log


def on_a_terminal(*arguments, cwd, stop_at=None, term="xterm-256color"):
    """Runs the command with standard error on a terminal of 120 columns: its status and what it wrote.

    At the text `stop_at` it gets what Ctrl-C sends.
    """
    try:
        master, slave = pty.openpty()
    except OSError as error:
        pytest.skip(f"there are no terminals here: {error}")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    process = subprocess.Popen(
        command(*arguments), cwd=cwd, env=environment() | {"TERM": term}, stderr=slave, stdout=slave
    )
    os.close(slave)
    written = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            part = os.read(master, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not part:
            break
        written += part
        if stop_at and stop_at.encode() in written:
            process.send_signal(signal.SIGINT)
            stop_at = None
    os.close(master)
    status = process.wait(timeout=60)
    return status, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER + "solver_mode: CPU\n")
    return tmp_path


LOG_LINE = re.compile(r"^I\d{4} \d\d:\d\d", re.M)


def test_the_display_takes_the_place_of_the_log(folder):
    # A batch takes some milliseconds, so the display is drawn several times.
    (folder / "net.prototxt").write_text(NET.replace("dim: 4 dim: 3", "dim: 4 dim: 20000"))
    (folder / "solver.prototxt").write_text(
        SOLVER.replace("max_iter: 20", "max_iter: 1000").replace("_interval: 10", "_interval: 250")
    )
    status, text = on_a_terminal("train", "-solver", "solver.prototxt", cwd=folder)
    assert status == 0, text
    assert not LOG_LINE.search(text)
    done = [int(number.replace(",", "")) for number in re.findall(r"Iteration ([\d,]+) of 1,000", text)]
    assert done == sorted(done) and len(set(done)) > 2
    assert re.search(r"loss [\d.e-]+ +lr 0\.1 +test at 250: accuracy [\d.]+, loss [\d.e-]+", text)
    assert re.search(r"[1-9][\d,]* images/s +\d:\d\d left", text)
    assert re.search(r"[\r\n]Iteration 250: test accuracy [\d.]+, loss [\d.e-]+\r\n", text)
    assert "Snapshotting to binary proto file small_iter_1000.caffemodel" in text
    assert re.search(r"Trained to iteration 1,000 in \d:\d\d, [\d,]+ images/s", text)
    assert "Stopped before" not in text


def test_ctrl_c_stops_and_says_where(folder):
    (folder / "solver.prototxt").write_text(SOLVER.replace("max_iter: 20", "max_iter: 100000000"))
    status, text = on_a_terminal("train", "-solver", "solver.prototxt", cwd=folder, stop_at="images/s")
    assert status == 0
    reached = re.search(r"Trained to iteration ([\d,]+) in", text)[1].replace(",", "")
    assert "Stopped before iteration 100,000,000" in text
    assert (folder / f"small_iter_{reached}.solverstate").exists()


@pytest.mark.parametrize(
    ("flags", "term"), [(["-log"], "xterm"), ([], "dumb")], ids=["-log", "a terminal that cannot show it"]
)
def test_log_lines_are_to_be_had_on_a_terminal(folder, flags, term):
    status, text = on_a_terminal("train", "-solver", "solver.prototxt", *flags, cwd=folder, term=term)
    assert status == 0
    assert "Optimization Done." in text and len(LOG_LINE.findall(text)) > 10
    assert "images/s" not in text


def test_the_log_file_has_every_line(folder):
    (folder / "logs").mkdir()
    status, text = on_a_terminal("train", "-solver", "solver.prototxt", "-log_dir", "logs", cwd=folder)
    assert status == 0 and not LOG_LINE.search(text)
    log = training_log.read(folder / "logs/caffe.INFO")
    assert [row["NumIters"] for row in log.test] == [0, 10, 20]
    assert "Optimization Done." in (folder / "logs/caffe.INFO").read_text()


def test_an_error_stands_alone_below_the_display(folder):
    (folder / "net.prototxt").write_text(NET.replace('"InnerProduct"', '"InnrProduct"'))
    status, text = on_a_terminal("train", "-solver", "solver.prototxt", cwd=folder)
    assert status == 1
    last = text.strip().splitlines()[-1]
    assert last.startswith("caffe train: ") and "InnrProduct" in last
    assert "Traceback" not in text


def test_a_watch_follows_its_solver(folder, monkeypatch):
    monkeypatch.chdir(folder)
    solver = caffe.get_solver("solver.prototxt")
    watch = _caffe.TrainingWatch(solver)
    assert watch.iteration == 0
    assert watch.loss != watch.loss and watch.lr != watch.lr, "nothing is known yet"
    solver.step(7)
    assert watch.iteration == solver.iter == 7
    assert watch.loss == pytest.approx(solver.net.blobs["loss"].data.item())
    assert watch.lr == pytest.approx(0.1)
    del solver
    assert watch.iteration == 7, "it keeps the solver"


def test_log_lines_are_taken_in_a_with_block(capfd):
    with _caffe.LogLines() as lines:
        _caffe.log("first")
        _caffe.log("second")
        taken = lines.take()
        assert lines.take() == []
    assert [(level, message) for level, _, message in taken] == [(0, "first"), (0, "second")]
    assert all(LOG_LINE.match(line) for _, line, _ in taken)
    assert "second" not in capfd.readouterr().err
