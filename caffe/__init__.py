"""Caffe for networks with 1-bit weights and 2-bit activations.

The interface is pycaffe's: ``caffe.Net``, the solvers, ``caffe.NetSpec``, ``caffe.Classifier``;
``caffe.hwgq`` adds what low precision needs. Errors of the engine are ``caffe.Error``.
"""

from . import _environment  # noqa: F401, I001  (before the engine is loaded)
from . import export, hwgq, io
from ._caffe import (
    Error,
    Layer,
    __version__,
    get_solver,
    has_mpi,
    has_nccl,
    init_log,
    layer_type_list,
    load_plugin,
    log,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from .classifier import Classifier
from .detector import Detector
from .net_spec import NetSpec, layers, params, to_proto
from .proto.caffe_pb2 import TEST, TRAIN
from .pycaffe import (
    NCCL,
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    Net,
    RMSPropSolver,
    SGDSolver,
    Timer,
)

__all__ = [
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Classifier",
    "Detector",
    "Error",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
    "__version__",
    "export",
    "get_solver",
    "has_mpi",
    "has_nccl",
    "hwgq",
    "init_log",
    "io",
    "layer_type_list",
    "layers",
    "load_plugin",
    "log",
    "params",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]
