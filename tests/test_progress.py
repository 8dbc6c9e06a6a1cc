"""The line that shows how far a tool is."""

import io
import sys

from caffe.cli import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_shows_on_a_terminal(monkeypatch):
    clock = iter([0, 0.1, 10, 20])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.Progress("images", 4000) as shown:
        shown.show(1)
        assert sys.stderr.getvalue() == "", "not so soon"
        shown.show(1000)
        assert sys.stderr.getvalue() == "\x1b[K  1,000 of 4,000 images, 100/s, 30 s left\r"
        shown.show(2000)
    assert sys.stderr.getvalue().endswith("2,000 of 4,000 images, 100/s, 20 s left\r\x1b[K")


def test_shows_what_has_no_known_end(monkeypatch):
    clock = iter([0, 10])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.Progress("images") as shown:
        shown.show(1000)
    assert "  1,000 images, 100/s\r" in sys.stderr.getvalue()


def test_leaves_a_file_alone(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.Progress("images") as shown:
        shown._shown = -1
        shown.show(1)
    assert sys.stderr.getvalue() == ""
