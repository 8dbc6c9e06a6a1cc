#ifndef CAFFE_TEST_RANDOM_PACKED_MODEL_HPP_
#define CAFFE_TEST_RANDOM_PACKED_MODEL_HPP_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "caffe/lowbit/stage.hpp"
#include "caffe/test/packed_model_writer.hpp"

namespace caffe {
namespace lowbit {

/**
 * @brief A packed model made by chance, of all kinds of stages and steps, whose every tensor is seen in an
 * output.
 *
 * Numbers are small multiples of powers of two, and it is known which of the values that are computed from
 * them floats hold exactly: only these are quantized, so that codes have one right value.
 */
class RandomModel {
 public:
  struct Limits {
    int stages;
    int most_channels;
    int most_size;  ///< of height and width
  };

  RandomModel(unsigned seed, const Limits& limits) : limits_(limits), random_(seed) {
    maker_.plan.name = "random";
    AddReal(maker_.Input(DrawChannels(), Draw(1, limits.most_size), Draw(1, limits.most_size)), kInputValue);
    for (int i = 0; i < limits.stages; ++i) AddStage();
    ShowResults();
  }

  const Plan& plan() const { return maker_.plan; }

  /// Values for each input.
  std::vector<std::vector<float>> DrawInputs(int images) {
    std::vector<std::vector<float>> inputs;
    for (const BlobInfo& blob : plan().inputs) {
      inputs.emplace_back(images * plan().tensors[blob.tensor].elements());
      for (float& value : inputs.back()) value = static_cast<float>(Draw(-32, 32)) / 8;
    }
    return inputs;
  }

 private:
  /// Multiples of 2^-places of magnitude at most `most`, unless they are rounded.
  struct Value {
    double most;
    int places;
    bool rounded;

    Value Checked() const { return {most, places, rounded || std::ldexp(most, places) > (1 << 24)}; }
  };

  struct Known {
    int tensor;
    Value value;  ///< of a real tensor
    int codes;    ///< of one with codes
    bool read;
  };

  static constexpr Value kInputValue = {4, 3, false};

  int Draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  bool Chance(int percent) { return Draw(1, 100) <= percent; }
  float DrawFraction(int most, int denominator) {
    return static_cast<float>(Draw(-most * denominator, most * denominator)) /
           static_cast<float>(denominator);
  }

  int DrawChannels() {
    return Chance(50) ? Draw(1, std::min(6, limits_.most_channels)) : Draw(1, limits_.most_channels);
  }

  const TensorInfo& Info(int tensor) const { return plan().tensors[tensor]; }

  void AddReal(int tensor, const Value& value) { known_.push_back({tensor, value.Checked(), 0, false}); }
  void AddCodes(int tensor, int codes) { known_.push_back({tensor, {}, codes, false}); }

  // ---- stages

  void AddStage() {
    Known& input = known_[Chance(60) ? known_.size() - 1 : Draw(0, static_cast<int>(known_.size()) - 1)];
    input.read = true;
    const Known known = input;
    const int kind = Draw(0, 9);
    if (known.codes > 0) {
      if (kind < 7) return AddBinaryConvolution(known);
      return kind < 9 ? AddPooling(known) : AddMap(known);
    }
    if (kind < 4) return AddConvolution(known);
    if (kind < 6) return AddPooling(known);
    if (kind < 8) return AddMap(known);
    return kind < 9 ? AddNormalization(known) : AddSoftmax(known);
  }

  struct Attributes {
    std::vector<int> values;  ///< as of a convolution, without encoding
    int height, width;        ///< of the result
    int64_t weights;          ///< of an output
  };

  Attributes DrawConvolution(const TensorInfo& input) {
    int kernel[2], stride[2], pad[2], dilation[2], result[2];
    const int sizes[2] = {input.height, input.width};
    const bool whole = Chance(15);
    for (int axis = 0; axis < 2; ++axis) {
      pad[axis] = whole || Chance(50) ? 0 : Draw(1, 2);
      stride[axis] = Chance(60) ? 1 : Draw(2, 3);
      dilation[axis] = Chance(80) ? 1 : Draw(2, 3);
      const int most = std::max((sizes[axis] + 2 * pad[axis] - 1) / dilation[axis] + 1, 1);
      kernel[axis] = whole ? sizes[axis] : Draw(1, std::min(most, Chance(80) ? 3 : 5));
      if (whole) dilation[axis] = 1;
      result[axis] =
          (sizes[axis] + 2 * pad[axis] - (dilation[axis] * (kernel[axis] - 1) + 1)) / stride[axis] + 1;
    }
    int groups = 1;
    if (Chance(40)) {
      do {
        groups = Draw(1, input.channels);
      } while (input.channels % groups != 0);
    }
    const int outputs = groups * std::max(1, DrawChannels() / groups);
    return {{outputs, kernel[0], kernel[1], stride[0], stride[1], pad[0], pad[1], dilation[0], dilation[1],
             groups},
            result[0],
            result[1],
            int64_t{kernel[0]} * kernel[1] * (input.channels / groups)};
  }

  std::vector<uint8_t> DrawBits(int outputs, int64_t weights) {
    std::vector<bool> bits(outputs * weights);
    const int percent = Chance(80) ? 50 : Draw(0, 1) * 100;
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = Chance(percent);
    return PackBits(bits, outputs);
  }

  std::vector<int32_t> DrawLevels(int count) {
    std::vector<int32_t> levels;
    const int way = Draw(0, 3);
    if (way == 0 && count == 2) {
      const int level = Chance(50) ? 1 : Draw(-9, 9);
      return {-level, level};
    }
    const int most = way == 1 ? 2000 : 12;
    for (int j = 0; j < count; ++j) levels.push_back(way < 2 ? Draw(-most, most) : j);
    return levels;
  }

  void AddBinaryConvolution(const Known& input) {
    const Attributes a = DrawConvolution(Info(input.tensor));
    const std::vector<int32_t> levels = DrawLevels(Chance(80) ? input.codes : Draw(input.codes, kMaxLevels));
    int largest = 1;
    for (const int level : levels) largest = std::max(largest, std::abs(level));
    maker_.Stage(StageKind::kBinaryConvolution, {input.tensor}, a.values,
                 {maker_.Bytes(DrawBits(a.values[0], a.weights)), maker_.Ints(levels)});
    BeginSteps(a.values[0], a.height, a.width, {static_cast<double>(a.weights) * largest, 0, false});
    const double typical = std::sqrt(static_cast<double>(a.weights)) * largest;
    const int comparisons = Chance(70) ? Draw(1, 2) : 0;
    for (int i = 0; i < comparisons; ++i) AddThresholds(typical);
    if (comparisons == 0 || Chance(40)) AddSteps();
    EndSteps();
  }

  void AddConvolution(const Known& input) {
    Attributes a = DrawConvolution(Info(input.tensor));
    const int outputs = a.values[0], encoding = Draw(0, 2);
    const size_t count = outputs * a.weights;
    std::vector<ArrayView> arrays;
    Value weight = {1, 2, false};
    if (encoding == 0) {
      std::vector<float> weights(count);
      for (float& value : weights) value = DrawFraction(1, 4);
      arrays = {maker_.Floats(weights)};
    } else {
      std::vector<float> scales(outputs);
      for (float& scale : scales) scale = std::ldexp(Chance(50) ? 1.f : -1.f, Draw(-3, 0));
      if (encoding == 1) {
        const int most = Chance(70) ? 7 : 127;
        std::vector<int8_t> weights(count);
        for (int8_t& value : weights) value = static_cast<int8_t>(Draw(-most - 1, most));
        arrays = {maker_.SignedBytes(weights), maker_.Floats(scales)};
        weight = {most + 1.0, 3, false};
      } else {
        arrays = {maker_.Bytes(DrawBits(outputs, a.weights)), maker_.Floats(scales)};
        weight = {1, 3, false};
      }
    }
    a.values.push_back(encoding);
    maker_.Stage(StageKind::kConvolution, {input.tensor}, a.values, arrays);
    const bool rounds = HasFewProductsFiltered(maker_.plan, maker_.plan.stages.back());
    BeginSteps(outputs, a.height, a.width,
               {static_cast<double>(a.weights) * weight.most * input.value.most,
                weight.places + input.value.places, input.value.rounded || rounds});
    AddSteps();
    EndSteps();
  }

  void AddPooling(const Known& input) {
    const TensorInfo& info = Info(input.tensor);
    const bool mean = input.codes == 0 && Chance(40);
    int kernel[2], stride[2], pad[2], result[2];
    const int sizes[2] = {info.height, info.width};
    for (int axis = 0; axis < 2; ++axis) {
      kernel[axis] = Draw(1, 4);
      stride[axis] = Draw(1, 3);
      pad[axis] = Draw(0, kernel[axis] - 1);
      // As many windows as begin inside, or fewer.
      const int most = (sizes[axis] - 1 + pad[axis]) / stride[axis] + 1;
      result[axis] = std::max(1, most - Draw(0, 1));
    }
    std::vector<ArrayView> arrays;
    if (input.codes > 0 && Chance(70)) {
      std::vector<uint8_t> flips(info.channels);
      for (uint8_t& flip : flips) flip = Chance(50) ? 255 : 0;
      arrays = {maker_.Bytes(flips)};
    }
    const int channels = info.channels;
    maker_.Stage(StageKind::kPooling, {input.tensor},
                 {mean, kernel[0], kernel[1], stride[0], stride[1], pad[0], pad[1], result[0], result[1]},
                 arrays);
    Value value = input.value;
    value.rounded = value.rounded || mean;
    BeginSteps(channels, result[0], result[1], value);
    FinishStage(input);
  }

  void AddMap(const Known& input) {
    const TensorInfo info = Info(input.tensor);
    maker_.Stage(StageKind::kMap, {input.tensor});
    BeginSteps(info.channels, info.height, info.width, input.value);
    FinishStage(input);
  }

  void AddSoftmax(const Known& input) {
    const TensorInfo info = Info(input.tensor);
    maker_.Stage(StageKind::kSoftmax, {input.tensor});
    BeginSteps(info.channels, info.height, info.width, {1, 0, true});
    FinishStage(input);
  }

  void AddNormalization(const Known& input) {
    const TensorInfo info = Info(input.tensor);
    maker_.Stage(StageKind::kLrn, {input.tensor}, {Draw(0, 1), 2 * Draw(0, 2) + 1},
                 {maker_.Floats({0.25f, 0.75f, 1.5f})});
    BeginSteps(info.channels, info.height, info.width, {input.value.most, 0, true});
    FinishStage(input);
  }

  // Codes are stored as they are.
  void FinishStage(const Known& input) {
    if (input.codes > 0) {
      for (int stores = Draw(1, 2); stores > 0; --stores) {
        AddWrite(StepKind::kStore, TensorKind::kCodes, input.codes, {}, {});
      }
    } else {
      AddSteps();
    }
    EndSteps();
  }

  // ---- steps

  StageInfo& stage() { return maker_.plan.stages.back(); }

  void BeginSteps(int channels, int height, int width, const Value& value) {
    channels_ = channels;
    height_ = height;
    width_ = width;
    value_ = value.Checked();
    readable_ = known_.size();
    written_.clear();
  }

  // The rest of the tensors that the stage writes some channels of is an input's.
  void EndSteps() {
    const std::vector<Known> written = written_;
    for (const Known& known : written) {
      const TensorInfo info = Info(known.tensor);
      if (info.channels > channels_) {
        const int offset = FirstChannel(known.tensor) == 0 ? channels_ : 0;
        const int input = maker_.Input(info.channels - channels_, info.height, info.width);
        maker_.Stage(StageKind::kMap, {input});
        if (known.codes > 0) {
          std::vector<float> thresholds;
          for (int j = 1; j < known.codes; ++j) thresholds.push_back(static_cast<float>(j) / 4 - 1);
          stage().steps = {MakeStep(StepKind::kQuantize, known.tensor, thresholds, {}, offset)};
        } else {
          stage().steps = {MakeStep(StepKind::kStore, known.tensor, {}, {}, offset)};
        }
      }
      known_.push_back(known);
    }
  }

  int FirstChannel(int tensor) const {
    for (const StageInfo& stage : plan().stages) {
      for (const StepInfo& step : stage.steps) {
        if (step.tensor == tensor) return step.channel;
      }
    }
    return 0;
  }

  void AddSteps() {
    if (Chance(35)) {
      AddTail();
    } else {
      for (int count = Draw(0, 5); count > 0; --count) AddAnyStep();
    }
    if (written_.empty() || Chance(30)) AddStore();
  }

  // The steps that are computed in one pass, or some of them.
  void AddTail() {
    if (Chance(70)) AddAffine();
    if (Chance(40)) AddSum(1, 1);
    if (Chance(50)) AddStore();
    if (value_.rounded) return;
    const bool quantizes = Chance(70);
    if (Chance(40)) AddAffine();
    if (quantizes && !value_.rounded) AddQuantize();
  }

  void AddAnyStep() {
    switch (Draw(0, 11)) {
      case 0:
        return AddAffine();
      case 1:
        return AddSum(DrawFactor(), DrawFactor());
      case 2:
        return AddPair(StepKind::kMaximum);
      case 3:
        return AddPair(StepKind::kMultiply);
      case 4:
        value_.places += 2;
        stage().steps.push_back(MakeStep(StepKind::kRelu, -1, {static_cast<float>(Draw(0, 3)) / 4}));
        break;
      case 5: {
        const float low = DrawFraction(2, 4);
        stage().steps.push_back(
            MakeStep(StepKind::kClamp, -1, {low, low + static_cast<float>(Draw(0, 12)) / 4}));
        value_ = {5, std::max(value_.places, 2), value_.rounded};
        break;
      }
      case 6:
        stage().steps.push_back(MakeStep(StepKind::kSigmoid));
        value_ = {1, 0, true};
        break;
      case 7:
        stage().steps.push_back(MakeStep(StepKind::kTanh));
        value_ = {1, 0, true};
        break;
      case 8:
        return AddStore();
      case 9:
      case 10:
        return value_.rounded ? AddAffine() : AddQuantize();
      case 11:
        return value_.rounded ? AddStore() : AddLevels();
    }
    value_ = value_.Checked();
  }

  float DrawFactor() { return std::ldexp(Chance(50) ? 1.f : -1.f, Draw(-1, 1)); }

  void AddAffine() {
    std::vector<float> a(channels_), b(channels_);
    for (float& factor : a) factor = DrawFraction(1, 4);
    for (float& term : b) term = DrawFraction(2, 8);
    stage().steps.push_back(MakeStep(StepKind::kAffine, -1, {}, {maker_.Floats(a), maker_.Floats(b)}));
    value_ = Value{value_.most + 2, std::max(value_.places + 2, 3), value_.rounded}.Checked();
  }

  // A real tensor of the result's shape that this stage does not write.
  Known Other() {
    for (size_t i = 0; i < readable_; ++i) {
      const TensorInfo& info = Info(known_[i].tensor);
      if (known_[i].codes == 0 && info.channels == channels_ && info.height == height_ &&
          info.width == width_ && Chance(60)) {
        known_[i].read = true;
        return known_[i];
      }
    }
    return {maker_.Input(channels_, height_, width_), kInputValue, 0, true};
  }

  void AddSum(float k0, float k1) {
    const Known other = Other();
    stage().steps.push_back(MakeStep(StepKind::kAdd, other.tensor, {k0, k1}));
    value_ = Value{std::abs(k0) * value_.most + std::abs(k1) * other.value.most,
                   std::max(value_.places, other.value.places) + 1, value_.rounded || other.value.rounded}
                 .Checked();
  }

  void AddPair(StepKind kind) {
    const Known other = Other();
    stage().steps.push_back(MakeStep(kind, other.tensor));
    const bool rounded = value_.rounded || other.value.rounded;
    value_ = kind == StepKind::kMaximum
                 ? Value{std::max(value_.most, other.value.most), std::max(value_.places, other.value.places),
                         rounded}
                 : Value{value_.most * other.value.most, value_.places + other.value.places, rounded};
    value_ = value_.Checked();
  }

  // Some of them are values that occur.
  std::vector<float> DrawThresholds() {
    const int finest = -value_.places,
              coarsest = std::max(finest, static_cast<int>(std::log2(value_.most)) - 2);
    const float distance = std::ldexp(1.f, Draw(finest, coarsest));
    const int count = Chance(30) ? 3 : Draw(1, kMaxLevels - 1);
    std::vector<float> thresholds;
    for (int j = 0; j < count; ++j) thresholds.push_back(static_cast<float>(j - count / 2) * distance);
    return thresholds;
  }

  void AddQuantize() {
    const std::vector<float> thresholds = DrawThresholds();
    AddWrite(StepKind::kQuantize, TensorKind::kCodes, static_cast<int>(thresholds.size()) + 1, thresholds,
             {});
  }

  void AddLevels() {
    std::vector<float> parameters = DrawThresholds();
    for (size_t j = parameters.size() + 1; j > 0; --j) parameters.push_back(DrawFraction(2, 4));
    stage().steps.push_back(MakeStep(StepKind::kLevels, -1, parameters));
    value_ = {2, 2, false};
  }

  void AddThresholds(double typical) {
    const int count = Chance(30) ? 3 : Draw(1, kMaxLevels - 1);
    const bool is_short = Chance(50);
    const int32_t least = is_short ? INT16_MIN : INT32_MIN, most = is_short ? INT16_MAX : INT32_MAX;
    std::normal_distribution<double> normal(0, typical);
    std::vector<int32_t> rows(static_cast<size_t>(count) * channels_);
    for (int c = 0; c < channels_; ++c) {
      std::vector<int32_t> column(count);
      for (int32_t& threshold : column) {
        const double value = std::clamp<double>(normal(random_), least, most);
        threshold = Chance(90) ? static_cast<int32_t>(value) : Chance(50) ? least : most;
      }
      std::sort(column.begin(), column.end());
      for (int j = 0; j < count; ++j) rows[static_cast<size_t>(j) * channels_ + c] = column[j];
    }
    const ArrayView array =
        is_short ? maker_.ShortInts(std::vector<int16_t>(rows.begin(), rows.end())) : maker_.Ints(rows);
    AddWrite(StepKind::kThreshold, TensorKind::kCodes, count + 1, {}, {array});
  }

  void AddStore() { AddWrite(StepKind::kStore, TensorKind::kReal, 0, {}, {}); }

  // To a tensor of its own, or to some channels of one.
  void AddWrite(StepKind kind, TensorKind tensor_kind, int codes, const std::vector<float>& parameters,
                const std::vector<ArrayView>& arrays) {
    const int others = Chance(75) ? 0 : Draw(1, 5);
    const int tensor = maker_.Tensor(tensor_kind, channels_ + others, height_, width_);
    stage().steps.push_back(MakeStep(kind, tensor, parameters, arrays, Chance(50) ? others : 0));
    Value value = value_;
    if (others > 0 && codes == 0) {
      value = {std::max(value.most, kInputValue.most), std::max(value.places, kInputValue.places),
               value.rounded};
    }
    written_.push_back({tensor, value.Checked(), codes, false});
  }

  // Codes that nothing reads become numbers; real tensors become outputs.
  void ShowResults() {
    const std::vector<Known> all = known_;
    for (const Known& known : all) {
      if (known.read && Chance(70)) continue;
      if (known.codes == 0) {
        maker_.Output(known.tensor);
        continue;
      }
      const TensorInfo info = Info(known.tensor);
      std::vector<int32_t> levels;
      for (int j = 0; j < known.codes; ++j) levels.push_back(j);
      maker_.Stage(StageKind::kBinaryConvolution, {known.tensor},
                   {info.channels, 1, 1, 1, 1, 0, 0, 1, 1, info.channels},
                   {maker_.Bytes(std::vector<uint8_t>(info.channels, 1)), maker_.Ints(levels)});
      const int shown = maker_.Tensor(TensorKind::kReal, info.channels, info.height, info.width);
      stage().steps = {MakeStep(StepKind::kStore, shown)};
      maker_.Output(shown);
    }
    if (plan().outputs.empty()) maker_.Output(plan().inputs[0].tensor);
  }

  const Limits limits_;
  std::mt19937 random_;
  PlanMaker maker_;
  std::vector<Known> known_;
  /// Of the stage whose steps are being made.
  int channels_ = 0, height_ = 0, width_ = 0;
  Value value_ = {};
  size_t readable_ = 0;
  std::vector<Known> written_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_TEST_RANDOM_PACKED_MODEL_HPP_
