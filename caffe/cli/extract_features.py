"""extract_features: writes blobs of a net to databases."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from caffe import _caffe, io
from caffe.cli import flags
from caffe.cli.databases import new_database
from caffe.proto import caffe_pb2
from caffe.pycaffe import Net

_RECORDS_PER_COMMIT = 1000
_LEGACY_AXES = 4


def run(arguments: Sequence[str]) -> int:
    parser = flags.tool_parser(
        "extract_features",
        "Runs a net on batches of its data, in its TEST phase, and writes blobs to databases: a record of "
        "floats for each item.",
        "extract_features net.caffemodel net.prototxt fc7,prob fc7_lmdb,prob_lmdb 10 lmdb",
    )
    parser.add_argument("weights", metavar="PRETRAINED_NET", help="the net's parameters")
    parser.add_argument("model", metavar="NET", help="the net's definition, with its data")
    parser.add_argument("blobs", metavar="BLOB[,BLOB]", help="names of blobs of the net")
    parser.add_argument("databases", metavar="DB[,DB]", help="a folder to make for each blob")
    parser.add_argument("batches", metavar="BATCHES", type=int, help="number of batches to run")
    parser.add_argument("db_type", choices=["lmdb", "leveldb"], help="kind of database")
    parser.add_argument("mode", metavar="CPU|GPU", nargs="?", default="CPU", choices=["CPU", "GPU"])
    parser.add_argument("device", metavar="DEVICE_ID=0", nargs="?", default="0", type=_device)
    flags.add_device(parser)
    flags.add_plugin(parser)
    options = flags.parse(parser, arguments)
    blobs = flags.comma_list(options.blobs)
    databases = flags.comma_list(options.databases)
    if len(blobs) != len(databases):
        parser.error(f"there are {len(blobs)} names of blobs, but {len(databases)} of databases")
    if options.batches < 1:
        parser.error("the number of batches must be at least 1")
    _choose_mode(options)

    net = Net(options.model, caffe_pb2.TEST)
    net.copy_from(options.weights)
    for name in blobs:
        _check_blob(net, name, options.model)
    with contextlib.ExitStack() as stack:
        writers = [
            _Writer(name, stack.enter_context(new_database(path, options.db_type)))
            for name, path in zip(blobs, databases, strict=True)
        ]
        _caffe.log("Extracting Features")
        for _ in range(options.batches):
            net._forward(0, len(net.layers) - 1)
            for writer in writers:
                writer.write(net.blobs[writer.name].data)
        for writer in writers:
            writer.finish()
    _caffe.log("Successfully extracted the features!")
    return 0


def _device(text: str) -> int:
    return int(text.removeprefix("DEVICE_ID="))


def _choose_mode(options) -> None:
    if options.gpu or options.cpu:
        flags.use_device(options)
    elif options.mode == "GPU":
        _caffe.log("Using GPU")
        _caffe.log(f"Using Device_id={options.device}")
        _caffe.set_device(options.device)
        _caffe.set_mode_gpu()
    else:
        _caffe.log("Using CPU")
        _caffe.set_mode_cpu()


def _check_blob(net: Net, name: str, model: str) -> None:
    if name not in net.blobs:
        raise ValueError(f"{model} has no blob '{name}'; it has {', '.join(net.blobs)}")
    shape = net.blobs[name].data.shape
    if len(shape) > _LEGACY_AXES:
        raise ValueError(
            f"the blob '{name}' has {len(shape)} axes; a record holds those of up to {_LEGACY_AXES} (items, "
            "channels, rows, columns)"
        )


class _Writer:
    """Writes a blob's items, batch after batch."""

    def __init__(self, name: str, database: _caffe.Database):
        self.name = name
        self._database = database
        self._count = 0

    def write(self, batch: np.ndarray) -> None:
        items = batch.reshape(batch.shape + (1,) * (_LEGACY_AXES - batch.ndim))
        for item in items:
            self._database.put(f"{self._count:010d}", io.array_to_datum(item).SerializeToString())
            self._count += 1
            if self._count % _RECORDS_PER_COMMIT == 0:
                self._database.commit()
                self._log()

    def finish(self) -> None:
        if self._count % _RECORDS_PER_COMMIT:
            self._log()

    def _log(self) -> None:
        _caffe.log(f"Extracted features of {self._count} query images for feature blob {self.name}")
