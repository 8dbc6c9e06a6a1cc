"""The engines: how each loads a network and computes a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .files import Files

PACKED_WITHOUT_AMX = {"HWGQ_AMX": "0"}
OPENVINO_WITHOUT_AMX = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}


@dataclass
class Loaded:
    """A network ready to compute one batch."""

    run: Callable[[], np.ndarray]
    details: dict[str, Any] = field(default_factory=dict)
    profile: Callable[[], list[tuple]] | None = None


#: Takes the files, the images of the batch and the number of threads.
Load = Callable[[Files, np.ndarray, int], Loaded]


@dataclass(frozen=True)
class Engine:
    """A way to compute a network.

    `kind` is packed, caffe, float32, bfloat16 or int8, the last three for peers. `packages` are what it and
    the preparation of its models need, `flags` what the processor must have one of, and `expected` is the
    variant of the net that it computes.
    """

    name: str
    kind: str
    load: Load
    packages: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    expected: str = "relu"
    without_amx: bool = False

    @property
    def is_peer(self) -> bool:
        """Whether it runs in the peers' Python."""
        return self.kind not in ("packed", "caffe")


def packed(first_last: str) -> Load:
    """This project, packed."""

    def load(files: Files, images: np.ndarray, threads: int) -> Loaded:
        from caffe.hwgq import PackedNet

        net = PackedNet(str(files.packed(first_last)), threads=threads)
        profile = getattr(net, "profile", None)
        return Loaded(
            lambda: net.forward(images),
            {"file_bytes": files.packed(first_last).stat().st_size},
            (lambda: [tuple(stage) for stage in profile(images)]) if profile else None,
        )

    return load


def caffe_net(binary: bool) -> Load:
    """This project's Net: with binary layers, or with ordinary ones whose weights are +-alpha."""

    def load(files: Files, images: np.ndarray, _threads: int) -> Loaded:
        import caffe

        model, weights = (files.deploy, files.weights) if binary else (files.deploy_bw, files.weights_bw)
        net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
        blob = net.blobs[net.inputs[0]]
        blob.reshape(*images.shape)
        net.reshape()

        def run() -> np.ndarray:
            blob.data[...] = images
            return net.forward()[net.outputs[0]]

        return Loaded(run, {"file_bytes": weights.stat().st_size})

    return load


def onnx_runtime(file: str) -> Load:
    """ONNX Runtime's own CPU provider."""

    def load(files: Files, images: np.ndarray, threads: int) -> Loaded:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_free_dimension_override_by_name("batch", len(images))
        path = files.model(file)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: images}
        return Loaded(lambda: session.run(None, feed)[0], {"file_bytes": path.stat().st_size})

    return load


def openvino(file: str, **hints: str) -> Load:
    """OpenVINO in one stream."""

    def load(files: Files, images: np.ndarray, threads: int) -> Loaded:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(str(files.model(file)))
        model.reshape(list(images.shape))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            **hints,
        }
        compiled = core.compile_model(model, "CPU", settings)
        request = compiled.create_infer_request()

        def run() -> np.ndarray:
            return request.infer([images], share_inputs=True, share_outputs=True)[0]

        size = files.model(file).with_suffix(".bin").stat().st_size
        return Loaded(run, {"file_bytes": size, "precisions": openvino_precisions(compiled)})

    return load


def openvino_precisions(compiled: Any) -> dict[str, int]:
    """How many convolutions and inner products are computed in which type, as 20 of "Convolution u8"."""
    counts: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ops():
        information = node.get_rt_info()
        kind, precision = (information[key].astype(str) for key in ("layerType", "runtimePrecision"))
        if kind in ("Convolution", "FullyConnected"):
            counts[f"{kind} {precision}"] += 1
    return dict(counts)


def litert(file: str) -> Load:
    """LiteRT with XNNPACK."""

    def load(files: Files, images: np.ndarray, threads: int) -> Loaded:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(files.model(file)), num_threads=threads)
        source = interpreter.get_input_details()[0]["index"]
        target = interpreter.get_output_details()[0]["index"]
        rows = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        interpreter.resize_tensor_input(source, rows.shape)
        interpreter.allocate_tensors()

        def run() -> np.ndarray:
            interpreter.set_tensor(source, rows)
            interpreter.invoke()
            return interpreter.get_tensor(target)

        return Loaded(run, {"file_bytes": files.model(file).stat().st_size})

    return load


_ORT = ("onnx", "onnxruntime")
_OPENVINO = (*_ORT, "openvino")
_NNCF = (*_OPENVINO, "nncf")
_LITERT = ("ai-edge-litert",)
_BFLOAT16 = ("amx_bf16", "avx512_bf16")
_AMX: dict[str, Any] = {"flags": ("amx_int8",), "without_amx": True}
_F32 = {"INFERENCE_PRECISION_HINT": "f32"}
_BF16 = {"INFERENCE_PRECISION_HINT": "bf16"}

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("packed", "packed", packed("float"), expected="hwgq"),
        Engine("packed, first and last int8", "packed", packed("int8"), expected="hwgq"),
        Engine(
            "packed, no AMX",
            "packed",
            packed("float"),
            environment=PACKED_WITHOUT_AMX,
            expected="hwgq",
            **_AMX,
        ),
        Engine("caffe.Net, float", "caffe", caffe_net(binary=False), expected="hwgq"),
        Engine("caffe.Net, integers", "caffe", caffe_net(binary=True), expected="hwgq"),
        Engine("ONNX Runtime float32", "float32", onnx_runtime("float.onnx"), packages=_ORT),
        Engine("ONNX Runtime int8", "int8", onnx_runtime("uint8.onnx"), packages=_ORT),
        Engine("OpenVINO float32", "float32", openvino("float.xml", **_F32), packages=_OPENVINO),
        Engine(
            "OpenVINO bfloat16",
            "bfloat16",
            openvino("float.xml", **_BF16),
            flags=_BFLOAT16,
            packages=_OPENVINO,
        ),
        Engine("OpenVINO int8", "int8", openvino("int8.xml"), packages=_OPENVINO),
        Engine("OpenVINO int8, NNCF", "int8", openvino("nncf.xml"), packages=_NNCF),
        Engine(
            "OpenVINO int8, no AMX",
            "int8",
            openvino("int8.xml"),
            environment=OPENVINO_WITHOUT_AMX,
            **_AMX,
            packages=_OPENVINO,
        ),
        Engine(
            "OpenVINO int8, NNCF, no AMX",
            "int8",
            openvino("nncf.xml"),
            environment=OPENVINO_WITHOUT_AMX,
            **_AMX,
            packages=_NNCF,
        ),
        Engine("LiteRT float32", "float32", litert("float.tflite"), packages=_LITERT),
        Engine("LiteRT int8", "int8", litert("int8.tflite"), packages=_LITERT),
    )
}
