#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "caffe/lowbit/packed_net.hpp"
#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/test/packed_model_writer.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// A model with stages of all kinds; the members are their numbers.
struct Model : PlanMaker {
  Model() {
    plan.name = "model";
    const int data = Input(4, 6, 6);
    const int codes = Tensor(TensorKind::kCodes, 4, 6, 6);
    quantize = Add(StageKind::kMap, {data}, {}, {}, {MakeStep(StepKind::kQuantize, codes, {-1, 0, 1})});
    const int more_codes = Tensor(TensorKind::kCodes, 6, 6, 6), kept = Tensor(TensorKind::kReal, 6, 6, 6);
    binary =
        Add(StageKind::kBinaryConvolution, {codes}, {6, 3, 3, 1, 1, 1, 1, 1, 1, 2},
            {Bytes(std::vector<uint8_t>(6 * 3, 0x5a)), Ints({0, 1, 2, 3})},
            {MakeStep(StepKind::kThreshold, more_codes, {},
                      {Ints({-9, -9, -9, -9, -9, -9, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1})}),
             MakeStep(StepKind::kAffine, -1, {}, {Floats({1, 1, 1, 1, 1, 1}), Floats({0, 0, 0, 0, 0, 0})}),
             MakeStep(StepKind::kStore, kept)});
    const int fewer_codes = Tensor(TensorKind::kCodes, 6, 3, 3), smaller = Tensor(TensorKind::kReal, 6, 3, 3);
    pool_codes = Add(StageKind::kPooling, {more_codes}, {0, 2, 2, 2, 2, 0, 0, 3, 3},
                     {Bytes({0, 255, 0, 255, 0, 255})}, {MakeStep(StepKind::kStore, fewer_codes)});
    pool = Add(StageKind::kPooling, {kept}, {1, 3, 3, 2, 2, 1, 1, 3, 3}, {},
               {MakeStep(StepKind::kClamp, -1, {-2, 2}), MakeStep(StepKind::kStore, smaller)});
    const int sum = Tensor(TensorKind::kReal, 6, 3, 3), normalized = Tensor(TensorKind::kReal, 6, 3, 3);
    convolution = Add(StageKind::kConvolution, {smaller}, {6, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1},
                      {SignedBytes(std::vector<int8_t>(36, 3)), Floats({1, 1, 1, 1, 1, 1})},
                      {MakeStep(StepKind::kAdd, smaller, {1, 1}), MakeStep(StepKind::kRelu, -1, {0}),
                       MakeStep(StepKind::kLevels, -1, {-1, 1, 0, 1, 2}),
                       MakeStep(StepKind::kMaximum, smaller), MakeStep(StepKind::kStore, sum)});
    normalize = Add(StageKind::kLrn, {sum}, {0, 3}, {Floats({1, 0.75f, 1})},
                    {MakeStep(StepKind::kStore, normalized)});
    const int scores = Tensor(TensorKind::kReal, 5, 1, 1), shares = Tensor(TensorKind::kReal, 5, 1, 1);
    product = Add(StageKind::kBinaryConvolution, {fewer_codes}, {5, 3, 3, 1, 1, 0, 0, 1, 1, 1},
                  {Bytes(std::vector<uint8_t>(5 * 7, 0xa5)), Ints({-3, -1, 1, 3})},
                  {MakeStep(StepKind::kStore, scores)});
    softmax = Add(StageKind::kSoftmax, {scores}, {}, {}, {MakeStep(StepKind::kStore, shares)});
    Output(normalized);
    Output(shares);
  }

  int Add(StageKind kind, const std::vector<int>& inputs, const std::vector<int>& attributes,
          const std::vector<ArrayView>& arrays, const std::vector<StepInfo>& steps) {
    Stage(kind, inputs, attributes, arrays).steps = steps;
    return static_cast<int>(plan.stages.size()) - 1;
  }

  StageInfo& at(int stage) { return plan.stages[stage]; }
  StepInfo& step(int stage, int index) { return plan.stages[stage].steps[index]; }
  TensorInfo& tensor(int index) { return plan.tensors[index]; }

  int quantize, binary, pool_codes, pool, convolution, normalize, product, softmax;
};

// The message of the error about a file; "" where there is none. Other exceptions than PlanError fail the
// test.
std::string ErrorOf(const std::vector<uint8_t>& bytes) {
  try {
    PackedNet net(bytes.data(), bytes.size(), 1);
  } catch (const PlanError& error) {
    return error.what();
  }
  return "";
}

void ExpectError(const std::vector<uint8_t>& bytes, const std::string& message) {
  const std::string error = ErrorOf(bytes);
  EXPECT_NE(error.find(message), std::string::npos) << "wanted: " << message << "\ngot: " << error;
}

// What the error is after a change of the model.
void ExpectError(const std::string& message, const std::function<void(Model&)>& change) {
  Model model;
  change(model);
  ExpectError(PackedModel(model.plan).bytes, message);
}

constexpr int kHuge = 1 << 28;
const char kShape[] = "is empty or too large", kWindow[] = "a size of its window is out of range",
           kPadding[] = "its padding is out of range", kGroups[] = "its groups do not divide its channels",
           kArray[] = "an array is missing, or of another type or size",
           kAttributes[] = "another number of attributes", kParameters[] = "a step has wrong parameters",
           kOutside[] = "a window lies outside its input";

std::string TemporaryFolder() {
  std::string path = testing::TempDir() + "hwgq_XXXXXX";
  EXPECT_NE(mkdtemp(&path[0]), nullptr);
  return path;
}

}  // namespace

TEST(PlanReaderTest, ReadsWhatWasWritten) {
  Model model;
  model.step(model.binary, 0).arrays = {model.ShortInts({-9, -9, -9, -9, -9, -9})};
  const PackedModel file(model.plan);
  const Plan plan = ReadPlan(file.bytes.data(), file.bytes.size());
  EXPECT_EQ(PackedModel(plan).bytes, file.bytes);
}

TEST(PlanReaderTest, SpreadsOneValueOverAllChannels) {
  const auto with = [](const std::vector<float>& a, const std::vector<float>& b) {
    Model model;
    model.step(model.binary, 1).arrays = {model.Floats(a), model.Floats(b)};
    return PackedModel(model.plan).bytes;
  };
  const std::vector<float> twos(6, 2.f), offsets = {1, 2, 3, 4, 5, 6}, threes(6, 3.f);
  const std::pair<std::vector<uint8_t>, std::vector<uint8_t>> files[] = {
      {with({2}, {3}), with(twos, threes)},
      {with({2}, offsets), with(twos, offsets)},
      {with(offsets, {3}), with(offsets, threes)}};
  for (const auto& [one, all] : files) {
    const Plan plan = ReadPlan(one.data(), one.size());
    EXPECT_EQ(PackedModel(plan).bytes, all);
  }
}

// ---------------------------------------------------------------------- the file

TEST(PlanReaderTest, RefusesOtherFiles) {
  ExpectError(std::vector<uint8_t>{}, "not a packed model: caffe pack makes one");
  ExpectError({'n', 'a', 'm', 'e', ':', ' ', '"', 'x', '"'}, "not a packed model");
  ExpectError(std::vector<uint8_t>(1000, 0), "not a packed model");
}

TEST(PlanReaderTest, SaysWhatToDoAboutAnotherVersion) {
  for (const uint32_t version : {0u, 2u, 0xffffffffu}) {
    PackedModel file(Model().plan);
    file.Set(PackedModel::kVersion, version);
    // Others may have their checksums elsewhere.
    for (int sealed = 0; sealed < 2; ++sealed) {
      ExpectError(file.bytes, "is of version " + std::to_string(version) +
                                  ", and this program reads version 1: make it anew");
      file.Seal();
    }
  }
}

TEST(PlanReaderTest, NoticesEveryChangedByte) {
  const PackedModel file(Model().plan);
  std::vector<uint8_t> bytes = file.bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int change : {0x01, 0x80, 0xff}) {
      bytes[i] = static_cast<uint8_t>(bytes[i] ^ change);
      EXPECT_NE(ErrorOf(bytes), "") << "byte " << i;
      bytes[i] = file.bytes[i];
    }
  }
}

TEST(PlanReaderTest, NoticesWhereItIsCut) {
  const PackedModel file(Model().plan);
  for (size_t size = 0; size < file.bytes.size(); ++size) {
    const std::string message = size < 8    ? "not a packed model"
                                : size < 64 ? "it is cut short"
                                            : "it has " + std::to_string(size) + " bytes of ";
    ExpectError({file.bytes.begin(), file.bytes.begin() + size}, message);
  }
  std::vector<uint8_t> longer = file.bytes;
  longer.push_back(0);
  ExpectError(longer,
              "it has " + std::to_string(longer.size()) + " bytes of " + std::to_string(file.bytes.size()));
}

TEST(PlanReaderTest, ChecksTheHeader) {
  const PackedModel file(Model().plan);
  for (const size_t field : {PackedModel::kFileBytes, PackedModel::kPlanOffset, PackedModel::kPlanBytes,
                             PackedModel::kDataOffset, PackedModel::kDataBytes}) {
    uint64_t value;
    std::memcpy(&value, &file.bytes[field], sizeof(value));
    for (const uint64_t wrong : {value + 1, value - 1, value + 64, value - 64, ~uint64_t{0},
                                 uint64_t{1} << 63, uint64_t{1} << 32, uint64_t{0}}) {
      PackedModel changed = file;
      changed.Set(field, wrong);
      changed.Seal();
      EXPECT_NE(ErrorOf(changed.bytes), "") << "offset " << field << ": " << wrong;
    }
  }
  PackedModel changed = file;
  changed.Set<uint32_t>(PackedModel::kHeaderBytes, 128);
  changed.Seal();
  ExpectError(changed.bytes, "its parts do not fit together");
}

// With right checksums: nothing but an error may come of it, or another model.
TEST(PlanReaderTest, SurvivesAnyChange) {
  const PackedModel file(Model().plan);
  int errors = 0;
  for (size_t i = PackedModel::kPlan; i < file.bytes.size(); ++i) {
    for (const int change : {0x01, 0x80, 0xff}) {
      PackedModel changed = file;
      changed.bytes[i] = static_cast<uint8_t>(changed.bytes[i] ^ change);
      changed.Seal();
      errors += !ErrorOf(changed.bytes).empty();
    }
  }
  EXPECT_GT(errors, 1000);
}

TEST(PlanReaderTest, SurvivesAnyCut) {
  const PackedModel file(Model().plan);
  uint64_t plan_bytes;
  std::memcpy(&plan_bytes, &file.bytes[PackedModel::kPlanBytes], sizeof(plan_bytes));
  for (uint64_t size = 0; size < plan_bytes; ++size) {
    PackedModel changed = file;
    changed.Set(PackedModel::kPlanBytes, size);
    changed.Seal();
    EXPECT_NE(ErrorOf(changed.bytes).find("its plan"), std::string::npos) << size;
  }
  for (size_t size = file.bytes.size() - 64; size >= PackedModel::kPlan; size -= 64) {
    PackedModel changed = file;
    changed.bytes.resize(size);
    changed.Set<uint64_t>(PackedModel::kFileBytes, size);
    uint64_t data_offset;
    std::memcpy(&data_offset, &file.bytes[PackedModel::kDataOffset], sizeof(data_offset));
    changed.Set<uint64_t>(PackedModel::kDataBytes, size - data_offset);
    changed.Seal();
    EXPECT_NE(ErrorOf(changed.bytes), "") << size;
  }
}

TEST(PlanReaderTest, ReadsNothingBehindThePlan) {
  PackedModel file(Model().plan);
  uint64_t plan_bytes;
  std::memcpy(&plan_bytes, &file.bytes[PackedModel::kPlanBytes], sizeof(plan_bytes));
  ASSERT_NE(plan_bytes % 64, 0u) << "there is no padding behind the plan";
  file.Set(PackedModel::kPlanBytes, plan_bytes + 1);
  file.Seal();
  ExpectError(file.bytes, "something follows its plan");
}

TEST(PlanReaderTest, RefusesListsThatAreLongerThanThePlan) {
  // The name's length, and then, behind the name, that of the list of tensors.
  for (const size_t offset : {PackedModel::kPlan, PackedModel::kPlan + 4 + 5}) {
    for (const uint32_t length : {1000000u, 0x7fffffffu, 0xffffffffu}) {
      PackedModel file(Model().plan);
      file.Set(offset, length);
      file.Seal();
      ExpectError(file.bytes, "a list of its plan is longer than the plan");
    }
  }
}

TEST(PlanReaderTest, RefusesArraysOutsideTheData) {
  const PackedModel file(Model().plan);
  const auto with = [&](size_t offset, uint64_t value) {
    PackedModel changed = file;
    changed.Set(file.array_references[0] + offset, value);
    changed.Seal();
    return changed.bytes;
  };
  const char message[] = "an array lies outside its data";
  uint64_t data_bytes;
  std::memcpy(&data_bytes, &file.bytes[PackedModel::kDataBytes], sizeof(data_bytes));
  for (const uint64_t count : {data_bytes + 1, uint64_t{1} << 62, ~uint64_t{0}})
    ExpectError(with(4, count), message);
  for (const uint64_t offset : {uint64_t{1}, uint64_t{63}, data_bytes, data_bytes + 64, uint64_t{1} << 63}) {
    ExpectError(with(12, offset), message);
  }
}

TEST(PlanReaderTest, RefusesNamesThatAreNoText) {
  for (const std::string& name :
       {std::string("a\0b", 3), std::string("\xff"), std::string("\x80"), std::string("\xc3"),
        std::string("\xc3("), std::string("\xc0\xaf"), std::string("\xe0\x80\x80"),
        std::string("\xed\xa0\x80"), std::string("\xf0\x80\x80\x80"), std::string("\xf4\x90\x80\x80"),
        std::string("\xe2\x82")}) {
    ExpectError("a name of its plan is no UTF-8", [&](Model& m) { m.plan.name = name; });
    ExpectError("a name of its plan is no UTF-8", [&](Model& m) { m.tensor(1).name = name; });
  }
  Model model;
  model.plan.name = "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xb1";
  EXPECT_EQ(ErrorOf(PackedModel(model.plan).bytes), "");
}

TEST(PlanReaderTest, NamesTheFile) {
  const std::string folder = TemporaryFolder(), empty = folder + "/empty", pipe = folder + "/pipe",
                    missing = folder + "/missing", whole = folder + "/whole";
  std::ofstream(empty).close();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const PackedModel file(Model().plan);
  std::ofstream(whole, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.bytes.data()),
             static_cast<std::streamsize>(file.bytes.size()));
  const std::vector<std::vector<std::string>> cases = {
      {missing, "it cannot be read (No such file or directory)"},
      {folder, "it is no file"},
      {pipe, "it is no file"},
      {empty, "not a packed model"}};
  for (const std::vector<std::string>& wanted : cases) {
    try {
      PackedNet net(wanted[0]);
      ADD_FAILURE() << wanted[0] << " was read";
    } catch (const PlanError& error) {
      EXPECT_EQ(std::string(error.what()).find(wanted[0] + ": " + wanted[1]), 0u) << error.what();
    }
  }
  EXPECT_EQ(PackedNet(whole).name(), "model");
  for (const std::string& path : {empty, pipe, whole}) unlink(path.c_str());
  rmdir(folder.c_str());
}

// ---------------------------------------------------------------------- plans that contradict themselves

TEST(PlanReaderTest, RefusesUnknownKinds) {
  ExpectError("tensor t1 is of unknown kind",
              [](Model& m) { m.tensor(1).kind = static_cast<TensorKind>(2); });
  for (const uint32_t kind : {0u, 8u, 0xffffffffu}) {
    ExpectError("stage s0 is of unknown kind",
                [=](Model& m) { m.at(m.quantize).kind = static_cast<StageKind>(kind); });
  }
  for (const uint32_t kind : {0u, 13u, 0xffffffffu}) {
    ExpectError("a step is of unknown kind",
                [=](Model& m) { m.step(m.pool, 0).kind = static_cast<StepKind>(kind); });
  }
  PackedModel file(Model().plan);
  file.Set<uint32_t>(file.array_references[0], 5);
  file.Seal();
  ExpectError(file.bytes, "an array is of unknown type");
}

TEST(PlanReaderTest, RefusesTensorsThatAreNotThere) {
  const char message[] = "it refers to a tensor that it does not have";
  for (const int index : {100, INT32_MAX, INT32_MIN, -2}) {
    ExpectError(message, [=](Model& m) { m.plan.inputs[0].tensor = index; });
    ExpectError(message, [=](Model& m) { m.plan.outputs[0].tensor = index; });
    ExpectError(message, [=](Model& m) { m.at(m.pool).inputs[0] = index; });
    ExpectError(message, [=](Model& m) { m.step(m.pool, 1).tensor = index; });
  }
  ExpectError(message, [](Model& m) { m.at(m.pool).inputs[0] = -1; });
  ExpectError("a step has no tensor", [](Model& m) { m.step(m.pool, 1).tensor = -1; });
  ExpectError("a step has no tensor", [](Model& m) { m.step(m.convolution, 0).tensor = -1; });
}

TEST(PlanReaderTest, RefusesTensorsThatAreEmptyOrTooLarge) {
  ExpectError(kShape, [](Model& m) { m.tensor(0).channels = 0; });
  ExpectError(kShape, [](Model& m) { m.tensor(0).height = 0; });
  ExpectError(kShape, [](Model& m) { m.tensor(0).width = 0; });
  ExpectError(kShape, [](Model& m) { m.tensor(0).width = kHuge; });
  ExpectError(kShape, [](Model& m) { m.tensor(0).channels = kHuge; });
  ExpectError(kShape, [](Model& m) { m.tensor(0) = {"t", TensorKind::kReal, kHuge, kHuge, kHuge}; });
  for (const int size : {kHuge + 1, INT32_MAX, -1, INT32_MIN}) {
    ExpectError("a size of its plan is beyond all measure", [=](Model& m) { m.tensor(0).channels = size; });
    ExpectError("a size of its plan is beyond all measure", [=](Model& m) { m.tensor(0).height = size; });
    ExpectError("a size of its plan is beyond all measure",
                [=](Model& m) { m.step(m.pool, 1).channel = size; });
  }
}

TEST(PlanReaderTest, RefusesBlobsThatDoNotFitTheirTensors) {
  const auto message = [](int tensor) {
    return "blob t" + std::to_string(tensor) + " does not fit its tensor";
  };
  ExpectError(message(0), [](Model& m) { m.plan.inputs[0].dimensions = {4, 6, 7}; });
  ExpectError(message(0), [](Model& m) { m.plan.inputs[0].dimensions = {}; });
  ExpectError(message(0), [](Model& m) { m.plan.inputs[0].dimensions = {4, 6, 6, 0}; });
  ExpectError(message(0), [](Model& m) { m.plan.inputs[0].dimensions = {kHuge, kHuge, kHuge, 4, 6, 6}; });
  ExpectError(message(7), [](Model& m) { m.plan.outputs[0].dimensions = {6, 3}; });
  // Codes are not to be seen from outside.
  ExpectError(message(0), [](Model& m) { m.plan.inputs[0].tensor = 1; });
  ExpectError(message(7), [](Model& m) {
    m.plan.outputs[0].tensor = 4;
    m.plan.outputs[0].dimensions = {6, 3, 3};
  });
}

TEST(PlanReaderTest, WantsInputsAndOutputs) {
  ExpectError("no input or no output", [](Model& m) { m.plan.outputs.clear(); });
  ExpectError("no input or no output", [](Model& m) {
    m.plan.inputs.clear();
    m.plan.outputs.clear();
    m.plan.stages.clear();
  });
}

TEST(PlanReaderTest, WantsEveryTensorWrittenOnceAndBeforeItIsRead) {
  ExpectError("it reads tensor t0 before that is written", [](Model& m) { m.plan.inputs.clear(); });
  ExpectError("it reads tensor t3 before that is written",
              [](Model& m) { std::swap(m.at(m.binary), m.at(m.pool)); });
  // In a circle.
  ExpectError("it reads tensor t6 before that is written",
              [](Model& m) { m.at(m.convolution).inputs = {6}; });
  ExpectError("it reads tensor t7 before that is written",
              [](Model& m) { m.step(m.convolution, 0).tensor = 7; });
  ExpectError("it writes tensor t6 a second time",
              [](Model& m) { m.at(m.convolution).steps.push_back(m.step(m.convolution, 4)); });
  ExpectError("it writes tensor t6 a second time", [](Model& m) { m.step(m.normalize, 0).tensor = 6; });
  ExpectError("it writes tensor t0 a second time", [](Model& m) {
    const int input = m.Input(4, 6, 6);
    m.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kStore, 0)};
  });
  ExpectError("input t0 has the same tensor as another",
              [](Model& m) { m.plan.inputs.push_back(m.plan.inputs[0]); });
  ExpectError("no stage writes its output t7", [](Model& m) { m.plan.stages.resize(m.normalize); });
  ExpectError("it writes nothing", [](Model& m) { m.at(m.softmax).steps.clear(); });
}

// A part of a tensor's channels after the other, in any order.
TEST(PlanReaderTest, WantsEveryChannelWrittenOnce) {
  const auto plan = [](const std::vector<int>& channels) {
    PlanMaker maker;
    const int input = maker.Input(2, 1, 1), output = maker.Tensor(TensorKind::kReal, 6, 1, 1);
    for (const int channel : channels) {
      maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kStore, output, {}, {}, channel)};
    }
    maker.Output(output);
    return PackedModel(maker.plan).bytes;
  };
  EXPECT_EQ(ErrorOf(plan({0, 2, 4})), "");
  EXPECT_EQ(ErrorOf(plan({4, 0, 2})), "");
  ExpectError(plan({0, 4}), "no stage writes its output t1");
  for (const std::vector<int>& channels :
       std::vector<std::vector<int>>{{0, 2, 2}, {0, 4, 3}, {0, 4, 1}, {4, 4, 0}}) {
    ExpectError(plan(channels), "it writes tensor t1 a second time");
  }
  for (const int channel : {5, 6, kHuge})
    ExpectError(plan({channel}), "a step's channels lie outside tensor t1");
}

TEST(PlanReaderTest, ChecksInputsOfStages) {
  const int stages = static_cast<int>(Model().plan.stages.size());
  for (int stage = 0; stage < stages; ++stage) {
    ExpectError("it takes one input", [=](Model& m) { m.at(stage).inputs.clear(); });
    ExpectError("it takes one input", [=](Model& m) { m.at(stage).inputs.push_back(0); });
  }
  ExpectError("its input holds no codes", [](Model& m) { m.at(m.binary).inputs = {0}; });
  ExpectError("its input holds codes", [](Model& m) { m.at(m.convolution).inputs = {4}; });
  ExpectError("its input holds codes", [](Model& m) { m.at(m.normalize).inputs = {4}; });
  ExpectError("its input holds codes", [](Model& m) { m.at(m.softmax).inputs = {4}; });
  ExpectError("it has fewer levels than its input has codes",
              [](Model& m) { m.step(m.quantize, 0).parameters.push_back(2); });
  // Also where codes come by way of a pooling.
  ExpectError("it has fewer levels than its input has codes",
              [](Model& m) { m.at(m.product).arrays[1] = m.Ints({-1, 0, 1}); });
}

TEST(PlanReaderTest, ChecksAttributesOfStages) {
  const int stages = static_cast<int>(Model().plan.stages.size());
  for (int stage = 0; stage < stages; ++stage) {
    ExpectError(kAttributes, [=](Model& m) { m.at(stage).attributes.push_back(1); });
    if (Model().at(stage).attributes.empty()) continue;
    ExpectError(kAttributes, [=](Model& m) { m.at(stage).attributes.pop_back(); });
    ExpectError(kAttributes, [=](Model& m) { m.at(stage).attributes.clear(); });
  }
}

TEST(PlanReaderTest, ChecksConvolutions) {
  for (const int stage : {Model().binary, Model().convolution}) {
    const auto with = [stage](int attribute, int value) {
      return [=](Model& m) { m.at(stage).attributes[attribute] = value; };
    };
    for (const int wrong : {0, -1, INT32_MIN, INT32_MAX, (1 << 20) + 1}) {
      for (const int attribute : {1, 2, 3, 4, 7, 8}) ExpectError(kWindow, with(attribute, wrong));
    }
    for (const int wrong : {-1, INT32_MIN, INT32_MAX, (1 << 20) + 1}) {
      for (const int attribute : {5, 6}) ExpectError(kPadding, with(attribute, wrong));
    }
    for (const int wrong : {0, -1, INT32_MIN, INT32_MAX, 5}) ExpectError(kGroups, with(9, wrong));
    for (const int wrong : {0, -1, INT32_MIN, kHuge + 1}) ExpectError(kGroups, with(0, wrong));
    for (const int pad : {6000, 1 << 20}) {
      ExpectError("its padded input is too large",
                  [=](Model& m) { m.at(stage).attributes[5] = m.at(stage).attributes[6] = pad; });
    }
    ExpectError("its kernel is larger than its input", with(1, 9));
    ExpectError("its kernel is larger than its input", with(2, 9));
    ExpectError("its kernel is too large",
                [=](Model& m) { m.at(stage).attributes[1] = m.at(stage).attributes[2] = 1 << 14; });
    ExpectError("its kernel is too large",
                [=](Model& m) { m.at(stage).attributes[1] = m.at(stage).attributes[2] = 1 << 20; });
  }
  // Where the product of the sizes is 2^64.
  ExpectError("its padded input is too large", [](Model& m) {
    m.at(m.convolution).inputs = {m.Input(1 << 26, 2, 2)};
    m.at(m.convolution).attributes[5] = m.at(m.convolution).attributes[6] = (1 << 18) - 1;
  });
  ExpectError("its kernel is too large", [](Model& m) {
    m.at(m.convolution).inputs = {m.Input(1 << 24, 1, 1)};
    m.at(m.convolution).attributes[1] = m.at(m.convolution).attributes[2] = 1 << 20;
  });
  ExpectError(kGroups, [](Model& m) { m.at(m.binary).attributes[0] = 5; });
  ExpectError(kGroups, [](Model& m) { m.at(m.binary).attributes[9] = 3; });
  for (const int encoding : {-1, 3, INT32_MIN, INT32_MAX}) {
    ExpectError("its weights are of unknown encoding",
                [=](Model& m) { m.at(m.convolution).attributes[10] = encoding; });
  }
}

// Of one channel, each weight is padded to those of as many channels as a kernel takes at a time.
TEST(PlanReaderTest, RefusesWindowsThatTakeMuchMemory) {
  const auto plan = [](int size) {
    PlanMaker maker;
    const int input = maker.Input(1, size, size), codes = maker.Tensor(TensorKind::kCodes, 1, size, size),
              output = maker.Tensor(TensorKind::kReal, 1, 1, 1);
    maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kQuantize, codes, {0})};
    maker
        .Stage(StageKind::kBinaryConvolution, {codes}, {1, size, size, 1, 1, 0, 0, 1, 1, 1},
               {maker.Bytes(std::vector<uint8_t>((size * size + 7) / 8)), maker.Ints({-1, 1})})
        .steps = {MakeStep(StepKind::kStore, output)};
    maker.Output(output);
    return PackedModel(maker.plan).bytes;
  };
  EXPECT_EQ(ErrorOf(plan(128)), "");
  ExpectError(plan(129), "its kernel is too large");
}

TEST(PlanReaderTest, ChecksArraysOfConvolutions) {
  ExpectError(kArray, [](Model& m) { m.at(m.convolution).arrays.clear(); });
  ExpectError(kArray, [](Model& m) { m.at(m.convolution).arrays.pop_back(); });
  ExpectError(kArray, [](Model& m) { m.at(m.convolution).arrays[1] = m.Floats({1, 1, 1, 1, 1}); });
  ExpectError(kArray, [](Model& m) { m.at(m.convolution).arrays[1] = m.Ints({1, 1, 1, 1, 1, 1}); });
  ExpectError(kArray,
              [](Model& m) { m.at(m.convolution).arrays[0] = m.SignedBytes(std::vector<int8_t>(35)); });
  for (const int encoding : {0, 2}) {
    ExpectError(kArray, [=](Model& m) { m.at(m.convolution).attributes[10] = encoding; });
  }
  ExpectError(kArray, [](Model& m) {
    m.at(m.convolution).attributes[10] = 0;
    m.at(m.convolution).arrays = {m.Floats(std::vector<float>(37))};
  });
  ExpectError(kArray, [](Model& m) {
    m.at(m.convolution).attributes[10] = 2;
    m.at(m.convolution).arrays[0] = m.Bytes(std::vector<uint8_t>(5));
  });
  ExpectError(kArray, [](Model& m) { m.at(m.binary).arrays.clear(); });
  ExpectError(kArray, [](Model& m) { m.at(m.binary).arrays[0] = m.Bytes(std::vector<uint8_t>(17)); });
  ExpectError(kArray, [](Model& m) { m.at(m.binary).arrays[0] = m.SignedBytes(std::vector<int8_t>(18)); });
  ExpectError(kArray, [](Model& m) { m.at(m.binary).arrays[1] = m.Floats({0, 1, 2, 3}); });
  ExpectError("it has no levels, or too many", [](Model& m) { m.at(m.binary).arrays.pop_back(); });
  ExpectError("it has no levels, or too many", [](Model& m) { m.at(m.binary).arrays[1] = m.Ints({}); });
  ExpectError("it has no levels, or too many",
              [](Model& m) { m.at(m.binary).arrays.push_back(m.Ints({0})); });
  ExpectError("it has no levels, or too many",
              [](Model& m) { m.at(m.binary).arrays[1] = m.Ints(std::vector<int32_t>(17, 1)); });
}

TEST(PlanReaderTest, RefusesLevelsWhoseSumsOverflow) {
  constexpr int kMost = INT32_MAX / 18;
  const char message[] = "its sums exceed 32 bits";
  for (const int level : {INT32_MIN, INT32_MAX, kMost + 1, -kMost - 1}) {
    ExpectError(message, [=](Model& m) { m.at(m.binary).arrays[1] = m.Ints({0, 1, 2, level}); });
  }
  const auto with_signs = [](int level) {
    return [=](Model& m) {
      m.step(m.quantize, 0).parameters = {0};
      m.at(m.binary).arrays[1] = m.Ints({-level, level});
    };
  };
  ExpectError(message, with_signs(kMost / 2 + 1));
  for (const int level : {kMost, -kMost}) {
    Model model;
    model.at(model.binary).arrays[1] = model.Ints({0, 1, 2, level});
    EXPECT_EQ(ErrorOf(PackedModel(model.plan).bytes), "");
    with_signs(level / 2)(model);
    EXPECT_EQ(ErrorOf(PackedModel(model.plan).bytes), "");
  }
}

TEST(PlanReaderTest, ChecksPoolings) {
  const auto with = [](int attribute, int value) {
    return [=](Model& m) { m.at(m.pool).attributes[attribute] = value; };
  };
  for (const int method : {-1, 2, INT32_MIN}) ExpectError("it pools by an unknown method", with(0, method));
  for (const int wrong : {0, -1, INT32_MIN, INT32_MAX}) {
    for (const int attribute : {1, 2, 3, 4}) ExpectError(kWindow, with(attribute, wrong));
    for (const int attribute : {7, 8}) ExpectError(kOutside, with(attribute, wrong));
  }
  for (const int wrong : {-1, INT32_MIN, INT32_MAX}) {
    for (const int attribute : {5, 6}) ExpectError(kPadding, with(attribute, wrong));
  }
  // As large as the window, so that one could lie in it.
  for (const int attribute : {5, 6}) ExpectError(kOutside, with(attribute, 3));
  for (const int attribute : {7, 8}) ExpectError(kOutside, with(attribute, 5));
  ExpectError("this pooling of its input is not defined",
              [](Model& m) { m.at(m.pool_codes).attributes[0] = 1; });
  ExpectError("this pooling of its input is not defined",
              [](Model& m) { m.at(m.pool).arrays = {m.Bytes(std::vector<uint8_t>(6, 0))}; });
  ExpectError(kArray, [](Model& m) { m.at(m.pool_codes).arrays = {m.Bytes(std::vector<uint8_t>(5, 0))}; });
  ExpectError(kArray,
              [](Model& m) { m.at(m.pool_codes).arrays = {m.SignedBytes(std::vector<int8_t>(6, 0))}; });
  ExpectError("its channels take neither minimum nor maximum",
              [](Model& m) { m.at(m.pool_codes).arrays = {m.Bytes({0, 255, 0, 1, 0, 0})}; });
}

TEST(PlanReaderTest, ChecksNormalizations) {
  const char message[] = "its region or size is out of range";
  for (const int region : {-1, 2, INT32_MIN}) {
    ExpectError(message, [=](Model& m) { m.at(m.normalize).attributes[0] = region; });
  }
  for (const int size : {0, -1, INT32_MIN, INT32_MAX, 2, 4097}) {
    ExpectError(message, [=](Model& m) { m.at(m.normalize).attributes[1] = size; });
  }
  ExpectError(kArray, [](Model& m) { m.at(m.normalize).arrays.clear(); });
  ExpectError(kArray, [](Model& m) { m.at(m.normalize).arrays = {m.Floats({1, 1})}; });
  ExpectError(kArray, [](Model& m) { m.at(m.normalize).arrays = {m.Ints({1, 1, 1})}; });
}

TEST(PlanReaderTest, ChecksTensorsOfSteps) {
  ExpectError("is of another size than the result", [](Model& m) { m.tensor(5).height = 4; });
  ExpectError("is of another size than the result", [](Model& m) { m.tensor(5).width = 4; });
  ExpectError("a step's channels lie outside tensor t5", [](Model& m) { m.tensor(5).channels = 5; });
  ExpectError("a step's channels lie outside tensor t5", [](Model& m) { m.step(m.pool, 1).channel = 1; });
  ExpectError("a step cannot read tensor t4", [](Model& m) { m.step(m.convolution, 0).tensor = 4; });
  const auto read_wide = [](int channel) {
    return [=](Model& m) {
      const int wide = m.Input(7, 3, 3);
      m.step(m.convolution, 3).tensor = wide;
      m.step(m.convolution, 3).channel = channel;
    };
  };
  ExpectError("a step cannot read tensor t10", read_wide(0));
  ExpectError("a step cannot read tensor t10", read_wide(1));
  const char kind[] = "a step writes a tensor of the wrong kind";
  ExpectError(kind, [](Model& m) { m.tensor(1).kind = TensorKind::kReal; });
  ExpectError(kind, [](Model& m) { m.tensor(2).kind = TensorKind::kReal; });
  ExpectError(kind, [](Model& m) { m.tensor(3).kind = TensorKind::kCodes; });
  ExpectError(kind, [](Model& m) { m.tensor(4).kind = TensorKind::kReal; });
}

TEST(PlanReaderTest, ChecksWhatStepsCompute) {
  ExpectError("a step computes with codes", [](Model& m) {
    m.at(m.pool_codes).steps.insert(m.at(m.pool_codes).steps.begin(), MakeStep(StepKind::kTanh));
  });
  ExpectError("thresholds are compared with no integers",
              [](Model& m) { std::swap(m.step(m.binary, 0), m.step(m.binary, 1)); });
  ExpectError("thresholds are compared with no integers", [](Model& m) {
    m.step(m.quantize, 0) = MakeStep(StepKind::kThreshold, 1, {}, {m.Ints({0, 0, 0, 0})});
  });
  const auto parameters = [](int Model::*stage, int step, const std::vector<float>& values) {
    return [=](Model& m) { m.step(m.*stage, step).parameters = values; };
  };
  using Values = std::vector<std::vector<float>>;
  for (const std::vector<float>& wrong : Values{{}, {1}, {1, 1, 1}}) {
    ExpectError(kParameters, parameters(&Model::convolution, 0, wrong));
    ExpectError(kParameters, parameters(&Model::pool, 0, wrong));
  }
  for (const std::vector<float>& wrong : Values{{2, 1}, {kNaN, 1}, {0, kNaN}}) {
    ExpectError(kParameters, parameters(&Model::pool, 0, wrong));
  }
  for (const std::vector<float>& wrong : Values{{}, {1, 1}}) {
    ExpectError(kParameters, parameters(&Model::convolution, 1, wrong));
  }
  std::vector<float> many(16);
  for (size_t j = 0; j < many.size(); ++j) many[j] = static_cast<float>(j);
  for (const std::vector<float>& wrong : Values{{}, many, {1, 0}, {1, 1}, {kNaN}, {0, kNaN}, {kNaN, 0}}) {
    ExpectError(kParameters, parameters(&Model::quantize, 0, wrong));
  }
  for (const std::vector<float>& wrong :
       Values{{}, {1}, {1, 2}, {1, 2, 3, 4}, {2, 1, 0, 0, 0}, {kNaN, 0, 0}}) {
    ExpectError(kParameters, parameters(&Model::convolution, 2, wrong));
  }
}

TEST(PlanReaderTest, ChecksArraysOfSteps) {
  ExpectError(kArray, [](Model& m) { m.step(m.binary, 1).arrays.pop_back(); });
  ExpectError(kArray, [](Model& m) { m.step(m.binary, 1).arrays[0] = m.Floats({1, 1, 1, 1, 1}); });
  ExpectError(kArray, [](Model& m) { m.step(m.binary, 1).arrays[1] = m.Ints({1, 1, 1, 1, 1, 1}); });
  const auto thresholds = [](const std::function<std::vector<ArrayView>(Model&)>& make) {
    return [=](Model& m) { m.step(m.binary, 0).arrays = make(m); };
  };
  using Arrays = std::vector<ArrayView>;
  ExpectError(kParameters, thresholds([](Model&) { return Arrays{}; }));
  ExpectError(kParameters, thresholds([](Model& m) { return Arrays(2, m.Ints({0, 0, 0, 0, 0, 0})); }));
  ExpectError(kParameters, thresholds([](Model& m) { return Arrays{m.Ints({})}; }));
  ExpectError(kParameters, thresholds([](Model& m) { return Arrays{m.Ints({0, 0, 0, 0, 0})}; }));
  ExpectError(kParameters, thresholds([](Model& m) { return Arrays{m.Ints({0, 0, 0, 0, 0, 0, 0})}; }));
  ExpectError(kParameters, thresholds([](Model& m) { return Arrays{m.Floats({0, 0, 0, 0, 0, 0})}; }));
  ExpectError(kParameters, thresholds([](Model& m) { return Arrays{m.Ints(std::vector<int32_t>(16 * 6))}; }));
  // They descend for one channel.
  ExpectError(kParameters,
              thresholds([](Model& m) { return Arrays{m.Ints({0, 0, 0, 0, 0, 0, 1, 1, -1, 1, 1, 1})}; }));
}

TEST(PlanReaderTest, ChecksCaffeLayers) {
  const auto make = [](const std::function<void(PlanMaker&, StageInfo&)>& change) {
    PlanMaker maker;
    const int input = maker.Input(4, 1, 1), output = maker.Tensor(TensorKind::kReal, 4, 1, 1),
              codes = maker.Tensor(TensorKind::kCodes, 4, 1, 1);
    maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kQuantize, codes, {0})};
    StageInfo& stage = maker.Stage(StageKind::kCaffeLayer, {input}, {2, 2, 2}, {maker.Bytes({1, 2, 3})});
    stage.steps = {MakeStep(StepKind::kStore, output)};
    maker.Output(output);
    change(maker, stage);
    const PackedModel file(maker.plan);
    try {
      ReadPlan(file.bytes.data(), file.bytes.size());
    } catch (const PlanError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(make([](PlanMaker&, StageInfo&) {}), "");
  const auto expect = [&](const std::string& message,
                          const std::function<void(PlanMaker&, StageInfo&)>& change) {
    const std::string error = make(change);
    EXPECT_NE(error.find(message), std::string::npos) << "wanted: " << message << "\ngot: " << error;
  };
  const auto attributes = [](const std::vector<int>& values) {
    return [=](PlanMaker&, StageInfo& stage) { stage.attributes = values; };
  };
  expect("it has no input or no result", [](PlanMaker&, StageInfo& stage) { stage.inputs.clear(); });
  expect("it has no input or no result", [](PlanMaker&, StageInfo& stage) { stage.steps.clear(); });
  for (const std::vector<int>& wrong :
       std::vector<std::vector<int>>{{}, {3, 2, 2}, {-1, 2, 2}, {INT32_MAX, 4}}) {
    expect("the dimensions of its inputs are missing", attributes(wrong));
  }
  expect("the dimensions of its inputs are missing",
         [](PlanMaker&, StageInfo& stage) { stage.inputs = {2}; });
  expect("a dimension of its inputs is out of range", attributes({2, 4, 0}));
  expect("a dimension of its inputs is out of range", attributes({2, 4, INT32_MAX}));
  expect("are not those of its tensor", attributes({2, 4, 2}));
  expect("are not those of its tensor", attributes({4, kHuge, kHuge, kHuge, kHuge}));
  expect("it has more attributes than its kind", attributes({1, 4, 1}));
  expect("it has no parameter", [](PlanMaker&, StageInfo& stage) { stage.arrays.clear(); });
  expect("it has no parameter", [](PlanMaker& maker, StageInfo& stage) { stage.arrays = {maker.Ints({1})}; });
  expect("it only stores its results", [](PlanMaker&, StageInfo& stage) { stage.steps[0].tensor = -1; });
  expect("it only stores its results", [](PlanMaker&, StageInfo& stage) { stage.steps[0].channel = 1; });
  expect("it only stores its results", [](PlanMaker&, StageInfo& stage) { stage.steps[0].tensor = 2; });
  expect("it only stores its results",
         [](PlanMaker&, StageInfo& stage) { stage.steps[0] = MakeStep(StepKind::kTanh, 1); });
  expect("it reads tensor t1 before that is written",
         [](PlanMaker&, StageInfo& stage) { stage.inputs = {1}; });
  expect("it writes tensor t1 a second time",
         [](PlanMaker&, StageInfo& stage) { stage.steps.push_back(stage.steps[0]); });
}

// ---------------------------------------------------------------------- memory

// Each output of its own group becomes a block of them; several stages share the bits.
TEST(PlanReaderTest, RefusesWeightsOutOfProportionToTheFile) {
  const char message[] = "take too much memory for the size of the file";
  const int groups = 1 << 15;
  for (const bool binary : {true, false}) {
    for (const int stages : {1, 40}) {
      PlanMaker maker;
      const int input = maker.Input(groups, 1, 1), codes = maker.Tensor(TensorKind::kCodes, groups, 1, 1);
      maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kQuantize, codes, {0})};
      const ArrayView bits = maker.Bytes(std::vector<uint8_t>(groups)), levels = maker.Ints({0, 1});
      const ArrayView scales = maker.Floats(std::vector<float>(groups));
      for (int i = 0; i < stages; ++i) {
        const int output = maker.Tensor(TensorKind::kReal, groups, 1, 1);
        std::vector<int> attributes = {groups, 1, 1, 1, 1, 0, 0, 1, 1, groups};
        if (!binary) attributes.push_back(2);
        maker
            .Stage(binary ? StageKind::kBinaryConvolution : StageKind::kConvolution, {binary ? codes : input},
                   attributes, {bits, binary ? levels : scales})
            .steps = {MakeStep(StepKind::kStore, output)};
        maker.Output(output);
      }
      const PackedModel written(maker.plan);
      // The arrays once, however often they are referred to.
      PackedModel file = written;
      uint64_t data_offset;
      std::memcpy(&data_offset, &file.bytes[PackedModel::kDataOffset], sizeof(data_offset));
      for (size_t reference = 2; reference < file.array_references.size(); ++reference) {
        std::memcpy(&file.bytes[file.array_references[reference] + 12],
                    &file.bytes[file.array_references[reference % 2] + 12], 8);
      }
      file.bytes.resize(data_offset + 5 * groups);
      file.Set<uint64_t>(PackedModel::kFileBytes, file.bytes.size());
      file.Set<uint64_t>(PackedModel::kDataBytes, file.bytes.size() - data_offset);
      file.Seal();
      if (stages == 1) {
        EXPECT_EQ(ErrorOf(file.bytes), "");
      } else {
        ExpectError(file.bytes, message);
      }
    }
  }
}

// Each step of a few bytes has numbers for all channels.
TEST(PlanReaderTest, RefusesFactorsOutOfProportionToTheFile) {
  for (const int affine_steps : {2, 20}) {
    PlanMaker maker;
    const int channels = 1 << 20, input = maker.Input(channels, 1, 1),
              output = maker.Tensor(TensorKind::kReal, channels, 1, 1);
    StageInfo& stage = maker.Stage(StageKind::kMap, {input});
    for (int i = 0; i < affine_steps; ++i) {
      stage.steps.push_back(MakeStep(StepKind::kAffine, -1, {}, {maker.Floats({2}), maker.Floats({0})}));
    }
    stage.steps.push_back(MakeStep(StepKind::kStore, output));
    maker.Output(output);
    const std::string error = ErrorOf(PackedModel(maker.plan).bytes);
    EXPECT_EQ(error.find("take too much memory for the size of the file") != std::string::npos,
              affine_steps == 20)
        << error;
  }
}

TEST(PlanReaderTest, RefusesMorePartsThanThereCanBe) {
  PlanMaker maker;
  maker.Output(maker.Input(1, 1, 1));
  while (maker.plan.tensors.size() <= kMaxParts) maker.Tensor(TensorKind::kReal, 1, 1, 1);
  ExpectError(PackedModel(maker.plan).bytes, "has more than 16384 tensors or stages");
  maker.plan.tensors.resize(1);
  while (maker.plan.stages.size() <= kMaxParts) maker.Stage(StageKind::kMap, {0});
  ExpectError(PackedModel(maker.plan).bytes, "has more than 16384 tensors or stages");
}

TEST(PlanReaderTest, RefusesImagesThatTakeAllMemory) {
  PlanMaker maker;
  int tensor = maker.Input(1, 1 << 14, 1 << 14);
  const auto add = [&] {
    maker.Output(tensor);
    const int next = maker.Tensor(TensorKind::kReal, 1, 1 << 14, 1 << 14);
    maker.Stage(StageKind::kMap, {tensor}).steps = {MakeStep(StepKind::kStore, next)};
    tensor = next;
  };
  for (int i = 0; i < 3; ++i) add();
  EXPECT_EQ(ErrorOf(PackedModel(maker.plan).bytes), "");
  add();
  ExpectError(PackedModel(maker.plan).bytes, "an image takes 5120 MiB of memory");
}

// Also a plan of some hundred bytes may have tensors as large as these, which no stage uses.
TEST(PlanReaderTest, TakesNoMemoryForTensorsThatAreNotUsed) {
  PlanMaker maker;
  maker.Output(maker.Input(1, 1, 1));
  for (int i = 0; i < 100; ++i) maker.Tensor(TensorKind::kReal, 1, 1 << 14, 1 << 14);
  const PackedModel file(maker.plan);
  const PackedNet net(file.bytes.data(), file.bytes.size(), 1);
  float value = 3, result = 0;
  net.Forward(1, {&value}, {&result});
  EXPECT_EQ(result, 3);
}

}  // namespace lowbit
}  // namespace caffe
