#!/usr/bin/env python3
"""Scores windows of images, and writes them with their scores to a .csv file, or an .h5 file (needs pandas).

With --crop_mode list the input is a .csv file with the columns filename, ymin, xmin, ymax, xmax; with
selective_search it is a list of image files, one in a line, whose windows selective search proposes.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from typing import Any

from classify import add_model_arguments, choose_device, preprocessing

import caffe

CROP_MODES = ["list", "selective_search"]
COORD_COLS = ["ymin", "xmin", "ymax", "xmax"]


def read_windows(path: str) -> list[tuple[str, list[list[int]]]]:
    """The windows of a .csv file by image, in the file's order."""
    windows: dict[str, list[list[int]]] = {}
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        missing = {"filename", *COORD_COLS} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        for row in reader:
            try:
                window = [int(float(row[column])) for column in COORD_COLS]
            except (TypeError, ValueError):
                raise ValueError(f"{path}, line {reader.line_num}: a window is four numbers") from None
            windows.setdefault(row["filename"], []).append(window)
    return list(windows.items())


def write_csv(path: str, detections: list[dict[str, Any]]) -> None:
    """Writes a row for each detection: file, window, a column for each class's score."""
    classes = detections[0]["prediction"].size if detections else 0
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", *COORD_COLS, *(f"class{i}" for i in range(classes))])
        for detection in detections:
            scores = (float(score) for score in detection["prediction"].ravel())
            writer.writerow([detection["filename"], *detection["window"], *scores])


def write_hdf5(path: str, detections: list[dict[str, Any]]) -> None:
    """Writes a pandas table `df`: file, window, prediction."""
    try:
        import pandas
    except ImportError as error:
        raise ValueError(
            "an .h5 output needs pandas and tables (pip install pandas tables); or name a .csv"
        ) from error
    table = pandas.DataFrame(detections)
    table[COORD_COLS] = [list(window) for window in table.pop("window")]
    table.set_index("filename").to_hdf(path, key="df", mode="w")


def main(argv: list[str]) -> int:
    """Runs the script; ``argv`` begins with its name."""
    parser = argparse.ArgumentParser(prog=argv[0], description=__doc__.splitlines()[0])
    parser.add_argument("input_file", help=".csv file of windows, or list of images")
    parser.add_argument("output_file", help=".csv or .h5 file")
    add_model_arguments(parser)
    parser.add_argument(
        "--crop_mode", choices=CROP_MODES, default="selective_search", help="source of windows"
    )
    parser.add_argument("--context_pad", type=int, default=16, help="pixels of surroundings in a crop (16)")
    arguments = parser.parse_args(argv[1:])
    if not arguments.output_file.endswith((".csv", ".h5")):
        raise ValueError(f"the output must be a .csv or an .h5 file, not {arguments.output_file}")

    choose_device(arguments.gpu)
    detector = caffe.Detector(
        arguments.model_def,
        arguments.pretrained_model,
        context_pad=arguments.context_pad,
        **preprocessing(arguments),
    )
    print("Loading input...")
    start = time.time()
    if arguments.crop_mode == "list":
        detections = detector.detect_windows(read_windows(arguments.input_file))
    else:
        with open(arguments.input_file) as file:
            detections = detector.detect_selective_search([line.strip() for line in file if line.strip()])
    print(f"Processed {len(detections)} windows in {time.time() - start:.3f} s.")
    write = write_csv if os.path.splitext(arguments.output_file)[1] == ".csv" else write_hdf5
    write(arguments.output_file, detections)
    print(f"Saved to {arguments.output_file}.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except (caffe.Error, ImportError, OSError, ValueError) as error:
        sys.exit(f"detect.py: {error}")
