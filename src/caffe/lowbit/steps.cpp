#include "caffe/lowbit/steps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

CAFFE_TARGET_CLONES void Affine(Tile<float> y, int pixels, int channels, const float* a, const float* b) {
  for (int p = 0; p < pixels; ++p) {
    float* row = y.row(p);
    for (int c = 0; c < channels; ++c) row[c] = a[c] * row[c] + b[c];
  }
}

CAFFE_TARGET_CLONES void Relu(Tile<float> y, int pixels, int channels, float slope) {
  for (int p = 0; p < pixels; ++p) {
    float* row = y.row(p);
    for (int c = 0; c < channels; ++c) row[c] = Rectified(row[c], slope);
  }
}

CAFFE_TARGET_CLONES void Clamp(Tile<float> y, int pixels, int channels, float low, float high) {
  for (int p = 0; p < pixels; ++p) {
    float* row = y.row(p);
    for (int c = 0; c < channels; ++c) {
      const float above = row[c] > low ? row[c] : low;
      row[c] = above < high ? above : high;
    }
  }
}

// `other` has tiles of its own: rows of `stride` elements.
CAFFE_TARGET_CLONES void Add(Tile<float> y, int pixels, int channels, Tile<const float> other, float k0,
                             float k1) {
  for (int p = 0; p < pixels; ++p) {
    float* row = y.row(p);
    const float* addend = other.row(p);
    for (int c = 0; c < channels; ++c) row[c] = k0 * row[c] + k1 * addend[c];
  }
}

CAFFE_TARGET_CLONES void Maximum(Tile<float> y, int pixels, int channels, Tile<const float> other) {
  for (int p = 0; p < pixels; ++p) {
    float* row = y.row(p);
    const float* rival = other.row(p);
    for (int c = 0; c < channels; ++c) row[c] = row[c] > rival[c] ? row[c] : rival[c];
  }
}

CAFFE_TARGET_CLONES void Multiply(Tile<float> y, int pixels, int channels, Tile<const float> other) {
  for (int p = 0; p < pixels; ++p) {
    float* row = y.row(p);
    const float* factor = other.row(p);
    for (int c = 0; c < channels; ++c) row[c] *= factor[c];
  }
}

template <typename Function>
void EachValue(Tile<float> y, int pixels, int channels, Function function) {
  for (int p = 0; p < pixels; ++p) {
    float* row = y.row(p);
    std::transform(row, row + channels, row, function);
  }
}

template <int kThresholds>
inline void QuantizeRow(const float* y, int channels, const float* t, uint8_t* codes) {
  for (int c = 0; c < channels; ++c) {
    int code = 0;
    for (int j = 0; j < kThresholds; ++j) code += y[c] > t[j];
    codes[c] = static_cast<uint8_t>(code);
  }
}

inline void QuantizeRow(const float* y, int channels, const float* t, int thresholds, uint8_t* codes) {
  for (int c = 0; c < channels; ++c) {
    int code = 0;
    for (int j = 0; j < thresholds; ++j) code += y[c] > t[j];
    codes[c] = static_cast<uint8_t>(code);
  }
}

CAFFE_TARGET_CLONES void Quantize(Tile<float> y, int pixels, int channels, const float* t, int thresholds,
                                  Tile<uint8_t> codes) {
  for (int p = 0; p < pixels; ++p) {
    if (thresholds == 3) {
      QuantizeRow<3>(y.row(p), channels, t, codes.row(p));
    } else {
      QuantizeRow(y.row(p), channels, t, thresholds, codes.row(p));
    }
  }
}

CAFFE_TARGET_CLONES void ToReal(const Sums16& v, int pixels, int channels, Tile<float> y) {
  int16_t row[Sums16::kOutputs];
  for (int p = 0; p < pixels; ++p) {
    v.Expand(p, row);
    std::copy(row, row + channels, y.row(p));
  }
}

CAFFE_TARGET_CLONES void ToReal(Tile<const int32_t> v, int pixels, int channels, Tile<float> y) {
  for (int p = 0; p < pixels; ++p) {
    const int32_t* row = v.row(p);
    float* real = y.row(p);
    for (int c = 0; c < channels; ++c) real[c] = static_cast<float>(row[c]);
  }
}

// The part of a tensor with `tensor_channels` channels that belongs to a part of the stage's result.
template <typename T>
Tile<T> PartOf(T* tensor, int tensor_channels, int first_channel, const Part& part) {
  return {tensor + part.pixel * tensor_channels + first_channel + part.channel, tensor_channels};
}

}  // namespace

Steps::Steps(const Plan& plan, const StageInfo& stage)
    : kernel_(ChooseStepKernel()),
      outputs_(stage.kind == StageKind::kBinaryConvolution ? stage.attributes[0] : 0),
      real_from_(0) {
  for (const StepInfo& info : stage.steps) {
    Step step = {info, info.tensor < 0 ? 0 : plan.tensors[info.tensor].channels, {}, {}};
    if (info.kind == StepKind::kThreshold) {
      for (size_t i = 0; i < info.arrays[0].count; ++i) {
        const int32_t t = IntegerAt(info.arrays[0], i);
        step.thresholds32.push_back(t);
        step.thresholds16.push_back(static_cast<int16_t>(std::clamp(t, -32768, 32767)));
      }
      ++real_from_;
    }
    steps_.push_back(std::move(step));
  }
  MatchTail();
}

void Steps::MatchTail() {
  const Step *affine = nullptr, *relu = nullptr, *norm = nullptr;
  // Each of these at most once, in this order.
  const std::pair<StepKind, const Step**> parts[] = {
      {StepKind::kAffine, &affine}, {StepKind::kAdd, &add_},    {StepKind::kRelu, &relu},
      {StepKind::kStore, &store_},  {StepKind::kAffine, &norm}, {StepKind::kQuantize, &quantize_}};
  size_t next = real_from_;
  for (const auto& [kind, place] : parts) {
    if (next == steps_.size() || steps_[next].info.kind != kind) continue;
    const std::vector<float>& k = steps_[next].info.parameters;
    if (kind == StepKind::kAdd && (k[0] != 1 || k[1] != 1)) continue;
    *place = &steps_[next++];
  }
  // One that writes nothing has no tensor to tell how many channels there are.
  is_tail_ = next == steps_.size() && (quantize_ || (store_ && !norm));
  if (!is_tail_) return;
  size_t channels = 0;
  for (size_t i = real_from_; i < steps_.size(); ++i) {
    const StepInfo& info = steps_[i].info;
    channels = std::max<size_t>(
        channels, info.kind == StepKind::kAffine ? info.arrays[0].count : steps_[i].tensor_channels);
  }
  ones_.assign(channels, 1.f);
  zeros_.assign(channels, 0.f);
  const auto array = [](const Step* step, size_t index, const std::vector<float>& otherwise) {
    return step ? step->info.arrays[index].as<float>() : otherwise.data();
  };
  tail_.a = array(affine, 0, ones_);
  tail_.b = array(affine, 1, zeros_);
  tail_.g = array(norm, 0, ones_);
  tail_.h = array(norm, 1, zeros_);
  tail_.slope = relu ? relu->info.parameters[0] : 1;
  if (quantize_) {
    tail_.thresholds = quantize_->info.parameters.data();
    tail_.threshold_count = static_cast<int>(quantize_->info.parameters.size());
  }
}

Tail Steps::TailOf(const Tensors& tensors, const Part& part) const {
  Tail tail = tail_;
  tail.pixels = part.pixels;
  tail.channels = part.channels;
  for (const float** array : {&tail.a, &tail.b, &tail.g, &tail.h}) *array += part.channel;
  if (add_) {
    const Tile<float> shortcut = PartOf(tensors.real(add_->info.tensor), add_->tensor_channels, 0, part);
    tail.shortcut = {shortcut.values, shortcut.stride};
  }
  if (store_) {
    tail.kept =
        PartOf(tensors.real(store_->info.tensor), store_->tensor_channels, store_->info.channel, part);
  }
  if (quantize_) tail.codes = CodesOf(*quantize_, tensors, part);
  return tail;
}

void Steps::RunStep(const Step& step, const Tensors& tensors, const Part& part, Tile<float> y) const {
  const std::vector<float>& k = step.info.parameters;
  const auto array = [&](size_t index) { return step.info.arrays[index].as<float>() + part.channel; };
  const auto other = [&]() -> Tile<const float> {
    const Tile<float> tile = PartOf(tensors.real(step.info.tensor), step.tensor_channels, 0, part);
    return {tile.values, tile.stride};
  };
  switch (step.info.kind) {
    case StepKind::kAffine:
      return Affine(y, part.pixels, part.channels, array(0), array(1));
    case StepKind::kAdd:
      return Add(y, part.pixels, part.channels, other(), k[0], k[1]);
    case StepKind::kMaximum:
      return Maximum(y, part.pixels, part.channels, other());
    case StepKind::kMultiply:
      return Multiply(y, part.pixels, part.channels, other());
    case StepKind::kRelu:
      return Relu(y, part.pixels, part.channels, k[0]);
    case StepKind::kClamp:
      return Clamp(y, part.pixels, part.channels, k[0], k[1]);
    case StepKind::kSigmoid:
      return EachValue(y, part.pixels, part.channels, [](float x) { return 1 / (1 + std::exp(-x)); });
    case StepKind::kTanh:
      return EachValue(y, part.pixels, part.channels, [](float x) { return std::tanh(x); });
    case StepKind::kStore: {
      const Tile<float> out =
          PartOf(tensors.real(step.info.tensor), step.tensor_channels, step.info.channel, part);
      for (int p = 0; p < part.pixels; ++p) std::copy_n(y.row(p), part.channels, out.row(p));
      return;
    }
    case StepKind::kQuantize:
      return Quantize(y, part.pixels, part.channels, k.data(), static_cast<int>(k.size()),
                      CodesOf(step, tensors, part));
    case StepKind::kLevels: {
      const size_t thresholds = k.size() / 2;
      const float* values = k.data() + thresholds;
      return EachValue(y, part.pixels, part.channels, [&](float x) {
        return values[std::count_if(k.begin(), k.begin() + thresholds, [x](float t) { return x > t; })];
      });
    }
    case StepKind::kThreshold:
      return;
  }
}

float* Steps::PlaceOf(const Tensors& tensors, const Part& part, int stride) const {
  const Step& step = steps_[0];
  const bool is_store = steps_.size() == 1 && step.info.kind == StepKind::kStore;
  if (!is_store || step.tensor_channels != stride || part.channels != stride) return nullptr;
  return PartOf(tensors.real(step.info.tensor), stride, step.info.channel, part).values;
}

void Steps::Run(const Tensors& tensors, const Part& part, Tile<float> values) const {
  if (is_tail_) return kernel_.tail(TailOf(tensors, part), {values.values, values.stride});
  RunRealSteps(tensors, part, values);
}

void Steps::RunRealSteps(const Tensors& tensors, const Part& part, Tile<float> values) const {
  for (size_t i = real_from_; i < steps_.size(); ++i) RunStep(steps_[i], tensors, part, values);
}

int Steps::ThresholdsOf(const Step& step) const {
  return static_cast<int>(step.info.arrays[0].count / outputs_);
}

Tile<uint8_t> Steps::CodesOf(const Step& step, const Tensors& tensors, const Part& part) {
  return PartOf(tensors.codes(step.info.tensor), step.tensor_channels, step.info.channel, part);
}

void Steps::Run(const Tensors& tensors, const Part& part, const Sums16& sums, Tile<float> real) const {
  for (size_t i = 0; i < real_from_; ++i) {
    kernel_.thresholds(sums, part.pixels, part.channels, steps_[i].thresholds16.data() + part.channel,
                       ThresholdsOf(steps_[i]), outputs_, CodesOf(steps_[i], tensors, part));
  }
  if (real_from_ == steps_.size()) return;
  if (is_tail_) return kernel_.tail_of_sums(TailOf(tensors, part), sums);
  ToReal(sums, part.pixels, part.channels, real);
  RunRealSteps(tensors, part, real);
}

void Steps::Run(const Tensors& tensors, const Part& part, Tile<const int32_t> sums, Tile<float> real) const {
  for (size_t i = 0; i < real_from_; ++i) {
    Thresholds32(sums, part.pixels, part.channels, steps_[i].thresholds32.data() + part.channel,
                 ThresholdsOf(steps_[i]), outputs_, CodesOf(steps_[i], tensors, part));
  }
  if (real_from_ == steps_.size()) return;
  if (is_tail_) return Tail32(TailOf(tensors, part), sums);
  ToReal(sums, part.pixels, part.channels, real);
  RunRealSteps(tensors, part, real);
}

void Steps::Store(const Tensors& tensors, const Part& part, Tile<const uint8_t> codes) const {
  for (const Step& step : steps_) {
    const Tile<uint8_t> out = CodesOf(step, tensors, part);
    for (int p = 0; p < part.pixels; ++p) std::copy_n(codes.row(p), part.channels, out.row(p));
  }
}

}  // namespace lowbit
}  // namespace caffe
