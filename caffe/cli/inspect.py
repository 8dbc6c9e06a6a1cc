"""caffe inspect: a table of the parameters in a file."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

from ..weights import BlobStats, blobs_of
from . import flags
from .table import shape, table


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "inspect",
        "Lists the parameters in a file of weights: shapes, ranges, and what share of them is at each level "
        "where they are binary or quantized.",
        ["model", "plugin"],
        "caffe inspect alexnet_hwgq.caffemodel",
    )
    parser.add_argument("file", metavar="WEIGHTS", help="a .caffemodel, or an .h5 file with its -model")
    parser.add_switch("json", "write JSON")
    options = flags.parse(parser, arguments)
    flags.hide_information()
    blobs = list(blobs_of(options.file, options.model))
    if options.json:
        print(json.dumps([dataclasses.asdict(blob) for blob in blobs], indent=2))
        return 0
    headers = ["layer", "type", "blob", "shape", "min", "max", "mean", "std", "levels"]
    print(table(headers, [_row(blob) for blob in blobs], "llllrrrr"))
    broken = [f"{blob.layer} ({blob.role})" for blob in blobs if blob.not_finite]
    print(f"\n{sum(math.prod(blob.shape) for blob in blobs):,} parameters")
    if broken:
        print(f"not all numbers: {', '.join(broken)}")
    return 0


def _row(blob: BlobStats) -> list[str]:
    figures = [f"{value:.4g}" for value in (blob.minimum, blob.maximum, blob.mean, blob.deviation)]
    return [blob.layer, blob.type, blob.role, shape(blob.shape), *figures, _levels(blob)]


def _levels(blob: BlobStats) -> str:
    if blob.not_finite:
        return f"{blob.not_finite:,} are no numbers"
    if blob.alphas:
        least, largest = blob.alphas
        return (
            f"{blob.kind}: -alpha {100 * blob.levels[-1.0]:.1f} %, +alpha {100 * blob.levels[1.0]:.1f} %, "
            f"alpha {least:.3g} to {largest:.3g}"
        )
    return ", ".join(f"{value:.3g} {100 * share:.1f} %" for value, share in blob.levels.items())
