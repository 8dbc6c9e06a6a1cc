"""The wheel of scripts/wheel.sh. Compiling it takes minutes, so only with CAFFE_TEST_WHEEL=1, as in CI."""

import os
import subprocess
import sys
import sysconfig
import zipfile

import pytest

pytestmark = pytest.mark.skipif(
    os.environ.get("CAFFE_TEST_WHEEL") != "1", reason="making a wheel takes minutes (CAFFE_TEST_WHEEL=1)"
)


def test_a_wheel_brings_its_libraries(root, tmp_path):
    made = subprocess.run(
        ["bash", str(root / "scripts/wheel.sh"), str(tmp_path / "dist")],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = (tmp_path / "dist").glob("hwgq_caffe-*-manylinux_*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    net = tmp_path / "net.prototxt"
    net.write_text(
        "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: [2, 16, 9, 9] } } }"
        "layer { name: 'product' type: 'Convolution' bottom: 'data' top: 'product'"
        "  convolution_param { num_output: 16 kernel_size: 3 } }"
    )
    code = (
        f"import sys; sys.path[:0] = [{str(site)!r}, {sysconfig.get_path('purelib')!r}];"
        "import caffe; assert 'Quant' in caffe.layer_type_list();"
        f"caffe.Net({str(net)!r}, caffe.TEST).forward();"
        "print(*{line.split()[-1] for line in open('/proc/self/maps') if '.so' in line}, sep='\\n')"
    )
    loaded = subprocess.run([sys.executable, "-S", "-c", code], cwd="/", capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    of_the_system = {
        os.path.basename(path) for path in loaded.stdout.split() if path.startswith(("/lib", "/usr/lib"))
    }
    brought = {name.split("-")[0].split(".")[0] for name in os.listdir(site / "hwgq_caffe.libs")}
    assert {"libopenblasp", "libprotobuf", "liblmdb", "libleveldb"} <= brought
    if (site / "caffe/libcaffe_onednn.so").exists():
        assert "libdnnl" in brought
        assert str(site / "hwgq_caffe.libs/libdnnl") in loaded.stdout
    # The interpreter's own modules use the system's compression and foreign functions.
    own = {"libffi", "libcrypto", "libssl", "libz"}
    assert not (brought - own) & {name.split("-")[0].split(".")[0] for name in of_the_system}
