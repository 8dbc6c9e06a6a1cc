"""Records to train on."""

import numpy as np

from caffe import _caffe
from caffe.proto import caffe_pb2


def make_database(path):
    """An LMDB of 50 records of five values each, with labels 0 to 2."""
    values = np.random.RandomState(3).randint(0, 256, (50, 5))
    with _caffe.Database(path, "new") as database:
        for number, row in enumerate(values):
            datum = caffe_pb2.Datum(channels=5, height=1, width=1, label=number % 3, data=bytes(row.tolist()))
            database.put(f"{number:03}", datum.SerializeToString())
        database.commit()
