"""The quantizer and the layers with binary weights (HWGQ-Net, Cai et al., CVPR 2017, sections 3 and 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..architectures import hwgq

FORWARD_FUNCTIONS = ("hwgq", "sign", "hard_tanh", "relu")
BACKWARD_FUNCTIONS = ("relu", "hard_tanh", "log_tailed_relu")

_HALVES = (torch.float16, torch.bfloat16)


class _Quantizer(NamedTuple):
    """What quantizes: the fields of quant_param, as the engine has them."""

    forward_func: str
    backward_func: str
    #: Infinite where nothing is clipped.
    limit: float
    negative_slope: float
    centers: tuple[float, ...]

    def forward(self, x: Tensor) -> Tensor:
        if self.forward_func == "relu":
            return F.leaky_relu(x, self.negative_slope)
        if self.forward_func == "hard_tanh":
            return x.clamp(-1, 1)
        if self.forward_func == "sign":
            y = torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
        else:
            y = torch.full_like(x, self.centers[-1])
            for below, above in reversed(list(zip(self.centers, self.centers[1:], strict=False))):
                threshold = (below + above) / 2
                if x.dtype == torch.float32:
                    threshold = float(np.float32(threshold))
                y = torch.where(x <= threshold, below, y)
            y = torch.where(x <= 0, -self.negative_slope, y)
        return torch.where(x.isnan(), x, y)

    def derivative(self, x: Tensor) -> Tensor:
        if self.backward_func == "hard_tanh":
            return ((x >= -self.limit) & (x <= self.limit)).to(x.dtype)
        slope = torch.where(x > 0, 1.0, self.negative_slope).to(x.dtype)
        beyond = 0.0 if self.backward_func == "relu" else 1 / (x - self.limit + 1)
        return torch.where(x > self.limit, beyond, slope)


class _Quantize(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, quantizer: _Quantizer) -> Tensor:
        return quantizer.forward(_widened(x)).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, _Quantizer], output: Tensor) -> None:
        x, ctx.quantizer = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return dy * ctx.quantizer.derivative(_widened(x)).to(dy.dtype), None


class _Binarize(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, use_alpha: bool) -> Tensor:
        if not use_alpha:
            return torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)
        # In double, as the engine does: so that weights of +-alpha binarize to themselves.
        alpha = weight.abs().flatten(1).mean(1, dtype=torch.float64).to(weight.dtype)
        alpha = alpha.view(-1, *[1] * (weight.dim() - 1))
        return torch.where(weight >= 0, alpha, -alpha)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, bool], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return dy, None


def _widened(x: Tensor) -> Tensor:
    # Thresholds lie between codes: rounded to 8 bits of fraction they would move.
    return x.float() if x.dtype in _HALVES else x


def _rounded(value: float) -> float:
    # As a prototxt's fields are stored.
    return float(np.float32(value))


def _checked(
    forward_func: str,
    backward_func: str,
    clip_thr: float,
    negative_slope: float,
    centers: Sequence[float],
    thrs: Sequence[float],
) -> _Quantizer:
    for field, name, known in (
        ("forward_func", forward_func, FORWARD_FUNCTIONS),
        ("backward_func", backward_func, BACKWARD_FUNCTIONS),
    ):
        if name not in known:
            raise ValueError(f"{field} is one of {', '.join(known)}, not {name!r}")
    if backward_func == "log_tailed_relu" and not clip_thr > 0:
        raise ValueError("backward_func log_tailed_relu needs clip_thr, where its tail begins")
    if forward_func == "hwgq":
        if not centers:
            raise ValueError("forward_func hwgq needs centers, the quantization levels above 0")
        if not all(b > a for a, b in zip([0.0, *centers], centers, strict=False)) or math.isinf(centers[-1]):
            raise ValueError(f"centers must be positive and ascending, not {list(centers)}")
        middles = [(a + b) / 2 for a, b in zip(centers, centers[1:], strict=False)]
        if thrs and not (len(thrs) == len(middles) and np.allclose(thrs, middles, rtol=1e-3, atol=0)):
            raise ValueError("thrs must be left out or be the midpoints of the centers")
    return _Quantizer(
        forward_func,
        backward_func,
        _rounded(clip_thr) if clip_thr > 0 else math.inf,
        _rounded(negative_slope),
        tuple(_rounded(center) for center in centers),
    )


def quantize(
    x: Tensor,
    centers: Sequence[float] = (),
    forward_func: str = "hwgq",
    backward_func: str = "relu",
    clip_thr: float = 0.0,
    negative_slope: float = 0.0,
) -> Tensor:
    """Activations quantized as a ``Quant`` layer does, of x's shape and type.

    Args:
        x: any shape. Half-precision values are compared with the thresholds in float32.
        centers: the levels above 0, ascending; "hwgq" needs them.
        forward_func: "hwgq": -negative_slope for x <= 0, else the nearest center, halfway the lower one.
            "sign": +1 for x >= 0, else -1. "hard_tanh": x clamped to [-1, 1]. "relu": x, or negative_slope x
            for x <= 0. NaN stays NaN.
        backward_func: what the gradient is that of; T is ``clip_thr``, or infinite where that is 0. "relu":
            dy for 0 < x <= T, negative_slope dy for x <= 0, else 0. "hard_tanh": dy for -T <= x <= T, else 0.
            "log_tailed_relu": as "relu", and dy / (x - T + 1) for x > T.

    Raises:
        ValueError: an unknown function, or centers that are missing, not positive or not ascending.
    """
    quantizer = _checked(forward_func, backward_func, clip_thr, negative_slope, centers, ())
    return _Quantize.apply(x, quantizer)


def binarize(weight: Tensor, use_alpha: bool = True) -> Tensor:
    """alpha sign(W), with the sign of 0 +1 and the straight-through gradient.

    Args:
        weight: outputs along the first axis.
        use_alpha: alpha of an output is the mean magnitude of its weights, else 1.
    """
    return _Binarize.apply(weight, use_alpha)


class Quant(nn.Module):
    """A ``Quant`` layer; the arguments are the fields of quant_param, see :func:`quantize`.

    Raises:
        ValueError: as :func:`quantize`, and for ``thrs`` that are not the centers' midpoints.
    """

    def __init__(
        self,
        centers: Sequence[float] = (),
        forward_func: str = "hwgq",
        backward_func: str = "relu",
        clip_thr: float = 0.0,
        negative_slope: float = 0.0,
        thrs: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self._quantizer = _checked(forward_func, backward_func, clip_thr, negative_slope, centers, thrs)

    def forward(self, x: Tensor) -> Tensor:
        """Quantizes activations of any shape."""
        return _Quantize.apply(x, self._quantizer)

    def extra_repr(self) -> str:
        """What the module's text has in parentheses."""
        return ", ".join(f"{name}={value}" for name, value in self._quantizer._asdict().items())


class HWGQ(Quant):
    """The paper's quantizer: 0 and the best ``levels`` levels above it for normal inputs.

    ``backward`` is the gradient's function: "relu"; "clipped", a ReLU clipped at the last level; or
    "log_tailed" (section 4.3).
    """

    def __init__(self, levels: int = 3, uniform: bool = True, backward: str = "clipped") -> None:
        super().__init__(**(hwgq(levels, uniform, backward).quant_param or {}))


class BinaryConv2d(nn.Conv2d):
    """A ``BinaryConvolution`` layer: a convolution with alpha sign(W) in place of the stored weights W.

    Arguments beyond those of ``torch.nn.Conv2d`` are the layer's options; unlike in a prototxt, ``use_alpha``
    is on unless it is turned off, as in the paper's nets. Padding is with zeros.
    """

    def __init__(self, *args: Any, use_alpha: bool = True, use_binarization: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.padding_mode != "zeros":
            raise ValueError(f"BinaryConv2d pads with zeros, not in the mode {self.padding_mode!r}")
        self.use_alpha = use_alpha
        self.use_binarization = use_binarization

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x outputs x H' x W'."""
        weight = binarize(self.weight, self.use_alpha) if self.use_binarization else self.weight
        return self._conv_forward(x, weight, self.bias)

    def extra_repr(self) -> str:
        """What the module's text has in parentheses."""
        return f"{super().extra_repr()}, {_options(self)}"


class BinaryLinear(nn.Linear):
    """A ``BinaryInnerProduct`` layer: a linear map with alpha sign(W) in place of the stored weights W.

    Options as for :class:`BinaryConv2d`. The inputs are the last axis, as for ``torch.nn.Linear``.
    """

    def __init__(self, *args: Any, use_alpha: bool = True, use_binarization: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.use_alpha = use_alpha
        self.use_binarization = use_binarization

    def forward(self, x: Tensor) -> Tensor:
        """... x inputs to ... x outputs."""
        weight = binarize(self.weight, self.use_alpha) if self.use_binarization else self.weight
        return F.linear(x, weight, self.bias)

    def extra_repr(self) -> str:
        """What the module's text has in parentheses."""
        return f"{super().extra_repr()}, {_options(self)}"


def _options(module: BinaryConv2d | BinaryLinear) -> str:
    return f"use_alpha={module.use_alpha}, use_binarization={module.use_binarization}"
