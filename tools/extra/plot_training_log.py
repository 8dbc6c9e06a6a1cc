#!/usr/bin/env python3
"""caffe plot by the arguments of Caffe's script: KIND PICTURE LOG [LOG ...].

Kinds 0 to 7 are test accuracy, test loss, learning rate and training loss, each over iterations and over
seconds.
"""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))

from caffe.cli import main  # noqa: E402  (the checkout's package, where none is installed)

KINDS = [
    (shown, x)
    for shown in (
        ["accuracy", "-part", "test"],
        ["loss", "-part", "test"],
        ["lr"],
        ["loss", "-part", "train"],
    )
    for x in ("iterations", "seconds")
]

if len(sys.argv) < 4 or sys.argv[1] not in map(str, range(len(KINDS))):
    sys.exit(f"usage: {sys.argv[0]} KIND PICTURE LOG [LOG ...]\n{__doc__}")
kind, picture, *logs = sys.argv[1:]
shown, x = KINDS[int(kind)]
sys.exit(main(["plot", "-x", x, "-show", *shown, *logs, "-o", picture]))
