// Fuzzes the reader of packed models, and the stages that run them, with libFuzzer: see scripts/fuzz.sh.
#include <algorithm>
#include <cstring>
#include <list>
#include <random>
#include <utility>
#include <vector>

#include "caffe/test/packed_model_writer.hpp"
#include "packed_model_input.hpp"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace caffe {
namespace lowbit {

namespace {

// Changes a plan, often so that it stays one without contradictions.
class PlanMutator {
 public:
  PlanMutator(Plan* plan, unsigned seed) : plan_(*plan), random_(seed) {}

  void Mutate() {
    if (plan_.tensors.empty()) return;
    for (int changes = Draw(1, 3); changes > 0; --changes) Change();
    fits_arrays_ = Chance(70);
    if (Chance(75)) Mend();
  }

 private:
  int Draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  bool Chance(int percent) { return Draw(1, 100) <= percent; }
  template <typename T>
  T& Any(std::vector<T>& list) {
    return list[Draw(0, static_cast<int>(list.size()) - 1)];
  }

  int DrawNumber(int before) {
    static const int kNumbers[] = {
        0,   1,   2,   3,       7,       8,       15,      16,      17,      63,        64,        65, 127,
        128, 255, 256, 1 << 14, 1 << 20, 1 << 24, 1 << 27, 1 << 28, 1 << 30, INT32_MAX, INT32_MIN, -1, -2};
    switch (Draw(0, 3)) {
      case 0:
        return kNumbers[Draw(0, sizeof(kNumbers) / sizeof(*kNumbers) - 1)];
      case 1:
        return Draw(1, 9);
      default:
        return static_cast<int>(static_cast<unsigned>(before) + static_cast<unsigned>(Draw(-2, 2)));
    }
  }

  float DrawReal(float before) {
    static const float kReals[] = {0.f, -0.f, 1.f, -1.f, 1e38f, -1e38f, 1e-45f, INFINITY, -INFINITY, NAN};
    if (Chance(50)) return kReals[Draw(0, sizeof(kReals) / sizeof(*kReals) - 1)];
    return before + static_cast<float>(Draw(-4, 4)) / 4;
  }

  template <typename T, typename Draw>
  void ChangeList(std::vector<T>* list, Draw draw) {
    const int way = this->Draw(0, 9);
    if (way == 0) {
      list->push_back(draw(T()));
    } else if (list->empty()) {
      return;
    } else if (way == 1) {
      list->pop_back();
    } else {
      T& element = Any(*list);
      element = draw(element);
    }
  }

  // Removes, doubles or swaps elements.
  template <typename T>
  void Rearrange(std::vector<T>* list) {
    if (list->empty()) return;
    const int at = Draw(0, static_cast<int>(list->size()) - 1);
    switch (Draw(0, 2)) {
      case 0:
        list->erase(list->begin() + at);
        break;
      case 1: {
        T copy = (*list)[at];
        list->insert(list->begin() + Draw(0, static_cast<int>(list->size())), std::move(copy));
        break;
      }
      default:
        std::swap((*list)[at], Any(*list));
    }
  }

  int AnyTensor() { return Draw(0, static_cast<int>(plan_.tensors.size()) - 1); }

  void Change() {
    if (plan_.stages.empty() || Chance(10)) {
      Rearrange(&plan_.stages);
    } else if (Chance(85)) {
      ChangeStage(Any(plan_.stages));
    } else if (Chance(60)) {
      TensorInfo& tensor = Any(plan_.tensors);
      int* const sizes[] = {&tensor.channels, &tensor.height, &tensor.width};
      int& size = *sizes[Draw(0, 2)];
      size = DrawNumber(size);
      if (Chance(10)) tensor.kind = tensor.kind == TensorKind::kReal ? TensorKind::kCodes : TensorKind::kReal;
    } else if (Chance(50)) {
      Rearrange(Chance(50) ? &plan_.inputs : &plan_.outputs);
    } else if (!plan_.outputs.empty()) {
      Any(plan_.outputs).tensor = AnyTensor();
    }
  }

  void ChangeStage(StageInfo& stage) {
    const int way = Draw(0, 9);
    if (way < 4 && !stage.attributes.empty()) {
      ChangeList(&stage.attributes, [this](int before) { return DrawNumber(before); });
    } else if (way < 5) {
      stage.kind = static_cast<StageKind>(Draw(1, 6));
    } else if (way < 6) {
      ChangeList(&stage.inputs, [this](int) { return AnyTensor(); });
    } else if (way < 7 && !stage.arrays.empty()) {
      ChangeArray(&Any(stage.arrays));
    } else if (way < 8 || stage.steps.empty()) {
      Chance(60) ? Rearrange(&stage.steps) : AddStep(&stage);
    } else {
      ChangeStep(Any(stage.steps));
    }
  }

  void AddStep(StageInfo* stage) {
    StepInfo step = {static_cast<StepKind>(Draw(1, 12)), AnyTensor(), 0, {}, {}};
    if (Chance(70) && (step.kind == StepKind::kStore || step.kind == StepKind::kQuantize)) {
      step.tensor = static_cast<int>(plan_.tensors.size());
      plan_.tensors.push_back(
          {"new", step.kind == StepKind::kStore ? TensorKind::kReal : TensorKind::kCodes, 1, 1, 1});
    }
    for (int count = Draw(0, 3); count > 0; --count)
      step.parameters.push_back(static_cast<float>(count * -2 + 5));
    stage->steps.insert(stage->steps.begin() + Draw(0, static_cast<int>(stage->steps.size())), step);
  }

  void ChangeStep(StepInfo& step) {
    switch (Draw(0, 4)) {
      case 0:
        step.kind = static_cast<StepKind>(Draw(1, 12));
        break;
      case 1:
        step.tensor = AnyTensor();
        break;
      case 2:
        step.channel = DrawNumber(step.channel);
        break;
      case 3:
        if (!step.arrays.empty()) ChangeArray(&Any(step.arrays));
        break;
      default:
        ChangeList(&step.parameters, [this](float before) { return DrawReal(before); });
    }
  }

  static size_t ElementBytes(ArrayType type) {
    return type <= ArrayType::kInt32 ? 4 : type == ArrayType::kInt16 ? 2 : 1;
  }

  void ChangeArray(ArrayView* array) {
    if (Chance(10)) array->type = static_cast<ArrayType>(Draw(0, 4));
    size_t size = array->count * ElementBytes(array->type);
    std::vector<uint8_t> bytes(size + 16);
    std::copy_n(array->bytes, std::min<size_t>(size, Known(*array)), bytes.begin());
    size = LLVMFuzzerMutate(bytes.data(), size, bytes.size());
    bytes.resize(size);
    Keep(array, std::move(bytes));
  }

  // A change of the type must not make an array longer than its bytes are.
  size_t Known(const ArrayView& array) const {
    for (const std::vector<uint8_t>& kept : kept_) {
      if (kept.data() == array.bytes) return kept.size();
    }
    return array.count;
  }

  void Keep(ArrayView* array, std::vector<uint8_t> bytes) {
    array->count = bytes.size() / ElementBytes(array->type);
    kept_.push_back(std::move(bytes));
    array->bytes = kept_.back().data();
  }

  // Gives an array the size and type that it should have.
  void Fit(std::vector<ArrayView>* arrays, size_t index, ArrayType type, int64_t count) {
    if (!fits_arrays_ || count > (1 << 16)) return;
    while (arrays->size() <= index) arrays->push_back({type, 0, nullptr});
    ArrayView& array = (*arrays)[index];
    if (array.type == type && array.count == static_cast<size_t>(count)) return;
    const size_t before = array.type == type ? array.count * ElementBytes(type) : 0;
    std::vector<uint8_t> bytes(static_cast<size_t>(count) * ElementBytes(type), 0);
    std::copy_n(array.bytes, std::min(before, bytes.size()), bytes.begin());
    array.type = type;
    Keep(&array, std::move(bytes));
  }

  // Lets sizes of tensors and arrays follow from the attributes, where these are possible.
  void Mend() {
    try {
      for (StageInfo& stage : plan_.stages) MendStage(&stage);
    } catch (const PlanError&) {
    }
    for (std::vector<BlobInfo>* blobs : {&plan_.inputs, &plan_.outputs}) {
      for (BlobInfo& blob : *blobs) {
        const TensorInfo& tensor = plan_.tensors[blob.tensor];
        blob.dimensions = {tensor.channels, tensor.height, tensor.width};
      }
    }
  }

  void MendStage(StageInfo* stage) {
    if (stage->inputs.size() != 1) return;
    const TensorInfo input = plan_.tensors[stage->inputs[0]];
    CheckTensor(input);
    Shape shape = {input.channels, input.height, input.width};
    if (stage->kind == StageKind::kConvolution || stage->kind == StageKind::kBinaryConvolution) {
      const bool binary = stage->kind == StageKind::kBinaryConvolution;
      stage->attributes.resize(binary ? 10 : 11, 1);
      const ConvolutionInfo info = ReadConvolution(plan_, *stage);
      const int encoding = binary ? 2 : stage->attributes[10];
      shape = info.result;
      Fit(&stage->arrays, 0,
          encoding == 0   ? ArrayType::kFloat
          : encoding == 1 ? ArrayType::kInt8
                          : ArrayType::kUint8,
          info.outputs * (encoding == 2 ? (info.weights + 7) / 8 : info.weights));
      if (!binary && encoding != 0) Fit(&stage->arrays, 1, ArrayType::kFloat, info.outputs);
      if (binary && stage->arrays.size() < 2) Fit(&stage->arrays, 1, ArrayType::kInt32, 4);
    } else if (stage->kind == StageKind::kPooling) {
      stage->attributes.resize(9, 1);
      if (!stage->arrays.empty()) Fit(&stage->arrays, 0, ArrayType::kUint8, input.channels);
      shape = ReadPooling(plan_, *stage).result;
    } else if (stage->kind == StageKind::kLrn) {
      stage->attributes.resize(2, 1);
      Fit(&stage->arrays, 0, ArrayType::kFloat, 3);
    } else {
      stage->attributes.clear();
    }
    for (StepInfo& step : stage->steps) MendStep(&step, shape);
  }

  void MendStep(StepInfo* step, const Shape& shape) {
    if (step->tensor >= 0) {
      TensorInfo& tensor = plan_.tensors[step->tensor];
      tensor.height = shape.height;
      tensor.width = shape.width;
      const int64_t end = int64_t{step->channel} + shape.channels;
      if (end <= kMaxElements && (step->channel == 0 || tensor.channels < end)) {
        tensor.channels = static_cast<int>(end);
      }
    }
    if (step->kind == StepKind::kAffine) {
      Fit(&step->arrays, 0, ArrayType::kFloat, shape.channels);
      Fit(&step->arrays, 1, ArrayType::kFloat, shape.channels);
    } else if (step->kind == StepKind::kThreshold) {
      const ArrayType type = step->arrays.empty() || step->arrays[0].type != ArrayType::kInt16
                                 ? ArrayType::kInt32
                                 : ArrayType::kInt16;
      const int64_t rows =
          step->arrays.empty() ? 3 : static_cast<int64_t>(step->arrays[0].count) / shape.channels;
      step->arrays.resize(std::min<size_t>(step->arrays.size(), 1));
      Fit(&step->arrays, 0, type, std::clamp<int64_t>(rows, 1, 15) * shape.channels);
    } else if (step->kind == StepKind::kQuantize) {
      std::sort(step->parameters.begin(), step->parameters.end());
    } else if (step->kind == StepKind::kAdd || step->kind == StepKind::kClamp) {
      step->parameters.resize(2, 1);
    } else if (step->kind == StepKind::kRelu) {
      step->parameters.resize(1, 0);
    }
  }

  Plan& plan_;
  std::mt19937 random_;
  bool fits_arrays_ = true;
  std::list<std::vector<uint8_t>> kept_;
};

// Has the parts of the header say what there is.
void MendHeader(std::vector<uint8_t>* file) {
  if (file->size() < PackedModel::kPlan) return;
  static const std::vector<uint8_t> sample = PackedModel(Plan()).bytes;
  std::copy_n(sample.begin(), PackedModel::kFileBytes, file->begin());
  const auto get = [&](size_t offset) {
    uint64_t value;
    std::memcpy(&value, file->data() + offset, sizeof(value));
    return value;
  };
  const auto set = [&](size_t offset, uint64_t value) {
    std::memcpy(file->data() + offset, &value, sizeof(value));
  };
  set(PackedModel::kFileBytes, file->size());
  set(PackedModel::kPlanOffset, PackedModel::kPlan);
  const uint64_t room = file->size() - PackedModel::kPlan;
  set(PackedModel::kPlanBytes, std::min(get(PackedModel::kPlanBytes), room));
  const uint64_t least = (PackedModel::kPlan + get(PackedModel::kPlanBytes) + 63) / 64 * 64;
  if (get(PackedModel::kDataOffset) % 64 != 0 || get(PackedModel::kDataOffset) < least) {
    set(PackedModel::kDataOffset, least);
  }
  set(PackedModel::kDataBytes, file->size() - get(PackedModel::kDataOffset));
  PackedModel::Seal(file);
}

}  // namespace

}  // namespace lowbit
}  // namespace caffe

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  caffe::lowbit::TryPackedModel(data, size);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  using caffe::lowbit::PackedModel;
  std::minstd_rand random(seed);
  std::vector<uint8_t> file(data, data + size);
  if (random() % 4 != 0) {
    try {
      const caffe::lowbit::ModelFile aligned(data, size);
      caffe::lowbit::Plan plan = caffe::lowbit::ParsePlan(aligned.data(), aligned.size());
      caffe::lowbit::PlanMutator mutator(&plan, seed);
      mutator.Mutate();
      file = PackedModel(plan).bytes;
    } catch (const caffe::lowbit::PlanError&) {
    }
  } else {
    file.resize(max_size);
    file.resize(LLVMFuzzerMutate(file.data(), size, max_size));
    if (random() % 16 != 0) caffe::lowbit::MendHeader(&file);
  }
  if (file.size() > max_size) return size;
  std::copy(file.begin(), file.end(), data);
  return file.size();
}
