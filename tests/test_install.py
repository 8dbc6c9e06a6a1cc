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


@pytest.fixture
def package(root, build, tmp_path):
    """The folder that holds the package as a wheel has it."""
    folder = tmp_path / "package"
    install(build, folder, "--component", "python")
    for path in (root / "caffe").rglob("*.py"):
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def run_with(package, code):
    """The lines that a program prints, and the libraries that it has loaded in the end."""
    # Without -S the package that this environment links to would be found first.
    code = f"import sys; sys.path[:0] = [{str(package)!r}, {sysconfig.get_path('purelib')!r}]\n{code}"
    code += "\nprint(open('/proc/self/maps').read())"
    result = subprocess.run([sys.executable, "-S", "-c", code], cwd="/", capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    maps = [line for line in lines if ".so" in line and " r" in line]
    return [line for line in lines if line not in maps], {line.split()[-1] for line in maps}


def test_package_of_a_wheel(package):
    (file, types, *_), loaded = run_with(
        package, "import caffe; print(caffe.__file__); print(*caffe.layer_type_list())"
    )
    assert file == str(package / "caffe/__init__.py")
    assert "BinaryConvolution" in types.split()
    own = {path for path in loaded if "libcaffe" in path}
    assert own == {str(package / "caffe/libcaffe.so.2")}, "the others come when they are needed"
    assert not [path for path in loaded if "libhdf5" in path or "libdnnl" in path]


SAVES = """
import caffe
net = caffe.Net({net!r}, caffe.TEST)
def save():
    try:
        net.save_hdf5({file!r})
    except caffe.Error as error:
        return str(error)
    return "saved"
"""


def test_hdf5_is_loaded_when_it_is_needed(package, tmp_path):
    library = package / "caffe/libcaffe_hdf5.so"
    if not library.exists():
        pytest.skip("a build without HDF5")
    net, file = tmp_path / "net.prototxt", tmp_path / "weights.h5"
    net.write_text("layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 1 } } }")
    begin = SAVES.format(net=str(net), file=str(file))
    (saved, *_), loaded = run_with(package, f"{begin}print(save())")
    assert saved == "saved" and file.exists()
    assert str(library) in loaded
    away = tmp_path / "away.so"
    library.rename(away)
    again = f"{begin}print(save())\nimport os; os.rename({str(away)!r}, {str(library)!r})\nprint(save())"
    (missing, saved, *_), _ = run_with(package, again)
    assert "Caffe's HDF5 part cannot be loaded" in missing and str(library) in missing
    assert saved == "saved", "another call tries once more"


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
