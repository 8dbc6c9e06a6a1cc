"""The networks of the paper, each one definition whose activations and weight precision are arguments.

Layers are named as in the published nets, so that their weights load. Each function returns the net for
training and testing; :func:`caffe.hwgq.deploy_net` makes the one for deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..proto import caffe_pb2
from .quantizer import optimal_quantizer


@dataclass(frozen=True)
class Activation:
    """What follows each normalization: a Quant layer with these parameters, or, without any, a ReLU."""

    quant_param: dict[str, Any] | None


def hwgq(levels: int = 3, uniform: bool = True, backward: str = "clipped") -> Activation:
    """Half-wave Gaussian quantization to 0 and ``levels`` levels above.

    ``backward`` says what its gradient is that of: "relu"; "clipped", the ReLU clipped at the last level,
    which keeps inputs that the quantizer saturates from moving the weights; or "log_tailed", the ReLU that
    grows as a logarithm from there on (section 4.3).
    """
    centers = optimal_quantizer(levels, uniform).centers
    functions = {"relu": "relu", "clipped": "relu", "log_tailed": "log_tailed_relu"}
    if backward not in functions:
        raise ValueError(f"the backward function is one of {', '.join(functions)}, not {backward!r}")
    param: dict[str, Any] = {
        "forward_func": "hwgq",
        "backward_func": functions[backward],
        "centers": list(centers),
    }
    if backward != "relu":
        param["clip_thr"] = centers[-1]
    return Activation(param)


def sign() -> Activation:
    """+-1, with the gradient of the hard tanh."""
    return Activation({"forward_func": "sign", "backward_func": "hard_tanh", "clip_thr": 1.0})


def relu() -> Activation:
    """Full precision."""
    return Activation(None)


@dataclass(frozen=True)
class Precision:
    """Activations, and whether weights of all but the first and the last layer are binary."""

    activation: Activation = field(default_factory=hwgq)
    binary_weights: bool = True


class Builder:
    """Appends layers to a net; each method returns the name of the blob that it made."""

    def __init__(self, name: str, precision: Precision, filler: str = "msra") -> None:
        self.net = caffe_pb2.NetParameter(name=name)
        self.precision = precision
        self.filler = filler

    def add(
        self, layer_type: str, name: str, bottoms: Sequence[str], top: str | None = None, **params: Any
    ) -> str:
        """Any layer; without ``top`` its output is named as itself."""
        layer = caffe_pb2.LayerParameter(
            name=name, type=layer_type, bottom=bottoms, top=[top or name], **params
        )
        self.net.layer.append(layer)
        return layer.top[0]

    def data(self, name: str, phase: int, source: str, batch_size: int, **transform: Any) -> None:
        """An LMDB as the blobs ``data`` and ``label`` of one phase."""
        self.net.layer.add(
            name=name,
            type="Data",
            top=["data", "label"],
            include=[{"phase": phase}],
            transform_param=transform,
            data_param={"source": source, "batch_size": batch_size, "backend": "LMDB"},
        )

    def _weights(self, std: float | None) -> dict[str, Any]:
        return {"type": self.filler} if std is None else {"type": "gaussian", "std": std}

    def _learned(self, bias: bool) -> list[dict[str, float]]:
        weights = {"lr_mult": 1.0, "decay_mult": 1.0}
        return [weights, {"lr_mult": 2.0, "decay_mult": 0.0}] if bias else [weights]

    def conv(
        self,
        name: str,
        bottom: str,
        num_output: int,
        kernel: int,
        stride: int | None = None,
        pad: int | None = None,
        binary: bool = True,
        bias: bool = False,
        std: float | None = None,
    ) -> str:
        """A convolution, binary where the net's weights are."""
        param: dict[str, Any] = {"num_output": num_output, "kernel_size": [kernel]}
        param["weight_filler"] = self._weights(std)
        for key, value in (("stride", stride), ("pad", pad)):
            if value is not None:
                param[key] = [value]
        if bias:
            param["bias_filler"] = {"type": "constant", "value": 0.0}
        else:
            param["bias_term"] = False
        binary = binary and self.precision.binary_weights
        extra = {"binary_convolution_param": {"use_alpha": True}} if binary else {}
        return self.add(
            "BinaryConvolution" if binary else "Convolution",
            name,
            [bottom],
            param=self._learned(bias),
            convolution_param=param,
            **extra,
        )

    def inner_product(
        self,
        name: str,
        bottom: str,
        num_output: int,
        binary: bool = True,
        bias: bool = False,
        std: float | None = None,
        bias_value: bool = True,
    ) -> str:
        """An inner product, binary where the net's weights are."""
        param: dict[str, Any] = {"num_output": num_output, "weight_filler": self._weights(std)}
        if bias:
            param["bias_filler"] = {"type": "constant", **({"value": 0.0} if bias_value else {})}
        else:
            param["bias_term"] = False
        binary = binary and self.precision.binary_weights
        extra = {"binary_inner_product_param": {"use_alpha": True}} if binary else {}
        return self.add(
            "BinaryInnerProduct" if binary else "InnerProduct",
            name,
            [bottom],
            param=self._learned(bias and not binary),
            inner_product_param=param,
            **extra,
        )

    def pool(self, name: str, bottom: str, kernel: int, stride: int, method: str = "MAX") -> str:
        """A pooling."""
        return self.add(
            "Pooling", name, [bottom], pooling_param={"pool": method, "kernel_size": kernel, "stride": stride}
        )

    def norm(self, name: str, bottom: str, in_place: bool = True) -> str:
        """A batch normalization."""
        return self.add(
            "BatchNorm",
            name,
            [bottom],
            bottom if in_place else name,
            param=[{"lr_mult": 0.0}] * 3,
            batch_norm_param={"moving_average_fraction": 0.95},
        )

    def scale(self, name: str, bottom: str) -> str:
        """The learned scale and shift of a normalization whose result is not quantized, in-place."""
        return self.add("Scale", name, [bottom], bottom, scale_param={"bias_term": True})

    def act(self, name: str, bottom: str) -> str:
        """The activation, named ``name`` where it is a quantizer."""
        param = self.precision.activation.quant_param
        if param is None:
            return self.add("ReLU", name.replace("qt", "relu"), [bottom])
        return self.add("Quant", name, [bottom], quant_param=param)

    def relu(self, name: str, bottom: str) -> str:
        """A ReLU in-place, as before the last layer, which is not quantized."""
        return self.add("ReLU", name, [bottom], bottom)

    def loss_and_accuracy(self, scores: str, **of_loss: Any) -> caffe_pb2.NetParameter:
        """The loss, and the share of images whose class has the best, or one of the best five, scores."""
        self.add("SoftmaxWithLoss", "loss", [scores, "label"], **of_loss)
        self.add("Accuracy", "accuracy-top1", [scores, "label"])
        self.add("Accuracy", "accuracy-top5", [scores, "label"], accuracy_param={"top_k": 5})
        return self.net


def _imagenet(
    name: str, precision: Precision, filler: str, crop: int, batch: int, test_batch: int
) -> Builder:
    net = Builder(name, precision, filler)
    mean = [104.0, 117.0, 123.0]
    for phase, folder, size in ((caffe_pb2.TRAIN, "train", batch), (caffe_pb2.TEST, "val", test_batch)):
        source = f"../ilsvrc12_{folder}_lmdb"
        net.data(
            "data", phase, source, size, mirror=phase == caffe_pb2.TRAIN, crop_size=crop, mean_value=mean
        )
    return net


def alexnet(precision: Precision) -> caffe_pb2.NetParameter:
    """AlexNet (Krizhevsky et al., NIPS 2012) with batch normalization."""
    net = _imagenet("CaffeNet", precision, "gaussian", crop=227, batch=128, test_batch=50)
    x = net.conv("conv1", "data", 96, 11, stride=4, binary=False, std=0.01)
    x = net.pool("pool1", x, 3, 2)
    for i, (outputs, kernel, pad, pooled) in enumerate(
        [(256, 5, 2, True), (384, 3, 1, False), (384, 3, 1, False), (256, 3, 1, True)], start=2
    ):
        x = net.act(f"qt{i}", net.norm(f"bn{i}", x))
        x = net.conv(f"conv{i}", x, outputs, kernel, pad=pad, std=0.01)
        if pooled:
            x = net.pool(f"pool{i}", x, 3, 2)
    for i in (6, 7):
        x = net.act(f"qt{i}", net.norm(f"bn{i}", x))
        x = net.inner_product(f"fc{i}", x, 4096, std=0.005)
    x = net.relu("relu8", net.norm("bn8", x))
    return net.loss_and_accuracy(net.inner_product("fc8", x, 1000, binary=False, bias=True, std=0.01))


def resnet(depth: int, precision: Precision) -> caffe_pb2.NetParameter:
    """ResNet-18, -34 or -50 (He et al., CVPR 2016), with the quantizer before each convolution."""
    if depth not in _RESNETS:
        raise ValueError(f"the depth is one of {sorted(_RESNETS)}, not {depth}")
    blocks, bottleneck, batch, test_batch = _RESNETS[depth]
    net = _imagenet(f"ResNet-{depth}", precision, "msra", crop=224, batch=batch, test_batch=test_batch)
    x = net.conv("conv1", "data", 64, 7, stride=2, pad=3, binary=False, bias=True)
    x = net.norm("bn1", net.pool("pool1", x, 3, 2))
    for stage, count in enumerate(blocks, start=2):
        width = 64 << (stage - 2)
        outputs = 4 * width if bottleneck else width
        for i in range(count):
            unit = f"{stage}{chr(ord('a') + i)}"
            stride = 2 if stage > 2 and i == 0 else 1
            # A shortcut of another shape starts, as the branch does, from quantized values; one that adds the
            # input as it is leaves the branch to normalize and quantize for itself.
            projects = i == 0 and (stage > 2 or bottleneck)
            if projects:
                quantized = net.act("qt1", x) if stage == 2 else x
                shortcut = net.conv(f"res{unit}_branch1", quantized, outputs, 1, stride=stride, pad=0)
                shortcut = net.scale(f"scale{unit}_branch1", net.norm(f"bn{unit}_branch1", shortcut))
            else:
                shortcut = x
                normalized = x if stage == 2 and i == 0 else net.norm(f"bn{unit}_branch2a", x, in_place=False)
                quantized = net.act(f"qt{unit}_branch2a", normalized)
            branch = _residual_branch(net, unit, quantized, width, stride, bottleneck)
            x = net.add("Eltwise", f"res{unit}", [shortcut, branch])
        if stage < 5:
            x = net.act(f"qt{unit}", net.norm(f"bn{unit}", x))
    x = net.pool("pool5", net.relu(f"relu{unit}", x), 7, 1, method="AVE")
    return net.loss_and_accuracy(net.inner_product("fc1000", x, 1000, binary=False, bias=True))


#: Blocks of each stage, whether they are bottlenecks, and the images of a training and of a test batch.
_RESNETS = {
    18: ((2, 2, 2, 2), False, 64, 25),
    34: ((3, 4, 6, 3), False, 64, 10),
    50: ((3, 4, 6, 3), True, 16, 25),
}


def _residual_branch(net: Builder, unit: str, x: str, width: int, stride: int, bottleneck: bool) -> str:
    convs = [(width, 1), (width, 3), (4 * width, 1)] if bottleneck else [(width, 3), (width, 3)]
    for i, (outputs, kernel) in enumerate(convs):
        part = f"{unit}_branch2{'abc'[i]}"
        if i > 0:
            x = net.act(f"qt{part}", net.norm(f"bn{part}", x))
        x = net.conv(f"res{part}", x, outputs, kernel, stride=stride if i == 0 else 1, pad=kernel // 2)
    return net.scale(f"scale{part}_end", net.norm(f"bn{part}_end", x))


#: Outputs of an inception module's branches: 1x1, 3x3 (and what it is reduced to), 5x5 (likewise).
_INCEPTIONS = {
    "3a": (96, 128, 32),
    "3b": (192, 192, 96),
    "4a": (256, 208, 48),
    "4b": (224, 224, 64),
    "4c": (192, 256, 64),
    "4d": (176, 288, 64),
    "4e": (384, 320, 128),
    "5a": (384, 320, 128),
    "5b": (512, 384, 128),
}


def googlenet(precision: Precision) -> caffe_pb2.NetParameter:
    """GoogLeNet (Szegedy et al., CVPR 2015) without its pooling branches and side outputs."""
    net = _imagenet("GoogleNet", precision, "xavier", crop=224, batch=64, test_batch=50)
    x = net.conv("conv1/7x7_s2", "data", 64, 7, stride=2, pad=3, binary=False)
    x = net.norm("pool1/bn_3x3", net.pool("pool1/3x3_s2", x, 3, 2))
    x = net.conv("conv2/3x3_reduce", net.act("conv2/qt_3x3_reduce", x), 192, 1)
    x = net.act("conv2/qt_3x3", net.norm("conv2/bn_3x3_reduce", x))
    x = net.conv("conv2/3x3", x, 192, 3, pad=1)
    x = net.norm("pool2/bn_3x3", net.pool("pool2/3x3_s2", x, 3, 2))
    for module, (n1x1, n3x3, n5x5) in _INCEPTIONS.items():
        here = f"inception_{module}"
        quantized = net.act(f"{here}/qt", x)
        branches = [net.conv(f"{here}/1x1", quantized, n1x1, 1)]
        for kernel, outputs in ((3, n3x3), (5, n5x5)):
            size = f"{kernel}x{kernel}"
            reduced = net.conv(f"{here}/{size}_reduce", quantized, outputs, 1)
            reduced = net.act(f"{here}/qt_{size}", net.norm(f"{here}/bn_{size}_reduce", reduced))
            branches.append(net.conv(f"{here}/{size}", reduced, outputs, kernel, pad=kernel // 2))
        x = net.add("Concat", f"{here}/output", branches)
        if module in ("3b", "4e"):
            stage = int(module[0])
            x = net.norm(f"pool{stage}/bn_3x3", net.pool(f"pool{stage}/3x3_s2", x, 3, 2))
        else:
            x = net.norm(f"{here}/bn_output", x)
    x = net.relu(f"{here}/relu_output", net.scale(f"{here}/scale_output", x))
    x = net.pool("pool5/7x7_s1", x, 7, 1, method="AVE")
    scores = net.inner_product("classifier", x, 1000, binary=False, bias=True)
    return net.loss_and_accuracy(scores, loss_weight=[1.0])


def darknet19(precision: Precision) -> caffe_pb2.NetParameter:
    """The classifier under YOLO9000 (Redmon and Farhadi, CVPR 2017), all of its convolutions 3x3."""
    net = _imagenet("DarkNet", precision, "msra", crop=224, batch=64, test_batch=25)
    x = net.conv("conv1", "data", 32, 3, pad=1, binary=False)
    x = net.norm("bn1", net.pool("pool1", x, 2, 2))
    for stage, widths in enumerate(
        [(64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024)],
        start=2,
    ):
        for i, width in enumerate(widths, start=1):
            part = f"{stage}_{i}" if len(widths) > 1 else f"{stage}"
            x = net.conv(f"conv{part}", net.act(f"qt{part}", x), width, 3, pad=1)
            if i == len(widths) and stage < 6:
                x = net.pool(f"pool{stage}", x, 2, 2)
            x = net.norm(f"bn{part}", x)
    x = net.pool("pool6", net.relu(f"relu{part}", net.scale(f"scale{part}", x)), 7, 1, method="AVE")
    return net.loss_and_accuracy(net.inner_product("fc7", x, 1000, binary=False, bias=True))


def vgg(precision: Precision) -> caffe_pb2.NetParameter:
    """The variant of VGG (Simonyan and Zisserman, ICLR 2015) in He et al., "Delving deep into rectifiers"."""
    net = _imagenet("VGG", precision, "msra", crop=224, batch=64, test_batch=25)
    x = net.relu("relu1", net.conv("conv1", "data", 96, 7, stride=2, pad=3, binary=False))
    x = net.norm("bn1", net.pool("pool1", x, 2, 2))
    for stage, width in ((2, 256), (3, 512), (4, 512)):
        for i in (1, 2, 3):
            part = f"{stage}_{i}"
            x = net.conv(f"conv{part}", net.act(f"qt{part}", x), width, 3, pad=1)
            if i == 3:
                x = net.pool(f"pool{stage}", x, 2, 2)
            x = net.norm(f"bn{part}", x)
    for i in (5, 6):
        x = net.norm(f"bn{i}", net.inner_product(f"fc{i}", net.act(f"qt{i}", x), 4096))
    x = net.relu("relu6", x)
    return net.loss_and_accuracy(net.inner_product("fc7", x, 1000, binary=False, bias=True))


def cifar10_vgg(precision: Precision) -> caffe_pb2.NetParameter:
    """A small VGG for CIFAR-10: six convolutions and one inner product."""
    net = Builder("CIFAR10", precision)
    net.data(
        "cifar",
        caffe_pb2.TRAIN,
        "../cifar10_pad_train_lmdb",
        100,
        mirror=True,
        crop_size=32,
        mean_file="../mean_pad.binaryproto",
    )
    net.data(
        "cifar", caffe_pb2.TEST, "../cifar10_test_lmdb", 100, mirror=False, mean_file="../mean.binaryproto"
    )
    x = net.conv("conv1_1", "data", 128, 3, stride=1, pad=1, binary=False)
    for part, width in (("1_2", 128), ("2_1", 256), ("2_2", 256), ("3_1", 512), ("3_2", 512)):
        x = net.act(f"qt{part}", net.norm(f"bn{part}", x))
        x = net.conv(f"conv{part}", x, width, 3, stride=1, pad=1)
        if part in ("1_2", "2_2"):
            x = net.pool(f"pool{part[0]}", x, 2, 2)
    x = net.relu("relu3", net.scale("scale3", net.norm("bn3", x)))
    x = net.inner_product("fc4", net.pool("pool3", x, 2, 2), 10, binary=False, bias=True, bias_value=False)
    net.add("Accuracy", "accuracy", [x, "label"])
    net.add("SoftmaxWithLoss", "loss", [x, "label"])
    return net.net


def lenet(precision: Precision) -> caffe_pb2.NetParameter:
    """LeNet for MNIST, its first and last layer binary too."""
    net = Builder("LeNet-HWGQ", precision)
    for phase, folder, size in ((caffe_pb2.TRAIN, "train", 64), (caffe_pb2.TEST, "test", 100)):
        net.data("mnist", phase, f"../mnist_{folder}_lmdb", size, scale=1 / 256)
    x = "data"
    for i, width in ((1, 20), (2, 50)):
        x = net.pool(f"pool{i}", net.conv(f"conv{i}", x, width, 5, std=0.01), 2, 2)
        x = net.act(f"qt{i}", net.norm(f"bn{i}", x))
    x = net.act("qt3", net.norm("bn3", net.inner_product("ip1", x, 500, std=0.005)))
    x = net.inner_product("ip2", x, 10, bias=True, std=0.005)
    net.add("Accuracy", "accuracy", [x, "label"], include=[{"phase": caffe_pb2.TEST}])
    net.add("SoftmaxWithLoss", "loss", [x, "label"])
    return net.net
