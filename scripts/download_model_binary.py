#!/usr/bin/env python3
"""caffe download by the name that Caffe's script has: download_model_binary.py MODEL_DIR."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from caffe.cli import main  # noqa: E402  (the checkout's package, where none is installed)

sys.exit(main(["download", *sys.argv[1:]]))
