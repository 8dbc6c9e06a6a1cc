// Binary layers on integers: in nets, and what they are made of.
#include "caffe/util/integer_product.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "binary_layer_test_util.hpp"
#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/binary_product.hpp"
#include "caffe/lowbit/integer_levels.hpp"
#include "caffe/lowbit/level_codes.hpp"
#include "caffe/lowbit/thread_pool.hpp"
#include "caffe/net.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/sign_bits.hpp"
#include "environment_for_test.hpp"
#include "layer_test_util.hpp"
#include "net_test_util.hpp"
#include "reference_convolution.hpp"

namespace caffe {

namespace {

const char kUniform[] = "centers: 0.538 centers: 1.076 centers: 1.614";

const vector<string> kQuantizers = {
    kUniform,
    "centers: 0.7",
    "centers: 0.5 centers: 1 centers: 1.5 centers: 2 centers: 2.5 centers: 3 centers: 3.5",
    "forward_func: 'sign'",
    "centers: 0.4528 centers: 1.51 centers: 2.2",
    "centers: 0.31415927 centers: 1.4142135 centers: 2.7182817",
};

string Dims(const vector<int>& shape) {
  string text;
  for (const int dim : shape) text += " dim: " + std::to_string(dim);
  return text;
}

string LayerText(const string& type, const string& bottom, const string& top, const string& settings = "") {
  return "layer { name: '" + top + "' type: '" + type + "' bottom: '" + bottom + "' top: '" + top + "' " +
         settings + " } ";
}

string Input(const vector<int>& shape) {
  return "layer { name: 'data' type: 'Input' top: 'data' input_param { shape {" + Dims(shape) + " } } } ";
}

string Conv(const string& bottom, const string& settings) {
  return LayerText(
      "BinaryConvolution", bottom, "product",
      "convolution_param { weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } " + settings +
          " } binary_convolution_param { use_alpha: true }");
}

string InnerProduct(const string& bottom, const string& settings) {
  return LayerText(
      "BinaryInnerProduct", bottom, "product",
      "inner_product_param { weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } " +
          settings + " } binary_inner_product_param { use_alpha: true }");
}

string Quant(const string& param = kUniform) {
  return LayerText("Quant", "data", "quant", "quant_param { " + param + " }");
}

const char kConv[] = "num_output: 5 kernel_size: 3 pad: 1";

// A net with a Quant before a convolution of 2 x 6 x 5 x 7.
string SmallNet() { return Input({2, 6, 5, 7}) + Quant() + Conv("quant", kConv); }

template <typename Dtype>
shared_ptr<Net<Dtype>> MakeNetIn(Phase phase, const string& text) {
  NetParameter param = FromText<NetParameter>(text);
  param.mutable_state()->set_phase(phase);
  Caffe::set_random_seed(1701);
  auto net = std::make_shared<Net<Dtype>>(param);
  FillNormal(net->input_blobs()[0]);
  return net;
}

template <typename Dtype = float>
shared_ptr<Net<Dtype>> TestNet(const string& text) {
  return MakeNetIn<Dtype>(TEST, text);
}

shared_ptr<Net<float>> FloatNet(const string& text) {
  const EnvironmentForTest floats("HWGQ_FLOAT_NET", "1");
  return TestNet(text);
}

vector<float> Product(const Net<float>& net) { return DataOf(*net.blob_by_name("product")); }

// What a net computes from a layer on.
vector<float> ProductFrom(Net<float>* net, const string& layer) {
  const auto& names = net->layer_names();
  net->ForwardFrom(static_cast<int>(std::find(names.begin(), names.end(), layer) - names.begin()));
  return Product(*net);
}

void ExpectClose(const vector<float>& values, const vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  double largest = 0;
  for (const double value : expected) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], 1e-5 * std::max(std::fabs(expected[i]), largest * 0.1))
        << "element " << i;
  }
}

void ExpectClose(const vector<float>& values, const vector<float>& expected) {
  ExpectClose(values, vector<double>(expected.begin(), expected.end()));
}

// Whether a net that has not run yet computes with integers: only they ask for a kernel.
template <typename Dtype>
bool UsesIntegers(Net<Dtype>* net) {
  const EnvironmentForTest kernel("HWGQ_KERNEL", "none");
  const string error = ErrorOf([net] { net->Forward(); });
  EXPECT_TRUE(error.empty() || Contains(error, "layer 'product'")) << error;
  return Contains(error, "HWGQ_KERNEL: none is no kernel");
}

}  // namespace

TEST(IntegerNetTest, ConvolutionsEqualTheDefinition) {
  for (const ConvolutionCase& test : ConvolutionCases()) {
    for (const string& quantizer : kQuantizers) {
      SCOPED_TRACE(test.settings + " " + quantizer);
      const string text = Input(test.bottom) + Quant(quantizer) + Conv("quant", test.settings);
      const auto net = TestNet(text);
      net->Forward();
      const auto& layer = net->layer_by_name("product");
      const ReferenceConvolution reference(layer->layer_param().convolution_param(), test.bottom);
      const vector<float> binary = ReferenceBinarized(*layer->blobs()[0], true);
      ExpectClose(Product(*net),
                  reference.Run(net->blob_by_name("quant")->cpu_data(), binary.data(),
                                layer->blobs().size() > 1 ? layer->blobs()[1]->cpu_data() : nullptr));
    }
  }
}

TEST(IntegerNetTest, EveryKernelAndNumberOfThreadsGivesTheSame) {
  const string text =
      Input({3, 70, 19, 17}) + Quant() + Conv("quant", "num_output: 90 kernel_size: 3 pad: 1");
  const auto expected = FloatNet(text);
  expected->Forward();
  vector<float> first;
  for (const lowbit::BinaryKernel* kernel : lowbit::BinaryKernels()) {
    if (!kernel->available()) continue;
    SCOPED_TRACE(kernel->name);
    const EnvironmentForTest named("HWGQ_KERNEL", kernel->name);
    for (const int threads : {1, 3}) {
      const ThreadsForTest some(threads);
      const auto net = TestNet(text);
      net->Forward();
      if (first.empty()) first = Product(*net);
      EXPECT_EQ(Product(*net), first);
    }
  }
  ExpectClose(first, Product(*expected));
}

TEST(IntegerNetTest, InnerProductsEqualThoseOfFloats) {
  for (const string& quantizer : kQuantizers) {
    for (const char* const settings : {"num_output: 70", "num_output: 3 bias_term: false axis: 2"}) {
      SCOPED_TRACE(quantizer + " " + settings);
      const string text = Input({3, 7, 9, 4}) + Quant(quantizer) + InnerProduct("quant", settings);
      const auto net = TestNet(text), expected = FloatNet(text);
      net->Forward();
      expected->Forward();
      ExpectClose(Product(*net), Product(*expected));
    }
  }
  EXPECT_TRUE(UsesIntegers(TestNet(Input({2, 8}) + Quant() + InnerProduct("quant", "num_output: 2")).get()));
}

TEST(IntegerNetTest, ComputesWithIntegersBehindAQuantizerOnly) {
  EXPECT_TRUE(UsesIntegers(TestNet(SmallNet()).get()));
  EXPECT_FALSE(UsesIntegers(FloatNet(SmallNet()).get()));
  EXPECT_TRUE(UsesIntegers(MakeNetIn<float>(TRAIN, SmallNet()).get()));
  EXPECT_FALSE(UsesIntegers(TestNet<double>(SmallNet()).get()));
  const auto with = [](const string& quant) {
    return UsesIntegers(TestNet(Input({2, 6, 5, 7}) + quant + Conv("quant", kConv)).get());
  };
  for (const string& quantizer : kQuantizers) EXPECT_TRUE(with(Quant(quantizer))) << quantizer;
  EXPECT_FALSE(with(Quant("forward_func: 'relu'")));
  EXPECT_FALSE(with(Quant("centers: 1 negative_slope: 0.1")));
  EXPECT_FALSE(with(LayerText("ReLU", "data", "quant")));
  // More levels than codes.
  string many;
  for (int j = 1; j < 20; ++j) many += " centers: " + std::to_string(j);
  EXPECT_FALSE(with(Quant(many)));
  // More inputs than a packed model may have.
  EXPECT_FALSE(
      UsesIntegers(TestNet(Input({1, 1100000}) + Quant() + InnerProduct("quant", "num_output: 1")).get()));
  // In no proportion of integers whose sums fit.
  EXPECT_FALSE(with(Quant("centers: 1e-12 centers: 0.31415927")));
}

// Dropout scales values in training.
TEST(IntegerNetTest, DropoutPassesLevelsWhereItDoesNothing) {
  const string text =
      Input({2, 6}) + Quant() + LayerText("Dropout", "quant", "x") + InnerProduct("x", "num_output: 2");
  EXPECT_TRUE(UsesIntegers(MakeNetIn<float>(TEST, text).get()));
  EXPECT_FALSE(UsesIntegers(MakeNetIn<float>(TRAIN, text).get()));
}

TEST(IntegerNetTest, TrainsAsFloatsDo) {
  const string text =
      Input({4, 6, 5, 7}) + Quant() + Conv("quant", kConv) +
      LayerText("Reduction", "product", "loss", "loss_weight: 0.01 reduction_param { operation: SUMSQ }");
  const auto integers = MakeNetIn<float>(TRAIN, text);
  const auto floats = [&] {
    const EnvironmentForTest wanted("HWGQ_FLOAT_NET", "1");
    return MakeNetIn<float>(TRAIN, text);
  }();
  const vector<float> before = DataOf(*integers->learnable_params()[0]);
  for (int step = 0; step < 5; ++step) {
    for (Net<float>* net : {integers.get(), floats.get()}) {
      net->ClearParamDiffs();
      net->ForwardBackward();
      net->Update();
    }
    ExpectClose(Product(*integers), Product(*floats));
    for (size_t i = 0; i < integers->learnable_params().size(); ++i) {
      ExpectClose(DataOf(*integers->learnable_params()[i]), DataOf(*floats->learnable_params()[i]));
    }
  }
  // Signs changed on the way.
  const vector<float> after = DataOf(*integers->learnable_params()[0]);
  int changed = 0;
  for (size_t i = 0; i < before.size(); ++i) changed += (before[i] < 0) != (after[i] < 0);
  EXPECT_GT(changed, 0);
}

TEST(IntegerNetTest, LevelsPassThroughLayersThatMoveValues) {
  const auto with = [](const string& layers, const string& bottom) {
    return UsesIntegers(
        TestNet(Input({2, 6, 6, 7}) + Quant() + layers + InnerProduct(bottom, "num_output: 2")).get());
  };
  EXPECT_TRUE(with(LayerText("Pooling", "quant", "x", "pooling_param { kernel_size: 2 stride: 2 }"), "x"));
  EXPECT_TRUE(with(LayerText("Flatten", "quant", "x") + LayerText("Dropout", "x", "y"), "y"));
  // Read twice: there is a Split.
  EXPECT_TRUE(with(LayerText("AbsVal", "quant", "x"), "quant"));
  const string other = LayerText("Quant", "data", "other", "quant_param { centers: 0.3 }");
  const auto concat = [](const string& second) {
    return "layer { name: 'c' type: 'Concat' bottom: 'quant' bottom: '" + second + "' top: 'c' } ";
  };
  EXPECT_TRUE(with(LayerText("Flatten", "quant", "x") +
                       LayerText("Reshape", "x", "y", "reshape_param { shape { dim: 0 dim: -1 } }"),
                   "y"));
  EXPECT_FALSE(with(other + concat("other"), "c"));
  EXPECT_TRUE(
      with(LayerText("Quant", "data", "other", "quant_param { " + string(kUniform) + " }") + concat("other"),
           "c"));
  EXPECT_FALSE(with(LayerText("Pooling", "quant", "x", "pooling_param { pool: AVE kernel_size: 2 }"), "x"));
  EXPECT_FALSE(with(LayerText("Power", "quant", "quant", "power_param { scale: 2 }"), "quant"));
}

TEST(IntegerNetTest, OtherValuesThanLevelsAreComputedInFloat) {
  const auto net = TestNet(SmallNet()), expected = FloatNet(SmallNet());
  net->Forward();
  expected->Forward();
  Blob<float>& quant = *net->blob_by_name("quant");
  for (const float value : {0.25f, -3.f, std::nanf(""), 1.076f}) {
    for (const auto& each : {net, expected}) each->blob_by_name("quant")->mutable_cpu_data()[17] = value;
    const vector<float> values = ProductFrom(net.get(), "product"),
                        floats = ProductFrom(expected.get(), "product");
    ASSERT_EQ(values.size(), floats.size());
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(std::isnan(values[i]), std::isnan(floats[i]));
      if (!std::isnan(floats[i])) {
        EXPECT_NEAR(values[i], floats[i], 1e-4);
      }
    }
  }
  // -0 is 0.
  for (int i = 0; i < quant.count(); ++i) {
    if (quant.cpu_data()[i] == 0) quant.mutable_cpu_data()[i] = -0.f;
  }
  ExpectClose(ProductFrom(net.get(), "product"), Product(*expected));
}

TEST(IntegerNetTest, FollowsTheWeights) {
  const auto net = TestNet(SmallNet()), expected = FloatNet(SmallNet());
  Blob<float>& weights = *net->layer_by_name("product")->blobs()[0];
  Blob<float>& bias = *net->layer_by_name("product")->blobs()[1];
  const auto check = [&](const char* what) {
    SCOPED_TRACE(what);
    for (int i = 0; i < 2; ++i) {
      expected->layer_by_name("product")->blobs()[i]->CopyFrom(*net->layer_by_name("product")->blobs()[i]);
    }
    net->Forward();
    expected->Forward();
    ExpectClose(Product(*net), Product(*expected));
  };
  check("first");
  check("unchanged");
  for (int i = 0; i < 20; ++i) weights.mutable_cpu_data()[i] *= -1;
  check("signs");
  caffe_scal(weights.count(), 3.f, weights.mutable_cpu_data());
  check("alphas");
  bias.mutable_cpu_data()[2] = 7;
  check("bias");
  // As a NumPy array does.
  float* const held = weights.mutable_cpu_data();
  const std::shared_ptr<void> owner = weights.data()->cpu_owner();
  check("held memory");
  for (int i = 30; i < 60; ++i) held[i] = 1;
  check("written to held memory");
  Blob<float> other(weights.shape());
  FillNormal(&other);
  while (other.data()->version() < weights.data()->version()) other.mutable_cpu_data();
  weights.ShareData(other);
  check("memory of another blob");
  vector<float> lent(weights.count(), -0.5f);
  weights.set_cpu_data(lent.data());
  check("lent memory");
  lent[5] = 2;
  check("written to lent memory");
  weights.mutable_cpu_data()[7] = std::numeric_limits<float>::infinity();
  net->Forward();
  expected->layer_by_name("product")->blobs()[0]->CopyFrom(weights);
  expected->Forward();
  for (size_t i = 0; i < Product(*net).size(); ++i) {
    EXPECT_EQ(std::isnan(Product(*net)[i]), std::isnan(Product(*expected)[i]));
  }
}

TEST(IntegerNetTest, FollowsTheShape) {
  const auto net = TestNet(SmallNet()), expected = FloatNet(SmallNet());
  for (const vector<int>& shape :
       vector<vector<int>>{{2, 6, 5, 7}, {5, 6, 5, 7}, {1, 6, 9, 4}, {0, 6, 9, 4}}) {
    net->input_blobs()[0]->Reshape(shape);
    if (net->input_blobs()[0]->count() > 0) FillNormal(net->input_blobs()[0]);
    expected->input_blobs()[0]->CopyFrom(*net->input_blobs()[0], false, true);
    net->Forward();
    expected->Forward();
    ExpectClose(Product(*net), Product(*expected));
  }
}

// More images than pass together.
TEST(IntegerNetTest, TakesLargeBatches) {
  const string text = Input({40, 16, 60, 60}) + Quant() + Conv("quant", "num_output: 3 kernel_size: 1");
  const auto net = TestNet(text), expected = FloatNet(text);
  net->Forward();
  expected->Forward();
  ExpectClose(Product(*net), Product(*expected));
}

TEST(IntegerNetTest, BackwardIsThatOfFloats) {
  for (const string& product : {Conv("quant", kConv), InnerProduct("quant", "num_output: 4")}) {
    const string text = "force_backward: true " + Input({2, 6, 5, 7}) + Quant() + product;
    const auto net = TestNet(text), expected = FloatNet(text);
    for (int pass = 0; pass < 2; ++pass) {
      for (const auto& each : {net, expected}) {
        each->Forward();
        each->ClearParamDiffs();
        Blob<float>& top = *each->blob_by_name("product");
        for (int i = 0; i < top.count(); ++i) top.mutable_cpu_diff()[i] = static_cast<float>(i % 7 - 3);
        each->Backward();
        // Between the passes; B is that of the next.
        each->params()[0]->mutable_cpu_data()[3] = -4;
      }
      ExpectNear(DiffOf(*net->blob_by_name("quant")), DiffOf(*expected->blob_by_name("quant")), 1e-6);
      for (int i = 0; i < 2; ++i) ExpectNear(DiffOf(*net->params()[i]), DiffOf(*expected->params()[i]), 1e-6);
    }
  }
}

// So many weights that they are made floats a part of the outputs at a time.
TEST(IntegerNetTest, BackwardOfALargeInnerProductIsThatOfFloats) {
  const string text =
      "force_backward: true " + Input({3, 20001}) + Quant() + InnerProduct("quant", "num_output: 131");
  const auto net = TestNet(text), expected = FloatNet(text);
  for (const auto& each : {net, expected}) {
    each->Forward();
    Blob<float>& top = *each->blob_by_name("product");
    for (int i = 0; i < top.count(); ++i) top.mutable_cpu_diff()[i] = static_cast<float>(i % 7 - 3);
    each->Backward();
  }
  ExpectNear(DiffOf(*net->blob_by_name("quant")), DiffOf(*expected->blob_by_name("quant")), 1e-4);
}

TEST(BinaryProductTest, LeavesAllLoopsToTheCaller) {
  lowbit::BinaryProductShape shape;
  shape.channels = shape.outputs = 64;
  shape.height = shape.width = 20;
  const vector<uint8_t> signs(shape.outputs * SignBytes(shape.weights()), 0xff);
  int loops = 0;
  const lowbit::ParallelLoop loop = [&](int64_t tasks, const std::function<void(int64_t)>& task) {
    ++loops;
    for (int64_t i = tasks; i-- > 0;) task(i);
  };
  const auto product = lowbit::BinaryProduct::Make(shape, {0, 1}, signs.data(), 2, loop);
  const int elements = 64 * 20 * 20;
  const vector<float> input(elements, 1), scales(shape.outputs, 0.5f);
  vector<float> output(elements);
  EXPECT_TRUE(product->Run(1, input.data(), scales.data(), nullptr, output.data(), 4, loop));
  EXPECT_EQ(output, vector<float>(elements, 32));
  // To find codes and to put the result into order, and those of the convolution.
  EXPECT_GT(loops, 2);
  // To order weights and to pack them.
  loops = 0;
  shape.outputs = 200;
  shape.kernel_h = shape.kernel_w = 3;
  const vector<uint8_t> many_signs(shape.outputs * SignBytes(shape.weights()), 0xff);
  lowbit::BinaryProduct::Make(shape, {0, 1}, many_signs.data(), 2, loop);
  EXPECT_EQ(loops, 2);
}

TEST(IntegerLevelsTest, AreInTheProportionOfTheValues) {
  const int64_t most = 100000;
  const auto levels = [=](const vector<float>& values) {
    return lowbit::FindIntegerLevels(values, most).levels;
  };
  EXPECT_EQ(levels({0, 0.538f, 1.076f, 1.614f}), (vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(levels({-1, 1}), (vector<int32_t>{-1, 1}));
  EXPECT_EQ(levels({0, 0.7f}), (vector<int32_t>{0, 1}));
  EXPECT_EQ(levels({0, 0.45f, 1.5f}), (vector<int32_t>{0, 3, 10}));
  EXPECT_NEAR(lowbit::FindIntegerLevels({0, 0.45f, 1.5f}, most).unit, 0.15, 1e-7);
  EXPECT_EQ(levels({0, 0.31415927f, 1.4142135f}), vector<int32_t>());
  const vector<float> odd = {0, 0.31415927f, 1.4142135f};
  const lowbit::IntegerLevels fine = lowbit::FindIntegerLevels(odd, 1 << 30);
  ASSERT_EQ(fine.levels.size(), odd.size());
  for (size_t j = 0; j < odd.size(); ++j) EXPECT_NEAR(fine.levels[j] * fine.unit, odd[j], 2e-6 * odd[j]);
  EXPECT_EQ(levels({0, 0}), vector<int32_t>());
}

TEST(LevelCodesTest, PutsCodesOfChannelsBehindEachOther) {
  for (const int count : {2, 3, 4, 9, 16}) {
    vector<float> levels;
    for (int j = 0; j < count; ++j) levels.push_back(static_cast<float>(j * j) - 2);
    const lowbit::LevelCodes codes(levels);
    for (const int channels : {1, 3, 8, 21}) {
      constexpr int kImagePixels = 150;
      vector<float> image(channels * kImagePixels);
      for (size_t i = 0; i < image.size(); ++i) image[i] = levels[i * i % 31 % count];
      vector<uint8_t> found(image.size(), 99);
      for (int first = 0; first < kImagePixels; first += lowbit::LevelCodes::kPixels) {
        const int pixels = std::min(lowbit::LevelCodes::kPixels, kImagePixels - first);
        ASSERT_TRUE(codes.Find(image.data(), channels, kImagePixels, first, pixels, found.data()));
      }
      for (size_t i = 0; i < image.size(); ++i) {
        const size_t channel = i / kImagePixels, pixel = i % kImagePixels;
        ASSERT_EQ(found[pixel * channels + channel], i * i % 31 % count);
      }
      image[100 + kImagePixels * (channels - 1)] += 0.5f;
      EXPECT_FALSE(codes.Find(image.data(), channels, kImagePixels, 64, 64, found.data()));
      EXPECT_TRUE(codes.Find(image.data(), channels, kImagePixels, 0, 64, found.data()));
    }
  }
}

TEST(LoopsElsewhereTest, TakeTheLoopsOfTheirThread) {
  const auto runs_elsewhere = [] {
    bool elsewhere = true;
    lowbit::ThreadPool::Shared().Run(2, 1000, [&](int64_t task) {
      if (task >= 0) elsewhere = false;
    });
    return elsewhere;
  };
  int64_t seen = 0;
  const lowbit::LoopsElsewhere::Loop loop = [&](int64_t tasks, const std::function<void(int64_t)>& task) {
    seen += tasks;
    task(-1);
  };
  EXPECT_FALSE(runs_elsewhere());
  {
    const lowbit::LoopsElsewhere elsewhere(loop);
    EXPECT_TRUE(runs_elsewhere());
    bool in_other_thread = true;
    std::thread([&] { in_other_thread = runs_elsewhere(); }).join();
    EXPECT_FALSE(in_other_thread);
  }
  EXPECT_FALSE(runs_elsewhere());
  EXPECT_EQ(seen, 1000);
}

}  // namespace caffe
