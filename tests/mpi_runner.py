"""Trains small nets by mpirun."""

import os
import shutil
import subprocess

import pytest
from google.protobuf import text_format
from records import make_database
from tool_runner import command, environment

import caffe
from caffe.proto import caffe_pb2

needs_mpi = pytest.mark.skipif(
    not caffe.has_mpi() or shutil.which("mpirun") is None,
    reason="needs mpirun, and Caffe built with MPI (libopenmpi-dev, openmpi-bin)",
)

NET = """
name: "small"
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "{db}" batch_size: {batch} backend: LMDB }} transform_param {{ scale: 0.01 }} }}
{more}
layer {{ name: "first" type: "InnerProduct" bottom: "data" top: "first"
  inner_product_param {{ num_output: 6 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "first" top: "first" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "first" top: "ip"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""

# Gets the signal DEED at pass PASS of rank RANK; each pass takes PAUSE seconds.
SABOTEUR = """
import os, signal, time, caffe

class Saboteur(caffe.Layer):
    def setup(self, bottom, top):
        self.passes = 0
    def reshape(self, bottom, top):
        top[0].reshape(1)
    def forward(self, bottom, top):
        self.passes += 1
        time.sleep(float(os.environ.get("PAUSE", "0")))
        if self.passes == int(os.environ["PASS"]) and caffe.solver_rank() == int(os.environ["RANK"]):
            os.kill(os.getpid(), getattr(signal, os.environ["DEED"]))
    def backward(self, top, propagate_down, bottom):
        pass
"""
SABOTEUR_LAYER = """
layer { name: "saboteur" type: "Python" bottom: "data" top: "nothing" include { phase: TRAIN }
  python_param { module: "saboteur" layer: "Saboteur" } }
layer { name: "silence" type: "Silence" bottom: "nothing" include { phase: TRAIN } }
"""


def fill(folder):
    """Makes a database of 50 records in a folder, which is returned."""
    make_database(folder / "db")
    (folder / "saboteur.py").write_text(SABOTEUR)
    return folder


def write_solver(folder, batch, text="", name=None, more=""):
    """Writes a solver whose batch, in each process, is this; returns the file's name."""
    name = name or f"batch{batch}"
    (folder / f"{name}_net.prototxt").write_text(NET.format(db=folder / "db", batch=batch, more=more))
    param = caffe_pb2.SolverParameter()
    text_format.Merge(
        f'net: "{name}_net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 8 display: 2 '
        f'random_seed: 4 snapshot: 4 snapshot_prefix: "{name}" solver_mode: CPU {text}',
        param,
    )
    (folder / f"{name}.prototxt").write_text(text_format.MessageToString(param))
    return f"{name}.prototxt"


def mpi_environment(folder, **variables):
    return environment() | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([environment()["PYTHONPATH"], str(folder)]),
        **variables,
    }


def mpirun(folder, *programs, **variables):
    """Runs programs, (number of processes, command line) each, together."""
    line = ["mpirun"]
    for number, program in programs:
        line += [*([":"] if len(line) > 1 else []), "-n", str(number), *map(str, program)]
    return subprocess.run(
        line,
        cwd=folder,
        env=mpi_environment(folder, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def train(folder, number, solver, *flags, **variables):
    return mpirun(folder, (number, command("train", "-solver", solver, *flags)), **variables)


def said(done):
    """The lines that are neither the log's nor mpirun's."""
    return [line for line in done.stderr.splitlines() if line.startswith("caffe train:")]


def weights(folder, name, batch):
    net = caffe.Net(str(folder / f"batch{batch}_net.prototxt"), caffe.TRAIN, weights=str(folder / name))
    return [blob.data.copy() for blobs in net.params.values() for blob in blobs]


def fails_together(done, *words):
    """Not zero, without a traceback, and one line that has all the words."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = said(done)
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]
