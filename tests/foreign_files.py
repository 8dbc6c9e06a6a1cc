"""Reads files that were changed at random: python foreign_files.py READER COUNT SEED FOLDER.

The memory is limited, and an input that takes long ends the process. What is read at the moment lies in
FOLDER. A reader may refuse a file by one of its errors; anything else ends the process. At the end it prints
how many were refused.
"""

import contextlib
import gzip
import os
import random
import resource
import signal
import struct
import sys
from collections.abc import MutableSequence
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError

import caffe
import caffe.cli.convert_cifar_data
from caffe import idx, io, training_log, weights
from caffe.hwgq import packed_file
from caffe.hwgq.packed_net import PackedNet
from caffe.proto import caffe_pb2

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
MEMORY = 1 << 29
SECONDS = 20
NUMBERS = [0, 1, 2, 3, 7, 8, 255, 256, 65535, 1 << 24]
NUMBERS += [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1]
REALS = [0.0, 1.0, -1.0, 1e38, float("inf"), float("-inf"), float("nan")]


# ------------------------------------------------------------------------------------------------ changes


def changed_bytes(draw, content):
    """The bytes with a few changes: numbers put in, parts left out, doubled or cut off."""
    content = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        # Sizes and kinds are at the beginning.
        last = len(content) if draw.random() < 0.5 else min(len(content), 64)
        place = draw.randint(0, last)
        way = draw.randrange(6)
        if way == 0:
            layout = draw.choice("<>") + draw.choice("BHIQ")
            number = draw.choice(NUMBERS) % (1 << 8 * struct.calcsize(layout))
            content[place : place + struct.calcsize(layout)] = struct.pack(layout, number)
        elif way == 1 and place < len(content):
            content[place] ^= 1 << draw.randrange(8)
        elif way == 2:
            del content[place : place + draw.choice([1, 2, 4, 16, 256])]
        elif way == 3:
            content[place:place] = content[place : place + draw.choice([1, 4, 16, 256])]
        elif way == 4:
            content[place:place] = draw.randbytes(draw.choice([1, 4, 16]))
        elif draw.random() < 0.3:
            del content[place:]
    return bytes(content)


def changed_text(draw, content):
    """A text with words exchanged for others, and numbers for odd ones."""
    words = content.decode("utf-8", "replace").split(" ")
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(words))
        if draw.random() < 0.5:
            words[place] = draw.choice(words)
        else:
            words[place] = str(draw.choice([*NUMBERS, *REALS, -1, -(1 << 31), "", '"x"']))
    return " ".join(words).encode()


def messages_in(message):
    """The message and all within it."""
    yield message
    for field, value in message.ListFields():
        if field.cpp_type == Field.CPPTYPE_MESSAGE:
            for inner in value if isinstance(value, MutableSequence) else [value]:
                yield from messages_in(inner)


def change_message(draw, message):
    """Changes a few fields of the message, or of those within it."""
    for _ in range(draw.randint(1, 4)):
        inner = draw.choice(list(messages_in(message)))
        fields = [field for field, _ in inner.ListFields()]
        if not fields or draw.random() < 0.3:
            fields = inner.DESCRIPTOR.fields
        if not fields:
            continue
        field = draw.choice(fields)
        elements = getattr(inner, field.name)
        if not isinstance(elements, MutableSequence):
            _change_single(draw, inner, field)
            continue
        if elements and draw.random() < 0.4:
            del elements[draw.randrange(len(elements))]
        elif field.cpp_type == Field.CPPTYPE_MESSAGE:
            elements.add().CopyFrom(draw.choice(elements)) if elements else elements.add()
        elif elements and draw.random() < 0.6:
            elements[draw.randrange(len(elements))] = _value(draw, field, elements[0])
        else:
            elements.append(_value(draw, field, None))


def _change_single(draw, message, field):
    if draw.random() < 0.2:
        message.ClearField(field.name)
    elif field.cpp_type == Field.CPPTYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _value(draw, field, getattr(message, field.name)))


def _value(draw, field, before):
    bits = {
        Field.CPPTYPE_INT32: 31,
        Field.CPPTYPE_UINT32: 32,
        Field.CPPTYPE_INT64: 63,
        Field.CPPTYPE_UINT64: 64,
    }
    if field.cpp_type in bits:
        number = draw.choice(NUMBERS) % (1 << bits[field.cpp_type])
        signed = field.cpp_type in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64)
        return -number if signed and draw.random() < 0.3 else number
    if field.cpp_type in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return draw.choice(REALS)
    if field.cpp_type == Field.CPPTYPE_BOOL:
        return draw.random() < 0.5
    if field.cpp_type == Field.CPPTYPE_ENUM:
        return draw.choice(field.enum_type.values).number
    if field.type == Field.TYPE_BYTES:
        return changed_bytes(draw, before or b"")
    return draw.choice(["", "x", before or ""])


class Bytes:
    """A kind of files whose bytes are changed."""

    def __init__(self, *seeds):
        self.seeds = seeds

    def make(self, draw):
        return changed_bytes(draw, draw.choice(self.seeds))


class Text(Bytes):
    """Text files, by words."""

    def make(self, draw):
        return changed_text(draw, draw.choice(self.seeds))


class Messages(Bytes):
    """Files of a message, by its fields; ``text`` where they are written as such."""

    def __init__(self, kind, *seeds, text=False):
        super().__init__(*seeds)
        self.kind = kind
        self.text = text

    def make(self, draw):
        seed = draw.choice(self.seeds)
        if draw.random() < 0.3:
            return changed_text(draw, seed) if self.text else changed_bytes(draw, seed)
        message = text_format.Parse(seed, self.kind()) if self.text else self.kind.FromString(seed)
        change_message(draw, message)
        return (
            text_format.MessageToString(message).encode() if self.text else message.SerializePartialToString()
        )


# ------------------------------------------------------------------------------------------------ readers


def corpus(name):
    """The seeds of one of the C++ fuzzers."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def saved(array, folder):
    """An array as a .npy file holds it."""
    np.save(folder / "saved.npy", array)
    return (folder / "saved.npy").read_bytes()


def idx_file(*shape):
    """An idx file of zeros."""
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + bytes(int(np.prod(shape)))


def read_array(path):
    io.blobproto_to_array(caffe_pb2.BlobProto.FromString(path.read_bytes()))


def read_datum(path):
    io.datum_to_array(caffe_pb2.Datum.FromString(path.read_bytes()))


def read_net(path):
    # A net is what its file says, however large: what would be is not made.
    net = text_format.Parse(path.read_bytes(), caffe_pb2.NetParameter())
    if any(layer.type in ("HDF5Output", "Python") for layer in net.layer):
        return
    caffe.Net(str(path), caffe.TEST)


def read_weights(path):
    for _ in weights.blobs_of(path):
        pass


def read_packed(path):
    packed_file.read(path)
    PackedNet(path)


def read_onnx(path):
    from caffe.importer import from_onnx

    net = from_onnx(path)
    net.weights()


def onnx_seeds():
    """The message of a model, and small ones of the operators that nets are made of."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def model(nodes, shape=(1, 2, 6, 6), **constants):
        arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
        values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        results = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        graph = helper.make_graph(nodes, "net", values, results, arrays)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        return made.SerializeToString()

    node = helper.make_node
    weight = np.ones((3, 2, 3, 3), np.float32)
    return [
        onnx.ModelProto,
        model(
            [
                node(
                    "Conv",
                    ["x", "w", "b"],
                    ["c"],
                    kernel_shape=[3, 3],
                    pads=[1, 1, 1, 1],
                    strides=[2, 2],
                    name="n",
                ),
                node("Relu", ["c"], ["r"]),
                node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[1, 1]),
                node("Flatten", ["p"], ["f"], axis=1),
                node("Gemm", ["f", "g"], ["y"], transB=1),
            ],
            w=weight,
            b=np.ones(3, np.float32),
            g=np.ones((2, 12), np.float32),
        ),
        model(
            [
                node("BatchNormalization", ["x", "one", "one", "one", "one"], ["n"], epsilon=1e-5),
                node("Reshape", ["n", "sizes"], ["s"]),
                node("Concat", ["s", "s"], ["c"], axis=1),
                node("Slice", ["c", "from", "to"], ["l"]),
                node("Pad", ["l", "pads"], ["d"]),
                node("ReduceMean", ["d"], ["y"], axes=[1], keepdims=0),
            ],
            one=np.ones(2, np.float32),
            sizes=np.array([1, -1, 6], np.int64),
            pads=np.array([0, 0, 0, 0, 1, 1], np.int64),
            to=np.array([1, 5], np.int64),
            **{"from": np.array([0, 1], np.int64)},
        ),
    ]


def readers(folder):
    """By names: a kind of files, a file's ending, what reads it, and the errors that refuse one."""
    images = idx_file(2, 3, 3)
    log = (
        b"I0102 15:04:05.123456 7 solver.cpp:42] Iteration 0, loss = 2.3\n"
        b"I0102 15:04:06.123456 7 solver.cpp:42]     Train net output #0: loss = 2.3 (* 1 = 2.3 loss)\n"
        b"I0102 15:04:06.123456 7 sgd_solver.cpp:42] Iteration 0, lr = 0.01\n"
    )
    return {
        "array": (Messages(caffe_pb2.BlobProto, *corpus("mean")), "", read_array, (ValueError, DecodeError)),
        "packed_array": (
            Messages(
                caffe_pb2.BlobProto,
                caffe_pb2.BlobProto(
                    shape=caffe_pb2.BlobShape(dim=[2, 9]), signs=b"abcd", alphas=[1, 2]
                ).SerializeToString(),
            ),
            "",
            read_array,
            (ValueError, DecodeError),
        ),
        "datum": (Messages(caffe_pb2.Datum, *corpus("record")), "", read_datum, (ValueError, DecodeError)),
        "mean": (Messages(caffe_pb2.BlobProto, *corpus("mean")), ".binaryproto", io.load_mean, ValueError),
        "npy": (
            Bytes(saved(np.ones((3, 2, 2), np.float32), folder), saved(np.ones(3), folder)),
            ".npy",
            io.load_mean,
            ValueError,
        ),
        "labels": (
            Bytes("cat\nn01440764 tench, Tinca tinca\näöü\n".encode()),
            ".txt",
            io.load_labels,
            ValueError,
        ),
        "idx": (
            Bytes(images, gzip.compress(images)),
            "",
            lambda path: idx.read(path, dimensions=3),
            ValueError,
        ),
        "cifar": (Bytes(bytes(2 * 3073)), ".bin", caffe.cli.convert_cifar_data.read, ValueError),
        "net": (
            Messages(caffe_pb2.NetParameter, *corpus("net"), text=True),
            ".prototxt",
            read_net,
            (caffe.Error, text_format.ParseError),
        ),
        "weights": (
            Messages(caffe_pb2.NetParameter, *corpus("weights")),
            ".caffemodel",
            read_weights,
            (caffe.Error, ValueError),
        ),
        "packed_model": (Bytes(*corpus("packed_model")), ".hwgq", read_packed, (caffe.Error, ValueError)),
        "log": (Text(log), ".log", training_log.read, ValueError),
    }


def main(name, count, seed, folder):
    """Reads so many files."""
    folder = Path(folder)
    if name == "onnx":
        kind, ending, read, errors = Messages(*onnx_seeds()), ".onnx", read_onnx, (caffe.Error, ValueError)
    else:
        kind, ending, read, errors = readers(folder)[name]
    caffe.init_log(3)
    # Modules that are imported by and by count as used.
    for content in kind.seeds:
        path = folder / f"sound{ending}"
        path.write_bytes(content)
        with contextlib.suppress(errors):
            read(path)
    # AddressSanitizer takes terabytes of addresses for itself, and limits what is asked for at a time.
    if "libasan" not in Path("/proc/self/maps").read_text():
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    draw = random.Random(int(seed))
    refused = 0
    for _ in range(int(count)):
        path = folder / f"input{ending}"
        path.write_bytes(kind.make(draw))
        signal.alarm(SECONDS)
        try:
            read(path)
        except errors:
            refused += 1
        signal.alarm(0)
    print(refused)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(*sys.argv[1:])
