"""Values that the reference implementations compute, replayed on this package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CAFFE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
GOLDEN = SHARED / "golden"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the recorded values are not here")

# Solver cases that rounding may decide. The first convolution has a bias in front of batch normalization,
# whose gradient is zero; these solvers divide by the gradient's magnitude, so the recorded bias is what
# rounding made of it on the recording machine (all other weights and losses agree to 1e-7). In the run of the
# sigmoid policy one activation lies 5e-8 from a threshold of the quantizer.
DECIDED_BY_ROUNDING = {"type_AdaGrad", "type_Adam", "type_RMSProp", "policy_sigmoid"}


def replay(script, values, *arguments, **variables):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), **variables}
    done = subprocess.run(
        [sys.executable, GOLDEN / script, "replay", GOLDEN / values, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if line]


def test_layers():
    lines = replay("layers.py", "layers.npz")
    assert lines[-1].endswith("layer cases agree"), lines
    assert len(lines) == 1, lines


def test_solvers():
    lines = replay("solvers.py", "solvers.npz")
    assert lines[-1].endswith("solver cases agree"), lines
    assert {line.split()[0] for line in lines[:-1]} <= DECIDED_BY_ROUNDING


@pytest.mark.parametrize("name", ["alex-hwgq-3ne-clip-poly-320k", "res18-hwgq-3ne-clip-poly-320k"])
def test_whole_nets(root, name):
    """The recording is of a processor with AVX-512. Where sums are added up in another order, some values
    fall to the other side of a quantizer's threshold; of AlexNet, normalized over its batch of two, little is
    left. Integers do not round, and oneDNN's sums are of another order, too."""
    variables = {}
    if name.startswith("alex"):
        if os.environ.get("OPENBLAS_CORETYPE") != "SkylakeX":
            pytest.skip("this processor's kernels add up in another order than those of the recording")
        variables = {"HWGQ_FLOAT_NET": "1", "CAFFE_ENGINE": "CAFFE"}
    deploy = root / "examples/imagenet" / name / "deploy.prototxt"
    lines = replay("nets.py", "nets.npz", f"{name}/deploy.prototxt={deploy}", **variables)
    assert len(lines) == 1 and "top-1 same" in lines[0], lines
