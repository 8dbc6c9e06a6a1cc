#ifndef CAFFE_LOWBIT_CUDA_PIXEL_STAGES_CUH_
#define CAFFE_LOWBIT_CUDA_PIXEL_STAGES_CUH_

/// @file
/// Stages whose values are computed one by one: a thread has four channels of a pixel.

#include <algorithm>

#include "caffe/lowbit/cuda/steps.cuh"
#include "caffe/util/gpu_launch.cuh"

namespace caffe {
namespace lowbit {
namespace gpu {

constexpr int kPixelThreads = 256;

/// compute(pixel, channel, channels, values) for each four channels of each pixel, then the steps.
/// @tparam Value float, int32_t for a binary convolution's sums.
template <typename Value, typename Compute>
__global__ void __launch_bounds__(kPixelThreads)
    ComputeQuads(int pixels, StepList list, const __grid_constant__ Compute compute) {
  const int quads = (list.channels + kQuad - 1) / kQuad;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kPixelThreads + threadIdx.x;
  if (index >= static_cast<int64_t>(pixels) * quads) return;
  QuadPlace<1> place;
  place.pixels[0] = static_cast<int>(index / quads);
  place.channel = static_cast<int>(index % quads) * kQuad;
  place.channels = min(kQuad, list.channels - place.channel);
  Value values[1][kQuad] = {};
  compute(place.pixels[0], place.channel, place.channels, values[0]);
  RunSteps(list, place, values);
}

/// The same for codes, which are stored as they are: compute returns four of them.
template <typename Compute>
__global__ void __launch_bounds__(kPixelThreads)
    ComputeCodes(int pixels, StepList list, const __grid_constant__ Compute compute) {
  const int quads = (list.channels + kQuad - 1) / kQuad;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kPixelThreads + threadIdx.x;
  if (index >= static_cast<int64_t>(pixels) * quads) return;
  QuadPlace<1> place;
  place.pixels[0] = static_cast<int>(index / quads);
  place.channel = static_cast<int>(index % quads) * kQuad;
  place.channels = min(kQuad, list.channels - place.channel);
  const uint32_t codes[1] = {compute(place.pixels[0], place.channel)};
  for (int s = 0; s < list.count; ++s) WriteCodes(list.steps[s], place, codes);
}

inline unsigned QuadBlocks(int pixels, const StepList& list) {
  const int64_t quads = int64_t{pixels} * ((list.channels + kQuad - 1) / kQuad);
  return static_cast<unsigned>((quads + kPixelThreads - 1) / kPixelThreads);
}

template <typename Value, typename Compute>
void StartQuads(int pixels, const StepList& list, const Compute& compute) {
  LaunchKernel(ComputeQuads<Value, Compute>, QuadBlocks(pixels, list), kPixelThreads, 0, pixels, list,
               compute);
}

template <typename Compute>
void StartCodes(int pixels, const StepList& list, const Compute& compute) {
  LaunchKernel(ComputeCodes<Compute>, QuadBlocks(pixels, list), kPixelThreads, 0, pixels, list, compute);
}

/// In how many parts a product's sums are made, so that few blocks become enough for a GPU.
constexpr int kMostParts = 16;
inline int PartsOfSum(int64_t blocks, int multiprocessors) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(2 * multiprocessors / blocks, kMostParts)));
}

/// The most that the product of parts and pixels can be, where there are parts, for up to so many pixels.
inline int64_t MostPartPixels(int64_t pixels, int block_pixels, int blocks_of_pixels, int multiprocessors) {
  return std::min<int64_t>(kMostParts * pixels,
                           int64_t{2} * multiprocessors / blocks_of_pixels * block_pixels);
}

/// The sum of the parts that KeepPart kept, in their order.
template <typename Value>
struct SumParts {
  const Value* parts;
  int count, pixels, channels;

  __device__ void operator()(int pixel, int channel, int some, Value (&values)[kQuad]) const {
    for (int part = 0; part < count; ++part) {
      const Value* const from = parts + (static_cast<int64_t>(part) * pixels + pixel) * channels + channel;
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) {
        if (c < some) values[c] += from[c];
      }
    }
  }
};

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_PIXEL_STAGES_CUH_
