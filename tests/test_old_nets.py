"""Nets of many projects, V0 to today: they build, or fail with an error that names what they lack."""

import re

import pytest

import caffe


def test_nets_without_data_build(collection):
    """A sample: all of the old formats, and every sixth of today's."""
    standalone = [row for row in collection if row["builds_in_reference"] == "yes"]
    old = [row for row in standalone if row["format"] != "new"]
    new = [row for row in standalone if row["format"] == "new"]
    assert len(old) >= 30 and len(new) >= 200
    for row in old + new[::6]:
        net = caffe.Net(row["path"], caffe.TEST)
        assert len(net.layers) > 0 or row["format"] == "empty", row["file"]
        for name in net.outputs:
            assert all(size > 0 for size in net.blobs[name].shape), (row["file"], name)


def test_the_rest_say_what_they_need(collection):
    kinds = (
        "unknown layer type '|cannot open|cannot read|No module named|Unknown bottom blob|"
        "unknown filler type|Check failed"
    )
    for row in collection:
        if row["builds_in_reference"] == "yes":
            continue
        with pytest.raises((caffe.Error, ImportError)) as caught:
            caffe.Net(row["path"], caffe.TEST)
        assert re.search(kinds, str(caught.value)), (row["file"], str(caught.value))
        if isinstance(caught.value, caffe.Error):
            assert caught.value.layer_name, (row["file"], str(caught.value))
