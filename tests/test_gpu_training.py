"""Training on a GPU takes the course that it takes on the CPU: losses of HWGQ nets on images made up here."""

import numpy as np
import pytest
from google.protobuf import text_format

import caffe
from caffe import _caffe
from caffe.proto import caffe_pb2


def has_gpu():
    try:
        return _caffe.device_count() > 0
    except caffe.Error:
        return False


needs_gpu = pytest.mark.skipif(not has_gpu(), reason="there is no GPU that this build can use")

LENET = "examples/mnist/lenet-hwgq-3ne/train_val.prototxt"
VGG = "examples/cifar10/vgg-hwgq-3ne-clip-poly/train_val.prototxt"
CLASSES = 10
STEPS = 24


def make_images(path, channels, size):
    """An LMDB of noisy images, each class with a pattern of its own."""
    random = np.random.default_rng(1)
    patterns = random.integers(0, 2, (CLASSES, channels, size // 4, size // 4)).repeat(4, 2).repeat(4, 3)
    with _caffe.Database(path, "new") as database:
        for number in range(400):
            pattern = patterns[number % CLASSES]
            image = 70 + 100 * pattern + random.normal(0, 40, pattern.shape)
            datum = caffe_pb2.Datum(
                channels=channels,
                height=size,
                width=size,
                label=number % CLASSES,
                data=image.clip(0, 255).astype(np.uint8).tobytes(),
            )
            database.put(f"{number:05}", datum.SerializeToString())
        database.commit()
    return path


def training_net(file, images, batch_size, shrink):
    """A released net for training, with fewer channels, on these images."""
    net = text_format.Parse(file.read_text(), caffe_pb2.NetParameter())
    for layer in list(net.layer):
        if layer.type == "Accuracy" or caffe_pb2.TEST in [rule.phase for rule in layer.include]:
            net.layer.remove(layer)
        elif layer.type == "Data":
            layer.data_param.source = str(images)
            layer.data_param.batch_size = batch_size
            layer.transform_param.Clear()
            layer.transform_param.scale = 1 / 256
        elif layer.name not in ("ip2", "fc4"):  # The classes stay.
            for param in (layer.convolution_param, layer.inner_product_param):
                if param.num_output:
                    param.num_output //= shrink
    return net


def apart(net):
    """The net with a top of its own for each layer that works in place: other memory may be reused then."""
    net = caffe_pb2.NetParameter.FromString(net.SerializeToString())
    newest = {}
    for layer in net.layer:
        in_place = set(layer.bottom) & set(layer.top)
        layer.bottom[:] = [newest.get(name, name) for name in layer.bottom]
        newest |= {name: f"{name}_{layer.name}" for name in in_place}
        layer.top[:] = [newest.get(name, name) for name in layer.top]
    return net


def train(net, steps=STEPS, gpu=False, reuses_memory=False):
    """Losses, and how the first step changed each parameter, from the same weights and images each time."""
    param = caffe_pb2.SolverParameter(
        net_param=net,
        base_lr=0.01,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=0.0005,
        max_iter=steps,
        random_seed=3,
        solver_mode=caffe_pb2.SolverParameter.GPU if gpu else caffe_pb2.SolverParameter.CPU,
    )
    if gpu:
        caffe.set_device(0)
        caffe.set_mode_gpu()
    try:
        solver = _caffe.get_solver_from_bytes(param.SerializeToString())
        solver.net.reuses_memory = reuses_memory
        before = values_of(solver.net)
        losses, changes = [], {}
        for _ in range(steps):
            solver.step(1)
            losses.append(float(solver.net.blobs["loss"].data))
            changes = changes or {name: now - before[name] for name, now in values_of(solver.net).items()}
        return np.array(losses), changes
    finally:
        caffe.set_mode_cpu()


def values_of(net):
    return {
        f"{name}[{i}]": blob.data.copy() for name, blobs in net.params.items() for i, blob in enumerate(blobs)
    }


# Sums that are rounded otherwise move some value over a threshold sooner or later. Its code is another one
# then, and from there on two trainings go different ways to the same end. So what is compared is how the
# first step changes each parameter, by the norm of the difference, and of the losses the means of eight. The
# tolerances are about twice what 30 trainings showed whose first weights differed by a millionth, ten times
# what rounding makes of them. A gradient that is wrong by a factor of 0.8 or 1.2 changes a parameter by 0.2
# more or less, and one of garbage shows in both.
STEP_ALIKE = 0.1
MEANS_ALIKE = {"lenet": 0.06, "vgg": 0.12}
MEAN_OF = 8


def expect_same_step(changes, expected):
    for name, change in expected.items():
        assert np.linalg.norm(changes[name] - change) <= STEP_ALIKE * np.linalg.norm(change), name


def expect_alike(results, expected, means_alike):
    expect_same_step(results[1], expected[1])
    means, expected_means = (losses.reshape(-1, MEAN_OF).mean(axis=1) for losses, _ in (results, expected))
    np.testing.assert_allclose(means, expected_means, rtol=0, atol=means_alike)


@pytest.fixture(scope="module")
def lenet(root, tmp_path_factory):
    """LeNet-HWGQ with fewer channels, and its training on the CPU."""
    images = make_images(tmp_path_factory.mktemp("lenet") / "lmdb", 1, 28)
    return trained_on_cpu(training_net(root / LENET, images, batch_size=16, shrink=4))


@pytest.fixture(scope="module")
def vgg(root, tmp_path_factory):
    """The VGG of CIFAR-10, likewise: six layers of codes, one behind the other."""
    images = make_images(tmp_path_factory.mktemp("vgg") / "lmdb", 3, 32)
    return trained_on_cpu(training_net(root / VGG, images, batch_size=8, shrink=16))


def trained_on_cpu(net):
    losses, changes = train(net)
    assert losses[0] > 2 and losses[-MEAN_OF:].mean() < 0.6, "it learns"
    return net, (losses, changes)


@needs_gpu
# `caffe train` reuses memory. An emulated GPU takes half a minute for the VGG.
@pytest.mark.parametrize("name, reuses_memory", [("lenet", False), ("lenet", True), ("vgg", True)])
def test_nets_learn_as_on_the_cpu(request, name, reuses_memory):
    net, expected = request.getfixturevalue(name)
    expect_alike(train(net, gpu=True, reuses_memory=reuses_memory), expected, MEANS_ALIKE[name])


@needs_gpu
@pytest.mark.parametrize("reuses_memory", [False, True])
def test_a_net_that_works_nowhere_in_place_has_the_same_gradients(lenet, reuses_memory):
    net, (_, expected) = lenet
    _, changes = train(apart(net), steps=1, gpu=True, reuses_memory=reuses_memory)
    expect_same_step(changes, expected)


@pytest.mark.parametrize("factor", [0.8, 1.2, -1])
@pytest.mark.parametrize("layer", ["conv1", "conv2", "ip1", "ip2"])
def test_a_wrong_gradient_is_told(lenet, layer, factor):
    wrong = caffe_pb2.NetParameter.FromString(lenet[0].SerializeToString())
    for param in next(one.param for one in wrong.layer if one.name == layer):
        param.lr_mult *= factor
    with pytest.raises(AssertionError, match=layer):
        expect_alike(train(wrong), lenet[1], MEANS_ALIKE["lenet"])
