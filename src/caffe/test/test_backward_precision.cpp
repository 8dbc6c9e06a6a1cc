// Gradients of binary layers whose products are of BF16, on the CPU.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/backward_precision.hpp"
#include "environment_for_test.hpp"
#include "layer_test_util.hpp"
#include "reference_convolution.hpp"

namespace caffe {

namespace {

struct Gradients {
  vector<float> weights, bias, bottom;
};

// Of a layer with the weights, input and gradient that the seed gives.
Gradients GradientsOf(const string& type, const ConvolutionCase& test) {
  Caffe::set_random_seed(1701);
  LayerFixture<float> layer("name: 'conv' type: '" + type +
                                "' convolution_param { weight_filler { type: 'gaussian' std: 0.5 } " +
                                test.settings + " } binary_convolution_param { use_alpha: true }",
                            test.bottom);
  layer.SetUp();
  layer.Forward();
  Blob<float> gradient(layer.top.shape());
  FillNormal(&gradient);
  caffe_copy(gradient.count(), gradient.cpu_data(), layer.top.mutable_cpu_diff());
  for (const auto& blob : layer.layer->blobs()) caffe_set(blob->count(), 3.f, blob->mutable_cpu_diff());
  layer.Backward();
  return {DiffOf(layer.blob(0)), DiffOf(layer.blob(1)), DiffOf(layer.bottom)};
}

double RelativeDifference(const vector<float>& values, const vector<float>& expected) {
  EXPECT_EQ(values.size(), expected.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    difference += std::pow(values[i] - expected[i], 2);
    size += std::pow(expected[i], 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace

TEST(BackwardPrecisionTest, IsFloatUnlessTheEnvironmentSaysOtherwise) {
  EXPECT_EQ(BackwardPrecision(), Precision::kFloat);
  {
    const EnvironmentForTest tf32("CAFFE_BACKWARD", "TF32");
    EXPECT_EQ(BackwardPrecision(), Precision::kTF32);
    EXPECT_EQ(CpuBackwardPrecision(), Precision::kFloat);
  }
  {
    const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
    EXPECT_EQ(BackwardPrecision(), Precision::kBF16);
    EXPECT_EQ(CpuBackwardPrecision() == Precision::kBF16, BF16OfProcessor() != BF16Instructions::kNone);
  }
  const EnvironmentForTest other("CAFFE_BACKWARD", "half");
  const string error = ErrorOf([] { BackwardPrecision(); });
  EXPECT_TRUE(Contains(error, "CAFFE_BACKWARD is 'half'")) << error;
  EXPECT_TRUE(Contains(error, "FLOAT, TF32 or BF16")) << error;
}

TEST(BackwardPrecisionTest, ConvolutionsRoundToBF16) {
  if (BF16OfProcessor() == BF16Instructions::kNone) GTEST_SKIP() << "the processor does not multiply BF16";
  // By Winograd's filtering; by oneDNN, with channels that fill whole blocks, or not, strides and groups.
  const vector<ConvolutionCase> cases = {{"num_output: 64 kernel_size: 3 pad: 1", {7, 48, 16, 16}},
                                         {"num_output: 50 kernel_size: 7", {6, 20, 14, 14}},
                                         {"num_output: 48 kernel_size: 5 pad: 2 group: 2", {4, 32, 13, 13}},
                                         {"num_output: 64 kernel_size: 3 stride: 2 pad: 1", {3, 32, 9, 7}},
                                         {"num_output: 64 kernel_size: 5 pad: 2", {5, 64, 11, 11}}};
  for (const string type : {"BinaryConvolution", "Convolution"}) {
    for (const int threads : {1, 3}) {
      const ThreadsForTest some(threads);
      for (const ConvolutionCase& test : cases) {
        SCOPED_TRACE(type + " " + test.settings + ", threads: " + std::to_string(threads));
        const Gradients exact = GradientsOf(type, test);
        const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
        const Gradients rounded = GradientsOf(type, test);
        EXPECT_EQ(rounded.bias, exact.bias);
        for (const double difference : {RelativeDifference(rounded.weights, exact.weights),
                                        RelativeDifference(rounded.bottom, exact.bottom)}) {
          EXPECT_GT(difference, 1e-5);
          EXPECT_LT(difference, 4e-2);
        }
      }
    }
  }
}

TEST(BackwardPrecisionTest, WhatHasNoWayInBF16IsComputedInFloats) {
  // One channel, and a product of matrices as they are.
  for (const ConvolutionCase& test : {ConvolutionCase{"num_output: 8 kernel_size: 5", {3, 1, 12, 12}},
                                      ConvolutionCase{"num_output: 8 kernel_size: 1", {3, 16, 6, 6}}}) {
    SCOPED_TRACE(test.settings);
    const Gradients exact = GradientsOf("BinaryConvolution", test);
    const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
    const Gradients same = GradientsOf("BinaryConvolution", test);
    EXPECT_LT(RelativeDifference(same.weights, exact.weights), 2e-2);
    EXPECT_LT(RelativeDifference(same.bottom, exact.bottom), 2e-2);
  }
}

}  // namespace caffe
