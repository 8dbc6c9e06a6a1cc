#!/usr/bin/env bash
# Passes libhwgq's tests as a 64-bit ARM processor runs them: built with a cross compiler, run by qemu. Arguments go
# to the test program. Needs, on Debian and Ubuntu: apt-get install g++-aarch64-linux-gnu qemu-user libgtest-dev.
# BUILD_DIR is where the objects go (build/neon).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
googletest=/usr/src/googletest/googletest
for tool in aarch64-linux-gnu-g++ qemu-aarch64 make; do
  command -v "$tool" >/dev/null || { echo "test_neon.sh: $tool is missing (see the first lines)" >&2; exit 1; }
done
[ -d "$googletest" ] || { echo "test_neon.sh: $googletest is missing (see the first lines)" >&2; exit 1; }

build=${BUILD_DIR:-build/neon}
sources=("$googletest"/src/{gtest-all,gtest_main}.cc)
while read -r name; do sources+=("src/caffe/test/$name.cpp"); done <src/caffe/test/hwgq_tests.txt
for source in src/caffe/lowbit/*.cpp; do
  case $source in
    *avx* | *amx*) ;;
    *) sources+=("$source") ;;
  esac
done

# A makefile, so that only what has changed is compiled again, and on all cores.
mkdir -p "$build"
{
  echo "CXXFLAGS = -std=c++17 -O2 -Wall -Wextra -Werror -Iinclude -Isrc -Ifuzz -I$googletest -I$googletest/include"
  echo "CXXFLAGS += -DFUZZ_SOURCE_DIR='\"fuzz/\"' -MMD -MP"
  objects=()
  for source in "${sources[@]}"; do objects+=("$build/$(basename "${source%.*}").o"); done
  echo "$build/lowbit_tests: ${objects[*]}"
  echo "	aarch64-linux-gnu-g++ -static \$^ -pthread -o \$@"
  for i in "${!sources[@]}"; do
    # As in the CMakeLists.txt of src/caffe/lowbit and src/caffe/test.
    flags=
    case ${objects[i]} in
      */float_*) flags=-ffp-contract=fast ;;
      */step_* | */steps.o | */emulated_kernels.o) flags=-ffp-contract=off ;;
    esac
    echo "${objects[i]}: ${sources[i]}"
    echo "	aarch64-linux-gnu-g++ \$(CXXFLAGS) $flags -c \$< -o \$@"
  done
  echo "-include ${objects[*]/%.o/.d}"
} >"$build/Makefile"
make --no-print-directory -f "$build/Makefile" -j "$(sh scripts/jobs.sh)" "$build/lowbit_tests"
# qemu-user itself fails where a process with threads forks.
qemu-aarch64 "$build/lowbit_tests" --gtest_brief=1 --gtest_filter=-ThreadPoolTest.WorksInAChildProcess "$@"
