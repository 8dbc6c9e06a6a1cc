#ifndef CAFFE_LOWBIT_CONVOLUTION_LAYOUT_HPP_
#define CAFFE_LOWBIT_CONVOLUTION_LAYOUT_HPP_

#include <cstdint>
#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/plan_check.hpp"

namespace caffe {
namespace lowbit {

/// Where a pixel of a result lies, and then those that follow it, row by row: a division for each takes
/// longer than the sums of a small window.
class PixelPlace {
 public:
  /// @param pixel counted through all images.
  PixelPlace(const Shape& result, int64_t pixel)
      : image(static_cast<int>(pixel / (int64_t{result.height} * result.width))),
        y(static_cast<int>(pixel / result.width % result.height)),
        x(static_cast<int>(pixel % result.width)),
        height_(result.height),
        width_(result.width) {}

  /// How many of `count` pixels from here on lie in this row.
  int InRow(int count) const { return count < width_ - x ? count : width_ - x; }

  /// Goes on by one, or by as many as lie in this row.
  void Next(int pixels = 1) {
    x += pixels;
    if (x < width_) return;
    x = 0;
    if (++y < height_) return;
    y = 0;
    ++image;
  }

  int image, y, x;

 private:
  int height_, width_;
};

/**
 * @brief How a convolution's input lies in memory: with its padding around it, pixel by pixel, in each pixel
 * group by group, in each group channel by channel, so that a row of a window is one piece of memory.
 */
class ConvolutionLayout {
 public:
  /// @throws PlanError where it would take 2 GiB for an image, or more.
  ConvolutionLayout(const TensorInfo& input, const ConvolutionInfo& info, int units_of_group, int unit_bytes);

  /// A window of one group, from its first pixel's first byte of that group.
  Window window() const {
    return {
        offsets_.data(),    units_.data(),       static_cast<int>(offsets_.size()),
        total_units_,       row_offsets_.data(), geometry_.kernel_h,
        geometry_.kernel_w, units_of_group_,     static_cast<int32_t>(geometry_.dilation_w * pixel_bytes)};
  }

  int64_t image_bytes() const { return int64_t{padded_height} * padded_width * pixel_bytes; }

  /// Where, in an image, the windows begin of `count` pixels of the result's row from one on.
  void LocateInRow(const uint8_t* image, const PixelPlace& place, int count, const uint8_t** windows) const {
    const int64_t step = geometry_.stride_w * pixel_bytes;
    const uint8_t* const row = image + int64_t{place.y} * geometry_.stride_h * padded_width * pixel_bytes;
    for (int p = 0; p < count; ++p) windows[p] = row + (place.x + p) * step;
  }

  int padded_height, padded_width;
  int group_bytes;
  int64_t pixel_bytes;

 private:
  Geometry geometry_;
  int units_of_group_;
  std::vector<int32_t> offsets_, units_, row_offsets_;
  int total_units_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CONVOLUTION_LAYOUT_HPP_
