"""Nothing but `caffe download` uses the network: the commands, killed when they make an internet socket."""

import importlib.util
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import imageio.v3
import no_network
import numpy as np
import pytest
from tool_runner import environment

import caffe
from caffe import _caffe

RUNNER = Path(no_network.__file__)
NET = """
name: "tiny"
layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "records" batch_size: 4 backend: LMDB } transform_param { scale: 0.01 } }
layer { name: "conv" type: "BinaryConvolution" bottom: "data" top: "conv"
  convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } }
  binary_convolution_param { use_alpha: true } }
layer { name: "quant" type: "Quant" bottom: "conv" top: "quant"
  quant_param { centers: 0.5 centers: 1.0 centers: 1.5 } }
layer { name: "ip" type: "InnerProduct" bottom: "quant" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "net.prototxt"
base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 display: 2 max_iter: 6 test_iter: 2 test_interval: 3
snapshot_prefix: "tiny" solver_mode: CPU random_seed: 1
"""


def python(*arguments, cwd):
    """Runs Python where there is no network."""
    return subprocess.run(
        [sys.executable, RUNNER, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module", autouse=True)
def guard(tmp_path_factory):
    """Skips where the kernel takes no such filter."""
    if platform.machine() not in no_network.MACHINES:
        pytest.skip(f"the filter of system calls is not written for {platform.machine()}")
    done = python("-c", "print('it runs')", cwd=tmp_path_factory.mktemp("guard"))
    if done.returncode:
        pytest.skip(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, a net and its solver, trained."""
    folder = tmp_path_factory.mktemp("offline")
    generator = np.random.default_rng(0)
    with _caffe.Database(str(folder / "records"), "new") as database:
        for i in range(16):
            image = generator.integers(0, 256, (3, 6, 6), dtype=np.uint8)
            database.put(f"{i:04}".encode(), caffe.io.array_to_datum(image, i % 4).SerializeToString())
        database.commit()
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)
    imageio.v3.imwrite(folder / "cat.png", generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    (folder / "list.txt").write_text("cat.png 0\n")
    (folder / "logs").mkdir()
    done = python("-m", "caffe.cli", "train", "-solver", "solver.prototxt", "-log_dir", "logs", cwd=folder)
    assert done.returncode == 0, done.stderr
    model, weights = ("-model", "net.prototxt"), ("-weights", "tiny_iter_6.caffemodel")
    done = python("-m", "caffe.cli", "binarize", *model, *weights, "-out", "deploy", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_the_guard_sees_sockets(tmp_path, family):
    code = (
        "import socket; socket.socket(socket.AF_UNIX); print('unix', flush=True);"
        f"socket.socket(socket.{family})"
    )
    for command in (
        code,
        f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {code!r}]))",
    ):
        done = python("-c", command, cwd=tmp_path)
        assert done.stdout == "unix\n"
        assert done.returncode in (-signal.SIGSYS, 256 - signal.SIGSYS)


DEPLOY = ["deploy/deploy.prototxt", "deploy/tiny_iter_6.caffemodel"]
COMMANDS = {
    "resume": ["train", "-solver", "solver.prototxt", "-resume", "auto"],
    "test": ["test", "-model", "net.prototxt", "-weights", "tiny_iter_6.caffemodel", "-iterations", 2],
    "time": ["time", "-model", "net.prototxt", "-iterations", 1],
    "classify": ["classify", "cat.png", "-model", DEPLOY[0], "-weights", DEPLOY[1]],
    "pack": ["pack", *DEPLOY, "-o", "net.hwgq"],
    "report": ["report", ".", "-o", "report.html"],
    "summary": ["summary", "net.prototxt"],
    "inspect": ["inspect", "tiny_iter_6.caffemodel"],
    "parse_log": ["parse_log", "logs/caffe.INFO", "."],
    "convert_imageset": ["convert_imageset", "./", "list.txt", "new_lmdb"],
    "compute_image_mean": ["compute_image_mean", "records", "mean.binaryproto"],
    "upgrade": ["upgrade_net_proto_text", "net.prototxt", "upgraded.prototxt"],
    "extract": ["extract_features", "tiny_iter_6.caffemodel", "net.prototxt", "ip", "features", 1, "lmdb"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(folder, command):
    done = python("-m", "caffe.cli", *COMMANDS[command], cwd=folder)
    assert done.returncode == 0, done.stderr


def test_export_and_import(folder):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    for arguments in (["export", *DEPLOY, "-o", "net.onnx"], ["import", "net.onnx", "-o", "back", "-check"]):
        done = python("-m", "caffe.cli", *arguments, cwd=folder)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments", [["draw", "net.prototxt", "net.dot"], ["plot", "logs/caffe.INFO", "-o", "a.svg"]]
)
def test_pictures(folder, arguments):
    pytest.importorskip({"draw": "pydot", "plot": "matplotlib"}[arguments[0]])
    if arguments[0] == "draw" and shutil.which("dot") is None:
        pytest.skip("Graphviz (dot) is not installed")
    done = python("-m", "caffe.cli", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_every_module_of_the_package(folder):
    optional = ["caffe.hwgq.torch"] if importlib.util.find_spec("torch") is None else []
    code = (
        "import caffe, importlib, pkgutil\n"
        "for module in pkgutil.walk_packages(caffe.__path__, 'caffe.'):\n"
        f"    if not module.name.endswith('.__main__') and not module.name.startswith(tuple({optional!r})):\n"
        "        importlib.import_module(module.name)\n"
        "print('done')"
    )
    done = python("-c", code, cwd=folder)
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr


def test_download_is_the_one_that_asks(tmp_path):
    (tmp_path / "readme.md").write_text("---\ncaffemodel: a\ncaffemodel_url: http://127.0.0.1:9/a\n---\n")
    assert python("-m", "caffe.cli", "download", ".", cwd=tmp_path).returncode == -signal.SIGSYS
