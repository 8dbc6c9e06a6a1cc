#include "caffe/util/im2col.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "caffe/util/column_axes.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/logging.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

// For one kernel offset along an axis: the outputs that see the image and not its padding, and where the
// first of them looks.
struct Span {
  int64_t begin, end, position;
};

// One spatial axis of an image and its columns; steps are elements between neighbours.
struct Axis {
  int64_t size, outputs, stride;
  int64_t image_step, column_step;
  vector<Span> spans;  // one for each kernel offset

  Axis(const ColumnAxis& axis, int64_t image_step, int64_t column_step)
      : size(axis.size),
        outputs(axis.outputs),
        stride(axis.stride),
        image_step(image_step),
        column_step(column_step) {
    for (int offset = 0; offset < axis.kernel; ++offset) {
      const int64_t first = axis.Position(0, offset);
      Span span;
      span.begin = first < 0 ? (-first + stride - 1) / stride : 0;
      span.end = first < size ? (size - first - 1) / stride + 1 : 0;
      span.begin = std::min<int64_t>(span.begin, outputs);
      span.end = std::max(std::min<int64_t>(span.end, outputs), span.begin);
      span.position = span.begin < span.end ? first + span.begin * stride : 0;
      spans.push_back(span);
    }
  }
};

struct Geometry {
  int64_t channels;
  int64_t taps = 1;          // rows of the matrix per channel
  int64_t image_size = 1;    // elements of a channel
  int64_t column_count = 1;  // elements of a row
  vector<Axis> axes;

  Geometry(int channels, const vector<ColumnAxis>& column_axes) : channels(channels) {
    for (const ColumnAxis& axis : column_axes) {
      taps *= axis.kernel;
      image_size *= axis.size;
      column_count *= axis.outputs;
    }
    int64_t image_step = image_size, column_step = column_count;
    // A line is an image of one row, so that there are rows in all cases.
    if (column_axes.size() == 1) axes.emplace_back(ColumnAxis{1, 1, 1, 0, 1, 1}, image_step, column_step);
    for (const ColumnAxis& axis : column_axes) {
      image_step /= axis.size;
      column_step /= axis.outputs;
      axes.emplace_back(axis, image_step, column_step);
    }
  }
};

// Runs over the kernel's elements, of which it has the spans, the last axis fastest, and over again.
class Taps {
 public:
  Taps(const Geometry& geometry, int64_t tap) : axes_(geometry.axes) {
    for (size_t i = axes_.size(); i-- > 0;) {
      const int64_t kernel = static_cast<int64_t>(axes_[i].spans.size());
      spans_[i] = axes_[i].spans.data() + tap % kernel;
      tap /= kernel;
    }
  }
  const Span* const* spans() const { return spans_.data(); }
  void Next() {
    for (size_t i = axes_.size(); i-- > 0;) {
      if (++spans_[i] != axes_[i].spans.data() + axes_[i].spans.size()) return;
      spans_[i] = axes_[i].spans.data();
    }
  }

 private:
  const vector<Axis>& axes_;
  std::array<const Span*, kMaxBlobAxes> spans_;
};

// How many pieces of work are worth a thread.
int64_t GrainFor(int64_t elements) { return kElementGrain / std::max<int64_t>(elements, 1) + 1; }

// Copies a row. Rows are often so short that a call would cost more than the copy.
template <typename Dtype>
void CopyRow(const Dtype* from, int64_t n, Dtype* to) {
  constexpr int64_t kPiece = 16 / sizeof(Dtype);
  constexpr int64_t kLong = 32 * kPiece;
  if (n >= kLong) {
    std::copy_n(from, n, to);
  } else if (n >= kPiece) {
    for (int64_t i = 0; i < n - kPiece; i += kPiece) std::memcpy(to + i, from + i, 16);
    std::memcpy(to + n - kPiece, from + n - kPiece, 16);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

template <typename Dtype>
void ZeroRow(int64_t n, Dtype* to) {
  if (n == 0) return;
  to[0] = 0;
  if (n > 1) std::fill_n(to + 1, n - 1, Dtype(0));
}

// What is done with the rows that a window sees on the last axis: image to columns ...
struct Gather {
  template <typename Dtype>
  static void Row(const Axis& axis, const Span& span, const Dtype* image, Dtype* columns) {
    const int64_t n = span.end - span.begin;
    ZeroRow(span.begin, columns);
    if (axis.stride == 1) {
      CopyRow(image + span.position, n, columns + span.begin);
    } else {
      for (int64_t i = 0; i < n; ++i) columns[span.begin + i] = image[span.position + i * axis.stride];
    }
    ZeroRow(axis.outputs - span.end, columns + span.end);
  }
  template <typename Dtype>
  static void Padding(int64_t n, Dtype* columns) {
    std::fill_n(columns, n, Dtype(0));
  }
};

// ... and columns to image.
struct Scatter {
  template <typename Dtype>
  static void Row(const Axis& axis, const Span& span, Dtype* image, const Dtype* columns) {
    const int64_t n = span.end - span.begin;
    image += span.position;
    columns += span.begin;
    if (axis.stride == 1) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) image[i] += columns[i];
    } else {
      for (int64_t i = 0; i < n; ++i) image[i * axis.stride] += columns[i];
    }
  }
  template <typename Dtype>
  static void Padding(int64_t, const Dtype*) {}
};

// Walks over one row of the matrix and the places of the channel that it stands for. There are two axes or
// more.
template <typename Action, typename Image, typename Columns>
void Walk(const Axis* axis, const Span* const* spans, int num_axes, Image* image, Columns* columns) {
  const Span span = *spans[0];
  Action::Padding(span.begin * axis->column_step, columns);
  image += span.position * axis->image_step;
  for (int64_t output = span.begin; output < span.end; ++output, image += axis->stride * axis->image_step) {
    if (num_axes == 2) {
      Action::Row(axis[1], *spans[1], image, columns + output * axis->column_step);
    } else {
      Walk<Action>(axis + 1, spans + 1, num_axes - 1, image, columns + output * axis->column_step);
    }
  }
  Action::Padding((axis->outputs - span.end) * axis->column_step, columns + span.end * axis->column_step);
}

// Walks over rows `begin` to `end` of the matrix.
template <typename Action, typename Image, typename Columns>
void WalkRows(const Geometry& geometry, int64_t begin, int64_t end, Image* data_im, Columns* data_col) {
  const int num_axes = static_cast<int>(geometry.axes.size());
  Taps taps(geometry, begin % geometry.taps);
  for (int64_t row = begin; row < end; ++row, taps.Next()) {
    Walk<Action>(geometry.axes.data(), taps.spans(), num_axes,
                 data_im + row / geometry.taps * geometry.image_size, data_col + row * geometry.column_count);
  }
}

template <typename Dtype>
void ImageToColumns(const Geometry& geometry, const Dtype* data_im, Dtype* data_col) {
  ParallelFor(geometry.channels * geometry.taps, GrainFor(geometry.column_count),
              [&](int64_t begin, int64_t end) { WalkRows<Gather>(geometry, begin, end, data_im, data_col); });
}

template <typename Dtype>
void ColumnsToImage(const Geometry& geometry, const Dtype* data_col, Dtype* data_im) {
  ParallelFor(
      geometry.channels, GrainFor(geometry.taps * geometry.column_count), [&](int64_t begin, int64_t end) {
        std::fill(data_im + begin * geometry.image_size, data_im + end * geometry.image_size, Dtype(0));
        WalkRows<Scatter>(geometry, begin * geometry.taps, end * geometry.taps, data_im, data_col);
      });
}

Geometry PlaneGeometry(int channels, int height, int width, int kernel_h, int kernel_w, int pad_h, int pad_w,
                       int stride_h, int stride_w, int dilation_h, int dilation_w) {
  const int im_shape[] = {channels, height, width};
  const int kernel_shape[] = {kernel_h, kernel_w};
  const int pad[] = {pad_h, pad_w};
  const int stride[] = {stride_h, stride_w};
  const int dilation[] = {dilation_h, dilation_w};
  return Geometry(channels, MakeColumnAxes(2, im_shape, nullptr, kernel_shape, pad, stride, dilation));
}

Geometry CheckedGeometry(int num_spatial_axes, const int* im_shape, const int* col_shape,
                         const int* kernel_shape, const int* pad, const int* stride, const int* dilation) {
  return Geometry(im_shape[0],
                  MakeColumnAxes(num_spatial_axes, im_shape, col_shape, kernel_shape, pad, stride, dilation));
}

}  // namespace

vector<ColumnAxis> MakeColumnAxes(int num_spatial_axes, const int* im_shape, const int* col_shape,
                                  const int* kernel_shape, const int* pad, const int* stride,
                                  const int* dilation) {
  CHECK(num_spatial_axes >= 1 && num_spatial_axes < kMaxBlobAxes)
      << "columns are of images with 1 to " << kMaxBlobAxes - 1 << " spatial axes, not " << num_spatial_axes;
  vector<ColumnAxis> axes;
  vector<int> outputs;
  int64_t taps = 1;
  for (int i = 0; i < num_spatial_axes; ++i) {
    outputs.push_back(conv_output_size(im_shape[i + 1], kernel_shape[i], pad[i], stride[i], dilation[i]));
    axes.push_back({im_shape[i + 1], outputs[i], kernel_shape[i], pad[i], stride[i], dilation[i]});
    taps *= kernel_shape[i];
  }
  conv_column_count(im_shape[0], num_spatial_axes, kernel_shape, outputs.data());
  if (!col_shape) return axes;
  CHECK_EQ(col_shape[0], im_shape[0] * taps)
      << "the columns must have a row for each channel and kernel element";
  for (int i = 0; i < num_spatial_axes; ++i) {
    CHECK_EQ(col_shape[i + 1], outputs[i]) << "the columns' spatial axis " << i << " does not fit";
  }
  return axes;
}

template <typename Dtype>
void im2col_cpu(const Dtype* data_im, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_col) {
  ImageToColumns(PlaneGeometry(channels, height, width, kernel_h, kernel_w, pad_h, pad_w, stride_h, stride_w,
                               dilation_h, dilation_w),
                 data_im, data_col);
}

template <typename Dtype>
void im2col_nd_cpu(const Dtype* data_im, const int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_col) {
  ImageToColumns(CheckedGeometry(num_spatial_axes, im_shape, col_shape, kernel_shape, pad, stride, dilation),
                 data_im, data_col);
}

template <typename Dtype>
void col2im_cpu(const Dtype* data_col, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_im) {
  ColumnsToImage(PlaneGeometry(channels, height, width, kernel_h, kernel_w, pad_h, pad_w, stride_h, stride_w,
                               dilation_h, dilation_w),
                 data_col, data_im);
}

template <typename Dtype>
void col2im_nd_cpu(const Dtype* data_col, const int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_im) {
  ColumnsToImage(CheckedGeometry(num_spatial_axes, im_shape, col_shape, kernel_shape, pad, stride, dilation),
                 data_col, data_im);
}

#define INSTANTIATE_COLUMNS(Dtype)                                                                           \
  template void im2col_cpu<Dtype>(const Dtype*, const int, const int, const int, const int, const int,       \
                                  const int, const int, const int, const int, const int, const int, Dtype*); \
  template void im2col_nd_cpu<Dtype>(const Dtype*, const int, const int*, const int*, const int*,            \
                                     const int*, const int*, const int*, Dtype*);                            \
  template void col2im_cpu<Dtype>(const Dtype*, const int, const int, const int, const int, const int,       \
                                  const int, const int, const int, const int, const int, const int, Dtype*); \
  template void col2im_nd_cpu<Dtype>(const Dtype*, const int, const int*, const int*, const int*,            \
                                     const int*, const int*, const int*, Dtype*)
INSTANTIATE_COLUMNS(float);
INSTANTIATE_COLUMNS(double);
#undef INSTANTIATE_COLUMNS

}  // namespace caffe
