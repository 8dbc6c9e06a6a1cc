"""Layers of Caffe that PyTorch has in another form, or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Factor(nn.Module):
    """The learned part of a ``Scale`` or ``Bias`` layer: y = weight x + bias along some axes.

    Either may be missing. They have the axes of x from ``axis`` on, as many as they have themselves.
    """

    def __init__(self, weight: Tensor | None, bias: Tensor | None, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis
        self.register_parameter("weight", None if weight is None else nn.Parameter(weight))
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias))

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape with these axes."""
        if self.weight is not None:
            x = x * laid_along(self.weight, x, self.axis)
        return x if self.bias is None else x + laid_along(self.bias, x, self.axis)


def laid_along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """``values``, whose axes are those of x from ``axis`` on, in a shape that broadcasts to x's."""
    behind = x.dim() - axis % x.dim() - values.dim()
    return values.reshape(*values.shape, *[1] * behind) if values.dim() else values


class BatchNorm(nn.Module):
    """A ``BatchNorm`` layer: per channel (axis 1) zero mean and unit variance, nothing learned.

    The statistics are means over all batches so far, a batch t steps ago weighing ``fraction`` ** t, and not,
    as in ``torch.nn.BatchNorm2d``, mixed with the values they started from.

    Args:
        channels: size of axis 1.
        fraction: the layer's moving_average_fraction.
        eps: added to the variance.
        use_global_stats: whether the kept statistics are used; None: in evaluation.
    """

    running_mean: Tensor
    running_var: Tensor
    #: What the batches so far weigh together.
    total: Tensor

    def __init__(
        self, channels: int, fraction: float = 0.999, eps: float = 1e-5, use_global_stats: bool | None = None
    ) -> None:
        super().__init__()
        self.fraction = fraction
        self.eps = eps
        self.use_global_stats = use_global_stats
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.zeros(channels))
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """x of two axes or more."""
        kept = not self.training if self.use_global_stats is None else self.use_global_stats
        if kept:
            return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        mean, var = torch.empty_like(self.running_mean), torch.empty_like(self.running_var)
        y = F.batch_norm(x, mean.zero_(), var.zero_(), training=True, momentum=1.0, eps=self.eps)
        with torch.no_grad():
            self.total.mul_(self.fraction).add_(1)
            self.running_mean.lerp_(mean, 1 / self.total)
            self.running_var.lerp_(var, 1 / self.total)
        return y


class Pooling(nn.Module):
    """A ``Pooling`` layer over N x C x H x W, its number of windows rounded up or down as Caffe rounds it.

    Averages are over the window with its padding, of which what lies beyond ``pad`` on either side is not
    counted.
    """

    def __init__(
        self,
        method: str,
        kernel: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int],
        ceil: bool = True,
    ) -> None:
        super().__init__()
        self.method = method
        self.kernel = tuple(kernel)
        self.stride = tuple(stride)
        self.pad = tuple(pad)
        self.ceil = ceil

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x C x H' x W'."""
        windows = [self._windows(axis, x.shape[2 + axis]) for axis in (0, 1)]
        beyond = []
        for axis in (1, 0):
            pad, size = self.pad[axis], x.shape[2 + axis]
            end = (windows[axis] - 1) * self.stride[axis] - pad + self.kernel[axis]
            beyond += [pad, max(end - size, 0)]
        if self.method == "MAX":
            x = F.pad(x, beyond, value=-math.inf) if any(beyond) else x
            return F.max_pool2d(x, self.kernel, self.stride)[:, :, : windows[0], : windows[1]]
        sizes = x.shape[2:]
        sums = F.avg_pool2d(
            F.pad(x, beyond) if any(beyond) else x, self.kernel, self.stride, divisor_override=1
        )
        areas = [self._extents(axis, sizes[axis], windows[axis], x) for axis in (0, 1)]
        return sums[:, :, : windows[0], : windows[1]] / (areas[0][:, None] * areas[1])

    def begins_beyond(self, sizes: Sequence[int]) -> bool:
        """Whether the last window over images of H x W would hold nothing."""
        return any(
            (self._windows(axis, size) - 1) * self.stride[axis] - self.pad[axis] >= size
            for axis, size in enumerate(sizes)
        )

    def _windows(self, axis: int, size: int) -> int:
        free = size + 2 * self.pad[axis] - self.kernel[axis]
        count = (-(-free // self.stride[axis]) if self.ceil else free // self.stride[axis]) + 1
        if any(self.pad) and (count - 1) * self.stride[axis] >= size + self.pad[axis]:
            count -= 1
        return count

    def _extents(self, axis: int, size: int, windows: int, x: Tensor) -> Tensor:
        begin = torch.arange(windows, device=x.device) * self.stride[axis] - self.pad[axis]
        return ((begin + self.kernel[axis]).clamp(max=size + self.pad[axis]) - begin).to(x.dtype)
