"""Writes and reads packed models, the files that docs/packed-format.md describes.

A :class:`Plan` is what such a file holds: tensors, and the stages that compute them. Arrays that are read are
views of the file's content.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

import numpy as np

MAGIC = b"\x89HWGQ\r\n\x1a"
VERSION = 1

_HEADER = struct.Struct("<8sIIQQQQQI")
_HEADER_BYTES = 64
_ALIGNMENT = 64
_NO_TENSOR = 0xFFFFFFFF

#: Types of arrays in the order of their numbers.
ARRAY_TYPES = ("<f4", "<i4", "u1", "i1", "<i2")


class TensorKind(IntEnum):
    """What the elements of a tensor are."""

    REAL = 0
    CODES = 1


class StageKind(IntEnum):
    """What a stage computes before its steps."""

    CONVOLUTION = 1
    BINARY_CONVOLUTION = 2
    POOLING = 3
    MAP = 4
    SOFTMAX = 5
    LRN = 6
    CAFFE_LAYER = 7


class StepKind(IntEnum):
    """What a step does with a stage's values."""

    AFFINE = 1
    ADD = 2
    MAXIMUM = 3
    MULTIPLY = 4
    RELU = 5
    CLAMP = 6
    SIGMOID = 7
    STORE = 8
    QUANTIZE = 9
    THRESHOLD = 10
    LEVELS = 11
    TANH = 12


class Encoding(IntEnum):
    """How a convolution's weights are stored."""

    FLOAT = 0
    INT8 = 1
    BITS = 2


@dataclass
class Tensor:
    """The values of one image, channels x height x width."""

    name: str
    kind: TensorKind
    channels: int
    height: int
    width: int


@dataclass
class Port:
    """An input or output of the net: a blob's name, its tensor, and its dimensions without the first."""

    name: str
    tensor: int
    dimensions: list[int]


class Input(Port):
    """A blob that is filled from outside."""


class Output(Port):
    """A blob that is a result."""


@dataclass
class Step:
    """What is done with each value of a stage; ``tensor`` is what it reads or writes, if any."""

    kind: StepKind
    tensor: int | None = None
    channel: int = 0
    parameters: list[float] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)


@dataclass
class Stage:
    """A computation over the pixels of tensors, with the steps that follow it."""

    kind: StageKind
    name: str
    attributes: list[int] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


@dataclass
class Plan:
    """A net as a packed model holds it."""

    name: str
    tensors: list[Tensor] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    #: Data layers, outputs and measures as the text of a NetParameter; empty where there are none.
    test: str = ""


def is_packed(path: str | os.PathLike) -> bool:
    """Whether a file begins as a packed model does."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def write(plan: Plan, path: str | os.PathLike) -> int:
    """Writes a packed model, whole or not at all; makes its folder where that is missing.

    Arrays are of one of the five types (``ARRAY_TYPES``), of any shape; equal ones are stored once.

    Returns:
        The file's size in bytes.

    Raises:
        OSError: the file cannot be written.
        ValueError: an array is of another type.
    """
    path = Path(path)
    content = _Writer().file(plan)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(content)


def read(path: str | os.PathLike) -> Plan:
    """Reads a packed model.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is none, is damaged or cut short, or is of a version that is not known.
    """
    content = Path(path).read_bytes()
    name = os.fspath(path)
    if len(content) < _HEADER_BYTES or content[:8] != MAGIC:
        raise ValueError(f"{name} is not a packed model, or its beginning is lost; `caffe pack` writes one")
    _, version, header_bytes, size, plan_at, plan_bytes, data_at, data_bytes, checksum = _HEADER.unpack_from(
        content
    )
    (header_checksum,) = struct.unpack_from("<I", content, _HEADER.size)
    if version != VERSION:
        raise ValueError(
            f"{name} is a packed model of version {version}, and only version {VERSION} is known here: pack "
            "the net again, or take a newer caffe"
        )
    if header_checksum != zlib.crc32(content[: _HEADER.size]) or header_bytes != _HEADER_BYTES:
        raise _damaged(name, "its header's checksum is wrong")
    if size != len(content):
        raise _damaged(name, f"it has {len(content):,} bytes, not the {size:,} that were written")
    if (
        plan_at != _HEADER_BYTES
        or plan_at + plan_bytes > data_at
        or data_at % _ALIGNMENT
        or data_at + data_bytes != size
    ):
        raise _damaged(name, "its parts do not fit together")
    if checksum != zlib.crc32(memoryview(content)[_HEADER_BYTES:]):
        raise _damaged(name, "its checksum is wrong")
    try:
        return _Reader(content[plan_at : plan_at + plan_bytes], memoryview(content)[data_at:]).plan()
    except (ValueError, struct.error) as error:
        raise _damaged(name, f"its plan cannot be read, {error}") from error


def _damaged(name: str, why: str) -> ValueError:
    return ValueError(f"{name} is damaged or cut short: {why}; copy it again, or pack the net again")


class _Writer:
    """Collects the plan and the arrays that it refers to."""

    def __init__(self) -> None:
        self._plan = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._places: dict[bytes, int] = {}

    def file(self, plan: Plan) -> bytes:
        """The content of the file, whole."""
        self._write_plan(plan)
        data_at = _aligned(_HEADER_BYTES + len(self._plan))
        between = bytes(data_at - _HEADER_BYTES - len(self._plan))
        rest = b"".join([bytes(self._plan), between, *self._data])
        header = _HEADER.pack(
            MAGIC,
            VERSION,
            _HEADER_BYTES,
            data_at + self._data_bytes,
            _HEADER_BYTES,
            len(self._plan),
            data_at,
            self._data_bytes,
            zlib.crc32(rest),
        )
        return header + struct.pack("<I", zlib.crc32(header)) + rest

    def _write_plan(self, plan: Plan) -> None:
        self._string(plan.name)
        self._u32(len(plan.tensors))
        for tensor in plan.tensors:
            self._string(tensor.name)
            self._u32(tensor.kind, tensor.channels, tensor.height, tensor.width)
        for ports in (plan.inputs, plan.outputs):
            self._u32(len(ports))
            for port in ports:
                self._string(port.name)
                self._u32(port.tensor, len(port.dimensions), *port.dimensions)
        self._u32(len(plan.stages))
        for stage in plan.stages:
            self._u32(stage.kind)
            self._string(stage.name)
            self._u32(len(stage.attributes))
            self._plan += struct.pack(f"<{len(stage.attributes)}i", *stage.attributes)
            self._u32(len(stage.inputs), *stage.inputs)
            self._arrays(stage.arrays)
            self._u32(len(stage.steps))
            for step in stage.steps:
                self._step(step)
        self._string(plan.test)

    def _step(self, step: Step) -> None:
        self._u32(step.kind, _NO_TENSOR if step.tensor is None else step.tensor, step.channel)
        self._u32(len(step.parameters))
        self._plan += struct.pack(f"<{len(step.parameters)}f", *step.parameters)
        self._arrays(step.arrays)

    def _u32(self, *values: int) -> None:
        self._plan += struct.pack(f"<{len(values)}I", *values)

    def _string(self, text: str) -> None:
        encoded = text.encode()
        self._u32(len(encoded))
        self._plan += encoded

    def _arrays(self, arrays: list[np.ndarray]) -> None:
        self._u32(len(arrays))
        for array in arrays:
            kind = next((i for i, dtype in enumerate(ARRAY_TYPES) if array.dtype == dtype), None)
            if kind is None:
                raise ValueError(f"a packed model holds no arrays of type {array.dtype}")
            self._plan += struct.pack("<IQQ", kind, array.size, self._place(array.tobytes()))

    def _place(self, content: bytes) -> int:
        if content not in self._places:
            self._places[content] = self._data_bytes
            padded = content + bytes(_aligned(len(content)) - len(content))
            self._data.append(padded)
            self._data_bytes += len(padded)
        return self._places[content]


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


_Item = TypeVar("_Item")


class _Reader:
    """Reads a plan; what does not fit raises ValueError or struct.error."""

    def __init__(self, plan: bytes, data: memoryview) -> None:
        self._plan = plan
        self._data = data
        self._at = 0

    def plan(self) -> Plan:
        """The plan, all of whose bytes are read."""
        plan = Plan(
            self._string(),
            self._list(self._tensor),
            self._list(lambda: Input(*self._port())),
            self._list(lambda: Output(*self._port())),
            self._list(self._stage),
            self._string(),
        )
        if self._at != len(self._plan):
            raise ValueError("bytes are left over")
        used = [port.tensor for port in (*plan.inputs, *plan.outputs)]
        for stage in plan.stages:
            used += stage.inputs
            used += [step.tensor for step in stage.steps if step.tensor is not None]
        if used and max(used) >= len(plan.tensors):
            raise ValueError("a tensor is missing")
        return plan

    def _unpack(self, layout: str) -> tuple:
        values = struct.unpack_from(layout, self._plan, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _u32(self) -> int:
        return self._unpack("<I")[0]

    def _string(self) -> str:
        length = self._u32()
        return self._unpack(f"<{length}s")[0].decode()

    def _numbers(self, letter: str) -> list:
        return list(self._unpack(f"<{self._u32()}{letter}"))

    def _list(self, item: Callable[[], _Item]) -> list[_Item]:
        return [item() for _ in range(self._u32())]

    def _tensor(self) -> Tensor:
        name = self._string()
        kind, channels, height, width = self._unpack("<4I")
        return Tensor(name, TensorKind(kind), channels, height, width)

    def _port(self) -> tuple[str, int, list[int]]:
        return self._string(), self._u32(), self._numbers("I")

    def _stage(self) -> Stage:
        return Stage(
            StageKind(self._u32()),
            self._string(),
            self._numbers("i"),
            self._numbers("I"),
            self._list(self._array),
            self._list(self._step),
        )

    def _step(self) -> Step:
        kind, tensor, channel = self._unpack("<3I")
        return Step(
            StepKind(kind),
            None if tensor == _NO_TENSOR else tensor,
            channel,
            self._numbers("f"),
            self._list(self._array),
        )

    def _array(self) -> np.ndarray:
        kind, count, offset = self._unpack("<IQQ")
        if kind >= len(ARRAY_TYPES):
            raise ValueError(f"an array has the unknown type {kind}")
        if offset % _ALIGNMENT or offset + count * np.dtype(ARRAY_TYPES[kind]).itemsize > len(self._data):
            raise ValueError("an array lies outside of the data")
        return np.frombuffer(self._data, ARRAY_TYPES[kind], count, offset)
