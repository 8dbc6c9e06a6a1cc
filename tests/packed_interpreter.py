"""Computes what a packed model computes, in double precision, straight from docs/packed-format.md."""

import numpy as np

from caffe.hwgq import packed_file
from caffe.hwgq.packed_file import Encoding, StageKind, StepKind, TensorKind


class Interpreter:
    """A packed model, run image by image's batch: arrays are N x C x H x W here.

    ``layer`` runs a serialized LayerParameter on arrays and gives a list of arrays.
    """

    def __init__(self, path, layer=None):
        self.plan = packed_file.read(path)
        self.layer = layer

    def forward(self, inputs, observe=None):
        """The outputs by name.

        Args:
            inputs: arrays by name, in the blobs' shapes.
            observe: called with the name, the kind and the values of each tensor that is whole; what it
                returns goes on in their place.
        """
        plan = self.plan
        self.batch = len(next(iter(inputs.values())))
        self.tensors = [None] * len(plan.tensors)
        for port in plan.inputs:
            values = np.asarray(inputs[port.name], np.float64)
            assert values.shape[1:] == tuple(port.dimensions), port.name
            self.tensors[port.tensor] = values.reshape(self.batch, *self.shape(port.tensor))
        writers = [0] * len(plan.tensors)
        for stage in plan.stages:
            for step in stage.steps:
                if step.kind in (StepKind.STORE, StepKind.QUANTIZE, StepKind.THRESHOLD):
                    writers[step.tensor] += 1
        for stage in plan.stages:
            for tensor in self.run(stage):
                writers[tensor] -= 1
                if observe and not writers[tensor]:
                    described = plan.tensors[tensor]
                    self.tensors[tensor] = observe(described.name, described.kind, self.tensors[tensor])
        return {
            port.name: self.tensors[port.tensor].reshape(self.batch, *port.dimensions)
            for port in plan.outputs
        }

    def shape(self, index):
        tensor = self.plan.tensors[index]
        return tensor.channels, tensor.height, tensor.width

    def run(self, stage):
        """Runs a stage; returns the tensors that it wrote to."""
        inputs = [self.whole(index) for index in stage.inputs]
        if stage.kind == StageKind.CAFFE_LAYER:
            return self.run_layer(stage, inputs)
        y = VALUES[stage.kind](stage, *inputs)
        written = []
        changed = False
        codes = stage.kind != StageKind.BINARY_CONVOLUTION and self.holds_codes(stage.inputs[0])
        assert not codes or all(step.kind == StepKind.STORE for step in stage.steps)
        for step in stage.steps:
            if step.kind == StepKind.STORE:
                assert self.holds_codes(step.tensor) == codes
                self.write(step, y, written)
            elif step.kind == StepKind.QUANTIZE:
                t = np.array(step.parameters)
                assert (np.diff(t) > 0).all()
                self.write(step, sum(y > limit for limit in t.astype(np.float64)), written)
            elif step.kind == StepKind.THRESHOLD:
                assert stage.kind == StageKind.BINARY_CONVOLUTION and not changed
                rows = step.arrays[0].reshape(-1, y.shape[1]).astype(np.float64)
                assert (np.diff(rows, axis=0) >= 0).all()
                self.write(step, sum(y >= row[:, None, None] for row in rows), written)
            else:
                assert step.tensor not in written, "a step reads what its own stage writes"
                y = self.step(step, y)
                changed = True
        return written

    def whole(self, index):
        values = self.tensors[index]
        assert values is not None and not np.isnan(values).any(), self.plan.tensors[index].name
        return values

    def holds_codes(self, index):
        return self.plan.tensors[index].kind == TensorKind.CODES

    def run_layer(self, stage, inputs):
        numbers = list(stage.attributes)
        bottoms = []
        for values in inputs:
            count = numbers.pop(0)
            dimensions, numbers = numbers[:count], numbers[count:]
            bottoms.append(values.reshape(self.batch, *dimensions))
        assert not numbers
        written = []
        tops = self.layer(stage.arrays[0].tobytes(), bottoms)
        for step, top in zip(stage.steps, tops, strict=True):
            assert step.kind == StepKind.STORE
            self.write(step, top.reshape(self.batch, *self.shape(step.tensor)), written)
        return written

    def write(self, step, y, written):
        shape = self.shape(step.tensor)
        if self.tensors[step.tensor] is None:
            self.tensors[step.tensor] = np.full((self.batch, *shape), np.nan)
        target = self.tensors[step.tensor][:, step.channel : step.channel + y.shape[1]]
        assert target.shape == y.shape, self.plan.tensors[step.tensor].name
        assert np.isnan(target).all(), "written twice"
        target[...] = y
        if self.holds_codes(step.tensor):
            assert ((target >= 0) & (target <= 15) & (target == np.round(target))).all()
        written.append(step.tensor)

    def step(self, step, y):
        p = [float(value) for value in step.parameters]
        t = None if step.tensor is None else self.whole(step.tensor)
        if step.kind == StepKind.AFFINE:
            a, b = (array.astype(np.float64)[:, None, None] for array in step.arrays)
            assert {len(a), len(b)} <= {1, y.shape[1]}
            return a * y + b
        if step.kind == StepKind.ADD:
            return p[0] * y + p[1] * t
        if step.kind == StepKind.MAXIMUM:
            return np.maximum(y, t)
        if step.kind == StepKind.MULTIPLY:
            return y * t
        if step.kind == StepKind.RELU:
            return np.where(y > 0, y, p[0] * y)
        if step.kind == StepKind.CLAMP:
            return np.minimum(np.maximum(y, p[0]), p[1])
        if step.kind == StepKind.SIGMOID:
            return np.where(y < 0, np.exp(np.minimum(y, 0)), 1) / (1 + np.exp(-np.abs(y)))
        if step.kind == StepKind.TANH:
            return np.tanh(y)
        assert step.kind == StepKind.LEVELS
        n = len(p) // 2
        return np.array(p[n:])[sum((y > limit).astype(int) for limit in p[:n])]


def windows(x, kernel, stride, padding, dilation, size):
    """x, padded with zeros, as N x C x kernel height x kernel width x height x width."""
    x = np.pad(x, [(0, 0), (0, 0), *((pad, pad) for pad in padding)])
    rows, columns = (
        np.arange(k)[:, None] * d + np.arange(n) * s
        for k, d, s, n in zip(kernel, dilation, stride, size, strict=True)
    )
    return x[:, :, rows[:, None, :, None], columns[None, :, None, :]]


def sums(x, weights, geometry):
    """The sums of products of a convolution; weights outputs x kernel height x width x channels."""
    outputs, kh, kw, sh, sw, ph, pw, dh, dw, groups = geometry
    size = [
        (length + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1
        for length, pad, dilation, kernel, stride in zip(
            x.shape[2:], (ph, pw), (dh, dw), (kh, kw), (sh, sw), strict=True
        )
    ]
    columns = windows(x, (kh, kw), (sh, sw), (ph, pw), (dh, dw), size)
    results = [
        np.einsum("ncklhw,oklc->nohw", part, kernel, optimize=True)
        for part, kernel in zip(np.split(columns, groups, axis=1), np.split(weights, groups), strict=True)
    ]
    return np.concatenate(results, axis=1)


def unpacked(bits, outputs, count):
    """Rows of +1 and -1."""
    rows = np.unpackbits(bits.reshape(outputs, -1), axis=1, bitorder="little")
    assert rows.shape[1] == -(-count // 8) * 8
    return rows[:, :count].astype(np.float64) * 2 - 1


def convolution(stage, x):
    *geometry, encoding = stage.attributes
    outputs, kh, kw, groups = geometry[0], geometry[1], geometry[2], geometry[9]
    count = kh * kw * (x.shape[1] // groups)
    if encoding == Encoding.BITS:
        weights = unpacked(stage.arrays[0], outputs, count)
    else:
        weights = stage.arrays[0].reshape(outputs, count).astype(np.float64)
    if encoding != Encoding.FLOAT:
        weights = weights * stage.arrays[1].astype(np.float64)[:, None]
    return sums(x, weights.reshape(outputs, kh, kw, -1), geometry)


def binary_convolution(stage, x):
    outputs, kh, kw, groups = (stage.attributes[i] for i in (0, 1, 2, 9))
    levels = stage.arrays[1].astype(np.float64)
    count = kh * kw * (x.shape[1] // groups)
    assert 2 <= len(levels) <= 16 and count * np.abs(levels).max() < 2**31
    weights = unpacked(stage.arrays[0], outputs, count)
    return sums(levels[x.astype(int)], weights.reshape(outputs, kh, kw, -1), stage.attributes)


def pooling(stage, x):
    method, kh, kw, sh, sw, ph, pw, height, width = stage.attributes
    result = np.zeros((*x.shape[:2], height, width))
    minimum = stage.arrays[0] == 255 if stage.arrays else np.zeros(x.shape[1], bool)
    for i in range(height):
        for j in range(width):
            top, left = i * sh - ph, j * sw - pw
            bottom, right = min(top + kh, x.shape[2] + ph), min(left + kw, x.shape[3] + pw)
            area = (bottom - top) * (right - left)
            window = x[:, :, max(top, 0) : bottom, max(left, 0) : right]
            if method == 1:
                result[:, :, i, j] = window.sum((2, 3)) / area
            elif window.size:
                result[:, :, i, j] = np.where(minimum, window.min((2, 3)), window.max((2, 3)))
    return result


def softmax(stage, x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def local_response_normalization(stage, x):
    within, size = stage.attributes
    alpha, beta, k = stage.arrays[0].astype(np.float64)
    half = size // 2
    if within:
        square = np.pad(x**2, [(0, 0), (0, 0), (half, half), (half, half)])
        total = np.zeros_like(x)
        for i in range(size):
            for j in range(size):
                total += square[:, :, i : i + x.shape[2], j : j + x.shape[3]]
        return x / (k + alpha / size**2 * total) ** beta
    square = np.pad(x**2, [(0, 0), (half, half), (0, 0), (0, 0)])
    total = sum(square[:, i : i + x.shape[1]] for i in range(size))
    return x / (k + alpha / size * total) ** beta


VALUES = {
    StageKind.CONVOLUTION: convolution,
    StageKind.BINARY_CONVOLUTION: binary_convolution,
    StageKind.POOLING: pooling,
    StageKind.MAP: lambda stage, x: x,
    StageKind.SOFTMAX: softmax,
    StageKind.LRN: local_response_normalization,
}
