"""From data to a deployed net, as the demo and the example's scripts go."""

import gzip
import os
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

import caffe


def run_demo(root, work, iterations, **environment):
    command = [sys.executable, root / "examples/mnist/demo.py", "--work", work, "--iterations"]
    result = subprocess.run(
        [*command, str(iterations)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def accuracies(output):
    pattern = r"^(caffe test|deploy\.prototxt|deploy_bw\.prototxt): +(\S+)$"
    return {name: float(value) for name, value in re.findall(pattern, output, re.MULTILINE)}


def test_demo_on_digits(root, tmp_path):
    output = run_demo(root, tmp_path, 300, MNIST_DIR="")
    assert "1,437 images to train with and 360 to test" in output
    measured = accuracies(output)
    assert measured["caffe test"] > 0.95
    assert measured == dict.fromkeys(measured, measured["caffe test"]) and len(measured) == 3
    files = {path.name for path in (tmp_path / "deploy").iterdir()}
    assert files == {
        "deploy.prototxt",
        "deploy_bw.prototxt",
        "lenet-hwgq_iter_300.caffemodel",
        "lenet-hwgq_iter_300_BW.caffemodel",
    }
    net = caffe.Net(
        str(tmp_path / "deploy/deploy_bw.prototxt"),
        caffe.TEST,
        weights=str(tmp_path / "deploy/lenet-hwgq_iter_300_BW.caffemodel"),
    )
    for name in ("conv1", "conv2", "ip1", "ip2"):
        assert net.layer_dict[name].type in ("Convolution", "InnerProduct")
        for channel in net.params[name][0].data:
            assert len(np.unique(np.abs(channel))) == 1


def test_demo_on_mnist(root, mnist_dir, tmp_path):
    output = run_demo(root, tmp_path, 500, MNIST_DIR=str(mnist_dir))
    assert "60,000 images to train with and 10,000 to test" in output
    measured = accuracies(output)
    assert measured["caffe test"] > 0.96
    assert measured["deploy.prototxt"] == pytest.approx(measured["caffe test"], abs=2e-4)
    assert measured["deploy_bw.prototxt"] == pytest.approx(measured["deploy.prototxt"], abs=2e-4)


def idx_file(path, array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 0x08, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def checkout(root, tmp_path):
    """A folder with the example as in the checkout, databases that its script made, a solver in a hurry."""
    folder = tmp_path / "checkout/examples/mnist"
    shutil.copytree(
        root / "examples/mnist",
        folder,
        ignore=shutil.ignore_patterns("*_lmdb", "*.caffemodel", "*.solverstate"),
    )
    (tmp_path / "idx").mkdir()
    random = np.random.default_rng(5)
    for part, count in (("train", 256), ("t10k", 200)):
        images = random.integers(0, 256, (count, 28, 28), np.uint8)
        idx_file(tmp_path / f"idx/{part}-images-idx3-ubyte.gz", images)
        idx_file(tmp_path / f"idx/{part}-labels-idx1-ubyte.gz", (np.arange(count) % 10).astype(np.uint8))
    subprocess.run(
        ["bash", root / "examples/mnist/create_mnist.sh", folder],
        env={**os.environ, "MNIST_DIR": str(tmp_path / "idx")},
        check=True,
    )
    solver = folder / "lenet-hwgq-3ne/solver.prototxt"
    text = (
        solver.read_text().replace("max_iter: 10000", "max_iter: 4").replace("test_iter: 100", "test_iter: 2")
    )
    solver.write_text(text)
    return tmp_path / "checkout"


def train(root, folder, *flags):
    return subprocess.run(
        [root / "build/tools/caffe", "train", *flags], cwd=folder, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    ("folder", "solver"),
    [
        (".", "examples/mnist/lenet-hwgq-3ne/solver.prototxt"),
        ("examples/mnist/lenet-hwgq-3ne", "solver.prototxt"),
    ],
    ids=["from the checkout", "from the example's folder"],
)
def test_example_trains_from_either_folder(root, checkout, folder, solver):
    result = train(root, checkout / folder, f"--solver={solver}", "-cpu")
    assert result.returncode == 0, result.stderr
    assert "Iteration 0, Testing net (#0)" in result.stderr
    assert "Optimization Done." in result.stderr
    assert (checkout / folder / "lenet-hwgq_iter_4.caffemodel").is_file()
    assert (checkout / folder / "lenet-hwgq_iter_4.solverstate").is_file()


def test_example_needs_to_be_told_to_use_the_cpu(root, checkout):
    result = train(root, checkout, "-solver", "examples/mnist/lenet-hwgq-3ne/solver.prototxt")
    assert result.returncode == 1
    assert "-cpu" in result.stderr.splitlines()[-1]
    assert not list(checkout.rglob("*.caffemodel"))
