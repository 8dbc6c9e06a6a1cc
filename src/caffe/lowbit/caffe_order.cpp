#include "caffe/lowbit/caffe_order.hpp"

#include <algorithm>

#include "caffe/lowbit/result_parts.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Pixels that a thread takes at a time.
constexpr int64_t kPiecePixels = 2048;

// Of pixels [begin, end) of `pixels`; kChannels is how many channels there are, or 0 for any number.
template <int kChannels>
void Interleave(const float* x, int64_t pixels, int64_t channels, int64_t begin, int64_t end, float* y) {
  if (kChannels > 0) channels = kChannels;
  for (int64_t pixel = begin; pixel < end; ++pixel) {
    for (int64_t c = 0; c < channels; ++c) y[pixel * channels + c] = x[c * pixels + pixel];
  }
}

}  // namespace

void FromCaffe(const TensorInfo& tensor, const float* x, int images, int threads, float* y) {
  const int64_t pixels = tensor.pixels(), channels = tensor.channels;
  if (pixels == 1 || channels == 1) {
    std::copy_n(x, images * tensor.elements(), y);
    return;
  }
  const auto interleave = channels == 3 ? Interleave<3> : Interleave<0>;
  const int64_t pieces = (pixels + kPiecePixels - 1) / kPiecePixels;
  EachOf(0, images * pieces, threads, [&](int64_t number) {
    const int64_t image = number / pieces * tensor.elements(), begin = number % pieces * kPiecePixels;
    interleave(x + image, pixels, channels, begin, std::min(begin + kPiecePixels, pixels), y + image);
  });
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
