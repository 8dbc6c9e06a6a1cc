#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "caffe/layers/deconv_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"
#include "reference_convolution.hpp"

namespace caffe {

namespace {

string DeconvolutionText(const string& settings) {
  return "name: 'up' type: 'Deconvolution' convolution_param { weight_filler { type: 'gaussian' std: 0.5 } "
         "bias_filler { type: 'gaussian' } " +
         settings + " }";
}

// The output sizes of a deconvolution are those from which the convolution comes back to its input exactly.
vector<ConvolutionCase> Cases() {
  return {
      {"num_output: 4 kernel_size: 3 stride: 2 pad: 1", {2, 3, 4, 5}},
      {"num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 2 bias_term: false", {1, 4, 3, 3}},
      {"num_output: 3 kernel_size: 2 dilation: 3", {2, 2, 3, 4}},
      {"num_output: 5 kernel_size: 1", {3, 4, 2, 3}},
      {"num_output: 2 kernel_size: 3 stride: 3", {2, 3, 4}},
      {"num_output: 2 kernel_size: 2 kernel_size: 1 kernel_size: 2 stride: 1 stride: 2 stride: 2",
       {1, 2, 3, 2, 2}},
      {"num_output: 2 kernel_size: 3 axis: 2", {2, 2, 3, 3, 2}},
  };
}

}  // namespace

template <typename TypeParam>
class DeconvolutionLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  DeconvolutionLayerTest() { Caffe::set_random_seed(1701); }
};

TYPED_TEST_SUITE(DeconvolutionLayerTest, TestDtypesAndDevices);

// <x, deconvolution(y)> = <convolution(x), y> for all x and y.
TYPED_TEST(DeconvolutionLayerTest, IsTheTransposeOfConvolution) {
  typedef typename TypeParam::Dtype Dtype;
  for (const ConvolutionCase& test : Cases()) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> up(DeconvolutionText(test.settings), test.bottom);
    up.SetUp();
    up.Forward();
    ConvolutionParameter param = up.layer->layer_param().convolution_param();
    const int axis = param.axis();
    ASSERT_EQ(up.top.shape(axis), static_cast<int>(param.num_output()));
    param.set_num_output(test.bottom[axis]);
    const ReferenceConvolution down(param, up.top.shape());
    ASSERT_EQ(down.output, test.bottom);

    Blob<Dtype> x(up.top.shape());
    FillNormal(&x);
    const vector<double> convolved = down.Run<Dtype, Dtype>(x.cpu_data(), up.blob(0).cpu_data(), nullptr);
    const double expected = std::inner_product(convolved.begin(), convolved.end(), up.bottom.cpu_data(), 0.0);
    double product = 0;
    for (int i = 0; i < x.count(); ++i) {
      const int channel = i / up.top.count(axis + 1) % up.top.shape(axis);
      const Dtype bias = param.bias_term() ? up.blob(1).cpu_data()[channel] : 0;
      product += x.cpu_data()[i] * (up.top.cpu_data()[i] - bias);
    }
    EXPECT_NEAR(product, expected, sizeof(Dtype) == 4 ? 1e-3 : 1e-9);
  }
}

TYPED_TEST(DeconvolutionLayerTest, Gradient) {
  typedef typename TypeParam::Dtype Dtype;
  const bool single = sizeof(Dtype) == 4;
  GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 2e-2 : 1e-7);
  for (const ConvolutionCase& test : Cases()) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> up(DeconvolutionText(test.settings), test.bottom);
    checker.CheckGradient(up.layer.get(), up.bottoms, up.tops);
    // The gradient by the bottom alone has to make its own columns.
    up.Backward();
    const vector<Dtype> with_weights = DiffOf(up.bottom);
    up.layer->set_param_propagate_down(0, false);
    up.Backward();
    ExpectNear(DiffOf(up.bottom), with_weights, 0);
  }
}

TYPED_TEST(DeconvolutionLayerTest, EnlargesWithBilinearWeights) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> up(
      "type: 'Deconvolution' convolution_param { num_output: 2 group: 2 kernel_size: 4 stride: 2 pad: 1 "
      "bias_term: false weight_filler { type: 'bilinear' } }",
      {1, 2, 3, 3});
  for (int i = 0; i < up.bottom.count(); ++i) up.bottom.mutable_cpu_data()[i] = static_cast<Dtype>(i % 3);
  up.SetUp();
  up.Forward();
  ASSERT_EQ(up.top.shape(), vector<int>({1, 2, 6, 6}));
  // Inside, a ramp of slope 1 becomes one of slope 1/2, sampled a quarter off the input's places.
  for (const int row : {1, 2, 3, 4}) {
    for (const int column : {1, 2, 3, 4}) {
      EXPECT_NEAR(up.top.data_at(0, 1, row, column), column / 2.0 - 0.25, 1e-6);
    }
  }
}

TYPED_TEST(DeconvolutionLayerTest, PadThatLeavesNothingIsAnError) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> up(DeconvolutionText("num_output: 1 kernel_size: 2 pad: 2"), {1, 1, 2, 2});
  const string error = ErrorOf([&] { up.SetUp(); });
  EXPECT_NE(error.find("output would have size -1"), string::npos) << error;
}

}  // namespace caffe
