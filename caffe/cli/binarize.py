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
    parser.add_argument(
        "-input_shape",
        "--input_shape",
        metavar="N,C,H,W",
        help="shape of the input, where data would tell it",
    )
    options = flags.parse(parser, arguments, required=["model", "weights"])
    shape = None
    if options.input_shape:
        parts = flags.comma_list(options.input_shape)
        if not all(part.isdigit() and int(part) > 0 for part in parts):
            parser.error(f"-input_shape takes positive numbers, not {options.input_shape}")
        shape = [int(part) for part in parts]
    for path in binarize(options.model, options.weights, options.out, shape):
        print(path)
    return 0
