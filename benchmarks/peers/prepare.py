"""The peers' model files of one network. Run by the peers' Python as `python -m peers.prepare FOLDER`."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path

import numpy as np

from .cpu import has
from .files import Files
from .network import Network

CALIBRATION_IMAGES = 4


def is_installed(*modules: str) -> bool:
    """Whether all of the modules are there."""
    return all(importlib.util.find_spec(module) for module in modules)


def prepare(folder: Path) -> None:
    """Writes the models of all peers that are installed."""
    files = Files(folder)
    network = Network.load(files.network)
    images = np.load(files.images)[:CALIBRATION_IMAGES]
    if is_installed("ai_edge_litert", "flatbuffers"):
        write_tflite(files, network, images)
    if is_installed("onnx", "onnxruntime"):
        write_onnx(files, network, images)
        if is_installed("openvino"):
            write_openvino(files, images)


def write_tflite(files: Files, network: Network, images: np.ndarray) -> None:
    """LiteRT's models."""
    from . import tflite_model

    files.model("float.tflite").write_bytes(tflite_model.build(network))
    ranges = tflite_model.measured_ranges(network, images)
    files.model("int8.tflite").write_bytes(tflite_model.build(network, ranges))


def write_onnx(files: Files, network: Network, images: np.ndarray) -> None:
    """ONNX Runtime's models, and one more in int8 that OpenVINO prefers."""
    import onnx

    from . import onnx_model

    source = files.model("float.onnx")
    onnx.save(onnx_model.build(network), source)
    narrow = not (has("avx512_vnni") or has("avx_vnni"))
    logging.disable(logging.WARNING)
    for name, signed in (("uint8.onnx", False), ("int8.onnx", True)):
        onnx_model.quantize(source, files.model(name), network, images, signed=signed, narrow=narrow)
    logging.disable(logging.NOTSET)


def write_openvino(files: Files, images: np.ndarray) -> None:
    """OpenVINO's models in its own format: from the ONNX files, and quantized by NNCF."""
    import openvino

    for name in ("float", "int8"):
        model = openvino.convert_model(str(files.model(f"{name}.onnx")))
        openvino.save_model(model, str(files.model(f"{name}.xml")), compress_to_fp16=False)
    if is_installed("nncf"):
        import nncf

        nncf.set_log_level(logging.ERROR)
        model = openvino.convert_model(str(files.model("float.onnx")))
        data = nncf.Dataset([image[None] for image in images])
        quantized = nncf.quantize(model, data, subset_size=len(images))
        openvino.save_model(quantized, str(files.model("nncf.xml")), compress_to_fp16=False)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
