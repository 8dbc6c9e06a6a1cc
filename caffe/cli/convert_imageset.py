"""convert_imageset: makes a database of image files, decoding and resizing on all cores."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from caffe import _caffe
from caffe.cli import flags
from caffe.cli.databases import new_database
from caffe.cli.progress import Progress

# The engine logs the round numbers.
_LOG_EVERY = 1000


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "convert_imageset",
        "Makes a database of the images (JPEG, PNG) that a list names; what training reads as Data layer. "
        "Images that cannot be read are named and left out. The database appears when it is whole.",
        "convert_imageset -resize_width 256 -resize_height 256 -shuffle images/ list.txt train_lmdb",
    )
    parser.add_argument("root", metavar="ROOTFOLDER/", help="what goes before each name of the list")
    parser.add_argument("list", metavar="LISTFILE", help="lines of a file name, a blank and a label")
    parser.add_argument("database", metavar="DB_NAME", help="the folder to make")
    flags.add_backend(parser)
    parser.add_switch("gray", "make gray images")
    parser.add_switch("shuffle", "write the images in random order")
    parser.add_argument(
        "-seed", "--seed", type=_seed, metavar="N", help="of the order of -shuffle; one seed gives one order"
    )
    for side in ("width", "height"):
        parser.add_argument(
            f"-resize_{side}",
            f"--resize_{side}",
            type=int,
            default=0,
            metavar="PIXELS",
            help=f"{side} to resize images to; 0 keeps theirs (0)",
        )
    parser.add_switch("check_size", "stop at an image of another size than the first")
    parser.add_switch("encoded", "store image files, not pixels")
    parser.add_argument(
        "-encode_type",
        "--encode_type",
        choices=["", "jpg", "jpeg", "png"],
        default="",
        help="their format; files that have it are stored as they are (each file's own)",
    )
    options = flags.parse(parser, arguments)
    if min(options.resize_width, options.resize_height) < 0:
        parser.error("-resize_width and -resize_height are numbers of pixels, or 0")
    if (options.resize_width == 0) != (options.resize_height == 0):
        parser.error("give -resize_width and -resize_height, or neither")
    if options.seed is not None and not options.shuffle:
        parser.error("-seed is that of the order of -shuffle: give both, or neither")
    return _convert(options)


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise ValueError
    return seed


def _convert(options) -> int:
    seed = None
    if options.shuffle:
        seed = secrets.randbits(32) if options.seed is None else options.seed
        _caffe.log(f"Shuffling data with seed {seed} (-seed {seed} gives this order again)")
    if options.encode_type and not options.encoded:
        _caffe.log("encode_type specified, assuming encoded=true.")
    # Before anything is read: the user need not wait for what will be refused.
    with new_database(options.database, options.backend) as database:
        images = _caffe.ImageSetConverter(
            _root(options.root),
            options.list,
            height=options.resize_height,
            width=options.resize_width,
            gray=options.gray,
            encoded=options.encoded or bool(options.encode_type),
            encode_type=options.encode_type,
            check_size=options.check_size,
            shuffle_seed=seed,
        )
        _caffe.log(f"A total of {len(images)} images.")
        with Progress("images", len(images)) as progress:
            while images.step(database):
                progress.show(images.written + images.skipped)
        if images.written == 0:
            raise ValueError(
                f"none of the {len(images)} images of {options.list} could be read; the last lines say why"
            )
    if images.written % _LOG_EVERY:
        _caffe.log(f"Processed {images.written} files.")
    if images.skipped:
        message = f"Left out {images.skipped} of {len(images)} images that could not be read (named above)"
        _caffe.log_from(__file__, 0, message, 1)
    return 0


def _root(root: str) -> str:
    # Caffe's tool puts the root before the name as it stands; a folder without its slash is meant with it.
    return root + "/" if os.path.isdir(root) and not root.endswith("/") else root
