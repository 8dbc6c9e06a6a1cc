"""A zoo net in PyTorch, trained in its process: `python -m peers.torch_training PLAN --batch N --seconds S`.

PLAN is the training net's NetParameter as JSON; peers.training_worker says what the process answers.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from . import training_worker

#: BatchNorm's weight of the old average, as the zoo has it, is 1 less PyTorch's momentum.
MOMENTUM = 0.05


class Binarize(torch.autograd.Function):
    """alpha * sign(W), alpha the mean magnitude of an output's weights; the gradient passes as it is."""

    @staticmethod
    def forward(context, weight):
        alpha = weight.abs().flatten(1).mean(1).view(-1, *[1] * (weight.dim() - 1))
        return torch.where(weight >= 0, alpha, -alpha)

    @staticmethod
    def backward(context, gradient):
        return gradient


class Quantize(torch.autograd.Function):
    """The half-wave Gaussian quantizer of three levels; gradients pass from 0 to the largest."""

    @staticmethod
    def forward(context, values, low, middle, high):
        context.save_for_backward(values)
        context.high = high
        levels = torch.where(values > (low + middle) / 2, middle, low)
        levels = torch.where(values > (middle + high) / 2, high, levels)
        return torch.where(values > 0, levels, 0.0).to(values.dtype)

    @staticmethod
    def backward(context, gradient):
        (values,) = context.saved_tensors
        return gradient * ((values > 0) & (values <= context.high)), None, None, None


class BinaryConv2d(nn.Conv2d):
    """A convolution with binary weights."""

    def forward(self, values):
        return self._conv_forward(values, Binarize.apply(self.weight), self.bias)


class BinaryLinear(nn.Linear):
    """An inner product with binary weights."""

    def forward(self, values):
        return functional.linear(values, Binarize.apply(self.weight), self.bias)


class Quant(nn.Module):
    """The quantizer with the layer's levels."""

    def __init__(self, centers: list[float]) -> None:
        super().__init__()
        self.centers = centers

    def forward(self, values):
        return Quantize.apply(values, *self.centers)


def first(value: Any, default: int) -> int:
    """A setting that may be repeated, or missing."""
    if isinstance(value, list):
        value = value[0] if value else default
    return default if value is None else int(value)


def module_of(layer: dict[str, Any], shape: torch.Size) -> nn.Module:
    """The module for a layer whose first input has that shape; Scale belongs to the BatchNorm before it."""
    kind = layer["type"]
    if kind in ("Convolution", "BinaryConvolution"):
        param = layer["convolution_param"]
        return (nn.Conv2d if kind == "Convolution" else BinaryConv2d)(
            shape[1],
            param["num_output"],
            first(param.get("kernel_size"), 1),
            first(param.get("stride"), 1),
            first(param.get("pad"), 0),
            groups=param.get("group", 1),
            bias=param.get("bias_term", True),
        )
    if kind in ("InnerProduct", "BinaryInnerProduct"):
        param = layer["inner_product_param"]
        linear = (nn.Linear if kind == "InnerProduct" else BinaryLinear)(
            shape[1:].numel(), param["num_output"], bias=param.get("bias_term", True)
        )
        return linear if len(shape) == 2 else nn.Sequential(nn.Flatten(), linear)
    if kind == "BatchNorm":
        norm = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
        return norm(shape[1], momentum=MOMENTUM, affine=layer["is_scaled"])
    if kind == "Quant":
        return Quant(layer["quant_param"]["centers"])
    if kind == "ReLU":
        return nn.ReLU()
    if kind == "Pooling":
        param = layer["pooling_param"]
        is_average = param.get("pool", "MAX") == "AVE"
        if param.get("global_pooling"):
            return nn.AdaptiveAvgPool2d(1) if is_average else nn.AdaptiveMaxPool2d(1)
        sizes = (param["kernel_size"], param.get("stride", 1), param.get("pad", 0))
        return (nn.AvgPool2d if is_average else nn.MaxPool2d)(*sizes, ceil_mode=True)
    raise ValueError(f"{layer['name']}: the peer has no {kind}")


class Net(nn.Module):
    """The layers in order, up to the loss."""

    def __init__(self, layers: list[dict[str, Any]], image: torch.Tensor) -> None:
        super().__init__()
        self.steps: list[tuple[str, list[str], str]] = []
        self.layers = nn.ModuleDict()
        scaled = {layer["bottom"][0] for layer in layers if layer["type"] == "Scale"}
        blobs = {"data": image}
        with torch.no_grad():
            for layer in layers:
                if layer["type"] in ("Input", "Scale", "SoftmaxWithLoss"):
                    # In place in all nets of the zoo.
                    assert layer["type"] != "Scale" or layer["bottom"] == layer["top"]
                    continue
                layer["is_scaled"] = layer["top"][0] in scaled
                name, (top,) = layer["name"], layer["top"]
                if layer["type"] != "Eltwise":
                    self.layers[name] = module_of(layer, blobs[layer["bottom"][0]].shape)
                self.steps.append((name, layer["bottom"], top))
                blobs[top] = self.apply_step(name, [blobs[bottom] for bottom in layer["bottom"]])
        self.output = top
        self.classes = blobs[top].shape[1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def apply_step(self, name: str, inputs: list[torch.Tensor]) -> torch.Tensor:
        """One layer; without a module it is a sum."""
        return self.layers[name](inputs[0]) if name in self.layers else inputs[0] + inputs[1]

    def forward(self, image):
        blobs = {"data": image}
        for name, bottoms, top in self.steps:
            blobs[top] = self.apply_step(name, [blobs[bottom] for bottom in bottoms])
        return blobs[self.output]


def main() -> None:
    """Builds the net and answers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plan")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--compile", nargs="?", const="default", help="a mode of torch.compile")
    parser.add_argument("--device", default="cpu", help="with cuda, floats are multiplied as TF32")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    on_gpu = arguments.device == "cuda"
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.set_default_device(arguments.device)
    with open(arguments.plan) as file:
        layers = json.load(file)["layer"]
    sizes = [int(size) for size in layers[0]["input_param"]["shape"][0]["dim"]]
    images = torch.randn(arguments.batch, *sizes[1:]).to(memory_format=torch.channels_last)
    model = Net(layers, images[:2]).to(memory_format=torch.channels_last)
    labels = torch.randint(model.classes, (arguments.batch,))
    run = torch.compile(model, mode=arguments.compile) if arguments.compile else model
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005, fused=on_gpu or None
    )
    kept = sum(parameter.numel() for parameter in model.parameters()) * 12

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.bfloat16):
            loss = functional.cross_entropy(run(images), labels)
        loss.backward()
        optimizer.step()

    def gpu_memory() -> dict[str, int]:
        """Its peak, and that without parameters, their gradients and their momentum."""
        peak = torch.cuda.max_memory_allocated()
        return {"peak": peak, "activations": peak - kept}

    training_worker.serve(
        step,
        arguments.batch,
        arguments.seconds,
        torch.cuda.synchronize if on_gpu else lambda: None,
        {"gpu_memory": gpu_memory},
    )


if __name__ == "__main__":
    main()
