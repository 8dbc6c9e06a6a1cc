"""A training's report: one page of curves, pictures of the net and its values, and what it gets wrong.

>>> from caffe import report
>>> report.write("runs/lenet", "report.html")  # doctest: +SKIP
"""

from __future__ import annotations

import os

from .contents import Histogram, Mistake, Report, collect
from .layout import page

__all__ = ["Histogram", "Mistake", "Report", "collect", "page", "write"]


def write(folder: str | os.PathLike, output: str | os.PathLike, **options) -> Report:
    """Collects a report (for the options see :func:`collect`) and writes its page; returns what it shows."""
    report = collect(folder, **options)
    with open(output, "w", encoding="utf-8") as file:
        file.write(page(report))
    return report
