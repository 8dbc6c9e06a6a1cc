"""The Python messages: the wire numbers and defaults that existing files rely on."""

import functools
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2, text_format
from google.protobuf.descriptor import FieldDescriptor

from caffe.proto import caffe_pb2

SHARED = pathlib.Path(os.environ.get("CAFFE_SHARED", pathlib.Path(__file__).parents[2] / "shared"))

TYPE_NAMES = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
}
# BVLC's numbers for these two are the HWGQ fork's for others.
PRIVATE_NUMBERS = {("LayerParameter", "swish_param"): 10147, ("LayerParameter", "clip_param"): 10148}


@functools.cache
def field_protos():
    """All fields as the schema's file has them, by message and name."""
    file = descriptor_pb2.FileDescriptorProto()
    caffe_pb2.DESCRIPTOR.CopyToProto(file)
    return {(message.name, field.name): field for message in file.message_type for field in message.field}


def described(message_name, field_name):
    """A field in the form of the reference: number, label, type, default, packed."""
    field = field_protos()[message_name, field_name]
    result = {
        "number": field.number,
        "label": {1: "optional", 2: "required", 3: "repeated"}[field.label],
        "type": field.type_name.removeprefix(".caffe.") or TYPE_NAMES[field.type],
    }
    if field.HasField("default_value"):
        result["default"] = field.default_value
    if field.options.packed:
        result["packed"] = True
    return result


def same_default(ours, theirs, type_name):
    """Releases of protobuf differ in the digits that they give a float's default."""
    if type_name == "float":
        return struct.pack("f", float(ours)) == struct.pack("f", float(theirs))
    return ours == theirs


@pytest.mark.parametrize("column", ["hwgq", "bvlc_1_0"])
def test_every_message_and_field_of_the_reference(column):
    path = SHARED / "reference" / "proto_schema.json"
    if not path.exists():
        pytest.skip("no shared data here")
    reference = json.loads(path.read_text())[column]
    differences = []
    for message_name, message in reference["messages"].items():
        ours = caffe_pb2.DESCRIPTOR.message_types_by_name[message_name]
        for field_name, expected in message["fields"].items():
            expected = dict(expected)
            if (message_name, field_name) in PRIVATE_NUMBERS:
                expected["number"] = PRIVATE_NUMBERS[message_name, field_name]
            actual = described(message_name, field_name)
            defaults = actual.pop("default", ""), expected.pop("default", "")
            if actual != expected or not same_default(*(d or "0" for d in defaults), expected["type"]):
                differences.append((message_name, field_name, actual, expected, defaults))
        for enum_name, values in message.get("enums", {}).items():
            enum = ours.enum_types_by_name[enum_name]
            if {v.name: v.number for v in enum.values} != values:
                differences.append((message_name, enum_name))
    for enum_name, values in reference["enums"].items():
        enum = caffe_pb2.DESCRIPTOR.enum_types_by_name[enum_name]
        if {v.name: v.number for v in enum.values} != values:
            differences.append(enum_name)
    assert differences == []


# What a solver and its state hold beyond Caffe's, which passes over that of the state, and the packed blobs.
OWN_FIELDS = {
    ("BlobProto", "signs"),
    ("BlobProto", "alphas"),
    ("SolverState", "data_state"),
    ("SolverState", "random_state"),
    ("SolverState", "recent_loss"),
    ("SolverState", "saved_at"),
    ("SolverState", "kept_iter"),
    ("SolverState", "not_finite"),
    ("SolverState", "learned_net_checksum"),
    ("SolverState", "checksum"),
    ("DataState", "layer"),
    ("DataState", "net"),
    ("DataState", "seed"),
    ("DataState", "record"),
    ("DataState", "random_state"),
    ("DataState", "carried"),
    ("SolverParameter", "snapshot_keep"),
    ("SolverParameter", "stop_on_nan"),
    ("SolverParameter", "check_numerics"),
}


def test_nothing_beyond_the_reference_but_what_is_told():
    path = SHARED / "reference" / "proto_schema.json"
    if not path.exists():
        pytest.skip("no shared data here")
    reference = json.loads(path.read_text())
    known = {
        (name, field)
        for column in ("hwgq", "bvlc_1_0")
        for name, message in reference[column]["messages"].items()
        for field in message["fields"]
    }
    assert set(field_protos()) == known | OWN_FIELDS


@pytest.mark.parametrize(
    ("message", "field", "number", "default"),
    [
        ("NetParameter", "layer", 100, None),
        ("NetParameter", "layers", 2, None),
        ("LayerParameter", "blobs", 7, None),
        ("LayerParameter", "convolution_param", 106, None),
        ("LayerParameter", "binary_convolution_param", 147, None),
        ("LayerParameter", "binary_inner_product_param", 148, None),
        ("LayerParameter", "quant_param", 149, None),
        ("LayerParameter", "swish_param", 10147, None),
        ("LayerParameter", "clip_param", 10148, None),
        ("SolverState", "data_state", 10001, []),
        ("SolverState", "random_state", 10002, ""),
        ("SolverState", "saved_at", 10004, 0),
        ("SolverState", "checksum", 10100, 0),
        ("SolverParameter", "snapshot_keep", 10001, 0),
        ("SolverParameter", "stop_on_nan", 10002, False),
        ("BlobProto", "shape", 7, None),
        ("BlobProto", "signs", 10001, None),
        ("BlobProto", "alphas", 10002, None),
        ("Datum", "label", 5, 0),
        ("SolverParameter", "delta", 31, 1e-8),
        ("SolverParameter", "type", 40, "SGD"),
        ("SolverParameter", "weights", 42, []),
        ("SolverParameter", "solver_mode", 17, caffe_pb2.SolverParameter.GPU),
        ("BinaryConvolutionParameter", "use_alpha", 1, False),
        ("BinaryConvolutionParameter", "use_binarization", 2, True),
        ("QuantParameter", "forward_func", 1, "hwgq"),
        ("QuantParameter", "centers", 6, []),
        ("PoolingParameter", "round_mode", 13, caffe_pb2.PoolingParameter.CEIL),
        ("BatchNormParameter", "moving_average_fraction", 2, 0.999),
        ("DataParameter", "prefetch", 10, 4),
        ("V1LayerParameter", "blobs_lr", 7, []),
        ("V0LayerParameter", "hdf5_output_param", 1001, None),
    ],
)
def test_numbers_and_defaults(message, field, number, default):
    cls = getattr(caffe_pb2, message)
    assert cls.DESCRIPTOR.fields_by_name[field].number == number
    if default is not None:
        value = getattr(cls(), field)
        assert list(value) == [] if default == [] else value == pytest.approx(default) or value == default


def test_text_and_bytes_round_trip():
    net = text_format.Parse(
        "layer { name: 'q' type: 'Quant' quant_param { centers: 0.538 centers: 1.076 } phase: TEST }",
        caffe_pb2.NetParameter(),
    )
    assert caffe_pb2.NetParameter.FromString(net.SerializeToString()) == net
    assert net.layer[0].phase == caffe_pb2.TEST == 1
    assert text_format.Parse(text_format.MessageToString(net), caffe_pb2.NetParameter()) == net


def test_imports_without_warnings():
    """An import that warns today fails with some later release of protobuf."""
    code = (
        "import importlib.util as u;"
        f"s = u.spec_from_file_location('caffe_pb2', {caffe_pb2.__file__!r});"
        "s.loader.exec_module(u.module_from_spec(s))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_checkout_without_a_build_says_what_to_do(tmp_path):
    package = tmp_path / "caffe" / "proto"
    package.mkdir(parents=True)
    shutil.copy(pathlib.Path(caffe_pb2.__file__).with_name("__init__.py"), package)
    # Without -S the package installed in the environment would be found before this one.
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import caffe.proto"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert "ImportError: caffe/proto/caffe_pb2.py is made by the build: run 'make pycaffe'" in done.stderr
