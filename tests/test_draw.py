"""Pictures of nets."""

import pathlib
import shutil
import subprocess
import sys

import pytest
from google.protobuf import text_format

import caffe
from caffe import draw
from caffe.proto import caffe_pb2

pydot = pytest.importorskip("pydot")
ROOT = pathlib.Path(__file__).parents[1]
LENET = ROOT / "examples/mnist/lenet-hwgq-3ne/train_val.prototxt"
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz (dot) is not installed")


def layer(text):
    return text_format.Parse(text, caffe_pb2.LayerParameter())


@pytest.fixture
def lenet():
    return caffe_pb2.NetParameter.FromString(caffe._caffe.read_net_text(LENET))


def test_a_graph_has_a_node_for_each_layer_and_blob(lenet):
    graph = draw.get_pydot_graph(lenet, "LR", phase=caffe.TEST)
    layers = [it for it in lenet.layer if not it.include or it.include[0].phase == caffe.TEST]
    blobs = {blob for it in layers for blob in (*it.bottom, *it.top)}
    assert len(graph.get_nodes()) == len(layers) + len(blobs)
    assert len(graph.get_edges()) == sum(len(it.bottom) + len(it.top) for it in layers)
    assert graph.get_rankdir() == "LR"
    assert len(draw.get_pydot_graph(lenet, "LR").get_nodes()) > len(graph.get_nodes()), "all phases"


def test_phases_by_exclusion():
    assert not draw._is_included(layer("exclude { phase: TEST }"), caffe.TEST)
    assert draw._is_included(layer("exclude { phase: TEST }"), caffe.TRAIN)
    assert draw._is_included(layer('include { stage: "s" }'), caffe.TEST)


def test_labels():
    conv = layer(
        'name: "c" type: "Convolution" convolution_param { num_output: 7 kernel_size: 3 pad_h: 1 pad_w: 2 }'
    )
    assert draw.get_edge_label(conv) == "7"
    assert draw.get_layer_label(conv, "LR") == r"c\n(Convolution)\nkernel size: 3\nstride: 1\npad: 1x2"
    assert draw.get_layer_label(conv, "TB") == "c (Convolution) kernel size: 3 stride: 1 pad: 1x2"
    pool = layer('name: "p" type: "Pooling" pooling_param { pool: AVE kernel_size: 2 stride: 2 }')
    assert draw.get_layer_label(pool, "TB") == "p (AVE Pooling) kernel size: 2 stride: 2 pad: 0"
    assert draw.get_edge_label(pool) == '""'
    everywhere = layer('name: "p" type: "Pooling" pooling_param { global_pooling: true }')
    assert "kernel size: global" in draw.get_layer_label(everywhere, "TB")
    assert draw.get_edge_label(layer('type: "Data" data_param { batch_size: 64 }')) == "Batch 64"
    assert (
        draw.get_edge_label(layer('type: "BinaryInnerProduct" inner_product_param { num_output: 5 }')) == "5"
    )
    assert draw.get_layer_label(layer('name: "q" type: "Quant"'), "TB") == "q (Quant) hwgq"


def test_learning_rates():
    conv = layer('name: "c" type: "Convolution" param { lr_mult: 1 } param { lr_mult: 2 }')
    assert draw.get_layer_lr_mult(conv) == [1, 2]
    assert draw.get_layer_label(conv, "TB", display_lrm=True).endswith("lr mult: [1.0, 2.0]")
    assert draw.get_layer_lr_mult(layer('type: "InnerProduct"')) == 1
    assert draw.get_layer_lr_mult(layer('type: "ReLU"')) == []
    assert "lr mult" not in draw.get_layer_label(layer('type: "ReLU"'), "TB", display_lrm=True)


def test_a_net_of_old_with_inputs():
    net = text_format.Parse(
        'name: "n" input: "data" layer { name: "r" type: "ReLU" bottom: "data" top: "data" }',
        caffe_pb2.NetParameter(),
    )
    assert len(draw.get_pydot_graph(net, "TB").get_nodes()) == 2


@needs_dot
def test_pictures(lenet, tmp_path):
    assert draw.draw_net(lenet, "LR")[:4] == b"\x89PNG"
    draw.draw_net_to_file(lenet, tmp_path / "net.svg", "TB", caffe.TEST)
    picture = (tmp_path / "net.svg").read_text()
    assert "<svg" in picture and "conv1" in picture and "Quant" in picture


@needs_dot
def test_the_script(tmp_path):
    script = [sys.executable, str(ROOT / "python/draw_net.py")]
    done = subprocess.run(
        [*script, str(LENET), str(tmp_path / "net.svg"), "--rankdir", "TB", "--phase", "TEST"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in (tmp_path / "net.svg").read_text()
    failed = subprocess.run([*script, "none.prototxt", "net.png"], capture_output=True, text=True)
    assert failed.returncode == 1 and "draw_net.py: " in failed.stderr and "none.prototxt" in failed.stderr


def test_without_graphviz(monkeypatch, tmp_path, lenet):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install graphviz"):
        draw.draw_net_to_file(lenet, tmp_path / "net.dot")


def test_without_pydot(monkeypatch, lenet):
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match="pip install pydot"):
        draw.draw_net(lenet, "LR")
