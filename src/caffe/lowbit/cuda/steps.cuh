#ifndef CAFFE_LOWBIT_CUDA_STEPS_CUH_
#define CAFFE_LOWBIT_CUDA_STEPS_CUH_

/// @file
/// The steps in kernels: what becomes of the values that a stage computes. A thread has four channels of some
/// pixels; it takes step after step on all of them, so that finding out what a step is costs little.

#include "caffe/lowbit/cuda/steps.hpp"
#include "caffe/lowbit/tail.hpp"
#include "caffe/util/mma.cuh"

namespace caffe {
namespace lowbit {
namespace gpu {

/// Channels that a thread has of a pixel.
constexpr int kQuad = 4;

/// Which values a thread has.
template <int kPixels>
struct QuadPlace {
  /// Counted through all images; -1: there is none.
  int pixels[kPixels];
  int channel;
  /// That are there: 1 to 4.
  int channels;
};

/// Those of any array with room behind it.
template <typename T>
__device__ void ReadQuad(const void* array, int index, T (&values)[kQuad]) {
  CAFFE_UNROLL
  for (int c = 0; c < kQuad; ++c) values[c] = static_cast<const T*>(array)[index + c];
}

template <int kPixels>
__device__ void ReadTensor(const DeviceStep& step, const QuadPlace<kPixels>& place,
                           float (&values)[kPixels][kQuad]) {
  CAFFE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    if (place.pixels[p] < 0) continue;
    const float* const from = reinterpret_cast<const float*>(step.tensor) +
                              static_cast<int64_t>(place.pixels[p]) * step.stride + place.channel;
    if (step.aligned && place.channels == kQuad) {
      const float4 four = *reinterpret_cast<const float4*>(from);
      values[p][0] = four.x, values[p][1] = four.y, values[p][2] = four.z, values[p][3] = four.w;
    } else {
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) values[p][c] = c < place.channels ? from[c] : 0;
    }
  }
}

template <int kPixels>
__device__ void WriteTensor(const DeviceStep& step, const QuadPlace<kPixels>& place,
                            const float (&values)[kPixels][kQuad]) {
  CAFFE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    if (place.pixels[p] < 0) continue;
    float* const to = reinterpret_cast<float*>(step.tensor) +
                      static_cast<int64_t>(place.pixels[p]) * step.stride + place.channel;
    if (step.aligned && place.channels == kQuad) {
      *reinterpret_cast<float4*>(to) = make_float4(values[p][0], values[p][1], values[p][2], values[p][3]);
    } else {
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) {
        if (c < place.channels) to[c] = values[p][c];
      }
    }
  }
}

/// Codes of four channels, the first in the lowest byte.
template <int kPixels>
__device__ void WriteCodes(const DeviceStep& step, const QuadPlace<kPixels>& place,
                           const uint32_t (&codes)[kPixels]) {
  CAFFE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    if (place.pixels[p] < 0) continue;
    uint8_t* const to = step.tensor + static_cast<int64_t>(place.pixels[p]) * step.stride + place.channel;
    if (step.aligned && place.channels == kQuad) {
      *reinterpret_cast<uint32_t*>(to) = codes[p];
    } else {
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) {
        if (c < place.channels) to[c] = static_cast<uint8_t>(codes[p] >> 8 * c);
      }
    }
  }
}

/// y := function(y) for each value.
template <int kPixels, typename Function>
__device__ void EachValue(float (&y)[kPixels][kQuad], const Function& function) {
  CAFFE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    CAFFE_UNROLL
    for (int c = 0; c < kQuad; ++c) y[p][c] = function(y[p][c]);
  }
}

/// y := function(y, t) for each value and its element of the step's tensor.
template <int kPixels, typename Function>
__device__ void WithTensor(const DeviceStep& step, const QuadPlace<kPixels>& place,
                           float (&y)[kPixels][kQuad], const Function& function) {
  float t[kPixels][kQuad] = {};
  ReadTensor(step, place, t);
  CAFFE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    CAFFE_UNROLL
    for (int c = 0; c < kQuad; ++c) y[p][c] = function(y[p][c], t[p][c]);
  }
}

template <int kPixels>
__device__ void Quantize(const DeviceStep& step, const QuadPlace<kPixels>& place,
                         const float (&y)[kPixels][kQuad]) {
  const float* const thresholds = static_cast<const float*>(step.a);
  uint32_t codes[kPixels] = {};
  for (int j = 0; j < step.count; ++j) {
    const float t = thresholds[j];
    CAFFE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) codes[p] += y[p][c] > t ? 1u << 8 * c : 0u;
    }
  }
  WriteCodes(step, place, codes);
}

// Compiled without contraction: a product and a sum are rounded each, as on the processor.
template <int kPixels>
__device__ void RunStep(const DeviceStep& step, const QuadPlace<kPixels>& place, float (&y)[kPixels][kQuad]) {
  const float k0 = step.k0, k1 = step.k1;
  switch (step.kind) {
    case StepKind::kAffine: {
      float a[kQuad], b[kQuad];
      ReadQuad(step.a, place.channel, a);
      ReadQuad(step.b, place.channel, b);
      CAFFE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        CAFFE_UNROLL
        for (int c = 0; c < kQuad; ++c) y[p][c] = a[c] * y[p][c] + b[c];
      }
      return;
    }
    case StepKind::kAdd:
      return WithTensor(step, place, y, [=](float x, float t) { return k0 * x + k1 * t; });
    case StepKind::kMaximum:
      return WithTensor(step, place, y, [](float x, float t) { return x > t ? x : t; });
    case StepKind::kMultiply:
      return WithTensor(step, place, y, [](float x, float t) { return x * t; });
    case StepKind::kRelu:
      return EachValue(y, [=](float x) { return Rectified(x, k0); });
    case StepKind::kClamp:
      return EachValue(y, [=](float x) {
        const float above = x > k0 ? x : k0;
        return above < k1 ? above : k1;
      });
    case StepKind::kSigmoid:
      return EachValue(y, [](float x) { return 1 / (1 + expf(-x)); });
    case StepKind::kTanh:
      return EachValue(y, [](float x) { return tanhf(x); });
    case StepKind::kStore:
      return WriteTensor(step, place, y);
    case StepKind::kQuantize:
      return Quantize(step, place, y);
    case StepKind::kLevels: {
      const float *const thresholds = static_cast<const float*>(step.a), *const values =
                                                                             static_cast<const float*>(
                                                                                 step.b);
      const int count = step.count;
      return EachValue(y, [=](float x) {
        int level = 0;
        for (int j = 0; j < count; ++j) level += x > thresholds[j];
        return values[level];
      });
    }
    case StepKind::kThreshold:
      return;
  }
}

/// Runs the steps from `first` on, on real values; they are changed.
template <int kPixels>
__device__ void RunSteps(const StepList& list, const QuadPlace<kPixels>& place, float (&y)[kPixels][kQuad],
                         int first = 0) {
  for (int s = first; s < list.count; ++s) RunStep(list.steps[s], place, y);
}

/// Runs the steps on a binary convolution's integers.
template <int kPixels>
__device__ void RunSteps(const StepList& list, const QuadPlace<kPixels>& place,
                         const int32_t (&sums)[kPixels][kQuad]) {
  int s = 0;
  for (; s < list.count && list.steps[s].kind == StepKind::kThreshold; ++s) {
    const DeviceStep& step = list.steps[s];
    uint32_t codes[kPixels] = {};
    for (int j = 0; j < step.count; ++j) {
      int32_t t[kQuad];
      ReadQuad(step.a, j * list.channels + place.channel, t);
      CAFFE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        CAFFE_UNROLL
        for (int c = 0; c < kQuad; ++c) codes[p] += sums[p][c] >= t[c] ? 1u << 8 * c : 0u;
      }
    }
    WriteCodes(step, place, codes);
  }
  if (s == list.count) return;
  float y[kPixels][kQuad];
  CAFFE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    CAFFE_UNROLL
    for (int c = 0; c < kQuad; ++c) y[p][c] = static_cast<float>(sums[p][c]);
  }
  RunSteps(list, place, y, s);
}

/// Runs steps on the values of tensor cores.
struct UseSteps {
  StepList list;

  template <int kPixels, typename Value>
  __device__ void operator()(int, const QuadPlace<kPixels>& place, Value (&values)[kPixels][kQuad]) const {
    RunSteps(list, place, values);
  }
};

/// Keeps values that are a part of a sum: part by part, pixel by pixel, channels last.
template <typename Value>
struct KeepPart {
  Value* parts;
  int pixels, channels;

  template <int kPixels>
  __device__ void operator()(int part, const QuadPlace<kPixels>& place,
                             Value (&values)[kPixels][kQuad]) const {
    CAFFE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      if (place.pixels[p] < 0) continue;
      Value* const to =
          parts + (static_cast<int64_t>(part) * pixels + place.pixels[p]) * channels + place.channel;
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) {
        if (c < place.channels) to[c] = values[p][c];
      }
    }
  }
};

/// From one pixel to the next in shared memory: 16 outputs, and what keeps the banks apart.
constexpr int kQuadPitch = 20;

/// Shared memory that PassQuads needs for each warp.
template <int kColumns>
constexpr int kQuadBytes = kColumns * 8 * kQuadPitch * 4;

/**
 * @brief Passes a warp's sums on, as threads that have four outputs of a pixel want them.
 *
 * @param sums tiles of 16 outputs by 8 pixels, as mma::MultiplyAdd has them.
 * @param first_output,first_pixel of the sums, the former in the group.
 * @param use called as use(part, place, values).
 */
template <int kRows, int kColumns, typename Value, typename Use>
__device__ void PassQuads(Value (&sums)[kRows][kColumns][4], char* shared, int group, int group_outputs,
                          int first_output, int first_pixel, int pixels, int part, const Use& use) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  Value* const room = reinterpret_cast<Value*>(shared + warp * kQuadBytes<kColumns>);
  CAFFE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    __syncwarp();
    CAFFE_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      CAFFE_UNROLL
      for (int k = 0; k < 4; ++k) {
        room[(8 * j + lane % 4 * 2 + k % 2) * kQuadPitch + lane / 4 + k / 2 * 8] = sums[i][j][k];
      }
    }
    __syncwarp();
    const int in_group = first_output + 16 * i + lane % 4 * kQuad;
    if (in_group >= group_outputs) continue;
    QuadPlace<kColumns> place;
    place.channel = group * group_outputs + in_group;
    place.channels = min(kQuad, group_outputs - in_group);
    Value values[kColumns][kQuad];
    CAFFE_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      const int pixel = 8 * j + lane / 4;
      place.pixels[j] = first_pixel + pixel < pixels ? first_pixel + pixel : -1;
      const Value* const from = room + pixel * kQuadPitch + lane % 4 * kQuad;
      const uint4 four = *reinterpret_cast<const uint4*>(from);
      memcpy(&values[j], &four, sizeof(four));
    }
    use(part, place, values);
  }
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_STEPS_CUH_
