"""What 1-bit weights and 2-bit activations need beyond Caffe (HWGQ-Net, Cai et al., CVPR 2017)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .binarize import BinarizedModel, binarize, binarized_net, deploy_net
from .packed_net import PackedNet

if TYPE_CHECKING:
    from .packed_blobs import PackedCaffemodel, pack_caffemodel
    from .packing import PackReport, pack

__all__ = [
    "BinarizedModel",
    "PackReport",
    "PackedCaffemodel",
    "PackedNet",
    "binarize",
    "binarized_net",
    "deploy_net",
    "pack",
    "pack_caffemodel",
]

# Programs that run packed models need none of what packs them: it is loaded when it is asked for.
_PACKERS = {
    "PackReport": "packing",
    "PackedCaffemodel": "packed_blobs",
    "pack": "packing",
    "pack_caffemodel": "packed_blobs",
}


def __getattr__(name: str) -> Any:
    if name not in _PACKERS:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value = getattr(importlib.import_module(f".{_PACKERS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
