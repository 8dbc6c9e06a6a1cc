"""Inference with packed models: weights as bits, arithmetic on integers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import _caffe


class StageProfile(NamedTuple):
    """What a stage of a packed net took, and had to do, for all images of a pass."""

    name: str
    kind: str
    #: The kernel that computed it.
    kernel: str
    seconds: float
    #: 0 for a stage without weights.
    multiply_adds: int
    #: Of its inputs, outputs and weights, each once.
    bytes: int


class GpuArray(NamedTuple):
    """Where an array of a GPU lies: float32, in C order."""

    address: int
    shape: tuple[int, ...]
    writeable: bool


#: What a batch may be: anything that NumPy makes an array of, or an array with `__cuda_array_interface__`.
Values = ArrayLike | Any


class PackedNet:
    """A model that :func:`caffe.hwgq.pack` wrote, ready for inference.

    Threads may share one: their passes run side by side. The memory that a pass takes is kept for the next.

    Args:
        path: the packed model.
        threads: the most that a pass may use; 0 for as many as there are processors (OMP_NUM_THREADS where
            it is set).
        device: what computes: "cpu", or a GPU by its number, as "cuda:1"; "cuda" is GPU 0. Codes are the same
            on all bit for bit, save for those at a threshold whose layer sums floats, which round.

    Raises:
        caffe.Error: the file cannot be read, is damaged, or no packed model; there is no such GPU, or the
            model has a layer that only Caffe computes.
        ValueError: the device is none of these.
    """

    def __init__(self, path: str | os.PathLike, threads: int = 0, device: str = "cpu") -> None:
        self._net = _caffe.PackedNet(os.fspath(path), threads, _gpu(device))
        #: Dimensions of the inputs and outputs by name, without the batch.
        self.inputs: dict[str, tuple[int, ...]] = dict(self._net.inputs)
        self.outputs: dict[str, tuple[int, ...]] = dict(self._net.outputs)

    @property
    def name(self) -> str:
        """The net's name."""
        return self._net.name

    @property
    def threads(self) -> int:
        """The most threads that a pass uses."""
        return self._net.threads

    @property
    def device(self) -> str:
        """What computes: "cpu", or "cuda:" and the GPU's number."""
        return "cpu" if self._net.gpu < 0 else f"cuda:{self._net.gpu}"

    def forward(
        self, batch: Values | Mapping[str, Values], out: Any | Mapping[str, Any] = None, threads: int = 0
    ) -> Any | dict[str, Any]:
        """Computes the outputs of a batch of any size.

        A net on a GPU also takes float32 arrays of the GPU: PyTorch's tensors, CuPy's arrays, and all that
        have ``__cuda_array_interface__``. It reads them after what was started on CUDA's default stream; work
        on other streams must have ended. It has written them when it returns.

        Args:
            batch: N x the input's dimensions, numbers of any type; for a net with several inputs a mapping
                from their names.
            out: float32 arrays to write, N x the outputs' dimensions, in place of new ones.
            threads: at most so many for this pass.

        Returns:
            The output, float32, N x its dimensions, in `out` or a new NumPy array; for a net with several a
            dictionary by name.

        Raises:
            ValueError: the batch is of another shape than the net's input, or not of numbers; or it is of a
                GPU, and the net computes on the CPU.
        """
        inputs = self._inputs(batch)
        images = inputs[0].shape[0]
        outputs = self._outputs(out, images)
        addresses = [[_address(array) for array in arrays] for arrays in (inputs, outputs.values())]
        self._net.forward_at(images, *addresses, threads)
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def profile(self, batch: ArrayLike | Mapping[str, ArrayLike], threads: int = 0) -> list[StageProfile]:
        """Runs a batch as :meth:`forward` does, and says what each stage took."""
        inputs = [np.asarray(values) for values in self._inputs(batch)]
        outputs = self._outputs(None, inputs[0].shape[0])
        return [StageProfile(*row) for row in self._net.profile(inputs, list(outputs.values()), threads)]

    def _inputs(self, batch: Values | Mapping[str, Values]) -> list[np.ndarray | GpuArray]:
        if not isinstance(batch, Mapping):
            if len(self.inputs) > 1:
                raise ValueError(f"the net has the inputs {', '.join(self.inputs)}: give a mapping of them")
            batch = {next(iter(self.inputs)): batch}
        if set(batch) != set(self.inputs):
            raise ValueError(
                f"the net's inputs are {', '.join(self.inputs)}, not {', '.join(map(str, batch)) or 'none'}"
            )
        inputs = [self._input(name, batch[name], shape) for name, shape in self.inputs.items()]
        if len({values.shape[0] for values in inputs}) > 1:
            raise ValueError(f"the inputs {', '.join(self.inputs)} have different numbers of images")
        return inputs

    def _input(self, name: str, values: Values, dimensions: tuple[int, ...]) -> np.ndarray | GpuArray:
        array = self._gpu_array(name, values)
        wanted = "N x " + " x ".join(map(str, dimensions)) if dimensions else "N"
        if array is None:
            array = np.asarray(values)
            if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
                raise ValueError(f"{name} takes real numbers, {wanted}, not {array.dtype}")
        if len(array.shape) == 0 or array.shape[0] == 0 or array.shape[1:] != dimensions:
            raise ValueError(f"{name} is {wanted} for at least one image, not {array.shape}")
        return array if isinstance(array, GpuArray) else np.ascontiguousarray(array, np.float32)

    def _gpu_array(self, name: str, values: Any) -> GpuArray | None:
        """What an array of a GPU has, or None for any other."""
        interface = getattr(values, "__cuda_array_interface__", None)
        if interface is None:
            return None
        if self._net.gpu < 0:
            raise ValueError(f"{name} is an array of a GPU, and the net computes on the CPU")
        shape, strides, bytes_behind = tuple(interface["shape"]), [], 4
        for size in reversed(shape):
            strides.insert(0, bytes_behind)
            bytes_behind *= size
        if interface["typestr"] != "<f4" or tuple(interface.get("strides") or strides) != tuple(strides):
            raise ValueError(f"{name} is an array of a GPU, and must be float32, in C order")
        address, read_only = interface["data"]
        return GpuArray(address, shape, not read_only)

    def _outputs(self, out: Any | Mapping[str, Any] | None, images: int) -> dict[str, Any]:
        shapes = {name: (images, *dimensions) for name, dimensions in self.outputs.items()}
        if out is None:
            return {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
        given = out if isinstance(out, Mapping) else {next(iter(shapes)): out}
        if set(given) != set(shapes):
            raise ValueError(f"the net's outputs are {', '.join(shapes)}: give an array for each")
        for name, shape in shapes.items():
            array = given[name]
            on_gpu = self._gpu_array(f"out for {name}", array)
            if on_gpu is not None:
                if on_gpu.shape != shape or not on_gpu.writeable:
                    raise ValueError(f"out for {name} must be a writeable array of shape {shape}")
                continue
            if (
                not isinstance(array, np.ndarray)
                or array.shape != shape
                or array.dtype != np.float32
                or not array.flags.c_contiguous
                or not array.flags.writeable
            ):
                raise ValueError(
                    f"out for {name} must be a writeable float32 array of shape {shape}, in C order"
                )
        return {name: given[name] for name in shapes}


def _gpu(device: str) -> int:
    """The number of a GPU; -1 for the CPU."""
    if device == "cpu":
        return -1
    match = re.fullmatch(r"cuda(?::(\d{1,4}))?", device, re.ASCII)
    if match is None:
        raise ValueError(f"device is cpu, cuda or cuda:NUMBER, not {device}")
    return int(match[1] or 0)


def _address(array: Any) -> int:
    """Where the values of an array begin."""
    if isinstance(array, GpuArray):
        return array.address
    interface = getattr(array, "__cuda_array_interface__", None)
    return array.ctypes.data if interface is None else interface["data"][0]
