"""Classifier, Detector, and the scripts made of them, against plain statements of what they compute."""

import csv
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import skimage.io

import caffe
from caffe import io

SCRIPTS = pathlib.Path(__file__).parents[1] / "python"
random = np.random.RandomState(5)

NET = """
input: "data"
input_shape { dim: 2 dim: 3 dim: 6 dim: 6 }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "score"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""
MEAN = np.array([10.0, 20.0, 30.0])
STEPS = dict(mean=MEAN, raw_scale=255, channel_swap=(2, 1, 0), input_scale=0.02)


@pytest.fixture
def model(tmp_path):
    definition, weights = tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel"
    definition.write_text(NET)
    caffe.Net(definition, caffe.TEST).save(weights)
    return str(definition), str(weights)


@pytest.fixture
def images():
    return [random.rand(9, 11, 3).astype(np.float32) for _ in range(3)]


def to_input(image):
    """What STEPS make of an image of the net's size."""
    return (image.transpose(2, 0, 1)[::-1] * 255 - MEAN.reshape(3, 1, 1)) * 0.02


def scores(net, inputs):
    weights, bias = (blob.data for blob in net.params["ip"])
    powers = np.exp(np.array(inputs).reshape(len(inputs), -1) @ weights.T + bias)
    return powers / powers.sum(1, keepdims=True)


def test_predicting_from_the_center(model, images):
    classifier = caffe.Classifier(*model, image_dims=(8, 7), **STEPS)
    predictions = classifier.predict(images, oversample=False)
    crops = [io.resize_image(image, (8, 7))[1:7, 0:6] for image in images]
    np.testing.assert_allclose(predictions, scores(classifier, [to_input(crop) for crop in crops]), rtol=1e-4)


def test_predicting_from_ten_crops(model, images):
    classifier = caffe.Classifier(*model, image_dims=[8, 7], **STEPS)
    predictions = classifier.predict(images)
    for image, prediction in zip(images, predictions, strict=True):
        resized = io.resize_image(image, (8, 7))
        crops = [resized[t : t + 6, s : s + 6] for t, s in ((0, 0), (0, 1), (2, 0), (2, 1), (1, 0))]
        crops += [crop[:, ::-1] for crop in crops]
        expected = scores(classifier, [to_input(crop) for crop in crops]).mean(0)
        np.testing.assert_allclose(prediction, expected, rtol=1e-4)


def test_images_have_the_inputs_size_by_default(model, images):
    classifier = caffe.Classifier(*model)
    np.testing.assert_array_equal(classifier.image_dims, (6, 6))
    expected = scores(classifier, [io.resize_image(image, (6, 6)).transpose(2, 0, 1) for image in images])
    np.testing.assert_allclose(classifier.predict(images, oversample=False), expected, rtol=1e-4)


@pytest.fixture
def photo(tmp_path):
    pixels = random.randint(0, 256, (20, 30, 3)).astype(np.uint8)
    file = tmp_path / "photo.png"
    skimage.io.imsave(file, pixels, check_contrast=False)
    return str(file), pixels / 255.0


WINDOWS = [(2, 3, 12, 15), (0, 0, 20, 30), (5, 20, 19, 29)]


def test_detecting_in_windows(model, photo):
    file, image = photo
    detector = caffe.Detector(*model, **STEPS)
    detections = detector.detect_windows([(file, WINDOWS)])
    inputs = [
        to_input(io.resize_image(image[top:bottom, left:right], (6, 6)))
        for top, left, bottom, right in WINDOWS
    ]
    assert [(found["filename"], found["window"]) for found in detections] == [(file, w) for w in WINDOWS]
    np.testing.assert_allclose(
        [found["prediction"] for found in detections], scores(detector, inputs), rtol=1e-3
    )
    assert detector.detect_windows([(file, [])]) == []


def test_context_is_shown_around_a_window(model, photo):
    _, image = photo
    detector = caffe.Detector(*model, context_pad=1, **STEPS)
    # A crop of 6 with 1 of context on each side shows 6 / 4 of the window.
    crop = detector.crop(image, np.array([5, 8, 12, 15]))
    assert crop.shape == (6, 6, 3)
    np.testing.assert_allclose(crop, io.resize_image(image[3:15, 6:18], (6, 6)), atol=1e-6)


def test_what_lies_outside_of_the_image_is_mean(model, photo):
    _, image = photo
    detector = caffe.Detector(*model, context_pad=1, **STEPS)
    crop = detector.crop(image, np.array([0, 0, 7, 7]))
    outside = np.array([30.0, 20.0, 10.0]) / 255  # as an image to load has it: RGB, in [0, 1]
    np.testing.assert_allclose(crop[0], np.tile(outside, (6, 1)), atol=1e-6)
    np.testing.assert_allclose(crop[:, 0], np.tile(outside, (6, 1)), atol=1e-6)
    assert not np.isclose(crop[1:, 1:], outside).all(axis=2).any()
    without_mean = caffe.Detector(*model, context_pad=1)
    assert (without_mean.crop(image, np.array([0, 0, 7, 7]))[0] == 0).all()
    with pytest.raises(ValueError, match="outside the image"):
        detector.crop(image, np.array([100, 100, 120, 120]))


def test_selective_search_says_what_it_needs(model, photo):
    with pytest.raises(ImportError, match="selective_search_ijcv_with_python.*detect_windows"):
        caffe.Detector(*model).detect_selective_search([photo[0]])


def run(script, *arguments):
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def model_flags(model):
    return "--model_def", model[0], "--pretrained_model", model[1]


def test_classify_script(model, photo, tmp_path):
    flags = (*model_flags(model), "--images_dim", "8,7", "--input_scale", "0.02")
    mean = tmp_path / "mean.npy"
    np.save(mean, MEAN)
    done = run("classify.py", photo[0], tmp_path / "one.npy", *flags, "--mean_file", mean)
    assert done.returncode == 0, done.stderr
    assert "Classifying 1 inputs." in done.stdout and "CPU mode" in done.stdout
    classifier = caffe.Classifier(*model, image_dims=(8, 7), **STEPS)
    expected = classifier.predict([io.load_image(photo[0])])
    np.testing.assert_allclose(np.load(tmp_path / "one.npy"), expected, rtol=1e-5)

    done = run("classify.py", tmp_path, tmp_path / "all.npy", *flags, "--ext", "png", "--center_only")
    assert done.returncode == 0, done.stderr
    default_mean = caffe.Classifier(
        *model, image_dims=(8, 7), **{**STEPS, "mean": np.array([104.00698793, 116.66876762, 122.67891434])}
    )
    expected = default_mean.predict([io.load_image(photo[0])], oversample=False)
    np.testing.assert_allclose(np.load(tmp_path / "all.npy"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [(("none.jpg",), "none.jpg"), ((".",), "no *.jpg files"), (("x.npy",), "x.npy")],
)
def test_classify_script_with_bad_input(model, tmp_path, arguments, message):
    failed = run("classify.py", *arguments, tmp_path / "out.npy", *model_flags(model))
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("classify.py: ") and message in failed.stderr


def test_detect_script(model, photo, tmp_path):
    windows = tmp_path / "windows.csv"
    with open(windows, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "ymin", "xmin", "ymax", "xmax"])
        writer.writerows([photo[0], *window] for window in WINDOWS)
    out = tmp_path / "scores.csv"
    flags = (*model_flags(model), "--crop_mode", "list", "--context_pad", "1", "--mean_file", "")
    done = run("detect.py", windows, out, *flags)
    assert done.returncode == 0, done.stderr
    detector = caffe.Detector(*model, raw_scale=255, channel_swap=(2, 1, 0), context_pad=1)
    expected = detector.detect_windows([(photo[0], WINDOWS)])
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    for row, found in zip(rows, expected, strict=True):
        assert tuple(int(row[column]) for column in ("ymin", "xmin", "ymax", "xmax")) == found["window"]
        np.testing.assert_allclose(
            [float(row[f"class{i}"]) for i in range(4)], found["prediction"], rtol=1e-4, atol=1e-7
        )

    windows.write_text("filename,ymin,xmin,ymax\n")
    failed = run("detect.py", windows, out, *flags)
    assert failed.returncode == 1 and "lacks the columns xmax" in failed.stderr
    windows.write_text(f"filename,ymin,xmin,ymax,xmax\n{photo[0]},1,2,three,4\n")
    failed = run("detect.py", windows, out, *flags)
    assert failed.returncode == 1 and "line 2: a window is four numbers" in failed.stderr
    failed = run("detect.py", windows, tmp_path / "out.txt", *flags)
    assert failed.returncode == 1 and "a .csv or an .h5 file" in failed.stderr


def test_train_script_needs_gpus(tmp_path):
    failed = run("train.py", "--solver", tmp_path / "solver.prototxt", "--gpus", 0, 1)
    assert failed.returncode == 1
    assert re.search("needs NCCL|built without CUDA", failed.stderr.splitlines()[-1])
