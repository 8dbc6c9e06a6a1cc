"""caffe report: a training's report as a page."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _caffe, report
from . import flags


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "caffe report",
        "Writes a page on a training: curves, the net, histograms of weights and activations with the "
        "quantizers' thresholds, the confusion matrix on the test data, and what is misclassified.",
        "caffe report runs/lenet -o report.html",
    )
    parser.add_argument("folder", metavar="RUN_DIR", help="folder of the solver, its log and its snapshots")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="report.html", help="the page to write (report.html)"
    )
    for name, what in (
        ("solver", "the solver (that of the folder)"),
        ("weights", "the weights (the folder's newest .caffemodel)"),
        ("log", "the training's log (the folder's newest)"),
        ("labels", "the classes' names, one in a line"),
    ):
        parser.add_argument(f"-{name}", f"--{name}", metavar="FILE", help=what)
    parser.add_argument(
        "-iterations",
        "--iterations",
        metavar="N",
        type=int,
        help="batches of test data (the solver's test_iter)",
    )
    flags.add_plugin(parser)
    options = flags.parse(parser, arguments)
    flags.hide_information()
    written = report.write(
        options.folder,
        options.output,
        solver=options.solver,
        weights=options.weights,
        log=options.log,
        labels=options.labels,
        iterations=options.iterations,
    )
    for note in written.notes:
        _caffe.log_from(__file__, 0, note.encode(), 1)
    print(options.output)
    return 0
