#ifndef CAFFE_TEST_REFERENCE_CONVOLUTION_HPP_
#define CAFFE_TEST_REFERENCE_CONVOLUTION_HPP_

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/conv_geometry.hpp"

namespace caffe {

/// A convolution as its definition says it, one product after the other, in double.
struct ReferenceConvolution {
  ReferenceConvolution(const ConvolutionParameter& param, const vector<int>& shape)
      : axis((param.axis() + static_cast<int>(shape.size())) % static_cast<int>(shape.size())),
        axes(static_cast<int>(shape.size()) - axis - 1),
        input(shape),
        group(static_cast<int>(param.group())) {
    read_conv_geometry(param, axes, &kernel, &stride, &pad, &dilation);
    output.assign(input.begin(), input.begin() + axis);
    output.push_back(static_cast<int>(param.num_output()));
    for (int i = 0; i < axes; ++i) {
      output.push_back((input[axis + 1 + i] + 2 * pad.cpu_data()[i] -
                        (dilation.cpu_data()[i] * (kernel.cpu_data()[i] - 1) + 1)) /
                           stride.cpu_data()[i] +
                       1);
    }
  }

  static int Product(const vector<int>& shape, int begin, int end) {
    int product = 1;
    for (int i = begin; i < end; ++i) product *= shape[i];
    return product;
  }

  template <typename Dtype, typename Weight>
  vector<double> Run(const Dtype* bottom, const Weight* weights, const Dtype* bias) const {
    const int images = Product(input, 0, axis), channels = input[axis], outputs = output[axis];
    const int in_dim = Product(input, axis + 1, axis + 1 + axes);
    const int out_dim = Product(output, axis + 1, axis + 1 + axes);
    int taps = 1;
    for (int i = 0; i < axes; ++i) taps *= kernel.cpu_data()[i];
    const int group_in = channels / group, group_out = outputs / group;
    vector<double> top;
    for (int n = 0; n < images; ++n) {
      for (int o = 0; o < outputs; ++o) {
        for (int y = 0; y < out_dim; ++y) {
          double sum = bias ? bias[o] : 0;
          for (int c = 0; c < group_in; ++c) {
            for (int k = 0; k < taps; ++k) {
              const int index = Index(y, k);
              if (index < 0) continue;
              const int channel = o / group_out * group_in + c;
              sum += static_cast<double>(bottom[(n * channels + channel) * in_dim + index]) *
                     weights[(o * group_in + c) * taps + k];
            }
          }
          top.push_back(sum);
        }
      }
    }
    return top;
  }

  // The place in a channel that output y sees through kernel element k; -1 for padding.
  int Index(int y, int k) const {
    int index = 0, step = 1;
    for (int i = axes - 1; i >= 0; --i) {
      const int out = output[axis + 1 + i], in = input[axis + 1 + i], size = kernel.cpu_data()[i];
      const int at = y % out * stride.cpu_data()[i] - pad.cpu_data()[i] + k % size * dilation.cpu_data()[i];
      if (at < 0 || at >= in) return -1;
      index += at * step;
      step *= in;
      y /= out;
      k /= size;
    }
    return index;
  }

  int axis;
  int axes;
  vector<int> input;
  vector<int> output;
  int group;
  Blob<int> kernel, stride, pad, dilation;
};

/// Settings that cover the geometry of convolutions, with a shape of bottom for each.
struct ConvolutionCase {
  string settings;
  vector<int> bottom;
};

inline vector<ConvolutionCase> ConvolutionCases() {
  return {
      {"num_output: 4 kernel_size: 3", {2, 3, 5, 7}},
      {"num_output: 2 kernel_size: 3 stride: 2 pad: 1", {3, 3, 6, 5}},
      {"num_output: 6 kernel_size: 3 pad: 1 group: 3", {2, 6, 4, 3}},
      {"num_output: 3 kernel_size: 3 dilation: 2 pad: 2 bias_term: false", {1, 2, 6, 5}},
      {"num_output: 3 kernel_h: 2 kernel_w: 5 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 2", {2, 2, 4, 7}},
      {"num_output: 3 kernel_h: 1 kernel_w: 3 stride_w: 2 pad_w: 1", {2, 2, 3, 5}},
      {"num_output: 4 kernel_size: 2 group: 2 stride: 2 dilation: 2 force_nd_im2col: true", {2, 4, 5, 6}},
      {"num_output: 5 kernel_size: 1", {3, 4, 2, 3}},
      {"num_output: 4 kernel_size: 1 group: 2", {2, 2, 3, 1}},
      {"num_output: 3 kernel_size: 1 stride: 2", {2, 2, 5, 4}},
      {"num_output: 2 kernel_size: 2 kernel_size: 3 pad: 0 pad: 1 dilation: 2 dilation: 1", {2, 1, 5, 4}},
      {"num_output: 3 kernel_size: 3 pad: 1", {2, 4, 9}},
      {"num_output: 2 kernel_size: 2 kernel_size: 3 kernel_size: 2 stride: 1 stride: 2 stride: 1",
       {1, 2, 3, 4, 3}},
      {"num_output: 2 kernel_size: 2 axis: 2", {2, 3, 2, 3, 4}},
      {"num_output: 2 kernel_size: 2 axis: -3 group: 2", {3, 2, 3, 4}},
      {"num_output: 3 kernel_size: 1", {4, 5}},
  };
}

}  // namespace caffe

#endif  // CAFFE_TEST_REFERENCE_CONVOLUTION_HPP_
