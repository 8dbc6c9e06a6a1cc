#ifndef CAFFE_TEST_PACKED_INTERPRETER_HPP_
#define CAFFE_TEST_PACKED_INTERPRETER_HPP_

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {

/// Computes what a plan computes, in double precision, straight from docs/packed-format.md.
class PackedInterpreter {
 public:
  /// Images x channels x height x width.
  using Values = std::vector<double>;

  explicit PackedInterpreter(const Plan& plan) : plan_(plan) {}

  /// Runs the plan on values for each input; results are at() and scale().
  void Run(int images, const std::vector<std::vector<float>>& inputs) {
    images_ = images;
    tensors_.assign(plan_.tensors.size(), {});
    scales_.assign(plan_.tensors.size(), 1);
    for (size_t i = 0; i < inputs.size(); ++i) {
      tensors_[plan_.inputs[i].tensor].assign(inputs[i].begin(), inputs[i].end());
    }
    for (const StageInfo& stage : plan_.stages) RunStage(stage);
  }

  const Values& at(int tensor) const { return tensors_[tensor]; }

  /// The largest magnitude among the tensor's values and those that they were computed from last, at least 1:
  /// what rounding errors are in proportion to.
  double scale(int tensor) const { return scales_[tensor]; }

 private:
  /// What a stage computes.
  struct Result {
    int channels, height, width;
    Values values;
  };

  double& Element(Values& values, const TensorInfo& info, int image, int c, int h, int w) const {
    return values[((int64_t{image} * info.channels + c) * info.height + h) * info.width + w];
  }
  double Element(const Values& values, const TensorInfo& info, int image, int c, int h, int w) const {
    return values[((int64_t{image} * info.channels + c) * info.height + h) * info.width + w];
  }

  void RunStage(const StageInfo& stage) {
    Result result = Compute(stage);
    double scale = Largest(result.values);
    // The probabilities of a softmax are at most 1, and yet as wrong as what they are the softmax of.
    const int input = stage.inputs[0];
    if (plan_.tensors[input].kind == TensorKind::kReal) scale = std::max(scale, Largest(tensors_[input]));
    for (const StepInfo& step : stage.steps) {
      RunStep(step, &result);
      scale = std::max(scale, Largest(result.values));
    }
    for (const StepInfo& step : stage.steps) {
      if (step.tensor >= 0) scales_[step.tensor] = std::max(scales_[step.tensor], scale);
    }
  }

  static double Largest(const Values& values) {
    double largest = 1;
    for (const double value : values) largest = std::max(largest, std::abs(value));
    return largest;
  }

  Result Compute(const StageInfo& stage) const {
    const TensorInfo& input = plan_.tensors[stage.inputs[0]];
    const Values& x = tensors_[stage.inputs[0]];
    switch (stage.kind) {
      case StageKind::kConvolution:
        return Convolve(stage, x, Weights(stage));
      case StageKind::kBinaryConvolution: {
        Values levels(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
          levels[i] = stage.arrays[1].as<int32_t>()[static_cast<size_t>(x[i])];
        }
        return Convolve(stage, levels, Signs(stage, stage.arrays[0].bytes));
      }
      case StageKind::kPooling:
        return Pool(stage, x);
      case StageKind::kSoftmax:
        return {input.channels, input.height, input.width, Softmax(input, x)};
      case StageKind::kLrn:
        return {input.channels, input.height, input.width, Normalize(stage, x)};
      default:
        return {input.channels, input.height, input.width, x};
    }
  }

  int64_t WeightsOfOutput(const StageInfo& stage) const {
    const std::vector<int>& a = stage.attributes;
    return int64_t{a[1]} * a[2] * (plan_.tensors[stage.inputs[0]].channels / a[9]);
  }

  Values Signs(const StageInfo& stage, const uint8_t* bits) const {
    const int64_t count = WeightsOfOutput(stage), row_bytes = (count + 7) / 8;
    Values signs;
    for (int output = 0; output < stage.attributes[0]; ++output) {
      for (int64_t k = 0; k < count; ++k) {
        signs.push_back(bits[output * row_bytes + k / 8] >> k % 8 & 1 ? 1 : -1);
      }
    }
    return signs;
  }

  Values Weights(const StageInfo& stage) const {
    const int encoding = stage.attributes[10];
    const ArrayView& array = stage.arrays[0];
    if (encoding == 0) return Values(array.as<float>(), array.as<float>() + array.count);
    Values weights = encoding == 1 ? Values(array.as<int8_t>(), array.as<int8_t>() + array.count)
                                   : Signs(stage, array.bytes);
    const size_t count = weights.size() / stage.attributes[0];
    for (size_t i = 0; i < weights.size(); ++i) weights[i] *= stage.arrays[1].as<float>()[i / count];
    return weights;
  }

  Result Convolve(const StageInfo& stage, const Values& x, const Values& weights) const {
    const TensorInfo& input = plan_.tensors[stage.inputs[0]];
    const std::vector<int>& a = stage.attributes;
    const int outputs = a[0], kernel_h = a[1], kernel_w = a[2], groups = a[9];
    const int group_channels = input.channels / groups, group_outputs = outputs / groups;
    const int height = (input.height + 2 * a[5] - (a[7] * (kernel_h - 1) + 1)) / a[3] + 1;
    const int width = (input.width + 2 * a[6] - (a[8] * (kernel_w - 1) + 1)) / a[4] + 1;
    Result result = {outputs, height, width, Values(size_t{1} * images_ * outputs * height * width)};
    double* y = result.values.data();
    for (int image = 0; image < images_; ++image) {
      for (int output = 0; output < outputs; ++output) {
        const int first = output / group_outputs * group_channels;
        for (int pixel = 0; pixel < height * width; ++pixel, ++y) {
          const double* w = weights.data() + output * WeightsOfOutput(stage);
          for (int tap = 0; tap < kernel_h * kernel_w; ++tap, w += group_channels) {
            const int row = pixel / width * a[3] - a[5] + tap / kernel_w * a[7];
            const int column = pixel % width * a[4] - a[6] + tap % kernel_w * a[8];
            if (row < 0 || row >= input.height || column < 0 || column >= input.width) continue;
            for (int c = 0; c < group_channels; ++c)
              *y += w[c] * Element(x, input, image, first + c, row, column);
          }
        }
      }
    }
    return result;
  }

  Result Pool(const StageInfo& stage, const Values& x) const {
    const TensorInfo& input = plan_.tensors[stage.inputs[0]];
    const std::vector<int>& a = stage.attributes;
    Result result = {input.channels, a[7], a[8], {}};
    for (int plane = 0; plane < images_ * input.channels; ++plane) {
      const int image = plane / input.channels, c = plane % input.channels;
      const bool least = !stage.arrays.empty() && stage.arrays[0].bytes[c] == 255;
      for (int h = 0; h < a[7]; ++h) {
        for (int w = 0; w < a[8]; ++w) {
          const int top = h * a[3] - a[5], left = w * a[4] - a[6];
          const int bottom = std::min(top + a[1], input.height + a[5]);
          const int right = std::min(left + a[2], input.width + a[6]);
          Values window;
          for (int row = std::max(top, 0); row < std::min(bottom, input.height); ++row) {
            for (int column = std::max(left, 0); column < std::min(right, input.width); ++column) {
              window.push_back(Element(x, input, image, c, row, column));
            }
          }
          double sum = 0;
          for (const double value : window) sum += value;
          const auto extremes = std::minmax_element(window.begin(), window.end());
          const double mean = sum / (double{1} * (bottom - top) * (right - left));
          result.values.push_back(a[0] == 1 ? mean : least ? *extremes.first : *extremes.second);
        }
      }
    }
    return result;
  }

  Values Softmax(const TensorInfo& input, const Values& x) const {
    Values y(x.size());
    ForEachPixel(input, [&](int image, int h, int w) {
      double largest = -INFINITY, sum = 0;
      for (int c = 0; c < input.channels; ++c) largest = std::max(largest, Element(x, input, image, c, h, w));
      for (int c = 0; c < input.channels; ++c) {
        sum += Element(y, input, image, c, h, w) = std::exp(Element(x, input, image, c, h, w) - largest);
      }
      for (int c = 0; c < input.channels; ++c) Element(y, input, image, c, h, w) /= sum;
    });
    return y;
  }

  Values Normalize(const StageInfo& stage, const Values& x) const {
    const TensorInfo& input = plan_.tensors[stage.inputs[0]];
    const bool within = stage.attributes[0] == 1;
    const int size = stage.attributes[1], across = within ? 0 : size / 2, around = within ? size / 2 : 0;
    const float* parameters = stage.arrays[0].as<float>();
    Values y(x.size());
    ForEachPixel(input, [&](int image, int h, int w) {
      for (int c = 0; c < input.channels; ++c) {
        double sum = 0;
        for (int i = std::max(c - across, 0); i <= std::min(c + across, input.channels - 1); ++i) {
          for (int row = std::max(h - around, 0); row <= std::min(h + around, input.height - 1); ++row) {
            for (int column = std::max(w - around, 0); column <= std::min(w + around, input.width - 1);
                 ++column) {
              sum += std::pow(Element(x, input, image, i, row, column), 2);
            }
          }
        }
        const double mean = sum / (within ? size * size : size);
        Element(y, input, image, c, h, w) =
            Element(x, input, image, c, h, w) * std::pow((within ? 1 : parameters[2]) + parameters[0] * mean,
                                                         -static_cast<double>(parameters[1]));
      }
    });
    return y;
  }

  void ForEachPixel(const TensorInfo& input, const std::function<void(int image, int h, int w)>& body) const {
    for (int image = 0; image < images_; ++image) {
      for (int h = 0; h < input.height; ++h) {
        for (int w = 0; w < input.width; ++w) body(image, h, w);
      }
    }
  }

  void RunStep(const StepInfo& step, Result* result) {
    const std::vector<float>& k = step.parameters;
    const int pixels = result->height * result->width;
    Values written;
    for (size_t i = 0; i < result->values.size(); ++i) {
      double& y = result->values[i];
      const size_t c = i / pixels % result->channels;
      switch (step.kind) {
        case StepKind::kAffine:
          y = double{step.arrays[0].as<float>()[c]} * y + step.arrays[1].as<float>()[c];
          break;
        case StepKind::kAdd:
          y = k[0] * y + k[1] * tensors_[step.tensor][i];
          break;
        case StepKind::kMaximum:
          y = std::max(y, tensors_[step.tensor][i]);
          break;
        case StepKind::kMultiply:
          y *= tensors_[step.tensor][i];
          break;
        case StepKind::kRelu:
          y = y > 0 ? y : k[0] * y;
          break;
        case StepKind::kClamp:
          y = std::min<double>(std::max<double>(y, k[0]), k[1]);
          break;
        case StepKind::kSigmoid:
          y = 1 / (1 + std::exp(-y));
          break;
        case StepKind::kTanh:
          y = std::tanh(y);
          break;
        case StepKind::kLevels:
          y = k[k.size() / 2 + Above(y, k.begin(), k.begin() + k.size() / 2)];
          break;
        case StepKind::kStore:
          written.push_back(y);
          break;
        case StepKind::kQuantize:
          written.push_back(static_cast<double>(Above(y, k.begin(), k.end())));
          break;
        case StepKind::kThreshold: {
          int code = 0;
          for (size_t t = c; t < step.arrays[0].count; t += result->channels) {
            code += y >= (step.arrays[0].type == ArrayType::kInt16 ? step.arrays[0].as<int16_t>()[t]
                                                                   : step.arrays[0].as<int32_t>()[t]);
          }
          written.push_back(code);
          break;
        }
      }
    }
    if (!written.empty()) Write(step, *result, written);
  }

  template <typename Iterator>
  static int64_t Above(double y, Iterator first, Iterator last) {
    return std::count_if(first, last, [y](float threshold) { return y > threshold; });
  }

  void Write(const StepInfo& step, const Result& result, const Values& written) {
    const TensorInfo& info = plan_.tensors[step.tensor];
    Values& tensor = tensors_[step.tensor];
    tensor.resize(images_ * info.elements());
    const int64_t count = int64_t{result.channels} * info.pixels();
    for (int image = 0; image < images_; ++image) {
      std::copy_n(written.begin() + image * count, count,
                  tensor.begin() + image * info.elements() + step.channel * info.pixels());
    }
  }

  const Plan& plan_;
  int images_ = 0;
  std::vector<Values> tensors_;
  Values scales_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_TEST_PACKED_INTERPRETER_HPP_
