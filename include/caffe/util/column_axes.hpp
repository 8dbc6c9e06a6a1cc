#ifndef CAFFE_UTIL_COLUMN_AXES_HPP_
#define CAFFE_UTIL_COLUMN_AXES_HPP_

/// @file
/// Where the elements of an image lie in its matrix of columns (see im2col.hpp), and the other way round.

#include <cstdint>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/device_alternate.hpp"
#include "caffe/util/int_divisor.hpp"

namespace caffe {

/// The kernel's elements (taps) along an axis that see one element of the image: every so many from `tap` on,
/// `count` in all, the first of them from output `output`.
struct TapRun {
  int tap, output, count;
};

/// One spatial axis of an image and of its columns.
struct ColumnAxis {
  int size, outputs;
  int kernel, pad, stride, dilation;

  /// Where a tap looks from an output: a place of the image or, outside [0, size), of its padding.
  CAFFE_HOST_DEVICE int Position(int output, int tap) const { return output * stride - pad + tap * dilation; }

  /// Taps that are so far apart see the same elements, from other outputs; those in between do not.
  CAFFE_HOST_DEVICE int TapStep() const {
    int a = stride, b = dilation;
    while (b != 0) {
      const int remainder = a % b;
      a = b;
      b = remainder;
    }
    return stride / a;
  }
  /// From a tap to the next that sees the same element, the output falls by this.
  CAFFE_HOST_DEVICE int OutputStep(int tap_step) const {
    return static_cast<int>(static_cast<int64_t>(tap_step) * dilation / stride);
  }

  CAFFE_HOST_DEVICE TapRun TapsThatSee(int position, int tap_step) const {
    const int distance = position + pad;  // from where output 0's first tap looks
    const int beyond = distance - (outputs - 1) * stride;
    const int first = beyond > 0 ? (beyond - 1) / dilation + 1 : 0;
    const int last = distance / dilation < kernel ? distance / dilation : kernel - 1;
    for (int tap = first; tap <= last && tap < first + tap_step; ++tap) {
      const int steps = distance - tap * dilation;
      if (steps % stride == 0) return {tap, steps / stride, (last - tap) / tap_step + 1};
    }
    return {0, 0, 0};
  }
};

/// The axes of an image of shape im_shape, channels first. col_shape may be null.
/// @throws Error, naming the sizes, where the kernel does not fit, the matrix would have more than INT_MAX
/// elements, or col_shape is not its shape.
std::vector<ColumnAxis> MakeColumnAxes(int num_spatial_axes, const int* im_shape, const int* col_shape,
                                       const int* kernel_shape, const int* pad, const int* stride,
                                       const int* dilation);

/// Axes for the functions below, by value, for a kernel: kAxes of them, or up to kManyAxes where kAxes is
/// that.
constexpr int kManyAxes = kMaxBlobAxes - 1;
template <int kAxes>
class ColumnGrid {
 public:
  explicit ColumnGrid(const std::vector<ColumnAxis>& axes) : num_(static_cast<int>(axes.size())) {
    for (int i = 0; i < num_; ++i) {
      axes_[i] = axes[i];
      tap_steps_[i] = axes[i].TapStep();
      sizes_[i] = IntDivisor(axes[i].size);
      outputs_[i] = IntDivisor(axes[i].outputs);
      kernels_[i] = IntDivisor(axes[i].kernel);
    }
  }
  CAFFE_HOST_DEVICE int num() const { return kAxes == kManyAxes ? num_ : kAxes; }
  CAFFE_HOST_DEVICE const ColumnAxis& axis(int i) const { return axes_[i]; }
  CAFFE_HOST_DEVICE int tap_step(int i) const { return tap_steps_[i]; }
  /// Each takes the last axis's part off a place, of which there are this many along axis i.
  CAFFE_HOST_DEVICE int SplitSize(int i, int* place) const { return sizes_[i].Split(place); }
  CAFFE_HOST_DEVICE int SplitOutput(int i, int* place) const { return outputs_[i].Split(place); }
  CAFFE_HOST_DEVICE int SplitTap(int i, int* place) const { return kernels_[i].Split(place); }

 private:
  int num_;
  ColumnAxis axes_[kAxes];
  int tap_steps_[kAxes];
  IntDivisor sizes_[kAxes], outputs_[kAxes], kernels_[kAxes];
};

/// The same where only the memory that the kernel reads has the sizes.
struct ColumnGridInMemory {
  int num_axes;
  const int *im_shape, *col_shape, *kernel_shape, *pads, *strides, *dilations;

  CAFFE_HOST_DEVICE int num() const { return num_axes; }
  CAFFE_HOST_DEVICE ColumnAxis axis(int i) const {
    return {im_shape[i + 1], col_shape[i + 1], kernel_shape[i], pads[i], strides[i], dilations[i]};
  }
  CAFFE_HOST_DEVICE int tap_step(int i) const { return axis(i).TapStep(); }
  CAFFE_HOST_DEVICE int SplitSize(int i, int* place) const { return Split(im_shape[i + 1], place); }
  CAFFE_HOST_DEVICE int SplitOutput(int i, int* place) const { return Split(col_shape[i + 1], place); }
  CAFFE_HOST_DEVICE int SplitTap(int i, int* place) const { return Split(kernel_shape[i], place); }

 private:
  CAFFE_HOST_DEVICE static int Split(int divisor, int* n) {
    const int remainder = *n % divisor;
    *n /= divisor;
    return remainder;
  }
};

/// The place in a channel of what a row of the channel's columns holds for an output; -1 for padding.
/// @param tap the row's place among the channel's.
template <typename Grid>
CAFFE_HOST_DEVICE int PlaceInChannel(const Grid& grid, int tap, int output) {
  int place = 0, step = 1;
  bool inside = true;
  for (int i = grid.num() - 1; i >= 0; --i) {
    const ColumnAxis& axis = grid.axis(i);
    const int axis_output = grid.SplitOutput(i, &output);
    const int position = axis.Position(axis_output, grid.SplitTap(i, &tap));
    inside = inside && position >= 0 && position < axis.size;
    place += position * step;
    step *= axis.size;
  }
  return inside ? place : -1;
}

/// The sum of a channel's columns over all of them that hold the element at `place` of the channel, row by
/// row.
/// @param row_size elements from a row to the next.
template <typename Dtype, int kAxes, typename Grid>
CAFFE_HOST_DEVICE Dtype SumOfColumns(const Grid& grid, const Dtype* columns, int row_size, int place) {
  // Along each axis: how many columns there are, how far they are apart, how many of them are done.
  int counts[kAxes] = {}, steps[kAxes] = {}, done[kAxes] = {};
  int row_step = row_size, output_step = 1;
  const int last = grid.num() - 1;
  for (int i = last; i >= 0; --i) {
    const ColumnAxis& axis = grid.axis(i);
    const int tap_step = grid.tap_step(i);
    const TapRun run = axis.TapsThatSee(grid.SplitSize(i, &place), tap_step);
    if (run.count == 0) return 0;
    columns += run.tap * row_step + run.output * output_step;
    counts[i] = run.count;
    steps[i] = run.count == 1 ? 0 : tap_step * row_step - axis.OutputStep(tap_step) * output_step;
    done[i] = 0;
    row_step *= axis.kernel;
    output_step *= axis.outputs;
  }
  Dtype sum = 0;
  while (true) {
    for (int j = 0; j < counts[last]; ++j) sum += columns[j * steps[last]];
    int i = last - 1;
    for (; i >= 0; --i) {
      if (++done[i] < counts[i]) {
        columns += steps[i];
        break;
      }
      columns -= (counts[i] - 1) * steps[i];
      done[i] = 0;
    }
    if (i < 0) return sum;
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_COLUMN_AXES_HPP_
