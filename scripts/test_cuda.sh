#!/usr/bin/env bash
# Checks the GPU build where there is no GPU: that everything compiles for one architecture without warnings, and links
# with nothing undefined; and that a program which asks for a GPU is told why it gets none. Needs nvcc, and says so
# where it is not. NVIDIA's libraries that are missing go into an environment in the build folder.
#
# Environment: BUILD_DIR (build/cuda), CUDA_ARCHITECTURE (90), JOBS, CXX.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build/cuda}

nvcc=$(bash scripts/cuda_libraries.sh nvcc) || {
  echo "test_cuda.sh: the GPU build is left out: nvcc is not to be had here"
  exit 0
}
# Of its own: who has no GPU needs none of these gigabytes.
python=$build/venv/bin/python
[ -x "$python" ] || python3 -m venv "$build/venv"
bash scripts/cuda_libraries.sh install "$python" || {
  echo "test_cuda.sh: the GPU build is left out: NVIDIA's libraries are not to be had here"
  exit 0
}

# Not optimized for the CPU, which would take most of the time.
cmake -S . -B "$build" -G Ninja --log-level=WARNING -DPython_EXECUTABLE="$PWD/$python" -DCAFFE_CUDA=ON \
  -DCMAKE_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURE:-90}" -DCAFFE_WERROR=ON -DCAFFE_PYTHON=OFF -DBUILD_TESTING=OFF \
  -DCAFFE_ONEDNN=OFF -DCMAKE_BUILD_TYPE=Unoptimized -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--no-undefined
cmake --build "$build" --parallel "${JOBS:-$(sh scripts/jobs.sh)}" --target lib

# As somebody's program would find the library.
cmake --install "$build" --prefix "$build/installed" >/dev/null
program=$build/program
mkdir -p "$program"
cat >"$program/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.22)
project(Program CXX)
find_package(Caffe REQUIRED)
add_executable(program program.cpp)
target_link_libraries(program PRIVATE Caffe::caffe)
EOF
cat >"$program/program.cpp" <<'EOF'
#include <caffe/caffe.hpp>

#include <iostream>

// Succeeds where a GPU is refused with an error that says why, at each way to ask for one.
int main() {
  caffe::Caffe::set_mode(caffe::Caffe::GPU);
  if (caffe::Caffe::FindDevice() >= 0) {
    std::cout << "there is a GPU here: nothing is refused\n";
    return 0;
  }
  const auto is_refused = [](const char* what, void (*ask)()) {
    try {
      ask();
    } catch (const caffe::Error& error) {
      const std::string message = error.what();
      std::cout << what << ": " << message << "\n";
      return message.find("GPU") != std::string::npos || message.find("driver") != std::string::npos;
    }
    std::cout << what << ": not refused\n";
    return false;
  };
  bool refused = is_refused("SetDevice", [] { caffe::Caffe::SetDevice(0); });
  refused &= is_refused("DeviceQuery", [] { caffe::Caffe::DeviceQuery(); });
  refused &= is_refused("Blob::gpu_data", [] { caffe::Blob<float>(1, 2, 3, 4).mutable_gpu_data(); });
  return refused ? 0 : 1;
}
EOF
cmake -S "$program" -B "$program/build" -G Ninja --log-level=WARNING -DCMAKE_PREFIX_PATH="$PWD/$build/installed" \
  -DCMAKE_BUILD_TYPE=Unoptimized
cmake --build "$program/build" >/dev/null
"$program/build/program"
