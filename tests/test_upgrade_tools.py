"""The tools that bring files to today's format, run as a user runs them."""

import pytest
from google.protobuf import text_format
from tool_runner import fails, run

import caffe
from caffe.proto.caffe_pb2 import NetParameter, SolverParameter

V0 = """
name: "old"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "pad" }
layers { layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3 blobs_lr: 1. blobs_lr: 2. }
  bottom: "pad" top: "conv" }
"""
V1 = """
name: "old"
layers { name: "data" type: DATA top: "data" top: "label"
  data_param { source: "x" batch_size: 2 scale: 0.5 } }
layers { name: "fc" type: INNER_PRODUCT bottom: "data" top: "fc" inner_product_param { num_output: 2 }
  blobs_lr: 3 weight_decay: 0 }
"""
V2 = 'name: "new" layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
SOLVER = 'net: "some/net.prototxt" solver_type: ADAM base_lr: 0.5'


def parsed(path, message):
    return text_format.Parse(path.read_text(), message)


def test_v0_text(tmp_path):
    (tmp_path / "old").write_text(V0)
    done = run("upgrade_net_proto_text", "old", "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Wrote upgraded NetParameter text proto to new" in done.stderr
    net = parsed(tmp_path / "new", NetParameter())
    assert not net.layers
    assert [layer.type for layer in net.layer] == ["Input", "Convolution"]
    conv = net.layer[1]
    assert list(conv.convolution_param.pad) == [2]
    assert list(conv.bottom) == ["data"]
    assert [spec.lr_mult for spec in conv.param] == [1, 2]
    assert caffe.Net(str(tmp_path / "new"), caffe.TEST).blobs["conv"].data.shape == (1, 4, 10, 10)


def test_v1_text_in_place(tmp_path):
    (tmp_path / "net").write_text(V1)
    done = run("upgrade_net_proto_text", "net", "net", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    net = parsed(tmp_path / "net", NetParameter())
    assert [layer.type for layer in net.layer] == ["Data", "InnerProduct"]
    assert net.layer[0].transform_param.scale == 0.5
    assert net.layer[1].param[0].decay_mult == 0
    again = run("upgrade_net_proto_text", "net", "again", cwd=tmp_path)
    assert again.returncode == 0
    assert "already in latest proto format: net" in again.stderr
    assert (tmp_path / "again").read_text() == (tmp_path / "net").read_text()


def test_binary(tmp_path):
    old = text_format.Parse(V1, NetParameter())
    old.layers[1].blobs.add(num=1, channels=1, height=1, width=2, data=[1, 2])
    (tmp_path / "old.caffemodel").write_bytes(old.SerializeToString())
    done = run("upgrade_net_proto_binary", "old.caffemodel", "new.caffemodel", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    net = NetParameter.FromString((tmp_path / "new.caffemodel").read_bytes())
    assert not net.layers
    assert list(net.layer[1].blobs[0].data) == [1, 2]


@pytest.mark.parametrize("name", ["old", "other/old"])
def test_solver(tmp_path, name):
    (tmp_path / "other").mkdir()
    (tmp_path / name).write_text(SOLVER)
    done = run("upgrade_solver_proto_text", name, "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    solver = parsed(tmp_path / "new", SolverParameter())
    assert solver.type == "Adam"
    assert not solver.HasField("solver_type")
    assert solver.net == "some/net.prototxt", "paths stay as they are written"
    done = run("upgrade_solver_proto_text", "new", "again", cwd=tmp_path)
    assert "already in latest" in done.stderr


def test_nets_within_a_solver(tmp_path):
    (tmp_path / "old").write_text(f"train_net_param {{ {V1} }} test_net_param {{ {V0} }} type: 'SGD'")
    done = run("upgrade_solver_proto_text", "old", "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "already in latest" not in done.stderr
    solver = parsed(tmp_path / "new", SolverParameter())
    assert [layer.type for layer in solver.test_net_param[0].layer] == ["Input", "Convolution"]


def test_what_is_wrong_is_one_line(tmp_path):
    for name, content in {
        "typo": 'name: "x"\nlayer { typ: "ReLU" }',
        "binary": "\0\1\2",
        "v0": V0.replace('"conv" type: "conv"', '"conv" type: "convolve"'),
        "solver": SOLVER + " type: 'SGD'",
    }.items():
        (tmp_path / name).write_text(content)
    text, binary = "upgrade_net_proto_text", "upgrade_net_proto_binary"
    fails(run(text, "typo", "new", cwd=tmp_path), f"{text}: typo:2:", "typ")
    fails(run(text, "binary", "new", cwd=tmp_path), "binary", "not a prototxt")
    fails(run(text, "v0", "new", cwd=tmp_path), "convolve")
    fails(run(text, "none", "new", cwd=tmp_path), "none", "No such file")
    fails(run(text, "v0", cwd=tmp_path), "output")
    fails(run(binary, "typo", "new", cwd=tmp_path), "typo", "text file")
    fails(run("upgrade_solver_proto_text", "solver", "new", cwd=tmp_path), "solver", "solver_type")
    assert not (tmp_path / "new").exists()
    (tmp_path / "good").write_text(V2)
    fails(run(text, "good", "no/new", cwd=tmp_path), "no/new")
