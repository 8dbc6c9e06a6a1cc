"""caffe export: writes a net as an ONNX model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _caffe, export, io
from ..hwgq.binarize import DATA_TYPES, is_in_test_phase
from ..proto import caffe_pb2
from . import flags
from .progress import Progress
from .table import shape, size

if TYPE_CHECKING:
    import onnx


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "export",
        "Writes a net in its test phase as an ONNX model: data layers become inputs, losses and accuracies "
        "go. docs/onnx.md says what each layer becomes.",
        ["model", "weights", "plugin"],
        "caffe export deploy.prototxt net.caffemodel -o net.onnx",
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="the net's definition and its parameters; without these they are what the fillers make",
    )
    parser.add_argument("-o", "-out", "--out", metavar="FILE", help="the file to write, such as net.onnx")
    parser.add_argument(
        "-hwgq",
        "--hwgq",
        choices=list(export.FORMS),
        default="float",
        help="how layers of low precision are written: "
        + "; ".join(f"{form}: {what}" for form, what in export.FORMS.items())
        + " (float)",
    )
    parser.add_argument(
        "-batch", "--batch", metavar="N", type=int, help="size of the batch, which is left open without this"
    )
    parser.add_argument(
        "-opset",
        "--opset",
        metavar="N",
        type=int,
        default=export.DEFAULT_OPSET,
        help=f"version of ONNX's operators ({export.DEFAULT_OPSET})",
    )
    flags.add_input(parser)
    parser.add_switch(
        "preprocess",
        "let the model take images, red, green and blue from 0 to 255, and prepare them for the net; without "
        "the flags below as the net's data layer does",
    )
    parser.add_argument(
        "-mean",
        "--mean",
        metavar="FILE|B,G,R|imagenet",
        help="what to subtract: a .binaryproto or .npy file, or a value for each channel",
    )
    parser.add_argument("-scale", "--scale", type=float, help="multiply by this after that")
    parser.add_argument("-raw_scale", "--raw_scale", type=float, help="multiply by this first (1)")
    parser.add_switch("rgb", "give the net red, green, blue; Caffe's nets take blue, green, red")
    parser.add_switch("uint8", "take images of bytes")
    parser.add_switch("nhwc", "take images whose channels come last")
    options = flags.parse(parser, arguments)
    files = _files(parser, options)
    if not options.out:
        parser.error("needs -o FILE, the file to write")
    if any(
        os.path.exists(file) and os.path.realpath(file) == os.path.realpath(options.out) for file in files
    ):
        parser.error(f"{options.out} is a file to read; choose another name for the model")
    names = ("mean", "scale", "raw_scale", "rgb", "uint8", "nhwc")
    changed = [name for name in names if getattr(options, name)]
    if changed and not options.preprocess:
        parser.error(f"-{changed[0]} is for -preprocess: give that, too")
    flags.hide_information()
    try:
        export.require_onnx()
    except ImportError as error:
        raise ValueError(str(error)) from error
    with Progress("layers") as progress:
        model = export.to_onnx(
            *files,
            hwgq=options.hwgq,
            batch=options.batch,
            opset=options.opset,
            input_shapes=flags.input_shapes(parser, options),
            preprocessing=_preprocessing(options, files[0]) if options.preprocess else None,
            progress=progress.show,
        )
    print(_summary(options.out, export.write_onnx(model, options.out), model))
    return 0


def _files(parser: flags.Parser, options: argparse.Namespace) -> list[str]:
    named = [name for name in (options.model, options.weights) if name]
    if options.files and named:
        parser.error(
            "takes the definition and the parameters either as arguments or with -model and -weights"
        )
    files = options.files or named
    if not 1 <= len(files) <= 2 or (named and not options.model):
        parser.error("takes the net's definition, and its parameters")
    return files


def _preprocessing(options: argparse.Namespace, model: str) -> export.Preprocessing:
    transform = _transformation(model)
    mean, scale = options.mean, options.scale
    values: np.ndarray | None = None
    if mean == "imagenet":
        values = np.array(io.IMAGENET_MEAN)
    elif mean is not None:
        try:
            values = np.array([float(part) for part in mean.split(",")])
        except ValueError:
            values = io.load_mean(mean)
    elif transform.mean_value:
        values = np.array(transform.mean_value)
    elif transform.mean_file:
        values = io.load_mean(_beside(transform.mean_file, model))
    return export.Preprocessing(
        mean=values,
        scale=transform.scale if scale is None else scale,
        raw_scale=1.0 if options.raw_scale is None else options.raw_scale,
        swap=False if options.rgb else None,
        element="uint8" if options.uint8 else "float32",
        layout="NHWC" if options.nhwc else "NCHW",
    )


def _transformation(model: str) -> caffe_pb2.TransformationParameter:
    """What the net's first data layer in test does with images; nothing where there is none."""
    definition = caffe_pb2.NetParameter.FromString(_caffe.read_net_text(model))
    for layer in definition.layer:
        if layer.type in DATA_TYPES and is_in_test_phase(layer):
            return layer.transform_param
    return caffe_pb2.TransformationParameter()


def _beside(file: str, model: str) -> str:
    """A file that a prototxt names: from the working folder, or beside the prototxt."""
    beside = os.path.join(os.path.dirname(model), file)
    return beside if not os.path.exists(file) and os.path.exists(beside) else file


def _summary(path: str, written: int, model: onnx.ModelProto) -> str:
    def dimensions(info: onnx.ValueInfoProto) -> str:
        return shape(d.dim_param or d.dim_value or "?" for d in info.type.tensor_type.shape.dim)

    def values(infos: Sequence[onnx.ValueInfoProto]) -> str:
        return ", ".join(f"{info.name} ({dimensions(info)})" for info in infos)

    graph = model.graph
    return (
        f"{path}: {size(written)}, {len(graph.node)} nodes of opset {model.opset_import[0].version}, "
        f"{values(graph.input)} -> {values(graph.output)}{_why_fixed(model)}"
    )


def _why_fixed(model: onnx.ModelProto) -> str:
    for entry in model.metadata_props:
        if entry.key == "batch_fixed_because":
            return f"\nthe batch is fixed: {entry.value}"
    return ""
