"""caffe export, run as a user runs it."""

import sys

import numpy as np
import pytest
from tool_runner import fails, run

import caffe
from caffe import io
from caffe.cli import main

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx  # noqa: E402
from onnx_models import close  # noqa: E402
from onnx_models import run as run_model  # noqa: E402

NET = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.5 mean_value: 10 mean_value: 20 mean_value: 30 crop_size: 6 }
  data_param { source: "nowhere" batch_size: 4 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "q" type: "Quant" bottom: "conv" top: "q"
  quant_param { centers: 0.538 centers: 1.076 centers: 1.614 } }
layer { name: "ip" type: "BinaryInnerProduct" bottom: "q" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.1 } }
  binary_inner_product_param { use_alpha: true } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    data = 'input_param { shape { dim: 1 dim: 3 dim: 6 dim: 6 } shape { dim: 1 } } }\nlayer { name: "conv'
    begin = NET.index("  transform_param")
    text = NET[:begin].replace('"Data"', '"Input"') + data + NET.split('layer { name: "conv')[1]
    (tmp_path / "deploy.prototxt").write_text(text)
    caffe.set_random_seed(3)
    caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST).save(str(tmp_path / "net.caffemodel"))
    return tmp_path


@pytest.mark.parametrize("form", ["float", "qdq", "qonnx", "finn"])
def test_a_model_is_written(folder, form):
    done = run("export", "net.prototxt", "net.caffemodel", "-o", "out/net.onnx", "-hwgq", form, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "out/net.onnx: " in done.stdout and "nodes of opset 17, data (" in done.stdout
    model = onnx.load(folder / "out/net.onnx")
    onnx.checker.check_model(model, full_check=True)
    if form in ("float", "qdq"):
        images = np.random.default_rng(1).normal(size=(1, 3, 6, 6)).astype(np.float32)
        net = caffe.Net(str(folder / "deploy.prototxt"), str(folder / "net.caffemodel"), caffe.TEST)
        net.blobs["data"].data[...] = images
        net.forward()
        scores = np.exp(net.blobs["ip"].data)
        close(run_model(model, {"data": images})["prob"], scores / scores.sum(1, keepdims=True), "prob")


def test_flags(folder):
    done = run(
        *["export", "-model", "net.prototxt", "-o", "net.onnx", "-batch", "2", "-opset", "18"],
        *["-input", "data:1,3,8,8"],
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "opset 18, data (2 x 3 x 8 x 8) -> prob (2 x 5)" in done.stdout


def values(model, images):
    return run_model(model, {"data": images})["prob"]


def test_preprocessing_as_the_data_layer_does(folder):
    files = ["net.prototxt", "net.caffemodel"]
    assert run("export", *files, "-o", "plain.onnx", cwd=folder).returncode == 0
    plain = onnx.load(folder / "plain.onnx")
    images = np.random.default_rng(1).integers(0, 256, (2, 6, 6, 3)).astype(np.uint8)
    swapped = images.transpose(0, 3, 1, 2)[:, ::-1].astype(np.float32)
    mean = np.array([10, 20, 30], np.float32).reshape(3, 1, 1)
    done = run("export", *files, "-o", "net.onnx", "-preprocess", "-uint8", "-nhwc", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "data (batch x 6 x 6 x 3)" in done.stdout
    close(values(onnx.load(folder / "net.onnx"), images), values(plain, (swapped - mean) * 0.5), "prob")

    mean_image = np.random.default_rng(2).random((3, 10, 8)).astype(np.float32) * 100
    (folder / "mean.binaryproto").write_bytes(io.array_to_blobproto(mean_image[None]).SerializeToString())
    flags = ["-preprocess", "-mean", "mean.binaryproto", "-scale", "2", "-rgb"]
    done = run("export", *files, "-o", "net.onnx", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    rgb = images.transpose(0, 3, 1, 2).astype(np.float32)
    center = mean_image[:, 2:8, 1:7]
    close(values(onnx.load(folder / "net.onnx"), rgb), values(plain, (rgb - center) * 2), "prob")


def test_what_is_wrong_is_one_line(folder):
    fails(run("export", cwd=folder), "definition")
    fails(run("export", "net.prototxt", cwd=folder), "-o FILE")
    fails(run("export", "net.prototxt", "-o", "net.prototxt", cwd=folder), "a file to read")
    fails(run("export", "net.prototxt", "-o", "a.onnx", "-nhwc", cwd=folder), "-nhwc", "-preprocess")
    fails(run("export", "net.prototxt", "-o", "a.onnx", "-hwgq", "int4", cwd=folder), "int4")
    fails(run("export", "net.prototxt", "-o", "a.onnx", "-opset", "3", cwd=folder), "opset is 13 to")
    fails(run("export", "net.prototxt", "-o", "a.onnx", "-mean", "1,2", "-preprocess", cwd=folder), "mean")
    fails(run("export", "missing.prototxt", "-o", "a.onnx", cwd=folder), "missing.prototxt")
    (folder / "damaged.caffemodel").write_bytes((folder / "net.caffemodel").read_bytes()[:-40])
    fails(
        run("export", "net.prototxt", "damaged.caffemodel", "-o", "a.onnx", cwd=folder), "damaged.caffemodel"
    )
    assert not list(folder.glob("*.onnx*"))


def test_without_the_package(folder, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(folder / "net.prototxt"), "-o", str(folder / "a.onnx")]) == 1
    assert "pip install onnx" in capfd.readouterr().err


def test_help(folder):
    done = run("export", "--help", cwd=folder)
    assert done.returncode == 0
    assert "example: caffe export deploy.prototxt net.caffemodel -o net.onnx" in " ".join(done.stdout.split())
