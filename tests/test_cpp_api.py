"""The headers have the names of the C++ interface, with their types."""

import json
import re
import shlex
import subprocess

import cpp_api
import pytest


@pytest.fixture(scope="module")
def compiler(root):
    """The command that compiles the engine's sources, up to the source's name."""
    database = root / "build/compile_commands.json"
    if not database.is_file():
        pytest.skip("there is no build folder")
    command = next(
        entry for entry in json.loads(database.read_text()) if entry["file"].endswith("src/caffe/blob.cpp")
    )
    words = shlex.split(command["command"])
    kept = []
    for i, word in enumerate(words):
        if word.startswith(("-I", "-D", "-std")) or words[i - 1] == "-isystem":
            kept += ["-isystem", word] if words[i - 1] == "-isystem" else [word]
    program = next(
        word for word in words if re.search(r"(\+\+|cc|clang)[-\d.]*$", word) and "ccache" not in word
    )
    return root / "build", [program, *kept, "-w", "-fsyntax-only", "-x", "c++", "-"]


def test_names_of_the_interface(compiler):
    cwd, command = compiler
    names = cpp_api.read_list()
    program = cpp_api.Program(names).text()
    result = subprocess.run(command, input=program, cwd=cwd, capture_output=True, text=True)
    errors = []
    for line in result.stderr.splitlines():
        place = re.match(r"api:(\d+):(?:\d+:)? (?:fatal )?error: (.*)", line)
        if place:
            errors.append(f"{names[int(place[1]) - 1]}: {place[2]}")
        elif "error:" in line:
            errors.append(line)
    assert result.returncode == 0 and not errors, "\n".join(errors)
