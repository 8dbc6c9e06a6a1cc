"""Where the tests find the checkout and data that may lie beside it."""

import csv
import os
import pathlib
import tarfile

import hypothesis
import pytest

from caffe import _caffe, idx

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


@pytest.fixture(autouse=True)
def log():
    """What a test turns off in the log is on again in the next."""
    level = _caffe.log_level()
    yield
    _caffe.init_log(level)


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


@pytest.fixture(scope="session")
def collection(shared, tmp_path_factory):
    """Rows of the index of other projects' nets, each with the path of its file."""
    folder = shared / "prototxt"
    if not (folder / "INDEX.tsv").is_file():
        pytest.skip("there are no prototxt files beside the checkout")
    root = tmp_path_factory.mktemp("prototxt")
    with tarfile.open(folder / "prototxt.tar.xz") as archive:
        archive.extractall(root)
    with open(folder / "INDEX.tsv", newline="") as index:
        rows = [row for row in csv.DictReader(index, delimiter="\t") if row["kind"] == "net"]
    return [dict(row, path=root / row["file"]) for row in rows]
