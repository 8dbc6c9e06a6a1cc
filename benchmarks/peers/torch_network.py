"""A network in PyTorch, for inference."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .network import Network, Operation


class Net(nn.Module):
    """The operations in order; returns the output."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        for number, operation in enumerate(network.operations):
            for name, array in operation.arrays.items():
                self.register_buffer(f"{name}_{number}", torch.from_numpy(array.astype(np.float32)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Takes images as the network's input."""
        blobs = {self.network.input: images}
        for number, operation in enumerate(self.network.operations):
            arrays = {name: getattr(self, f"{name}_{number}") for name in operation.arrays}
            result = computed(operation, [blobs[name] for name in operation.inputs], arrays)
            blobs[operation.output] = functional.relu(result) if "relu" in operation.attributes else result
        return blobs[self.network.output]


def computed(
    operation: Operation, inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]
) -> torch.Tensor:
    """What an operation makes of its inputs, before its ReLU."""
    attributes, first = operation.attributes, inputs[0]
    if operation.kind == "conv":
        sizes = (attributes["stride"], attributes["pad"], attributes["dilation"], attributes["group"][0])
        return functional.conv2d(first, arrays["weight"], arrays["bias"], *sizes)
    if operation.kind == "dense":
        return functional.linear(first.flatten(1), arrays["weight"], arrays["bias"])
    if operation.kind == "affine":
        shape = (1, -1, *[1] * (first.dim() - 2))
        return first * arrays["scale"].view(shape) + arrays["shift"].view(shape)
    if operation.kind in ("maxpool", "avgpool"):
        pool = functional.max_pool2d if operation.kind == "maxpool" else functional.avg_pool2d
        sizes = (attributes["kernel"], attributes["stride"], attributes["pad"])
        # Caffe's sizes are rounded up.
        return pool(first, *sizes, ceil_mode=True)
    if operation.kind == "relu":
        return functional.relu(first)
    if operation.kind == "add":
        return sum(inputs[1:], first)
    if operation.kind == "concat":
        return torch.cat(inputs, 1)
    assert operation.kind == "softmax", operation.kind
    return functional.softmax(first.float(), 1)
