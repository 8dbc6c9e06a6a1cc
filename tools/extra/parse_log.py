#!/usr/bin/env python3
"""parse_log where Caffe's scripts look for it."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))

from caffe.cli import main  # noqa: E402  (the checkout's package, where none is installed)

sys.exit(main(["parse_log", *sys.argv[1:]]))
