#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "binary_layer_test_util.hpp"
#include "caffe/layers/binary_inner_product_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

string Text(const string& type, const string& settings, const string& binary = "") {
  return "type: '" + type +
         "' inner_product_param { weight_filler { type: 'gaussian' std: 0.5 } bias_filler { type: 'gaussian' "
         "} " +
         settings + " } binary_inner_product_param { " + binary + " }";
}

}  // namespace

template <typename TypeParam>
class BinaryInnerProductLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  BinaryInnerProductLayerTest() { Caffe::set_random_seed(1701); }
};

TYPED_TEST_SUITE(BinaryInnerProductLayerTest, TestDtypesAndDevices);

TYPED_TEST(BinaryInnerProductLayerTest, MultipliesByBinaryWeights) {
  typedef typename TypeParam::Dtype Dtype;
  const struct {
    const char* settings;
    vector<int> bottom;
  } cases[] = {{"num_output: 6", {3, 5, 2, 3}},
               {"num_output: 4 axis: 2 bias_term: false", {2, 3, 7}},
               {"num_output: 1", {2, 1}}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.settings);
    ExpectActsOnBinaryWeights<Dtype>(Text("BinaryInnerProduct", test.settings, "use_alpha: true"),
                                     Text("InnerProduct", test.settings), test.bottom, true);
    ExpectActsOnBinaryWeights<Dtype>(Text("BinaryInnerProduct", test.settings),
                                     Text("InnerProduct", test.settings), test.bottom, false);
  }
}

TYPED_TEST(BinaryInnerProductLayerTest, WithoutBinarizationIsAnOrdinaryInnerProduct) {
  typedef typename TypeParam::Dtype Dtype;
  const bool single = sizeof(Dtype) == 4;
  GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 1e-2 : 1e-7);
  LayerFixture<Dtype> ip(
      Text("BinaryInnerProduct", "num_output: 3", "use_binarization: false use_alpha: true"), {2, 5});
  checker.CheckGradientExhaustive(ip.layer.get(), ip.bottoms, ip.tops);
}

TYPED_TEST(BinaryInnerProductLayerTest, TransposeIsAnErrorThatNamesTheField) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> ip("name: 'bin' " + Text("BinaryInnerProduct", "num_output: 3 transpose: true"),
                         {2, 5});
  const string error = ErrorOf([&] { ip.SetUp(); });
  EXPECT_NE(error.find("layer 'bin' (BinaryInnerProduct)"), string::npos) << error;
  EXPECT_NE(error.find("inner_product_param.transpose"), string::npos) << error;
}

}  // namespace caffe
