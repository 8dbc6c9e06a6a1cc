#ifndef CAFFE_UTIL_GPU_LAUNCH_CUH_
#define CAFFE_UTIL_GPU_LAUNCH_CUH_

/// @file
/// How kernels are started: on the calling thread's stream, or a LaunchStream's, and checked. For CUDA's
/// compiler only, or for the compiler of the host where CAFFE_GPU_EMULATOR stands in for a GPU.

#include <algorithm>
#include <climits>
#include <cstdint>

#include "caffe/common.hpp"
#include "caffe/util/gpu_memory.hpp"

namespace caffe {

namespace gpu_launch {

/// Null: the calling thread's own.
inline thread_local cudaStream_t stream = nullptr;

}  // namespace gpu_launch

/// Lets the calling thread start its kernels on this stream, instead of its own, for as long as it lives.
class LaunchStream {
 public:
  explicit LaunchStream(cudaStream_t stream) : before_(gpu_launch::stream) { gpu_launch::stream = stream; }
  ~LaunchStream() { gpu_launch::stream = before_; }

 private:
  const cudaStream_t before_;

  DISABLE_COPY_AND_ASSIGN(LaunchStream);
};

/// Starts kernel(args...). @throws Error where it cannot start.
template <typename... Params, typename... Args>
void LaunchKernel(void (*kernel)(Params...), dim3 blocks, dim3 threads, size_t shared_bytes, Args... args) {
#ifdef CAFFE_GPU_EMULATOR
  gpu_emulator::Launch(blocks, threads, shared_bytes, [=] { kernel(args...); }, gpu_launch::stream);
#else
  // More than a block gets without being asked.
  constexpr size_t kUsualShared = 48 << 10;
  if (shared_bytes > kUsualShared) {
    CUDA_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared_bytes)));
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = gpu_launch::stream ? gpu_launch::stream : cudaStreamPerThread;
  CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, args...));
#endif
}

/// In a kernel: the shared memory that LaunchKernel was asked for, aligned for every type.
inline __device__ char* DynamicSharedMemory() {
#ifdef CAFFE_GPU_EMULATOR
  return gpu_emulator::SharedMemory();
#else
  extern __shared__ uint4 caffe_dynamic_shared_memory[];
  return reinterpret_cast<char*>(caffe_dynamic_shared_memory);
#endif
}

namespace gpu_launch {

constexpr int kThreads = 256;
/// Enough blocks to fill any GPU several times over.
constexpr int kMostBlocks = 8192;
/// Blocks that a reduction needs to fill a GPU.
constexpr int kReduceBlocks = 1024;
/// Up to here a row is one thread's.
constexpr int kShortRow = 32;
/// Below this many elements a row's part is not worth a block.
constexpr int kLeastPart = 4 * kThreads;

template <typename Body>
__global__ void ForEachKernel(unsigned n, Body body) {
  // Unsigned, so that the last step cannot overflow.
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {
    body(static_cast<int>(i));
  }
}

/// The combination of what the block's kThreads threads have, for thread 0.
template <typename Value, typename Combine>
__device__ Value BlockReduce(Value value, const Combine& combine) {
  __shared__ Value values[kThreads];
  const int thread = threadIdx.x;
  values[thread] = value;
  for (int width = kThreads / 2; width > 0; width /= 2) {
    __syncthreads();
    if (thread < width) values[thread] = combine(values[thread], values[thread + width]);
  }
  return values[0];
}

template <typename Value, typename Map, typename Combine, typename Store>
__global__ void ReduceRowsKernel(int row_size, int parts, Map map, Combine combine, Value identity,
                                 Store store, Value* partial) {
  const int row = blockIdx.x / parts, part = blockIdx.x % parts;
  const int part_size = (row_size - 1) / parts + 1;
  const int begin = part * part_size;
  const int end = begin > row_size - part_size ? row_size : begin + part_size;
  Value value = identity;
  // Several under way at once, or a GPU's memory has pauses.
#pragma unroll 4
  for (unsigned i = begin + threadIdx.x; i < static_cast<unsigned>(end); i += kThreads) {
    value = combine(value, map(row, static_cast<int>(i)));
  }
  value = BlockReduce(value, combine);
  if (threadIdx.x != 0) return;
  if (partial) {
    partial[blockIdx.x] = value;
  } else {
    store(row, value);
  }
}

template <typename Value, typename Map, typename Combine, typename Store>
struct ReduceShortRow {
  int row_size;
  Map map;
  Combine combine;
  Value identity;
  Store store;
  __device__ void operator()(int row) const {
    Value value = identity;
    for (int i = 0; i < row_size; ++i) value = combine(value, map(row, i));
    store(row, value);
  }
};

template <typename Value>
struct PartOfRow {
  const Value* partial;
  int parts;
  __device__ Value operator()(int row, int i) const { return partial[row * parts + i]; }
};

template <typename Value>
struct Sum {
  CAFFE_HOST_DEVICE Value operator()(const Value& a, const Value& b) const { return a + b; }
};

}  // namespace gpu_launch

/// body(i) for all i in [0, n), n at most INT_MAX, each by a thread of its own.
template <typename Body>
void GpuForEach(int64_t n, const Body& body) {
  if (n == 0) return;
  CHECK_LE(n, INT_MAX) << "more elements than one kernel takes";
#ifdef CAFFE_GPU_EMULATOR
  gpu_emulator::ForEach(n, [body](int64_t i) { body(static_cast<int>(i)); }, gpu_launch::stream);
#else
  using namespace gpu_launch;
  const int blocks = static_cast<int>(std::min<int64_t>((n - 1) / kThreads + 1, kMostBlocks));
  LaunchKernel(ForEachKernel<Body>, blocks, kThreads, 0, static_cast<unsigned>(n), body);
#endif
}

/**
 * @brief store(row, v_0 * v_1 * ...) for each row, with v_i = map(row, i) and a * b = combine(a, b), in an
 * order that depends on the sizes alone.
 *
 * @tparam Value a number, or a struct of numbers without a constructor.
 * @param identity what combine leaves another value unchanged with.
 */
template <typename Value, typename Map, typename Combine, typename Store>
void GpuReduceRows(int rows, int row_size, const Map& map, const Combine& combine, Value identity,
                   const Store& store) {
  using namespace gpu_launch;
  if (rows == 0) return;
  if (row_size <= kShortRow) {
    GpuForEach(rows, ReduceShortRow<Value, Map, Combine, Store>{row_size, map, combine, identity, store});
    return;
  }
  const int parts = std::max(
      1, std::min({kReduceBlocks / rows, (row_size - 1) / kLeastPart + 1, static_cast<int>(INT_MAX / rows)}));
  if (parts == 1) {
    LaunchKernel(ReduceRowsKernel<Value, Map, Combine, Store>, rows, kThreads, 0, row_size, 1, map, combine,
                 identity, store, static_cast<Value*>(nullptr));
    return;
  }
  const GpuArray<Value> partial(static_cast<size_t>(rows) * parts);
  LaunchKernel(ReduceRowsKernel<Value, Map, Combine, Store>, rows * parts, kThreads, 0, row_size, parts, map,
               combine, identity, store, partial.get());
  using Parts = PartOfRow<Value>;
  LaunchKernel(ReduceRowsKernel<Value, Parts, Combine, Store>, rows, kThreads, 0, parts, 1,
               Parts{partial.get(), parts}, combine, identity, store, static_cast<Value*>(nullptr));
}

/// store(row, sum of map(row, i) over i) for each row; see GpuReduceRows.
template <typename Value, typename Map, typename Store>
void GpuSumRows(int rows, int row_size, const Map& map, const Store& store) {
  GpuReduceRows(rows, row_size, map, gpu_launch::Sum<Value>(), Value{}, store);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_LAUNCH_CUH_
