"""What of a net an ONNX model has: inputs and outputs, names, batch, opset, preprocessing; its files."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import caffe

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx_models import (  # noqa: E402
    checked,
    close,
    compare,
    input_layer,
    is_free,
    net_of,
    operators,
    run,
    run_net,
)

from caffe.export import Preprocessing, require_onnx, to_onnx, write_onnx  # noqa: E402


def layer(name, type, bottoms, tops=None, body=""):
    names = "".join(f' bottom: "{bottom}"' for bottom in bottoms.split())
    names += "".join(f' top: "{top}"' for top in (tops or name).split() if top != "-")
    return f'layer {{ name: "{name}" type: "{type}"{names} {body} }}'


def product(name, bottom, outputs=3):
    filler = 'weight_filler { type: "gaussian" std: 0.3 }'
    return layer(
        name, "InnerProduct", bottom, body=f"inner_product_param {{ num_output: {outputs} {filler} }}"
    )


def names(values):
    return [value.name for value in values]


def interface(model):
    return names(model.graph.input), names(model.graph.output)


# ---------------------------------------------------------------------- inputs and outputs


TRAINING = """
layer { name: "source" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.5 mean_value: 10 mean_value: 20 mean_value: 30 crop_size: 6 }
  data_param { source: "nowhere" batch_size: 4 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def training(tmp_path):
    path = tmp_path / "train_val.prototxt"
    path.write_text(TRAINING)
    return path


def test_a_net_for_training_becomes_one_for_deployment(training):
    model = checked(to_onnx(training))
    assert interface(model) == (["data"], ["prob"])
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 3, 6, 6]
    images = np.random.default_rng(1).normal(size=(5, 3, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(run(model, {"data": images})["prob"].sum(1), 1, rtol=1e-5)


def test_the_shape_of_data_may_be_given(training):
    model = to_onnx(training, input_shapes={"data": (2, 3, 9, 9)})
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [0, 3, 9, 9]


def test_probabilities_that_are_a_top_keep_their_name(training):
    training.write_text(TRAINING.replace('top: "loss"', 'top: "loss" top: "scores"'))
    assert interface(to_onnx(training)) == (["data"], ["scores"])


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        # An autoencoder: the data is what the prediction is compared with.
        (
            [
                input_layer("data", 2, 6),
                product("decoded", "data", 6),
                layer("loss", "EuclideanLoss", "decoded data"),
            ],
            (["data"], ["decoded"]),
        ),
        (
            [
                input_layer("data", 2, 2, 3),
                layer("flat", "Flatten", "data"),
                product("decoded", "flat", 6),
                layer("loss", "SigmoidCrossEntropyLoss", "decoded flat"),
            ],
            (["data"], ["prob"]),
        ),
        # Two predictions are compared; the label says whether they should be alike.
        (
            [
                input_layer("a", 2, 4),
                input_layer("b", 2, 4),
                input_layer("same", 2),
                product("feature_a", "a"),
                product("feature_b", "b"),
                layer("loss", "ContrastiveLoss", "feature_a feature_b same"),
            ],
            (["a", "b"], ["feature_a", "feature_b"]),
        ),
        # What is made of labels goes with them.
        (
            [
                input_layer("data", 2, 4),
                input_layer("labels", 2, 2),
                layer("parts", "Slice", "labels", "one other"),
                product("ip", "data"),
                product("ip2", "data"),
                layer("loss", "SoftmaxWithLoss", "ip one"),
                layer("loss2", "HingeLoss", "ip2 other"),
                layer("accuracy", "Accuracy", "ip other"),
            ],
            (["data"], ["prob", "ip2"]),
        ),
        (
            [
                input_layer("data", 2, 4),
                input_layer("label", 2),
                product("ip", "data"),
                product("aside", "data"),
                layer("silence", "Silence", "aside", "-"),
                layer("accuracy", "Accuracy", "ip label"),
            ],
            (["data"], ["ip"]),
        ),
        (
            [
                input_layer("data", 2, 4),
                input_layer("label", 2),
                product("one", "data"),
                product("two", "data"),
                layer("loss1", "SoftmaxWithLoss", "one label"),
                layer("loss2", "SoftmaxWithLoss", "two label"),
            ],
            (["data"], ["loss1_prob", "loss2_prob"]),
        ),
    ],
)
def test_what_only_training_needs_goes(layers, expected):
    inputs, outputs = interface(checked(to_onnx(net_of(*layers))))
    assert (inputs, sorted(outputs)) == (expected[0], sorted(expected[1]))


def test_values_before_and_after_a_layer_in_place_are_told_apart():
    net = net_of(
        input_layer("data", 2, 4),
        product("ip", "data"),
        layer("relu", "ReLU", "ip", "ip"),
        layer("power", "Power", "ip", "ip", "power_param { scale: 2 }"),
        layer("tanh", "TanH", "ip"),
    )
    inputs = {"data": np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)}
    model = compare(net, inputs)
    assert len(set(names(model.graph.node))) == len(model.graph.node)
    assert {"ip", "ip_ip", "ip_relu"} <= {output for node in model.graph.node for output in node.output}


def test_an_input_that_is_overwritten():
    net = net_of(input_layer("data", 2, 4), layer("relu", "ReLU", "data", "data"))
    model = checked(to_onnx(net))
    values = np.array([[-1, 2, -3, 4]] * 2, np.float32)
    (found,) = run(model, {"data": values}).values()
    np.testing.assert_array_equal(found, np.maximum(values, 0))


def test_outputs_have_their_names_where_nothing_is_computed():
    net = net_of(
        input_layer("data", 2, 6),
        product("ip", "data"),
        layer("last", "Dropout", "ip"),
        layer("shape", "Split", "data", "same"),
    )
    inputs = {"data": np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32)}
    model = compare(net, inputs)
    assert sorted(names(model.graph.output)) == ["last", "same"]


def test_batch_norm_and_scale_are_one_operator():
    scale = (
        'scale_param { bias_term: true filler { type: "uniform" min: 1 max: 2 } bias_filler { value: 3 } }'
    )
    body = [
        input_layer("data", 2, 4, 3, 3),
        layer("bn", "BatchNorm", "data"),
        layer("scale", "Scale", "bn", "bn", scale),
    ]
    inputs = {"data": np.random.default_rng(1).normal(size=(2, 4, 3, 3)).astype(np.float32)}

    def net(*layers):
        result = net_of(*layers)
        result.params["bn"][1].data[...] = 3
        result.params["bn"][2].data[...] = 2
        return result

    assert operators(compare(net(*body), inputs)) == ["BatchNormalization"]
    # Not where another layer reads what is not scaled.
    apart = [*body[:2], layer("scale", "Scale", "bn", "scaled", scale), layer("relu", "ReLU", "bn")]
    assert operators(compare(net(*apart), inputs)).count("BatchNormalization") == 2


def test_shared_parameters_are_stored_once():
    param = 'inner_product_param { num_output: 4 bias_term: false weight_filler { type: "xavier" } }'
    shared = f'param {{ name: "w" }} {param}'
    net = net_of(
        input_layer("data", 2, 4),
        layer("a", "InnerProduct", "data", "a", shared),
        layer("b", "InnerProduct", "a", "b", shared),
    )
    assert len(to_onnx(net).graph.initializer) == 1


def test_old_formats(tmp_path):
    path = tmp_path / "v1.prototxt"
    path.write_text(
        'input: "data" input_dim: 2 input_dim: 3 input_dim: 5 input_dim: 5\n'
        'layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" '
        'convolution_param { num_output: 2 kernel_size: 2 weight_filler { type: "xavier" } } }\n'
        'layers { name: "prob" type: SOFTMAX bottom: "conv" top: "prob" }\n'
    )
    inputs = {"data": np.random.default_rng(1).normal(size=(2, 3, 5, 5)).astype(np.float32)}
    compare(caffe.Net(str(path), caffe.TEST), inputs)


# ---------------------------------------------------------------------- batch


def test_a_reshape_to_a_fixed_batch_fixes_it():
    flat = "reshape_param { shape { dim: 2 dim: 12 } }"
    net = net_of(
        input_layer("data", 2, 3, 4), layer("flat", "Reshape", "data", body=flat), product("ip", "flat")
    )
    model = compare(net, {"data": np.ones((2, 3, 4), np.float32)})
    assert not is_free(model)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert "flat" in properties["batch_fixed_because"]


def test_a_reshape_that_moves_the_batch_keeps_it_free():
    rows = "reshape_param { shape { dim: -1 dim: 4 } }"
    back = "reshape_param { shape { dim: -1 dim: 3 dim: 4 } }"
    net = net_of(
        input_layer("data", 2, 3, 4),
        layer("rows", "Reshape", "data", body=rows),
        layer("softmax", "Softmax", "rows"),
        layer("back", "Reshape", "softmax", body=back),
    )
    model = compare(net, {"data": np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)})
    assert is_free(model)
    inputs = {"data": np.random.default_rng(2).normal(size=(5, 3, 4)).astype(np.float32)}
    close(run(model, inputs)["back"], run_net(net, inputs)["back"], "back")


def test_the_batch_may_be_set(training):
    model = checked(to_onnx(training, batch=3))
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [3, 5]
    with pytest.raises(ValueError, match="batch must be at least 1"):
        to_onnx(training, batch=0)


def test_the_net_is_left_as_it_was():
    net = net_of(input_layer("data", 2, 4), product("ip", "data"))
    for batch in (None, 7):
        to_onnx(net, batch=batch)
        assert tuple(net.blobs["data"].shape) == (2, 4) and tuple(net.blobs["ip"].shape) == (2, 3)


# ---------------------------------------------------------------------- opsets


@pytest.mark.parametrize("opset", [13, 14, 15, 17, 18, 20, 21, 22])
def test_opsets(opset):
    net = net_of(
        input_layer("data", 2, 4, 6, 6),
        layer("mvn", "MVN", "data"),
        layer("parts", "Slice", "mvn", "one other"),
        layer("pool", "Pooling", "one", body="pooling_param { kernel_size: 3 stride: 2 pad: 1 pool: AVE }"),
        layer("most", "Reduction", "other", body="reduction_param { operation: ASUM axis: 2 }"),
        layer("best", "ArgMax", "pool", body="argmax_param { top_k: 2 out_max_val: true }"),
        layer("bn", "BatchNorm", "pool", body="batch_norm_param { use_global_stats: false }"),
        layer("q", "Quant", "bn", body="quant_param { centers: 0.5 centers: 1 }"),
    )
    inputs = {"data": np.random.default_rng(3).normal(size=(2, 4, 6, 6)).astype(np.float32)}
    for form in ("float", "qdq"):
        model = compare(net, inputs, opset=opset, hwgq=form)
        assert model.opset_import[0].version == opset


@pytest.mark.parametrize("opset", [12, 1000])
def test_unknown_opsets(training, opset):
    with pytest.raises(ValueError, match="opset is 13 to"):
        to_onnx(training, opset=opset)


# ---------------------------------------------------------------------- random geometry


@given(st.data())
def test_random_windows(data):
    integer = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    sides = [integer(3, 11), integer(3, 11)]
    kernels = [integer(1, min(4, side)) for side in sides]
    pads = [integer(0, kernel - 1) for kernel in kernels]
    strides = [integer(1, 5), integer(1, 5)]
    geometry = " ".join(
        f"kernel_{axis}: {kernels[i]} pad_{axis}: {pads[i]} stride_{axis}: {strides[i]}"
        for i, axis in enumerate("hw")
    )
    kind, mode = data.draw(st.sampled_from(["MAX", "AVE"])), data.draw(st.sampled_from(["CEIL", "FLOOR"]))
    filler = 'weight_filler { type: "gaussian" std: 1 }'
    net = net_of(
        input_layer("data", 1, 2, *sides),
        layer(
            "pool", "Pooling", "data", body=f"pooling_param {{ {geometry} pool: {kind} round_mode: {mode} }}"
        ),
        layer(
            "conv", "Convolution", "data", body=f"convolution_param {{ {geometry} num_output: 2 {filler} }}"
        ),
    )
    rng = np.random.default_rng(integer(0, 1000))
    compare(net, {"data": rng.normal(size=(1, 2, *sides)).astype(np.float32)})


# ---------------------------------------------------------------------- what cannot be


class Doubling(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data


def test_python_layers_are_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "doubling_layers", sys.modules[__name__])
    python = 'python_param { module: "doubling_layers" layer: "Doubling" }'
    net = net_of(input_layer("data", 2, 4), layer("twice", "Python", "data", body=python))
    with pytest.raises(
        ValueError, match=r"layer 'twice' \(Python\) cannot be exported to ONNX: what a layer"
    ):
        to_onnx(net)


def test_parameters_that_are_no_numbers_are_refused():
    net = net_of(input_layer("data", 2, 4), product("ip", "data"))
    net.params["ip"][0].data[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"layer 'ip' \(InnerProduct\) .* not finite"):
        to_onnx(net)


def test_weights_that_lack_a_layer(tmp_path):
    deploy = [input_layer("data", 2, 4), product("ip", "data")]
    (tmp_path / "net.prototxt").write_text("\n".join([*deploy, product("other", "ip")]))
    net_of(*deploy).save(str(tmp_path / "net.caffemodel"))
    with pytest.raises(ValueError, match="holds no parameters for other"):
        to_onnx(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")


def test_wrong_arguments(training):
    with pytest.raises(ValueError, match="hwgq is one of float, qdq, qonnx, finn, not 'int4'"):
        to_onnx(training, hwgq="int4")
    with pytest.raises(ValueError, match="there is no input 'image'"):
        to_onnx(training, input_shapes={"image": (1, 3, 6, 6)})
    net = net_of(input_layer("data", 2, 4), product("ip", "data"))
    with pytest.raises(ValueError, match="go with a prototxt"):
        to_onnx(net, "w.caffemodel")
    with pytest.raises(ValueError, match="training phase"):
        to_onnx(net_of(input_layer("data", 2, 4), product("ip", "data"), phase=caffe.TRAIN))
    with pytest.raises(caffe.Error):
        to_onnx(training.with_name("missing.prototxt"))


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="pip install onnx"):
        require_onnx()


# ---------------------------------------------------------------------- preprocessing


@pytest.mark.parametrize("element", ["float32", "uint8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mean", [None, 7.0, (10.0, 20.0, 30.0), "image"])
def test_preprocessing(training, element, layout, mean):
    rng = np.random.default_rng(4)
    if mean == "image":
        mean = rng.random((3, 6, 6)).astype(np.float32) * 100
    prepare = Preprocessing(mean=mean, scale=0.25, element=element, layout=layout)
    caffe.set_random_seed(1)
    model = checked(to_onnx(training, preprocessing=prepare))
    caffe.set_random_seed(1)
    plain = to_onnx(training)
    images = rng.integers(0, 256, (2, 3, 6, 6)).astype(element)
    given = images if layout == "NCHW" else images.transpose(0, 2, 3, 1)
    subtracted = 0 if mean is None else np.asarray(mean, np.float32)
    if np.ndim(subtracted) == 1:
        subtracted = subtracted.reshape(3, 1, 1)
    prepared = (images[:, ::-1].astype(np.float32) - subtracted) * np.float32(0.25)
    found = run(model, {"data": np.ascontiguousarray(given)})["prob"]
    close(found, run(plain, {"data": prepared})["prob"], "prob")


def test_preprocessing_of_other_images(training):
    with pytest.raises(ValueError, match=r"a mean of shape \[2\]"):
        to_onnx(training, preprocessing=Preprocessing(mean=[1, 2]))
    with pytest.raises(ValueError, match="not 'int8'"):
        Preprocessing(element="int8")
    with pytest.raises(ValueError, match="not 'CHW'"):
        Preprocessing(layout="CHW")
    net = net_of(input_layer("data", 2, 4), product("ip", "data"))
    with pytest.raises(ValueError, match="one input of images; this one has none"):
        to_onnx(net, preprocessing=Preprocessing())


def test_colors_may_keep_their_order():
    net = net_of(
        input_layer("data", 1, 3, 2, 2), layer("same", "Power", "data", body="power_param { scale: 2 }")
    )
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    model = to_onnx(net, preprocessing=Preprocessing(swap=False, raw_scale=255))
    np.testing.assert_array_equal(run(model, {"data": values})["same"], 510 * values)


# ---------------------------------------------------------------------- files


def test_a_model_says_where_it_comes_from(training):
    assert to_onnx(training).graph.name == "net"
    training.write_text('name: "small"\n' + TRAINING)
    model = to_onnx(training)
    assert (model.producer_name, model.producer_version) == ("hwgq-caffe", caffe.__version__)
    assert model.graph.name == "small" and "exported from Caffe" in model.doc_string
    assert {entry.key for entry in model.metadata_props} == {"framework", "hwgq"}


def test_large_models_have_their_parameters_beside_them(training, tmp_path):
    model = to_onnx(training)
    out = tmp_path / "new" / "model.onnx"
    images = {"data": np.random.default_rng(1).normal(size=(2, 3, 6, 6)).astype(np.float32)}
    expected = run(model, images)["prob"]
    for most, files in ((100, ["model.onnx", "model.onnx.data"]), (10**6, ["model.onnx"])):
        for file in out.parent.glob("*"):
            file.unlink()
        written = write_onnx(model, out, most_bytes=most)
        assert sorted(file.name for file in out.parent.iterdir()) == files
        assert written == sum(file.stat().st_size for file in out.parent.iterdir())
        onnx.checker.check_model(str(out))
        found = onnxruntime.InferenceSession(str(out)).run(None, images)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_file_is_whole_or_not_there(training, tmp_path, monkeypatch):
    out = tmp_path / "model.onnx"
    out.write_bytes(b"before")
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        write_onnx(to_onnx(training), out)
    assert out.read_bytes() == b"before"
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", "train_val.prototxt"}
