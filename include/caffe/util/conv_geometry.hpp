#ifndef CAFFE_UTIL_CONV_GEOMETRY_HPP_
#define CAFFE_UTIL_CONV_GEOMETRY_HPP_

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Size of a convolution's output along one axis: floor((size + 2 pad - extent) / stride) + 1, where the
/// kernel's extent is dilation (kernel - 1) + 1.
/// @throws Error, naming the sizes, where the extent exceeds the padded input or the sizes exceed an int.
int conv_output_size(int size, int kernel, int pad, int stride, int dilation);

/// Size of a deconvolution's output along one axis: stride (size - 1) + extent - 2 pad.
/// @throws Error, naming the sizes, where that is not positive or exceeds an int.
int deconv_output_size(int size, int kernel, int pad, int stride, int dilation);

/// Elements of the column matrix of one image (see im2col.hpp): channels times all of `kernel_shape` times
/// all of `output_shape`, which have num_spatial_axes elements each. @throws Error, naming the sizes, above
/// INT_MAX.
int conv_column_count(int channels, int num_spatial_axes, const int* kernel_shape, const int* output_shape);

/**
 * @brief Reads kernel size, stride, padding and dilation of each spatial axis out of a ConvolutionParameter.
 *
 * Each blob gets one value per axis, from a repeated field (one value for all axes, or one each) or, for two
 * axes, from its _h and _w forms. Without a value strides and dilations are 1, pads 0; a kernel must be
 * given.
 * @throws Error for a missing or ambiguous setting, a wrong number of values, and a value out of range.
 */
void read_conv_geometry(const ConvolutionParameter& param, int num_spatial_axes, Blob<int>* kernel_shape,
                        Blob<int>* stride, Blob<int>* pad, Blob<int>* dilation);

/**
 * @brief Size of a pooling's output along one axis: (size + 2 pad - kernel) / stride, rounded up or down,
 * plus 1.
 *
 * With padding on any axis of the image (`padded`), one less where the last window would start beyond the
 * input and its padding on the left: also on an axis that has none itself, as in Caffe.
 * @throws Error, naming the sizes, where that is not positive or exceeds an int.
 */
int pool_output_size(int size, int kernel, int pad, int stride, PoolingParameter::RoundMode round_mode,
                     bool padded);

/// Kernel size, stride and padding of one spatial axis of a pooling.
struct PoolAxis {
  int kernel, stride, pad;
};

/// Reads the geometry of a pooling that is not global, of two spatial axes, as read_conv_geometry does.
/// @throws Error also where the padding is not smaller than the kernel.
void read_pool_geometry(const PoolingParameter& param, PoolAxis* height, PoolAxis* width);

}  // namespace caffe

#endif  // CAFFE_UTIL_CONV_GEOMETRY_HPP_
