#!/usr/bin/env bash
# What a GPU build needs beside nvcc: cuBLAS, cuRAND, cuDNN 9 and NCCL.
#
#   cuda_libraries.sh nvcc             prints where nvcc is; fails where it is not
#   cuda_libraries.sh install PYTHON   installs those that neither CUDA's toolkit nor the system has into PYTHON's
#                                      environment, from NVIDIA's wheels
set -euo pipefail

find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" \
    "$(command -v nvcc)" /usr/local/cuda/bin/nvcc; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# Whether no header of that name is in the toolkit, nor where the system's are.
lacks() {
  local folder
  for folder in "$toolkit/include" /usr/local/include /usr/include "/usr/include/$(uname -m)-linux-gnu"; do
    if [ -e "$folder/$1" ]; then return 1; fi
  done
}

case ${1:-} in
  nvcc) find_nvcc ;;
  install)
    python=$2
    nvcc=$(find_nvcc) || exit 1
    major=$("$nvcc" --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p')
    # nvcc may be a link or a script: itself knows where it belongs.
    toolkit=$("$nvcc" --dryrun -x cu -c /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
    # From CUDA 13 on, the names of CUDA's own libraries do without its version.
    suffix=-cu$major
    if [ "$major" -ge 13 ]; then suffix=; fi
    wheels=()
    if lacks cublas_v2.h; then wheels+=("nvidia-cublas$suffix==$major.*"); fi
    if lacks curand.h; then wheels+=("nvidia-curand$suffix"); fi
    if lacks cudnn.h; then wheels+=("nvidia-cudnn-cu$major==9.*"); fi
    if lacks nccl.h; then wheels+=("nvidia-nccl-cu$major==2.*"); fi
    if [ ${#wheels[@]} -eq 0 ]; then exit; fi
    "$python" -m pip install --quiet --disable-pip-version-check "${wheels[@]}"
    ;;
  *)
    echo "usage: cuda_libraries.sh nvcc | install PYTHON" >&2
    exit 2
    ;;
esac
