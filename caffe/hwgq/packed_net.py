"""Inference with packed models: weights as bits, arithmetic on integers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

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


class PackedNet:
    """A model that :func:`caffe.hwgq.pack` wrote, ready for inference.

    Threads may share one: their passes run side by side. The memory that a pass takes is kept for the next.

    Args:
        path: the packed model.
        threads: the most that a pass may use; 0 for as many as there are processors (OMP_NUM_THREADS where
            it is set).

    Raises:
        caffe.Error: the file cannot be read, is damaged, or no packed model.
    """

    def __init__(self, path: str | os.PathLike, threads: int = 0) -> None:
        self._net = _caffe.PackedNet(os.fspath(path), threads)
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

    def forward(
        self,
        batch: ArrayLike | Mapping[str, ArrayLike],
        out: np.ndarray | Mapping[str, np.ndarray] | None = None,
        threads: int = 0,
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Computes the outputs of a batch of any size.

        Args:
            batch: N x the input's dimensions, numbers of any type; for a net with several inputs a mapping
                from their names.
            out: float32 arrays to write, N x the outputs' dimensions, in place of new ones.
            threads: at most so many for this pass.

        Returns:
            The output, float32, N x its dimensions; for a net with several a dictionary by name.

        Raises:
            ValueError: the batch is of another shape than the net's input, or not of numbers.
        """
        inputs = self._inputs(batch)
        outputs = self._outputs(out, inputs[0].shape[0])
        self._net.forward(inputs, list(outputs.values()), threads)
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def profile(self, batch: ArrayLike | Mapping[str, ArrayLike], threads: int = 0) -> list[StageProfile]:
        """Runs a batch as :meth:`forward` does, and says what each stage took."""
        inputs = self._inputs(batch)
        outputs = self._outputs(None, inputs[0].shape[0])
        return [StageProfile(*row) for row in self._net.profile(inputs, list(outputs.values()), threads)]

    def _inputs(self, batch: ArrayLike | Mapping[str, ArrayLike]) -> list[np.ndarray]:
        if not isinstance(batch, Mapping):
            if len(self.inputs) > 1:
                raise ValueError(f"the net has the inputs {', '.join(self.inputs)}: give a mapping of them")
            batch = {next(iter(self.inputs)): batch}
        if set(batch) != set(self.inputs):
            raise ValueError(
                f"the net's inputs are {', '.join(self.inputs)}, not {', '.join(map(str, batch)) or 'none'}"
            )
        inputs = [_input(name, batch[name], shape) for name, shape in self.inputs.items()]
        if len({values.shape[0] for values in inputs}) > 1:
            raise ValueError(f"the inputs {', '.join(self.inputs)} have different numbers of images")
        return inputs

    def _outputs(
        self, out: np.ndarray | Mapping[str, np.ndarray] | None, images: int
    ) -> dict[str, np.ndarray]:
        shapes = {name: (images, *dimensions) for name, dimensions in self.outputs.items()}
        if out is None:
            return {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
        given = out if isinstance(out, Mapping) else {next(iter(shapes)): out}
        if set(given) != set(shapes):
            raise ValueError(f"the net's outputs are {', '.join(shapes)}: give an array for each")
        for name, shape in shapes.items():
            array = given[name]
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


def _input(name: str, values: ArrayLike, dimensions: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(values)
    wanted = "N x " + " x ".join(map(str, dimensions)) if dimensions else "N"
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise ValueError(f"{name} takes real numbers, {wanted}, not {array.dtype}")
    if array.ndim == 0 or array.shape[0] == 0 or array.shape[1:] != dimensions:
        raise ValueError(f"{name} is {wanted} for at least one image, not {array.shape}")
    return np.ascontiguousarray(array, np.float32)
