#include "caffe/util/im2col.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "caffe/blob.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/logging.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

// One spatial axis of an image and its columns; steps are elements between neighbours.
struct Axis {
  int64_t size, outputs, kernel, pad, stride, dilation;
  int64_t image_step, column_step;
};

// For one kernel offset along an axis: the outputs that see the image and not its padding, and where the
// first of them looks.
struct Span {
  int64_t begin, end, position;
};

Span SpanOf(const Axis& axis, int64_t offset) {
  const int64_t first = offset * axis.dilation - axis.pad;  // where output 0 looks
  Span span;
  span.begin = first < 0 ? (-first + axis.stride - 1) / axis.stride : 0;
  span.end = first < axis.size ? (axis.size - first - 1) / axis.stride + 1 : 0;
  span.begin = std::min(span.begin, axis.outputs);
  span.end = std::max(std::min(span.end, axis.outputs), span.begin);
  span.position = span.begin < span.end ? first + span.begin * axis.stride : 0;
  return span;
}

struct Geometry {
  int num_axes;
  int64_t channels;
  int64_t taps = 1;          // rows of the matrix per channel
  int64_t image_size = 1;    // elements of a channel
  int64_t column_count = 1;  // elements of a row
  std::array<Axis, kMaxBlobAxes> axes;

  Geometry(int num_spatial_axes, const int* im_shape, const int* kernel_shape, const int* pad,
           const int* stride, const int* dilation)
      : num_axes(num_spatial_axes), channels(im_shape[0]) {
    CHECK(num_axes >= 1 && num_axes < kMaxBlobAxes)
        << "columns are of images with 1 to " << kMaxBlobAxes - 1 << " spatial axes, not " << num_axes;
    std::array<int, kMaxBlobAxes> outputs;
    for (int i = 0; i < num_axes; ++i) {
      outputs[i] = conv_output_size(im_shape[i + 1], kernel_shape[i], pad[i], stride[i], dilation[i]);
    }
    conv_column_count(im_shape[0], num_axes, kernel_shape, outputs.data());
    for (int i = num_axes - 1; i >= 0; --i) {
      axes[i] = {im_shape[i + 1], outputs[i],  kernel_shape[i], pad[i],
                 stride[i],       dilation[i], image_size,      column_count};
      taps *= axes[i].kernel;
      image_size *= axes[i].size;
      column_count *= axes[i].outputs;
    }
  }

  std::array<Span, kMaxBlobAxes> SpansOf(int64_t tap) const {
    std::array<Span, kMaxBlobAxes> spans;
    for (int i = num_axes - 1; i >= 0; --i) {
      spans[i] = SpanOf(axes[i], tap % axes[i].kernel);
      tap /= axes[i].kernel;
    }
    return spans;
  }
};

// How many pieces of work are worth a thread.
int64_t GrainFor(int64_t elements) { return kElementGrain / std::max<int64_t>(elements, 1) + 1; }

// What is done along the last axis: image to columns ...
struct Gather {
  template <typename Dtype>
  static void Inside(const Dtype* image, Dtype* columns, int64_t n, int64_t stride) {
    if (stride == 1) {
      std::copy_n(image, n, columns);
    } else {
      for (int64_t i = 0; i < n; ++i) columns[i] = image[i * stride];
    }
  }
  template <typename Dtype>
  static void Padding(Dtype* columns, int64_t n) {
    std::fill_n(columns, n, Dtype(0));
  }
};

// ... and columns to image.
struct Scatter {
  template <typename Dtype>
  static void Inside(Dtype* image, const Dtype* columns, int64_t n, int64_t stride) {
    if (stride == 1) {
      for (int64_t i = 0; i < n; ++i) image[i] += columns[i];
    } else {
      for (int64_t i = 0; i < n; ++i) image[i * stride] += columns[i];
    }
  }
  template <typename Dtype>
  static void Padding(const Dtype*, int64_t) {}
};

// Walks over one row of the matrix and the places of the channel that it stands for.
template <typename Action, typename Image, typename Columns>
void Walk(const Axis* axis, const Span* span, int num_axes, Image* image, Columns* columns) {
  Action::Padding(columns, span->begin * axis->column_step);
  image += span->position * axis->image_step;
  columns += span->begin * axis->column_step;
  const int64_t n = span->end - span->begin;
  if (num_axes == 1) {
    Action::Inside(image, columns, n, axis->stride);
    columns += n;
  } else {
    for (int64_t i = 0; i < n; ++i) {
      Walk<Action>(axis + 1, span + 1, num_axes - 1, image, columns);
      image += axis->stride * axis->image_step;
      columns += axis->column_step;
    }
  }
  Action::Padding(columns, (axis->outputs - span->end) * axis->column_step);
}

template <typename Dtype>
void ImageToColumns(const Geometry& geometry, const Dtype* data_im, Dtype* data_col) {
  const auto rows = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto spans = geometry.SpansOf(row % geometry.taps);
      Walk<Gather>(geometry.axes.data(), spans.data(), geometry.num_axes,
                   data_im + row / geometry.taps * geometry.image_size,
                   data_col + row * geometry.column_count);
    }
  };
  ParallelFor(geometry.channels * geometry.taps, GrainFor(geometry.column_count), rows);
}

template <typename Dtype>
void ColumnsToImage(const Geometry& geometry, const Dtype* data_col, Dtype* data_im) {
  const auto channels = [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      Dtype* image = data_im + channel * geometry.image_size;
      std::fill_n(image, geometry.image_size, Dtype(0));
      for (int64_t tap = 0; tap < geometry.taps; ++tap) {
        const auto spans = geometry.SpansOf(tap);
        Walk<Scatter>(geometry.axes.data(), spans.data(), geometry.num_axes, image,
                      data_col + (channel * geometry.taps + tap) * geometry.column_count);
      }
    }
  };
  ParallelFor(geometry.channels, GrainFor(geometry.taps * geometry.column_count), channels);
}

Geometry PlaneGeometry(int channels, int height, int width, int kernel_h, int kernel_w, int pad_h, int pad_w,
                       int stride_h, int stride_w, int dilation_h, int dilation_w) {
  const int im_shape[] = {channels, height, width};
  const int kernel_shape[] = {kernel_h, kernel_w};
  const int pad[] = {pad_h, pad_w};
  const int stride[] = {stride_h, stride_w};
  const int dilation[] = {dilation_h, dilation_w};
  return Geometry(2, im_shape, kernel_shape, pad, stride, dilation);
}

Geometry CheckedGeometry(int num_spatial_axes, const int* im_shape, const int* col_shape,
                         const int* kernel_shape, const int* pad, const int* stride, const int* dilation) {
  const Geometry geometry(num_spatial_axes, im_shape, kernel_shape, pad, stride, dilation);
  CHECK_EQ(col_shape[0], geometry.channels * geometry.taps)
      << "the columns must have a row for each channel and kernel element";
  for (int i = 0; i < num_spatial_axes; ++i) {
    CHECK_EQ(col_shape[i + 1], geometry.axes[i].outputs)
        << "the columns' spatial axis " << i << " does not fit";
  }
  return geometry;
}

}  // namespace

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
