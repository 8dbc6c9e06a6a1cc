#!/usr/bin/env bash
# Fuzzes the reader of packed models for so many seconds (60), with address and undefined-behaviour sanitizers. What
# it finds goes to BUILD_DIR/artifacts; an input that is worth keeping belongs into fuzz/corpus/packed_model, which
# the C++ tests go through. Needs clang with its runtime: apt-get install clang-14 libclang-rt-14-dev (or others).
#   scripts/fuzz.sh 600
#   scripts/fuzz.sh 60 -seed=3        # further arguments are libFuzzer's
# Environment: CXX (clang++ of the newest version), BUILD_DIR (build/fuzz).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
shift || true
if [ -z "${CXX:-}" ]; then
  CXX=$(compgen -c clang++ | grep -E '^clang\+\+(-[0-9]+)?$' | sort -V | tail -1) || true
fi
command -v "${CXX:-clang++}" >/dev/null || { echo "fuzz.sh: clang++ is missing (see the first lines)" >&2; exit 1; }

build=${BUILD_DIR:-build/fuzz}
CC=${CXX/clang++/clang} CXX=$CXX cmake -S . -B "$build" -G Ninja --log-level=WARNING -DCAFFE_FUZZ=ON
cmake --build "$build" --parallel "$(sh scripts/jobs.sh)" --target fuzz_packed_model
mkdir -p "$build/corpus" "$build/artifacts"
exec "$build/fuzz/fuzz_packed_model" "$build/corpus" fuzz/corpus/packed_model -max_total_time="$seconds" \
  -max_len=8192 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 -artifact_prefix="$build/artifacts/" "$@"
