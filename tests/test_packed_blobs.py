"""Weights as bits in a .caffemodel, and binary layers on integers in a net."""

import numpy as np
import pytest
from google.protobuf import text_format
from tool_runner import fails, run

import caffe
from caffe.hwgq import binarize, pack_caffemodel
from caffe.hwgq.packed_blobs import packed_blob
from caffe.io import blobproto_to_array
from caffe.proto import caffe_pb2

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 12 dim: 12 } } }
layer { name: "first" type: "Convolution" bottom: "data" top: "first"
        convolution_param { num_output: 16 kernel_size: 3 weight_filler { type: "gaussian" std: 0.2 } } }
layer { name: "quant1" type: "Quant" bottom: "first" top: "quant1"
        quant_param { centers: 0.538 centers: 1.076 centers: 1.614 } }
layer { name: "conv" type: "BinaryConvolution" bottom: "quant1" top: "conv"
        convolution_param { num_output: 400 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 }
                            bias_filler { type: "gaussian" } }
        binary_convolution_param { use_alpha: true } }
layer { name: "quant2" type: "Quant" bottom: "conv" top: "quant2" quant_param { forward_func: "sign" } }
layer { name: "signs" type: "BinaryInnerProduct" bottom: "quant2" top: "signs"
        inner_product_param { num_output: 10 weight_filler { type: "gaussian" } } }
layer { name: "real" type: "BinaryInnerProduct" bottom: "signs" top: "real"
        inner_product_param { num_output: 7 weight_filler { type: "gaussian" } }
        binary_inner_product_param { use_binarization: false } }
"""


@pytest.fixture
def trained(tmp_path):
    """A net's definition, its parameters, and what it makes of some input."""
    model, weights = tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel"
    model.write_text(NET)
    caffe.set_random_seed(3)
    net = caffe.Net(str(model), caffe.TEST)
    net.save(str(weights))
    return model, weights, outputs(net)


def outputs(net):
    net.blobs["data"].data[...] = np.random.default_rng(5).standard_normal((2, 3, 12, 12))
    net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


def messages(path):
    net = caffe_pb2.NetParameter.FromString(path.read_bytes())
    return {layer.name: list(layer.blobs) for layer in net.layer if layer.blobs}


def test_a_net_computes_the_same_with_packed_weights(trained, tmp_path):
    model, weights, expected = trained
    packed = pack_caffemodel(model, weights, tmp_path / "packed.caffemodel")
    net = caffe.Net(str(model), caffe.TEST, weights=str(packed.path))
    for name, values in outputs(net).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    before = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    assert packed.float_bytes == sum(blob.data.nbytes for blobs in before.params.values() for blob in blobs)
    assert packed.packed_bytes == packed.path.stat().st_size
    np.testing.assert_array_equal(
        net.params["signs"][0].data, np.where(before.params["signs"][0].data >= 0, 1, -1)
    )


def test_only_binary_weights_are_packed(trained, tmp_path):
    model, weights, _ = trained
    packed = messages(pack_caffemodel(model, weights, tmp_path / "packed.caffemodel").path)
    before = messages(weights)
    assert packed.keys() == before.keys()
    for name, blobs in packed.items():
        for index, (blob, other) in enumerate(zip(blobs, before[name], strict=True)):
            if name in ("conv", "signs") and index == 0:
                assert not blob.data and blob.shape == other.shape
                # Of the first an alpha is for 144 weights only.
                assert {"conv": 26, "signs": 31}[name] * blob.ByteSize() <= other.ByteSize()
            else:
                assert blob == other


def test_layout():
    """Bit by bit, as docs/packed-format.md has it."""
    weights = np.random.default_rng(1).standard_normal((3, 2, 3, 3)).astype(np.float32)
    blob = packed_blob(weights, True)
    assert list(blob.shape.dim) == [3, 2, 3, 3]
    assert len(blob.signs) == 3 * 3
    for output, rows in enumerate(weights.reshape(3, 18)):
        number = int.from_bytes(blob.signs[3 * output : 3 * output + 3], "little")
        assert number == sum(1 << j for j, weight in enumerate(rows) if weight >= 0)
        assert blob.alphas[output] == pytest.approx(np.abs(rows).mean(), rel=1e-6)
    expected = np.where(weights >= 0, 1, -1) * np.array(blob.alphas).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(blobproto_to_array(blob), expected)
    assert list(packed_blob(weights, False).alphas) == [1, 1, 1]


def test_packing_what_is_packed_changes_nothing(trained, tmp_path):
    model, weights, _ = trained
    once = pack_caffemodel(model, weights, tmp_path / "once.caffemodel").path
    twice = pack_caffemodel(model, once, tmp_path / "twice.caffemodel").path
    assert once.read_bytes() == twice.read_bytes()


def test_they_are_weights_of_ordinary_layers_too(trained, tmp_path):
    model, weights, expected = trained
    packed = pack_caffemodel(model, weights, tmp_path / "packed.caffemodel").path
    deploy = binarize(model, weights, tmp_path / "deploy")
    net = caffe.Net(str(deploy.deploy_bw), caffe.TEST, weights=str(packed))
    np.testing.assert_allclose(outputs(net)["conv"], expected["conv"], rtol=1e-5, atol=1e-5)


def test_damaged_blobs_name_the_layer(trained, tmp_path):
    model, weights, _ = trained
    packed = pack_caffemodel(model, weights, tmp_path / "packed.caffemodel").path
    net = caffe_pb2.NetParameter.FromString(packed.read_bytes())
    next(layer for layer in net.layer if layer.name == "conv").blobs[0].alphas.pop()
    packed.write_bytes(net.SerializeToString())
    with pytest.raises(caffe.Error, match="layer 'conv' .*another number of alphas") as error:
        caffe.Net(str(model), caffe.TEST, weights=str(packed))
    assert "packed.caffemodel" in str(error.value)


def test_nothing_to_pack(trained, tmp_path):
    model, weights, _ = trained
    with pytest.raises(ValueError, match="is a file to read"):
        pack_caffemodel(model, weights, weights)
    net = text_format.Parse(NET, caffe_pb2.NetParameter())
    del net.layer[2:]
    plain = tmp_path / "plain.prototxt"
    plain.write_text(str(net))
    with pytest.raises(ValueError, match="no layer of the net binarizes its weights"):
        pack_caffemodel(plain, weights, tmp_path / "packed.caffemodel")


def test_command_line(trained, tmp_path):
    model, weights, expected = trained
    packed = tmp_path / "packed.caffemodel"
    done = run("pack", model, weights, "-o", packed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "times smaller" in done.stdout
    net = caffe.Net(str(model), caffe.TEST, weights=str(packed))
    np.testing.assert_array_equal(outputs(net)["real"], expected["real"])
    fails(run("pack", model, weights, "-o", packed, "-int8", cwd=tmp_path), "are for a packed model")


# ---------------------------------------------------------------------- on integers


def test_blobs_are_those_of_the_net_of_floats(trained, monkeypatch):
    model, weights, found = trained
    monkeypatch.setenv("HWGQ_FLOAT_NET", "1")
    expected = outputs(caffe.Net(str(model), caffe.TEST, weights=str(weights)))
    assert found.keys() == expected.keys()
    for name, values in found.items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5 * scale, err_msg=name)


def test_what_arrays_write_to_weights_and_blobs_is_seen(trained, monkeypatch):
    model, weights, _ = trained
    net = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    with monkeypatch.context() as floats:
        floats.setenv("HWGQ_FLOAT_NET", "1")
        other = caffe.Net(str(model), caffe.TEST, weights=str(weights))
    both = net, other
    held = [each.params["conv"][0].data for each in both]
    for sign in (1, -1):
        for each, array in zip(both, held, strict=True):
            array[:9] = sign
            outputs(each)
        np.testing.assert_allclose(net.blobs["conv"].data, other.blobs["conv"].data, rtol=1e-4, atol=1e-5)
    for each in both:
        each.blobs["quant1"].data[0, 0] = 0.123
        each.forward(start="conv")
    np.testing.assert_allclose(net.blobs["conv"].data, other.blobs["conv"].data, rtol=1e-4, atol=1e-5)


def test_integers_are_what_a_net_computes_with(trained, monkeypatch):
    """Only they ask for a kernel."""
    model, weights, _ = trained
    monkeypatch.setenv("HWGQ_KERNEL", "none")
    with pytest.raises(caffe.Error, match="layer 'conv' .*HWGQ_KERNEL: none is no kernel"):
        outputs(caffe.Net(str(model), caffe.TEST, weights=str(weights)))
    monkeypatch.setenv("HWGQ_FLOAT_NET", "1")
    outputs(caffe.Net(str(model), caffe.TEST, weights=str(weights)))
