"""scripts/tidy.py chooses sources, and tells by its status whether clang-tidy found anything in them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = "#include <string>\n#include <utility>\n"
BAD = """
void Take(std::string text);
std::size_t Give() {
  std::string text = "given";
  Take(std::move(text));
  return text.size();
}
"""


@pytest.fixture
def project(root, tmp_path):
    """A checkout of two sources, one of which includes a header, and a test; what is in them is right."""
    if not Path(sys.executable).with_name("clang-tidy").is_file():
        pytest.skip("clang-tidy is not installed")
    for name in ("scripts/tidy.py", ".clang-tidy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    sources = ("src/caffe/one.cpp", "src/caffe/two.cpp", "src/caffe/test/test_one.cpp")
    for name in sources:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GOOD)
    (tmp_path / "src/caffe/two.cpp").write_text('#include "caffe/shared.hpp"\n')
    (tmp_path / "src/caffe/shared.hpp").write_text(GOOD)
    build = tmp_path / "build"
    build.mkdir()
    (tmp_path / ".gitignore").write_text("/build/\n")
    # As CMake writes it, with ccache and another compiler's precompiled header.
    compiler = f"cmake -E env X=y /usr/bin/ccache /usr/bin/c++ -I{tmp_path}/src -include {build}/no_such.hxx"
    entries = [
        {
            "directory": str(build),
            "command": f"{compiler} -Winvalid-pch -std=c++17 -c {tmp_path / name}",
            "file": str(tmp_path / name),
        }
        for name in sources
    ]
    (build / "compile_commands.json").write_text(json.dumps(entries))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    return tmp_path


def tidy(project, *arguments):
    done = subprocess.run(
        [sys.executable, project / "scripts/tidy.py", *arguments], cwd=project, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_findings_are_an_error(project):
    assert tidy(project) == (0, "tidy: 2 sources are clean\n")
    (project / "src/caffe/one.cpp").write_text(GOOD + BAD)
    status, output = tidy(project)
    assert status == 1
    assert "src/caffe/one.cpp:7" in output and "bugprone-use-after-move" in output
    assert tidy(project, "src/caffe/two.cpp")[0] == 0


def test_tests_are_looked_at_when_they_are_named(project):
    (project / "src/caffe/test/test_one.cpp").write_text(GOOD + BAD)
    assert tidy(project)[0] == 0
    assert tidy(project, "src/caffe/test")[0] == 1


def test_what_has_changed(project):
    assert tidy(project, "--changed") == (0, "tidy: 0 sources are clean\n")
    header = project / "src/caffe/shared.hpp"
    header.write_text(header.read_text() + BAD.replace("std::size_t Give", "inline std::size_t Give"))
    status, output = tidy(project, "--changed")
    assert status == 1
    assert "tidy: 1 sources have findings" in output
    assert "shared.hpp" in output and "one.cpp" not in output


def test_a_build_must_be_there(project):
    (project / "build/compile_commands.json").unlink()
    status, output = tidy(project)
    assert status == 1
    assert "compile_commands.json is missing: run make first" in output


def test_a_source_that_is_not_compiled_is_an_error(project):
    status, output = tidy(project, "src/caffe/three.cpp")
    assert status == 1
    assert "has no source of src/caffe/three.cpp" in output
