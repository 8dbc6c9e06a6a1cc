#!/usr/bin/env python3
"""Classifies images, and writes the scores to a NumPy file: one row for each image.

The inputs are one image file, a folder of them (--ext), or a .npy file of images N x H x W x C.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
import time

import numpy as np

import caffe


def load_mean(file: str | None) -> np.ndarray | None:
    """The mean in a .npy or .binaryproto file; ImageNet's mean color where none is named; None for ''."""
    if file is None:
        return np.array(caffe.io.IMAGENET_MEAN)
    if not file:
        return None
    return caffe.io.load_mean(file)


def numbers(text: str) -> list[int]:
    """Numbers from a list like 2,1,0."""
    return [int(number) for number in text.split(",")]


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that classify.py and detect.py have in common."""
    models = os.path.join(os.path.dirname(__file__), "../models/bvlc_reference_caffenet")
    parser.add_argument("--model_def", default=f"{models}/deploy.prototxt", help="the net")
    parser.add_argument(
        "--pretrained_model", default=f"{models}/bvlc_reference_caffenet.caffemodel", help="its weights"
    )
    parser.add_argument("--gpu", action="store_true", help="compute on the GPU")
    parser.add_argument(
        "--mean_file",
        help="mean to subtract, .npy or .binaryproto; ImageNet's mean color if not given, '' for none",
    )
    parser.add_argument("--input_scale", type=float, help="multiply by this last")
    parser.add_argument("--raw_scale", type=float, default=255.0, help="multiply by this first (255)")
    parser.add_argument(
        "--channel_swap", type=numbers, default=[2, 1, 0], help="order of the channels: 2,1,0 is RGB to BGR"
    )


def preprocessing(arguments: argparse.Namespace, color: bool = True) -> dict:
    """What the flags say of a Classifier's or Detector's preprocessing."""
    return dict(
        mean=load_mean(arguments.mean_file) if color or arguments.mean_file else None,
        input_scale=arguments.input_scale,
        raw_scale=arguments.raw_scale,
        channel_swap=arguments.channel_swap if color else None,
    )


def choose_device(gpu: bool) -> None:
    """Sets the mode and says so."""
    caffe.set_mode_gpu() if gpu else caffe.set_mode_cpu()
    print("GPU mode" if gpu else "CPU mode")


def load_inputs(path: str, extension: str) -> list[np.ndarray] | np.ndarray:
    """The images in a file, a folder or an array."""
    path = os.path.expanduser(path)
    if path.endswith(".npy"):
        print(f"Loading file: {path}")
        return np.load(path)
    if os.path.isdir(path):
        print(f"Loading folder: {path}")
        files = sorted(glob.glob(os.path.join(path, f"*.{extension}")))
        if not files:
            raise FileNotFoundError(f"there are no *.{extension} files in {path}; set --ext")
        return [caffe.io.load_image(file) for file in files]
    print(f"Loading file: {path}")
    return [caffe.io.load_image(path)]


def main(argv: list[str]) -> int:
    """Runs the script; ``argv`` begins with its name."""
    parser = argparse.ArgumentParser(prog=argv[0], description=__doc__.splitlines()[0])
    parser.add_argument("input_file", help="image, folder of images, or .npy file")
    parser.add_argument("output_file", help=".npy file for the scores")
    add_model_arguments(parser)
    parser.add_argument(
        "--center_only", action="store_true", help="score the center crop, not the mean of ten"
    )
    parser.add_argument("--images_dim", type=numbers, default=[256, 256], help="height,width to resize to")
    parser.add_argument("--ext", default="jpg", help="extension of the images in a folder")
    arguments = parser.parse_args(argv[1:])

    choose_device(arguments.gpu)
    inputs = load_inputs(arguments.input_file, arguments.ext)
    color = inputs[0].shape[-1] == 3
    classifier = caffe.Classifier(
        arguments.model_def,
        arguments.pretrained_model,
        image_dims=arguments.images_dim,
        **preprocessing(arguments, color),
    )
    print(f"Classifying {len(inputs)} inputs.")
    start = time.time()
    predictions = classifier.predict(inputs, not arguments.center_only)
    print(f"Done in {time.time() - start:.2f} s.")
    print(f"Saving results into {arguments.output_file}")
    np.save(arguments.output_file, predictions)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except (caffe.Error, OSError, ValueError) as error:
        sys.exit(f"classify.py: {error}")
