"""Solvers from Python."""

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import caffe

NET = """
name: "regression"
layer { name: "data" type: "DummyData" top: "data" top: "target" dummy_data_param {
  shape { dim: 8 dim: 3 } shape { dim: 8 dim: 1 }
  data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 1 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "target" top: "loss" }
"""
TYPES = {
    "SGD": "momentum: 0.9",
    "Nesterov": "momentum: 0.9",
    "AdaGrad": "",
    "RMSProp": "rms_decay: 0.9",
    "AdaDelta": "momentum: 0.9",
    "Adam": "momentum: 0.9",
}


@pytest.fixture
def make(tmp_path):
    """Writes a solver; returns its file."""

    def make(extra="", **fields):
        (tmp_path / "net.prototxt").write_text(NET)
        settings = dict(
            base_lr=0.05,
            lr_policy='"fixed"',
            max_iter=20,
            random_seed=1,
            display=0,
            snapshot_after_train="false",
        )
        settings.update(fields)
        lines = [f"{name}: {value}" for name, value in settings.items()]
        path = tmp_path / "solver.prototxt"
        path.write_text(
            f'net: "{tmp_path}/net.prototxt" snapshot_prefix: "{tmp_path}/snap" solver_mode: CPU {extra}\n'
            + "\n".join(lines)
        )
        return path

    return make


def weights(solver):
    return np.concatenate([blob.data.ravel() for blob in solver.net.params["ip"]])


@pytest.mark.parametrize("name", TYPES)
def test_every_type(make, name):
    path = make(f'type: "{name}" {TYPES[name]}')
    solver = caffe.get_solver(str(path))
    assert type(solver).__name__ == f"{name}Solver"
    assert isinstance(solver, caffe.SGDSolver)
    assert solver.type == name
    before = weights(solver)
    solver.step(5)
    assert solver.iter == 5
    assert (weights(solver) != before).any()
    same = getattr(caffe, f"{name}Solver")(path)
    same.step(5)
    np.testing.assert_array_equal(weights(same), weights(solver))


def test_training_lowers_the_loss(make):
    solver = caffe.SGDSolver(make("momentum: 0.5", max_iter=200))
    solver.solve()
    assert solver.iter == 200
    assert float(solver.net.blobs["loss"].data) < 1e-3
    np.testing.assert_allclose(weights(solver), [0, 0, 0, 2], atol=0.1)


def test_the_rate_and_parameters(make):
    solver = caffe.get_solver(make("gamma: 0.1 stepsize: 3", lr_policy='"step"'))
    assert solver.lr == pytest.approx(0.05)
    solver.step(3)
    assert solver.lr == pytest.approx(0.005)
    assert (solver.param.max_iter, solver.param.display, solver.param.layer_wise_reduce) == (20, 0, True)
    solver.param.base_lr = 1
    assert solver.param.base_lr == 1
    assert solver.lr == pytest.approx(0.1)


def test_an_update_by_hand(make):
    solver = caffe.get_solver(make())
    net = solver.net
    net.clear_param_diffs()
    net.forward()
    net.backward()
    before = weights(solver)
    gradient = np.concatenate([blob.diff.ravel() for blob in net.params["ip"]])
    solver.apply_update()
    np.testing.assert_allclose(weights(solver), before - 0.05 * gradient, rtol=1e-5)
    assert solver.iter == 0


def test_test_nets_share_the_weights(make):
    solver = caffe.get_solver(make("test_iter: 2 test_interval: 5"))
    assert len(solver.test_nets) == 1
    solver.step(6)
    # Shared when it was tested at iteration 5, and trained on since.
    assert np.shares_memory(solver.test_nets[0].params["ip"][0].data, solver.net.params["ip"][0].data)
    assert solver.test_nets[0].blobs["loss"].data.shape == ()


def test_nets_are_the_same_objects_each_time(make):
    solver = caffe.get_solver(make("test_iter: 2 test_interval: 5"))
    assert solver.net is solver.net
    assert solver.test_nets[0] is solver.test_nets[0]
    # So that what is kept with them stays.
    calls = []
    solver.net.before_forward(calls.append)
    gc.collect()
    solver.step(1)
    assert calls == [0, 1, 2]


def test_a_net_outlives_its_solver(make):
    net = caffe.get_solver(make()).net
    gc.collect()
    net.forward()
    assert net.params["ip"][0].data.shape == (1, 3)


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_snapshot_and_restore(make, tmp_path, form):
    path = make("momentum: 0.9", snapshot_format=form)
    solver = caffe.get_solver(path)
    solver.step(4)
    solver.snapshot()
    ending = ".h5" if form == "HDF5" else ""
    state = tmp_path / f"snap_iter_4.solverstate{ending}"
    assert (tmp_path / f"snap_iter_4.caffemodel{ending}").exists()
    other = caffe.get_solver(path)
    other.restore(state)
    assert other.iter == 4
    np.testing.assert_array_equal(weights(other), weights(solver))
    caffe.set_random_seed(7)
    solver.step(3)
    caffe.set_random_seed(7)
    other.step(3)
    np.testing.assert_array_equal(weights(other), weights(solver))
    third = caffe.get_solver(path)
    third.solve(str(state))
    assert third.iter == 20


def test_weights_can_be_shared(make):
    one, other = caffe.get_solver(make()), caffe.get_solver(make())
    other.share_weights(one.net)
    one.net.params["ip"][0].data[...] = 7
    assert (other.net.params["ip"][0].data == 7).all()


def test_callbacks(make):
    solver = caffe.get_solver(make("iter_size: 2"))
    calls = []
    solver.add_callback(
        lambda: calls.append(("start", solver.iter)), lambda: calls.append(("gradients", solver.iter))
    )
    gc.collect()
    solver.step(2)
    assert calls == [("start", 0), ("gradients", 0), ("start", 1), ("gradients", 1)]


def test_an_error_of_a_callback_stops_the_training(make):
    solver = caffe.get_solver(make())

    def fail():
        raise ZeroDivisionError("on purpose")

    solver.add_callback(lambda: None, fail)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        solver.solve()
    assert solver.iter == 0


def test_a_callback_that_knows_its_solver_does_not_keep_it(make):
    solver = caffe.get_solver(make())
    solver.add_callback(lambda solver=solver: None, lambda: None)
    solver.step(1)
    gone = weakref.ref(solver)
    del solver
    gc.collect()
    assert gone() is None


def test_an_interrupt_ends_training_after_the_iteration(make):
    solver = caffe.get_solver(make(max_iter=10**9))
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        solver.solve()
    timer.join()
    stopped = solver.iter
    assert stopped > 0
    # The solver is whole, and goes on.
    solver.step(5)
    assert solver.iter == stopped + 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_from_outside(make, tmp_path):
    code = (
        "import caffe, sys\n"
        "solver = caffe.get_solver(sys.argv[1])\n"
        "say = lambda: solver.iter == 3 and print('training', flush=True)\n"
        "solver.add_callback(say, lambda: None)\n"
        "try: solver.solve()\n"
        "except KeyboardInterrupt: print('interrupted at', solver.iter >= 3)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(make(max_iter=2 * 10**9))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert child.stdout.readline() == "training\n"
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=60)[0] == "interrupted at True\n"
    finally:
        child.kill()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ('type: "SGDD"', ["SGDD", "SGD"]),
        ('type: "Adam" train_net: "x"', ["net", "train_net"]),
        ("iter_size: 0", ["iter_size"]),
        ("test_iter: 1", ["test_interval"]),
        ('weights: "none.caffemodel"', ["none.caffemodel"]),
        ("snapshot: 1 colour: 3", ["colour", "solver.prototxt"]),
    ],
)
def test_bad_solvers(make, extra, words):
    with pytest.raises(caffe.Error) as caught:
        caffe.get_solver(make(extra))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", TYPES)
def test_parameters_reshaped_behind_the_solvers_back(make, name):
    solver = caffe.get_solver(make(f'type: "{name}" {TYPES[name]}'))
    solver.step(1)
    solver.net.params["ip"][0].reshape(2000, 2000)
    with pytest.raises(caffe.Error, match="parameter 0 now has the shape 2000 2000"):
        solver.step(1)
    solver.net.params["ip"][0].reshape(1, 3)
    solver.step(1)
    assert solver.iter == 2


def test_a_policy_that_is_unknown(make):
    with pytest.raises(caffe.Error, match="stairs"):
        caffe.get_solver(make(lr_policy='"stairs"')).step(1)


def test_a_snapshot_prefix_that_cannot_be_written(make, tmp_path):
    path = make(snapshot=1)
    path.write_text(path.read_text().replace(f"{tmp_path}/snap", f"{tmp_path}/no/such/snap"))
    with pytest.raises(caffe.Error, match="no/such"):
        caffe.get_solver(path)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.9])
def test_damaged_states_change_nothing(make, tmp_path, part):
    solver = caffe.get_solver(make("momentum: 0.9"))
    solver.step(3)
    solver.snapshot()
    state = tmp_path / "snap_iter_3.solverstate"
    whole = state.read_bytes()
    state.write_bytes(whole[: int(len(whole) * part)])
    solver.step(1)
    before = weights(solver)
    with pytest.raises(caffe.Error, match="snap_iter_3.solverstate"):
        solver.restore(state)
    assert solver.iter == 4
    np.testing.assert_array_equal(weights(solver), before)


def test_a_loss_that_is_no_number_is_said_once(make, tmp_path):
    path = make(base_lr="1e30", max_iter=10)
    done = subprocess.run(
        [sys.executable, "-c", "import caffe, sys; caffe.get_solver(sys.argv[1]).solve()", str(path)],
        env={**os.environ, "GLOG_minloglevel": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len([line for line in done.stderr.splitlines() if "training has diverged" in line]) == 1
