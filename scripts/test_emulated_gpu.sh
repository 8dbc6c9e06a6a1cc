#!/usr/bin/env bash
# Passes the tests of the GPU's side on GPUs that the CPU imitates (src/caffe/test/gpu_emulator): the project's own
# kernels, training on several GPUs, and what Python and the command line offer of a GPU. cuDNN, real speed and real
# races are not tested this way. Needs what setup.sh installs. Arguments go to the C++ test program.
# BUILD_DIR is where the objects go (build/gpu_emulator).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build/gpu_emulator}
python=$PWD/.venv/bin/python

# Compiled quickly rather than well: the tests are small.
cmake -S . -B "$build" -G Ninja -DCAFFE_GPU_EMULATOR=ON -DCMAKE_BUILD_TYPE=None \
  -DCMAKE_CXX_FLAGS="-O1 -DNDEBUG" -DPython_EXECUTABLE="$python" ${CAFFE_CMAKE_ARGS:-} >/dev/null
cmake --build "$build" --parallel "$(sh scripts/jobs.sh)" --target _caffe caffe_pb2 caffe_tests
export CAFFE_EMULATED_GPUS=${CAFFE_EMULATED_GPUS:-3}
"$build/test/caffe_tests" --gtest_brief=1 "$@"

# The package of the source tree, with the module of this build in place of its own.
package=$build/python/caffe
rm -rf "$package"
mkdir -p "$build/python"
cp -rs "$PWD/caffe" "$package"
mkdir -p "$build/python/python"
cp python/train.py "$build/python/python/"
rm -f "$package"/_caffe*.so
ln -s "$PWD/$build"/lib/_caffe*.so "$package/"
# The environment's own link to the source tree would go before it.
cat >"$build/python/sitecustomize.py" <<'PYTHON'
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__name__.startswith("ScikitBuild")]
PYTHON
# Python loads the library late, when there is little room left for its threads' variables.
export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=1000000
PYTHONPATH=$PWD/$build/python .venv/bin/pytest -q tests/test_gpu.py tests/test_gpu_training.py tests/test_parallel.py \
  tests/test_packed_gpu.py
PYTHONPATH=$PWD/$build/python .venv/bin/pytest -q tests/test_mpi.py -k gpus
