"""Code of others runs only where the user's own command or net names it: plugins, layers in Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tool_runner import environment, run

import caffe

# Says that it was imported, and is a layer.
WITNESS = """
import caffe

open("imported", "w").close()


class Copy(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        pass
"""
DATA = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
"""
COPY = """
layer { name: "copy" type: "Python" bottom: "data" top: "copy"
  python_param { module: "witness" layer: "Copy" } }
"""
PRODUCT = """
layer { name: "ip" type: "InnerProduct" bottom: "%s" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
FOREIGN = DATA + COPY + PRODUCT % "copy"
PLAIN = DATA + PRODUCT % "data"


@pytest.fixture
def folder(tmp_path):
    """A net with a Python layer, one without, and weights of the first that hold its definition."""
    (tmp_path / "witness.py").write_text(WITNESS)
    (tmp_path / "foreign.prototxt").write_text(FOREIGN)
    (tmp_path / "plain.prototxt").write_text(PLAIN)
    code = (
        "import caffe; caffe.Net('foreign.prototxt', caffe.TEST).save('foreign.caffemodel');"
        "caffe.Net('plain.prototxt', caffe.TEST).save('plain.caffemodel')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), check=True)
    assert imported(tmp_path)
    return tmp_path


def imported(folder):
    """Whether the module has been imported since the last time."""
    there = (folder / "imported").exists()
    (folder / "imported").unlink(missing_ok=True)
    return there


def test_a_net_that_names_a_module_runs_it(folder):
    done = run("time", "-model", "foreign.prototxt", "-iterations", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert imported(folder)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "foreign.caffemodel"],
        ["draw", "foreign.prototxt", "net.dot"],
        ["upgrade_net_proto_text", "foreign.prototxt", "new.prototxt"],
        ["upgrade_net_proto_binary", "foreign.caffemodel", "new.caffemodel"],
        ["summary", "plain.prototxt"],
        ["time", "-model", "plain.prototxt", "-iterations", "1"],
        ["pack", "plain.prototxt", "foreign.caffemodel", "-o", "net.hwgq"],
    ],
)
def test_what_only_reads_a_net_or_its_weights_does_not(folder, arguments):
    if arguments[0] == "draw":
        pytest.importorskip("pydot")
        if shutil.which("dot") is None:
            pytest.skip("Graphviz (dot) is not installed")
    done = run(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert not imported(folder)


def test_weights_never_bring_layers(folder):
    code = "import caffe; caffe.Net('plain.prototxt', caffe.TEST, weights='foreign.caffemodel').forward()"
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(), check=True)
    assert not imported(folder)


def test_packed_models_hold_no_python(folder):
    done = run("pack", "foreign.prototxt", "foreign.caffemodel", "-o", "net.hwgq", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert imported(folder)
    code = "import caffe; caffe.hwgq.PackedNet('net.hwgq')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 1 and "layers written in Python, which would run code" in done.stderr
    assert not imported(folder)


def loaded_libraries(folder, **variables):
    """Files of native code in a process that has run a net in this folder."""
    code = (
        "import caffe; caffe.Net('plain.prototxt', caffe.TEST).forward();"
        "print(*{line.split()[-1] for line in open('/proc/self/maps') if '.so' in line}, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_plugins_are_not_looked_for(folder):
    """Not in the working folder, nor in variables such as other programs have for them."""
    compiler = shutil.which("cc") or shutil.which("c++")
    if not compiler:
        pytest.skip("there is no compiler")
    (folder / "plugin.c").write_text(
        '#include <stdio.h>\n__attribute__((constructor)) static void run(void) { fopen("imported", "w"); }\n'
    )
    plugin = folder / "plugin.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", plugin, folder / "plugin.c"], check=True)
    for name in ("libplugin.so", "libcaffe_plugin.so", "libcaffe_layers.so", "_caffe.so"):
        shutil.copy(plugin, folder / name)
    for directory in ("plugins", "caffe_plugins", "layers"):
        (folder / directory).mkdir()
        shutil.copy(plugin, folder / directory)
    before = loaded_libraries(folder)
    names = ("CAFFE_PLUGIN", "CAFFE_PLUGINS", "CAFFE_LAYERS", "HWGQ_PLUGIN")
    paths = ("CAFFE_PLUGIN_PATH", "CAFFE_PLUGIN_DIR", "CAFFE_LAYER_PATH", "CAFFE_PATH", "CAFFE_HOME")
    variables = {name: str(plugin) for name in names} | {name: str(folder) for name in paths}
    assert loaded_libraries(folder, **variables) == before
    assert not any(str(folder) in file for file in before)
    assert not imported(folder)
    # By its name it is loaded; it has no layers, which is said.
    run("time", "-plugin", "plugin.so", "-model", "plain.prototxt", "-iterations", 1, cwd=folder)
    assert imported(folder)


def test_the_library_reads_no_variable_that_is_not_known(root):
    """A new one gets its place here when it is known not to name code."""
    sources = [
        *(root / "src/caffe").rglob("*.c*"),
        *(root / "include/caffe").rglob("*.*h"),
        *(root / "python").rglob("*.cpp"),
    ]
    calls = set()
    for file in sources:
        if "test" not in file.relative_to(root).parts:
            calls |= set(re.findall(r'getenv\("(\w+)"\)', file.read_text(errors="replace")))
    for file in (root / "caffe").rglob("*.py"):
        calls |= set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', file.read_text()))
    assert calls
    assert not {name for name in calls if re.search("PLUGIN|PATH|MODULE|PRELOAD|LIBRARY", name)}


@pytest.mark.parametrize("module", ["numpy", "witness"])
def test_launchers_import_nothing_from_the_working_folder(root, folder, module):
    """A folder with a stranger's net may hold modules of the names that the package imports."""
    (folder / f"{module}.py").write_text(WITNESS)
    text = (root / "tools/launcher.in").read_text()
    for name, value in {
        "CAFFE_PACKAGE_FOLDER": Path(caffe.__file__).parents[1],
        "Python_EXECUTABLE": sys.executable,
        "CAFFE_COMMAND": "",
    }.items():
        text = text.replace(f"@{name}@", str(value))
    (folder / "launcher").write_text(text)
    (folder / "launcher").chmod(0o755)
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def launch(**more):
        return subprocess.run(
            ["./launcher", "time", "-model", "foreign.prototxt", "-iterations", "1"],
            cwd=folder,
            env=variables | more,
            capture_output=True,
            text=True,
        )

    done = launch()
    assert done.returncode == 1 and "name the folder of witness.py in PYTHONPATH" in done.stderr
    assert not imported(folder)
    if module == "witness":
        done = launch(PYTHONPATH=str(folder))
        assert done.returncode == 0, done.stderr
        assert imported(folder)
