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


# What code written for Caffe uses after a header of Caffe that brings it in.
BROUGHT_IN = {
    "caffe.hpp": "float x; caffe::caffe_set(1, 0.f, &x); caffe::Timer timer;",
    "layer.hpp": "float x; caffe::caffe_set(1, 0.f, &x);",
    "filler.hpp": "float x; caffe::caffe_cpu_gemv(CblasNoTrans, 1, 1, 1.f, &x, &x, 0.f, &x);",
    "net.hpp": "float x; caffe::caffe_copy(1, &x, &x);",
    "solver.hpp": "boost::function<int()> f; float x; caffe::caffe_scal(1, 2.f, &x);",
    "layer_factory.hpp": "caffe::LayerRegistry<float>::CreateLayer(caffe::LayerParameter())->type();",
    "layers/accuracy_layer.hpp": "caffe::LossLayer<float>* loss = nullptr; loss->type();",
    "layers/softmax_loss_layer.hpp": "caffe::SoftmaxLayer<float>* softmax = nullptr; softmax->type();",
    "layers/base_conv_layer.hpp": "float x; caffe::im2col_cpu(&x, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, &x);",
    "util/rng.hpp": "boost::mt19937 engine; boost::uniform_int<int> draw(0, 1); draw(engine);",
    "util/io.hpp": 'boost::filesystem::exists(caffe::path("/"));',
    "util/benchmark.hpp": "boost::posix_time::ptime time; (void)time;",
}


@pytest.fixture(scope="module")
def compiles(compiler, root):
    """Asserts that code of others compiles, which finds what stands for Boost."""
    cwd, command = compiler

    def compile_(program):
        own = [command[0], f"-I{root}/include/caffe/compat", *command[1:]]
        result = subprocess.run(own, input=program, cwd=cwd, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    return compile_


@pytest.mark.parametrize("header", BROUGHT_IN)
def test_headers_bring_in_what_caffes_do(compiles, header):
    compiles(f"#include <caffe/{header}>\nvoid Use() {{ {BROUGHT_IN[header]} }}\n")


def test_boosts_strings_bring_in_lexical_cast(compiles):
    compiles('#include <boost/algorithm/string.hpp>\nint three = boost::lexical_cast<int>("3");\n')
