"""Where the tests find the checkout and data that may lie beside it."""

import os
import pathlib

import hypothesis
import pytest

from caffe import idx

ROOT = pathlib.Path(__file__).parents[1]
SHARED = pathlib.Path(os.environ.get("CAFFE_SHARED", ROOT.parent / "shared"))

# Property tests try the same few examples each time; CAFFE_EXAMPLES=1000 hunts with so many new
# ones.
EXAMPLES = os.environ.get("CAFFE_EXAMPLES")
hypothesis.settings.register_profile(
    "caffe",
    max_examples=int(EXAMPLES or 12),
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("caffe")


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """Reference data beside the checkout; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there (set CAFFE_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def mnist_dir():
    """The folder of the MNIST idx files; the test is skipped where there is none."""
    candidates = [os.environ.get("MNIST_DIR"), ROOT / "data/mnist", SHARED / "data/mnist"]
    for folder in filter(None, candidates):
        if idx.find(folder, "train-images-idx3-ubyte"):
            return pathlib.Path(folder)
    pytest.skip("there are no MNIST files (set MNIST_DIR)")
