"""parse_log: makes tables of a training's log."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence

from caffe import training_log
from caffe.cli import flags


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "parse_log",
        "Writes NAME.train and NAME.test, tables (CSV) of what a training's log tells: iteration, seconds "
        "since the start, learning rate and the outputs of the net.",
        "parse_log caffe.INFO tables",
    )
    parser.add_argument("logfile_path", help="the log of a training")
    parser.add_argument("output_dir", help="the folder to write the tables to, made where it is missing")
    parser.add_switch("verbose", "say what is written")
    parser.add_argument(
        "-delimiter", "--delimiter", default=",", type=_delimiter, help="what parts columns (a comma)"
    )
    options = flags.parse(parser, arguments)
    log = training_log.read(options.logfile_path)
    os.makedirs(options.output_dir, exist_ok=True)
    for part, rows in (("train", log.train), ("test", log.test)):
        path = os.path.join(options.output_dir, f"{os.path.basename(options.logfile_path)}.{part}")
        if rows:
            _write(path, rows, options.delimiter)
        if options.verbose:
            print(f"Wrote {path}" if rows else f"Not writing {path}; no lines to write")
    return 0


def _delimiter(text: str) -> str:
    text = text.replace("\\t", "\t")
    if len(text) != 1:
        raise ValueError
    return text


def _write(path: str, rows: list[dict[str, float]], delimiter: str) -> None:
    columns = dict.fromkeys(name for row in rows for name in row)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
