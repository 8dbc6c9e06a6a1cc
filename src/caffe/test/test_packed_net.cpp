#include "caffe/lowbit/packed_net.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/step_kernel.hpp"
#include "caffe/test/counted_allocations.hpp"
#include "caffe/test/packed_net_runs.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

bool HasInt8Weights(const Plan& plan) {
  return std::any_of(plan.stages.begin(), plan.stages.end(), [](const StageInfo& stage) {
    return stage.kind == StageKind::kConvolution && stage.arrays[0].type == ArrayType::kInt8;
  });
}

std::vector<std::string> BinaryKernelNames() {
  std::vector<std::string> names;
  for (const BinaryKernel* kernel : BinaryKernels()) {
    if (kernel->available()) names.push_back(kernel->name);
  }
  return names;
}

// Names of the float kernels that this processor runs, as the error about another one lists them.
std::vector<std::string> FloatKernelNames(const Plan& plan) {
  const Environment named("HWGQ_FLOAT_KERNEL", "abacus");
  std::vector<std::string> names;
  try {
    Load(plan);
  } catch (const std::runtime_error& error) {
    std::string list = error.what();
    list = list.substr(list.rfind("there are ") + 10) + ", ";
    for (size_t end; (end = list.find(", ")) != std::string::npos; list = list.substr(end + 2)) {
      names.push_back(list.substr(0, end));
    }
  }
  return names;
}

}  // namespace

TEST(PackedNetTest, ComputesWhatTheFormatSays) {
  for (unsigned seed = 0; seed < 1500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    // Convolutions of 8-bit weights round their input otherwise, and codes turn.
    const Environment floats("HWGQ_FLOAT_KERNEL", HasInt8Weights(random.model.plan()) ? "plain" : "");
    CheckPlan(random.model.plan(), random.images, random.inputs, 1e-5);
    if (HasFatalFailure()) return;
  }
}

TEST(PackedNetTest, EveryBinaryKernelGivesTheSame) {
  for (unsigned seed = 1000; seed < 1300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    Arrays expected;
    for (const std::string& name : BinaryKernelNames()) {
      SCOPED_TRACE(name);
      const Environment named("HWGQ_KERNEL", name);
      const Arrays results = Forward(*Load(random.model.plan()), random.images, random.inputs);
      if (expected.empty()) expected = results;
      ExpectSame(results, expected);
      if (HasFailure()) return;
    }
  }
}

// Where sums of 8, 16 and 32 bits overflow or nearly do, under each way to make digits of codes.
TEST(PackedNetTest, SumsTheLargestCodes) {
  for (const int channels : {1, 40, 63, 243, 513, 1093}) {
    const int kernel = channels < 600 ? 3 : 2, most = INT32_MAX / (channels * kernel * kernel);
    std::vector<std::vector<int32_t>> all_levels = {{-1, 1},        {-3000, 3000},         {7, -2, 0, 9, -9},
                                                    {-500, 100, 0}, {-most / 2, most / 2}, {most, 0, -most}};
    for (int count = 2; count <= kMaxLevels; count += count < 6 ? 1 : 5) {
      all_levels.emplace_back();
      for (int j = 0; j < count; ++j) all_levels.back().push_back(j);
    }
    for (const std::vector<int32_t>& levels : all_levels) {
      const PlanMaker maker = BinaryConvolution(channels, kernel, levels);
      for (const std::string& name : BinaryKernelNames()) {
        SCOPED_TRACE(name + ", " + std::to_string(levels.size()) + " levels, " + std::to_string(channels) +
                     " channels");
        const Environment named("HWGQ_KERNEL", name);
        for (const int code : {0, static_cast<int>(levels.size()) - 1}) {
          // Floats round the largest sums.
          CheckPlan(maker.plan, 1,
                    {std::vector<float>(maker.plan.tensors[0].elements(), static_cast<float>(code))}, 1e-7);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(PackedNetTest, UsesTheKernelThatIsNamed) {
  const RandomCase random(1001);
  for (const std::string& name : BinaryKernelNames()) {
    const Environment named("HWGQ_KERNEL", name);
    const std::unique_ptr<PackedNet> net = Load(random.model.plan());
    Pass pass(*net, random.images, random.inputs);
    int seen = 0;
    for (const PackedNet::StageProfile& stage : net->Profile(pass.images, pass.in, pass.out)) {
      if (stage.kind != "binary convolution") continue;
      EXPECT_EQ(stage.kernel, name);
      ++seen;
    }
    EXPECT_GT(seen, 0);
  }
}

TEST(PackedNetTest, UnknownKernelIsAnError) {
  const RandomCase random(1001);
  const Environment named("HWGQ_KERNEL", "abacus");
  EXPECT_NE(MessageOf([&] { Load(random.model.plan()); }).find("HWGQ_KERNEL: abacus"), std::string::npos);
}

TEST(PackedNetTest, EveryStepKernelGivesTheSame) {
  for (unsigned seed = 4000; seed < 4200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    Arrays expected;
    for (const StepKernel* kernel : StepKernels()) {
      if (!kernel->available()) continue;
      SCOPED_TRACE(kernel->name);
      const Environment named("HWGQ_STEP_KERNEL", kernel->name);
      const Arrays results = Forward(*Load(random.model.plan()), random.images, random.inputs);
      if (expected.empty()) expected = results;
      ExpectSame(results, expected);
      if (HasFailure()) return;
    }
  }
}

TEST(PackedNetTest, UnknownStepKernelIsAnError) {
  const RandomCase random(1001);
  const Environment named("HWGQ_STEP_KERNEL", "abacus");
  EXPECT_NE(MessageOf([&] { Load(random.model.plan()); }).find("HWGQ_STEP_KERNEL: there is no abacus"),
            std::string::npos);
}

// So that they give the same on every processor, and whether or not they are run in one pass.
TEST(PackedNetTest, StepsRoundProducts) {
  constexpr int kChannels = 35;
  const float x = 1 + std::ldexp(1.f, -12), rounded = 1 + std::ldexp(1.f, -11);
  for (const int affine_steps : {1, 2}) {  // Two are not a tail.
    PlanMaker maker;
    const int input = maker.Input(kChannels, 1, 1);
    const int output = maker.Tensor(TensorKind::kReal, kChannels, 1, 1);
    const auto affine = [&](float a, float b) {
      return MakeStep(
          StepKind::kAffine, -1, {},
          {maker.Floats(std::vector<float>(kChannels, a)), maker.Floats(std::vector<float>(kChannels, b))});
    };
    std::vector<StepInfo> steps = {affine(x, -rounded)};
    if (affine_steps == 2) steps.push_back(affine(1, 0));
    steps.push_back(MakeStep(StepKind::kStore, output));
    maker.Stage(StageKind::kMap, {input}).steps = steps;
    maker.Output(output);
    const Arrays results = Forward(*Load(maker.plan), 1, {std::vector<float>(kChannels, x)});
    EXPECT_EQ(results[0], std::vector<float>(kChannels, 0.f)) << affine_steps << " affine steps";
  }
}

TEST(PackedNetTest, EveryFloatKernelGivesTheSameToRounding) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const int outputs : {1, 7, 8, 17, 64, 65, 100, 130}) {
    for (const int channels : {1, 3, 33}) {
      SCOPED_TRACE(std::to_string(channels) + " channels, " + std::to_string(outputs) + " outputs");
      const PlanMaker maker = FloatConvolution(channels, outputs, outputs % 2 ? 5 : 4, &random);
      Arrays inputs = {std::vector<float>(3 * maker.plan.tensors[0].elements())}, expected;
      for (float& value : inputs[0]) value = normal(random);
      const std::vector<std::string> names = FloatKernelNames(maker.plan);
      EXPECT_NE(std::find(names.begin(), names.end(), "plain"), names.end());
      for (const std::string& name : names) {
        SCOPED_TRACE(name);
        const Environment named("HWGQ_FLOAT_KERNEL", name);
        CheckPlan(maker.plan, 3, inputs, 1e-5);
        const Arrays results = Forward(*Load(maker.plan), 3, inputs);
        if (expected.empty()) expected = results;
        ExpectNear(results, expected, 1e-5);
      }
    }
  }
}

TEST(PackedNetTest, EveryFloatKernelRunsAllPlans) {
  for (unsigned seed = 2000; seed < 2300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    std::mt19937 unused(1);
    for (const std::string& name : FloatKernelNames(FloatConvolution(1, 1, 1, &unused).plan)) {
      SCOPED_TRACE(name);
      const Environment named("HWGQ_FLOAT_KERNEL", name);
      CheckPlan(random.model.plan(), random.images, random.inputs, 1e-5);
      if (HasFatalFailure()) return;
    }
  }
}

// In registers by eights, one by one, and by single channels.
TEST(PackedNetTest, PoolsAnyNumberOfChannels) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  for (const int channels : {1, 7, 8, 31, 33, 64, 71, 137, 255, 256, 289, 300}) {
    SCOPED_TRACE(std::to_string(channels) + " channels");
    Arrays inputs = {std::vector<float>(2 * channels * 30)};
    for (float& value : inputs[0]) value = normal(random);
    CheckPlan(PoolingOf(false, false, channels).plan, 2, inputs, 0);
    CheckPlan(PoolingOf(false, true, channels).plan, 2, inputs, 1e-6);
    CheckPlan(PoolingOf(true, false, channels).plan, 2, inputs, 0);
    if (HasFatalFailure()) return;
  }
}

TEST(PackedNetTest, NumberOfThreadsDoesNotMatter) {
  for (unsigned seed = 3000; seed < 3060; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    const std::unique_ptr<PackedNet> net = Load(random.model.plan());
    const Arrays expected = Forward(*net, random.images, random.inputs, 1);
    for (const int threads : {2, 3, 7}) {
      SCOPED_TRACE(std::to_string(threads) + " threads");
      ExpectSame(Forward(*net, random.images, random.inputs, threads), expected);
      if (HasFailure()) return;
    }
  }
}

TEST(PackedNetTest, TakesAnyNumberOfThreads) {
  const std::unique_ptr<PackedNet> net = Load(Identity(1, 3, 1).plan);
  const Arrays values = {{1, 2, 3}};
  for (const int threads : {std::numeric_limits<int>::max(), std::numeric_limits<int>::min(), -1}) {
    EXPECT_EQ(Forward(*net, 1, values, threads), values);
  }
}

TEST(PackedNetTest, ThreadsShareANet) {
  const RandomModel::Limits limits = {12, 40, 6};
  RandomModel model(5, limits);
  const std::unique_ptr<PackedNet> net = Load(model.plan(), 3);
  const int callers = 8;
  std::vector<Arrays> inputs, expected, results(callers);
  for (int i = 0; i < callers; ++i) {
    inputs.push_back(model.DrawInputs(1 + 3 * i));
    expected.push_back(Forward(*net, 1 + 3 * i, inputs[i]));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&, i] {
      for (int repeat = 0; repeat < 10; ++repeat) results[i] = Forward(*net, 1 + 3 * i, inputs[i], 1 + i % 3);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < callers; ++i) ExpectSame(results[i], expected[i]);
}

// What one image gives does not depend on the others.
TEST(PackedNetTest, ComputesEachImageByItself) {
  RandomModel model(42, kSmall);
  const std::unique_ptr<PackedNet> net = Load(model.plan());
  const int images = 37;
  const Arrays inputs = model.DrawInputs(images), all = Forward(*net, images, inputs);
  for (int image = 0; image < images; ++image) {
    Arrays one;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto first = inputs[i].begin() + image * net->inputs()[i].elements;
      one.emplace_back(first, first + net->inputs()[i].elements);
    }
    Arrays expected;
    for (size_t i = 0; i < all.size(); ++i) {
      const auto first = all[i].begin() + image * net->outputs()[i].elements;
      expected.emplace_back(first, first + net->outputs()[i].elements);
    }
    ExpectSame(Forward(*net, 1, one), expected);
  }
}

TEST(PackedNetTest, AllocatesNothingAfterTheFirstPass) {
  for (unsigned seed = 4000; seed < 4030; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    const std::unique_ptr<PackedNet> net = Load(random.model.plan());
    Pass pass(*net, random.images, random.inputs);
    pass.Run(*net, 1);
    const int64_t before = CountedAllocations();
    for (int repeat = 0; repeat < 3; ++repeat) pass.Run(*net, 1);
    EXPECT_EQ(CountedAllocations(), before);
  }
}

// A thread that had nothing to do in the first passes may still need memory of its own in a later one.
TEST(PackedNetTest, ThreadsAllocateNothingInTheEnd) {
  const RandomModel::Limits limits = {12, 100, 6};
  RandomModel model(11, limits);
  const std::unique_ptr<PackedNet> net = Load(model.plan());
  Pass pass(*net, 5, model.DrawInputs(5));
  const int most_rounds = 100;
  int round = 0;
  for (int64_t before = -1; before != CountedAllocations() && round < most_rounds; ++round) {
    before = CountedAllocations();
    for (int repeat = 0; repeat < 5; ++repeat) pass.Run(*net, 3);
  }
  EXPECT_LT(round, most_rounds);
}

TEST(PackedNetTest, DescribesItself) {
  PlanMaker maker = Identity(2, 3, 4);
  maker.plan.name = "a net";
  maker.plan.inputs[0].name = "data";
  maker.plan.outputs[0].dimensions = {24};
  const std::unique_ptr<PackedNet> net = Load(maker.plan, 5);
  EXPECT_EQ(net->name(), "a net");
  EXPECT_EQ(net->threads(), 5);
  EXPECT_EQ(net->inputs()[0].name, "data");
  EXPECT_EQ(net->inputs()[0].dimensions, (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(net->outputs()[0].dimensions, std::vector<int64_t>{24});
  EXPECT_EQ(net->outputs()[0].elements, 24);
}

TEST(PackedNetTest, TakesAsManyThreadsAsTheEnvironmentSays) {
  const Environment wanted("OMP_NUM_THREADS", "3");
  EXPECT_EQ(Load(Identity(1, 1, 1).plan, 0)->threads(), 3);
}

TEST(PackedNetTest, HandsAnInputOn) {
  PlanMaker maker;
  maker.Output(maker.Input(2, 1, 2));
  EXPECT_EQ(Forward(*Load(maker.plan), 1, {{1, 2, 3, 4}}), (Arrays{{1, 2, 3, 4}}));
}

TEST(PackedNetTest, PassesNaNAndInfinityOn) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const Arrays values = {{nan, infinity, -infinity, 1}};
  ExpectSame(Forward(*Load(Identity(1, 2, 2).plan), 1, values), values);
}

TEST(PackedNetTest, RefusesABatchWithoutImages) {
  const std::unique_ptr<PackedNet> net = Load(Identity(1, 1, 1).plan);
  EXPECT_NE(MessageOf([&] { Forward(*net, 0, {{}}); }).find("at least one image"), std::string::npos);
  float value = 0;
  EXPECT_NE(MessageOf([&] { net->Forward(-1, {&value}, {&value}); }).find("at least one image"),
            std::string::npos);
}

TEST(PackedNetTest, RefusesAnotherNumberOfInputsOrOutputs) {
  const std::unique_ptr<PackedNet> net = Load(Identity(1, 1, 1).plan);
  float value = 0;
  const std::vector<const float*> none, one = {&value}, two = {&value, &value};
  EXPECT_NE(MessageOf([&] { net->Forward(1, none, {&value}); }).find("1 inputs and 1 outputs"),
            std::string::npos);
  EXPECT_NE(MessageOf([&] { net->Forward(1, two, {&value}); }).find("1 inputs and 1 outputs"),
            std::string::npos);
  const std::vector<float*> no_results;
  EXPECT_NE(MessageOf([&] { net->Forward(1, one, no_results); }).find("1 inputs and 1 outputs"),
            std::string::npos);
  EXPECT_NE(MessageOf([&] { net->Profile(1, one, no_results); }).find("1 inputs and 1 outputs"),
            std::string::npos);
}

TEST(PackedNetTest, ProfilesEachStage) {
  std::mt19937 random(1);
  const PlanMaker maker = FloatConvolution(2, 6, 4, &random);
  const std::unique_ptr<PackedNet> net = Load(maker.plan);
  Pass pass(*net, 20, {std::vector<float>(20 * 32, 1)});
  const std::vector<PackedNet::StageProfile> profile = net->Profile(20, pass.in, pass.out);
  ASSERT_EQ(profile.size(), 1u);
  EXPECT_EQ(profile[0].name, "s0");
  EXPECT_EQ(profile[0].kind, "convolution");
  EXPECT_GT(profile[0].seconds, 0);
  EXPECT_EQ(profile[0].multiply_adds, 20 * 6 * 18 * 16);
  EXPECT_EQ(profile[0].bytes, 4 * (6 * 18 + 20 * (32 + 96)));
  EXPECT_EQ(pass.results, Forward(*net, 20, {std::vector<float>(20 * 32, 1)}));
}

}  // namespace lowbit
}  // namespace caffe
