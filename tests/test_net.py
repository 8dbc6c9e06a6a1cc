"""Nets from Python: building, running, copying, saving."""

import gc
import threading
import time
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import caffe

NET = """
name: "small"
layer { name: "in" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 1 }
                        bias_filler { type: "gaussian" std: 1 } } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip" top: "score"
  inner_product_param { num_output: 3 bias_term: false weight_filler { type: "gaussian" std: 1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" loss_weight: 2
  include { phase: TRAIN } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" include { phase: TEST } }
layer { name: "argument" type: "Power" bottom: "score" top: "extra"
  include { phase: TEST min_level: 1 stage: "deep" } }
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.fixture
def inputs():
    random = np.random.RandomState(0)
    return dict(data=random.randn(4, 3).astype(np.float32), label=np.array([0, 1, 2, 0], np.float32))


def softmax_of(net, data):
    w1, b1 = (blob.data for blob in net.params["ip"])
    score = np.maximum(data @ w1.T + b1, 0) @ net.params["ip2"][0].data.T
    powers = np.exp(score - score.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_the_ways_to_make_a_net(file, tmp_path):
    net = caffe.Net(str(file), caffe.TRAIN)
    weights = tmp_path / "w.caffemodel"
    net.save(str(weights))
    for other in (
        caffe.Net(str(file), str(weights), caffe.TEST),
        caffe.Net(str(file), caffe.TEST, weights=str(weights)),
        caffe.Net(network_file=file, phase=caffe.TEST, weights=weights),
        caffe.Net(file, weights_file=weights, phase=caffe.TEST),
    ):
        np.testing.assert_array_equal(other.params["ip"][0].data, net.params["ip"][0].data)
        assert "prob" in other.blobs
    with pytest.raises(TypeError):
        caffe.Net(file)


def test_levels_and_stages(file):
    assert "extra" not in caffe.Net(file, caffe.TEST, level=1).blobs
    assert "extra" not in caffe.Net(file, caffe.TEST, stages=["deep"]).blobs
    assert "extra" in caffe.Net(file, caffe.TEST, level=1, stages=["deep", "other"]).blobs


def test_a_subclass_is_a_net(file):
    class Mine(caffe.Net):
        def __init__(self, path):
            caffe.Net.__init__(self, str(path), caffe.TEST)
            self.note = "mine"

    net = Mine(file)
    assert net.note == "mine"
    assert net.forward()["prob"].shape == (4, 3)


def test_names(file):
    net = caffe.Net(file, caffe.TRAIN)
    assert list(net.blobs) == ["data", "label", "ip", "score", "loss"]
    assert isinstance(net.blobs, OrderedDict)
    assert list(net._layer_names) == list(net.layer_dict) == ["in", "ip", "relu", "ip2", "loss"]
    assert [layer.type for layer in net.layers] == [
        "Input", "InnerProduct", "ReLU", "InnerProduct", "SoftmaxWithLoss",
    ]  # fmt: skip
    assert list(net.params) == ["ip", "ip2"]
    assert (net.inputs, net.outputs) == (["data", "label"], ["loss"])
    assert net.top_names["in"] == ["data", "label"]
    assert net.bottom_names["loss"] == ["score", "label"]
    assert net.bottom_names["in"] == []
    assert net.blob_loss_weights["loss"] == 2
    assert net.blob_loss_weights["score"] == 0
    assert net.blobs is net.blobs


def test_forward(file, inputs):
    net = caffe.Net(file, caffe.TEST)
    result = net.forward(blobs=["ip"], **inputs)
    assert set(result) == {"ip", "label", "prob"}
    np.testing.assert_allclose(result["prob"], softmax_of(net, inputs["data"]), rtol=1e-4)
    assert np.shares_memory(result["prob"], net.blobs["prob"].data)


def test_forward_in_parts(file, inputs):
    net = caffe.Net(file, caffe.TEST)
    net.forward(**inputs)
    expected = net.blobs["prob"].data.copy()
    part = net.forward(end="ip2")
    assert set(part) == {"score"}
    net.blobs["prob"].data[...] = 0
    net.forward(start="prob")
    np.testing.assert_array_equal(net.blobs["prob"].data, expected)


def test_backward(file, inputs):
    net = caffe.Net(file, caffe.TRAIN)
    net.forward(**inputs)
    net.clear_param_diffs()
    gradients = net.backward(diffs=["score"])
    assert set(gradients) == {"data", "label", "score"}
    one_hot = np.eye(3)[inputs["label"].astype(int)]
    score = 2 * (softmax_of(net, inputs["data"]) - one_hot) / 4
    np.testing.assert_allclose(gradients["score"], score, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        net.params["ip2"][0].diff, score.T @ net.blobs["ip"].data, rtol=1e-3, atol=1e-6
    )
    # Once more adds up.
    net.backward()
    np.testing.assert_allclose(
        net.params["ip2"][0].diff, 2 * score.T @ net.blobs["ip"].data, rtol=1e-3, atol=1e-6
    )
    net.clear_param_diffs()
    assert not net.params["ip2"][0].diff.any()


def test_backward_from_given_gradients(tmp_path, inputs):
    file = tmp_path / "forced.prototxt"
    file.write_text("force_backward: true\n" + NET)
    net = caffe.Net(file, caffe.TEST)
    net.forward(**inputs)
    gradient = np.random.RandomState(1).randn(4, 3)
    part = net.backward(start="ip2", end="relu")
    assert set(part) == {"ip"}
    result = net.backward(
        **{name: gradient if name == "prob" else net.blobs[name].diff for name in net.outputs}
    )
    prob = net.blobs["prob"].data
    score = prob * (gradient - (gradient * prob).sum(1, keepdims=True))
    np.testing.assert_allclose(net.blobs["score"].diff, score, rtol=1e-3, atol=1e-6)
    hidden = (score @ net.params["ip2"][0].data) * (net.blobs["ip"].data > 0)
    np.testing.assert_allclose(result["data"], hidden @ net.params["ip"][0].data, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("items", [1, 4, 10])
def test_forward_all_takes_any_number_of_items(file, items):
    net = caffe.Net(file, caffe.TEST)
    data = np.random.RandomState(2).randn(items, 3).astype(np.float32)
    result = net.forward_all(blobs=["ip"], data=data, label=np.zeros(items))
    assert result["ip"].shape == (items, 5)
    np.testing.assert_allclose(result["prob"], softmax_of(net, data), rtol=1e-4)
    net.forward()
    np.testing.assert_allclose(result["prob"], softmax_of(net, data), rtol=1e-4)


def test_forward_backward_all(tmp_path):
    file = tmp_path / "forced.prototxt"
    file.write_text(
        "force_backward: true\n"
        + NET.replace('top: "data" top: "label"', 'top: "data"').replace(" shape { dim: 4 }", "")
    )
    net = caffe.Net(file, caffe.TEST)
    random = np.random.RandomState(3)
    data, gradient = random.randn(7, 3), random.randn(7, 3)
    values, gradients = net.forward_backward_all(diffs=["score"], data=data, prob=gradient)
    prob = softmax_of(net, data)
    np.testing.assert_allclose(values["prob"], prob, rtol=1e-4)
    score = prob * (gradient - (gradient * prob).sum(1, keepdims=True))
    np.testing.assert_allclose(gradients["score"], score, rtol=1e-3, atol=1e-6)
    assert gradients["data"].shape == (7, 3)


def test_batches_are_filled_up(file):
    batches = list(caffe.Net(file, caffe.TEST)._batch({"data": np.ones((6, 3))}))
    assert [batch["data"].shape for batch in batches] == [(4, 3), (4, 3)]
    assert batches[1]["data"].sum() == 6


def test_reshaping_the_input_reshapes_the_net(file):
    net = caffe.Net(file, caffe.TEST)
    net.blobs["data"].reshape(9, 3)
    net.reshape()
    assert net.blobs["prob"].shape == (9, 3)
    data = np.random.RandomState(4).randn(9, 3)
    net.blobs["data"].data[...] = data
    np.testing.assert_allclose(net.forward()["prob"], softmax_of(net, data), rtol=1e-4)


@pytest.mark.parametrize("form", ["caffemodel", "h5"])
def test_save_and_copy(file, tmp_path, form):
    net, other = caffe.Net(file, caffe.TRAIN), caffe.Net(file, caffe.TRAIN)
    saved = tmp_path / f"w.{form}"
    if form == "h5":
        net.save_hdf5(saved)
        other.load_hdf5(saved)
    else:
        net.save(saved)
        other.copy_from(saved)
    for name in net.params:
        for mine, theirs in zip(net.params[name], other.params[name], strict=True):
            np.testing.assert_array_equal(mine.data, theirs.data)
    third = caffe.Net(file, caffe.TEST)
    third.copy_from(saved)
    np.testing.assert_array_equal(third.params["ip"][1].data, net.params["ip"][1].data)


def test_sharing_outlives_the_net_shared_with(file):
    net, other = caffe.Net(file, caffe.TRAIN), caffe.Net(file, caffe.TRAIN)
    other.share_with(net)
    net.params["ip"][0].data[...] = 3
    assert (other.params["ip"][0].data == 3).all()
    del net
    gc.collect()
    assert (other.params["ip"][0].data == 3).all()
    other.forward()


def test_callbacks_see_each_layer(file, inputs):
    net = caffe.Net(file, caffe.TRAIN)
    calls = []
    net.before_forward(lambda layer: calls.append(("before", layer)))
    net.after_forward(lambda layer: calls.append(("after", layer)))
    net.before_backward(lambda layer: calls.append(("before backward", layer)))
    net.after_backward(lambda layer: calls.append(("after backward", layer)))
    gc.collect()
    net.forward(end="ip", **inputs)
    assert calls == [("before", 0), ("after", 0), ("before", 1), ("after", 1)]
    calls.clear()
    net.forward(start="ip2")
    net.backward(end="loss")
    assert calls[-2:] == [("before backward", 4), ("after backward", 4)]


def test_an_error_of_a_callback_comes_through(file):
    net = caffe.Net(file, caffe.TRAIN)

    def fail(layer):
        raise KeyError(f"layer {layer}")

    net.before_forward(fail)
    with pytest.raises(KeyError, match="layer 0") as caught:
        net.forward()
    assert caught.traceback[-1].name == "fail"


def test_a_callback_that_knows_its_net_does_not_keep_it(file):
    net = caffe.Net(file, caffe.TRAIN)
    net.before_forward(lambda layer, net=net: net.blobs)
    net.forward()
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None


def test_other_threads_run_while_a_net_computes(tmp_path):
    file = tmp_path / "large.prototxt"
    file.write_text(
        'layer { name: "in" type: "Input" top: "data" '
        "input_param { shape { dim: 32 dim: 32 dim: 64 dim: 64 } } }"
        'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
        "convolution_param { num_output: 128 kernel_size: 5 } }"
    )
    net = caffe.Net(file, caffe.TEST)
    net.forward()
    started, done = threading.Event(), threading.Event()

    def compute():
        started.set()
        net.forward()
        done.set()

    worker = threading.Thread(target=compute)
    worker.start()
    started.wait()
    turns = 0
    while not done.is_set():
        turns += 1
        time.sleep(1e-4)
    worker.join()
    # If the pass kept the interpreter to itself, this thread would get on before and after it only.
    assert turns > 3


def test_layers_are_set_up_by_hand(file):
    net = caffe.Net(file, caffe.TEST)
    layer = net.layer_dict["relu"]
    layer.setup([net.blobs["ip"]], [net.blobs["ip"]])
    layer.reshape([net.blobs["score"]], [net.blobs["ip"]])
    assert net.blobs["ip"].shape == (4, 3)
    assert layer.layer_param.name == "relu"


def test_modes_and_lists():
    caffe.set_mode_cpu()
    assert {"Convolution", "BinaryConvolution", "Quant", "Data"} <= set(caffe.layer_type_list())
    assert caffe.solver_count() == 1
    assert caffe.solver_rank() == 0
    assert not caffe.has_nccl()
    assert caffe.__version__
    timer = caffe.Timer()
    timer.start()
    timer.stop()
    assert timer.ms >= 0


def test_the_seed_decides_the_weights(file):
    def weights(seed):
        caffe.set_random_seed(seed)
        return caffe.Net(file, caffe.TRAIN).params["ip"][0].data.copy()

    np.testing.assert_array_equal(weights(3), weights(3))
    assert (weights(3) != weights(4)).any()


REUSING = """
name: "shortcut"
layer { name: "in" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 6 dim: 3 dim: 12 dim: 12 } shape { dim: 6 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.2 } } }
layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "bn1" }
layer { name: "quant1" type: "Quant" bottom: "bn1" top: "quant1" quant_param {
  centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614 } }
layer { name: "conv2" type: "BinaryConvolution" bottom: "quant1" top: "conv2"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.2 } }
  binary_convolution_param { use_alpha: true } }
layer { name: "bn2" type: "BatchNorm" bottom: "conv2" top: "bn2" }
layer { name: "sum" type: "Eltwise" bottom: "bn2" bottom: "bn1" top: "sum" }
layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool"
  pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "score"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""


def run_pass(net, seed):
    """Runs forward and backward on random images and labels; copies outputs, parameters and gradients."""
    rng = np.random.default_rng(seed)
    net.clear_param_diffs()
    outputs = net.forward(data=rng.standard_normal((6, 3, 12, 12)), label=rng.integers(0, 5, 6))
    net.backward()
    params = [blob for blobs in net.params.values() for blob in blobs]
    return [
        *(values.copy() for values in outputs.values()),
        *(blob.data.copy() for blob in params),
        *(blob.diff.copy() for blob in params),
    ]


def expect_same(found, wanted):
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.fixture
def alike(tmp_path):
    """Two nets of the same parameters; the second reuses memory."""
    path = tmp_path / "reusing.prototxt"
    path.write_text(REUSING)
    plain, reusing = caffe.Net(path, caffe.TRAIN), caffe.Net(path, caffe.TRAIN)
    plain.save(tmp_path / "reusing.caffemodel")
    reusing.copy_from(tmp_path / "reusing.caffemodel")
    assert not reusing.reuses_memory
    reusing.reuses_memory = True
    assert reusing.reuses_memory
    return plain, reusing


def test_a_net_that_reuses_memory_trains_to_the_same(alike):
    plain, reusing = alike
    for seed in range(4):
        expect_same(run_pass(reusing, seed), run_pass(plain, seed))
    assert all(reusing.params[name][0].diff.any() for name in ("conv1", "conv2", "ip"))
    # In between, blobs hold others' values: who has not looked must not count on them.
    assert not np.array_equal(reusing.blobs["conv2"].data, plain.blobs["conv2"].data)


def test_a_net_that_reuses_memory_leaves_what_was_looked_at(alike):
    plain, reusing = alike
    run_pass(reusing, 0)
    seen, gradient = reusing.blobs["conv2"].data, reusing.blobs["pool"].diff
    run_pass(plain, 0)
    expect_same(run_pass(reusing, 1), run_pass(plain, 1))
    np.testing.assert_array_equal(seen, plain.blobs["conv2"].data)
    np.testing.assert_array_equal(gradient, plain.blobs["pool"].diff)
    assert np.shares_memory(seen, reusing.blobs["conv2"].data)


def test_a_net_that_reuses_memory_begins_at_its_first_layer(alike):
    plain, reusing = alike
    expect_same(run_pass(reusing, 0), run_pass(plain, 0))
    with pytest.raises(caffe.Error, match="begin at the first layer"):
        reusing.forward(start="conv2")
    # A pass that ends early leaves memory lent that the next one needs.
    for net in alike:
        net.forward(end="sum")
    expect_same(run_pass(reusing, 1), run_pass(plain, 1))


def test_blobs_are_readable_after_reusing_memory(alike):
    plain, reusing = alike
    for seed in range(2):
        run_pass(reusing, seed)
        run_pass(plain, seed)
    reusing.reuses_memory = False
    for name, blob in reusing.blobs.items():
        assert blob.data.shape == blob.diff.shape == plain.blobs[name].shape
    expect_same(run_pass(reusing, 2), run_pass(plain, 2))
    for name, blob in reusing.blobs.items():
        np.testing.assert_array_equal(blob.data, plain.blobs[name].data, err_msg=name)
        np.testing.assert_array_equal(blob.diff, plain.blobs[name].diff, err_msg=name)
    reusing.forward(start="conv2")
    np.testing.assert_array_equal(reusing.blobs["loss"].data, plain.blobs["loss"].data)
