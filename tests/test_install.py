"""What `cmake --install` puts in place: the Python package of a wheel, and the library for C++ programs."""

import shutil
import subprocess
import sys
import sysconfig

import pytest

PROGRAM = """
#include <iostream>
#include "caffe/caffe.hpp"

int main() {
  caffe::Blob<float> blob({2, 3});
  caffe::LayerParameter param;
  param.set_type("ReLU");
  std::cout << blob.count() << " " << caffe::LayerRegistry<float>::CreateLayer(param)->type() << std::endl;
}
"""

PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(user CXX)
find_package(Caffe REQUIRED)
add_executable(user user.cpp)
target_link_libraries(user Caffe::caffe)
"""


@pytest.fixture(scope="module")
def build(root):
    cmake = shutil.which("cmake")
    if not cmake or not (root / "build/CMakeCache.txt").is_file():
        pytest.skip("there is no build folder")
    return root / "build"


def install(build, prefix, *options):
    subprocess.run(
        ["cmake", "--install", build, "--prefix", prefix, *options], check=True, stdout=subprocess.DEVNULL
    )


def test_package_of_a_wheel(root, build, tmp_path):
    install(build, tmp_path, "--component", "python")
    for path in (root / "caffe").rglob("*.py"):
        target = tmp_path / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    # Without -S the package that this environment links to would be found first.
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {sysconfig.get_path('purelib')!r}];"
        "import caffe; print(caffe.__file__); print(*caffe.layer_type_list());"
        "print(open('/proc/self/maps').read())"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd="/", check=True, capture_output=True, text=True
    )
    file, types, *maps = result.stdout.splitlines()
    assert file == str(tmp_path / "caffe/__init__.py")
    assert "BinaryConvolution" in types.split()
    loaded = {line.split()[-1] for line in maps if "libcaffe" in line}
    assert loaded == {str(tmp_path / "caffe/libcaffe.so.2")}


def test_library_for_cpp_programs(build, tmp_path):
    install(build, tmp_path / "prefix")
    project = tmp_path / "user"
    project.mkdir()
    (project / "user.cpp").write_text(PROGRAM)
    (project / "CMakeLists.txt").write_text(PROJECT)
    configure = [
        "cmake",
        "-S",
        project,
        "-B",
        project / "build",
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}",
    ]
    for command in (configure, ["cmake", "--build", project / "build"], [project / "build/user"]):
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stdout == "6 ReLU\n"
