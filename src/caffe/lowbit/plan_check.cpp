#include "caffe/lowbit/plan_check.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

namespace caffe {
namespace lowbit {

namespace {

// Channels of a binary kernel's widest unit, and outputs of a block: to these weights are padded when they
// are laid out.
constexpr int64_t kPadded = 64;

constexpr int64_t Padded(int64_t count) { return (count + kPadded - 1) / kPadded * kPadded; }

void Check(bool holds, const StageInfo& stage, const std::string& what) {
  if (!holds) {
    throw PlanError("the packed model is inconsistent: " + StageMessage(stage, what) +
                    "; make it anew with caffe pack");
  }
}

const TensorInfo& OnlyInput(const Plan& plan, const StageInfo& stage) {
  Check(stage.inputs.size() == 1, stage, "it takes one input");
  return plan.tensors[stage.inputs[0]];
}

void CheckAttributes(const StageInfo& stage, size_t count) {
  Check(stage.attributes.size() == count, stage, "it has another number of attributes than its kind");
}

void CheckArray(const StageInfo& stage, const std::vector<ArrayView>& arrays, size_t index, ArrayType type,
                int64_t count) {
  Check(index < arrays.size() && arrays[index].type == type &&
            arrays[index].count == static_cast<size_t>(count),
        stage, "an array is missing, or of another type or size than its kind asks for");
}

// One value a channel, or one for all of them.
void CheckChannels(const StageInfo& stage, const StepInfo& step, size_t index, int channels) {
  const bool is_one = index < step.arrays.size() && step.arrays[index].count == 1;
  CheckArray(stage, step.arrays, index, ArrayType::kFloat, is_one ? 1 : channels);
}

// Reads kernel, stride and padding, and dilation where there is one, and checks that a window fits.
Geometry ReadGeometry(const StageInfo& stage, const int* attributes, bool dilated, const TensorInfo& input) {
  Geometry g = {
      attributes[0], attributes[1], attributes[2], attributes[3], attributes[4], attributes[5], 1, 1};
  if (dilated) {
    g.dilation_h = attributes[6];
    g.dilation_w = attributes[7];
  }
  constexpr int kLimit = 1 << 20;
  for (const int value : {g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w}) {
    Check(value >= 1 && value <= kLimit, stage, "a size of its window is out of range");
  }
  Check(g.pad_h >= 0 && g.pad_w >= 0 && g.pad_h <= kLimit && g.pad_w <= kLimit, stage,
        "its padding is out of range");
  const int64_t height = int64_t{input.height} + 2 * g.pad_h, width = int64_t{input.width} + 2 * g.pad_w;
  Check(height * width <= kMaxElements && height * width * input.channels <= kMaxElements, stage,
        "its padded input is too large");
  return g;
}

// Positions of a window along an axis of `size` elements.
int Positions(int size, int pad, int kernel, int stride, int dilation) {
  const int64_t room = int64_t{size} + 2 * pad - (int64_t{dilation} * (kernel - 1) + 1);
  return room < 0 ? 0 : static_cast<int>(room / stride + 1);
}

void CheckConvolution(const Plan& plan, const StageInfo& stage) {
  CheckAttributes(stage, 11);
  Check(OnlyInput(plan, stage).kind == TensorKind::kReal, stage, "its input holds codes");
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  const int encoding = stage.attributes[10];
  Check(encoding >= 0 && encoding <= 2, stage, "its weights are of unknown encoding");
  if (encoding == 2) {
    CheckArray(stage, stage.arrays, 0, ArrayType::kUint8, info.outputs * ((info.weights + 7) / 8));
  } else {
    CheckArray(stage, stage.arrays, 0, encoding == 0 ? ArrayType::kFloat : ArrayType::kInt8,
               info.outputs * info.weights);
  }
  if (encoding != 0) CheckArray(stage, stage.arrays, 1, ArrayType::kFloat, info.outputs);
}

void CheckBinaryConvolution(const Plan& plan, const StageInfo& stage) {
  CheckAttributes(stage, 10);
  Check(OnlyInput(plan, stage).kind == TensorKind::kCodes, stage, "its input holds no codes");
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  CheckArray(stage, stage.arrays, 0, ArrayType::kUint8, info.outputs * ((info.weights + 7) / 8));
  constexpr int64_t kMaxPaddedWeights = 1 << 20;
  const int64_t channels = plan.tensors[stage.inputs[0]].channels / info.groups;
  Check(info.weights / channels * Padded(channels) <= kMaxPaddedWeights, stage, "its kernel is too large");
  Check(stage.arrays.size() == 2 && stage.arrays[1].count >= 1 && stage.arrays[1].count <= kMaxLevels, stage,
        "it has no levels, or too many");
  const size_t count = stage.arrays[1].count;
  CheckArray(stage, stage.arrays, 1, ArrayType::kInt32, count);
  const int32_t* const levels = stage.arrays[1].as<int32_t>();
  int64_t largest = 0;
  for (size_t j = 0; j < count; ++j) largest = std::max<int64_t>(largest, std::llabs(int64_t{levels[j]}));
  // Digits that stand for a sign are twice as large as it.
  if (count == 2 && int64_t{levels[0]} == -int64_t{levels[1]}) largest *= 2;
  Check(info.weights * largest <= INT32_MAX, stage, "its sums exceed 32 bits");
}

Shape CheckedResult(const Plan& plan, const StageInfo& stage) {
  switch (stage.kind) {
    case StageKind::kConvolution:
      CheckConvolution(plan, stage);
      return ReadConvolution(plan, stage).result;
    case StageKind::kBinaryConvolution:
      CheckBinaryConvolution(plan, stage);
      return ReadConvolution(plan, stage).result;
    case StageKind::kPooling:
      return ReadPooling(plan, stage).result;
    default:
      break;
  }
  CheckAttributes(stage, stage.kind == StageKind::kLrn ? 2 : 0);
  const TensorInfo& input = OnlyInput(plan, stage);
  Check(stage.kind == StageKind::kMap || input.kind == TensorKind::kReal, stage, "its input holds codes");
  if (stage.kind == StageKind::kLrn) {
    CheckArray(stage, stage.arrays, 0, ArrayType::kFloat, 3);
    Check(stage.attributes[0] >= 0 && stage.attributes[0] <= 1 && stage.attributes[1] <= 4096 &&
              stage.attributes[1] % 2 == 1,
          stage, "its region or size is out of range");
  }
  return {input.channels, input.height, input.width};
}

bool Ascending(const float* values, size_t count) {
  for (size_t j = 0; j < count; ++j) {
    if (!(j == 0 ? !std::isnan(values[0]) : values[j] > values[j - 1])) return false;
  }
  return true;
}

// Rows of one value a channel.
bool RowsAscend(const ArrayView& rows, size_t channels) {
  for (size_t i = channels; i < rows.count; ++i) {
    if (IntegerAt(rows, i) < IntegerAt(rows, i - channels)) return false;
  }
  return true;
}

bool ReadsTensor(StepKind kind) {
  return kind == StepKind::kAdd || kind == StepKind::kMaximum || kind == StepKind::kMultiply;
}

bool WritesTensor(StepKind kind) {
  return kind == StepKind::kStore || kind == StepKind::kQuantize || kind == StepKind::kThreshold;
}

void CheckStepTensor(const Plan& plan, const StageInfo& stage, const StepInfo& step, const Shape& shape) {
  Check(step.tensor >= 0, stage, "a step has no tensor");
  const TensorInfo& tensor = plan.tensors[step.tensor];
  Check(tensor.height == shape.height && tensor.width == shape.width, stage,
        "a step's tensor " + tensor.name + " is of another size than the result");
  Check(int64_t{step.channel} + shape.channels <= tensor.channels, stage,
        "a step's channels lie outside tensor " + tensor.name);
  if (ReadsTensor(step.kind)) {
    Check(tensor.channels == shape.channels && tensor.kind == TensorKind::kReal, stage,
          "a step cannot read tensor " + tensor.name);
  }
}

void CheckParameters(const StageInfo& stage, const StepInfo& step, int channels) {
  const size_t count = step.parameters.size();
  const float* values = step.parameters.data();
  const char* const wrong = "a step has wrong parameters";
  switch (step.kind) {
    case StepKind::kAffine:
      CheckChannels(stage, step, 0, channels);
      CheckChannels(stage, step, 1, channels);
      break;
    case StepKind::kAdd:
      Check(count == 2, stage, wrong);
      break;
    case StepKind::kClamp:
      Check(count == 2 && values[0] <= values[1], stage, wrong);
      break;
    case StepKind::kRelu:
      Check(count == 1, stage, wrong);
      break;
    case StepKind::kQuantize:
      Check(count >= 1 && count < kMaxLevels && Ascending(values, count), stage, wrong);
      break;
    case StepKind::kLevels:
      Check(count >= 3 && count % 2 == 1 && Ascending(values, count / 2), stage, wrong);
      break;
    case StepKind::kThreshold:
      Check(step.arrays.size() == 1 && step.arrays[0].count >= 1 &&
                step.arrays[0].count < static_cast<size_t>(channels) * kMaxLevels &&
                step.arrays[0].count % channels == 0 &&
                (step.arrays[0].type == ArrayType::kInt32 || step.arrays[0].type == ArrayType::kInt16) &&
                RowsAscend(step.arrays[0], channels),
            stage, wrong);
      break;
    default:
      break;
  }
}

void CheckSteps(const Plan& plan, const StageInfo& stage, const Shape& shape) {
  const bool codes =
      plan.tensors[stage.inputs[0]].kind == TensorKind::kCodes && stage.kind != StageKind::kBinaryConvolution;
  bool integers = stage.kind == StageKind::kBinaryConvolution;
  for (const StepInfo& step : stage.steps) {
    CheckParameters(stage, step, shape.channels);
    if (ReadsTensor(step.kind) || WritesTensor(step.kind)) CheckStepTensor(plan, stage, step, shape);
    if (WritesTensor(step.kind)) {
      const bool to_codes = plan.tensors[step.tensor].kind == TensorKind::kCodes;
      Check(to_codes == (step.kind == StepKind::kStore ? codes : true), stage,
            "a step writes a tensor of the wrong kind");
      Check(step.kind != StepKind::kThreshold || integers, stage, "thresholds are compared with no integers");
    }
    if (step.kind != StepKind::kThreshold) integers = false;
    Check(!codes || step.kind == StepKind::kStore, stage, "a step computes with codes");
  }
}

void CheckCaffeLayer(const Plan& plan, const StageInfo& stage) {
  // One that reads or writes files has no inputs or no results.
  Check(!stage.inputs.empty() && !stage.steps.empty(), stage, "it has no input or no result");
  ReadForeignInputs(plan, stage);
  Check(stage.arrays.size() == 1 && stage.arrays[0].type == ArrayType::kUint8, stage, "it has no parameter");
  for (const StepInfo& step : stage.steps) {
    Check(step.kind == StepKind::kStore && step.tensor >= 0 && step.channel == 0 &&
              plan.tensors[step.tensor].kind == TensorKind::kReal,
          stage, "it only stores its results");
  }
}

// How the tensors are filled, stage by stage.
class Order {
 public:
  explicit Order(const Plan& plan) : plan_(plan), tensors_(plan.tensors.size()) {}

  void Fill(const BlobInfo& input) {
    State& state = tensors_[input.tensor];
    if (state.channels > 0) {
      throw PlanError("the packed model is inconsistent: input " + input.name +
                      " has the same tensor as another; make it anew with caffe pack");
    }
    state.channels = plan_.tensors[input.tensor].channels;
  }

  void Read(const StageInfo& stage, int tensor) const {
    Check(Whole(tensor), stage, "it reads tensor " + plan_.tensors[tensor].name + " before that is written");
  }

  void Write(const StageInfo& stage, const StepInfo& step, int channels) {
    State& state = tensors_[step.tensor];
    const int end = step.channel + channels;
    const auto next = state.written.lower_bound(step.channel);
    const bool is_free = (next == state.written.end() || next->first >= end) &&
                         (next == state.written.begin() || std::prev(next)->second <= step.channel);
    Check(is_free && !Whole(step.tensor), stage,
          "it writes tensor " + plan_.tensors[step.tensor].name + " a second time");
    state.written[step.channel] = end;
    state.channels += channels;
    state.codes = std::max(state.codes, Codes(stage, step));
  }

  /// All channels are there.
  bool Whole(int tensor) const { return tensors_[tensor].channels >= plan_.tensors[tensor].channels; }

  /// How many codes the tensor may hold.
  size_t codes(int tensor) const { return tensors_[tensor].codes; }

 private:
  struct State {
    int64_t channels = 0;
    /// Ranges of channels: the end of each by its beginning.
    std::map<int, int> written;
    size_t codes = 0;
  };

  size_t Codes(const StageInfo& stage, const StepInfo& step) const {
    switch (step.kind) {
      case StepKind::kQuantize:
        return step.parameters.size() + 1;
      case StepKind::kThreshold:
        return step.arrays[0].count / stage.attributes[0] + 1;
      default:
        return plan_.tensors[step.tensor].kind == TensorKind::kCodes ? codes(stage.inputs[0]) : 0;
    }
  }

  const Plan& plan_;
  std::vector<State> tensors_;
};

// Bytes that a stage takes, beside the plan, when it is made ready to run.
int64_t PreparedBytes(const Plan& plan, const StageInfo& stage, const Shape& shape) {
  int64_t bytes = int64_t{16} * shape.channels;
  for (const StepInfo& step : stage.steps) {
    for (const ArrayView& array : step.arrays) {
      if (step.kind == StepKind::kThreshold) {
        bytes += static_cast<int64_t>(array.count * (sizeof(int16_t) + sizeof(int32_t)));
      } else if (step.kind == StepKind::kAffine && array.count == 1) {
        bytes += static_cast<int64_t>(sizeof(float)) * shape.channels;
      }
    }
  }
  const bool binary = stage.kind == StageKind::kBinaryConvolution;
  if (!binary && stage.kind != StageKind::kConvolution) return bytes;
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  const int64_t channels = plan.tensors[stage.inputs[0]].channels / info.groups;
  const int64_t outputs = info.groups * Padded(info.outputs / info.groups);
  if (binary) return bytes + outputs * (info.weights / channels * Padded(channels) / 8);
  // As three parts of 16 bits (see FloatTiles). In doubles, since this product may be beyond 64 bits.
  const double floats = 6.0 * static_cast<double>(outputs) * static_cast<double>(info.weights);
  return bytes + static_cast<int64_t>(std::min(floats, 1e18));
}

void CheckBlob(const Plan& plan, const BlobInfo& blob) {
  int64_t elements = 1;
  for (const int64_t size : blob.dimensions) elements = std::min(elements * size, kMaxElements + 1);
  if (elements != plan.tensors[blob.tensor].elements() ||
      plan.tensors[blob.tensor].kind != TensorKind::kReal) {
    throw PlanError("the packed model is inconsistent: blob " + blob.name +
                    " does not fit its tensor; make it anew with caffe pack");
  }
}

}  // namespace

ConvolutionInfo ReadConvolution(const Plan& plan, const StageInfo& stage) {
  const TensorInfo& input = OnlyInput(plan, stage);
  const int* attributes = stage.attributes.data();
  ConvolutionInfo info;
  info.outputs = attributes[0];
  info.geometry = ReadGeometry(stage, attributes + 1, true, input);
  info.groups = attributes[9];
  Check(info.outputs >= 1 && info.outputs <= kMaxElements && info.groups >= 1 &&
            input.channels % info.groups == 0 && info.outputs % info.groups == 0,
        stage, "its groups do not divide its channels");
  const Geometry& g = info.geometry;
  const int64_t taps = int64_t{g.kernel_h} * g.kernel_w;
  Check(taps <= kMaxElements && taps * (input.channels / info.groups) <= kMaxElements, stage,
        "its kernel is too large");
  info.weights = taps * (input.channels / info.groups);
  info.result = {info.outputs, Positions(input.height, g.pad_h, g.kernel_h, g.stride_h, g.dilation_h),
                 Positions(input.width, g.pad_w, g.kernel_w, g.stride_w, g.dilation_w)};
  Check(info.result.height >= 1 && info.result.width >= 1, stage, "its kernel is larger than its input");
  return info;
}

PoolingInfo ReadPooling(const Plan& plan, const StageInfo& stage) {
  CheckAttributes(stage, 9);
  const TensorInfo& input = OnlyInput(plan, stage);
  const int* attributes = stage.attributes.data();
  PoolingInfo info;
  Check(attributes[0] == 0 || attributes[0] == 1, stage, "it pools by an unknown method");
  info.mean = attributes[0] == 1;
  info.geometry = ReadGeometry(stage, attributes + 1, false, input);
  info.result = {input.channels, attributes[7], attributes[8]};
  const Geometry& g = info.geometry;
  Check(info.result.height >= 1 && info.result.width >= 1 &&
            int64_t{info.result.height - 1} * g.stride_h - g.pad_h < input.height &&
            int64_t{info.result.width - 1} * g.stride_w - g.pad_w < input.width && g.pad_h < g.kernel_h &&
            g.pad_w < g.kernel_w,
        stage, "a window lies outside its input");
  Check(input.kind == TensorKind::kReal ? stage.arrays.empty() : !info.mean, stage,
        "this pooling of its input is not defined");
  if (!stage.arrays.empty()) {
    CheckArray(stage, stage.arrays, 0, ArrayType::kUint8, input.channels);
    const uint8_t* const flips = stage.arrays[0].bytes;
    Check(std::all_of(flips, flips + input.channels, [](uint8_t flip) { return flip == 0 || flip == 255; }),
          stage, "its channels take neither minimum nor maximum");
  }
  return info;
}

std::vector<std::vector<int64_t>> ReadForeignInputs(const Plan& plan, const StageInfo& stage) {
  std::vector<std::vector<int64_t>> inputs;
  auto attribute = stage.attributes.begin();
  for (const int input : stage.inputs) {
    const TensorInfo& tensor = plan.tensors[input];
    Check(attribute != stage.attributes.end() && *attribute >= 0 &&
              *attribute < stage.attributes.end() - attribute && tensor.kind == TensorKind::kReal,
          stage, "the dimensions of its inputs are missing");
    const auto first = attribute + 1;
    attribute = first + *attribute;
    inputs.emplace_back(first, attribute);
    int64_t elements = 1;
    for (const int64_t size : inputs.back()) {
      Check(size >= 1 && size <= kMaxElements, stage, "a dimension of its inputs is out of range");
      elements = std::min(elements * size, kMaxElements + 1);
    }
    Check(elements == tensor.elements(), stage, "the dimensions of an input are not those of its tensor");
  }
  Check(attribute == stage.attributes.end(), stage, "it has more attributes than its kind");
  return inputs;
}

Shape ResultShape(const Plan& plan, const StageInfo& stage) { return CheckedResult(plan, stage); }

void CheckTensor(const TensorInfo& tensor) {
  if (tensor.channels < 1 || tensor.height < 1 || tensor.width < 1 || tensor.pixels() > kMaxElements ||
      tensor.elements() > kMaxElements) {
    throw PlanError("the packed model is inconsistent: tensor " + tensor.name +
                    " is empty or too large; make it anew with caffe pack");
  }
}

void CheckPlan(const Plan& plan, size_t file_bytes) {
  if (plan.tensors.size() > kMaxParts || plan.stages.size() > kMaxParts) {
    throw PlanError("the packed model has more than " + std::to_string(kMaxParts) + " tensors or stages");
  }
  Order order(plan);
  for (const BlobInfo& input : plan.inputs) {
    CheckBlob(plan, input);
    order.Fill(input);
  }
  int64_t room = kPreparedBytes + kPreparedBytesPerByte * static_cast<int64_t>(file_bytes);
  for (const StageInfo& stage : plan.stages) {
    for (const int input : stage.inputs) order.Read(stage, input);
    if (stage.kind == StageKind::kCaffeLayer) {
      CheckCaffeLayer(plan, stage);
      for (const StepInfo& step : stage.steps) order.Write(stage, step, plan.tensors[step.tensor].channels);
      continue;
    }
    const Shape shape = CheckedResult(plan, stage);
    Check(
        stage.kind != StageKind::kBinaryConvolution || stage.arrays[1].count >= order.codes(stage.inputs[0]),
        stage, "it has fewer levels than its input has codes");
    room -= PreparedBytes(plan, stage, shape);
    Check(room >= 0, stage, "the weights up to it take too much memory for the size of the file");
    CheckSteps(plan, stage, shape);
    bool writes = false;
    for (const StepInfo& step : stage.steps) {
      if (ReadsTensor(step.kind)) order.Read(stage, step.tensor);
      writes = writes || WritesTensor(step.kind);
    }
    Check(writes, stage, "it writes nothing");
    for (const StepInfo& step : stage.steps) {
      if (WritesTensor(step.kind)) order.Write(stage, step, shape.channels);
    }
  }
  for (const BlobInfo& output : plan.outputs) {
    CheckBlob(plan, output);
    if (!order.Whole(output.tensor)) {
      throw PlanError("the packed model is inconsistent: no stage writes its output " + output.name +
                      "; make it anew with caffe pack");
    }
  }
  if (plan.inputs.empty() || plan.outputs.empty()) {
    throw PlanError("the packed model has no input or no output; make it anew with caffe pack");
  }
}

}  // namespace lowbit
}  // namespace caffe
