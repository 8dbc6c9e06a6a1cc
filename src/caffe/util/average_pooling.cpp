#include "caffe/util/average_pooling.hpp"

#include <algorithm>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {

namespace {

// A row's values lie side by side, those of a window do not: so columns are summed over a row of windows, and
// then windows over their columns.

template <typename Dtype>
CAFFE_TARGET_CLONES void Add(int count, const Dtype* x, Dtype* sum) {
  for (int i = 0; i < count; ++i) sum[i] += x[i];
}

// The windows that have a column for their tap number `tap`, counted from the window's left: window i has
// column i * stride + first.
struct Tap {
  int first, begin, end;

  Tap(const PoolGeometry& geometry, int tap) : first(tap - geometry.pad_w) {
    const int stride = geometry.stride_w;
    begin = first < 0 ? (-1 - first) / stride + 1 : 0;
    const int beyond = first < geometry.width ? (geometry.width - 1 - first) / stride + 1 : 0;
    end = std::min(beyond, geometry.pooled_width);
  }
};

template <typename Dtype>
CAFFE_TARGET_CLONES void SumColumns(const PoolGeometry& geometry, const Dtype* columns, Dtype* sums) {
  const int stride = geometry.stride_w;
  std::fill_n(sums, geometry.pooled_width, Dtype(0));
  for (int t = 0; t < geometry.kernel_w; ++t) {
    const Tap tap(geometry, t);
    if (stride == 1) {
      for (int i = tap.begin; i < tap.end; ++i) sums[i] += columns[i + tap.first];
    } else if (stride == 2) {
      for (int i = tap.begin; i < tap.end; ++i) sums[i] += columns[2 * i + tap.first];
    } else {
      for (int i = tap.begin; i < tap.end; ++i) sums[i] += columns[i * stride + tap.first];
    }
  }
}

template <typename Dtype>
void SpreadToColumns(const PoolGeometry& geometry, const Dtype* shares, Dtype* columns) {
  std::fill_n(columns, geometry.width, Dtype(0));
  for (int t = 0; t < geometry.kernel_w; ++t) {
    const Tap tap(geometry, t);
    for (int i = tap.begin; i < tap.end; ++i) columns[i * geometry.stride_w + tap.first] += shares[i];
  }
}

// x[i] over the number of elements of window i of a row, whose windows are `height` rows high; padding
// counts.
template <typename Dtype>
CAFFE_TARGET_CLONES void DivideByAreas(const PoolGeometry& geometry, int height, const Dtype* x, Dtype* y) {
  for (int i = 0; i < geometry.pooled_width; ++i) {
    const int begin = i * geometry.stride_w - geometry.pad_w;
    const int end = std::min(begin + geometry.kernel_w, geometry.width + geometry.pad_w);
    // Empty windows have no area, and 0 to divide.
    y[i] = x[i] / static_cast<Dtype>(std::max(height * (end - begin), 1));
  }
}

// Rows of a row of windows: those inside the channel, and how many there are with padding.
struct WindowRows {
  int begin, end, padded;

  WindowRows(const PoolGeometry& geometry, int pooled_h) {
    const int first = pooled_h * geometry.stride_h - geometry.pad_h;
    const int last = std::min(first + geometry.kernel_h, geometry.height + geometry.pad_h);
    begin = std::max(first, 0);
    end = std::min(last, geometry.height);
    padded = last - first;
  }
};

}  // namespace

template <typename Dtype>
void AverageOfChannel(const PoolGeometry& geometry, const Dtype* channel, Dtype* averages) {
  std::vector<Dtype> columns(geometry.width);
  for (int h = 0; h < geometry.pooled_height; ++h, averages += geometry.pooled_width) {
    const WindowRows rows(geometry, h);
    std::fill(columns.begin(), columns.end(), Dtype(0));
    for (int row = rows.begin; row < rows.end; ++row) {
      Add(geometry.width, channel + row * geometry.width, columns.data());
    }
    SumColumns(geometry, columns.data(), averages);
    DivideByAreas(geometry, rows.padded, averages, averages);
  }
}

template <typename Dtype>
void SpreadOverChannel(const PoolGeometry& geometry, const Dtype* averages_diff, Dtype* channel_diff) {
  std::vector<Dtype> shares(geometry.pooled_width), columns(geometry.width);
  for (int h = 0; h < geometry.pooled_height; ++h, averages_diff += geometry.pooled_width) {
    const WindowRows rows(geometry, h);
    DivideByAreas(geometry, rows.padded, averages_diff, shares.data());
    SpreadToColumns(geometry, shares.data(), columns.data());
    for (int row = rows.begin; row < rows.end; ++row) {
      Add(geometry.width, columns.data(), channel_diff + row * geometry.width);
    }
  }
}

template void AverageOfChannel<float>(const PoolGeometry&, const float*, float*);
template void AverageOfChannel<double>(const PoolGeometry&, const double*, double*);
template void SpreadOverChannel<float>(const PoolGeometry&, const float*, float*);
template void SpreadOverChannel<double>(const PoolGeometry&, const double*, double*);

}  // namespace caffe
