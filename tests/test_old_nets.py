"""Nets of many projects, V0 to today: they build, or fail with an error that names what they lack."""

import csv
import re
import tarfile

import pytest

import caffe


@pytest.fixture(scope="module")
def collection(shared, tmp_path_factory):
    """Rows of the index of nets, each with the path of its file."""
    folder = shared / "prototxt"
    if not (folder / "INDEX.tsv").is_file():
        pytest.skip("there are no prototxt files beside the checkout")
    root = tmp_path_factory.mktemp("prototxt")
    with tarfile.open(folder / "prototxt.tar.xz") as archive:
        archive.extractall(root)
    with open(folder / "INDEX.tsv", newline="") as index:
        rows = [row for row in csv.DictReader(index, delimiter="\t") if row["kind"] == "net"]
    return [dict(row, path=root / row["file"]) for row in rows]


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
