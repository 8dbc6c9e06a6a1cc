#!/usr/bin/env python3
"""Images a second that each data source serves on the CPU, beside PyTorch's DataLoader in the same run.

    .venv/bin/python -m pip install torch pillow      # optional: the peer
    .venv/bin/python benchmarks/data_sources.py --root photographs/ --list photographs/list.txt

Every contestant serves the same photographs, decoded, cropped at random to 224 x 224 pixels, mirrored by
chance and with the mean subtracted, as float32 batches; nothing is trained. Raw LMDB and HDF5 hold them
decoded, which saves the decoding and costs room: LMDB as 256 x 256 bytes, HDF5 as the cropped floats. Each
runs in a process of its own, with one thread and with all; rounds follow one another, so that a busy moment
of the machine hits all alike, and the table shows medians. Files are in the system's cache.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SIDE, CROP = 256, 224
MEAN = (104.0, 117.0, 123.0)


def data_net(layers):
    import caffe

    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as definition:
        definition.write(layers)
        definition.flush()
        return caffe.Net(definition.name, caffe.TRAIN)


def transform():
    means = " ".join(f"mean_value: {mean}" for mean in MEAN)
    return f"transform_param {{ crop_size: {CROP} mirror: true {means} }}"


def serve_with_caffe(parameters):
    """Batches of a data layer with these parameters."""
    net = data_net(f"layer {{ name: 'data' top: 'data' top: 'label' {parameters} }}")
    return net.forward


def lmdb(folder, batch, kind):
    source = f"source: '{folder}/{kind}_lmdb' backend: LMDB batch_size: {batch}"
    return serve_with_caffe(f"type: 'Data' data_param {{ {source} }} {transform()}")


def image_data(folder, batch):
    source = f"source: '{folder}/list.txt' batch_size: {batch} shuffle: true"
    return serve_with_caffe(f"type: 'ImageData' image_data_param {{ {source} }} {transform()}")


def hdf5(folder, batch):
    source = f"source: '{folder}/hdf5.txt' batch_size: {batch} shuffle: true"
    return serve_with_caffe(f"type: 'HDF5Data' hdf5_data_param {{ {source} }}")


def data_loader(folder, batch):
    import numpy as np
    import torch
    from PIL import Image

    torch.set_num_threads(1)
    lines = (pathlib.Path(folder) / "list.txt").read_text().splitlines()
    mean = torch.tensor(MEAN[::-1]).view(3, 1, 1)

    class Photographs(torch.utils.data.Dataset):
        def __len__(self):
            # Workers start anew after each pass: one that is long hides it, as a real data set does.
            return len(lines) * 1000

        def __getitem__(self, index):
            name, label = lines[index % len(lines)].rsplit(" ", 1)
            pixels = torch.from_numpy(np.array(Image.open(name).convert("RGB"))).permute(2, 0, 1)
            y, x, mirror = torch.randint(SIDE - CROP + 1, (3,)).tolist()
            crop = pixels[:, y : y + CROP, x : x + CROP]
            return (crop.flip(2) if mirror % 2 else crop).to(torch.float32) - mean, int(label)

    threads = int(os.environ["OMP_NUM_THREADS"])
    loader = torch.utils.data.DataLoader(Photographs(), batch, shuffle=True, num_workers=threads)
    batches = iter(loader)
    return lambda: next(batches)


PEER = "PyTorch DataLoader, JPEG files"
CONTESTANTS = {
    "ImageData, JPEG files": image_data,
    "Data, LMDB of JPEG": lambda folder, batch: lmdb(folder, batch, "encoded"),
    "Data, LMDB of pixels": lambda folder, batch: lmdb(folder, batch, "raw"),
    "HDF5Data, floats": hdf5,
    PEER: data_loader,
}


def prepare(arguments, folder):
    """The sources, in `folder`: the photographs as files of one size, databases and an HDF5 file."""
    from PIL import Image

    from caffe import cli

    lines = []
    for number, line in enumerate(pathlib.Path(arguments.list).read_text().splitlines()):
        name, label = line.rsplit(" ", 1)
        photograph = Image.open(os.path.join(arguments.root, name)).convert("RGB")
        photograph.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(f"{folder}/{number}.jpg", quality=90)
        lines.append(f"{folder}/{number}.jpg {label}\n")
    # So many that a batch is not the whole of it.
    lines = lines * (1 + 4 * arguments.batch // len(lines))
    listed = pathlib.Path(folder, "list.txt")
    listed.write_text("".join(lines))
    for kind, options in (("encoded", ["-encoded"]), ("raw", [])):
        if cli.main(["convert_imageset", *options, "/", str(listed), f"{folder}/{kind}_lmdb"]) != 0:
            sys.exit("the databases cannot be made")
    source = f"source: '{folder}/raw_lmdb' backend: LMDB batch_size: {len(lines)} prefetch: 1"
    net = data_net(
        f"layer {{ name: 'data' top: 'data' top: 'label' type: 'Data' data_param {{ {source} }}"
        f"  {transform()} }}"
        "layer { name: 'save' type: 'HDF5Output' bottom: 'data' bottom: 'label'"
        f"  hdf5_output_param {{ file_name: '{folder}/floats.h5' }} }}"
    )
    net.forward()
    pathlib.Path(folder, "hdf5.txt").write_text(f"{folder}/floats.h5\n")


def measure(name, folder, batch, seconds):
    """Runs one contestant in this process: images a second."""
    serve = CONTESTANTS[name](folder, batch)
    # Past the batches read ahead while the source was opened.
    for _ in range(6):
        serve()
    batches, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        serve()
        batches += 1
    return batch * batches / (time.perf_counter() - start)


def measure_in_a_process(name, threads, folder, arguments):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "GLOG_minloglevel": "2"}
    command = [sys.executable, __file__, "--contestant", name, "--folder", folder]
    command += ["--batch", str(arguments.batch), "--seconds", str(arguments.seconds)]
    # A source that may use one thread gets one processor, whatever it starts.
    allowed = sorted(os.sched_getaffinity(0))[:threads]
    result = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    if result.returncode != 0:
        sys.exit(f"{name}: {result.stderr.strip() or 'failed'}")
    return json.loads(result.stdout.splitlines()[-1])


def has_peer():
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def serve(names, folder, arguments):
    """Images a second by contestant and number of threads: medians of rounds that follow one another. Without
    PyTorch the peer is left out."""
    if not has_peer():
        print("PyTorch is not installed (pip install torch): no peer in this run")
        names = [name for name in names if name != PEER]
    rounds = {(name, threads): [] for name in names for threads in sorted({1, arguments.threads})}
    for _ in range(arguments.rounds):
        for (name, threads), speeds in rounds.items():
            speeds.append(measure_in_a_process(name, threads, folder, arguments))
    return {key: statistics.median(speeds) for key, speeds in rounds.items()}


def make_parser(description):
    """The flags of serve and prepare."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default="", help="folder of the photographs")
    parser.add_argument("--list", help="text file: a photograph's name and an integer in each line")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4, help="timed, of each contestant in a round")
    parser.add_argument("--rounds", type=int, default=3)
    return parser


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        print(json.dumps(measure(arguments.contestant, arguments.folder, arguments.batch, arguments.seconds)))
        return
    if not arguments.list:
        parser.error("--list names the photographs")

    with tempfile.TemporaryDirectory() as folder:
        prepare(arguments, folder)
        served = serve(CONTESTANTS, folder, arguments)
    counts = sorted({threads for _, threads in served})

    print(
        f"Images a second, {SIDE} x {SIDE} pixels cropped to {CROP} x {CROP}, batch {arguments.batch}, ",
        end="",
    )
    print(f"medians of {arguments.rounds} rounds of {arguments.seconds:g} s\n")
    print("|  | " + " | ".join(f"{threads} thread(s)" for threads in counts) + " |")
    print("| --- |" + " ---: |" * len(counts))
    for name in dict.fromkeys(name for name, _ in served):
        print(f"| {name} | " + " | ".join(f"{served[name, threads]:,.0f}" for threads in counts) + " |")


if __name__ == "__main__":
    main()
