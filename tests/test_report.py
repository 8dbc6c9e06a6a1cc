"""caffe report: what it collects, how it is drawn, and the page in a browser."""

import html.parser
import json
import re
import shutil
import subprocess

import imageio.v3
import numpy as np
import pytest
from tool_runner import fails, run

import caffe
from caffe import _caffe, report
from caffe.proto import caffe_pb2
from caffe.report import charts, contents

CLASSES = 4
NET = """
name: "tiny <net>"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "train_lmdb" batch_size: 4 backend: LMDB } transform_param { scale: 0.01 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "test_lmdb" batch_size: 6 backend: LMDB } transform_param { scale: 0.01 } }
layer { name: "conv" type: "BinaryConvolution" bottom: "data" top: "conv"
  convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } }
  binary_convolution_param { use_alpha: true } }
layer { name: "quant" type: "Quant" bottom: "conv" top: "quant"
  quant_param { centers: 0.5 centers: 1.0 centers: 1.5 } }
layer { name: "ip" type: "InnerProduct" bottom: "quant" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "net.prototxt"
base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 display: 5 max_iter: 30 test_iter: 3 test_interval: 10
snapshot_prefix: "tiny" snapshot: 20 solver_mode: CPU random_seed: 1
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run with 18 color images to test."""
    folder = tmp_path_factory.mktemp("run")
    generator = np.random.default_rng(0)
    for name, count in (("train_lmdb", 24), ("test_lmdb", 18)):
        with _caffe.Database(str(folder / name), "new") as database:
            for i in range(count):
                image = generator.integers(0, 256, (3, 6, 6), dtype=np.uint8)
                datum = caffe.io.array_to_datum(image, int(generator.integers(CLASSES)))
                database.put(f"{i:04}".encode(), datum.SerializeToString())
            database.commit()
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)
    (folder / "logs").mkdir()
    done = run("train", "-solver", "solver.prototxt", "-log_dir", "logs", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def collected(trained):
    return report.collect(trained)


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the run, to break."""
    return shutil.copytree(trained, tmp_path / "run", symlinks=True)


@pytest.fixture(scope="module")
def tested(trained):
    """Scores and labels of all test images, by the net itself."""
    net = caffe.Net(
        str(trained / "net.prototxt"), caffe.TEST, weights=str(trained / "tiny_iter_30.caffemodel")
    )
    scores, labels = [], []
    for _ in range(3):
        net.forward()
        scores.append(net.blobs["ip"].data.copy())
        labels.append(net.blobs["label"].data.astype(int))
    return np.concatenate(scores), np.concatenate(labels)


def test_confusion_and_mistakes(collected, tested):
    scores, labels = tested
    answers = scores.argmax(1)
    expected = np.zeros((CLASSES, CLASSES), int)
    for truth, answer in zip(labels, answers, strict=True):
        expected[truth, answer] += 1
    assert (collected.confusion == expected).all()
    right = int(np.trace(expected))
    assert collected.facts["Accuracy"] == f"{100 * right / 18:.2f} % of 18 test images"
    prob = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    wrong = sorted(np.flatnonzero(answers != labels), key=lambda i: -prob[i].max())
    assert wrong, "a net trained for 30 iterations on noise errs"
    assert [(mistake.truth, mistake.answer) for mistake in collected.mistakes] == [
        (labels[i], answers[i]) for i in wrong
    ]
    assert [mistake.probability for mistake in collected.mistakes] == pytest.approx(
        [prob[i].max() for i in wrong], rel=1e-4
    )
    assert all(mistake.pixels.shape == (6, 6, 3) for mistake in collected.mistakes)


def test_histograms_of_activations(collected, trained):
    net = caffe.Net(
        str(trained / "net.prototxt"), caffe.TEST, weights=str(trained / "tiny_iter_30.caffemodel")
    )
    net.forward()
    found = {histogram.name: histogram for histogram in collected.activations}
    assert list(found) == ["conv", "ip"]
    conv = found["conv"]
    assert conv.marks == {"threshold": [0, 0.75, 1.25], "level": [0, 0.5, 1, 1.5]}
    values = net.blobs["conv"].data.ravel()
    assert sum(conv.counts) == values.size
    inner = values[(values > conv.low) & (values < conv.high)]
    expected, _ = np.histogram(inner, len(conv.counts), (conv.low, conv.high))
    assert conv.counts[1:-1] == list(expected[1:-1])
    quantized = net.blobs["quant"].data
    assert conv.levels == {float(level): np.mean(quantized == level) for level in np.unique(quantized)}
    assert "quantized by quant" in conv.values
    assert found["ip"].marks == {} and found["ip"].levels == {}


def test_histograms_of_weights(collected, trained):
    net = caffe.Net(
        str(trained / "net.prototxt"), caffe.TEST, weights=str(trained / "tiny_iter_30.caffemodel")
    )
    assert [histogram.name for histogram in collected.weights] == ["conv", "ip"]
    conv, ip = collected.weights
    alpha = np.abs(net.params["conv"][0].data).mean()
    assert conv.marks["alpha"] == pytest.approx([-alpha, alpha])
    assert sum(conv.counts) == 135 and ip.marks == {}


def test_a_sign_quantizers_marks():
    sign = caffe_pb2.QuantParameter(forward_func="sign")
    assert contents._quantizer_marks(sign) == {"threshold": [0], "level": [-1, 1]}


def test_the_newest_files_are_taken(collected):
    assert collected.facts["Weights"] == "tiny_iter_30.caffemodel"
    assert collected.title == "tiny <net>"
    assert collected.notes == []
    assert [row["NumIters"] for row in collected.log.test] == [0, 10, 20, 30]
    assert collected.summary.parameters == 140 + 324


def test_what_is_missing_is_noted(copy):
    shutil.rmtree(copy / "test_lmdb")
    found = report.collect(copy)
    assert found.confusion is None and not found.mistakes
    assert any("test_lmdb" in note for note in found.notes)
    for file in copy.glob("*.caffemodel"):
        file.unlink()
    shutil.rmtree(copy / "logs")
    (copy / "net.prototxt").write_text(NET.replace("test_lmdb", "train_lmdb"))
    found = report.collect(copy)
    assert found.log is None and not found.weights and found.summary is not None
    assert any("-log_dir" in note for note in found.notes)
    assert any("weights" in note for note in found.notes)
    assert "<svg" in report.page(found)


def test_a_log_alone_gives_curves(copy):
    for file in copy.glob("*.prototxt"):
        file.unlink()
    found = report.collect(copy)
    assert found.log is not None and found.summary is None
    assert 'id="curves"' in report.page(found)
    shutil.rmtree(copy / "logs")
    fails(run("report", copy.name, cwd=copy.parent), "caffe report: ", copy.name, "neither a solver")
    fails(run("report", "nowhere", cwd=copy), "nowhere")
    fails(run("report", ".", "-solver", "none.prototxt", cwd=copy), "none.prototxt")


def test_a_net_without_labels_has_no_mistakes(copy):
    (copy / "net.prototxt").write_text(NET.partition('layer { name: "accuracy"')[0])
    found = report.collect(copy)
    assert found.confusion is None and len(found.activations) == 2
    assert any("compares scores with labels" in note for note in found.notes)


def test_inputs_become_pictures():
    planes = np.array([[[0.0, 1.0]], [[2.0, 3.0]], [[4.0, 5.0]]])
    pixels = contents.picture(planes)
    assert pixels.tolist() == [[[204, 102, 0], [255, 153, 51]]], "red is the last plane"
    assert contents.picture(planes[:1] * 0 + 7).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3, 4, [-2, 0, 2, 4]),
        (0, 1e-5, [0, 2e-6, 4e-6, 6e-6, 8e-6, 1e-5]),
        (5, 5, [5]),
    ],
)
def test_ticks(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


def places(svg):
    return [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]*)"', svg)[1].split()]


def test_curves_have_their_points():
    (x1, y1), (x2, y2), (x3, y3) = places(
        charts.line_chart("loss", {"train": [(0, 1.0), (5, 3.0), (10, 2.0)]})
    )
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 - y2 == pytest.approx(2 * (y1 - y3), abs=0.2), "up is more"
    logarithmic = places(charts.line_chart("loss", {"train": [(0, 1.0), (5, 0.1), (10, 0.01)]}))
    assert logarithmic[1][1] - logarithmic[0][1] == pytest.approx(
        logarithmic[2][1] - logarithmic[1][1], abs=0.2
    )
    assert len(places(charts.line_chart("loss", {"train": [(0, 1.0), (5, float("nan")), (10, 2.0)]}))) == 2
    assert charts.line_chart("loss", {"train": [(0, float("nan"))]}) == ""


def test_many_classes_are_a_list_of_pairs():
    confusion = np.eye(200, dtype=int) * 10
    confusion[7, 9] = 3
    names = [f"class {i}" for i in range(200)]
    found = report.Report("many", confusion=confusion, labels=names)
    shown = report.page(found)
    assert '<td>class 7</td><td>class 9</td><td class="n">3</td>' in shown
    assert 'class="hit"' not in shown
    right = report.page(report.Report("right", confusion=np.eye(3, dtype=int)))
    assert "Nothing is confused." in right and right.count('class="hit"') == 3


class Checker(html.parser.HTMLParser):
    """Tags that are closed in order, and what they refer to."""

    def __init__(self):
        super().__init__()
        self.open, self.references, self.tags = [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone(collected):
    labels = ["<script>alert(1)</script>", "b & b", '"c"', "d"]
    shown = report.page(report.Report(**{**vars(collected), "labels": labels}))
    checker = Checker()
    checker.feed(shown)
    assert not checker.open
    assert "script" not in checker.tags and "link" not in checker.tags
    assert checker.references and all(
        value.startswith("data:image/png;base64,") for value in checker.references
    )
    assert "default-src 'none'" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package chromium)")
def test_the_page_in_a_browser(trained, tmp_path):
    done = run("report", trained, "-o", tmp_path / "report.html", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / "report.html"), done.stderr

    def browse(*options):
        return subprocess.run(
            [
                CHROMIUM,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
                *("--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"),
                *(
                    "--enable-logging=stderr",
                    f"--log-net-log={tmp_path / 'net.json'}",
                    "--window-size=1200,4000",
                ),
                *options,
                (tmp_path / "report.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )

    seen = browse("--dump-dom")
    assert "CONSOLE" not in seen.stderr, "the browser complains of nothing"
    for section in ("curves", "confusion", "mistakes", "activations", "weights", "net"):
        assert f'<section id="{section}">' in seen.stdout
    shown = report.collect(trained)
    assert seen.stdout.count('class="mark threshold"') == 3
    assert seen.stdout.count('class="mistake"') == len(shown.mistakes)
    # What it draws of the net: a box for each layer but those that copy.
    assert seen.stdout.count('class="node ') == len([x for x in shown.summary.layers if x.type != "Split"])
    events = json.loads((tmp_path / "net.json").read_text())["events"]
    asked = [event["params"] for event in events if "url" in event.get("params", {})]
    # The browser itself asks for updates; what the page asks for says where it comes from.
    by_page = {
        params["url"] for params in asked if params.get("initiator", "not an origin") != "not an origin"
    }
    assert asked and not {url for url in by_page if not url.startswith(("file:", "data:"))}

    browse(f"--screenshot={tmp_path / 'page.png'}", "--hide-scrollbars")
    pixels = imageio.v3.imread(tmp_path / "page.png")[..., :3].reshape(-1, 3)
    colors = {tuple(color) for color in np.unique(pixels[::7], axis=0)}
    assert len(colors) > 50, "curves, bars and pictures are there"


def test_labels_name_classes(trained, tmp_path):
    (tmp_path / "labels.txt").write_text("ant\nbee\ncat\ndog\n")
    done = run("report", trained, "-labels", "labels.txt", "-iterations", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = (tmp_path / "report.html").read_text()
    assert "of 6 test images" in shown
    assert re.search(r"is (ant|bee|cat|dog)<", shown)
