#ifndef CAFFE_UTIL_POOL_WINDOW_HPP_
#define CAFFE_UTIL_POOL_WINDOW_HPP_

#include "caffe/util/device_alternate.hpp"
#include "caffe/util/int_divisor.hpp"

namespace caffe {

/// The part of a pooling window that lies inside a channel of `width` columns.
struct PoolWindow {
  int h_begin, h_end, w_begin, w_end;
  int width;
  int padded_area;  ///< elements with the padding that the window covers

  CAFFE_HOST_DEVICE bool empty() const { return h_begin >= h_end || w_begin >= w_end; }
  /// What an average hands on to each of its elements.
  template <typename Dtype>
  CAFFE_HOST_DEVICE Dtype share(Dtype gradient) const {
    return gradient / static_cast<Dtype>(padded_area);
  }
  /// The first element's place in the channel; -1 for an empty window.
  CAFFE_HOST_DEVICE int first() const { return empty() ? -1 : h_begin * width + w_begin; }
};

/// Sizes of the windows over a channel.
struct PoolGeometry {
  int height, width;
  int pooled_height, pooled_width;
  int kernel_h, kernel_w;
  int stride_h, stride_w;
  int pad_h, pad_w;

  CAFFE_HOST_DEVICE PoolWindow window(int pooled_h, int pooled_w) const {
    const int h = pooled_h * stride_h - pad_h, w = pooled_w * stride_w - pad_w;
    // Padding ends pad elements beyond the channel; what a window has beyond that does not count.
    const int h_end = Least(h + kernel_h, height + pad_h), w_end = Least(w + kernel_w, width + pad_w);
    return {h < 0 ? 0 : h, Least(h_end, height),     w < 0 ? 0 : w, Least(w_end, width),
            width,         (h_end - h) * (w_end - w)};
  }

 private:
  CAFFE_HOST_DEVICE static int Least(int a, int b) { return a < b ? a : b; }
};

/// Windows along an axis, begin to end.
struct PoolRange {
  int begin, end;
};

/// Which windows see an element: along one axis.
struct PoolCover {
  IntDivisor stride;
  int kernel, pad, pooled;

  CAFFE_HOST_DEVICE PoolRange operator()(int position) const {
    const int last = stride.Quotient(position + pad) + 1;
    const int beyond = position + pad - kernel;
    return {beyond < 0 ? 0 : stride.Quotient(beyond) + 1, last < pooled ? last : pooled};
  }
};

/// The largest value of a window and where it is in the channel: the first of equal values, the first NaN if
/// there is one. Starts without a value (place -1), then takes the window's values row by row, or the largest
/// of its columns in any order.
template <typename Dtype>
struct PoolMax {
  Dtype largest;
  int place;

  // Without branches, which would be guessed wrong half of the time.
  CAFFE_HOST_DEVICE void Take(Dtype value, int at) {
    const bool is_larger_or_nan = !(value <= largest);
    const bool has_nan = largest != largest;
    const bool better = (place < 0) | (is_larger_or_nan & !has_nan);
    largest = better ? value : largest;
    place = better ? at : place;
  }

  CAFFE_HOST_DEVICE void TakeLargest(Dtype value, int at) {
    const bool has_nan = largest != largest, is_nan = value != value;
    const bool is_larger_or_nan = !(value <= largest);
    const bool is_equal = (value == largest) | (has_nan & is_nan);
    const bool better = (place < 0) | (is_larger_or_nan & !has_nan) | (is_equal & (at < place));
    largest = better ? value : largest;
    place = better ? at : place;
  }
};

/// Takes all of a window's values.
template <typename Dtype>
CAFFE_HOST_DEVICE inline PoolMax<Dtype> MaxOfWindow(const Dtype* channel, const PoolWindow& window) {
  PoolMax<Dtype> max = {0, -1};
  for (int h = window.h_begin; h < window.h_end; ++h) {
    for (int w = window.w_begin; w < window.w_end; ++w) {
      const int place = h * window.width + w;
      max.Take(channel[place], place);
    }
  }
  return max;
}

/// Sum of a window's values and of their squares.
template <typename Dtype>
struct PoolSums {
  Dtype sum = 0;
  Dtype squares = 0;

  CAFFE_HOST_DEVICE PoolSums(const Dtype* channel, const PoolWindow& window) {
    for (int h = window.h_begin; h < window.h_end; ++h) {
      for (int w = window.w_begin; w < window.w_end; ++w) {
        const Dtype value = channel[h * window.width + w];
        sum += value;
        squares += value * value;
      }
    }
  }

  /// Mean over the window with its padding; 0 for an empty window.
  CAFFE_HOST_DEVICE Dtype average(const PoolWindow& window) const {
    return window.empty() ? Dtype(0) : sum / static_cast<Dtype>(window.padded_area);
  }
  /// Mean of values that are drawn with probability proportional to themselves; 0 where there are none above
  /// 0.
  CAFFE_HOST_DEVICE Dtype expected() const { return sum > 0 ? squares / sum : Dtype(0); }
  /// Derivative of expected() by one of the values.
  CAFFE_HOST_DEVICE Dtype expected_gradient(Dtype value) const {
    return sum > 0 ? (2 * value - expected()) / sum : Dtype(0);
  }
};

/// The place of a value drawn with probability proportional to itself, by a number uniform on [0, 1]: the
/// first element where no value is above 0, -1 for an empty window.
template <typename Dtype>
CAFFE_HOST_DEVICE inline int pool_draw(const Dtype* channel, const PoolWindow& window, Dtype uniform) {
  const Dtype threshold = uniform * PoolSums<Dtype>(channel, window).sum;
  int place = window.first();
  Dtype running = 0;
  for (int h = window.h_begin; h < window.h_end; ++h) {
    for (int w = window.w_begin; w < window.w_end; ++w) {
      const Dtype value = channel[h * window.width + w];
      if (!(value > 0)) continue;
      place = h * window.width + w;
      running += value;
      if (running >= threshold) return place;
    }
  }
  return place;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_POOL_WINDOW_HPP_
