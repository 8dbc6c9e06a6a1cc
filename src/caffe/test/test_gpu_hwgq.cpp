// Binary layers and quantizers on a GPU: against the CPU, to the last bit where integers are summed.
#include <gtest/gtest.h>

#ifndef CPU_ONLY

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "binary_layer_test_util.hpp"
#include "caffe/lowbit/binary_product.hpp"
#include "caffe/net.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/gpu_binary_gradients.hpp"
#include "caffe/util/gpu_binary_product.hpp"
#include "caffe/util/quantize.hpp"
#include "caffe/util/sign_bits.hpp"
#include "environment_for_test.hpp"
#include "gpu_test_util.hpp"
#include "net_test_util.hpp"
#include "reference_convolution.hpp"

namespace caffe {

namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

const vector<vector<float>> kLevels = {
    {0, 0.538f, 1.076f, 1.614f},
    {-1, 1},
    {0, 0.7f},
    {0, 0.5f, 1, 1.5f, 2, 2.5f, 3, 3.5f},
    {0, 0.3f, 0.6f, 0.9f, 1.2f, 1.5f, 1.8f, 2.1f, 2.4f, 2.7f, 3, 3.3f, 3.6f, 3.9f, 4.2f, 4.5f},
    // Of two bytes each, and of three.
    {0, 0.4528f, 1.51f, 2.2f},
    {0, 0.31415927f, 1.4142135f},
    {-2.55f, -0.01f, 1.28f},
};

using Loop = std::function<void(int64_t)>;
void RunLoop(int64_t tasks, const Loop& task) {
  for (int64_t i = 0; i < tasks; ++i) task(i);
}

// A product of random numbers, on the CPU and on the GPU.
class RandomProduct {
 public:
  RandomProduct(unsigned seed, const lowbit::BinaryProductShape& shape, const vector<float>& levels,
                int images)
      : random_(seed), shape_(shape), levels_(levels), images_(images) {
    std::normal_distribution<float> normal;
    input_.Reshape({images, shape.channels, shape.height, shape.width});
    std::uniform_int_distribution<size_t> code(0, levels.size() - 1);
    Fill(&input_, [&] { return levels[code(random_)]; });
    weights_.Reshape({shape.outputs, static_cast<int>(shape.weights())});
    Fill(&weights_, [&] { return normal(random_); });
    bias_.Reshape({shape.outputs});
    Fill(&bias_, [&] { return normal(random_); });
    const auto size = [](int size, int kernel, int stride, int pad, int dilation) {
      return (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
    };
    output_.Reshape({images, shape.outputs,
                     size(shape.height, shape.kernel_h, shape.stride_h, shape.pad_h, shape.dilation_h),
                     size(shape.width, shape.kernel_w, shape.stride_w, shape.pad_w, shape.dilation_w)});
  }

  vector<float> OnCpu() {
    vector<float> alphas;
    vector<uint8_t> signs;
    BinarizeToSigns(weights_, true, &alphas, &signs);
    const auto product = lowbit::BinaryProduct::Make(shape_, levels_, signs.data(), 1, RunLoop);
    EXPECT_TRUE(product);
    vector<float> output(output_.count());
    EXPECT_TRUE(
        product->Run(images_, input_.cpu_data(), alphas.data(), bias_.cpu_data(), output.data(), 1, RunLoop));
    return output;
  }

  vector<float> OnGpu() {
    Run(MakeOnGpu().get());
    return DataOf(output_);
  }

  // One thread computes, and this one ends the product meanwhile.
  vector<float> OnGpuOfAnotherThread() {
    auto product = MakeOnGpu();
    CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
    std::promise<void> started, ended;
    std::thread computing([&] {
      Run(product.get());
      started.set_value();
      ended.get_future().wait();
      CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
    });
    started.get_future().wait();
    product.reset();
    CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
    ended.set_value();
    computing.join();
    return DataOf(output_);
  }

  // Of the levels' codes, as Quant keeps them, with and without a gradient.
  vector<float> OfCodes(bool in_halves) {
    Blob<float> kept({input_.count()});
    auto* const bytes = reinterpret_cast<unsigned char*>(kept.mutable_cpu_data());
    std::fill_n(bytes, kept.count() * sizeof(float), 0);
    for (int i = 0; i < input_.count(); ++i) {
      const float value = input_.cpu_data()[i];
      const auto code = std::find(levels_.begin(), levels_.end(), value) - levels_.begin();
      const unsigned char byte = KeptByte(std::isnan(value) ? kNanCode : static_cast<int>(code), i % 3 == 0);
      if (in_halves) {
        bytes[i / 2] |= KeptHalfByte(byte) << i % 2 * 4;
      } else {
        bytes[i] = byte;
      }
    }
    KeptCodes codes;
    codes.kept = {reinterpret_cast<const unsigned char*>(kept.gpu_data()), in_halves};
    codes.count = static_cast<int>(levels_.size());
    std::copy(levels_.begin(), levels_.end(), codes.levels);
    const auto product = GpuBinaryProduct::Make(shape_, levels_);
    product->SetWeights(weights_.gpu_data(), true);
    caffe_gpu_set(output_.count(), kNan, output_.mutable_gpu_data());
    EXPECT_TRUE(product->Run(images_, codes, bias_.gpu_data(), output_.mutable_gpu_data()));
    const vector<float> output = DataOf(output_);
    codes.levels[0] += 100;
    EXPECT_FALSE(product->Run(images_, codes, bias_.gpu_data(), output_.mutable_gpu_data()));
    return output;
  }

  void PutNan() { input_.mutable_cpu_data()[input_.count() / 2] = kNan; }

 private:
  std::unique_ptr<GpuBinaryProduct> MakeOnGpu() {
    auto product = GpuBinaryProduct::Make(shape_, levels_);
    EXPECT_TRUE(product);
    product->SetWeights(weights_.gpu_data(), true);
    return product;
  }
  void Run(GpuBinaryProduct* product) {
    // What is not written shows.
    caffe_gpu_set(output_.count(), kNan, output_.mutable_gpu_data());
    product->Run(images_, input_.gpu_data(), bias_.gpu_data(), output_.mutable_gpu_data());
  }

  template <typename Draw>
  static void Fill(Blob<float>* blob, const Draw& draw) {
    std::generate_n(blob->mutable_cpu_data(), blob->count(), draw);
  }

  std::mt19937 random_;
  const lowbit::BinaryProductShape shape_;
  const vector<float> levels_;
  const int images_;
  Blob<float> input_, weights_, bias_, output_;
};

// A product of three images of one pixel, again and again.
struct SmallProduct {
  SmallProduct() {
    lowbit::BinaryProductShape shape;
    shape.channels = 90, shape.outputs = 40;
    product = GpuBinaryProduct::Make(shape, kLevels[0]);
    FillNormal(&weights);
    for (int i = 0; i < input.count(); ++i) input.mutable_cpu_data()[i] = kLevels[0][i * 7 % 4];
  }
  vector<float> Run(float first_weight, float first_input) {
    weights.mutable_cpu_data()[0] = first_weight;
    input.mutable_cpu_data()[0] = first_input;
    product->SetWeights(weights.gpu_data(), true);
    product->Run(3, input.gpu_data(), nullptr, output.mutable_gpu_data());
    return DataOf(output);
  }

  std::unique_ptr<GpuBinaryProduct> product;
  Blob<float> weights{vector<int>{40, 90}}, alphas{vector<int>{40}}, input{vector<int>{3, 90}},
      output{vector<int>{3, 40}};
};

void ExpectSameBits(const vector<float>& values, const vector<float>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(0, std::memcmp(&values[i], &expected[i], sizeof(float)))
        << "element " << i << " of " << values.size() << ": " << values[i] << " on the GPU, " << expected[i]
        << " on the CPU";
  }
}

string LayerText(const string& type, const string& bottom, const string& top, const string& settings = "") {
  return "layer { name: '" + top + "' type: '" + type + "' bottom: '" + bottom + "' top: '" + top + "' " +
         settings + " } ";
}

string Input(const vector<int>& shape) {
  string dims;
  for (const int dim : shape) dims += " dim: " + std::to_string(dim);
  return "layer { name: 'data' type: 'Input' top: 'data' input_param { shape {" + dims + " } } } ";
}

string Quant(const string& param) {
  return LayerText("Quant", "data", "quant", "quant_param { " + param + " }");
}

const char kUniform[] = "centers: 0.538 centers: 1.076 centers: 1.614";

string Conv(const string& settings, const string& binary = "use_alpha: true") {
  return LayerText(
      "BinaryConvolution", "quant", "product",
      "convolution_param { weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } " + settings +
          " } binary_convolution_param { " + binary + " }");
}

string InnerProduct(const string& settings, const string& binary = "use_alpha: true") {
  return LayerText(
      "BinaryInnerProduct", "quant", "product",
      "inner_product_param { weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } " +
          settings + " } binary_inner_product_param { " + binary + " }");
}

template <typename Dtype = float>
shared_ptr<Net<Dtype>> SeededNet(const string& text) {
  Caffe::set_random_seed(1701);
  const auto net = MakeNet<Dtype>("force_backward: true " + text);
  FillNormal(net->input_blobs()[0]);
  return net;
}

vector<float> ProductOf(Net<float>* net, Caffe::Brew brew) {
  const ModeForTest mode(brew);
  net->Forward();
  return DataOf(*net->blob_by_name("product"));
}

// Forward and backward from some gradient.
void RunBoth(Net<float>* net, Caffe::Brew brew) {
  const ModeForTest mode(brew);
  net->ClearParamDiffs();
  net->Forward();
  Blob<float>& top = *net->blob_by_name("product");
  for (int i = 0; i < top.count(); ++i) top.mutable_cpu_diff()[i] = static_cast<float>(i % 7 - 3);
  net->Backward();
}

double Norm(const vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

// Of differences, relative to what is expected.
void ExpectNearInNorm(const vector<float>& values, const vector<float>& expected, double tolerance,
                      const string& what) {
  ASSERT_EQ(values.size(), expected.size());
  vector<float> differences;
  for (size_t i = 0; i < values.size(); ++i) differences.push_back(values[i] - expected[i]);
  EXPECT_LE(Norm(differences), tolerance * Norm(expected)) << what;
}

// Gradients on the GPU against those of floats on the CPU.
void ExpectSameGradients(
    const string& text, double tolerance,
    const std::function<void(Net<float>*)>& change = [](Net<float>*) {}) {
  const auto net = SeededNet(text), expected = SeededNet(text);
  for (const auto& each : {net, expected}) change(each.get());
  RunBoth(net.get(), Caffe::GPU);
  {
    const EnvironmentForTest floats("CAFFE_BACKWARD", "FLOAT");
    RunBoth(expected.get(), Caffe::CPU);
  }
  ExpectNearInNorm(DiffOf(*net->blob_by_name("quant")), DiffOf(*expected->blob_by_name("quant")), tolerance,
                   "gradient by the bottom");
  for (size_t i = 0; i < net->params().size(); ++i) {
    ExpectNearInNorm(DiffOf(*net->params()[i]), DiffOf(*expected->params()[i]), tolerance,
                     "gradient by parameter " + std::to_string(i));
  }
}

}  // namespace

class GpuHwgqTest : public ::testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_GPU(); }
};

TEST_F(GpuHwgqTest, ProductsAreThoseOfTheCpuToTheLastBit) {
  std::mt19937 random(1);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  const ModeForTest mode(Caffe::GPU);
  for (const char* const tile : {"wide", "flat", "small", ""}) {
    const EnvironmentForTest wanted("HWGQ_GPU_TILE", tile);
    for (unsigned seed = 0; seed < 12; ++seed) {
      lowbit::BinaryProductShape shape;
      shape.groups = seed % 4 == 3 ? draw(2, 3) : 1;
      shape.channels = shape.groups * draw(shape.groups > 1 ? 16 : 1, seed % 3 ? 70 : 33);
      shape.outputs = shape.groups * draw(shape.groups > 1 ? 16 : 1, seed % 3 == 1 ? 150 : 40);
      shape.height = draw(3, 9), shape.width = draw(3, 9);
      shape.kernel_h = draw(1, 3), shape.kernel_w = draw(1, 3);
      shape.stride_h = draw(1, 2), shape.stride_w = draw(1, 3);
      shape.pad_h = draw(0, 2), shape.pad_w = draw(0, 2);
      if (seed % 2) shape.dilation_h = shape.kernel_h == 3 && shape.height < 5 ? 1 : 2;
      if (seed % 5 == 0)
        shape.kernel_h = shape.kernel_w = shape.height = shape.width = 1, shape.pad_h = shape.pad_w = 0;
      const vector<float>& levels = kLevels[seed % kLevels.size()];
      SCOPED_TRACE(testing::Message() << tile << " " << seed << ": " << shape.channels << "x" << shape.height
                                      << "x" << shape.width << " to " << shape.outputs << ", " << shape.groups
                                      << " groups, kernel " << shape.kernel_h << "x" << shape.kernel_w);
      RandomProduct product(seed, shape, levels, draw(1, 3));
      ExpectSameBits(product.OnGpu(), product.OnCpu());
      if (HasFatalFailure()) return;
    }
  }
}

// As many pixels as several blocks have, and a long sum.
TEST_F(GpuHwgqTest, LargeProductsAreThoseOfTheCpuToTheLastBit) {
  const ModeForTest mode(Caffe::GPU);
  lowbit::BinaryProductShape shape;
  shape.channels = 96, shape.outputs = 160, shape.height = 20, shape.width = 23;
  shape.kernel_h = shape.kernel_w = 3, shape.pad_h = shape.pad_w = 1;
  for (const char* const tile : {"wide", "flat", "small"}) {
    const EnvironmentForTest wanted("HWGQ_GPU_TILE", tile);
    RandomProduct product(7, shape, kLevels[0], 2);
    ExpectSameBits(product.OnGpu(), product.OnCpu());
  }
  shape = {};
  shape.channels = 3000, shape.outputs = 130;
  RandomProduct product(8, shape, kLevels[5], 70);
  ExpectSameBits(product.OnGpu(), product.OnCpu());
}

TEST_F(GpuHwgqTest, ProductsOfCodesAreThoseOfLevels) {
  const ModeForTest mode(Caffe::GPU);
  lowbit::BinaryProductShape shape;
  shape.outputs = 9, shape.kernel_h = 3, shape.kernel_w = 2, shape.pad_h = 1, shape.stride_w = 2;
  for (const auto& [channels, size] : {std::pair<int, int>{5, 11}, {64, 4}, {70, 1}}) {
    shape.channels = channels, shape.height = size, shape.width = size + 1;
    for (const vector<float>& levels : kLevels) {
      RandomProduct product(3, shape, levels, 3);
      const auto expect_same = [&] {
        for (const bool in_halves : {false, true}) {
          if (in_halves && levels.size() > kHalfByteNan) continue;
          ExpectSameBits(product.OfCodes(in_halves), product.OnGpu());
        }
      };
      expect_same();
      product.PutNan();
      expect_same();
    }
  }
}

// An alpha that is not finite has its results made of floats, and those of the next weights are of integers.
TEST_F(GpuHwgqTest, AlphasThatAreNotFiniteAreThoseOfTheirWeightsAlone) {
  const ModeForTest mode(Caffe::GPU);
  SmallProduct small;
  const vector<float> expected = small.Run(1, 0);
  for (int i = 0; i < 2; ++i) {
    const vector<float> infinite = small.Run(kInfinity, 0);
    EXPECT_FALSE(std::isfinite(infinite[0]));
    EXPECT_NEAR(infinite[1], expected[1], 1e-4);
    ExpectSameBits(small.Run(1, 0), expected);
  }
}

// The same for an input that is no level.
TEST_F(GpuHwgqTest, InputsThatAreNoLevelsAreThoseOfTheirRunAlone) {
  const ModeForTest mode(Caffe::GPU);
  SmallProduct small;
  const vector<float> expected = small.Run(1, 0);
  for (int i = 0; i < 2; ++i) {
    EXPECT_GT(std::fabs(small.Run(1, 1e6f)[0]), 1e3f);
    ExpectSameBits(small.Run(1, 0), expected);
  }
}

#ifdef CAFFE_GPU_EMULATOR

// Of new weights the signs with the alphas, and the signs as products take them. Of a product the pixels,
// itself, and that of floats, which mostly does nothing.
TEST_F(GpuHwgqTest, ProductsTakeFewKernels) {
  const ModeForTest mode(Caffe::GPU);
  SmallProduct small;
  small.Run(1, 0);  // Takes memory.
  const float *const weights = small.weights.gpu_data(), *const input = small.input.gpu_data();
  float* const output = small.output.mutable_gpu_data();
  for (const bool use_alpha : {false, true}) {
    EXPECT_EQ(CountOnGpu([&] { small.product->SetWeights(weights, use_alpha); }), 2u);
  }
  EXPECT_EQ(CountOnGpu([&] { small.product->Run(3, input, nullptr, output); }), 3u);
  float *const alphas = small.alphas.mutable_gpu_data(), *const binary = small.weights.mutable_gpu_diff();
  EXPECT_EQ(CountOnGpu([&] { small.product->FillBinaryWeights(alphas, binary); }), 1u);
}

// Numbers of bfloat16 of both factors, and the product.
TEST_F(GpuHwgqTest, GradientsByWeightsOfFewImagesTakeThreeKernels) {
  const ModeForTest mode(Caffe::GPU);
  BinaryGradients gradients = {};
  gradients.shape.channels = 90, gradients.shape.outputs = 40;
  gradients.images = 3, gradients.unit = 0.5f;
  Blob<float> input({3, 90}), output({3, 40}), weights({40, 90}), alphas({40});
  for (Blob<float>* blob : {&input, &output, &weights, &alphas}) FillNormal(blob);
  gradients.input = input.gpu_data();
  gradients.output_diff = output.gpu_data();
  gradients.alphas = alphas.gpu_data();
  gradients.weight_diff = weights.mutable_gpu_diff();
  EXPECT_EQ(CountOnGpu([&] { EXPECT_TRUE(ComputeGradientsInBF16(gradients)); }), 3u);
}

#endif  // CAFFE_GPU_EMULATOR

TEST_F(GpuHwgqTest, ProductsEndWhenAllThreadsAreDoneWithThem) {
  const LateGpuWorkForTest late;
  RandomProduct product(1, {8, 6, 5, 16, 1, 3, 3, 1, 1, 1, 1, 1, 1}, kLevels[0], 2);
  ExpectSameBits(product.OnGpuOfAnotherThread(), product.OnCpu());
}

TEST_F(GpuHwgqTest, GradientsOfSignsAreThoseOfBinaryWeights) {
  const ModeForTest mode(Caffe::GPU);
  BinaryGradients gradients = {};
  lowbit::BinaryProductShape& shape = gradients.shape;
  shape.channels = 10, shape.outputs = 36, shape.height = 7, shape.width = 5;
  shape.kernel_h = 3, shape.kernel_w = 2, shape.pad_h = 1, shape.stride_w = 2, shape.groups = 1;
  const auto product = GpuBinaryProduct::Make(shape, kLevels[0]);
  const int weights = static_cast<int>(shape.weights());
  Blob<float> real({shape.outputs, weights}), binary(real.shape()), alphas({shape.outputs}),
      input(2, 10, 7, 5), output(2, 36, 7, 2), of_signs(2, 10, 7, 5);
  FillNormal(&real);
  FillNormal(&output);
  product->SetWeights(real.gpu_data(), true);
  product->FillBinaryWeights(alphas.mutable_gpu_data(), binary.mutable_gpu_data());
  gradients.images = 2, gradients.unit = 1;
  gradients.alphas = alphas.gpu_data();
  gradients.binary = binary.gpu_data();
  gradients.output_diff = output.gpu_data();
  gradients.input_diff = input.mutable_gpu_diff();
  ASSERT_TRUE(ComputeGradientsInBF16(gradients));
  const GpuBinaryProduct::Signs signs = product->signs();
  gradients.alphas = signs.alphas;
  gradients.binary = nullptr;
  gradients.sign_rows = signs.rows;
  gradients.row_words = signs.row_words;
  gradients.input_diff = of_signs.mutable_gpu_diff();
  ASSERT_TRUE(ComputeGradientsInBF16(gradients));
  ExpectSameBits(DiffOf(of_signs), DiffOf(input));
  EXPECT_GT(input.asum_diff(), 0);
}

TEST_F(GpuHwgqTest, UnknownTileIsAnError) {
  const EnvironmentForTest wanted("HWGQ_GPU_TILE", "round");
  const ModeForTest mode(Caffe::GPU);
  RandomProduct product(1, {}, kLevels[0], 1);
  const string error = ErrorOf([&] { product.OnGpu(); });
  EXPECT_TRUE(Contains(error, "HWGQ_GPU_TILE")) << error;
}

// Where a product would be slow or impossible it is left to floats.
TEST_F(GpuHwgqTest, SomeProductsAreLeftToFloats) {
  const auto makes = [](const lowbit::BinaryProductShape& shape, const vector<float>& levels) {
    return GpuBinaryProduct::Make(shape, levels) != nullptr;
  };
  lowbit::BinaryProductShape shape;
  shape.channels = shape.outputs = shape.height = shape.width = 8;
  EXPECT_TRUE(makes(shape, {0, 1}));
  EXPECT_FALSE(makes(shape, {}));
  EXPECT_FALSE(makes(shape, vector<float>(17, 1.f)));
  EXPECT_FALSE(makes(shape, {1e-12f, 0.31415927f}));
  shape.groups = 4;
  EXPECT_FALSE(makes(shape, {0, 1}));
  shape.groups = 1;
  shape.height = shape.width = 32768;
  EXPECT_FALSE(makes(shape, {0, 1}));
}

TEST_F(GpuHwgqTest, NetsComputeAsOnTheCpu) {
  const vector<string> quantizers = {kUniform, "forward_func: 'sign'",
                                     "centers: 0.4528 centers: 1.51 centers: 2.2"};
  vector<string> products;
  for (const ConvolutionCase& test : ConvolutionCases()) {
    for (const string& quantizer : quantizers) {
      SCOPED_TRACE(test.settings + " " + quantizer);
      const auto net = SeededNet(Input(test.bottom) + Quant(quantizer) + Conv(test.settings));
      const vector<float> expected = ProductOf(net.get(), Caffe::CPU),
                          values = ProductOf(net.get(), Caffe::GPU);
      // Few channels in a group, and more than two axes, are left to floats.
      const ConvolutionParameter& param = net->layer_by_name("product")->layer_param().convolution_param();
      if (param.group() == 1 && test.bottom.size() < 5) {
        ExpectSameBits(values, expected);
      } else {
        ExpectNear(values, expected, 1e-5);
      }
    }
  }
  for (const char* const settings : {"num_output: 70", "num_output: 3 bias_term: false axis: 2"}) {
    const auto net = SeededNet(Input({3, 7, 9, 4}) + Quant(kUniform) + InnerProduct(settings));
    const vector<float> expected = ProductOf(net.get(), Caffe::CPU);
    ExpectSameBits(ProductOf(net.get(), Caffe::GPU), expected);
  }
}

// In double all is left to floats.
TEST_F(GpuHwgqTest, NetsOfDoublesComputeAsOnTheCpu) {
  const auto net =
      SeededNet<double>(Input({2, 6, 5, 7}) + Quant(kUniform) + Conv("num_output: 5 kernel_size: 3"));
  net->Forward();
  const vector<double> expected = DataOf(*net->blob_by_name("product"));
  const ModeForTest mode(Caffe::GPU);
  net->Forward();
  ExpectNear(DataOf(*net->blob_by_name("product")), expected, 1e-12);
}

TEST_F(GpuHwgqTest, BackwardIsThatOfTheCpu) {
  for (const string& product :
       {Conv("num_output: 5 kernel_size: 3 pad: 1"),
        Conv("num_output: 40 kernel_size: 2 stride: 2 group: 2", ""), InnerProduct("num_output: 4")}) {
    const string text = Input({2, 34, 5, 7}) + Quant(kUniform) + product;
    const auto net = SeededNet(text), expected = SeededNet(text);
    for (int pass = 0; pass < 2; ++pass) {
      RunBoth(net.get(), Caffe::GPU);
      RunBoth(expected.get(), Caffe::CPU);
      for (const char* const blob : {"quant", "data"}) {
        ExpectNear(DiffOf(*net->blob_by_name(blob)), DiffOf(*expected->blob_by_name(blob)), 1e-4);
      }
      for (size_t i = 0; i < net->params().size(); ++i) {
        ExpectNear(DiffOf(*net->params()[i]), DiffOf(*expected->params()[i]), 1e-4);
        EXPECT_EQ(DataOf(*net->params()[i]), DataOf(*expected->params()[i]));
      }
      for (const auto& each : {net, expected}) {
        for (int i = 0; i < 9; ++i) each->params()[0]->mutable_cpu_data()[i] *= -2;
      }
    }
  }
}

// Without alphas, and with small integers for gradients, nothing is rounded but sums.
TEST_F(GpuHwgqTest, BackwardInBF16IsExactWhereItsOperandsAre) {
  const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
  const vector<std::pair<string, vector<int>>> cases = {
      {"num_output: 5 kernel_size: 3 pad: 1", {2, 6, 5, 7}},
      {"num_output: 20 kernel_size: 1", {3, 19, 4, 5}},
      {"num_output: 33 kernel_size: 3 stride: 2 pad: 1", {2, 17, 8, 9}},
      {"num_output: 7 kernel_size: 1 stride: 2", {2, 40, 7, 6}},
      {"num_output: 9 kernel_size: 2 stride: 3 pad: 1", {2, 5, 9, 11}},
      {"num_output: 6 kernel_h: 3 kernel_w: 2 dilation: 2 stride_h: 2 stride_w: 1 pad: 2", {2, 12, 9, 8}},
      {"num_output: 4 kernel_size: 3 dilation: 3 stride: 2 pad: 3", {1, 9, 10, 9}},
      {"num_output: 32 kernel_size: 3 pad: 1 group: 2", {2, 34, 5, 6}},
      {"num_output: 150 kernel_size: 2 pad: 1 bias_term: false", {2, 130, 4, 5}},
      {"num_output: 3 kernel_size: 3", {2, 40, 9}},
  };
  for (const char* const tile : {"wide", "flat", "small"}) {
    const EnvironmentForTest wanted("HWGQ_GPU_TILE", tile);
    for (const auto& [settings, shape] : cases) {
      SCOPED_TRACE(settings);
      const string text = Input(shape) + Quant(kUniform) + Conv(settings, "");
      ExpectSameGradients(text, 2e-6);
      if (HasFailure()) return;
    }
  }
  ExpectSameGradients(Input({70, 90}) + Quant(kUniform) + InnerProduct("num_output: 75", ""), 2e-6);
}

// Thin groups, large kernels and more axes.
TEST_F(GpuHwgqTest, BackwardInBF16LeavesSomeToTF32) {
  const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
  const vector<std::pair<string, vector<int>>> cases = {
      {"num_output: 6 kernel_size: 3 group: 3", {2, 6, 4, 5}},
      {"num_output: 2 kernel_size: 16 pad: 1", {1, 2, 15, 16}},
      {"num_output: 2 kernel_size: 2", {1, 2, 3, 4, 3}},
  };
  for (const auto& [settings, shape] : cases) {
    SCOPED_TRACE(settings);
    ExpectSameGradients(Input(shape) + Quant(kUniform) + Conv(settings), 1e-3);
  }
}

TEST_F(GpuHwgqTest, BackwardInBF16RoundsGradients) {
  const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
  ExpectSameGradients(Input({2, 34, 9, 8}) + Quant(kUniform) + Conv("num_output: 40 kernel_size: 3 pad: 1"),
                      4e-3);
  // Levels that are more than 256 units, and no levels.
  ExpectSameGradients(
      Input({2, 34, 9, 8}) + Quant("centers: 0.4528 centers: 1.51") + Conv("num_output: 40 kernel_size: 3"),
      4e-3);
  ExpectSameGradients(
      Input({2, 34, 9, 8}) + Quant("forward_func: 'relu'") + Conv("num_output: 40 kernel_size: 3"), 4e-3);
  ExpectSameGradients(Input({30, 90}) + Quant(kUniform) + InnerProduct("num_output: 75"), 4e-3);
  const EnvironmentForTest other("CAFFE_BACKWARD", "HALF");
  const auto net = SeededNet(Input({2, 90}) + Quant(kUniform) + InnerProduct("num_output: 5"));
  const string error = ErrorOf([&] { RunBoth(net.get(), Caffe::GPU); });
  EXPECT_TRUE(Contains(error, "CAFFE_BACKWARD is 'HALF'")) << error;
}

// Outputs without weights have an alpha of 0; the weights' gradient is none the less that of other outputs.
TEST_F(GpuHwgqTest, BackwardInBF16OfZeroWeights) {
  const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
  ExpectSameGradients(Input({2, 34, 9, 8}) + Quant(kUniform) + Conv("num_output: 40 kernel_size: 3"), 4e-3,
                      [](Net<float>* net) {
                        Blob<float>& weights = *net->params()[0];
                        std::fill_n(weights.mutable_cpu_data() + 2 * weights.count(1), weights.count(1), 0.f);
                      });
}

TEST_F(GpuHwgqTest, BackwardInTF32IsCloseToThatOfFloats) {
  const EnvironmentForTest tf32("CAFFE_BACKWARD", "TF32");
  ExpectSameGradients(Input({2, 34, 9, 8}) + Quant(kUniform) + Conv("num_output: 40 kernel_size: 3 pad: 1"),
                      1e-3);
  ExpectSameGradients(Input({30, 90}) + Quant(kUniform) + InnerProduct("num_output: 75"), 1e-3);
}

TEST_F(GpuHwgqTest, OtherValuesThanLevelsAreComputedInFloat) {
  const string text = Input({2, 37, 5, 7}) + Quant(kUniform) + Conv("num_output: 5 kernel_size: 3 pad: 1");
  const auto net = SeededNet(text), expected = SeededNet(text);
  for (const float value : {0.25f, -3.f, kNan, kInfinity, 1.076f, -0.f}) {
    SCOPED_TRACE(value);
    const auto product = [value](Net<float>* from, Caffe::Brew brew) {
      const ModeForTest mode(brew);
      from->ForwardTo(1);
      from->blob_by_name("quant")->mutable_cpu_data()[17] = value;
      from->ForwardFrom(2);
      return DataOf(*from->blob_by_name("product"));
    };
    gpu_test::ExpectClose(product(net.get(), Caffe::GPU), product(expected.get(), Caffe::CPU), 1e-6,
                          "product");
  }
  // And then again by integers.
  ExpectSameBits(ProductOf(net.get(), Caffe::GPU), ProductOf(expected.get(), Caffe::CPU));
}

TEST_F(GpuHwgqTest, FollowsTheWeights) {
  for (const string& product : {Conv("num_output: 5 kernel_size: 3 pad: 1"), InnerProduct("num_output: 4")}) {
    const auto net = SeededNet(Input({2, 6, 5, 7}) + Quant(kUniform) + product);
    Blob<float>& weights = *net->params()[0];
    const auto check = [&](const char* what) {
      SCOPED_TRACE(what);
      const vector<float> values = ProductOf(net.get(), Caffe::GPU);
      const auto other = SeededNet(Input({2, 6, 5, 7}) + Quant(kUniform) + product);
      for (size_t i = 0; i < net->params().size(); ++i) other->params()[i]->CopyFrom(*net->params()[i]);
      ExpectSameBits(values, ProductOf(other.get(), Caffe::CPU));
    };
    check("first");
    check("unchanged");
    for (int i = 0; i < 20; ++i) weights.mutable_cpu_data()[i] *= -1;
    check("written to on the host");
    {
      const ModeForTest mode(Caffe::GPU);
      caffe_gpu_scal(weights.count(), -3.f, weights.mutable_gpu_data());
    }
    check("written to on the GPU");
    net->params()[1]->mutable_cpu_data()[2] = 7;
    check("bias");
    // As an array of another library over the GPU's memory does.
    float* const held = weights.mutable_gpu_data();
    const std::shared_ptr<void> owner = weights.data()->gpu_owner();
    check("held memory");
    {
      const ModeForTest mode(Caffe::GPU);
      caffe_gpu_scal(weights.count(), -0.5f, held);
      // The copy on the host is older.
      weights.mutable_gpu_data();
    }
    check("written to held memory");
    Blob<float> other(weights.shape());
    FillNormal(&other);
    while (other.data()->version() < weights.data()->version()) other.mutable_cpu_data();
    weights.ShareData(other);
    check("memory of another blob");
  }
}

TEST_F(GpuHwgqTest, HeldMemoryIsLookedAtEachTime) {
  const auto net = SeededNet(Input({2, 6, 5, 7}) + Quant(kUniform) + Conv("num_output: 5 kernel_size: 3"));
  Blob<float>& weights = *net->params()[0];
  float* const held = weights.mutable_gpu_data();
  const std::shared_ptr<void> owner = weights.data()->gpu_owner();
  const vector<float> before = ProductOf(net.get(), Caffe::GPU);
  caffe_gpu_scal(weights.count(), -1.f, held);
  EXPECT_NE(ProductOf(net.get(), Caffe::GPU), before);
}

TEST_F(GpuHwgqTest, InfiniteWeightsAreComputedInFloat) {
  const string text = Input({2, 6, 5, 7}) + Quant(kUniform) + Conv("num_output: 5 kernel_size: 3");
  const auto net = SeededNet(text);
  for (const float value : {kInfinity, kNan}) {
    net->params()[0]->mutable_cpu_data()[7] = value;
    const vector<float> values = ProductOf(net.get(), Caffe::GPU);
    gpu_test::ExpectClose(values, ProductOf(net.get(), Caffe::CPU), 1e-6, "product");
    // The weights of the other outputs are as they were.
    EXPECT_TRUE(std::isfinite(values.back()));
  }
}

TEST_F(GpuHwgqTest, FollowsTheShape) {
  const auto net = SeededNet(Input({2, 6, 5, 7}) + Quant(kUniform) + Conv("num_output: 5 kernel_size: 3"));
  for (const vector<int>& shape :
       vector<vector<int>>{{2, 6, 5, 7}, {5, 6, 5, 7}, {1, 6, 9, 4}, {0, 6, 9, 4}}) {
    net->input_blobs()[0]->Reshape(shape);
    if (net->input_blobs()[0]->count() > 0) FillNormal(net->input_blobs()[0]);
    const vector<float> expected = ProductOf(net.get(), Caffe::CPU);
    ExpectSameBits(ProductOf(net.get(), Caffe::GPU), expected);
  }
}

TEST_F(GpuHwgqTest, ChangesBetweenDevices) {
  const string text = Input({2, 34, 5, 7}) + Quant(kUniform) + Conv("num_output: 5 kernel_size: 3");
  const auto net = SeededNet(text), expected = SeededNet(text);
  const Caffe::Brew brews[] = {Caffe::GPU, Caffe::CPU, Caffe::CPU, Caffe::GPU, Caffe::GPU};
  for (const Caffe::Brew brew : brews) {
    RunBoth(net.get(), brew);
    RunBoth(expected.get(), Caffe::CPU);
    EXPECT_EQ(DataOf(*net->blob_by_name("product")), DataOf(*expected->blob_by_name("product")));
    ExpectNear(DiffOf(*net->blob_by_name("quant")), DiffOf(*expected->blob_by_name("quant")), 1e-5);
    for (const auto& each : {net, expected}) each->params()[0]->mutable_cpu_data()[3] *= -1;
  }
}

template <typename Dtype>
class GpuBinarizeTest : public ::testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_GPU(); }
};

TYPED_TEST_SUITE(GpuBinarizeTest, TestDtypes);

TYPED_TEST(GpuBinarizeTest, IsThatOfTheCpu) {
  const vector<vector<int>> shapes = {{1}, {5}, {3, 1}, {7, 13}, {4, 3, 5, 5}, {33, 1000}};
  for (const vector<int>& shape : shapes) {
    Blob<TypeParam> weights(shape), alphas, binary, gpu_alphas, gpu_binary;
    FillNormal(&weights);
    for (const bool use_alpha : {false, true}) {
      BinarizeWeights(weights, use_alpha, &alphas, &binary);
      const ModeForTest mode(Caffe::GPU);
      BinarizeWeightsGpu(weights, use_alpha, &gpu_alphas, &gpu_binary);
      const double tolerance = sizeof(TypeParam) == 4 ? 0 : 1e-14;
      ExpectNear(DataOf(gpu_alphas), DataOf(alphas), tolerance);
      ExpectNear(DataOf(gpu_binary), DataOf(binary), tolerance);
      EXPECT_EQ(gpu_binary.shape(), shape);
    }
  }
}

TYPED_TEST(GpuBinarizeTest, QuantizersAreThoseOfTheCpu) {
  string many;
  for (int j = 1; j < 25; ++j) many += " centers: " + std::to_string(j * 0.1);
  const vector<string> functions = {
      kUniform,
      "centers: 0.7 clip_thr: 0.7",
      "centers: 0.4 centers: 0.9 clip_thr: 1 negative_slope: 0.25",
      string(kUniform) + " clip_thr: 1.614 backward_func: 'log_tailed_relu'",
      "centers: 0.3 centers: 0.6 centers: 0.9 centers: 1.2 backward_func: 'hard_tanh'",
      "centers: 0.2 centers: 0.4 centers: 0.6 centers: 0.8 centers: 1 centers: 1.2 "
      "centers: 1.4 centers: 1.6",
      many,
      "forward_func: 'sign' backward_func: 'hard_tanh' clip_thr: 1",
      "forward_func: 'hard_tanh' backward_func: 'hard_tanh'",
      "forward_func: 'relu' negative_slope: 0.1 clip_thr: 1"};
  for (const string& function : functions) {
    ExpectGpuEqualsCpu<TypeParam>("type: 'Quant' quant_param { " + function + " }", {{3, 5, 7, 2}}, 1, {true},
                                  0, [](const vector<Blob<TypeParam>*>& bottoms) {
                                    TypeParam* x = bottoms[0]->mutable_cpu_data();
                                    x[0] = 0, x[1] = TypeParam(-0.), x[2] = kNan, x[3] = kInfinity,
                                    x[4] = -kInfinity;
                                    x[5] = TypeParam(1.614), x[6] = 1, x[7] = -1, x[8] = TypeParam(0.7);
                                  });
  }
}

}  // namespace caffe

#endif  // !CPU_ONLY
