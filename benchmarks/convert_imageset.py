#!/usr/bin/env python3
"""Speed of convert_imageset, on all cores and on one, beside the loop that people write in Python.

    .venv/bin/python -m pip install opencv-python-headless lmdb pillow      # optional: the peers
    .venv/bin/python benchmarks/convert_imageset.py --images photographs/ --repeat 50

The images are those below --images (JPEG, PNG), each taken --repeat times, so that reading is from memory;
without a folder, made-up photographs. Every contestant decodes them, resizes them to --side x --side and
writes the same kind of records to an LMDB of its own, in a process of its own. A peer reads with OpenCV's
imread or with Pillow and writes with the package lmdb, a transaction for 1,000 images. Rounds of all
contestants follow one another, so that a busy moment of the machine hits all alike; the table shows
medians. Times include the starting of the process.
"""

import argparse
import importlib.util
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ALL_CORES = "convert_imageset, all cores"
ONE_CORE = "convert_imageset, 1 core"
OPENCV = "OpenCV + lmdb"
PILLOW = "Pillow + lmdb"
NEEDED = {ALL_CORES: [], ONE_CORE: [], OPENCV: ["cv2", "lmdb"], PILLOW: ["PIL", "lmdb"]}


def made_up_photographs(folder, count=8, height=375, width=500):
    """Smooth noise, which packs about as a photograph does."""
    try:
        import cv2
    except ImportError:
        sys.exit("without --images this needs OpenCV to make some: pip install opencv-python-headless")
    random = np.random.default_rng(1)
    for number in range(count):
        rough = random.integers(0, 256, (height // 6, width // 6, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), cv2.resize(rough, (width, height)))


def datum_writer(path):
    """A database of the package lmdb, and what puts an image (rows, columns, blue first) into it."""
    import lmdb

    from caffe.proto.caffe_pb2 import Datum

    environment = lmdb.open(path, map_size=1 << 40)
    transaction = environment.begin(write=True)

    def put(number, name, pixels, label):
        nonlocal transaction
        height, width, channels = pixels.shape
        datum = Datum(channels=channels, height=height, width=width, label=label)
        datum.data = pixels.transpose(2, 0, 1).tobytes()
        transaction.put(f"{number:08d}_{name}".encode(), datum.SerializeToString())
        if (number + 1) % 1000 == 0:
            transaction.commit()
            transaction = environment.begin(write=True)

    def close():
        transaction.commit()
        environment.close()

    return put, close


def convert_as_peer(contestant, root, listing, database, side):
    put, close = datum_writer(database)
    for number, line in enumerate(pathlib.Path(listing).read_text().splitlines()):
        name, label = line.rsplit(" ", 1)
        path = os.path.join(root, name)
        if contestant == OPENCV:
            import cv2

            pixels = cv2.resize(cv2.imread(path), (side, side))
        else:
            from PIL import Image

            with Image.open(path) as image:
                resized = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            pixels = np.asarray(resized)[:, :, ::-1]
        put(number, name, pixels, int(label))
    close()


def command(contestant, arguments, root, listing, database):
    if contestant in (OPENCV, PILLOW):
        own = [sys.executable, __file__, "--contestant", contestant, "--side", str(arguments.side)]
        return [*own, "--paths", root, listing, database]
    flags = [f"-resize_width={arguments.side}", f"-resize_height={arguments.side}"]
    return [sys.executable, "-m", "caffe.cli", "convert_imageset", *flags, root, listing, database]


def measure(contestant, arguments, root, listing, work):
    """Seconds, and processor seconds, of a conversion."""
    database = os.path.join(work, "database")
    cores = os.sched_getaffinity(0)
    if contestant == ONE_CORE:
        os.sched_setaffinity(0, {min(cores)})
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        command(contestant, arguments, root, listing, database),
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - start
    os.sched_setaffinity(0, cores)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(database)
    return seconds, now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=pathlib.Path, help="a folder of images")
    parser.add_argument("--repeat", type=int, default=50, help="times that each is taken")
    parser.add_argument("--side", type=int, default=256, help="of the squares to resize to")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", help="folder for the databases (a temporary one)")
    parser.add_argument("--contestant", choices=NEEDED, help=argparse.SUPPRESS)
    parser.add_argument("--paths", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        convert_as_peer(arguments.contestant, *arguments.paths, arguments.side)
        return

    contestants = []
    for name, modules in NEEDED.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            print(f"left out: {name}, for want of {', '.join(missing)}")
        else:
            contestants.append(name)
    results = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        root = arguments.images or pathlib.Path(work)
        if not arguments.images:
            made_up_photographs(root)
        endings = (".jpg", ".jpeg", ".png")
        names = [
            str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.suffix.lower() in endings
        ]
        listing = pathlib.Path(work) / "list.txt"
        listing.write_text("".join(f"{name} 0\n" for name in names) * arguments.repeat)
        for _ in range(arguments.rounds):
            for name in contestants:
                results[name].append(measure(name, arguments, f"{root}/", str(listing), work))

    count = len(names) * arguments.repeat
    print(f"{count:,} images to {arguments.side} x {arguments.side}, {os.cpu_count()} cores ", end="")
    print(f"(load {os.getloadavg()[0]:.1f}), medians of {arguments.rounds} rounds\n")
    print("|  | images/s | processor ms an image | all cores are |\n| --- | ---: | ---: | ---: |")
    seconds = {name: statistics.median(wall for wall, _ in results[name]) for name in contestants}
    for name in contestants:
        used = statistics.median(processor for _, processor in results[name])
        ratio = seconds[name] / seconds[ALL_CORES]
        print(f"| {name} | {count / seconds[name]:,.0f} | {1e3 * used / count:.2f} | {ratio:.2f} x |")


if __name__ == "__main__":
    main()
