"""Packed models on a GPU: the same as on the CPU. Skipped, with the reason, where no GPU is."""

import numpy as np
import pytest
from tool_runner import fails, run

import caffe
from caffe.hwgq import PackedNet, pack

NET = """
name: "small"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.0078125 mean_value: 128 }
  data_param { source: "records" batch_size: 6 backend: LMDB } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "qt" type: "Quant" bottom: "conv" top: "qt"
  quant_param { centers: 0.538 centers: 1.076 centers: 1.614 } }
layer { name: "conv2" type: "BinaryConvolution" bottom: "qt" top: "conv2"
  convolution_param { num_output: 33 kernel_size: 3 pad: 1 weight_filler { type: "msra" } }
  binary_convolution_param { use_alpha: true } }
layer { name: "qt2" type: "Quant" bottom: "conv2" top: "qt2"
  quant_param { centers: 0.538 centers: 1.076 centers: 1.614 } }
layer { name: "pool" type: "Pooling" bottom: "qt2" top: "pool" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "fc" type: "BinaryInnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } }
  binary_inner_product_param { use_alpha: true } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


@pytest.fixture
def model(tmp_path):
    """A packed model of the net."""
    rng = np.random.default_rng(4)
    with caffe._caffe.Database(str(tmp_path / "records"), "new") as database:
        for number in range(12):
            image = rng.integers(0, 256, (3, 12, 12), np.uint8)
            datum = caffe.io.array_to_datum(image, number % 5)
            database.put(f"{number:08d}", datum.SerializeToString())
        database.commit()
    (tmp_path / "net.prototxt").write_text(NET)
    caffe.set_random_seed(3)
    caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST).save(str(tmp_path / "net.caffemodel"))
    pack(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", tmp_path / "net.hwgq")
    return tmp_path / "net.hwgq"


def why_no_gpu(model):
    """Why there is none, or None."""
    try:
        PackedNet(model, device="cuda")
    except caffe.Error as error:
        return str(error)
    return None


@pytest.fixture
def gpu_model(model):
    """The same, where there is a GPU."""
    reason = why_no_gpu(model)
    if reason:
        pytest.skip(reason)
    return model


def test_devices_that_there_are_not(model):
    for device in ("gpu", "cuda:", "cuda:one", "cuda:-1", "cuda 0"):
        with pytest.raises(ValueError, match="device is cpu, cuda or cuda:NUMBER"):
            PackedNet(model, device=device)
    with pytest.raises(caffe.Error, match=r"net\.hwgq: .*(CUDA|there is no GPU)"):
        PackedNet(model, device="cuda:999")
    assert PackedNet(model).device == "cpu"


def test_without_a_gpu_commands_say_so(model):
    reason = why_no_gpu(model)
    if not reason:
        pytest.skip("there is a GPU")
    assert "CPU" in reason and len(reason.splitlines()) == 1
    fails(run("test", "-model", model, "-gpu", 0, cwd=model.parent), "-gpu 0")


def test_a_net_of_the_cpu_takes_no_array_of_a_gpu(model):
    class Array:
        __cuda_array_interface__ = {
            "shape": (1, 3, 12, 12),
            "typestr": "<f4",
            "data": (0, False),
            "version": 3,
        }

    with pytest.raises(ValueError, match="data is an array of a GPU, and the net computes on the CPU"):
        PackedNet(model).forward(Array())
    with pytest.raises(ValueError, match="out for prob is an array of a GPU"):
        PackedNet(model).forward(np.zeros((1, 3, 12, 12)), out=Array())


@pytest.mark.parametrize("images", [1, 3, 20])
def test_equals_the_cpu(gpu_model, images):
    batch = np.random.default_rng(images).standard_normal((images, 3, 12, 12)).astype(np.float32)
    net = PackedNet(gpu_model, device="cuda:0")
    assert net.device == "cuda:0"
    expected = PackedNet(gpu_model).forward(batch)
    np.testing.assert_allclose(net.forward(batch), expected, rtol=1e-4, atol=1e-5)
    out = np.empty_like(expected)
    assert net.forward(batch, out=out) is out
    np.testing.assert_array_equal(out, net.forward(batch))


def test_takes_arrays_of_the_gpu(gpu_model):
    batch = np.random.default_rng(0).standard_normal((4, 3, 12, 12)).astype(np.float32)
    net = PackedNet(gpu_model, device="cuda")
    expected = net.forward(batch)
    caffe.set_mode_gpu()
    try:
        text = gpu_model.parent / "blob.prototxt"
        shapes = {"data": "dim: 4 dim: 3 dim: 12 dim: 12", "scores": "dim: 4 dim: 5"}
        text.write_text("".join(f'input: "{name}" input_shape {{ {shapes[name]} }} ' for name in shapes))
        blobs = caffe.Net(str(text), caffe.TEST).blobs
        blobs["data"].data[...] = batch
        np.testing.assert_array_equal(net.forward(blobs["data"]), expected)
        assert net.forward(blobs["data"], out=blobs["scores"]) is blobs["scores"]
        np.testing.assert_array_equal(blobs["scores"].data, expected)
        with pytest.raises(ValueError, match="out for prob"):
            net.forward(batch, out=blobs["data"])
    finally:
        caffe.set_mode_cpu()


def test_profile_names_the_kernels(gpu_model):
    stages = PackedNet(gpu_model, device="cuda").profile(np.zeros((2, 3, 12, 12)))
    kernels = {stage.kind: stage.kernel for stage in stages}
    assert kernels["convolution"] == "cuda_3xtf32_mma"
    assert kernels["binary convolution"] == "cuda_int8_mma"


def test_commands_take_a_gpu(gpu_model):
    def result(*arguments):
        done = run("test", "-model", gpu_model, "-iterations", 2, *arguments, cwd=gpu_model.parent)
        assert done.returncode == 0, done.stderr
        return [line.split("] ")[1] for line in done.stderr.splitlines() if "accuracy = " in line]

    assert result("-gpu", 0) == result()


def test_names_the_layer_that_only_caffe_computes(gpu_model):
    folder = gpu_model.parent
    (folder / "elu.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 4 dim: 5 dim: 6 } '
        'layer { name: "elu7" type: "ELU" bottom: "data" top: "elu" }'
    )
    caffe.Net(str(folder / "elu.prototxt"), caffe.TEST).save(str(folder / "elu.caffemodel"))
    pack(folder / "elu.prototxt", folder / "elu.caffemodel", folder / "elu.hwgq")
    with pytest.raises(caffe.Error, match="elu7.*load the model for the CPU"):
        PackedNet(folder / "elu.hwgq", device="cuda")
