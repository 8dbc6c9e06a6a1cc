"""caffe download: fetches a trained model's weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..download import fetch, read_info, sha1
from ..hwgq.released import MODELS, write
from . import flags
from .progress import Progress
from .table import size


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "caffe download",
        "Fetches the weights of a model, goes on with what was begun, and checks them. MODEL is a folder "
        "with the readme of a model zoo, or one of the paper's: " + ", ".join(MODELS) + ".",
        "caffe download models/alexnet_hwgq",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of the model, or its name")
    options = flags.parse(parser, arguments)
    folder = Path(options.model)
    if not folder.is_dir():
        model = MODELS.get(folder.name.lower())
        if model is None:
            hint = flags.did_you_mean(folder.name.lower(), MODELS)
            raise ValueError(f"{folder} is no folder and no model of the paper{hint}")
        # Where it was asked for, or in models/ here.
        parent = folder.parent if folder.parent.name else Path("models")
        folder = parent / model.folder
        if not folder.is_dir():
            write(parent, model)
    with Progress("kB") as progress:

        def show(have: int, total: int) -> None:
            progress.show(have // 1000, total // 1000)

        path = fetch(folder, show)
    if not read_info(folder).sha1:
        print(
            f"{folder / 'readme.md'} has no sha1: size and format of the file were checked, not whose it is. "
            f"Its SHA-1 is {sha1(path)}",
            file=sys.stderr,
        )
    print(f"{path} ({size(path.stat().st_size)})")
    return 0
