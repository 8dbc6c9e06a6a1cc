#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "caffe/lowbit/hwgq.h"
#include "caffe/test/counted_allocations.hpp"
#include "caffe/test/packed_model_writer.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

// Two inputs a and b, and two outputs: a + b, and twice b.
std::vector<uint8_t> SumModel() {
  PlanMaker maker;
  const int a = maker.Input(2, 1, 3), b = maker.Input(2, 1, 3);
  const int sum = maker.Tensor(TensorKind::kReal, 2, 1, 3), twice = maker.Tensor(TensorKind::kReal, 2, 1, 3);
  maker.Stage(StageKind::kMap, {a}).steps = {MakeStep(StepKind::kAdd, b, {1, 1}),
                                             MakeStep(StepKind::kStore, sum)};
  maker.Stage(StageKind::kMap, {b}).steps = {MakeStep(StepKind::kAdd, b, {1, 1}),
                                             MakeStep(StepKind::kStore, twice)};
  maker.Output(sum);
  maker.Output(twice);
  maker.plan.inputs[0].name = "a";
  maker.plan.inputs[1].name = "b";
  maker.plan.outputs[1].dimensions = {6};
  return PackedModel(maker.plan).bytes;
}

// Frees a net at the end of a test.
struct Net {
  explicit Net(hwgq_net* net) : net(net) {}
  ~Net() { hwgq_free(net); }
  Net(const Net&) = delete;
  Net& operator=(const Net&) = delete;

  hwgq_net* const net;
};

hwgq_net* LoadSum() {
  const std::vector<uint8_t> model = SumModel();
  return hwgq_load_memory(model.data(), model.size());
}

bool Contains(const char* text, const std::string& part) {
  return std::string(text).find(part) != std::string::npos;
}

}  // namespace

TEST(CInterfaceTest, DescribesInputsAndOutputs) {
  const Net net(LoadSum());
  ASSERT_NE(net.net, nullptr) << hwgq_error();
  EXPECT_EQ(hwgq_inputs(net.net), 2u);
  EXPECT_EQ(hwgq_outputs(net.net), 2u);
  EXPECT_STREQ(hwgq_input(net.net, 1)->name, "b");
  EXPECT_EQ(hwgq_input(net.net, 0)->axes, 3u);
  EXPECT_EQ(hwgq_input(net.net, 0)->dimensions[2], 3);
  EXPECT_EQ(hwgq_input(net.net, 0)->elements, 6);
  EXPECT_EQ(hwgq_output(net.net, 1)->axes, 1u);
  EXPECT_EQ(hwgq_output(net.net, 1)->dimensions[0], 6);
  EXPECT_EQ(hwgq_input(net.net, 2), nullptr);
  EXPECT_EQ(hwgq_output(net.net, SIZE_MAX), nullptr);
}

TEST(CInterfaceTest, ComputesBatches) {
  const Net net(LoadSum());
  ASSERT_NE(net.net, nullptr) << hwgq_error();
  const int images = 20;
  std::vector<float> a(6 * images), b(6 * images), sum(6 * images), twice(6 * images);
  for (int i = 0; i < 6 * images; ++i) {
    a[i] = static_cast<float>(i);
    b[i] = static_cast<float>(i * i % 17);
  }
  const float* const inputs[] = {a.data(), b.data()};
  float* const outputs[] = {sum.data(), twice.data()};
  for (const int threads : {0, 1, 3}) {
    std::fill(sum.begin(), sum.end(), -1.f);
    ASSERT_EQ(hwgq_forward(net.net, images, inputs, outputs, threads), 0) << hwgq_error();
    for (int i = 0; i < 6 * images; ++i) {
      EXPECT_EQ(sum[i], a[i] + b[i]);
      EXPECT_EQ(twice[i], 2 * b[i]);
    }
  }
}

TEST(CInterfaceTest, AllocatesNothingAfterTheFirstPass) {
  const Net net(LoadSum());
  ASSERT_NE(net.net, nullptr) << hwgq_error();
  float a[6] = {}, b[6] = {}, sum[6], twice[6];
  const float* const inputs[] = {a, b};
  float* const outputs[] = {sum, twice};
  EXPECT_EQ(hwgq_forward(net.net, 1, inputs, outputs, 1), 0);
  const int64_t before = CountedAllocations();
  EXPECT_EQ(hwgq_forward(net.net, 1, inputs, outputs, 1), 0);
  EXPECT_EQ(CountedAllocations(), before);
}

TEST(CInterfaceTest, LoadsFiles) {
  const std::string path = testing::TempDir() + "c_interface_" + std::to_string(getpid()) + ".hwgq";
  const std::vector<uint8_t> model = SumModel();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(model.data()), static_cast<std::streamsize>(model.size()));
  const Net net(hwgq_load(path.c_str()));
  unlink(path.c_str());
  ASSERT_NE(net.net, nullptr) << hwgq_error();
  EXPECT_EQ(hwgq_outputs(net.net), 2u);
}

TEST(CInterfaceTest, SaysWhatWentWrong) {
  EXPECT_EQ(hwgq_load("/nowhere/model.hwgq"), nullptr);
  EXPECT_TRUE(Contains(hwgq_error(), "/nowhere/model.hwgq: it cannot be read")) << hwgq_error();
  EXPECT_EQ(hwgq_load(nullptr), nullptr);
  EXPECT_STREQ(hwgq_error(), "there is no path");
  EXPECT_EQ(hwgq_load_memory("caffe", 5), nullptr);
  EXPECT_TRUE(Contains(hwgq_error(), "not a packed model")) << hwgq_error();
  EXPECT_EQ(hwgq_load_memory(nullptr, 0), nullptr);
  EXPECT_TRUE(Contains(hwgq_error(), "not a packed model")) << hwgq_error();
  const Net net(LoadSum());
  const float* const inputs[] = {nullptr, nullptr};
  float* const outputs[] = {nullptr, nullptr};
  for (const int64_t images : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    EXPECT_EQ(hwgq_forward(net.net, images, inputs, outputs, 0), -1);
    EXPECT_TRUE(Contains(hwgq_error(), "at least one image")) << hwgq_error();
  }
}

TEST(CInterfaceTest, KeepsEachThreadsError) {
  EXPECT_EQ(hwgq_load("/nowhere/1.hwgq"), nullptr);
  std::thread([] {
    EXPECT_STREQ(hwgq_error(), "");
    EXPECT_EQ(hwgq_load("/nowhere/2.hwgq"), nullptr);
    EXPECT_TRUE(Contains(hwgq_error(), "/nowhere/2.hwgq"));
  }).join();
  EXPECT_TRUE(Contains(hwgq_error(), "/nowhere/1.hwgq"));
}

TEST(CInterfaceTest, FreesNothing) { hwgq_free(nullptr); }

// The GPU's results, where there is one, are those of the processor; where there is none, the reason is told.
TEST(CInterfaceTest, LoadsForAGpu) {
  const std::vector<uint8_t> model = SumModel();
  EXPECT_EQ(hwgq_load_memory_gpu(model.data(), model.size(), -1), nullptr);
  EXPECT_TRUE(Contains(hwgq_error(), "there is no GPU -1")) << hwgq_error();
  EXPECT_EQ(hwgq_load_gpu(nullptr, 0), nullptr);
  EXPECT_TRUE(Contains(hwgq_error(), "there is no path")) << hwgq_error();
  const Net net(hwgq_load_memory_gpu(model.data(), model.size(), 0));
  if (!net.net) {
    EXPECT_TRUE(Contains(hwgq_error(), "GPU")) << hwgq_error();
    GTEST_SKIP() << hwgq_error();
  }
  const float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {10, 20, 30, 40, 50, 60};
  const float* const inputs[] = {a, b};
  float sum[6], twice[6];
  float* const outputs[] = {sum, twice};
  ASSERT_EQ(hwgq_forward(net.net, 1, inputs, outputs, 0), 0) << hwgq_error();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(sum[i], a[i] + b[i]);
    EXPECT_EQ(twice[i], 2 * b[i]);
  }
}

}  // namespace lowbit
}  // namespace caffe
