"""caffe binarize: makes a trained net's deploy nets."""

from __future__ import annotations

from collections.abc import Sequence

from ..hwgq import binarize
from . import flags


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "binarize",
        "Writes deploy.prototxt with its weights, and deploy_bw.prototxt, the same net as ordinary layers, "
        "with weights binarized to +-alpha.",
        ["model", "weights"],
        "caffe binarize -model train_val.prototxt -weights net.caffemodel -out deploy",
    )
    parser.add_argument("-out", "--out", metavar="DIR", default=".", help="folder for the four files (.)")
    flags.add_input_shape(parser)
    options = flags.parse(parser, arguments, required=["model", "weights"])
    shape = flags.input_shape(parser, options)
    for path in binarize(options.model, options.weights, options.out, shape):
        print(path)
    return 0
