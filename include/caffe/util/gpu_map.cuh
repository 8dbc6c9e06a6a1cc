#ifndef CAFFE_UTIL_GPU_MAP_CUH_
#define CAFFE_UTIL_GPU_MAP_CUH_

/// @file
/// What MapElements of caffe/util/elementwise.hpp does, on the GPU.

#include <cstdint>

#include "caffe/util/gpu_launch.cuh"

namespace caffe {

namespace gpu_map {

/// The elements that a thread computes before it stores the first: with fewer, too few bytes are under way to
/// keep a GPU's memory busy.
constexpr int kOfThread = 4;
/// How many neighbours a warp reads at once.
constexpr int kOfWarp = 32;

/// Thread i of the first `share` threads takes elements i, i + share, i + 2 share, ...; each of the others
/// takes one of those that are left.
template <typename Value, typename Function, typename Store>
struct MapOfThread {
  int share;
  Function f;
  Store store;
  __device__ void operator()(int i) const {
    if (i >= share) {
      const int at = i + (kOfThread - 1) * share;
      store(at, f(at));
      return;
    }
    Value values[kOfThread];
#pragma unroll
    for (int k = 0; k < kOfThread; ++k) values[k] = f(i + k * share);
#pragma unroll
    for (int k = 0; k < kOfThread; ++k) store(i + k * share, values[k]);
  }
};

template <typename T>
struct StoreElement {
  T* y;
  __device__ void operator()(int i, const T& value) const { y[i] = value; }
};

}  // namespace gpu_map

/// store(i, f(i)) for i in [0, n), n at most INT_MAX, where f gives a Value; f may read what is stored for i,
/// but for no other element.
template <typename Value, typename Function, typename Store>
void GpuMapInto(int64_t n, const Function& f, const Store& store) {
  using namespace gpu_map;
  const auto share = static_cast<int>(n / (kOfThread * kOfWarp) * kOfWarp);
  GpuForEach(n - (kOfThread - 1) * static_cast<int64_t>(share),
             MapOfThread<Value, Function, Store>{share, f, store});
}

/// y[i] = f(i), likewise.
template <typename Function, typename T>
void GpuMap(int64_t n, const Function& f, T* y) {
  GpuMapInto<T>(n, f, gpu_map::StoreElement<T>{y});
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_MAP_CUH_
