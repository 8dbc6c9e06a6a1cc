#include "caffe/util/im2col.hpp"

#include <vector>

#include "caffe/util/column_axes.hpp"
#include "caffe/util/gpu_launch.cuh"

namespace caffe {

namespace {

// Numbers of elements of one channel of one image.
struct ChannelSizes {
  int image = 1, taps = 1, outputs = 1;

  explicit ChannelSizes(const std::vector<ColumnAxis>& axes) {
    for (const ColumnAxis& axis : axes) {
      image *= axis.size;
      taps *= axis.kernel;
      outputs *= axis.outputs;
    }
  }
};

// Element i of the columns of several images.
template <typename Dtype, typename Grid>
struct GatherColumn {
  Grid grid;
  IntDivisor images, taps, outputs;
  int channels, channel_size;
  const Dtype* data_im;
  Dtype* data_col;

  __device__ void operator()(int i) const {
    int rest = i;
    const int output = outputs.Split(&rest);
    const int image = images.Split(&rest);
    const int tap = taps.Split(&rest);
    const int place = PlaceInChannel(grid, tap, output);
    data_col[i] = place < 0 ? Dtype(0) : data_im[(image * channels + rest) * channel_size + place];
  }
};

// Element i of several images.
template <typename Dtype, int kAxes, typename Grid>
struct SumColumns {
  Grid grid;
  IntDivisor channels, channel_size;
  int taps, outputs, row_size;
  const Dtype* data_col;
  const Dtype* bias;
  Dtype* data_im;

  __device__ void operator()(int i) const {
    int image = i;
    const int place = channel_size.Split(&image);
    const int channel = channels.Split(&image);
    const Dtype* columns = data_col + channel * taps * row_size + image * outputs;
    const Dtype sum = SumOfColumns<Dtype, kAxes>(grid, columns, row_size, place);
    data_im[i] = bias ? sum + bias[channel] : sum;
  }
};

template <typename Dtype, int kAxes>
void ImagesToColumns(const std::vector<ColumnAxis>& axes, int images, int channels, const Dtype* data_im,
                     Dtype* data_col) {
  const ChannelSizes sizes(axes);
  using Grid = ColumnGrid<kAxes>;
  const GatherColumn<Dtype, Grid> gather = {Grid(axes),
                                            IntDivisor(images),
                                            IntDivisor(sizes.taps),
                                            IntDivisor(sizes.outputs),
                                            channels,
                                            sizes.image,
                                            data_im,
                                            data_col};
  GpuForEach(static_cast<int64_t>(channels) * sizes.taps * images * sizes.outputs, gather);
}

template <typename Dtype, int kAxes>
void ColumnsToImages(const std::vector<ColumnAxis>& axes, int images, int channels, const Dtype* data_col,
                     const Dtype* bias, Dtype* data_im) {
  const ChannelSizes sizes(axes);
  using Grid = ColumnGrid<kAxes>;
  const SumColumns<Dtype, kAxes, Grid> sum = {Grid(axes),
                                              IntDivisor(channels),
                                              IntDivisor(sizes.image),
                                              sizes.taps,
                                              sizes.outputs,
                                              images * sizes.outputs,
                                              data_col,
                                              bias,
                                              data_im};
  GpuForEach(static_cast<int64_t>(images) * channels * sizes.image, sum);
}

}  // namespace

template <typename Dtype>
void images_to_columns_gpu(const std::vector<ColumnAxis>& axes, int images, int channels,
                           const Dtype* data_im, Dtype* data_col) {
  if (images == 0 || channels == 0) return;
  switch (axes.size()) {
    case 1:
      return ImagesToColumns<Dtype, 1>(axes, images, channels, data_im, data_col);
    case 2:
      return ImagesToColumns<Dtype, 2>(axes, images, channels, data_im, data_col);
    case 3:
      return ImagesToColumns<Dtype, 3>(axes, images, channels, data_im, data_col);
    default:
      return ImagesToColumns<Dtype, kManyAxes>(axes, images, channels, data_im, data_col);
  }
}

template <typename Dtype>
void columns_to_images_gpu(const std::vector<ColumnAxis>& axes, int images, int channels,
                           const Dtype* data_col, const Dtype* bias, Dtype* data_im) {
  if (images == 0 || channels == 0) return;
  switch (axes.size()) {
    case 1:
      return ColumnsToImages<Dtype, 1>(axes, images, channels, data_col, bias, data_im);
    case 2:
      return ColumnsToImages<Dtype, 2>(axes, images, channels, data_col, bias, data_im);
    case 3:
      return ColumnsToImages<Dtype, 3>(axes, images, channels, data_col, bias, data_im);
    default:
      return ColumnsToImages<Dtype, kManyAxes>(axes, images, channels, data_col, bias, data_im);
  }
}

namespace {

std::vector<ColumnAxis> PlaneAxes(int channels, int height, int width, int kernel_h, int kernel_w, int pad_h,
                                  int pad_w, int stride_h, int stride_w, int dilation_h, int dilation_w) {
  const int im_shape[] = {channels, height, width};
  const int kernel_shape[] = {kernel_h, kernel_w};
  const int pad[] = {pad_h, pad_w};
  const int stride[] = {stride_h, stride_w};
  const int dilation[] = {dilation_h, dilation_w};
  return MakeColumnAxes(2, im_shape, nullptr, kernel_shape, pad, stride, dilation);
}

}  // namespace

template <typename Dtype>
void im2col_gpu(const Dtype* data_im, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_col) {
  images_to_columns_gpu(PlaneAxes(channels, height, width, kernel_h, kernel_w, pad_h, pad_w, stride_h,
                                  stride_w, dilation_h, dilation_w),
                        1, channels, data_im, data_col);
}

template <typename Dtype>
void col2im_gpu(const Dtype* data_col, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_im) {
  columns_to_images_gpu<Dtype>(PlaneAxes(channels, height, width, kernel_h, kernel_w, pad_h, pad_w, stride_h,
                                         stride_w, dilation_h, dilation_w),
                               1, channels, data_col, nullptr, data_im);
}

namespace {

// One output's columns of one channel, for all taps.
template <typename Dtype>
struct GatherColumnsInMemory {
  ColumnGridInMemory grid;
  const Dtype* data_im;
  Dtype* data_col;

  __device__ void operator()(int i) const {
    const int num = grid.num();
    int outputs = 1, taps = 1, channel_size = 1;
    for (int axis = 0; axis < num; ++axis) {
      outputs *= grid.col_shape[axis + 1];
      taps *= grid.kernel_shape[axis];
      channel_size *= grid.im_shape[axis + 1];
    }
    const int channel = i / outputs, output = i % outputs;
    for (int tap = 0; tap < taps; ++tap) {
      const int place = PlaceInChannel(grid, tap, output);
      data_col[(channel * taps + tap) * outputs + output] =
          place < 0 ? Dtype(0) : data_im[channel * channel_size + place];
    }
  }
};

template <typename Dtype>
struct SumColumnsInMemory {
  ColumnGridInMemory grid;
  const Dtype* data_col;
  Dtype* data_im;

  __device__ void operator()(int i) const {
    const int num = grid.num();
    int outputs = 1, taps = 1, channel_size = 1;
    for (int axis = 0; axis < num; ++axis) {
      outputs *= grid.col_shape[axis + 1];
      taps *= grid.kernel_shape[axis];
      channel_size *= grid.im_shape[axis + 1];
    }
    const int channel = i / channel_size, place = i % channel_size;
    data_im[i] = SumOfColumns<Dtype, kManyAxes>(grid, data_col + channel * taps * outputs, outputs, place);
  }
};

}  // namespace

template <typename Dtype>
void im2col_nd_gpu(const Dtype* data_im, const int num_spatial_axes, const int col_size, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_col) {
  CHECK(num_spatial_axes >= 1 && num_spatial_axes <= kManyAxes)
      << "columns are of images with 1 to " << kManyAxes << " spatial axes, not " << num_spatial_axes;
  const ColumnGridInMemory grid = {num_spatial_axes, im_shape, col_shape, kernel_shape, pad,
                                   stride,           dilation};
  GpuForEach(col_size, GatherColumnsInMemory<Dtype>{grid, data_im, data_col});
}

template <typename Dtype>
void col2im_nd_gpu(const Dtype* data_col, const int num_spatial_axes, const int im_size, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_im) {
  CHECK(num_spatial_axes >= 1 && num_spatial_axes <= kManyAxes)
      << "columns are of images with 1 to " << kManyAxes << " spatial axes, not " << num_spatial_axes;
  const ColumnGridInMemory grid = {num_spatial_axes, im_shape, col_shape, kernel_shape, pad,
                                   stride,           dilation};
  GpuForEach(im_size, SumColumnsInMemory<Dtype>{grid, data_col, data_im});
}

#define INSTANTIATE_COLUMNS(Dtype)                                                                           \
  template void im2col_gpu<Dtype>(const Dtype*, const int, const int, const int, const int, const int,       \
                                  const int, const int, const int, const int, const int, const int, Dtype*); \
  template void im2col_nd_gpu<Dtype>(const Dtype*, const int, const int, const int*, const int*, const int*, \
                                     const int*, const int*, const int*, Dtype*);                            \
  template void col2im_gpu<Dtype>(const Dtype*, const int, const int, const int, const int, const int,       \
                                  const int, const int, const int, const int, const int, const int, Dtype*); \
  template void col2im_nd_gpu<Dtype>(const Dtype*, const int, const int, const int*, const int*, const int*, \
                                     const int*, const int*, const int*, Dtype*);                            \
  template void images_to_columns_gpu<Dtype>(const std::vector<ColumnAxis>&, int, int, const Dtype*,         \
                                             Dtype*);                                                        \
  template void columns_to_images_gpu<Dtype>(const std::vector<ColumnAxis>&, int, int, const Dtype*,         \
                                             const Dtype*, Dtype*)
INSTANTIATE_COLUMNS(float);
INSTANTIATE_COLUMNS(double);
#undef INSTANTIATE_COLUMNS

}  // namespace caffe
