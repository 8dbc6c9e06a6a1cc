#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "binary_layer_test_util.hpp"
#include "caffe/layers/binary_conv_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"
#include "reference_convolution.hpp"

namespace caffe {

namespace {

string Text(const string& type, const string& settings, const string& binary = "") {
  return "type: '" + type +
         "' convolution_param { weight_filler { type: 'gaussian' std: 0.5 } bias_filler { type: 'gaussian' "
         "} " +
         settings + " } binary_convolution_param { " + binary + " }";
}

}  // namespace

template <typename TypeParam>
class BinaryConvolutionLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  BinaryConvolutionLayerTest() { Caffe::set_random_seed(1701); }
};

TYPED_TEST_SUITE(BinaryConvolutionLayerTest, TestDtypesAndDevices);

TYPED_TEST(BinaryConvolutionLayerTest, ConvolvesWithBinaryWeights) {
  typedef typename TypeParam::Dtype Dtype;
  for (const ConvolutionCase& test : ConvolutionCases()) {
    SCOPED_TRACE(test.settings);
    ExpectActsOnBinaryWeights<Dtype>(Text("BinaryConvolution", test.settings, "use_alpha: true"),
                                     Text("Convolution", test.settings), test.bottom, true);
    ExpectActsOnBinaryWeights<Dtype>(Text("BinaryConvolution", test.settings),
                                     Text("Convolution", test.settings), test.bottom, false);
  }
}

TYPED_TEST(BinaryConvolutionLayerTest, FollowsTheWeights) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv(Text("BinaryConvolution", "num_output: 1 kernel_size: 1 bias_term: false"),
                           {1, 1, 1, 1});
  conv.SetUp();
  conv.bottom.mutable_cpu_data()[0] = 3;
  for (const Dtype weight : {Dtype(0.25), Dtype(-0.25), Dtype(0)}) {
    conv.blob(0).mutable_cpu_data()[0] = weight;
    conv.Forward();
    EXPECT_EQ(conv.top.cpu_data()[0], weight >= 0 ? 3 : -3);
  }
}

TYPED_TEST(BinaryConvolutionLayerTest, WithoutBinarizationIsAnOrdinaryConvolution) {
  typedef typename TypeParam::Dtype Dtype;
  const bool single = sizeof(Dtype) == 4;
  GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 2e-2 : 1e-7);
  const string settings = "num_output: 4 kernel_size: 3 group: 2 pad: 1 stride: 2";
  LayerFixture<Dtype> conv(Text("BinaryConvolution", settings, "use_binarization: false use_alpha: true"),
                           {2, 4, 5, 4});
  checker.CheckGradient(conv.layer.get(), conv.bottoms, conv.tops);
  conv.Forward();
  const ReferenceConvolution reference(conv.layer->layer_param().convolution_param(), conv.bottom.shape());
  ExpectNear(DataOf(conv.top),
             reference.Run(conv.bottom.cpu_data(), conv.blob(0).cpu_data(), conv.blob(1).cpu_data()), 1e-4);
}

TYPED_TEST(BinaryConvolutionLayerTest, ErrorsNameTheLayer) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv("name: 'bin' " + Text("BinaryConvolution", "num_output: 2 kernel_size: 9"),
                           {1, 1, 4, 4});
  const string error = ErrorOf([&] { conv.SetUp(); });
  EXPECT_NE(error.find("layer 'bin' (BinaryConvolution)"), string::npos) << error;
}

}  // namespace caffe
