"""Layers of others: built against an installed Caffe, loaded when they are needed."""

import os
import shutil
import subprocess
import sys

import pytest

CREATOR = """
#include "caffe/layer_factory.hpp"
#include "caffe/layers/power_layer.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solver_factory.hpp"

namespace caffe {

// A type that is another layer with its parameters set, made by a function of one's own.
template <typename Dtype>
shared_ptr<Layer<Dtype>> MakeTwice(const LayerParameter& param) {
  LayerParameter twice(param);
  twice.mutable_power_param()->set_scale(2);
  return shared_ptr<Layer<Dtype>>(new PowerLayer<Dtype>(twice));
}
REGISTER_LAYER_CREATOR(Twice, MakeTwice);

template <typename Dtype>
class PlainSolver : public SGDSolver<Dtype> {
 public:
  explicit PlainSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  const char* type() const override { return "Plain"; }
};
INSTANTIATE_CLASS(PlainSolver);
REGISTER_SOLVER_CLASS(Plain);

}  // namespace caffe
"""

# Registers a type of its own before it comes to one that is taken.
TAKEN = """
#include "caffe/layer_factory.hpp"
#include "caffe/layers/power_layer.hpp"

namespace caffe {

template <typename Dtype>
shared_ptr<Layer<Dtype>> Make(const LayerParameter& param) {
  return shared_ptr<Layer<Dtype>>(new PowerLayer<Dtype>(param));
}
REGISTER_LAYER_CREATOR(MyOwn, Make);
REGISTER_LAYER_CREATOR(Convolution, Make);

}  // namespace caffe
"""

MISSING = """
namespace elsewhere {
double Missing(int value);
}
double at_load = elsewhere::Missing(3);
"""

PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(plugins CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(Caffe REQUIRED)
foreach(name IN ITEMS creator taken missing)
  add_library(${name} MODULE ${name}.cpp)
  target_link_libraries(${name} PRIVATE Caffe::caffe)
endforeach()
"""


def cmake(*arguments):
    subprocess.run(["cmake", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def plugins(root, tmp_path_factory):
    """The folder of the built plugins."""
    build = root / "build"
    if not shutil.which("cmake") or not (build / "CMakeCache.txt").is_file():
        pytest.skip("there is no build folder")
    folder = tmp_path_factory.mktemp("plugins")
    cmake("--install", build, "--prefix", folder / "prefix")
    source = folder / "source"
    source.mkdir()
    for name, text in {"creator": CREATOR, "taken": TAKEN, "missing": MISSING}.items():
        (source / f"{name}.cpp").write_text(text)
    (source / "CMakeLists.txt").write_text(PROJECT)
    for project in (root / "examples/plugin_layer", source):
        target = folder / project.name
        cmake("-S", project, "-B", target / "build", f"-DCMAKE_PREFIX_PATH={folder / 'prefix'}")
        cmake("--build", target / "build")
        for library in (target / "build").glob("*.so"):
            shutil.copy(library, folder)
    return folder


@pytest.fixture
def python(root):
    """Runs Python code in a process of its own, as what is loaded stays; returns what it prints."""

    def run(code):
        environment = {**os.environ, "PYTHONPATH": str(root), "GLOG_minloglevel": "0"}
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        )
        return result.stdout + result.stderr

    return run


def errors_of(python, *paths):
    """What loading each path raises, one line each."""
    code = "import caffe\n"
    for path in map(str, paths):
        code += f"try: caffe.load_plugin({path!r})\nexcept caffe.Error as e: print(e, '|', e.file)\n"
    return python(code + "print('MyOwn' in caffe.layer_type_list())").splitlines()


def test_layer_of_a_plugin_computes(plugins, python, tmp_path):
    (tmp_path / "net.prototxt").write_text(
        'force_backward: true layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 } } }'
        'layer { name: "s" type: "Softsign" bottom: "x" top: "s" }'
        'layer { name: "t" type: "Twice" bottom: "s" top: "t" }'
    )
    output = python(
        "import caffe, numpy as np\n"
        f"caffe.load_plugin({str(plugins / 'libsoftsign_layer.so')!r})\n"
        f"caffe.load_plugin({str(plugins / 'libcreator.so')!r})\n"
        f"caffe.load_plugin({str(plugins / 'libcreator.so')!r})\n"
        f"net = caffe.Net({str(tmp_path / 'net.prototxt')!r}, caffe.TEST)\n"
        "net.blobs['x'].data[...] = [-1, 0, 3]\n"
        "print('values', net.forward()['t'].tolist())\n"
        "net.blobs['t'].diff[...] = 1\n"
        "print('gradient', net.backward()['x'].tolist())\n"
        "print('Softsign' in caffe.layer_type_list(), 'Twice' in caffe.layer_type_list())\n"
        "print({l.split()[-1] for l in open('/proc/self/maps') if 'libcaffe.so' in l})\n"
    )
    assert "values [-1.0, 0.0, 1.5]" in output
    assert "gradient [0.5, 2.0, 0.125]" in output
    assert "True True" in output
    assert output.count("libcaffe.so") == 1, "one engine, with one registry"
    assert "libsoftsign_layer.so (layer types: Softsign)" in output
    assert "libcreator.so (layer types: Twice) (solver types: Plain)" in output


@pytest.mark.parametrize("once", [True, False])
def test_training_with_plugins(plugins, root, tmp_path, once):
    example = root / "examples/plugin_layer"
    solver = (example / "solver.prototxt").read_text() + 'type: "Plain"'
    (tmp_path / "solver.prototxt").write_text(solver)
    (tmp_path / "train.prototxt").write_text((example / "train.prototxt").read_text())
    paths = [plugins / "libsoftsign_layer.so", plugins / "libcreator.so"]
    flags = ["-plugin", f"{paths[0]},{paths[1]}"] if once else ["-plugin", paths[0], f"--plugin={paths[1]}"]
    for command in (["train", "-solver", "solver.prototxt"], ["time", "-model", "train.prototxt"]):
        result = subprocess.run(
            [sys.executable, "-m", "caffe.cli", *command, *flags],
            env={**os.environ, "PYTHONPATH": str(root), "GLOG_minloglevel": "0"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        assert ("Optimization Done." if command[0] == "train" else "Benchmark ends") in result.stderr


def test_what_is_no_plugin_is_an_error(plugins, python, tmp_path):
    (tmp_path / "text.so").write_text("no library")
    paths = [tmp_path / "absent.so", tmp_path, tmp_path / "text.so", plugins / "libmissing.so"]
    absent, folder, text, missing, _ = errors_of(python, *paths)
    assert "is not there" in absent and absent.endswith(f"| {paths[0]}")
    assert "is no file" in folder
    assert "cannot be loaded" in text and "text.so" in text
    assert "undefined symbol: elsewhere::Missing(int)" in missing and "find_package(Caffe)" in missing


def test_a_taken_type_is_refused_with_all_of_its_plugin(plugins, python):
    taken, again, known = errors_of(python, plugins / "libtaken.so", plugins / "libtaken.so")
    assert "layer type 'Convolution' is registered already" in taken
    assert again == taken
    assert known == "False"


def test_command_line_names_a_wrong_plugin(root, tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "caffe.cli", "time", "-model", "net.prototxt", "-plugin", "absent.so"],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr == "caffe time: absent.so: the plugin is not there, or is no file\n"
