#ifndef _CAFFE_UTIL_IM2COL_HPP_
#define _CAFFE_UTIL_IM2COL_HPP_

#include <vector>

namespace caffe {

struct ColumnAxis;

// Between one image and its matrix of columns, over which a convolution is a matrix product. The image is
// channels x size_1 x ... x size_N. The matrix is (channels kernel_1 ... kernel_N) x output_1 x ... x
// output_N: column (o_1, ..., o_N) holds what the kernel sees at that output, that is, row (c, k_1, ..., k_N)
// holds image(c, ..., o_i stride_i - pad_i + k_i dilation_i, ...), and 0 outside the image. col2im sums each
// image element's places in the matrix, which makes it the transpose (and gradient) of im2col.

/// Image of two spatial axes to columns. @throws Error, naming the sizes, where the kernel does not fit.
template <typename Dtype>
void im2col_cpu(const Dtype* data_im, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_col);

/// Image of any number of spatial axes to columns. `im_shape` has the channels first; `col_shape` is
/// channels kernel_1 ... kernel_N, output_1, ..., output_N.
/// @throws Error, naming the sizes, where the kernel does not fit or col_shape does not agree.
template <typename Dtype>
void im2col_nd_cpu(const Dtype* data_im, const int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_col);

/// The transpose of im2col_cpu; overwrites the image.
template <typename Dtype>
void col2im_cpu(const Dtype* data_col, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_im);

/// The transpose of im2col_nd_cpu; overwrites the image.
template <typename Dtype>
void col2im_nd_cpu(const Dtype* data_col, const int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_im);

#ifndef CPU_ONLY

// The same on the GPU, where all data lie. Results are exactly the CPU's.

template <typename Dtype>
void im2col_gpu(const Dtype* data_im, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_col);

/// The arrays of sizes lie on the GPU, too, and are taken to be right.
/// @param col_size elements of a row of the columns, times channels.
template <typename Dtype>
void im2col_nd_gpu(const Dtype* data_im, const int num_spatial_axes, const int col_size, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_col);

template <typename Dtype>
void col2im_gpu(const Dtype* data_col, const int channels, const int height, const int width,
                const int kernel_h, const int kernel_w, const int pad_h, const int pad_w, const int stride_h,
                const int stride_w, const int dilation_h, const int dilation_w, Dtype* data_im);

/// The arrays of sizes lie on the GPU, too, and are taken to be right.
/// @param im_size elements of the image.
template <typename Dtype>
void col2im_nd_gpu(const Dtype* data_col, const int num_spatial_axes, const int im_size, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_im);

/// Columns of several images at once, on the GPU: each row has image after image's part of it, so that they
/// are one matrix. `axes` are those of an image (see MakeColumnAxes), on the host.
template <typename Dtype>
void images_to_columns_gpu(const std::vector<ColumnAxis>& axes, int images, int channels,
                           const Dtype* data_im, Dtype* data_col);

/// The transpose of images_to_columns_gpu; overwrites the images. A bias, where one is given, is added to
/// every element of its channel.
template <typename Dtype>
void columns_to_images_gpu(const std::vector<ColumnAxis>& axes, int images, int channels,
                           const Dtype* data_col, const Dtype* bias, Dtype* data_im);

#endif  // !CPU_ONLY

}  // namespace caffe

#endif  // _CAFFE_UTIL_IM2COL_HPP_
