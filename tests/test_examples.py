"""The example networks are the published ones, field by field."""

import json

import pytest
from google.protobuf import json_format, text_format

from caffe.proto import caffe_pb2

MESSAGES = {"solver": caffe_pb2.SolverParameter, "train_val": caffe_pb2.NetParameter}


def from_text(path, message):
    return text_format.Parse(path.read_text(), message)


@pytest.mark.parametrize("network", ["mnist/lenet-hwgq-3ne"])
@pytest.mark.parametrize("kind", MESSAGES)
def test_example_is_as_published(root, shared, network, kind):
    reference = shared / "reference/nets" / f"{network.replace('/', '__')}__{kind}.json"
    published = json_format.ParseDict(json.loads(reference.read_text()), MESSAGES[kind]())
    example = from_text(root / "examples" / network / f"{kind}.prototxt", MESSAGES[kind]())
    assert text_format.MessageToString(example) == text_format.MessageToString(published)
