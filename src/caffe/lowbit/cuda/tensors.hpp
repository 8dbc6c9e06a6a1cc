#ifndef CAFFE_LOWBIT_CUDA_TENSORS_HPP_
#define CAFFE_LOWBIT_CUDA_TENSORS_HPP_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

/// Channels that a pixel of codes is filled up to: what tensor cores take at a time.
constexpr int kCodeChannels = 32;

/// Elements from a pixel of a tensor to the next.
inline int64_t PixelStride(const TensorInfo& tensor) {
  const int64_t channels = tensor.channels;
  return tensor.kind == TensorKind::kReal ? channels
                                          : (channels + kCodeChannels - 1) / kCodeChannels * kCodeChannels;
}

/// Of one image. Codes are a byte each; those that fill pixels up are 0.
inline size_t ImageBytes(const TensorInfo& tensor) {
  return static_cast<size_t>(tensor.pixels() * PixelStride(tensor)) *
         (tensor.kind == TensorKind::kReal ? sizeof(float) : 1);
}

/// Where the tensors of a pass lie on the GPU: images one after the other, pixel by pixel, channels last.
struct Tensors {
  std::vector<uint8_t*> at;
  int images;

  float* real(int tensor) const { return reinterpret_cast<float*>(at[tensor]); }
  uint8_t* codes(int tensor) const { return at[tensor]; }
};

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_TENSORS_HPP_
