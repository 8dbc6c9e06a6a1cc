"""Many nets in many threads, nets by the thousand, and children of fork(): results, memory, and no hang."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

import caffe
from caffe import _caffe
from caffe._caffe import Database
from caffe.hwgq import PackedNet, pack
from caffe.io import array_to_datum

# Python 3.12 warns of what these tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


MIB = 2**20
INPUT = (
    'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 4 dim: 8 dim: 24 dim: 24 } } }'
)
DATA = """
layer { name: "in" type: "Data" top: "data" top: "label" data_param {
  source: "SOURCE" backend: LMDB batch_size: 4 } }
"""
LAYERS = """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 16 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "bn1" }
layer { name: "quant1" type: "Quant" bottom: "bn1" top: "quant1"
  quant_param { centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614 } }
layer { name: "conv2" type: "BinaryConvolution" bottom: "quant1" top: "conv2"
  convolution_param { num_output: 16 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } }
  binary_convolution_param { use_alpha: true } }
layer { name: "pool" type: "Pooling" bottom: "conv2" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "score"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
"""
LOSS = """
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
  include { phase: TRAIN } }
"""
RECORDS = 12


@pytest.fixture(autouse=True)
def quiet():
    """Thousands of nets would log their definitions."""
    caffe.init_log(2)


@pytest.fixture
def several_threads():
    """Loops run on three threads, however many processors there are."""
    before = _caffe.parallel_threads()
    _caffe.set_parallel_threads(3)
    yield
    _caffe.set_parallel_threads(before)


@pytest.fixture
def net_file(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text('name: "small" force_backward: true\n' + INPUT + LAYERS)
    return str(path)


@pytest.fixture
def data_file(tmp_path):
    """A net that trains and tests on the records 0 ... 11 of an LMDB, which hold their number."""
    with Database(tmp_path / "db", "new") as database:
        for number in range(RECORDS):
            values = np.full((8, 24, 24), number, np.uint8)
            database.put(f"{number:03}", array_to_datum(values, number % 5).SerializeToString())
        database.commit()
    path = tmp_path / "data.prototxt"
    path.write_text(DATA.replace("SOURCE", str(tmp_path / "db")) + LAYERS + LOSS)
    return str(path)


@pytest.fixture
def images_file(tmp_path):
    """A net of large images, which several threads decode."""
    rng = np.random.default_rng(0)
    for number in range(4):
        imsave(
            tmp_path / f"{number}.png", rng.integers(0, 256, (200, 200, 3), np.uint8), check_contrast=False
        )
    (tmp_path / "images.txt").write_text(
        "".join(f"{tmp_path}/{number}.png {number}\n" for number in range(4))
    )
    path = tmp_path / "images.prototxt"
    path.write_text(
        'layer { name: "in" type: "ImageData" top: "data" top: "label"'
        f' image_data_param {{ source: "{tmp_path}/images.txt" batch_size: 4 }} }}'
    )
    return str(path)


@pytest.fixture
def solver_file(tmp_path, data_file):
    path = tmp_path / "solver.prototxt"
    path.write_text(
        f'net: "{data_file}" test_iter: 1 test_interval: 1000 test_initialization: false base_lr: 0.01'
        ' momentum: 0.9 lr_policy: "fixed" max_iter: 100 random_seed: 7 display: 0 solver_mode: CPU'
        " snapshot_after_train: false"
    )
    return str(path)


@pytest.fixture
def packed_file(tmp_path, net_file):
    weights = tmp_path / "net.caffemodel"
    caffe.set_random_seed(1)
    net = caffe.Net(net_file, caffe.TEST)
    net.params["bn1"][2].data[...] = 1
    net.params["bn1"][1].data[...] = 1
    net.save(str(weights))
    pack(net_file, weights, tmp_path / "net.packed")
    return str(tmp_path / "net.packed")


def images(seed, number=4):
    return np.random.default_rng(seed).standard_normal((number, 8, 24, 24)).astype(np.float32)


def in_threads(number, work):
    """work(0) ... work(number - 1), each in a thread of its own, begun together; raises what one raises."""
    start = threading.Barrier(number)
    errors = []

    def run(index):
        try:
            start.wait()
            work(index)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# ------------------------------------------------------------------- threads


def trained_net(net_file, seed):
    """What a net gives that is made, run forward and run backward with one seed, in this thread."""
    caffe.set_random_seed(seed)
    net = caffe.Net(net_file, caffe.TRAIN)
    for i in range(3):
        score = net.forward(data=images(seed + i))["score"].copy()
        net.clear_param_diffs()
        net.backward(score=score)
    return [score, *(blob.diff.copy() for blobs in net.params.values() for blob in blobs)]


def test_many_nets_in_many_threads(net_file, several_threads):
    """Each has the weights of its own thread's seed, and computes what it computes alone."""
    # Its own number of threads, as sums depend on how loops are cut.
    expected = []
    for seed in range(16):
        in_threads(1, lambda _, seed=seed: expected.append(trained_net(net_file, seed)))

    def check(index):
        for found, wanted in zip(trained_net(net_file, index), expected[index], strict=True):
            np.testing.assert_array_equal(found, wanted)

    in_threads(16, check)
    assert not np.array_equal(expected[0][0], expected[1][0])


def test_a_packed_net_is_shared_by_32_threads(packed_file):
    net = PackedNet(packed_file, threads=2)
    batches = [images(index, 1 + index % 5) for index in range(32)]
    expected = [net.forward(batch, threads=1) for batch in batches]

    def run(index):
        out = np.empty_like(expected[index])
        for threads in (0, 1, 2, 3, 0):
            out[...] = np.nan
            assert net.forward(batches[index], out=out, threads=threads) is out
            np.testing.assert_array_equal(out, expected[index])

    in_threads(32, run)
    assert len({result.tobytes() for result in expected}) == 32


def test_many_nets_read_one_database(data_file):
    def read(index):
        net = caffe.Net(data_file, caffe.TRAIN if index % 2 else caffe.TEST)
        for batch in range(7):
            net.forward(end="in")
            numbers = net.blobs["data"].data[:, 0, 0, 0]
            np.testing.assert_array_equal(numbers, (np.arange(4) + 4 * batch) % RECORDS)

    in_threads(16, read)


def weights_of(solver):
    return [blob.data.copy() for blobs in solver.net.params.values() for blob in blobs]


def test_many_solvers_train_in_many_threads(solver_file):
    results = []

    def train(_):
        solver = caffe.get_solver(solver_file)
        solver.step(5)
        results.append(weights_of(solver))

    in_threads(1, train)
    in_threads(8, train)
    for weights in results[1:]:
        for found, wanted in zip(weights, results[0], strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_solver_goes_on_in_another_thread(solver_file):
    whole = caffe.get_solver(solver_file)
    whole.step(9)
    solver = caffe.get_solver(solver_file)
    for _ in range(3):
        in_threads(1, lambda _: solver.step(3))
    assert solver.iter == 9
    for found, wanted in zip(weights_of(solver), weights_of(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)


# -------------------------------------------------------------------- memory


def memory():
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count(folder):
    return len(os.listdir(f"/proc/self/{folder}"))


def run_net(file, phase):
    net = caffe.Net(file, phase)
    net.forward()
    net.backward()


def train(file):
    solver = caffe.get_solver(file)
    solver.step(2)
    solver.test_nets[0].forward()


def run_in_a_thread(file):
    in_threads(1, lambda _: run_net(file, caffe.TEST))


@pytest.fixture
def measurable():
    """Skips where memory that is free does not show."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("there is no /proc")
    if "libasan" in maps.read_text() or "libtsan" in maps.read_text():
        pytest.skip("sanitizers keep freed memory back")


# How many of each. The memory that they take would be a multiple of the bound, were it kept.
KINDS = {
    "nets to train": (2000, "net_file", lambda file: run_net(file, caffe.TRAIN)),
    "nets to test": (2000, "net_file", lambda file: run_net(file, caffe.TEST)),
    "nets to train with data": (600, "data_file", lambda file: run_net(file, caffe.TRAIN)),
    "nets to test with data": (600, "data_file", lambda file: caffe.Net(file, caffe.TEST).forward()),
    "nets that read ahead and never ran": (300, "data_file", lambda file: caffe.Net(file, caffe.TRAIN)),
    "solvers": (200, "solver_file", train),
    "packed nets": (2000, "packed_file", lambda file: PackedNet(file, threads=2).forward(images(0))),
    "threads": (300, "net_file", run_in_a_thread),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_dropped_leaves_nothing(kind, request, measurable, several_threads):
    number, fixture, make = KINDS[kind]
    file = request.getfixturevalue(fixture)
    for _ in range(max(number // 10, 30)):
        make(file)
    files, threads = count("fd"), count("task")
    # The allocator may take some more once; what is kept is so each time.
    for _ in range(3):
        before = memory()
        for _ in range(number):
            make(file)
        after = memory()
        print(f"{kind}: {number} made, {before / MIB:.1f} MiB before, {after / MIB:.1f} MiB after")
        if after - before < 12 * MIB:
            break
    assert after - before < 12 * MIB
    assert count("fd") == files
    # The system may count a thread that has ended for a moment.
    for _ in range(100):
        if count("task") <= threads:
            break
        time.sleep(0.01)
    assert count("task") <= threads


# ---------------------------------------------------------------------- fork

# A child that hangs is killed after so many seconds.
LIMIT = 30


def in_child(work):
    """Runs `work` in a child of fork(), which must come to its end without an error."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(LIMIT)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"signal {os.WTERMSIG(status)} ended the child: it hung, or crashed"
    assert os.WEXITSTATUS(status) == 0, "the child failed: see its error above"


def script(text, *arguments):
    """Runs a Python program of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *arguments],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=2 * LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fork_after_import(net_file):
    script(
        """
        import os, signal, sys
        import caffe
        child = os.fork()
        signal.alarm(30)
        net = caffe.Net(sys.argv[1], caffe.TEST)
        assert net.forward()["score"].shape == (4, 5)
        if child:
            assert os.waitpid(child, 0)[1] == 0
        """,
        net_file,
    )


def test_a_net_computes_the_same_in_a_child(net_file, several_threads):
    net = caffe.Net(net_file, caffe.TRAIN)
    data = images(3)

    def results():
        score = net.forward(data=data)["score"].copy()
        net.clear_param_diffs()
        net.backward(score=score)
        return [score, *(blob.diff.copy() for blobs in net.params.values() for blob in blobs)]

    expected = results()

    def check():
        for found, wanted in zip(results(), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)

    def check_twice():
        check()
        in_child(check)

    in_child(check_twice)
    check()


def test_other_threads_ran_nets_before_the_fork(net_file, several_threads):
    net = caffe.Net(net_file, caffe.TEST)
    data = images(4)
    expected = net.forward(data=data)["score"].copy()

    def check(_):
        np.testing.assert_array_equal(net.forward(data=data)["score"], expected)

    asleep, done = threading.Barrier(3), threading.Event()

    def run_and_wait():
        check(0)
        asleep.wait()
        done.wait()

    threads = [threading.Thread(target=run_and_wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    asleep.wait()
    try:
        in_child(lambda: in_threads(4, check))
        in_threads(2, lambda _: in_child(lambda: check(0)))
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_packed_net_computes_the_same_in_a_child(packed_file):
    net = PackedNet(packed_file, threads=3)
    expected = net.forward(images(5))

    def check(_=0):
        np.testing.assert_array_equal(net.forward(images(5)), expected)
        np.testing.assert_array_equal(PackedNet(packed_file, threads=2).forward(images(5)), expected)

    in_child(check)
    in_child(lambda: in_threads(4, check))
    check()


def test_processes_of_multiprocessing_share_a_net(net_file, packed_file, several_threads):
    net, packed = caffe.Net(net_file, caffe.TEST), PackedNet(packed_file, threads=2)

    def compute(seed):
        return net.forward(data=images(seed))["score"].copy(), packed.forward(images(seed))

    expected = [compute(seed) for seed in range(6)]
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def work(seeds):
        signal.alarm(LIMIT)
        for seed in seeds:
            results.put((seed, compute(seed)))

    processes = [context.Process(target=work, args=(seeds,)) for seeds in ((0, 1, 2), (3, 4, 5))]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for _ in expected:
        seed, found = results.get()
        for mine, wanted in zip(found, expected[seed], strict=True):
            np.testing.assert_array_equal(mine, wanted)


@pytest.mark.parametrize("kind", ["data_file", "images_file"])
def test_a_net_that_reads_ahead_is_made_anew_in_a_child(kind, request, several_threads):
    file = request.getfixturevalue(kind)
    net = caffe.Net(file, caffe.TRAIN)

    def read(reader):
        reader.forward(end="in")
        return reader.blobs["data"].data.copy()

    first = read(net)

    def work():
        nonlocal net
        for _ in range(5):
            with pytest.raises(caffe.Error, match="make the net after the fork") as error:
                net.forward()
            assert error.value.layer_name == "in"
        other = caffe.Net(file, caffe.TRAIN)
        np.testing.assert_array_equal(read(other), first)
        net = None
        gc.collect()
        read(other)

    in_child(work)
    in_child(work)
    expected = caffe.Net(file, caffe.TRAIN)
    read(expected)
    for _ in range(8):
        np.testing.assert_array_equal(read(net), read(expected))


def test_a_child_leaves_its_parents_place_among_the_readers(data_file, tmp_path):
    """Another process that writes must still see that the parent reads: it would reuse what is read."""
    net = caffe.Net(data_file, caffe.TRAIN)

    def drop():
        nonlocal net
        net = None
        gc.collect()

    def readers():
        # The table of readers follows a header of two cache lines: number of transaction, process.
        table = np.fromfile(tmp_path / "db/lock.mdb", np.uint8)[128:]
        rows = table[: len(table) // 64 * 64].reshape(-1, 64)
        transactions = rows[:, :8].copy().view(np.uint64).ravel()
        processes = rows[:, 8:12].copy().view(np.int32).ravel()
        return transactions[processes == os.getpid()].tolist()

    before = readers()
    assert before
    in_child(drop)
    assert readers() == before
    net.forward()


def test_children_that_end_without_closing_do_not_use_up_the_readers(data_file, tmp_path):
    """An LMDB has places for 126."""
    net = caffe.Net(data_file, caffe.TRAIN)

    def look():
        items = Database(tmp_path / "db", "read").items()
        assert next(items)[0] == b"000"
        os._exit(0)

    for _ in range(130):
        in_child(look)
    net.forward()


def test_a_leveldb_belongs_to_the_parent(tmp_path):
    with Database(tmp_path / "db", "new", "leveldb") as database:
        database.put("a", b"1")
        database.commit()
    database = Database(tmp_path / "db", "read", "leveldb")
    assert list(database.items()) == [(b"a", b"1")]

    def look():
        with pytest.raises(caffe.Error, match="cannot open the LevelDB .*db': .*lock"):
            Database(tmp_path / "db", "read", "leveldb")
        database.close()

    in_child(look)
    assert list(database.items()) == [(b"a", b"1")]


def test_a_solver_goes_on_in_a_child_with_a_net_without_data_layers(tmp_path, net_file, several_threads):
    definition = tmp_path / "dummy.prototxt"
    definition.write_text(
        'layer { name: "in" type: "DummyData" top: "data" top: "label" dummy_data_param {'
        " shape { dim: 4 dim: 8 dim: 24 dim: 24 } shape { dim: 4 }"
        ' data_filler { type: "uniform" min: -1 max: 1 } data_filler { type: "constant" value: 2 } } }'
        + LAYERS
        + LOSS
    )
    file = tmp_path / "dummy_solver.prototxt"
    file.write_text(
        f'net: "{definition}" base_lr: 0.01 momentum: 0.9 lr_policy: "fixed" max_iter: 100 random_seed: 7'
        " display: 0 solver_mode: CPU snapshot_after_train: false"
    )
    whole = caffe.get_solver(str(file))
    whole.step(6)
    expected = weights_of(whole)
    solver = caffe.get_solver(str(file))
    solver.step(3)

    def go_on():
        solver.step(3)
        for found, wanted in zip(weights_of(solver), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)

    in_child(go_on)
    go_on()


def test_a_child_that_ends_as_programs_do(data_file):
    """With Python's own end, which drops what is left, and none of the parent's threads there to wait for."""
    script(
        """
        import os, signal, sys
        import caffe
        nets = [caffe.Net(sys.argv[1], phase) for phase in (caffe.TRAIN, caffe.TEST)]
        for net in nets:
            net.forward()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        for net in nets:
            net.forward()
        """,
        data_file,
    )
