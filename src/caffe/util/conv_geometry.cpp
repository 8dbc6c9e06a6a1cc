#include "caffe/util/conv_geometry.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

namespace caffe {

namespace {

int64_t KernelExtent(int kernel, int dilation) { return int64_t{dilation} * (kernel - 1) + 1; }

string DescribeKernel(int kernel, int dilation) {
  string text = "kernel of size " + std::to_string(kernel);
  if (dilation != 1) {
    text += " with dilation " + std::to_string(dilation) + ", extent " +
            std::to_string(KernelExtent(kernel, dilation));
  }
  return text;
}

string DescribeInput(int size, int pad) {
  return "input of size " + std::to_string(size) + " padded by " + std::to_string(pad) + " on both sides";
}

typedef google::protobuf::RepeatedField<google::protobuf::uint32> Values;

struct Setting {
  const char* name;
  // One for all axes, or one each.
  Values values;
  // The forms for two axes; empty where the definition does not hold them.
  Values h;
  Values w;
  // What an axis gets without a value; -1 where a value is required.
  int missing;
  int minimum;
};

// The values of an optional field: none or one.
Values Optional(bool has, google::protobuf::uint32 value) {
  Values values;
  if (has) values.Add(value);
  return values;
}

int CheckedValue(const Setting& setting, google::protobuf::uint32 value) {
  CHECK_LE(value, INT_MAX) << "'" << setting.name << "' is too large";
  CHECK_GE(static_cast<int>(value), setting.minimum)
      << "'" << setting.name << "' must be at least " << setting.minimum;
  return static_cast<int>(value);
}

void ReadAxes(const Setting& setting, int num_spatial_axes, Blob<int>* blob) {
  blob->Reshape(vector<int>(1, std::max(num_spatial_axes, 1)));
  int* axes = blob->mutable_cpu_data();
  if (!setting.h.empty() || !setting.w.empty()) {
    const string name = setting.name;
    CHECK_EQ(num_spatial_axes, 2) << "the _h and _w forms of '" << name
                                  << "' are for two spatial axes; give '" << name
                                  << "' once per axis instead";
    CHECK_EQ(setting.values.size(), 0) << "give either '" << name << "' or its _h and _w forms, not both";
    CHECK(setting.missing >= 0 || (!setting.h.empty() && !setting.w.empty()))
        << "give both the _h and the _w form of '" << name << "'";
    axes[0] = !setting.h.empty() ? CheckedValue(setting, setting.h.Get(0)) : setting.missing;
    axes[1] = !setting.w.empty() ? CheckedValue(setting, setting.w.Get(0)) : setting.missing;
    return;
  }
  const int given = setting.values.size();
  // Without spatial axes there is nothing to give, and what is returned is not looked at.
  CHECK(given > 0 || setting.missing >= 0 || num_spatial_axes == 0)
      << "'" << setting.name << "' must be given";
  CHECK(given <= 1 || given == num_spatial_axes)
      << "'" << setting.name << "' must be given once, or once for each of the " << num_spatial_axes
      << " spatial axes, not " << given << " times";
  for (int i = 0; i < blob->count(); ++i) {
    axes[i] = given == 0 ? std::max(setting.missing, 0)
                         : CheckedValue(setting, setting.values.Get(given == 1 ? 0 : i));
  }
}

}  // namespace

int conv_output_size(int size, int kernel, int pad, int stride, int dilation) {
  const int64_t free = size + 2 * int64_t{pad} - KernelExtent(kernel, dilation);
  CHECK(size >= 1 && free >= 0) << "a " << DescribeKernel(kernel, dilation) << " does not fit into an "
                                << DescribeInput(size, pad);
  const int64_t output = free / stride + 1;
  CHECK_LE(output, INT_MAX) << "the output is too large: a " << DescribeKernel(kernel, dilation)
                            << " over an " << DescribeInput(size, pad);
  return static_cast<int>(output);
}

int deconv_output_size(int size, int kernel, int pad, int stride, int dilation) {
  const int64_t output = int64_t{stride} * (size - 1) + KernelExtent(kernel, dilation) - 2 * int64_t{pad};
  CHECK(output >= 1 && output <= INT_MAX)
      << "the output would have size " << output << ": a " << DescribeKernel(kernel, dilation) << ", stride "
      << stride << ", from an input of size " << size << ", cropped by pad " << pad << " on both sides";
  return static_cast<int>(output);
}

int conv_column_count(int channels, int num_spatial_axes, const int* kernel_shape, const int* output_shape) {
  int64_t count = channels;
  bool fits = true;
  string kernel, output;
  for (int i = 0; i < num_spatial_axes; ++i) {
    for (const int size : {kernel_shape[i], output_shape[i]}) {
      count = fits ? count * size : count;
      fits = fits && count <= INT_MAX;
    }
    kernel += (i ? " x " : "") + std::to_string(kernel_shape[i]);
    output += (i ? " x " : "") + std::to_string(output_shape[i]);
  }
  CHECK(fits) << "the columns of one image would have more than " << INT_MAX << " elements: " << channels
              << " channels, kernel " << kernel << ", output " << output;
  return static_cast<int>(count);
}

void read_conv_geometry(const ConvolutionParameter& param, int num_spatial_axes, Blob<int>* kernel_shape,
                        Blob<int>* stride, Blob<int>* pad, Blob<int>* dilation) {
  ReadAxes({"kernel_size", param.kernel_size(), Optional(param.has_kernel_h(), param.kernel_h()),
            Optional(param.has_kernel_w(), param.kernel_w()), -1, 1},
           num_spatial_axes, kernel_shape);
  ReadAxes({"stride", param.stride(), Optional(param.has_stride_h(), param.stride_h()),
            Optional(param.has_stride_w(), param.stride_w()), 1, 1},
           num_spatial_axes, stride);
  ReadAxes({"pad", param.pad(), Optional(param.has_pad_h(), param.pad_h()),
            Optional(param.has_pad_w(), param.pad_w()), 0, 0},
           num_spatial_axes, pad);
  ReadAxes({"dilation", param.dilation(), {}, {}, 1, 1}, num_spatial_axes, dilation);
}

int pool_output_size(int size, int kernel, int pad, int stride, PoolingParameter::RoundMode round_mode,
                     bool padded) {
  const int64_t free = size + 2 * int64_t{pad} - kernel;
  // Division rounds towards 0, which is up for a negative number.
  const bool up = round_mode == PoolingParameter::CEIL && free > 0;
  const bool down = round_mode == PoolingParameter::FLOOR && free < 0;
  int64_t output = (free + (up ? stride - 1 : 0) - (down ? stride - 1 : 0)) / stride + 1;
  if (padded && (output - 1) * stride >= int64_t{size} + pad) --output;
  CHECK(output >= 1 && output <= INT_MAX)
      << "the output would have size " << output << ": a " << DescribeKernel(kernel, 1) << ", stride "
      << stride << ", over an " << DescribeInput(size, pad);
  return static_cast<int>(output);
}

void read_pool_geometry(const PoolingParameter& param, PoolAxis* height, PoolAxis* width) {
  Blob<int> kernel, stride, pad;
  ReadAxes({"kernel_size", Optional(param.has_kernel_size(), param.kernel_size()),
            Optional(param.has_kernel_h(), param.kernel_h()),
            Optional(param.has_kernel_w(), param.kernel_w()), -1, 1},
           2, &kernel);
  ReadAxes({"stride", Optional(param.has_stride(), param.stride()),
            Optional(param.has_stride_h(), param.stride_h()),
            Optional(param.has_stride_w(), param.stride_w()), 1, 1},
           2, &stride);
  ReadAxes({"pad", Optional(param.has_pad(), param.pad()), Optional(param.has_pad_h(), param.pad_h()),
            Optional(param.has_pad_w(), param.pad_w()), 0, 0},
           2, &pad);
  PoolAxis* const axes[] = {height, width};
  for (int i = 0; i < 2; ++i) {
    *axes[i] = {kernel.cpu_data()[i], stride.cpu_data()[i], pad.cpu_data()[i]};
    CHECK_LT(axes[i]->pad, axes[i]->kernel) << "'pad' must be smaller than the kernel, or windows would see "
                                               "padding only";
  }
}

}  // namespace caffe
