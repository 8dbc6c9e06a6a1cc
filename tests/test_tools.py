"""What the tools have in common."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tool_runner import fails, run

from caffe.cli import COMMANDS, TOOLS


@pytest.mark.parametrize("tool", TOOLS)
def test_help_and_wrong_flags(tmp_path, tool):
    done = run(tool, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {tool} ")
    assert f"example: {tool} " in " ".join(done.stdout.split())
    fails(run(tool, "-frob", cwd=tmp_path), f"{tool}: ", f"{tool} --help")
    fails(run(tool, cwd=tmp_path), f"{tool}: ", "required")
    assert not list(tmp_path.iterdir())


def test_help_lists_all(tmp_path):
    done = run("--help", cwd=tmp_path)
    for name in (*COMMANDS, *TOOLS):
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize(
    "path",
    [
        "tools/caffe",
        "tools/caffe.bin",
        "examples/mnist/convert_mnist_data.bin",
        "examples/cifar10/convert_cifar_data.bin",
    ]
    + [f"tools/{tool}" for tool in TOOLS if tool not in ("parse_log",)],
)
def test_launchers(root, path):
    launcher = root / "build" / path
    if not (root / "build/tools").is_dir():
        pytest.skip("there is no build folder")
    done = subprocess.run([launcher, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: {Path(path).name.removesuffix('.bin')} ")


def test_installed_commands(tmp_path):
    # As pip makes them: they differ by their name alone.
    for name in TOOLS:
        script = tmp_path / name
        script.write_text("import sys\nfrom caffe.cli import main\nsys.exit(main())\n")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, script, "--help"], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith(f"usage: {name} ")


def test_all_tools_are_installed(root):
    entry = ' = "caffe.cli:main"'
    lines = (root / "pyproject.toml").read_text().splitlines()
    assert {line.removesuffix(entry) for line in lines if line.endswith(entry)} == {"caffe", *TOOLS}


def test_log_dir(tmp_path):
    logs = tmp_path / "logs"
    done = run("convert_imageset", "-log_dir", "logs", "--logtostderr", ".", "list.txt", "db", cwd=tmp_path)
    fails(done, "list.txt")
    (path,) = logs.glob("convert_imageset.*.log.INFO.*")
    text = path.read_text()
    assert "Log file created at: " in text
    assert text.rstrip().endswith(done.stderr.strip().splitlines()[-1]), "what ended the run is in its log"
    assert (logs / "convert_imageset.INFO").read_text() == text
    (tmp_path / "file").touch()
    fails(run("convert_imageset", "-log_dir", "file/logs", ".", "list.txt", "db", cwd=tmp_path), "file/logs")
