#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/im2col_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "caffe/util/im2col.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

string Im2colText(const string& settings) {
  return "name: 'columns' type: 'Im2col' convolution_param { " + settings + " }";
}

}  // namespace

template <typename TypeParam>
class Im2colLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  Im2colLayerTest() { Caffe::set_random_seed(1701); }
};

TYPED_TEST_SUITE(Im2colLayerTest, TestDtypesAndDevices);

TYPED_TEST(Im2colLayerTest, MakesTheColumnsOfEachImage) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> layer(Im2colText("kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 dilation: 2 dilation: 1"),
                            {2, 3, 6, 5});
  layer.SetUp();
  ASSERT_EQ(layer.top.shape(), vector<int>({2, 18, 2, 3}));
  layer.Forward();
  for (int n = 0; n < 2; ++n) {
    vector<Dtype> columns(18 * 2 * 3);
    im2col_cpu(layer.bottom.cpu_data() + n * 90, 3, 6, 5, 3, 2, 1, 1, 2, 2, 2, 1, columns.data());
    const Dtype* top = layer.top.cpu_data() + n * 108;
    EXPECT_EQ(vector<Dtype>(top, top + 108), columns);
  }
}

TYPED_TEST(Im2colLayerTest, Gradient) {
  typedef typename TypeParam::Dtype Dtype;
  const bool single = sizeof(Dtype) == 4;
  GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 1e-2 : 1e-7);
  const struct {
    const char* settings;
    vector<int> bottom;
    vector<int> top;
  } cases[] = {
      {"kernel_size: 3 stride: 2 pad: 1", {2, 2, 4, 5}, {2, 18, 2, 3}},
      {"kernel_size: 2", {2, 3, 4}, {2, 6, 3}},
      {"kernel_size: 2 axis: 2", {1, 2, 1, 2, 3}, {1, 2, 4, 1, 2}},
      {"kernel_size: 2 force_nd_im2col: true", {1, 1, 2, 2, 2}, {1, 8, 1, 1, 1}},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> layer(Im2colText(test.settings), test.bottom);
    checker.CheckGradientExhaustive(layer.layer.get(), layer.bottoms, layer.tops);
    EXPECT_EQ(layer.top.shape(), test.top);
  }
}

TYPED_TEST(Im2colLayerTest, BadSizesAreErrors) {
  typedef typename TypeParam::Dtype Dtype;
  const auto error = [](const string& settings, const vector<int>& bottom) {
    return ErrorOf([&] { LayerFixture<Dtype>(Im2colText(settings), bottom).SetUp(); });
  };
  EXPECT_NE(error("kernel_size: 4", {1, 1, 3, 5}).find("kernel of size 4 does not fit"), string::npos);
  EXPECT_NE(error("kernel_size: 1", {2, 3}).find("no axis after the channels"), string::npos);
  EXPECT_NE(error("kernel_size: 100 pad: 300", {1, 4, 6, 5}).find("4 channels, kernel 100 x 100"),
            string::npos);
  LayerFixture<Dtype> layer(Im2colText("kernel_size: 2"), {1, 1, 3, 3});
  layer.SetUp();
  layer.bottom.Reshape(vector<int>{1, 1, 9});
  EXPECT_NE(ErrorOf([&] { layer.Forward(); }).find("axes may not change"), string::npos);
}

}  // namespace caffe
