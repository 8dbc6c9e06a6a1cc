"""Engines on the GPU, for benchmarks/inference_gpu.py: images lie there, scores come back to the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from .engines import Engine, Load, Loaded
from .files import Files
from .network import Network


def packed(first_last: str, images_on_gpu: bool) -> Load:
    """This project, packed."""

    def load(files: Files, images: np.ndarray, _threads: int) -> Loaded:
        from caffe.hwgq import PackedNet

        net = PackedNet(files.packed(first_last), device="cuda")
        batch = on_gpu(images, files) if images_on_gpu else images
        return Loaded(
            lambda: net.forward(batch),
            {"file_bytes": files.packed(first_last).stat().st_size},
            lambda: [tuple(stage) for stage in net.profile(images)],
        )

    return load


def on_gpu(images: np.ndarray, files: Files) -> Any:
    """A copy on the GPU: a blob of Caffe's, which needs no other library."""
    import caffe

    caffe.set_mode_gpu()
    definition = files.folder / f"images{len(images)}.prototxt"
    dimensions = " ".join(f"dim: {size}" for size in images.shape)
    definition.write_text(f'input: "images" input_shape {{ {dimensions} }}')
    blob = caffe.Net(str(definition), caffe.TEST).blobs["images"]
    blob.data[...] = images
    return blob


def torch_net(precision: str, compiled: bool) -> Load:
    """PyTorch, channels last; images have the precision already."""

    def load(files: Files, images: np.ndarray, _threads: int) -> Loaded:
        import torch

        from .torch_network import Net

        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        kind = getattr(torch, precision)
        settings: dict[str, Any] = {"device": "cuda", "dtype": kind, "memory_format": torch.channels_last}
        net = Net(Network.load(files.network)).eval().to(**settings)
        batch = torch.from_numpy(images).to(**settings)
        run = torch.compile(net, mode="max-autotune") if compiled else net

        def forward() -> np.ndarray:
            with torch.inference_mode():
                return run(batch).float().cpu().numpy()

        for _ in range(3):  # It compiles, and records what it starts.
            forward()
        return Loaded(forward, {"file_bytes": files.network.stat().st_size})

    return load


#: Names differ from those of peers.engines, as a worker knows both.
PACKED_ON_GPU = "packed on the GPU"
GPU_ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(PACKED_ON_GPU, "packed", packed("float", True), expected="hwgq"),
        Engine(f"{PACKED_ON_GPU}, first and last int8", "packed", packed("int8", True), expected="hwgq"),
        Engine(f"{PACKED_ON_GPU}, images from the host", "packed", packed("float", False), expected="hwgq"),
        Engine("PyTorch half, compiled", "half", torch_net("float16", True), ("torch",)),
        Engine("PyTorch bfloat16, compiled", "half", torch_net("bfloat16", True), ("torch",)),
        Engine("PyTorch half", "half", torch_net("float16", False), ("torch",)),
        Engine("PyTorch TF32, compiled", "tf32", torch_net("float32", True), ("torch",)),
    )
}
