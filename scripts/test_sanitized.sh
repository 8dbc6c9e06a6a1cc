#!/usr/bin/env bash
# Passes the C++ tests under sanitizers, as CMakePresets.json has them: asan, addresses and undefined behaviour, or
# tsan, threads. Further arguments go to the test program. The first build takes half an hour on two cores.
#   scripts/test_sanitized.sh asan
#   scripts/test_sanitized.sh tsan --gtest_filter='ThreadPool*:ParallelFor*'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-asan}
shift || true
python=$PWD/.venv/bin/python
[ -x "$python" ] || { echo "test_sanitized.sh: .venv is missing: run scripts/setup.sh first" >&2; exit 1; }
cmake --preset "$preset" --log-level=WARNING -DPython_EXECUTABLE="$python"
cmake --build "build/$preset" --parallel "$(sh scripts/jobs.sh)" --target caffe_tests
# libgomp, which OpenBLAS runs on, is not built with a sanitizer: ThreadSanitizer cannot see what its threads wait for.
if [ "$preset" = tsan ]; then export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; fi
# Tests ask for more memory than there can be, and are to get an error.
export ASAN_OPTIONS=allocator_may_return_null=1:${ASAN_OPTIONS:-}
exec "build/$preset/test/caffe_tests" --gtest_brief=1 "$@"
