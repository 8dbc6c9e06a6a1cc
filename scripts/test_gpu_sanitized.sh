#!/usr/bin/env bash
# Passes C++ tests of the GPU's side under NVIDIA's compute-sanitizer, on a machine with a GPU; says why where it
# cannot. Each tool has a limit of time, so that all end within nine minutes.
#   scripts/test_gpu_sanitized.sh                          the tests that are chosen for each tool below
#   scripts/test_gpu_sanitized.sh --gtest_filter='GpuHwgq*'       others, as all arguments are the test program's
# memcheck: memory that is not theirs, or was given back before a stream was done with it. racecheck: shared memory
# that a block's threads use at the same time. synccheck: barriers that not all reach. initcheck: memory that nobody
# wrote.
# Environment: BUILD_DIR, where `cmake --build` has put test/caffe_tests (build); TOOLS, which of the tools;
# SECONDS_EACH, the limit (125).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests=${BUILD_DIR:-build}/test/caffe_tests

leave_out() {
  echo "test_gpu_sanitized.sh: the tests under compute-sanitizer are left out: $1"
  exit 0
}

find_sanitizer() {
  local candidate
  for candidate in "$(command -v compute-sanitizer)" "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer"; do
    if [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

sanitizer=$(find_sanitizer) || leave_out "compute-sanitizer, of CUDA's toolkit, is not to be had here"
[ -x "$tests" ] || { echo "test_gpu_sanitized.sh: $tests is missing: build the target caffe_tests first" >&2; exit 1; }
# A test that needs a GPU tells by being skipped that this build, or this machine, has none.
one=PackedGpuTest.HandsAnInputOn
if "$tests" --gtest_filter=$one | grep -q SKIPPED; then
  leave_out "there is no GPU here that $tests can use"
fi

# What a tool is slow with is left out, as are kernels of others where it finds what they do on purpose.
chosen() {
  case $1 in
    memcheck) echo 'Gpu*:Cudnn*:PackedGpu*-*EveryTile*:*LargeProducts*:PackedGpuTest.CutsLargeBatches' ;;
    racecheck) echo 'GpuHwgq*:GpuBinarize*:GpuWindows*:PackedGpu*-*EveryTile*:*LargeProducts*:*CutsLargeBatches' ;;
    synccheck) echo 'GpuHwgq*:GpuBinarize*:GpuLayers*:PackedGpu*-*EveryTile*:*LargeProducts*:*CutsLargeBatches' ;;
    initcheck) echo 'GpuHwgqTest.Products*:GpuBinarize*:PackedGpuTest.EqualsTheProcessorBitForBit' ;;
  esac
}

# Errors that functions of CUDA return are looked at by the code itself, and some tests ask for them.
options() {
  if [ "$1" = memcheck ]; then echo --report-api-errors no --track-stream-ordered-races all; fi
}

failed=()
for tool in ${TOOLS:-memcheck racecheck synccheck initcheck}; do
  echo "== $tool =="
  status=0
  timeout --kill-after=5 "${SECONDS_EACH:-125}" "$sanitizer" --tool "$tool" --error-exitcode 99 \
    $(options "$tool") "$tests" --gtest_brief=1 --gtest_filter="$(chosen "$tool")" "$@" || status=$?
  case $status in
    0) ;;
    124 | 137) failed+=("$tool took longer than ${SECONDS_EACH:-125} seconds: name fewer tests by --gtest_filter") ;;
    99) failed+=("$tool found errors") ;;
    *) failed+=("tests failed under $tool, with status $status") ;;
  esac
done
for failure in "${failed[@]}"; do echo "test_gpu_sanitized.sh: $failure" >&2; done
[ ${#failed[@]} -eq 0 ]
