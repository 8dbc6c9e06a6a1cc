"""One net used from several threads at once: calls take turns, and nothing is lost or crashes."""

import threading

import numpy as np
import pytest

import caffe

NET = """
input: "data"
input_shape { dim: 4 dim: 3 dim: 16 dim: 16 }
force_backward: true
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "score"
  inner_product_param { axis: 2 num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
"""


@pytest.fixture
def net(tmp_path):
    file = tmp_path / "net.prototxt"
    file.write_text(NET)
    return caffe.Net(file, caffe.TEST)


def in_threads(*works, repeat=60):
    """Runs each work many times in a thread of its own; raises what any of them raises."""
    errors = []
    start = threading.Barrier(len(works))

    def run(work):
        start.wait()
        try:
            for i in range(repeat):
                work(i)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_each_thread_gets_the_results_of_its_own_inputs(net):
    inputs = [np.random.RandomState(i).randn(9, 3, 16, 16).astype(np.float32) for i in range(4)]
    expected = [net.forward_all(data=data)["score"] for data in inputs]

    def check(n):
        return lambda i: np.testing.assert_array_equal(net.forward_all(data=inputs[n])["score"], expected[n])

    in_threads(*(check(n) for n in range(4)), repeat=20)


def test_running_reshaping_and_reading_at_once(net, tmp_path):
    shapes = [(4, 3, 16, 16), (1, 3, 16, 16), (64, 3, 16, 16), (9, 3, 16, 16)]

    def reshape(i):
        net.blobs["data"].reshape(*shapes[i % 4])

    def run(i):
        net.forward()
        net.backward()

    def read(i):
        assert np.isfinite(net.blobs["conv"].data).all()
        assert net.blobs["conv"].diff.ndim == 4
        assert np.isfinite(net.params["conv"][0].data).all()

    def save(i):
        net.save(str(tmp_path / "net.caffemodel"))

    def reshape_all(i):
        net.reshape()

    in_threads(run, run, reshape, read, save, reshape_all)
    net.blobs["data"].reshape(2, 3, 16, 16)
    assert net.forward()["score"].shape[0] == 2


def test_reading_a_net_while_it_is_trained(tmp_path):
    net = tmp_path / "train.prototxt"
    net.write_text(
        'layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param {'
        " shape { dim: 32 dim: 20 } shape { dim: 32 }"
        " data_filler { type: 'gaussian' } data_filler { type: 'constant' value: 3 } } }"
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param {'
        " num_output: 50 weight_filler { type: 'xavier' } } }"
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
    )
    solver_file = tmp_path / "solver.prototxt"
    solver_file.write_text(
        f'net: "{net}" base_lr: 0.1 lr_policy: "fixed" max_iter: 100000 display: 0 solver_mode: CPU'
    )
    solver = caffe.get_solver(str(solver_file))
    solver.step(1)
    trainer = threading.Thread(target=solver.step, args=(500,))
    trainer.start()
    while trainer.is_alive():
        assert np.isfinite(solver.net.blobs["loss"].data)
        assert solver.net.params["ip"][0].data.shape == (50, 20)
    trainer.join()
    assert solver.iter == 501


def test_a_callback_may_use_its_net(net):
    seen = []
    net.after_forward(lambda layer: seen.append(net.blobs["conv"].data.shape))
    net.forward()
    assert seen == [(4, 8, 14, 14)] * len(net.layers)
