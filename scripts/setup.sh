#!/usr/bin/env bash
# Takes a Debian 12 or Ubuntu 24.04 machine that has only git, a shell and Python to where `caffe` is built and
# installed in .venv: system packages, virtual environment, compilation. What is there already is left alone, so
# that another run takes seconds. demo.sh and test.sh begin with it.
#
# Environment:
#   PYTHON            the interpreter that .venv is made with, 3.10 or newer (python3)
#   JOBS              compilations at a time (as many as cores and memory allow)
#   CAFFE_CUDA        ON or OFF: whether to build for GPUs, too. AUTO, the default: where nvcc and NVIDIA's driver
#                     are, or where the last build was
#   CAFFE_MPI         ON: also install Open MPI, for training in several processes. Without it the MPI that is there
#                     already is used, if any
#   CAFFE_LOCKED      ON: Python packages are those of requirements/ci.txt, in these versions and with these hashes,
#                     as continuous integration has them. Without it they are the newest that pyproject.toml allows
#   CAFFE_CMAKE_ARGS  more options for CMake
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}

say() { printf '== %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

check_python() {
  command -v "$PYTHON" >/dev/null 2>&1 || fail "there is no $PYTHON: install Python 3.10 or newer, or name it in PYTHON"
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$PYTHON is $("$PYTHON" --version 2>&1): Python 3.10 or newer is needed; name another in PYTHON"
}

# The name of a package of the system's that belongs to this Python: python3-venv, or python3.12-venv where
# that is not the system's own version.
python_package() {
  local version system_version
  version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  system_version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none)
  if [ "$version" = "$system_version" ]; then echo "python3-$1"; else echo "python$version-$1"; fi
}

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# Fills `missing`. Compilers, tools and Python may come from anywhere; libraries are asked of the package manager.
# A line of alternatives is satisfied by any of them; the first is the one to install.
find_missing() {
  missing=()
  local line name alternative
  while read -r line; do
    name=${line#*:}
    command -v "${line%%:*}" >/dev/null 2>&1 || missing+=("$name")
  done <<'COMMANDS'
c++:g++
make:make
cmake:cmake
ninja:ninja-build
ccache:ccache
protoc:protobuf-compiler
COMMANDS
  while read -r line; do
    for alternative in $line; do
      if installed "$alternative"; then continue 2; fi
    done
    missing+=("${line%% *}")
  done <<'LIBRARIES'
libprotobuf-dev
liblmdb-dev
libleveldb-dev
libopenblas-openmp-dev libopenblas-pthread-dev libopenblas-serial-dev
libhdf5-dev libhdf5-openmpi-dev libhdf5-mpich-dev
libjpeg-dev libjpeg62-turbo-dev libjpeg-turbo8-dev
libpng-dev
libgtest-dev
LIBRARIES
  if [ "${CAFFE_MPI:-}" = ON ]; then
    command -v mpicxx >/dev/null 2>&1 || missing+=(libopenmpi-dev)
    command -v mpirun >/dev/null 2>&1 || missing+=(openmpi-bin)
  fi
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing+=("$(python_package venv)")
  "$PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null ||
    missing+=("$(python_package dev)")
}

install_system_packages() {
  command -v dpkg-query >/dev/null 2>&1 ||
    fail "this script knows Debian and Ubuntu only; elsewhere, install what README.md lists and run make"
  find_missing
  if [ ${#missing[@]} -eq 0 ]; then return; fi

  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    # With a terminal, sudo may ask for the password; without one, it must do without.
    if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      fail "these system packages are missing, and installing them takes root. Run this once, then come back:
  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    fi
  fi
  say "installing system packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
  find_missing
  if [ ${#missing[@]} -ne 0 ]; then fail "still missing after their installation: ${missing[*]}"; fi
}

# The package goes into .venv as a link to this checkout, so that there is one copy of it; its compiled part comes
# from the build below. pyproject.toml says what else is needed, or requirements/ci.txt, so their text is the stamp of
# what was installed.
make_environment() {
  local stamp=.venv/installed.stamp wanted locked=
  if [ "${CAFFE_LOCKED:-}" = ON ]; then locked="locked $(cksum <requirements/ci.txt)"; fi
  if ! .venv/bin/python -c '' 2>/dev/null; then
    say "making the virtual environment .venv"
    "$PYTHON" -m venv --clear .venv
  fi
  wanted="$PWD $(.venv/bin/python --version) $(cksum <pyproject.toml) $locked"
  if [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then return; fi
  say "installing the Python packages${locked:+ of requirements/ci.txt}"
  local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
  local package=(--editable '.[dev]')
  if [ -n "$locked" ]; then
    # Wheels only: a source archive's build would fetch packages that nothing pins.
    "${pip[@]}" --require-hashes --only-binary :all: --requirement requirements/ci.txt
    package=(--no-deps --no-build-isolation --editable .)
  fi
  SKBUILD_WHEEL_CMAKE=false SKBUILD_EDITABLE_MODE=inplace "${pip[@]}" "${package[@]}"
  printf '%s\n' "$wanted" >$stamp
}

# Sets CAFFE_CUDA to ON or OFF.
choose_cuda() {
  local nvcc
  nvcc=$(bash scripts/cuda_libraries.sh nvcc) || nvcc=
  case ${CAFFE_CUDA:-AUTO} in
    OFF) ;;
    ON)
      [ -n "$nvcc" ] || fail "CAFFE_CUDA=ON needs nvcc: install the CUDA toolkit, version 12 or 13, or of NVIDIA's" \
        "packages cuda-nvcc and cuda-cudart-dev, and name its folder in CUDA_HOME if that is not /usr/local/cuda"
      ;;
    AUTO)
      CAFFE_CUDA=OFF
      if [ -n "$nvcc" ] && { command -v nvidia-smi >/dev/null || [ -e /dev/nvidiactl ] ||
        grep -qs '^CAFFE_CUDA:BOOL=ON' build/CMakeCache.txt; }; then
        CAFFE_CUDA=ON
      fi
      ;;
    *) fail "CAFFE_CUDA is '$CAFFE_CUDA': it may be ON, OFF or AUTO" ;;
  esac
  if [ "$CAFFE_CUDA" = ON ]; then bash scripts/cuda_libraries.sh install .venv/bin/python; fi
}

check_python
install_system_packages
make_environment
choose_cuda
say "building"
make --no-print-directory all CAFFE_CUDA="$CAFFE_CUDA" ${JOBS:+JOBS="$JOBS"}
