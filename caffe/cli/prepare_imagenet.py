"""caffe prepare-imagenet: makes the databases of ILSVRC2012's images."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import _caffe
from ..proto.caffe_pb2 import Datum
from . import flags
from .progress import Progress

_SUFFIXES = {".jpeg", ".jpg", ".png"}
_CLASSES = 1000
_NAMES = {"train": "ilsvrc12_train_lmdb", "val": "ilsvrc12_val_lmdb"}

#: Files of images below a folder, with their classes.
Listed = list[tuple[str, int]]


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "caffe prepare-imagenet",
        "Makes ilsvrc12_train_lmdb and ilsvrc12_val_lmdb of the folders train and val of ILSVRC2012: resized "
        "on all cores, the training images in random order, and read again to verify them. What was begun "
        "before is gone on with.",
        "caffe prepare-imagenet /data/ilsvrc2012 -out examples/imagenet",
    )
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="has train/WNID/*.JPEG, and val/WNID/*.JPEG, or val/*.JPEG with val.txt (NAME CLASS)",
    )
    parser.add_argument("-out", "--out", metavar="DIR", default=".", help="folder for the databases (.)")
    parser.add_argument(
        "-size", "--size", type=int, default=256, metavar="PIXELS", help="side of the images (256)"
    )
    parser.add_argument(
        "-synsets",
        "--synsets",
        metavar="FILE",
        help="lines that begin with the classes' WNIDs, in their order (the folders' names, sorted)",
    )
    parser.add_argument(
        "-val_list", "--val_list", metavar="FILE", help="the classes of val's images (DIR/val.txt)"
    )
    parser.add_argument("-seed", "--seed", type=int, default=1, help="of the training images' order (1)")
    parser.add_switch("encoded", "store JPEG files, which take a tenth of the room, and time to decode")
    parser.add_switch("verify_only", "verify databases that are there")
    options = flags.parse(parser, arguments)
    if options.size < 1:
        parser.error("-size is a number of pixels")
    folder, out = Path(options.folder), Path(options.out)
    for part in _NAMES:
        if not (folder / part).is_dir():
            raise ValueError(
                f"there is no folder {folder / part}: DIR has ILSVRC2012's images in train and val"
            )
    out.mkdir(parents=True, exist_ok=True)
    wnids = _wnids(folder, options.synsets)
    if len(wnids) != _CLASSES:
        _warn(f"{folder / 'train'} has {len(wnids)} classes, and ILSVRC2012 {_CLASSES}")
    lists = {"train": _by_class(folder / "train", wnids), "val": _validation(folder, wnids, options.val_list)}
    random.Random(options.seed).shuffle(lists["train"])
    for part, name in _NAMES.items():
        database = out / name
        if database.exists():
            _caffe.log(f"{database} is there.")
        elif options.verify_only:
            raise ValueError(f"there is no {database} to verify")
        else:
            _convert(folder / part, lists[part], database, options)
        _verify(database, lists[part], options.size, options.encoded)
    return 0


def _warn(message: str) -> None:
    _caffe.log_from(__file__, 0, message.encode(), 1)


def _wnids(folder: Path, synsets: str | None) -> dict[str, int]:
    """The number of each class."""
    if synsets:
        lines = Path(synsets).read_text(encoding="utf-8").splitlines()
        names = [line.split()[0] for line in lines if line.strip()]
    else:
        names = sorted(entry.name for entry in (folder / "train").iterdir() if entry.is_dir())
    if not names:
        raise ValueError(f"{folder / 'train'} has no folders of classes")
    return {name: number for number, name in enumerate(names)}


def _images(entries: Iterable[os.DirEntry]) -> list[str]:
    return sorted(entry.name for entry in entries if Path(entry.name).suffix.lower() in _SUFFIXES)


def _by_class(folder: Path, wnids: dict[str, int]) -> Listed:
    listed = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if not entry.is_dir():
            continue
        if entry.name not in wnids:
            raise ValueError(f"{folder / entry.name} is not among the {len(wnids)} classes; see -synsets")
        listed += [(f"{entry.name}/{name}", wnids[entry.name]) for name in _images(os.scandir(entry.path))]
    if not listed:
        raise ValueError(f"{folder} has no images in folders of classes")
    return listed


def _validation(folder: Path, wnids: dict[str, int], val_list: str | None) -> Listed:
    names = _images(os.scandir(folder / "val"))
    path = Path(val_list) if val_list else folder / "val.txt"
    if not names and not val_list:
        return _by_class(folder / "val", wnids)
    if not path.is_file():
        raise ValueError(
            f"{folder / 'val'} has images that are in no folders of classes, and there is no {path} that "
            "names their classes (lines such as ILSVRC2012_val_00000001.JPEG 65): give -val_list"
        )
    listed = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not name or not label.isdigit() or int(label) >= len(wnids):
            raise ValueError(
                f"{path}, line {number}: a name and a class from 0 to {len(wnids) - 1} are needed"
            )
        listed.append((name, int(label)))
    return listed


def _convert(root: Path, listed: Listed, database: Path, options: Any) -> None:
    """Makes a database, or goes on with it; it gets its name when it is whole."""
    work = database.with_name(database.name + ".unfinished")
    content = "".join(f"{name} {label}\n" for name, label in listed)
    settings = {
        "root": str(root.resolve()),
        "size": options.size,
        "encoded": options.encoded,
        "list": hashlib.sha1(content.encode()).hexdigest(),
    }
    state = work / "state.json"
    done = 0
    if state.is_file():
        begun = json.loads(state.read_text())
        if begun["settings"] != settings:
            raise ValueError(
                f"{work} was begun with other images or options: remove it, or give those it was begun with"
            )
        done = begun["done"]
        _caffe.log(f"Going on with {database.name} at image {done} of {len(listed)}")
    else:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        (work / "list.txt").write_text(content)

    def note(number: int) -> None:
        (work / "state.tmp").write_text(json.dumps({"settings": settings, "done": number}))
        os.replace(work / "state.tmp", state)

    mode = "write" if done else "new"
    if not done:
        shutil.rmtree(work / "lmdb", ignore_errors=True)
    with _caffe.Database(str(work / "lmdb"), mode) as target, Progress("images", len(listed)) as progress:
        images = _caffe.ImageSetConverter(
            f"{root}/",
            str(work / "list.txt"),
            height=options.size,
            width=options.size,
            gray=False,
            encoded=options.encoded,
            encode_type="jpg" if options.encoded else "",
            check_size=False,
            shuffle_seed=None,
            first=done,
        )
        noted = done
        while images.step(target):
            progress.show(done + images.written + images.skipped)
            if images.committed != noted:
                noted = images.committed
                note(noted)
    os.rename(work / "lmdb", database)
    shutil.rmtree(work)


def _verify(database: Path, listed: Listed, size: int, encoded: bool) -> None:
    """Reads all records: each is an image of the size with its file's class, in the order of the list."""
    count, last = 0, -1
    with (
        _caffe.Database(str(database), "read") as source,
        Progress("images verified", len(listed)) as progress,
    ):
        for key, value in source.items():
            number_text, _, name = key.decode(errors="replace").partition("_")
            number = int(number_text) if number_text.isdigit() else -1
            where = f"{database}, record {key.decode(errors='replace')}"
            if not last < number < len(listed) or listed[number][0] != name:
                raise ValueError(f"{where}: is no image of the list; remove the database and make it again")
            datum, label = Datum.FromString(value), listed[number][1]
            if datum.label != label:
                raise ValueError(f"{where}: has class {datum.label}, and its file {label}")
            whole = bool(datum.data) if encoded else len(datum.data) == 3 * size * size
            if datum.encoded != encoded or not whole:
                raise ValueError(f"{where}: is no image of {size} x {size}; it was made with other options")
            last = number
            count += 1
            progress.show(count)
    if not count:
        raise ValueError(f"{database} is empty: none of the {len(listed)} images could be read; remove it")
    _caffe.log(f"{database}: {count} images of {size} x {size} verified")
    if count < len(listed):
        _warn(f"{database} leaves out {len(listed) - count} files that could not be read")
