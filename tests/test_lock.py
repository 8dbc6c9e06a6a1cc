"""requirements/ci.txt: the Python packages of continuous integration, each pinned with its hashes."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
HASH = re.compile(r" +--hash=sha256:[0-9a-f]{64}( \\)?")


@pytest.fixture(scope="module")
def lines(root):
    text = (root / "requirements/ci.txt").read_text()
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


def pins(lines, python):
    """The versions that an environment of this Python gets, by name."""
    environment = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    found = {}
    for line in lines:
        if HASH.fullmatch(line):
            continue
        requirement = Requirement(line.removesuffix(" \\"))
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        (specifier,) = requirement.specifier
        assert specifier.operator == "==" and "*" not in specifier.version
        assert requirement.name not in found
        found[requirement.name] = specifier.version
    return found


def wanted(root):
    """What pyproject.toml asks for as `.[dev]` and to build the package."""
    with open(root / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    extras = project["project"]["optional-dependencies"]
    found, queue, seen = [], ["dev"], set()
    texts = project["build-system"]["requires"] + project["project"]["dependencies"]
    while queue:
        extra = queue.pop()
        if extra not in seen:
            seen.add(extra)
            for text in extras[extra]:
                requirement = Requirement(text)
                if requirement.name == project["project"]["name"]:
                    queue.extend(requirement.extras)
                else:
                    texts.append(text)
    found = [Requirement(text) for text in texts]
    assert {"protobuf", "onnx", "onnxruntime", "qonnx", "onednn-cpu-gomp"} <= {need.name for need in found}
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_what_the_project_asks_for(root, lines, python):
    have = pins(lines, python)
    for requirement in wanted(root):
        name = canonicalize_name(requirement.name)
        assert name in have, f"{name} is not locked: make lock"
        assert requirement.specifier.contains(have[name]), f"{requirement}, not {have[name]}: make lock"


def test_every_package_has_hashes_and_comes_from_the_index_that_the_user_has(lines):
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        assert HASH.fullmatch(line) or HASH.fullmatch(following), f"{line} has no hash"
        assert not re.search(r"://|file:|^ *-(?!-hash=)", line), line


@pytest.fixture
def checkout(root, tmp_path):
    """What set-up reads, with a virtual environment whose Python only writes down what it is asked."""
    for folder in ("scripts", "requirements"):
        shutil.copytree(root / folder, tmp_path / folder)
    shutil.copy(root / "pyproject.toml", tmp_path)
    commands = tmp_path / "commands"
    commands.mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for path, text in {
        ".venv/bin/python": f'test "$1" != --version || echo Python 3; echo "$*" >>{tmp_path}/asked\n',
        "commands/dpkg-query": "echo install ok installed\n",
        **{f"commands/{name}": "exit 0\n" for name in ("c++", "make", "cmake", "ninja", "ccache", "protoc")},
    }.items():
        (tmp_path / path).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / path).chmod(0o755)
    return tmp_path


def installations(checkout, **variables):
    """What pip was asked to install by set-up."""
    (checkout / "asked").write_text("")
    environment = {key: value for key, value in os.environ.items() if key != "CAFFE_LOCKED"}
    done = subprocess.run(
        ["bash", checkout / "scripts/setup.sh"],
        env=environment
        | {
            "PATH": f"{checkout / 'commands'}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "CAFFE_CUDA": "OFF",
        }
        | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    asked = (checkout / "asked").read_text().splitlines()
    return [words.partition(" install ")[2] for words in asked if words.startswith("-m pip install ")]


def test_setup_installs_from_the_lock_where_it_is_told_to(checkout):
    quiet = "--quiet --disable-pip-version-check"
    newest = [f"{quiet} --editable .[dev]"]
    locked = [
        f"{quiet} --require-hashes --only-binary :all: --requirement requirements/ci.txt",
        f"{quiet} --no-deps --no-build-isolation --editable .",
    ]
    assert installations(checkout) == newest
    assert installations(checkout) == []
    assert installations(checkout, CAFFE_LOCKED="ON") == locked
    assert installations(checkout, CAFFE_LOCKED="ON") == []
    with open(checkout / "requirements/ci.txt", "a") as file:
        file.write("# another lock\n")
    assert installations(checkout, CAFFE_LOCKED="ON") == locked
    assert installations(checkout) == newest
