"""libhwgq from C: the example compiles, runs a packed model, and needs only the C++ standard library."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_pack import NetOf, trained

import caffe
from caffe.hwgq import PackedNet, pack

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "embedding" / "classify.c"
COMPILER = shutil.which(os.environ.get("CC", "cc"))

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.fixture(scope="module")
def library():
    """The libhwgq that the package uses."""
    lines = run("ldd", caffe._caffe.__file__).stdout
    return Path(re.search(r"libhwgq\S* => (\S+)", lines).group(1))


@pytest.fixture(scope="module")
def program(library, tmp_path_factory):
    path = tmp_path_factory.mktemp("embedding") / "classify"
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{ROOT / 'include'}"]
    done = run(COMPILER, *strict, EXAMPLE, library, f"-Wl,-rpath,{library.parent}", "-o", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    n = NetOf(3, 8, 8)
    x = n.quant(n.norm(n.conv(n.data, 8, binary=False)))
    x = n.quant(n.norm(n.conv(x, 12, pad=1)), forward_func="sign")
    n.add("Softmax", n.product(x, 7))
    definition, weights, _ = trained(n.net, folder)
    return pack(definition, weights, folder / "net.hwgq").path


def test_the_example_prints_the_best_class(program, model, tmp_path):
    net = PackedNet(model)
    images = np.random.default_rng(3).standard_normal((5, 3, 8, 8)).astype(np.float32)
    scores = net.forward(images)
    assert len(set(scores.argmax(1))) > 1
    for image, row in zip(images, scores, strict=True):
        image.tofile(tmp_path / "image.raw")
        done = run(program, model, tmp_path / "image.raw")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{row.argmax()} {row.max():.6f}\n"


def test_the_example_says_what_is_wrong(program, model, tmp_path):
    image, missing = tmp_path / "image.raw", tmp_path / "missing.hwgq"
    for values in (191, 193):
        np.zeros(values, np.float32).tofile(image)
        done = run(program, model, image)
        assert (done.returncode, done.stderr) == (1, f"classify: {image} must hold 192 floats\n")
    done = run(program, missing, image)
    assert done.returncode == 1
    assert done.stderr.startswith(f"classify: {missing}: it cannot be read")
    done = run(program, image, image)
    assert done.returncode == 1
    assert done.stderr.startswith(f"classify: {image}: not a packed model")
    assert run(program).returncode == 1


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf comes with the binutils")
def test_the_library_needs_the_standard_library_alone(library):
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", library).stdout))
    standard = {"libstdc++.so.6", "libm.so.6", "libc.so.6", "libgcc_s.so.1", "libpthread.so.0"}
    assert "libstdc++.so.6" in needed
    # What the loader brings, and sanitizers (scripts/test_sanitized.sh).
    others = ("ld-linux", "libasan", "libubsan")
    assert {name for name in needed if not name.startswith(others)} <= standard
