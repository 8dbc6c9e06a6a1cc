"""Blobs shared with other libraries, on the CPU and on a GPU, and what a machine without a GPU says."""

import ctypes
import gc

import numpy as np
import pytest
import tool_runner

import caffe
from caffe import _caffe

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 } } }
layer { name: "scaled" type: "Power" bottom: "data" top: "scaled" power_param { scale: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "scaled" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""

CPU, CUDA = 1, 2


def why_no_gpu():
    """What the engine says of the GPU, where it cannot use one."""
    try:
        caffe.set_mode_gpu()
    except caffe.Error as error:
        return str(error)
    caffe.set_mode_cpu()
    return ""


NO_GPU = why_no_gpu()
BUILT_WITH_CUDA = "without CUDA" not in NO_GPU
needs_gpu = pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU)
EMULATED = not NO_GPU and _caffe.device_name(0).startswith("Emulated")


@pytest.fixture
def net(tmp_path):
    file = tmp_path / "net.prototxt"
    file.write_text(NET)
    return caffe.Net(file, caffe.TEST)


@pytest.fixture
def gpu_mode():
    caffe.set_device(0)
    caffe.set_mode_gpu()
    yield
    caffe.set_mode_cpu()


# What a capsule holds, to see that consumers of each version get what they expect.


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Managed(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]


def behind(capsule, structure, name):
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return structure.from_address(pointer(capsule, name))


def check_tensor(tensor, blob, device):
    assert (tensor.device_type, tensor.device_id) == device
    assert (tensor.code, tensor.bits, tensor.lanes, tensor.byte_offset) == (2, 32, 1, 0)
    assert tuple(tensor.shape[: tensor.ndim]) == blob.shape
    assert tuple(4 * stride for stride in tensor.strides[: tensor.ndim]) == blob.data.strides


def test_numpy_shares_values_and_gradient(net):
    blob = net.blobs["data"]
    values, gradient = np.from_dlpack(blob), np.from_dlpack(blob.shared_diff)
    assert values.dtype == np.float32 and values.shape == gradient.shape == blob.shape
    assert np.shares_memory(values, blob.data) and np.shares_memory(gradient, blob.diff)
    assert np.shares_memory(values, np.from_dlpack(blob.shared_data))
    values[...] = 3
    net.forward()
    np.testing.assert_array_equal(net.blobs["scaled"].data, np.full(blob.shape, 6))
    assert blob.shared_diff.shape == blob.shape


def test_torch_shares_values(net):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    blob = net.blobs["data"]
    torch.from_dlpack(blob)[...] = 3
    np.testing.assert_array_equal(blob.data, np.full(blob.shape, 3))


def test_what_is_shared_outlives_the_net(net):
    values = np.from_dlpack(net.params["ip"][0])
    expected = values.copy()
    capsule = net.params["ip"][0].__dlpack__()
    del net
    gc.collect()
    scribbled = [np.full(size, 7, np.float32) for size in (30, 60, 120) for _ in range(100)]
    np.testing.assert_array_equal(values, expected)
    # Taken by nobody.
    del capsule
    gc.collect()
    assert scribbled


@pytest.mark.parametrize(
    "version, structure, name",
    [
        (None, Managed, b"dltensor"),
        ((0, 8), Managed, b"dltensor"),
        ((1, 0), Versioned, b"dltensor_versioned"),
    ],
)
def test_capsules_of_each_version(net, version, structure, name):
    blob = net.blobs["data"]
    assert blob.__dlpack_device__() == (CPU, 0)
    capsule = blob.__dlpack__(max_version=version)
    held = behind(capsule, structure, name)
    check_tensor(held.tensor, blob, (CPU, 0))
    assert held.tensor.data == blob.data.ctypes.data
    if structure is Versioned:
        assert (held.major, held.flags) == (1, 0)


def test_a_copy_is_made_where_it_is_asked_for(net):
    blob = net.blobs["data"]
    blob.data[...] = 1
    capsule = blob.__dlpack__(copy=True, max_version=(1, 1))
    held = behind(capsule, Versioned, b"dltensor_versioned")
    assert held.flags == 2
    assert held.tensor.data != blob.data.ctypes.data
    assert ctypes.c_float.from_address(held.tensor.data).value == 1
    assert behind(blob.__dlpack__(copy=False), Managed, b"dltensor").tensor.data == blob.data.ctypes.data


def test_another_device_is_refused(net):
    with pytest.raises(BufferError, match="device"):
        net.blobs["data"].__dlpack__(dl_device=(CUDA, 0))
    with pytest.raises(BufferError, match="device"):
        net.blobs["data"].__dlpack__(dl_device=(CPU, 7))
    with pytest.raises(TypeError):
        net.blobs["data"].__dlpack__(1)


def test_blobs_without_axes_or_values(net):
    blob = net.blobs["data"]
    blob.reshape()
    assert np.from_dlpack(blob).shape == ()
    blob.reshape(2, 0, 3)
    assert np.from_dlpack(blob).shape == (2, 0, 3)


def test_there_is_no_cuda_array_in_cpu_mode(net):
    for shared in (net.blobs["data"], net.blobs["data"].shared_diff):
        assert not hasattr(shared, "__cuda_array_interface__")
        with pytest.raises(AttributeError, match="built without CUDA" if not BUILT_WITH_CUDA else "CPU mode"):
            _ = shared.__cuda_array_interface__


@pytest.mark.skipif(BUILT_WITH_CUDA, reason="Caffe was built with CUDA")
def test_a_build_without_cuda_says_so():
    for call in (_caffe.device_count, lambda: _caffe.device_name(0), caffe.set_mode_gpu, _caffe.device_query):
        with pytest.raises(caffe.Error, match="without CUDA"):
            call()


@pytest.mark.skipif(not BUILT_WITH_CUDA or not NO_GPU, reason="there is a GPU, or no build for one")
def test_a_machine_without_a_gpu_says_so():
    for call in (_caffe.device_count, lambda: caffe.set_device(0), caffe.set_mode_gpu, _caffe.device_query):
        with pytest.raises(caffe.Error, match="driver|no GPU"):
            call()


@needs_gpu
def test_a_gpu_that_does_not_exist(gpu_mode):
    count = _caffe.device_count()
    for device in (count, -1):
        with pytest.raises(caffe.Error, match=f"no GPU {device}: this machine has"):
            caffe.set_device(device)


@needs_gpu
def test_the_cuda_array_interface(net, gpu_mode):
    blob = net.blobs["data"]
    blob.data[...] = 3
    interface = blob.__cuda_array_interface__
    assert interface["shape"] == blob.shape
    assert (interface["typestr"], interface["version"], interface["strides"]) == ("<f4", 3, None)
    assert interface["stream"] == 1
    pointer, read_only = interface["data"]
    assert not read_only
    assert pointer == blob._gpu_data_ptr == blob.shared_data.__cuda_array_interface__["data"][0]
    gradient = blob.shared_diff.__cuda_array_interface__["data"][0]
    assert gradient == blob._gpu_diff_ptr != pointer
    blob.reshape(2, 0)
    assert blob.__cuda_array_interface__["data"] == (0, False)


@needs_gpu
@pytest.mark.skipif(not EMULATED, reason="the host cannot read a GPU's memory")
def test_what_others_write_on_the_gpu_is_newest(net, gpu_mode):
    blob = net.blobs["data"]
    blob.data[...] = 3
    pointer = blob.__cuda_array_interface__["data"][0]
    on_gpu = (ctypes.c_float * blob.count).from_address(pointer)
    assert list(on_gpu) == [3] * blob.count, "what is newest is there"
    on_gpu[:] = range(blob.count)
    net.forward()
    np.testing.assert_array_equal(net.blobs["scaled"].data.ravel(), 2 * np.arange(blob.count))
    np.testing.assert_array_equal(blob.data.ravel(), np.arange(blob.count))


@needs_gpu
@pytest.mark.parametrize("stream", [None, -1, 1, 2])
def test_capsules_of_gpu_memory(net, gpu_mode, stream):
    blob = net.blobs["data"]
    pointer = blob._gpu_data_ptr
    assert blob.__dlpack_device__() == (CUDA, 0)
    capsule = blob.__dlpack__(stream=stream, max_version=(1, 0))
    tensor = behind(capsule, Versioned, b"dltensor_versioned").tensor
    assert tensor.data == pointer
    check_tensor(tensor, blob, (CUDA, 0))
    capsule = blob.__dlpack__(stream=stream, copy=True)
    copied = behind(capsule, Managed, b"dltensor").tensor
    assert copied.data != pointer
    with pytest.raises(ValueError, match="ambiguous"):
        blob.__dlpack__(stream=0)


@needs_gpu
def test_numpy_gets_what_the_gpu_computed(net, gpu_mode):
    net.blobs["data"].data[...] = 3
    net.forward()
    scaled = net.blobs["scaled"]
    capsule = scaled.__dlpack__(dl_device=(CPU, 0))
    tensor = behind(capsule, Managed, b"dltensor").tensor
    check_tensor(tensor, scaled, (CPU, 0))
    assert ctypes.c_float.from_address(tensor.data).value == 6


@needs_gpu
@pytest.mark.skipif(EMULATED, reason="PyTorch needs a GPU that is not emulated")
def test_torch_computes_on_a_blob(net, gpu_mode):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch has no CUDA")
    blob = net.blobs["data"]
    blob.data[...] = 3
    for shared in (torch.from_dlpack(blob), torch.as_tensor(blob, device="cuda")):
        assert shared.data_ptr() == blob._gpu_data_ptr
        shared += 1
    net.forward()
    np.testing.assert_array_equal(net.blobs["scaled"].data, np.full(blob.shape, 10))
    torch.from_dlpack(blob.shared_diff).fill_(2)
    np.testing.assert_array_equal(blob.diff, np.full(blob.shape, 2))


@needs_gpu
@pytest.mark.skipif(EMULATED, reason="CuPy needs a GPU that is not emulated")
def test_cupy_computes_on_a_blob(net, gpu_mode):
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    blob = net.blobs["data"]
    blob.data[...] = 3
    for shared in (cupy.asarray(blob), cupy.from_dlpack(blob)):
        shared += 1
    net.forward()
    np.testing.assert_array_equal(net.blobs["scaled"].data, np.full(blob.shape, 10))


@needs_gpu
def test_a_net_gives_the_same_in_both_modes(net, gpu_mode):
    values = np.random.default_rng(3).normal(size=net.blobs["data"].shape)
    results = []
    for set_mode in (caffe.set_mode_gpu, caffe.set_mode_cpu):
        set_mode()
        net.blobs["data"].data[...] = values
        output = net.forward()["ip"].copy()
        net.blobs["ip"].diff[...] = output
        net.backward()
        results.append((output, net.params["ip"][0].diff.copy()))
        net.clear_param_diffs()
    for on_gpu, on_cpu in zip(*results, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-5, atol=1e-5)


# The command line.

TRAINED = """
name: "small"
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
    data_filler { type: "gaussian" } data_filler { } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
SOLVER = (
    'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" display: 5 max_iter: 10 snapshot_prefix: "small" '
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.prototxt").write_text(TRAINED)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    (tmp_path / "gpu.prototxt").write_text(SOLVER + "solver_mode: GPU device_id: 0")
    (tmp_path / "gpu99.prototxt").write_text(SOLVER + "solver_mode: GPU device_id: 99")
    return tmp_path


def run(folder, *arguments):
    return tool_runner.run(*arguments, cwd=folder)


def fails(done, *words):
    tool_runner.fails(done, *words)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(("caffe ", "extract_features")), done.stderr


COMMANDS = {
    "train": ["train", "-solver", "solver.prototxt"],
    "test": ["test", "-model", "net.prototxt", "-weights", "small_iter_10.caffemodel", "-iterations", "2"],
    "time": ["time", "-model", "net.prototxt", "-iterations", "2"],
    "device_query": ["device_query"],
    "extract_features": [
        *("extract_features", "small_iter_10.caffemodel", "net.prototxt", "fc", "db", "1", "lmdb"),
    ],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_gpu_is_refused(folder, command):
    fails(run(folder, *COMMANDS[command], "-gpu", "first"), "-gpu takes numbers of GPUs or all, not first")
    fails(run(folder, *COMMANDS[command], "-gpu", "0,-1"), "not 0,-1")


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_gpu_the_commands_say_so(folder, command):
    for named in ("0", "all", "0,1"):
        fails(run(folder, *COMMANDS[command], "-gpu", named), f"-gpu {named} asks for a GPU", "-cpu")
    if command == "train":
        done = run(folder, "train", "-solver", "gpu.prototxt")
        fails(done, "solver_mode: GPU in gpu.prototxt asks for a GPU", "solver_mode: CPU")


@needs_gpu
def test_gpus_that_do_not_exist_are_refused(folder):
    for command in COMMANDS.values():
        fails(run(folder, *command, "-gpu", "99"), "-gpu 99: there is no GPU 99: this machine has")
        fails(run(folder, *command, "-gpu", "0,0"), "-gpu 0,0 names GPU 0 more than once")
    fails(
        run(folder, "train", "-solver", "gpu99.prototxt"), "solver_mode: GPU in gpu99.prototxt", "no GPU 99"
    )


@needs_gpu
def test_the_commands_run_on_a_gpu(folder):
    done = run(folder, *COMMANDS["train"], "-gpu", "0")
    assert done.returncode == 0, done.stderr
    assert "Using GPUs 0" in done.stderr and "GPU 0: " in done.stderr and "Use CPU." not in done.stderr
    for command in ("test", "time", "extract_features"):
        done = run(folder, *COMMANDS[command], "-gpu", "0")
        assert done.returncode == 0, done.stderr
        assert "Use GPU with device ID 0" in done.stderr and "GPU device name: " in done.stderr
        assert ("Memory on the GPU: " in done.stderr) == (command == "time")
    done = run(folder, "device_query", "-gpu", "all")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Device id: ") == _caffe.device_count()


@needs_gpu
def test_the_solver_chooses_where_no_flag_does(folder):
    for solver, flags, said in [
        ("gpu.prototxt", [], "Using GPUs 0"),
        ("gpu.prototxt", ["-cpu"], "Use CPU."),
        ("solver.prototxt", [], "Use CPU."),
        ("gpu99.prototxt", ["-gpu", "0"], "Using GPUs 0"),
    ]:
        done = run(folder, "train", "-solver", solver, *flags)
        assert done.returncode == 0, done.stderr
        assert said in done.stderr
