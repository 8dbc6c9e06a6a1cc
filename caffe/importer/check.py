"""Compares an imported net with ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..pycaffe import Net

if TYPE_CHECKING:
    import onnx


class OutputDifference(NamedTuple):
    """How far an output is from ONNX Runtime's."""

    name: str
    #: Largest magnitude of the model's output.
    magnitude: float
    #: Largest difference, over that magnitude.
    largest: float
    #: The share of its values that differ by more than 1e-4 of it.
    share: float


def differences(
    net: Net,
    transposed: Mapping[str, tuple[int, ...]],
    indices: Mapping[str, int],
    model: onnx.ModelProto | str | os.PathLike,
    seed: int,
) -> list[OutputDifference]:
    """For each output of a net, how far it is from the model's, on random inputs: normal ones, or indices
    below a number where that is given.

    Raises:
        ValueError: ONNX Runtime is not here, or cannot run the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("the check needs ONNX Runtime: pip install onnxruntime") from error
    source = os.fspath(model) if isinstance(model, str | os.PathLike) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    # Its errors are of a dozen classes without a common one.
    except Exception as error:
        raise ValueError(f"ONNX Runtime cannot run the model: {error}") from error
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in session.get_inputs():
        if value.name not in net.blobs:
            # Nothing reads it, so that the net is without it.
            shape = [size if isinstance(size, int) else 1 for size in value.shape]
            feeds[value.name] = np.zeros(shape, _TYPES.get(value.type, np.float32))
            continue
        shape, most = net.blobs[value.name].shape, indices.get(value.name)
        values = rng.standard_normal(shape) if most is None else rng.integers(0, most, shape)
        values = values.astype(_TYPES.get(value.type, np.float32))
        net.blobs[value.name].data[...] = values
        order = transposed.get(value.name, range(values.ndim))
        feeds[value.name] = values.transpose(np.argsort(order))
    net.forward()
    names = [value.name for value in session.get_outputs()]
    try:
        expected = dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:
        raise ValueError(f"ONNX Runtime cannot run the model: {error}") from error
    return [_difference(name, expected[name], net.blobs[name].data) for name in names]


_TYPES = {
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
}


def _difference(name: str, expected: np.ndarray, found: np.ndarray) -> OutputDifference:
    if tuple(expected.shape) != tuple(found.shape):
        raise ValueError(
            f"the output {name!r} is {list(expected.shape)} by ONNX Runtime, {list(found.shape)} here"
        )
    expected = expected.astype(np.float64)
    magnitude = float(np.abs(expected).max(initial=0))
    relative = np.abs(found - expected) / max(magnitude, np.finfo(np.float32).tiny)
    return OutputDifference(
        name,
        magnitude,
        float(relative.max(initial=0)),
        float(np.mean(relative > 1e-4)) if relative.size else 0.0,
    )
