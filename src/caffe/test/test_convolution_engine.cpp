// Convolution and deconvolution by a library, held against the plain code.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/convolution_engine.hpp"
#include "environment_for_test.hpp"
#include "layer_test_util.hpp"
#include "reference_convolution.hpp"

namespace caffe {

namespace {

string LayerText(const string& type, const string& settings) {
  return "name: 'conv' phase: TEST type: '" + type +
         "' convolution_param { weight_filler { type: 'gaussian' std: 0.5 } bias_filler { type: 'gaussian' "
         "} " +
         settings + " }";
}

ConvolutionGeometry Geometry3x3(int channels) {
  return {channels, channels, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}};
}

// Small ones of all kinds, and some of the sizes that nets have, with odd ones among them.
vector<ConvolutionCase> AllCases() {
  vector<ConvolutionCase> cases = ConvolutionCases();
  cases.insert(cases.end(), {
                                {"num_output: 33 kernel_size: 3 pad: 1", {5, 17, 9, 11}},
                                {"num_output: 32 kernel_size: 3 stride: 2 pad: 1", {3, 64, 15, 14}},
                                {"num_output: 48 kernel_size: 5 pad: 2 group: 2", {4, 32, 13, 13}},
                                {"num_output: 16 kernel_size: 7 stride: 2 pad: 3", {2, 3, 31, 29}},
                                {"num_output: 64 kernel_size: 1", {7, 32, 8, 8}},
                                {"num_output: 32 kernel_size: 1 stride: 2 bias_term: false", {3, 16, 9, 7}},
                                {"num_output: 32 kernel_size: 3 pad: 1 group: 32", {3, 32, 10, 12}},
                                {"num_output: 16 kernel_size: 3 dilation: 3 pad: 3", {2, 16, 12, 10}},
                                {"num_output: 20 kernel_size: 5", {6, 1, 28, 28}},
                                {"num_output: 3 kernel_size: 3 pad: 2", {2, 5, 3, 4}},
                                {"num_output: 4 kernel_size: 2 kernel_size: 1 kernel_size: 1 kernel_size: 2",
                                 {2, 2, 3, 2, 2, 3}},
                            });
  return cases;
}

// A layer by a library and one by the plain code, with the same weights, input and gradient.
struct Twins {
  Twins(const string& type, const string& settings, const vector<int>& shape)
      : fast(LayerText(type, settings), shape), plain(LayerText(type, settings + " engine: CAFFE"), shape) {
    fast.SetUp();
    plain.SetUp();
    CopyParameters();
  }

  void CopyParameters() {
    for (size_t i = 0; i < fast.layer->blobs().size(); ++i) plain.blob(i).CopyFrom(fast.blob(i));
  }

  // New input and gradient of the shape that the bottoms have, through both.
  void Run() {
    FillNormal(&fast.bottom);
    plain.bottom.CopyFrom(fast.bottom);
    fast.layer->Reshape(fast.bottoms, fast.tops);
    plain.layer->Reshape(plain.bottoms, plain.tops);
    fast.Forward();
    plain.Forward();
    Blob<float> gradient(fast.top.shape());
    FillNormal(&gradient);
    for (LayerFixture<float>* layer : {&fast, &plain}) {
      caffe_copy(gradient.count(), gradient.cpu_data(), layer->top.mutable_cpu_diff());
      for (const auto& blob : layer->layer->blobs()) caffe_set(blob->count(), 3.f, blob->mutable_cpu_diff());
      layer->Backward();
    }
  }

  void ExpectEqual() {
    ASSERT_EQ(fast.top.shape(), plain.top.shape());
    ExpectClose(DataOf(fast.top), DataOf(plain.top));
    ExpectClose(DiffOf(fast.bottom), DiffOf(plain.bottom));
    for (size_t i = 0; i < fast.layer->blobs().size(); ++i) {
      ExpectClose(DiffOf(fast.blob(i)), DiffOf(plain.blob(i)));
    }
  }

  // To what sums of that many products round to: relative to the largest.
  static void ExpectClose(const vector<float>& values, const vector<float>& expected) {
    float largest = 1;
    for (const float value : expected) largest = std::max(largest, std::fabs(value));
    ExpectNear(values, expected, 2e-5 * largest);
  }

  LayerFixture<float> fast, plain;
};

class ConvolutionEngineTest : public ::testing::Test {
 protected:
  ConvolutionEngineTest() { Caffe::set_random_seed(1701); }
  void SetUp() override {
    if (!MakeOneDnnConvolution(Geometry3x3(16), true)) GTEST_SKIP() << "this build has no library";
  }
};

}  // namespace

TEST_F(ConvolutionEngineTest, IsThePlainCode) {
  for (const int threads : {1, 2, 5}) {
    const ThreadsForTest some(threads);
    for (const char* type : {"Convolution", "Deconvolution"}) {
      for (const ConvolutionCase& test : AllCases()) {
        SCOPED_TRACE(string(type) + " " + test.settings + ", threads: " + std::to_string(threads));
        Twins twins(type, test.settings, test.bottom);
        twins.Run();
        twins.ExpectEqual();
      }
    }
  }
}

TEST_F(ConvolutionEngineTest, IsThePlainCodeForBatchesThatAreCutIntoPieces) {
  // Images of about a megabyte, so that a piece is one; and small ones, of which gradients take many.
  const vector<ConvolutionCase> cases = {{"num_output: 32 kernel_size: 3 pad: 1", {7, 32, 64, 64}},
                                         {"num_output: 32 kernel_size: 3 pad: 1", {301, 16, 4, 4}},
                                         {"num_output: 16 kernel_size: 3 stride: 2", {103, 16, 9, 9}}};
  for (const int threads : {1, 2, 3}) {
    const ThreadsForTest some(threads);
    for (const ConvolutionCase& test : cases) {
      SCOPED_TRACE(test.settings + ", threads: " + std::to_string(threads));
      Twins twins("Convolution", test.settings, test.bottom);
      twins.Run();
      twins.ExpectEqual();
    }
  }
}

TEST_F(ConvolutionEngineTest, ComputesNetsOfTheUsualKinds) {
  // The layer falls back without a word; here it must not.
  for (const int images : {1, 3}) {
    const auto engine = MakeOneDnnConvolution(Geometry3x3(16), true);
    const ConvolutionImages batch = {images, {8, 8}, {8, 8}};
    Blob<float> input(images, 16, 8, 8), output(images, 16, 8, 8), weights(16, 16, 3, 3);
    EXPECT_TRUE(engine->Convolve(batch, input.cpu_data(), weights, nullptr, output.mutable_cpu_data()));
    EXPECT_TRUE(engine->ConvolveTransposed(batch, output.cpu_data(), weights, input.mutable_cpu_diff(),
                                           Precision::kFloat));
    EXPECT_TRUE(engine->AddWeightGradient(batch, input.cpu_data(), output.cpu_data(),
                                          weights.mutable_cpu_diff(), Precision::kFloat));
  }
}

TEST_F(ConvolutionEngineTest, SeesThatWeightsChanged) {
  Twins twins("Convolution", "num_output: 16 kernel_size: 3", {2, 16, 6, 6});
  twins.Run();
  FillNormal(&twins.fast.blob(0));
  twins.CopyParameters();
  twins.Run();
  twins.ExpectEqual();
  // Through a pointer that somebody keeps, as a NumPy array does.
  float* kept = twins.fast.blob(0).mutable_cpu_data();
  const shared_ptr<void> owner = twins.fast.blob(0).data()->cpu_owner();
  twins.Run();
  kept[7] += 5;
  twins.plain.blob(0).mutable_cpu_data()[7] += 5;
  twins.Run();
  twins.ExpectEqual();
  // Other memory altogether.
  Blob<float> other(twins.fast.blob(0).shape());
  FillNormal(&other);
  twins.fast.blob(0).ShareData(other);
  twins.CopyParameters();
  twins.Run();
  twins.ExpectEqual();
}

TEST_F(ConvolutionEngineTest, FollowsTheShapeOfItsBottom) {
  Twins twins("Convolution", "num_output: 16 kernel_size: 3 pad: 1", {4, 16, 8, 8});
  std::mt19937 random(1);
  // More than are remembered at once, and old ones again.
  for (int i = 0; i < 100; ++i) {
    const vector<int> shape = {1 + static_cast<int>(random() % 5), 16, 3 + static_cast<int>(random() % 6),
                               3 + static_cast<int>(random() % 6)};
    twins.fast.bottom.Reshape(shape);
    twins.plain.bottom.Reshape(shape);
    twins.Run();
    twins.ExpectEqual();
  }
}

TEST_F(ConvolutionEngineTest, IsTheSameFromRunToRun) {
  const ThreadsForTest threads(3);
  LayerFixture<float> conv(LayerText("Convolution", "num_output: 32 kernel_size: 3 pad: 1"),
                           {50, 16, 16, 16});
  conv.SetUp();
  FillNormal(&conv.top);
  vector<float> first;
  for (int run = 0; run < 3; ++run) {
    conv.Forward();
    caffe_copy(conv.top.count(), conv.top.cpu_data(), conv.top.mutable_cpu_diff());
    caffe_set(conv.blob(0).count(), 0.f, conv.blob(0).mutable_cpu_diff());
    conv.Backward();
    vector<float> values = DataOf(conv.top);
    for (const vector<float>& more : {DiffOf(conv.bottom), DiffOf(conv.blob(0))}) {
      values.insert(values.end(), more.begin(), more.end());
    }
    if (run == 0) first = values;
    EXPECT_EQ(values, first);
  }
}

TEST_F(ConvolutionEngineTest, RunsOnSeveralThreadsOfTheCallerAtOnce) {
  vector<std::unique_ptr<Twins>> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(
        std::make_unique<Twins>("Convolution", "num_output: 32 kernel_size: 3", vector<int>{9, 16, 12, 12}));
  }
  vector<std::thread> threads;
  for (auto& twins : all) {
    threads.emplace_back([&twins] {
      for (int i = 0; i < 20; ++i) twins->Run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& twins : all) twins->ExpectEqual();
}

TEST_F(ConvolutionEngineTest, EmptyBatchesAreLeftAlone) {
  LayerFixture<float> conv(LayerText("Convolution", "num_output: 16 kernel_size: 3"), {1, 16, 6, 6});
  conv.SetUp();
  conv.bottom.Reshape({0, 16, 6, 6});
  conv.layer->Reshape(conv.bottoms, conv.tops);
  conv.Forward();
  conv.Backward();
  EXPECT_EQ(conv.top.shape(), (vector<int>{0, 16, 4, 4}));
}

TEST(EngineChoiceTest, DoublesAreComputedPlainly) {
  LayerFixture<double> conv(LayerText("Convolution", "num_output: 16 kernel_size: 3"), {2, 16, 6, 6});
  LayerFixture<double> plain(LayerText("Convolution", "num_output: 16 kernel_size: 3 engine: CAFFE"),
                             {2, 16, 6, 6});
  conv.SetUp();
  plain.SetUp();
  plain.bottom.CopyFrom(conv.bottom);
  for (int i = 0; i < 2; ++i) plain.blob(i).CopyFrom(conv.blob(i));
  conv.Forward();
  plain.Forward();
  EXPECT_EQ(DataOf(conv.top), DataOf(plain.top));
}

TEST(EngineChoiceTest, TheEnvironmentMayChooseThePlainCode) {
  const EnvironmentForTest engine("CAFFE_ENGINE", "CAFFE");
  Twins twins("Convolution", "num_output: 16 kernel_size: 3", {2, 16, 6, 6});
  twins.Run();
  EXPECT_EQ(DataOf(twins.fast.top), DataOf(twins.plain.top));
  EXPECT_EQ(DiffOf(twins.fast.bottom), DiffOf(twins.plain.bottom));
  EXPECT_EQ(DiffOf(twins.fast.blob(0)), DiffOf(twins.plain.blob(0)));
}

TEST(EngineChoiceTest, AnUnknownEngineInTheEnvironmentIsAnError) {
  const EnvironmentForTest engine("CAFFE_ENGINE", "onednn");
  const auto make = [] {
    LayerFixture<float>(LayerText("Convolution", "num_output: 2 kernel_size: 3"), {1, 1, 3, 3}).SetUp();
  };
  EXPECT_TRUE(Contains(ErrorOf(make), "CAFFE_ENGINE is 'onednn'"));
}

}  // namespace caffe
