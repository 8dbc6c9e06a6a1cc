#ifndef CAFFE_UTIL_GPU_ARRAYS_CUH_
#define CAFFE_UTIL_GPU_ARRAYS_CUH_

/// @file
/// Kernels that go through the arrays of many blobs, so that small ones do not cost a launch each.

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "caffe/util/elementwise.cuh"
#include "caffe/util/gpu_launch.cuh"

namespace caffe {

/// Arrays of one length, and what is done with their elements: body(a + i, b + i, ...) for all i in
/// [0, count).
template <typename T, int kArrays, typename Body>
struct GpuArrayTask {
  Body body;
  int count;
  std::array<T*, kArrays> arrays;
};

namespace gpu_arrays {

using elementwise::Pack;
using gpu_launch::kThreads;

/// Elements of a block.
template <typename T>
constexpr int kBlockElements = 4 * kThreads * Pack<T>::kSize;

/// Tasks as a kernel takes them: by value, so that nobody has to keep them until it has run.
template <typename T, int kArrays, typename Body>
struct Batch {
  static constexpr int kMostBodies = 8;
  static constexpr int kParameterBytes = 4096;  // of any kernel
  static constexpr int kMostTasks =
      (kParameterBytes - kMostBodies * static_cast<int>(sizeof(Body)) - 32) /
      static_cast<int>(kArrays * sizeof(T*) + sizeof(int) + sizeof(int) + sizeof(uint8_t));
  static_assert(std::is_trivially_copyable<Body>::value, "bodies are compared as bytes");

  T* arrays[kMostTasks][kArrays];
  int counts[kMostTasks];
  int ends[kMostTasks];  ///< the first block behind each task's
  uint8_t body_of[kMostTasks];
  Body bodies[kMostBodies];
  int tasks, num_bodies;

  /// @return false where there is no room.
  bool Add(const GpuArrayTask<T, kArrays, Body>& task) {
    if (tasks == kMostTasks) return false;
    // Most blobs are treated alike.
    int body = 0;
    while (body < num_bodies && std::memcmp(&bodies[body], &task.body, sizeof(Body)) != 0) ++body;
    if (body == kMostBodies) return false;
    if (body == num_bodies) std::memcpy(&bodies[num_bodies++], &task.body, sizeof(Body));
    const int blocks = (task.count - 1) / kBlockElements<T> + 1;
    for (int k = 0; k < kArrays; ++k) arrays[tasks][k] = task.arrays[k];
    counts[tasks] = task.count;
    ends[tasks] = this->blocks() + blocks;
    body_of[tasks] = static_cast<uint8_t>(body);
    ++tasks;
    return true;
  }

  int blocks() const { return tasks > 0 ? ends[tasks - 1] : 0; }

  /// The task that a block belongs to.
  __device__ int TaskOf(int block) const {
    int first = 0, last = tasks - 1;
    while (first < last) {
      const int middle = (first + last) / 2;
      if (ends[middle] <= block) {
        first = middle + 1;
      } else {
        last = middle;
      }
    }
    return first;
  }
};

template <typename T, size_t kArrays, typename Body, size_t... k>
__device__ void Call(const Body& body, T* const (&arrays)[kArrays], int i, std::index_sequence<k...>) {
  body((arrays[k] + i)...);
}

template <typename T, size_t kArrays, typename Body, size_t... k>
__device__ void CallInPacks(const Body& body, Pack<T> (&packs)[kArrays], std::index_sequence<k...>) {
#pragma unroll
  for (int i = 0; i < Pack<T>::kSize; ++i) body(&packs[k].values[i]...);
}

template <typename T, int kArrays, typename Body>
__global__ void __launch_bounds__(kThreads) RunBatch(const __grid_constant__ Batch<T, kArrays, Body> batch) {
  constexpr auto kEach = std::make_index_sequence<kArrays>();
  const int task = batch.TaskOf(static_cast<int>(blockIdx.x));
  const int block = static_cast<int>(blockIdx.x) - (task > 0 ? batch.ends[task - 1] : 0);
  const int begin = block * kBlockElements<T>;
  const int left = batch.counts[task] - begin;
  const int count = left < kBlockElements<T> ? left : kBlockElements<T>;
  const Body body = batch.bodies[batch.body_of[task]];
  T* arrays[kArrays];
  uintptr_t bits = 0;
#pragma unroll
  for (int k = 0; k < kArrays; ++k) {
    arrays[k] = batch.arrays[task][k] + begin;
    bits |= reinterpret_cast<uintptr_t>(arrays[k]);
  }
  const int packs = bits % sizeof(Pack<T>) == 0 ? count / Pack<T>::kSize : 0;
  for (int i = threadIdx.x; i < packs; i += kThreads) {
    Pack<T> values[kArrays];
#pragma unroll
    for (int k = 0; k < kArrays; ++k) values[k] = reinterpret_cast<const Pack<T>*>(arrays[k])[i];
    CallInPacks(body, values, kEach);
#pragma unroll
    for (int k = 0; k < kArrays; ++k) reinterpret_cast<Pack<T>*>(arrays[k])[i] = values[k];
  }
  for (int i = packs * Pack<T>::kSize + static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    Call(body, arrays, i, kEach);
  }
}

}  // namespace gpu_arrays

/// Does all tasks, in one launch for as many as the parameters of a kernel have room for: about a hundred, of
/// at most eight different bodies.
template <typename T, int kArrays, typename Body>
void GpuForEachOfArrays(const std::vector<GpuArrayTask<T, kArrays, Body>>& tasks) {
  using Batch = gpu_arrays::Batch<T, kArrays, Body>;
  static_assert(sizeof(Batch) <= Batch::kParameterBytes, "more than a kernel takes");
  Batch batch = {};
  const auto run = [&batch] {
    if (batch.tasks == 0) return;
    LaunchKernel(gpu_arrays::RunBatch<T, kArrays, Body>, batch.blocks(), gpu_arrays::kThreads, 0, batch);
    batch = {};
  };
  for (const auto& task : tasks) {
    if (task.count == 0 || batch.Add(task)) continue;
    run();
    batch.Add(task);
  }
  run();
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_ARRAYS_CUH_
