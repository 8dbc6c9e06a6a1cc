"""Writes models to files, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import onnx
from onnx import external_data_helper

#: Protocol buffers, and so a file of this kind, hold no more bytes than this.
MOST_BYTES = 2**31 - 2**20


def write_onnx(model: onnx.ModelProto, path: str | os.PathLike, most_bytes: int = MOST_BYTES) -> int:
    """Writes a model; one that is too large for a file has its parameters in another, NAME.onnx.data.

    Args:
        model: what to write; it is left as it is.
        path: the file; its folder is made where that is missing.
        most_bytes: parameters above this size get a file of their own.

    Returns:
        The bytes written.

    Raises:
        OSError: a file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.mkdir()
        if parameters > most_bytes:
            data = f"{path.name}.data"
            separate = onnx.ModelProto()
            separate.CopyFrom(model)
            external_data_helper.convert_model_to_external_data(separate, location=data)
            onnx.save_model(separate, unfinished / path.name)
        else:
            (unfinished / path.name).write_bytes(model.SerializeToString())
        size = sum(file.stat().st_size for file in unfinished.iterdir())
        # The model last: it is complete with its data only.
        for file in sorted(unfinished.iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.parent / file.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return size
