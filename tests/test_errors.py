"""Bad input is an exception that says where and what, and never the end of the interpreter."""

import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import caffe

GOOD = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="net.prototxt"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def error_of(action, *args, **kwargs):
    with pytest.raises(caffe.Error) as caught:
        action(*args, **kwargs)
    return caught.value


def test_the_class():
    assert issubclass(caffe.Error, RuntimeError)
    assert caffe.Error.__module__ == "caffe"
    made_in_python = caffe.Error("something")
    assert (made_in_python.message, made_in_python.layer_name, made_in_python.file) == ("", "", "")
    assert str(pickle.loads(pickle.dumps(made_in_python))) == "something"


def test_a_missing_file(tmp_path):
    error = error_of(caffe.Net, tmp_path / "none.prototxt", caffe.TEST)
    assert str(tmp_path / "none.prototxt") in str(error)


def test_text_that_does_not_parse_names_line_and_column(write):
    path = write('layer {\n  name: "a"\n  bottm: "b"\n}\n')
    text = str(error_of(caffe.Net, path, caffe.TEST))
    assert path in text
    assert "3" in text
    assert "bottm" in text


def test_a_layer_type_that_is_unknown(write):
    path = write('layer { name: "c" type: "Convolutoin" }')
    error = error_of(caffe.Net, path, caffe.TEST)
    assert (error.layer_name, error.layer_type, error.file) == ("c", "Convolutoin", path)
    assert "'Convolution'" in error.message
    assert path in str(error)
    assert "layer 'c'" in str(error)


def test_a_missing_bottom(write):
    error = error_of(caffe.Net, write(GOOD.replace('bottom: "data"', 'bottom: "dta"')), caffe.TEST)
    assert error.layer_name == "fc"
    assert "'dta'" in error.message
    assert "'data'" in error.message


def test_weights_of_another_shape(write, tmp_path):
    caffe.Net(write(GOOD), caffe.TEST).save(tmp_path / "w.caffemodel")
    net = caffe.Net(write(GOOD.replace("num_output: 4", "num_output: 5")), caffe.TEST)
    before = net.params["fc"][0].data.copy()
    error = error_of(net.copy_from, tmp_path / "w.caffemodel")
    assert error.layer_name == "fc"
    assert "4 3 (12)" in error.message
    assert "5 3 (15)" in error.message
    assert "rename" in error.message
    np.testing.assert_array_equal(net.params["fc"][0].data, before)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x89HDF\r\n\x1a\n broken"])
def test_files_that_hold_no_weights(write, tmp_path, content):
    (tmp_path / "w.caffemodel").write_bytes(content)
    net = caffe.Net(write(GOOD), caffe.TEST)
    assert "w.caffemodel" in str(error_of(net.copy_from, tmp_path / "w.caffemodel"))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_truncated_weights(write, tmp_path, part):
    net = caffe.Net(write(GOOD), caffe.TEST)
    net.save(tmp_path / "w.caffemodel")
    whole = (tmp_path / "w.caffemodel").read_bytes()
    (tmp_path / "w.caffemodel").write_bytes(whole[: int(len(whole) * part)])
    before = net.params["fc"][0].data.copy()
    assert "w.caffemodel" in str(error_of(net.copy_from, tmp_path / "w.caffemodel"))
    np.testing.assert_array_equal(net.params["fc"][0].data, before)


def test_saving_where_nothing_can_be_saved(write, tmp_path):
    net = caffe.Net(write(GOOD), caffe.TEST)
    assert "no/such" in str(error_of(net.save, tmp_path / "no/such/w.caffemodel"))
    assert "no/such" in str(error_of(net.save_hdf5, tmp_path / "no/such/w.h5"))


def test_names_and_batches_that_do_not_fit(write):
    net = caffe.Net(write(GOOD), caffe.TEST)
    with pytest.raises(ValueError, match="no layer 'fd'"):
        net.forward(end="fd")
    with pytest.raises(ValueError, match="inputs are 'data'"):
        net.forward(dat=np.ones((2, 3)))
    with pytest.raises(ValueError, match="3 items"):
        net.forward(data=np.ones((3, 3)))
    with pytest.raises(ValueError, match="broadcast"):
        net.forward(data=np.ones((2, 4)))
    with pytest.raises(KeyError):
        net.forward(blobs=["none"])
    with pytest.raises(ValueError, match="outputs are 'fc'"):
        net.backward(none=np.ones((2, 4)))


def test_numbers_of_layers_out_of_range(write):
    net = caffe.Net(write(GOOD), caffe.TEST)
    for call in (
        lambda: net._forward(0, 2),
        lambda: net._forward(-1, 1),
        lambda: net._backward(2, 0),
        lambda: net._backward(1, -1),
        lambda: net._top_ids(2),
        lambda: net._bottom_ids(-1),
    ):
        assert "no layer" in str(error_of(call))


def test_layers_refuse_blobs_they_do_not_take(write):
    layer = caffe.Net(write(GOOD), caffe.TEST).layers[1]
    for method in (layer.setup, layer.reshape):
        assert "bottom blob" in str(error_of(method, [], []))
        with pytest.raises(TypeError, match="None"):
            method([None], [None])
        with pytest.raises(TypeError):
            method([1], [2])


def test_blobs_added_behind_a_nets_back(write, tmp_path):
    net = caffe.Net(write(GOOD), caffe.TEST)
    net.save_hdf5(tmp_path / "before.h5")
    for _ in range(1000):
        net.params["fc"].add_blob(1, 2)
    net.save_hdf5(tmp_path / "after.h5")
    other = caffe.Net(write(GOOD), caffe.TEST)
    other.load_hdf5(tmp_path / "after.h5")
    np.testing.assert_array_equal(other.params["fc"][0].data, net.params["fc"][0].data)
    assert "number of parameter blobs" in str(error_of(net.share_with, other))
    assert net.forward()["fc"].shape == (2, 4)


def test_an_input_of_the_wrong_size_after_reshape(write):
    net = caffe.Net(write(GOOD), caffe.TEST)
    net.blobs["data"].reshape(2, 7)
    assert error_of(net.reshape).layer_name == "fc"
    assert error_of(net.forward).layer_name == "fc"
    net.blobs["data"].reshape(5, 3)
    assert net.forward()["fc"].shape == (5, 4)


def test_what_needs_a_gpu_says_so(write):
    net = caffe.Net(write(GOOD), caffe.TEST)
    for call in (
        caffe.set_mode_gpu,
        lambda: caffe.set_device(0),
        lambda: net.blobs["data"]._gpu_data_ptr,
        lambda: net.blobs["data"]._gpu_diff_ptr,
        caffe.NCCL.new_uid,
    ):
        assert "without CUDA" in str(error_of(call))


def test_a_net_without_constructor_arguments_is_no_net():
    with pytest.raises(TypeError):
        caffe.Net()

    class Forgets(caffe.Net):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match="__init__"):
        Forgets()


def test_phases_are_checked(write):
    assert "caffe.TRAIN or caffe.TEST" in str(error_of(caffe.Net, write(GOOD), 7))


def test_labels_that_are_no_classes(write):
    net = caffe.Net(
        write(
            GOOD
            + 'layer { name: "labels" type: "Input" top: "label" input_param { shape { dim: 2 } } }'
            + 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }'
        ),
        caffe.TRAIN,
    )
    net.blobs["label"].data[...] = [1, 9]
    error = error_of(net.forward)
    assert error.layer_name == "loss"
    assert "9" in error.message
    net.blobs["label"].data[...] = [1, 3]
    assert np.isfinite(net.forward()["loss"])


def test_errors_in_a_thread_come_to_that_thread(write):
    path = write('layer { name: "x" type: "Nothing" }')
    caught = []

    def build():
        try:
            caffe.Net(path, caffe.TEST)
        except caffe.Error as error:
            caught.append(error.layer_type)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert caught == ["Nothing"] * 4


def test_what_is_alive_at_exit_does_not_disturb_it(write):
    code = (
        "import caffe, sys\n"
        "net = caffe.Net(sys.argv[1], caffe.TEST)\n"
        "net.before_forward(lambda layer: net)\n"
        "view = net.forward()['fc']\n"
        "sys.modules['kept'] = net, view\n"
    )
    done = subprocess.run([sys.executable, "-c", code, write(GOOD)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_log_can_be_chosen(write):
    code = (
        "import caffe, sys\n"
        "caffe.init_log(1)\n"
        "caffe.log('one')\n"
        "caffe.init_log(0, False)\n"
        "caffe.log('two')\n"
        "caffe.init_log()\n"
        "caffe.log('three')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line.split("] ")[1] for line in done.stderr.splitlines()] == ["three"]
    assert done.stderr.startswith("I")
