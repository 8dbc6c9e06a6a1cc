"""Layers written in Python."""

import gc
import os
import subprocess
import sys
import traceback
import weakref

import numpy as np
import pytest

import caffe

MODULE = '''
import numpy as np

import caffe

made = []


class Scale(caffe.Layer):
    """y = factor * x + shift, with a learned shift."""

    def setup(self, bottom, top):
        made.append(self)
        self.factor = float(self.param_str)
        self.phase_at_setup = self.phase
        self.blobs.add_blob(1)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.factor * bottom[0].data + self.blobs[0].data[0]

    def backward(self, top, propagate_down, bottom):
        self.propagate_down = propagate_down
        self.blobs[0].diff[0] += top[0].diff.sum()
        if propagate_down[0]:
            bottom[0].diff[...] = self.factor * top[0].diff


class EuclideanLoss(caffe.Layer):
    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise Exception("Need two inputs to compute distance.")

    def reshape(self, bottom, top):
        self.difference = np.zeros_like(bottom[0].data)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.difference[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.difference**2) / bottom[0].num / 2.0

    def backward(self, top, propagate_down, bottom):
        for i, sign in ((0, 1), (1, -1)):
            if propagate_down[i]:
                bottom[i].diff[...] = sign * top[0].diff[0] * self.difference / bottom[i].num


class Breaks(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        raise LookupError("nothing here")


class OnlyForward(caffe.Layer):
    def forward(self, bottom, top):
        top[0].reshape(1)
        top[0].data[...] = 3


class Keeps(caffe.Layer):
    def setup(self, bottom, top):
        self.kept = bottom[0], top[0]

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data


class NoLayer:
    pass


class OwnInit(caffe.Layer):
    def __init__(self, param):
        self.before = param.name
        super().__init__(param)

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        top[0].data[...] = len(self.before)
'''

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "layers_of_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("layers_of_tests", None)
    import layers_of_tests

    yield layers_of_tests
    sys.modules.pop("layers_of_tests", None)


def make_net(tmp_path, body, phase=caffe.TRAIN, header="force_backward: true\n"):
    file = tmp_path / "net.prototxt"
    file.write_text(header + INPUT + body)
    return caffe.Net(file, phase)


def layer(name, bottoms="x", param_str="", tops="y"):
    blobs = "".join(f'bottom: "{b}" ' for b in bottoms.split()) + "".join(
        f'top: "{t}" ' for t in tops.split()
    )
    return (
        f'layer {{ name: "l" type: "Python" {blobs}'
        f'python_param {{ module: "layers_of_tests" layer: "{name}" param_str: "{param_str}" }} }}'
    )


def test_values_gradients_and_parameters(tmp_path, module):
    net = make_net(tmp_path, layer("Scale", param_str="2.5"))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    net.params["l"][0].data[...] = 10
    net.blobs["x"].data[...] = x
    np.testing.assert_allclose(net.forward()["y"], 2.5 * x + 10)
    net.blobs["y"].diff[...] = x
    net.backward()
    np.testing.assert_allclose(net.blobs["x"].diff, 2.5 * x)
    assert net.params["l"][0].diff[0] == 15


def test_the_object_is_the_layer(tmp_path, module):
    net = make_net(tmp_path, layer("Scale", param_str="1"), phase=caffe.TEST)
    (mine,) = module.made
    assert net.layers[1] is mine and net.layer_dict["l"] is mine
    assert isinstance(mine, caffe.Layer) and mine.type == "Python"
    assert mine.phase == mine.phase_at_setup == caffe.TEST
    assert mine.param_str == "1"
    assert mine.layer_param.name == "l"
    net.forward()
    net.backward()
    assert list(mine.propagate_down) == [True]


def test_a_net_reshapes_its_python_layers(tmp_path, module):
    net = make_net(tmp_path, layer("Scale", param_str="2"))
    net.blobs["x"].reshape(4, 5)
    net.blobs["x"].data[...] = 3
    assert net.forward()["y"].shape == (4, 5)


def test_a_loss_trains(tmp_path, module):
    net = tmp_path / "train.prototxt"
    net.write_text(
        'layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {'
        ' shape { dim: 10 dim: 3 } shape { dim: 10 dim: 2 } data_filler { type: "gaussian" std: 1 }'
        ' data_filler { type: "constant" value: 2 } } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "p" inner_product_param { num_output: 2'
        ' weight_filler { type: "xavier" } } }\n'
        + layer("EuclideanLoss", "p t", tops="loss").replace(
            'type: "Python"', 'type: "Python" loss_weight: 1'
        )
    )
    solver_file = tmp_path / "solver.prototxt"
    solver_file.write_text(
        f'net: "{net}" base_lr: 0.1 lr_policy: "fixed" max_iter: 60 display: 0 solver_mode: CPU'
        f' random_seed: 1 snapshot_after_train: false snapshot_prefix: "{tmp_path}/s"'
    )
    solver = caffe.get_solver(str(solver_file))
    solver.step(1)
    first = solver.net.blobs["loss"].data[0]
    solver.step(59)
    assert solver.net.blobs["loss"].data[0] < first / 50
    np.testing.assert_allclose(solver.net.params["ip"][1].data, 2, atol=0.2)


def test_exceptions_keep_type_and_traceback(tmp_path, module):
    net = make_net(tmp_path, layer("Breaks"))
    with pytest.raises(LookupError, match="nothing here") as caught:
        net.forward()
    shown = "".join(traceback.format_exception(caught.value))
    assert "layers_of_tests.py" in shown and 'raise LookupError("nothing here")' in shown
    assert "in layer 'l' (Python)" in caught.value.__notes__
    with pytest.raises(LookupError):  # the net goes on working
        net.forward()


def test_an_exception_in_setup_fails_the_net(tmp_path, module):
    with pytest.raises(Exception, match="Need two inputs"):
        make_net(tmp_path, layer("EuclideanLoss"))


def test_a_layer_may_be_forward_alone(tmp_path, module):
    net = make_net(tmp_path, layer("OnlyForward"))
    assert net.forward()["y"] == 3
    with pytest.raises(AttributeError, match="backward"):
        net.backward()


def test_a_layer_may_have_its_own_init(tmp_path, module):
    assert make_net(tmp_path, layer("OwnInit")).forward()["y"] == 1


def test_layers_and_blobs_outlive_the_net(tmp_path, module):
    net = make_net(tmp_path, layer("Keeps"))
    net.blobs["x"].data[...] = 4
    net.forward()
    kept = net.layer_dict["l"]
    del net
    gc.collect()
    bottom, top = kept.kept
    np.testing.assert_array_equal(top.data, np.full((2, 3), 4))
    np.testing.assert_array_equal(bottom.data, top.data)


def test_a_net_lets_its_layers_go(tmp_path, module):
    net = make_net(tmp_path, layer("Scale", param_str="1"))
    reference = weakref.ref(module.made.pop())
    gc.collect()
    assert reference() is not None, "the net keeps its layer"
    del net
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize(
    "body, error, message",
    [
        (layer("NoLayer"), TypeError, "no subclass of caffe.Layer"),
        (layer("made"), TypeError, "no subclass of caffe.Layer"),
        (layer("Missing"), AttributeError, "Missing"),
        (layer("Scale").replace("layers_of_tests", "no_such_module"), ImportError, "no_such_module"),
        ('layer { name: "l" type: "Python" bottom: "x" top: "y" }', caffe.Error, "python_param.module"),
        (layer("Scale", param_str="two"), ValueError, "two"),
    ],
)
def test_bad_definitions(tmp_path, module, body, error, message):
    with pytest.raises(error, match=message):
        make_net(tmp_path, body)


def test_the_command_shows_where_python_failed(tmp_path, module):
    net = tmp_path / "net.prototxt"
    net.write_text(INPUT + layer("Scale", param_str="two"))
    elsewhere = [path for path in sys.path if path != str(tmp_path)]
    command = [sys.executable, "-m", "caffe.cli", "time", "-model", str(net), "-iterations", "1"]

    def run(path):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        return subprocess.run(command, capture_output=True, text=True, env=env)

    failed = run([str(tmp_path), *elsewhere])
    assert failed.returncode == 1
    assert "could not convert string to float: 'two'" in failed.stderr
    assert "Traceback" in failed.stderr and "layers_of_tests.py" in failed.stderr
    missing = run(elsewhere)
    assert missing.returncode == 1
    assert "No module named 'layers_of_tests'" in missing.stderr
    assert "PYTHONPATH" in missing.stderr
