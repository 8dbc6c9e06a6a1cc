#!/usr/bin/env bash
# Passes tests under sanitizers, as CMakePresets.json has them.
#   scripts/test_sanitized.sh asan             addresses and undefined behaviour: all tests of C++ and of Python
#   scripts/test_sanitized.sh asan cpp --gtest_filter='Image*'     further arguments are the test program's
#   scripts/test_sanitized.sh asan python tests/test_net.py -q     ... or pytest's
#   scripts/test_sanitized.sh tsan             threads: the C++ tests of what runs in several
#   scripts/test_sanitized.sh tsan --gtest_filter='ThreadPool*:ParallelFor*'
#   scripts/test_sanitized.sh reduced          what continuous integration does: libhwgq under both, readers of foreign
#                                              files on fuzz/corpus, what threads share; `make all` comes before
# The first build for asan takes half an hour on two cores, that for tsan a quarter, that for reduced minutes.
# Environment: JOBS, compilations at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
JOBS=${JOBS:-$(sh scripts/jobs.sh)}
python=$PWD/.venv/bin/python
[ -x "$python" ] || { echo "test_sanitized.sh: .venv is missing: run scripts/setup.sh first" >&2; exit 1; }

# build PRESET TARGET...
build() {
  cmake --preset "$1" --log-level=WARNING --no-warn-unused-cli -DPython_EXECUTABLE="$python"
  cmake --build "build/$1" --parallel "$JOBS" --target "${@:2}"
}

# Tests ask for more memory than there can be, and are to get an error.
export ASAN_OPTIONS=allocator_may_return_null=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
# Tests fork while threads run, and children go on.
export TSAN_OPTIONS=die_after_fork=0:suppressions=$PWD/scripts/tsan_suppressions.txt:${TSAN_OPTIONS:-}

# ThreadSanitizer of GCC 12 finds no room where addresses are as random as newer kernels make them: programs run
# without that where it may be asked for. Sets `as_expected`, words to come before a program, or fails.
find_room() {
  local folder found=1
  folder=$(mktemp -d)
  echo 'int main() {}' | "${CXX:-c++}" -fsanitize=thread -x c++ - -o "$folder/program"
  for as_expected in "" "setarch $(uname -m) -R"; do
    if runs_each_time $as_expected "$folder/program" 2>/dev/null; then
      found=0
      break
    fi
  done
  rm -r "$folder"
  return $found
}

# It is a matter of chance.
runs_each_time() {
  local time
  for time in 1 2 3 4 5 6 7 8; do "$@" || return 1; done
}

# Leaks are not looked for in Python, which keeps much till its end, nor in the libraries of others that it loads.
asan_python() {
  build asan _caffe caffe_pb2
  # The package of the source tree, with the module of this build.
  local package=$PWD/build/asan/package/caffe entry
  rm -rf "$package"
  mkdir -p "$package"
  for entry in caffe/*; do
    case $entry in
      *.so | */__pycache__) ;;
      *) ln -s "$PWD/$entry" "$package/" ;;
    esac
  done
  ln -s "$PWD"/build/asan/lib/_caffe*.so "$package/"
  # Every Python of .venv that has the variable finds the package there: before the finder of the editable
  # installation, the working folder and what tests write into PYTHONPATH.
  local site
  site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  trap "rm -f '$site'/caffe_sanitized.{pth,py}" EXIT
  echo "import caffe_sanitized" >"$site/caffe_sanitized.pth"
  cat >"$site/caffe_sanitized.py" <<'END'
import importlib.util
import os
import sys


class SanitizedPackage:
    folder = os.environ.get("CAFFE_SANITIZED_PACKAGE")

    def find_spec(self, name, path=None, target=None):
        if name != "caffe":
            return None
        start = os.path.join(self.folder, "__init__.py")
        return importlib.util.spec_from_file_location(name, start, submodule_search_locations=[self.folder])


if SanitizedPackage.folder:
    sys.meta_path.insert(0, SanitizedPackage())
END
  local library preload=
  # The second comes along since AddressSanitizer looks for what it replaces before the module is loaded.
  for library in libasan.so libstdc++.so; do preload+=" $("${CXX:-c++}" -print-file-name=$library)"; done
  # Memory of Python's objects is the allocator's, so that what is read beyond a `bytes` is seen, too.
  local environment=(env LD_PRELOAD="${preload# }" ASAN_OPTIONS="detect_leaks=0:$ASAN_OPTIONS"
    CAFFE_SANITIZED_PACKAGE="$package" PYTHONMALLOC=malloc)
  local module
  module=$("${environment[@]}" "$python" -c 'import caffe._caffe; print(caffe._caffe.__file__)')
  case $module in
    "$package"/*) ;;
    *) echo "test_sanitized.sh: $module is loaded, not the module under build/asan" >&2; exit 1 ;;
  esac
  # pytest itself, as `python -m` would look for the package in the working folder first.
  "${environment[@]}" .venv/bin/pytest "$@"
}

what=${1:-}
shift || true
case $what in
  asan)
    part=${1:-all}
    shift || true
    case $part in
      all | cpp | python) ;;
      *) echo "test_sanitized.sh: '$part' is no part: cpp or python" >&2; exit 2 ;;
    esac
    if [ "$part" != python ]; then
      build asan caffe_tests
      build/asan/test/caffe_tests --gtest_brief=1 "$@"
    fi
    if [ "$part" != cpp ]; then asan_python "$@"; fi
    ;;
  tsan)
    find_room || { echo "test_sanitized.sh: programs with ThreadSanitizer do not run here" >&2; exit 1; }
    build tsan caffe_tests
    # libgomp is built without ThreadSanitizer, which is told of our loops alone: BLAS goes without threads.
    OPENBLAS_NUM_THREADS=1 $as_expected build/tsan/test/caffe_tests --gtest_brief=1 "$@"
    ;;
  reduced)
    build asan hwgq_tests
    build/asan/test/hwgq_tests --gtest_brief=1
    cmake --build build --parallel "$JOBS" --target reader_tests
    build/test/reader_tests --gtest_brief=1
    if find_room; then
      build tsan hwgq_tests thread_tests
      $as_expected build/tsan/test/hwgq_tests --gtest_brief=1 --gtest_filter='ThreadPool*:PackedNet*:CInterface*'
      OPENBLAS_NUM_THREADS=1 $as_expected build/tsan/test/thread_tests --gtest_brief=1
    else
      echo "ThreadSanitizer is left out: programs with it do not run here"
    fi
    ;;
  *)
    echo "test_sanitized.sh: say asan, tsan or reduced" >&2
    exit 2
    ;;
esac
