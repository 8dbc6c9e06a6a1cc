"""Networks as ONNX models, for engines that read no Caffe files.

>>> model = to_onnx("examples/mnist/lenet-hwgq-3ne/train_val.prototxt", input_shapes={"data": (1, 1, 28, 28)})
... # doctest: +SKIP
>>> write_onnx(model, "lenet.onnx")  # doctest: +SKIP

This needs the package onnx, which ``pip install hwgq-caffe[onnx]`` brings. docs/onnx.md says what each layer
becomes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import to_onnx
    from .preprocessing import Preprocessing
    from .writing import write_onnx

__all__ = ["DEFAULT_OPSET", "FORMS", "OLDEST_OPSET", "Preprocessing", "to_onnx", "write_onnx"]

#: How layers of low precision are written, with what they are then: see docs/onnx.md.
FORMS = {
    "float": "operators on floats, with weights +-alpha",
    "qdq": "QuantizeLinear and DequantizeLinear with codes and signs in a byte",
    "qonnx": "QONNX: BipolarQuant, MultiThreshold and Quant",
    "finn": "QONNX without Quant: BipolarQuant and MultiThreshold, as FINN computes",
}

#: Version of ONNX's operators, unless another is asked for, and the oldest that can be.
DEFAULT_OPSET, OLDEST_OPSET = 17, 13

# Programs that export nothing need no package onnx.
_PARTS = {"Preprocessing": "preprocessing", "to_onnx": "model", "write_onnx": "writing"}


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    require_onnx()
    value = getattr(importlib.import_module(f".{_PARTS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def require_onnx() -> None:
    """Raises ImportError, which says how to get it, where the package onnx is missing."""
    try:
        importlib.import_module("onnx")
    except ImportError as error:
        raise ImportError(
            "ONNX models need the package onnx: pip install onnx (or, with this package, 'hwgq-caffe[onnx]')"
        ) from error
