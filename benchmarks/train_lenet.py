#!/usr/bin/env python3
"""Training speed of LeNet-HWGQ at batch 64 on the CPU, beside PyTorch in the same run.

    .venv/bin/python -m pip install torch      # optional: the peer
    .venv/bin/python benchmarks/train_lenet.py --threads 4

Every contestant trains the same network (weights alpha * sign(W) with a straight-through gradient, the 2-bit
quantizer, batch normalization, SGD with momentum and weight decay) on the same images, in a process of its
own. Rounds of all contestants follow one another, so that a busy moment of the machine hits all alike; the
table shows medians. Images are MNIST's where MNIST_DIR names the folder of its idx files, else noise: the
speed is the same.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples/mnist/lenet-hwgq-3ne"
CENTERS = (0.538, 1.076, 1.614)
TRAINING_IMAGES = 6400


def images_and_labels():
    """Images as uint8 (items, 28, 28) with their labels."""
    folder = os.environ.get("MNIST_DIR")
    if folder:
        from caffe import idx

        images = idx.read(idx.find(folder, "train-images-idx3-ubyte"), dimensions=3)
        labels = idx.read(idx.find(folder, "train-labels-idx1-ubyte"), dimensions=1)
        return images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES]
    random = np.random.default_rng(1)
    return (
        random.integers(0, 256, (TRAINING_IMAGES, 28, 28), np.uint8),
        random.integers(0, 10, TRAINING_IMAGES, np.uint8),
    )


def batches(batch, scale=1 / 256):
    """The training set as float32 batches (batch, 1, 28, 28) with labels."""
    images, labels = images_and_labels()
    images = (images.astype(np.float32) * scale)[:, None]
    return [
        (images[start : start + batch], labels[start : start + batch])
        for start in range(0, len(images) - batch + 1, batch)
    ]


def training_net():
    """The example's network, as it trains."""
    from google.protobuf import text_format

    from caffe.proto import caffe_pb2

    net = text_format.Parse((EXAMPLE / "train_val.prototxt").read_text(), caffe_pb2.NetParameter())
    kept = [layer for layer in net.layer if not any(rule.phase == caffe_pb2.TEST for rule in layer.include)]
    del net.layer[:]
    net.layer.extend(kept)
    return net


def caffe_solver(net):
    """A solver of the example's kind for `net`; it neither tests nor displays."""
    import caffe
    from caffe._caffe import get_solver_from_bytes
    from caffe.proto import caffe_pb2

    caffe.set_mode_cpu()
    solver = caffe_pb2.SolverParameter(
        net_param=net,
        base_lr=0.01,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=0.0005,
        max_iter=10**9,
        random_seed=1,
        snapshot_after_train=False,
        solver_mode=caffe_pb2.SolverParameter.CPU,
    )
    return get_solver_from_bytes(solver.SerializeToString())


def caffe_from_memory(batch, _folder):
    """Steps of this project, fed from Python."""
    net = training_net()
    data = net.layer[0]
    data.Clear()
    data.name, data.type = "mnist", "Input"
    data.top.extend(["data", "label"])
    data.input_param.shape.add(dim=[batch, 1, 28, 28])
    data.input_param.shape.add(dim=[batch])
    solver = caffe_solver(net)
    fed = batches(batch)
    image_blob, label_blob = solver.net.blobs["data"], solver.net.blobs["label"]

    def run(iterations):
        for iteration in range(iterations):
            images, labels = fed[iteration % len(fed)]
            image_blob.data[...] = images
            label_blob.data[...] = labels
            solver.step(1)

    return run


def caffe_from_lmdb(batch, folder):
    """Steps of this project, fed by its Data layer from LMDB."""
    from caffe.cli.databases import write_database

    database = os.path.join(folder, "train_lmdb")
    if not os.path.exists(database):
        write_database(*images_and_labels(), database)
    net = training_net()
    net.layer[0].data_param.source = database
    net.layer[0].data_param.batch_size = batch
    return caffe_solver(net).step


def torch_from_memory(batch, channels_last=False, bfloat16=False):
    """Steps of the same network in PyTorch; bfloat16 is its automatic mixed precision."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(1)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    class Binarize(torch.autograd.Function):
        @staticmethod
        def forward(context, weight):
            alpha = weight.abs().flatten(1).mean(1).view(-1, *[1] * (weight.dim() - 1))
            return torch.where(weight >= 0, alpha, -alpha)

        @staticmethod
        def backward(context, gradient):
            return gradient

    class Quantize(torch.autograd.Function):
        @staticmethod
        def forward(context, values):
            context.save_for_backward(values)
            low, middle, high = CENTERS
            levels = torch.where(values > (low + middle) / 2, middle, low)
            levels = torch.where(values > (middle + high) / 2, high, levels)
            return torch.where(values > 0, levels, 0.0)

        @staticmethod
        def backward(context, gradient):
            (values,) = context.saved_tensors
            return gradient * ((values > 0) & (values <= CENTERS[-1]))

    class BinaryConv2d(nn.Conv2d):
        def forward(self, values):
            return functional.conv2d(values, Binarize.apply(self.weight), self.bias)

    class BinaryLinear(nn.Linear):
        def forward(self, values):
            return functional.linear(values, Binarize.apply(self.weight), self.bias)

    class Quant(nn.Module):
        def forward(self, values):
            return Quantize.apply(values)

    def norm(kind, channels):
        return kind(channels, momentum=0.05, affine=False)

    model = nn.Sequential(
        *(BinaryConv2d(1, 20, 5, bias=False), nn.MaxPool2d(2), norm(nn.BatchNorm2d, 20), Quant()),
        *(BinaryConv2d(20, 50, 5, bias=False), nn.MaxPool2d(2), norm(nn.BatchNorm2d, 50), Quant()),
        *(nn.Flatten(), BinaryLinear(800, 500, bias=False), norm(nn.BatchNorm1d, 500), Quant()),
        BinaryLinear(500, 10),
    )
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
    fed = [
        (torch.from_numpy(images).to(memory_format=layout), torch.from_numpy(labels).long())
        for images, labels in batches(batch)
    ]

    def run(iterations):
        for iteration in range(iterations):
            images, labels = fed[iteration % len(fed)]
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()

    return run


CAFFE_MEMORY = "caffe, images from memory"
CONTESTANTS = {
    CAFFE_MEMORY: caffe_from_memory,
    "caffe, images from LMDB": caffe_from_lmdb,
    "PyTorch float32": lambda batch, _folder: torch_from_memory(batch),
    "PyTorch float32, channels last": lambda batch, _folder: torch_from_memory(batch, channels_last=True),
    "PyTorch bfloat16, channels last": lambda batch, _folder: torch_from_memory(
        batch, channels_last=True, bfloat16=True
    ),
}


def measure(name, batch, iterations, folder):
    """Runs one contestant in this process: images a second and peak memory in MB."""
    run = CONTESTANTS[name](batch, folder)
    run(max(iterations // 10, 5))
    start = time.perf_counter()
    run(iterations)
    seconds = time.perf_counter() - start
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"images_per_second": batch * iterations / seconds, "peak_mb": peak_kb / 1024}


def measure_in_a_process(name, arguments, folder):
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "GLOG_minloglevel": "2"}
    command = [sys.executable, __file__, "--contestant", name, "--folder", folder]
    command += ["--batch", str(arguments.batch), "--iterations", str(arguments.iterations)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{name}: {result.stderr.strip() or 'failed'}")
    return json.loads(result.stdout.splitlines()[-1])


def has_torch():
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=300, help="timed iterations of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        result = measure(arguments.contestant, arguments.batch, arguments.iterations, arguments.folder)
        print(json.dumps(result))
        return

    names = [name for name in CONTESTANTS if has_torch() or not name.startswith("PyTorch")]
    if len(names) < len(CONTESTANTS):
        print("PyTorch is not installed (pip install torch): no peer in this run")
    results = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for name in names:
                results[name].append(measure_in_a_process(name, arguments, folder))

    print(f"LeNet-HWGQ training, batch {arguments.batch}, {arguments.threads} thread(s), ", end="")
    print(f"medians of {arguments.rounds} rounds of {arguments.iterations} iterations\n")
    print("|  | images/s | peak memory, MB | caffe from memory is |\n| --- | ---: | ---: | ---: |")
    speeds = {name: statistics.median(r["images_per_second"] for r in results[name]) for name in names}
    for name in names:
        memory = statistics.median(result["peak_mb"] for result in results[name])
        ratio = speeds[CAFFE_MEMORY] / speeds[name]
        print(f"| {name} | {speeds[name]:,.0f} | {memory:,.0f} | {ratio:.2f} x |")


if __name__ == "__main__":
    main()
