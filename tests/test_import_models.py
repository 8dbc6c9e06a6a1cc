"""Models that PyTorch exports, by both of its exporters, and what can be done with them then."""

import warnings

import numpy as np
import pytest
from onnx_graphs import compare, normal, onnx

import caffe
from caffe.hwgq import PackedNet, binarize, pack
from caffe.importer import from_onnx, low_bit_net
from caffe.proto import caffe_pb2

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  (needs PyTorch)
from torch.nn import functional as F  # noqa: E402


class Residual(nn.Module):
    """A block of ResNet, with a projection where the shape changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.layer1(self.maxpool(F.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Vgg(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(True),
            nn.MaxPool2d(2, 2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * 8 * 8, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 10)
        )

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))


class Inverted(nn.Module):
    """A block of MobileNet."""

    def __init__(self, inputs, outputs, stride, function):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(inputs, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            function(),
            nn.Conv2d(16, 16, 3, stride, 1, groups=16, bias=False),
            nn.BatchNorm2d(16),
            function(),
            nn.Conv2d(16, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.block(x) if self.adds else self.block(x)


class Squeeze(nn.Module):
    """Squeeze and excitation: a factor for each channel."""

    def __init__(self, channels):
        super().__init__()
        self.down = nn.Conv2d(channels, 4, 1)
        self.up = nn.Conv2d(4, channels, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.blocks = nn.Sequential(
            Inverted(8, 8, 1, nn.ReLU6),
            Squeeze(8),
            Inverted(8, 12, 2, nn.Hardswish),
            Inverted(12, 12, 1, nn.SiLU),
        )
        self.classifier = nn.Linear(12, 10)

    def forward(self, x):
        return self.classifier(self.blocks(self.stem(x)).mean([2, 3]))


class Inception(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.one = nn.Conv2d(inputs, 4, 1)
        self.three = nn.Sequential(nn.Conv2d(inputs, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1))
        self.five = nn.Sequential(nn.Conv2d(inputs, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 5, padding=2))
        self.pool = nn.Conv2d(inputs, 2, 1)

    def forward(self, x):
        pooled = self.pool(F.max_pool2d(x, 3, 1, 1))
        return torch.cat([F.relu(y) for y in (self.one(x), self.three(x), self.five(x), pooled)], 1)


class GoogleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3)
        self.inception1 = Inception(8)
        self.inception2 = Inception(16)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2, ceil_mode=True)
        x = self.inception2(F.max_pool2d(self.inception1(F.local_response_norm(x, 5)), 3, 2, ceil_mode=True))
        x = F.avg_pool2d(x, 3, 1, 1)
        return F.softmax(self.fc(F.dropout(x.mean((2, 3)), 0.4, self.training)), 1)


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 4 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(8 + 4 * i, 4, 3, 1, 1, bias=False) for i in range(3))
        self.norm = nn.BatchNorm2d(20)
        self.transition = nn.Conv2d(20, 10, 1)
        self.classifier = nn.Linear(10, 10)

    def forward(self, x):
        x = self.conv0(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(F.leaky_relu(norm(x), 0.1))], 1)
        x = F.avg_pool2d(self.transition(F.elu(self.norm(x))), 2, 2)
        return self.classifier(F.adaptive_max_pool2d(x, 1).reshape(x.shape[0], 10))


class UNet(nn.Module):
    """An encoder and a decoder, with a connection between them."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1)
        self.slope = nn.PReLU(8)
        self.up = nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1)
        self.end = nn.Conv2d(9 + 8, 2, 1)

    def forward(self, x):
        y = self.slope(self.down(F.pad(x, (1, 0, 1, 0))[:, :, 1:, 1:] * 0.5 - 0.1))
        enlarged = F.interpolate(y, scale_factor=2, mode="nearest")
        return torch.sigmoid(self.end(torch.cat([x, torch.tanh(self.up(y)), enlarged], 1)))


MODELS = [ResNet, Vgg, MobileNet, GoogleNet, DenseNet, UNet]


def randomized(module):
    torch.manual_seed(5)
    module = module()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.normal_(0, 0.2)
    return module.eval()


def exported(module, path, dynamo, batch_is_free=True, **options):
    """Exports by one of PyTorch's exporters; returns an example of the input and the output."""
    example = torch.from_numpy(normal(2, 3, 32, 32))
    free = {}
    if batch_is_free:
        free = (
            {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
            if dynamo
            else {"dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}}}
        )
    if dynamo:
        pytest.importorskip("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            str(path),
            input_names=["x"],
            output_names=["y"],
            dynamo=dynamo,
            **free,
            **options,
        )
    with torch.no_grad():
        return example.numpy(), module(example).numpy()


@pytest.mark.parametrize("module", MODELS)
@pytest.mark.parametrize("dynamo", [False, True])
def test_exports_of_pytorch(module, dynamo, tmp_path):
    module = randomized(module)
    x, y = exported(module, tmp_path / "model.onnx", dynamo)
    imported = from_onnx(tmp_path / "model.onnx", batch=2)
    made = onnx.load(tmp_path / "model.onnx")
    net = compare(imported, made, {"x": x})
    np.testing.assert_allclose(net.blobs["y"].data, y, rtol=1e-3, atol=1e-4)
    # The batch is free in the net, too.
    net.blobs["x"].reshape(5, 3, 32, 32)
    net.reshape()
    assert net.forward()["y"].shape == (5, *y.shape[1:])
    for path in imported.save(tmp_path / "model"):
        assert path.exists()
    again = caffe.Net(
        str(tmp_path / "model.prototxt"), caffe.TEST, weights=str(tmp_path / "model.caffemodel")
    )
    np.testing.assert_allclose(again.forward(x=x)["y"], y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dynamo", [False, True])
def test_layers_are_named_as_modules(dynamo, tmp_path):
    # In evaluation the exporters fold batch normalizations into convolutions.
    options = {} if dynamo else {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    module = randomized(Vgg)
    exported(module, tmp_path / "vgg.onnx", dynamo, **options)
    imported = from_onnx(tmp_path / "vgg.onnx")
    named = {"features.0", "features.3", "classifier.0", "classifier.3"}
    assert set(imported.parameters) == named
    # So that the module takes its weights back.
    from caffe.hwgq.torch import load_caffemodel

    imported.save(tmp_path / "vgg")
    other = Vgg().eval()
    load_caffemodel(other, tmp_path / "vgg.caffemodel")
    x = torch.from_numpy(normal(1, 3, 32, 32))
    torch.testing.assert_close(other(x), module(x))


class Sequences(nn.Module):
    """A classifier of sequences of words, by the last state."""

    def __init__(self, layers):
        super().__init__()
        self.words = nn.Embedding(20, 6)
        self.steps = nn.LSTM(6, 4, layers)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        y, (h, _) = self.steps(self.words(x))
        return self.fc(y[-1] + h[-1])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("dynamo", [False, True])
def test_sequences(layers, dynamo, tmp_path):
    torch.manual_seed(3)
    module = Sequences(layers).eval()
    words = torch.randint(0, 20, (5, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (words,), str(tmp_path / "net.onnx"), dynamo=dynamo, input_names=["x"], output_names=["y"]
        )
    imported = from_onnx(tmp_path / "net.onnx")
    types = [layer.type for layer in imported.definition.layer]
    assert types.count("LSTM") == layers and types.count("Embed") == 1
    net = imported.net()
    for _ in range(2):
        found = net.forward(x=words.numpy().astype(np.float32))["y"]
        np.testing.assert_allclose(found, module(words).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert imported.check(tmp_path / "net.onnx")[0].largest < 1e-5


def test_what_caffe_cannot_express_is_named_node_by_node(tmp_path):
    class Strange(nn.Module):
        def forward(self, x):
            a = F.gelu(x)
            b = F.conv2d(x, x[:1, :, :3, :3])
            return (
                a.sum()
                + torch.cumsum(b, 1).mean()
                + F.interpolate(x, scale_factor=1.5, mode="bilinear").sum()
            )

    exported(Strange(), tmp_path / "strange.onnx", False, batch_is_free=False)
    with pytest.raises(ValueError) as raised:
        from_onnx(tmp_path / "strange.onnx")
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/strange.onnx: Caffe cannot express ")
    for part in ("(Gelu)", "(CumSum)", "(Conv): its weights are not constant", "(Resize)"):
        assert part in message, part


def patterns(count, seed):
    """Images of four patterns in noise, and which it is."""
    rng = np.random.RandomState(seed)
    kinds = np.random.RandomState(50).randn(4, 3, 32, 32)
    labels = rng.randint(0, 4, count)
    return np.float32(kinds[labels] + rng.randn(count, 3, 32, 32)), labels


def training_net(net, batch):
    """The definition with labels and a loss, in place of what it ends with."""
    text = caffe_pb2.NetParameter()
    text.CopyFrom(net)
    text.layer[0].input_param.shape[0].dim[0] = batch
    text.layer.add(name="label", type="Input", top=["label"], input_param={"shape": [{"dim": [batch]}]})
    text.layer.add(name="loss", type="SoftmaxWithLoss", bottom=["y", "label"], top=["loss"])
    return str(text)


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_network_trained_elsewhere_is_binarized_finetuned_and_packed(dynamo, tmp_path):
    torch.manual_seed(3)
    module = ResNet()
    module.fc = nn.Linear(16, 4)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    images, labels = patterns(128, 1)
    for _ in range(4):
        for first in range(0, 128, 16):
            chosen = slice(first, first + 16)
            loss = F.cross_entropy(module(torch.from_numpy(images[chosen])), torch.from_numpy(labels[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    module.eval()
    options = (
        {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False} if not dynamo else {}
    )
    exported(module, tmp_path / "trained.onnx", dynamo, **options)
    imported = from_onnx(tmp_path / "trained.onnx")
    imported.save(tmp_path / "trained")
    low_bit = low_bit_net(imported.definition)
    types = [layer.type for layer in low_bit.layer]
    assert types.count("BinaryConvolution") == 5 and types.count("Quant") == 4
    assert types.count("Convolution") == 1 and types.count("InnerProduct") == 1
    (tmp_path / "low.prototxt").write_text(str(low_bit))
    (tmp_path / "train.prototxt").write_text(training_net(low_bit, 16))
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/train.prototxt" weights: "{tmp_path}/trained.caffemodel" random_seed: 3 '
        'solver_mode: CPU max_iter: 99 base_lr: 0.02 momentum: 0.9 lr_policy: "step" gamma: 0.1 stepsize: 40'
    )
    solver = caffe.get_solver(str(tmp_path / "solver.prototxt"))
    losses = []
    for step in range(80):
        chosen = np.arange(step * 16, step * 16 + 16) % 128
        solver.net.blobs["x"].data[...] = images[chosen]
        solver.net.blobs["label"].data[...] = labels[chosen]
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) / 2
    weights = str(tmp_path / "low.caffemodel")
    solver.net.save(weights)
    test_images, test_labels = patterns(64, 2)
    scores = caffe.Net(str(tmp_path / "low.prototxt"), caffe.TEST, weights=weights).forward_all(
        x=test_images
    )["y"]
    assert (scores.argmax(1) == test_labels).mean() > 0.8
    pack(tmp_path / "low.prototxt", weights, tmp_path / "low.hwgq")
    packed = PackedNet(tmp_path / "low.hwgq").forward(test_images)
    assert (np.abs(packed - scores).max(1) < 1e-3).mean() > 0.9
    assert (packed.argmax(1) == scores.argmax(1)).mean() > 0.95
    binarize(tmp_path / "low.prototxt", weights, tmp_path / "deploy")
    assert (tmp_path / "deploy" / "deploy_bw.prototxt").exists()


@pytest.mark.parametrize("dynamo", [False, True])
def test_modules_of_low_precision_come_through_pytorchs_exporters(dynamo, tmp_path):
    from caffe.hwgq.torch import HWGQ, BinaryConv2d, BinaryLinear

    torch.manual_seed(6)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 5, 4),
        HWGQ(),
        BinaryConv2d(8, 8, 3),
        nn.ReLU(),
        HWGQ(),
        nn.Flatten(),
        BinaryLinear(200, 5),
    )
    x, y = exported(module.eval(), tmp_path / "net.onnx", dynamo, batch_is_free=False)
    imported = from_onnx(tmp_path / "net.onnx")
    assert [layer.type for layer in imported.definition.layer] == [
        "Input",
        "Convolution",
        "Quant",
        "BinaryConvolution",
        "ReLU",
        "Quant",
        "BinaryInnerProduct",
    ]
    # At a threshold rounding decides.
    assert (np.abs(imported.net().forward(x=x)["y"] - y) < 1e-3).mean() > 0.5


def test_nets_that_cannot_be_of_low_precision():
    net = caffe_pb2.NetParameter()
    for name in ("one", "two"):
        net.layer.add(name=name, type="InnerProduct", bottom=["x"], top=[name])
    with pytest.raises(ValueError, match="no layer is left to binarize of one, two"):
        low_bit_net(net)
    with pytest.raises(ValueError, match="no layer 'three'"):
        low_bit_net(net, keep=["three"])
    assert [layer.type for layer in low_bit_net(net, keep=["one"]).layer] == [
        "InnerProduct",
        "BinaryInnerProduct",
    ]
