"""caffe import: an ONNX model as a Caffe net."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .. import _caffe
from ..importer import ImportedNet, from_onnx, low_bit_net
from . import flags

#: How far outputs may be from ONNX Runtime's, relative to their largest; and where rounding decides between
#: a quantizer's codes.
_TOLERANCE = 1e-4
_TOLERANCE_OF_CODES = 0.1


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "import",
        "Writes an ONNX model (also in QDQ form or QONNX) as a Caffe net, PREFIX.prototxt and "
        "PREFIX.caffemodel. What Caffe cannot express is named, node by node.",
        [],
        "caffe import resnet18.onnx -o resnet18 -check",
    )
    parser.add_argument("model", metavar="MODEL", help="the .onnx file")
    parser.add_argument(
        "-o", "-out", "--out", metavar="PREFIX", help="what the files are called (the model's name)"
    )
    parser.add_argument(
        "-batch", "--batch", metavar="N", type=int, help="size of the batch (the model's, or 1)"
    )
    flags.add_input(parser)
    parser.add_switch("check", "compare the outputs with ONNX Runtime's, on random inputs, before writing")
    parser.add_switch(
        "hwgq", "also write PREFIX_hwgq.prototxt, the net with binary weights and quantizers, to finetune"
    )
    options = flags.parse(parser, arguments)
    shapes = flags.input_shapes(parser, options)
    prefix = options.out or os.path.splitext(options.model)[0]
    flags.hide_information()
    net = from_onnx(options.model, batch=options.batch, input_shapes=shapes)
    low_bit = low_bit_net(net.definition) if options.hwgq else None
    if options.check:
        _check(net, options.model)
    for path in net.save(prefix):
        print(path)
    if low_bit is not None:
        path = f"{prefix}_hwgq.prototxt"
        _caffe.write_net_text(low_bit.SerializeToString(), path)
        print(path)
    return 0


def _check(net: ImportedNet, model: str) -> None:
    """Raises ValueError for outputs that are too far from ONNX Runtime's."""
    quantized = any(layer.type in ("Quant", "Threshold") for layer in net.definition.layer)
    tolerance = _TOLERANCE_OF_CODES if quantized else _TOLERANCE
    far = []
    for output in net.check(model):
        print(f"{output.name}: within {output.largest:.1e} of ONNX Runtime's (relative)")
        if not output.largest <= tolerance:
            far.append(f"{output.name} ({output.share:.2%} of its values differ)")
    if far:
        raise ValueError(
            f"{model}: outputs are further than {tolerance:g} from ONNX Runtime's: {', '.join(far)}; nothing "
            "is written"
        )
