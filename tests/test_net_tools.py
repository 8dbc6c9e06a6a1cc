"""caffe summary, inspect, draw, classify and completion, run as a user runs them."""

import json
import re
import shutil
import subprocess

import imageio.v3
import numpy as np
import pytest
from tool_runner import ROOT, environment, fails, run

import caffe
from caffe import summary, weights
from caffe.cli import COMMANDS, TOOLS, main, table

NET = """
name: "small"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { crop_size: 12 } data_param { source: "nowhere" batch_size: 4 } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" } } }
layer { name: "quant" type: "Quant" bottom: "conv1" top: "quant"
  quant_param { centers: 0.5 centers: 1.0 centers: 1.5 } }
layer { name: "pool" type: "Pooling" bottom: "quant" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "BinaryConvolution" bottom: "pool" top: "conv2"
  convolution_param { num_output: 8 kernel_size: 3 group: 2 bias_term: false }
  binary_convolution_param { use_alpha: true } }
layer { name: "ip" type: "BinaryInnerProduct" bottom: "conv2" top: "ip"
  inner_product_param { num_output: 10 } binary_inner_product_param { use_alpha: false } }
layer { name: "up" type: "Deconvolution" bottom: "conv2" top: "up"
  convolution_param { num_output: 2 kernel_size: 2 stride: 2 bias_term: false } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path


def text(*arguments, cwd):
    done = run(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_summary_counts(folder):
    result = summary.summarize(folder / "net.prototxt")
    layers = {layer.name: layer for layer in result.layers}
    assert result.name == "small" and result.batch == 4
    assert layers["data"].tops == {"data": (4, 3, 12, 12), "label": (4,)}
    assert layers["conv1"].parameter_shapes == ((6, 3, 3, 3), (6,))
    assert layers["conv1"].multiply_adds == 4 * 6 * 10 * 10 * 27
    assert layers["conv1"].weight_bytes == layers["conv1"].weight_bytes_in_bits == 168 * 4
    # 8 outputs of 27 weights, a bit each, and 8 alphas.
    assert layers["conv2"].multiply_adds == 4 * 8 * 3 * 3 * 27
    assert layers["conv2"].weight_bytes_in_bits == 216 // 8 + 8 * 4
    # Without alpha there is nothing but bits and the bias.
    assert layers["ip"].multiply_adds == 4 * 10 * 72
    assert layers["ip"].weight_bytes_in_bits == 720 // 8 + 10 * 4
    assert layers["up"].multiply_adds == 4 * 8 * 3 * 3 * (2 * 2 * 2)
    assert result.multiply_adds == sum(layer.multiply_adds for layer in result.layers)
    assert result.binary_multiply_adds == layers["conv2"].multiply_adds + layers["ip"].multiply_adds
    assert result.parameters == 168 + 216 + 730 + 64
    # Three centers and zero are two bits, which the largest of a window keeps.
    bits = {"quant": 2, "pool": 2, "conv1": 32, "conv2": 32}
    assert {name: layers[name].output_bits for name in bits} == bits
    counts = [4 * 3 * 144, 4, 4 * 600, 4 * 600, 4 * 150, 4 * 72, 4 * 10, 4 * 2 * 36, 1]
    assert result.activation_bytes == 4 * sum(counts)
    # The largest bottom and top are there at the same time.
    assert 4 * (2400 + 2400) <= result.pass_bytes < result.activation_bytes
    assert result.activation_bytes_in_bits == 4 * (sum(counts) - 3000) + 3000 * 2 // 8


def test_shared_parameters_count_once(folder):
    (folder / "net.prototxt").write_text(
        'layer { name: "data" type: "Input" top: "a" top: "b" input_param { shape { dim: 1 dim: 5 } } }'
        + "".join(
            f'layer {{ name: "ip{side}" type: "InnerProduct" bottom: "{side}" top: "ip{side}" '
            'param { name: "w" } param { name: "b" } inner_product_param { num_output: 3 } }'
            for side in "ab"
        )
    )
    assert [layer.parameters for layer in summary.summarize(folder / "net.prototxt").layers] == [0, 18, 0]


def test_shapes_may_be_given(folder):
    done = run("summary", "net.prototxt", "-input", "data:2,1,20,16", "-json", cwd=folder)
    found = json.loads(done.stdout)
    assert found["batch"] == 2
    assert found["layers"][0]["tops"] == {"data": [2, 1, 20, 16], "label": [2]}
    assert found["layers"][1]["parameter_shapes"] == [[6, 1, 3, 3], [6]]
    (folder / "net.prototxt").write_text(NET.replace("crop_size: 12", ""))
    fails(run("summary", "net.prototxt", cwd=folder), "'data'", "nowhere", "-input data:N,C,H,W")
    fails(run("summary", "net.prototxt", "-input", "dta:1,3,9,9", cwd=folder), "'dta'", "data, label")
    for wrong in ("1,2", "data:", "data:1,0", "data:1,x"):
        fails(run("summary", "net.prototxt", "-input", wrong, cwd=folder), "-input", repr(wrong))


def test_a_summarys_table(folder):
    lines = text("summary", "net.prototxt", cwd=folder).splitlines()
    assert lines[0].split() == "layer type output parameters multiply-adds in float in bits".split()
    conv2 = next(line for line in lines if line.startswith("conv2"))
    assert conv2.split() == "conv2 BinaryConvolution 4 x 8 x 3 x 3 216 7,776 864 B 59 B".split()
    assert "parameters     1,178" in lines
    assert any(
        re.fullmatch(r"a pass takes   [\d.]+ kB for blobs, .* and 4\.71 kB of parameters", x) for x in lines
    )
    assert any(line.startswith("weights") and "4.71 kB in float" in line for line in lines)
    fails(run("summary", "none.prototxt", cwd=folder), "none.prototxt")
    lenet = ROOT / "examples/mnist/lenet-hwgq-3ne/train_val.prototxt"
    lines = text("summary", lenet, "-phase", "TRAIN", "-input", "data:64,1,28,28", cwd=folder).splitlines()
    assert any(
        re.fullmatch(r"a pass takes   .* gradients; parameters, .* history at most 5\.18 MB", x)
        for x in lines
    )


def trained(folder, definition, **parameters):
    """Writes net.caffemodel and net.caffemodel.h5 with these values for the layers' parameters."""
    (folder / "trained.prototxt").write_text(definition)
    net = caffe.Net(str(folder / "trained.prototxt"), caffe.TEST)
    for layer, values in parameters.items():
        for blob, value in zip(net.params[layer], values, strict=True):
            blob.data[...] = value
    net.save(str(folder / "net.caffemodel"))
    net.save_hdf5(str(folder / "net.caffemodel.h5"))
    return net


WEIGHTS = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 } } }
layer { name: "plain" type: "InnerProduct" bottom: "data" top: "plain" inner_product_param { num_output: 5 } }
layer { name: "binary" type: "BinaryInnerProduct" bottom: "data" top: "binary"
  inner_product_param { num_output: 2 bias_term: false } binary_inner_product_param { use_alpha: true } }
layer { name: "bw" type: "InnerProduct" bottom: "data" top: "bw"
  inner_product_param { num_output: 2 bias_term: false } }
layer { name: "bn" type: "BatchNorm" bottom: "plain" top: "bn" }
"""


def test_parameters_described(folder):
    plain = np.linspace(-2, 2, 20, dtype=np.float32).reshape(5, 4)
    binary = np.array([[1, -3, 1, 1], [0, 0, -2, 0]], np.float32)
    bw = np.array([[0.5, -0.5, -0.5, 0.5], [-2, -2, -2, 2]], np.float32)
    trained(folder, WEIGHTS, plain=[plain, np.nan], binary=[binary], bw=[bw], bn=[1, 2, 3])
    found = {(blob.layer, blob.role): blob for blob in weights.blobs_of(folder / "net.caffemodel")}
    stats = found["plain", "weights"]
    assert (stats.minimum, stats.maximum) == (-2, 2)
    assert stats.mean == pytest.approx(plain.mean(), abs=1e-6)
    assert stats.deviation == pytest.approx(plain.std())
    assert stats.kind == "" and stats.levels == {} and stats.not_finite == 0
    assert found["plain", "bias"].not_finite == 5
    assert found["binary", "weights"].kind == "binary"
    assert found["binary", "weights"].levels == {-1.0: 0.25, 1.0: 0.75}
    assert found["binary", "weights"].alphas == (0.5, 1.5)
    assert found["bw", "weights"].kind == "binarized"
    assert found["bw", "weights"].levels == {-1.0: 0.625, 1.0: 0.375}
    assert found["bw", "weights"].alphas == (0.5, 2)
    assert [role for layer, role in found if layer == "bn"] == ["mean", "variance", "factor"]
    again = list(weights.blobs_of(folder / "net.caffemodel.h5", folder / "trained.prototxt"))
    assert str(again) == str(list(found.values()))  # by text, as NaN is not NaN

    lines = text("inspect", "net.caffemodel", cwd=folder).splitlines()
    row = next(line for line in lines if line.startswith("bw"))
    assert row.endswith("binarized: -alpha 62.5 %, +alpha 37.5 %, alpha 0.5 to 2")
    assert "not all numbers: plain (bias)" in lines
    assert "52 parameters" in lines
    blobs = json.loads(text("inspect", "net.caffemodel", "-json", cwd=folder))
    assert [blob["layer"] for blob in blobs] == ["plain"] * 2 + ["binary", "bw"] + ["bn"] * 3


def test_few_levels_are_listed():
    values = np.repeat([[-1.0, 0.0, 0.0, 2.0]], 8, axis=0)
    stats = weights.describe("ip", "InnerProduct", 0, values)
    assert stats.kind == "levels"
    assert stats.levels == {-1.0: 0.25, 0.0: 0.5, 2.0: 0.25}
    assert weights.describe("ip", "InnerProduct", 0, np.ones((4, 8))).kind == "levels", "a filler's ones"


def test_inspect_says_what_it_needs(folder):
    trained(folder, WEIGHTS)
    fails(run("inspect", "net.caffemodel.h5", cwd=folder), "net.caffemodel.h5", "-model")
    fails(run("inspect", "none.caffemodel", cwd=folder), "none.caffemodel")
    (folder / "empty.caffemodel").write_bytes(b"")
    fails(run("inspect", "empty.caffemodel", cwd=folder), "empty.caffemodel")
    (folder / "damaged.caffemodel").write_bytes((folder / "net.caffemodel").read_bytes()[:-7])
    fails(run("inspect", "damaged.caffemodel", cwd=folder), "damaged.caffemodel")


def test_a_drawing(folder):
    pytest.importorskip("pydot")
    if not shutil.which("dot"):
        pytest.skip("Graphviz is not installed")
    text("draw", "net.prototxt", "net.svg", cwd=folder)
    assert "conv2" in (folder / "net.svg").read_text()
    text("draw", "net.prototxt", "train.svg", "-phase", "TRAIN", "-rankdir", "LR", cwd=folder)
    assert "nowhere" not in (folder / "train.svg").read_text()
    fails(run("draw", "none.prototxt", "net.svg", cwd=folder), "none.prototxt")


def test_drawings_say_what_they_need(folder):
    (folder / "pydot.py").write_text("raise ImportError('not here')")
    fails(
        run(
            "draw",
            "net.prototxt",
            "net.svg",
            cwd=folder,
            PYTHONPATH=f"{folder}:{environment()['PYTHONPATH']}",
        ),
        "pip install pydot",
    )


CLASSIFIER = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: %d dim: 8 dim: 8 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 6 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


@pytest.fixture
def images(folder):
    """Images of the net's size, which no resizing changes: a.png in color and g.png in gray."""
    generator = np.random.default_rng(1)
    color = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    gray = generator.integers(0, 256, (8, 8), dtype=np.uint8)
    imageio.v3.imwrite(folder / "a.png", color)
    imageio.v3.imwrite(folder / "g.png", gray)
    return color, gray


def classes(folder, *arguments):
    found = json.loads(text("classify", *arguments, "-weights", "net.caffemodel", "-json", cwd=folder))
    return [[(best["class"], best["score"]) for best in result["predictions"]] for result in found]


def softmax(scores):
    e = np.exp(scores - scores.max())
    return e / e.sum()


@pytest.mark.parametrize("rgb", [False, True])
def test_classes_of_color_images(folder, images, rgb):
    matrix = np.random.default_rng(2).normal(size=(6, 192)).astype(np.float32) / 500
    trained(folder, CLASSIFIER % 3, ip=[matrix, 0])
    found = classes(
        folder,
        *("a.png", "g.png", "-model", "trained.prototxt", "-mean", "10,20,30", "-scale", "0.5"),
        *["-rgb"] * rgb,
    )
    for result, pixels in zip(found, [images[0], np.stack([images[1]] * 3, -1)], strict=True):
        planes = pixels.astype(float).transpose(2, 0, 1)[slice(None) if rgb else slice(None, None, -1)]
        prob = softmax(matrix @ ((planes - np.array([10, 20, 30])[:, None, None]) * 0.5).ravel())
        best = np.argsort(-prob)[:5]
        assert [number for number, _ in result] == list(best)
        assert [score for _, score in result] == pytest.approx(list(prob[best]), rel=1e-3)


def test_classes_of_gray_images_with_a_mean_image(folder, images):
    matrix = np.random.default_rng(3).normal(size=(6, 64)).astype(np.float32) / 300
    trained(folder, CLASSIFIER % 1, ip=[matrix, 0])
    mean = np.random.default_rng(4).uniform(0, 255, (1, 10, 12)).astype(np.float32)
    proto = caffe.io.array_to_blobproto(mean[np.newaxis])
    (folder / "mean.binaryproto").write_bytes(proto.SerializeToString())
    np.save(folder / "mean.npy", mean)
    prob = softmax(matrix @ (images[1].astype(float) - mean[0, 1:9, 2:10]).ravel())
    for file in ("mean.binaryproto", "mean.npy"):
        found = classes(folder, "g.png", "-model", "trained.prototxt", "-mean", file, "-top", "1")
        assert found == [[(prob.argmax(), pytest.approx(prob.max(), rel=1e-3))]]


def test_the_table_of_classes(folder, images):
    trained(folder, CLASSIFIER % 3, ip=[0, [0, 5, 0, 0, 4, 0]])
    (folder / "labels.txt").write_text("\n".join(f"n0{i} thing {i}" for i in range(6)))
    arguments = ["a.png", "g.png", "-model", "trained.prototxt", "-weights", "net.caffemodel"]
    prob = softmax(np.array([0, 5, 0, 0, 4, 0.0]))
    out = text("classify", *arguments, "-labels", "labels.txt", "-top", "2", "-oversample", cwd=folder)
    table = f" score  class  label\n--------------------------\n{prob[1]:.4f}      1  n01 thing 1\n"
    assert out == "".join(
        f"{name}\n{table}{prob[4]:.4f}      4  n04 thing 4\n{end}"
        for name, end in (("a.png", "\n"), ("g.png", ""))
    )


def test_what_is_wrong_with_classifying_is_one_line(folder, images):
    trained(folder, CLASSIFIER % 3)
    net = ["-model", "trained.prototxt", "-weights", "net.caffemodel"]
    fails(run("classify", "none.png", *net, cwd=folder), "none.png")
    fails(run("classify", "trained.prototxt", *net, cwd=folder), "trained.prototxt", "image")
    fails(run("classify", "a.png", "-model", "trained.prototxt", cwd=folder), "-weights")
    (folder / "labels.txt").write_text("one\ntwo\n")
    fails(run("classify", "a.png", *net, "-labels", "labels.txt", cwd=folder), "labels.txt", "2", "6")
    fails(run("classify", "a.png", *net, "-mean", "1,2", cwd=folder), "1,2", "3")
    np.save(folder / "small.npy", np.zeros((3, 4, 4)))
    fails(run("classify", "a.png", *net, "-mean", "small.npy", cwd=folder), "small.npy", "smaller")
    (folder / "mean.binaryproto").write_bytes(b"\xff\xff")
    fails(run("classify", "a.png", *net, "-mean", "mean.binaryproto", cwd=folder), "mean.binaryproto")
    fails(run("classify", "a.png", *net, "-resize", "4", cwd=folder), "-resize 4")
    fails(run("classify", "a.png", *net, "-top", "0", cwd=folder), "-top")
    fails(run("classify", "a.png", *net[2:], "-model", "net.prototxt", cwd=folder), "nowhere")


def test_near_misses_are_named(folder):
    fails(run("trian", cwd=folder), "'trian'", "did you mean train?")
    fails(run("nothing", cwd=folder), "the commands are train, ")
    fails(run("train", "-sovler", "s.prototxt", cwd=folder), "unknown flag -sovler; did you mean -solver?")
    fails(run("train", "--weight=w", cwd=folder), "--weight", "did you mean -weights?")
    fails(run("train", "-qqq", cwd=folder), "unknown flag -qqq (")
    fails(run("convert_imageset", "-hight=3", "a", "b", "c", cwd=folder), "unknown flag -hight")
    fails(run("summary", "a", "b", cwd=folder), "unexpected argument 'b'")


def completions(folder, script, line):
    """What bash proposes for the last word of a line."""
    words = line.split(" ")
    code = f"""
        source {script}
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)}) COMP_CWORD={len(words) - 1}
        _caffe
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split()


def test_bash_completes(folder):
    script = folder / "caffe.bash"
    script.write_text(text("completion", "bash", cwd=folder))
    assert completions(folder, script, "caffe tra") == ["train"]
    assert set(completions(folder, script, "caffe ")) == {*COMMANDS, *TOOLS}
    assert completions(folder, script, "caffe train -so") == ["-solver"]
    assert completions(folder, script, "caffe train -sigint_effect s") == ["stop", "snapshot"]
    assert completions(folder, script, "caffe test -phase ") == ["TRAIN", "TEST"]
    assert completions(folder, script, "caffe train -solver net.p") == ["net.prototxt"]
    assert completions(folder, script, "caffe test -iterations ") == []
    assert completions(folder, script, "convert_imageset -resize_") == ["-resize_width", "-resize_height"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_their_scripts(folder, shell):
    script = text("completion", shell, cwd=folder)
    for command in [*COMMANDS, *TOOLS]:
        assert command in script
    if shell == "fish":
        assert "complete -c caffe -n '__fish_seen_subcommand_from train' -o solver " in script
        assert "-o phase -d 'phase of the net' -x -a 'TRAIN TEST'" in script
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed to read it")
    (folder / "script").write_text(script)
    subprocess.run([shell, "-n", folder / "script"], check=True)


@pytest.mark.parametrize("command", [*COMMANDS, *TOOLS])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert f"example: {'caffe ' if command in COMMANDS else ''}{command}" in " ".join(shown.split())


def test_sizes():
    sizes = [table.size(count) for count in (0, 999, 1000, 12345, 552_200_016, 3 * 10**12, 10**16)]
    assert sizes == ["0 B", "999 B", "1.00 kB", "12.3 kB", "552 MB", "3.00 TB", "10000 TB"]
