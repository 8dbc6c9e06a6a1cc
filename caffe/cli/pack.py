"""caffe pack: writes a trained net as a packed model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..hwgq import PackedCaffemodel, PackReport, pack, pack_caffemodel
from ..hwgq.packed_file import Encoding
from . import flags
from .table import size, table

_ENCODINGS = {Encoding.FLOAT: "float", Encoding.INT8: "8 bits", Encoding.BITS: "bits"}


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "pack",
        "Writes a trained net as one file for fast inference: the binary weights as bits, and all between a "
        "binary layer and the next quantizer as integer thresholds.",
        ["model", "weights", "plugin"],
        "caffe pack deploy.prototxt net.caffemodel -o net.hwgq",
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="the net's definition and its parameters")
    parser.add_argument(
        "-o",
        "-out",
        "--out",
        metavar="FILE",
        help="the file to write, such as net.hwgq; if it ends in .caffemodel, parameters for caffe.Net",
    )
    parser.add_switch("explain", "print the plan: what each stage computes, and why if not in integers")
    parser.add_switch("int8", "round weights that are not binary to 8 bits")
    parser.add_argument(
        "-calibration",
        "--calibration",
        metavar="FILE",
        help="with -int8: inputs (.npy, N x C x H x W) on which to measure what rounding changes",
    )
    flags.add_input_shape(parser)
    options = flags.parse(parser, arguments)
    named = [options.model, options.weights]
    if options.files and any(named):
        parser.error(
            "takes the definition and the parameters either as arguments or with -model and -weights"
        )
    files = options.files or [name for name in named if name]
    if len(files) != 2:
        parser.error("takes two files, the net's definition and its parameters")
    if not options.out:
        parser.error("needs -o FILE, the file to write")
    if options.calibration and not options.int8:
        parser.error("-calibration measures what -int8 changes: give that, too")
    input_shape = flags.input_shape(parser, options)
    flags.hide_information()
    if options.out.endswith(".caffemodel"):
        if options.int8 or options.explain:
            parser.error("-int8 and -explain are for a packed model, such as -o net.hwgq")
        print(_size_line(pack_caffemodel(*files, options.out, input_shape=input_shape)))
        return 0
    report = pack(
        *files,
        options.out,
        first_last="int8" if options.int8 else "float",
        input_shape=input_shape,
        calibration=np.load(options.calibration) if options.calibration else None,
    )
    if options.explain:
        print(f"{report.explanation}\n\n{_weights(report)}\n")
    print("\n".join(_summary(report)))
    return 0


def _weights(report: PackReport) -> str:
    rows = [
        [
            weights.layer,
            _ENCODINGS[weights.encoding],
            size(weights.float_bytes),
            size(weights.packed_bytes),
            f"{weights.float_bytes / weights.packed_bytes:.1f}",
        ]
        for weights in report.weights
    ]
    return table(["layer", "weights", "in float", "packed", "ratio"], rows, "llrrr")


def _size_line(report: PackReport | PackedCaffemodel) -> str:
    return (
        f"{report.path}: {size(report.packed_bytes)}, {report.float_bytes / report.packed_bytes:.1f} times "
        f"smaller than the {size(report.float_bytes)} of the parameters in float"
    )


def _summary(report: PackReport) -> list[str]:
    lines = [_size_line(report)]
    lines += [
        f"{weights.layer}: 8-bit weights, {100 * weights.relative_error:.2f} % off (root mean square)"
        for weights in report.weights
        if weights.encoding == Encoding.INT8
    ]
    lines += [
        f"{change.name}: 8-bit weights change it by {100 * change.mean:.3f} % of its largest value on "
        f"average, by {100 * change.largest:.2f} % at most; {100 * change.same_best:.1f} % of the inputs "
        "have the same best class"
        for change in report.changes
    ]
    if report.caffe_layers:
        lines.append(
            f"{', '.join(report.caffe_layers)}: left to Caffe's layers, without which the file cannot be run"
        )
    return lines
