#!/usr/bin/env bash
# Fuzzes a reader of foreign files, or each in turn, for so many seconds (60), with address and undefined-behaviour
# sanitizers. What it finds goes to BUILD_DIR/artifacts; an input that is worth keeping belongs into
# fuzz/corpus/READER, which the C++ tests go through. Needs clang with its runtimes:
# apt-get install clang-14 libclang-rt-14-dev libomp-14-dev (or others).
#   scripts/fuzz.sh net 600
#   scripts/fuzz.sh all 60
#   scripts/fuzz.sh lmdb 60 -seed=3   # further arguments are libFuzzer's
# Readers: packed_model net solver weights state hdf5 mean record image lmdb leveldb image_list window_file.
# Environment: CXX (clang++ of the newest version), BUILD_DIR (build/fuzz).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
all=(packed_model net solver weights state hdf5 mean record image lmdb leveldb image_list window_file)
readers=("${1:-all}")
if [ "${readers[0]}" = all ]; then readers=("${all[@]}"); fi
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
if [ -z "${CXX:-}" ]; then
  CXX=$(compgen -c clang++ | grep -E '^clang\+\+(-[0-9]+)?$' | sort -V | tail -1) || true
fi
command -v "${CXX:-clang++}" >/dev/null || { echo "fuzz.sh: clang++ is missing (see the first lines)" >&2; exit 1; }

build=${BUILD_DIR:-build/fuzz}
CC=${CXX/clang++/clang} CXX=$CXX cmake -S . -B "$build" -G Ninja --log-level=WARNING -DCAFFE_FUZZ=ON
cmake --build "$build" --parallel "$(sh scripts/jobs.sh)" --target "${readers[@]/#/fuzz_}"
# One thread each, so that an input does the same again.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=12:${ASAN_OPTIONS:-}
if [ -d /dev/shm ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
mkdir -p "$build/artifacts"
for reader in "${readers[@]}"; do
  mkdir -p "$build/corpus/$reader"
  longest=8192
  case $reader in lmdb) longest=65536 ;; esac
  "$build/fuzz/fuzz_$reader" "$build/corpus/$reader" "fuzz/corpus/$reader" -max_total_time="$seconds" \
    -entropic=0 -max_len=$longest -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 \
    -artifact_prefix="$build/artifacts/$reader-" "$@"
done
