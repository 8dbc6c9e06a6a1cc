"""Packed models on the command line, run as a user runs them."""

import json
import re

import numpy as np
import pytest
from tool_runner import fails, run

import caffe
from caffe import io
from caffe._caffe import Database
from caffe.classifier import PackedClassifier
from caffe.hwgq import PackedNet, pack, packed_file

ITEMS = 24

NET = """
name: "small"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.0078125 mean_value: 128 }
  data_param { source: "records" batch_size: 6 backend: LMDB } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "qt" type: "Quant" bottom: "conv" top: "qt"
  quant_param { centers: 0.538 centers: 1.076 centers: 1.614 } }
layer { name: "fc" type: "BinaryInnerProduct" bottom: "qt" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } }
  binary_inner_product_param { use_alpha: true } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(4)
    with Database(str(tmp_path / "records"), "new") as database:
        for number in range(ITEMS):
            image = rng.integers(0, 256, (3, 12, 12), np.uint8)
            database.put(f"{number:08d}", io.array_to_datum(image, number % 5).SerializeToString())
        database.commit()
    (tmp_path / "net.prototxt").write_text(NET)
    caffe.set_random_seed(3)
    caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST).save(str(tmp_path / "net.caffemodel"))
    done = run("pack", "net.prototxt", "net.caffemodel", "-o", "net.hwgq", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "times smaller" in done.stdout
    return tmp_path


def scores(log):
    """The mean of each output that `caffe test` ends with."""
    return {name: float(value) for name, value in re.findall(r"\] (\w+) = ([-\d.e]+)(?: \(.*)?$", log, re.M)}


def test_test_scores_a_packed_model(folder):
    def scored(*arguments):
        done = run("test", *arguments, "-iterations", 4, cwd=folder)
        assert done.returncode == 0, done.stderr
        return scores(done.stderr)

    expected = scored("-model", "net.prototxt", "-weights", "net.caffemodel")
    assert set(expected) == {"accuracy", "loss"}
    for arguments in (["-model", "net.hwgq"], ["-model", "net.prototxt", "-weights", "net.hwgq"]):
        found = scored(*arguments)
        assert found == pytest.approx(expected, rel=1e-5), arguments


def test_amx_can_be_left_out(folder):
    arguments = ["test", "-model", "net.hwgq", "-iterations", 1]
    expected = run(*arguments, cwd=folder)
    assert expected.returncode == 0, expected.stderr
    without = run(*arguments, cwd=folder, HWGQ_AMX="0")
    assert without.returncode == 0, without.stderr
    assert scores(without.stderr) == pytest.approx(scores(expected.stderr), rel=1e-5)
    for variable, kernel in (("HWGQ_KERNEL", "amx"), ("HWGQ_FLOAT_KERNEL", "amx_bf16")):
        fails(run(*arguments, cwd=folder, HWGQ_AMX="0", **{variable: kernel}), variable, kernel)


def test_test_says_what_a_packed_model_lacks(folder):
    deploy = NET[: NET.index("layer")] + 'input: "data" input_shape { dim: 1 dim: 3 dim: 12 dim: 12 }'
    deploy += NET[NET.index('layer { name: "conv"') : NET.index('layer { name: "accuracy"')]
    (folder / "deploy.prototxt").write_text(deploy)
    pack(folder / "deploy.prototxt", folder / "net.caffemodel", folder / "deploy.hwgq")
    fails(run("test", "-model", "deploy.hwgq", cwd=folder), "without data layers", "-weights")
    fails(
        run("test", "-model", "net.prototxt", "-weights", "deploy.hwgq", cwd=folder),
        "measures read prob",
        "packed from this net",
    )
    fails(run("test", "-model", "net.hwgq", "-weights", "net.caffemodel", cwd=folder), "leave out -weights")
    fails(run("test", "-model", "net.prototxt", cwd=folder), "needs -weights")
    smaller = NET.replace("scale: 0.0078125", "scale: 0.0078125 crop_size: 11")
    (folder / "smaller.prototxt").write_text(smaller)
    fails(
        run("test", "-model", "smaller.prototxt", "-weights", "net.hwgq", cwd=folder),
        "(3, 12, 12)",
        "(3, 11, 11)",
    )
    (folder / "records").rename(folder / "elsewhere")
    fails(run("test", "-model", "net.hwgq", cwd=folder), "records")


def test_measures_that_a_packed_model_cannot_have_do_not_hinder_packing(folder):
    ignoring = NET.replace(
        'type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss" loss_param { ignore_label: 4 }'
    )
    (folder / "ignoring.prototxt").write_text(ignoring)
    pack(folder / "ignoring.prototxt", folder / "net.caffemodel", folder / "ignoring.hwgq")
    assert packed_file.read(folder / "ignoring.hwgq").test == ""
    fails(
        run("test", "-model", "ignoring.prototxt", "-weights", "ignoring.hwgq", cwd=folder), "ignores a label"
    )


def test_classify_takes_a_packed_model(folder):
    image = np.random.default_rng(1).integers(0, 256, (12, 12, 3), np.uint8)
    import imageio.v3

    imageio.v3.imwrite(folder / "image.png", image)
    deploy = caffe.hwgq.binarize(folder / "net.prototxt", folder / "net.caffemodel", folder / "deploy")
    common = ["-mean", "128,128,128", "-scale", "0.0078125", "-json", "-top", "5"]

    def classified(*arguments):
        done = run("classify", "image.png", *arguments, *common, cwd=folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)[0]["predictions"]

    expected = classified("-model", deploy.deploy, "-weights", deploy.weights)
    found = classified("-model", "net.hwgq")
    assert [best["class"] for best in found] == [best["class"] for best in expected]
    assert [best["score"] for best in found] == pytest.approx([b["score"] for b in expected], rel=1e-4)
    (folder / "broken.hwgq").write_bytes((folder / "net.hwgq").read_bytes()[:-1])
    fails(run("classify", "image.png", "-model", "broken.hwgq", cwd=folder), "broken.hwgq", "damaged")


def test_packed_classifier_takes_images_only(tmp_path):
    (tmp_path / "flat.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 4 } layer { name: "fc" type: "InnerProduct" bottom: "data" '
        'top: "fc" inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }'
    )
    caffe.Net(str(tmp_path / "flat.prototxt"), caffe.TEST).save(str(tmp_path / "flat.caffemodel"))
    pack(tmp_path / "flat.prototxt", tmp_path / "flat.caffemodel", tmp_path / "flat.hwgq")
    with pytest.raises(ValueError, match="one input of images"):
        PackedClassifier(PackedNet(tmp_path / "flat.hwgq"))


def test_what_the_measures_read(folder):
    text = packed_file.read(folder / "net.hwgq").test
    assert "MultinomialLogisticLoss" in text and 'source: "records"' in text
    assert "BinaryInnerProduct" not in text, "the net itself is the plan"


def test_batches_of_other_shapes_and_types(folder):
    net = PackedNet(folder / "net.hwgq")
    assert net.inputs == {"data": (3, 12, 12)} and net.outputs == {"prob": (5,)} and net.name == "small"
    images = np.random.default_rng(2).integers(-2, 3, (40, 3, 12, 12))
    expected = net.forward(images.astype(np.float32))
    assert expected.shape == (40, 5) and expected.dtype == np.float32
    for batch in (images, images.astype(np.int8), images.tolist(), images.astype(np.float64)[:, :, ::1]):
        np.testing.assert_array_equal(net.forward(batch), expected)
    np.testing.assert_array_equal(net.forward({"data": images}), expected)
    np.testing.assert_array_equal(
        np.concatenate([net.forward(images[i : i + 1]) for i in range(40)]), expected
    )
    out = np.empty((40, 5), np.float32)
    assert net.forward(images, out=out) is out
    np.testing.assert_array_equal(out, expected)
    for wrong in (images[0], images[:, :2], images[:0], "images", images.astype(complex)):
        with pytest.raises(ValueError, match="data"):
            net.forward(wrong)
    with pytest.raises(ValueError, match="inputs are data"):
        net.forward({"image": images})
    for wrong in (np.empty((39, 5), np.float32), np.empty((40, 5)), np.empty((5, 40), np.float32).T):
        with pytest.raises(ValueError, match="out for prob"):
            net.forward(images, out=wrong)
    with pytest.raises(caffe.Error, match=r"absent\.hwgq.*No such file"):
        PackedNet(folder / "absent.hwgq")


def test_profile_names_each_stage(folder):
    net = PackedNet(folder / "net.hwgq")
    stages = net.profile(np.zeros((2, 3, 12, 12)))
    assert [stage.kind for stage in stages] == ["convolution", "binary convolution", "softmax"]
    assert stages[1].multiply_adds == 2 * 8 * 10 * 10 * 5
    assert all(stage.seconds >= 0 and stage.bytes > 0 and stage.kernel for stage in stages)


def test_layers_of_caffe_run_in_a_packed_model(tmp_path):
    (tmp_path / "net.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 4 dim: 5 dim: 6 } '
        'layer { name: "elu" type: "ELU" bottom: "data" top: "elu" } '
        'layer { name: "up" type: "Deconvolution" bottom: "elu" top: "up" convolution_param { num_output: 3 '
        'kernel_size: 2 stride: 2 weight_filler { type: "xavier" } } }'
    )
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net.save(str(tmp_path / "net.caffemodel"))
    report = pack(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", tmp_path / "net.hwgq")
    assert set(report.caffe_layers) == {"elu", "up"}
    batch = np.random.default_rng(0).standard_normal((3, 4, 5, 6)).astype(np.float32)
    net.blobs["data"].reshape(*batch.shape)
    expected = net.forward(data=batch)["up"]
    np.testing.assert_allclose(
        PackedNet(tmp_path / "net.hwgq").forward(batch), expected, rtol=1e-5, atol=1e-6
    )
