#include "caffe/lowbit/caffe_order.hpp"

#include <algorithm>

namespace caffe {
namespace lowbit {

namespace {

template <int kChannels>
void Interleave(const float* x, int64_t pixels, float* y) {
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    for (int c = 0; c < kChannels; ++c) y[pixel * kChannels + c] = x[c * pixels + pixel];
  }
}

}  // namespace

void FromCaffe(const TensorInfo& tensor, const float* x, int images, float* y) {
  const int64_t pixels = tensor.pixels(), channels = tensor.channels;
  if (pixels == 1 || channels == 1) {
    std::copy_n(x, images * tensor.elements(), y);
    return;
  }
  for (int image = 0; image < images; ++image, x += tensor.elements(), y += tensor.elements()) {
    if (channels == 3) {
      Interleave<3>(x, pixels, y);
      continue;
    }
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (int64_t c = 0; c < channels; ++c) y[pixel * channels + c] = x[c * pixels + pixel];
    }
  }
}

void ToCaffe(const TensorInfo& tensor, const float* x, int images, float* y) {
  const int64_t pixels = tensor.pixels(), channels = tensor.channels;
  for (int image = 0; image < images; ++image, x += tensor.elements(), y += tensor.elements()) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t pixel = 0; pixel < pixels; ++pixel) y[c * pixels + pixel] = x[pixel * channels + c];
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
