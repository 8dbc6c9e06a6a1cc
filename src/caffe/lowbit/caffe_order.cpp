#include "caffe/lowbit/caffe_order.hpp"

#include <algorithm>

#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/transpose.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Pixels that a thread takes at a time.
constexpr int64_t kPiecePixels = 2048;

}  // namespace

void FromCaffe(const TensorInfo& tensor, const float* x, int images, int threads, float* y) {
  const int64_t pixels = tensor.pixels(), channels = tensor.channels;
  if (pixels == 1 || channels == 1) {
    std::copy_n(x, images * tensor.elements(), y);
    return;
  }
  const int64_t pieces = (pixels + kPiecePixels - 1) / kPiecePixels;
  EachOf(0, images * pieces, threads, [&](int64_t number) {
    const int64_t image = number / pieces * tensor.elements(), begin = number % pieces * kPiecePixels;
    const int64_t count = std::min(kPiecePixels, pixels - begin);
    const float* const from = x + image + begin;
    float* const to = y + image + begin * channels;
    // Loops over a picture's channels are unrolled.
    if (channels == 3) return TransposeMatrix(from, pixels, 3, count, false, to, 3);
    TransposeMatrix(from, pixels, channels, count, false, to, channels);
  });
}

void ToCaffe(const TensorInfo& tensor, const float* x, int images, float* y) {
  const int64_t pixels = tensor.pixels(), channels = tensor.channels;
  for (int image = 0; image < images; ++image, x += tensor.elements(), y += tensor.elements()) {
    TransposeMatrix(x, channels, pixels, channels, false, y, pixels);
  }
}

}  // namespace lowbit
}  // namespace caffe
