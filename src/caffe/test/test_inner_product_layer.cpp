#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/inner_product_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "caffe/util/math_functions.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

string InnerProductText(const string& settings) {
  return "name: 'ip' type: 'InnerProduct' inner_product_param { weight_filler { type: 'gaussian' std: 0.5 } "
         "bias_filler { type: 'gaussian' } " +
         settings + " }";
}

struct Case {
  string settings;
  vector<int> bottom;
  vector<int> weights;
  vector<int> top;
};

vector<Case> Cases() {
  return {
      {"num_output: 5", {3, 2, 3, 2}, {5, 12}, {3, 5}},
      {"num_output: 5 transpose: true", {3, 2, 3}, {6, 5}, {3, 5}},
      {"num_output: 4 axis: -1 bias_term: false", {2, 3, 5}, {4, 5}, {2, 3, 4}},
      {"num_output: 1 axis: 0", {7}, {1, 7}, {1}},
      {"num_output: 3 axis: 2 transpose: true", {2, 3, 2, 2}, {4, 3}, {2, 3, 3}},
      {"num_output: 3", {1, 9}, {3, 9}, {1, 3}},
  };
}

}  // namespace

template <typename TypeParam>
class InnerProductLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  InnerProductLayerTest() { Caffe::set_random_seed(1701); }
};

TYPED_TEST_SUITE(InnerProductLayerTest, TestDtypesAndDevices);

TYPED_TEST(InnerProductLayerTest, ForwardIsTheDefinition) {
  typedef typename TypeParam::Dtype Dtype;
  for (const Case& test : Cases()) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> ip(InnerProductText(test.settings), test.bottom);
    ip.SetUp();
    EXPECT_EQ(ip.top.shape(), test.top);
    EXPECT_EQ(ip.blob(0).shape(), test.weights);
    ip.Forward();
    const InnerProductParameter& param = ip.layer->layer_param().inner_product_param();
    const int outputs = static_cast<int>(param.num_output()), inputs = ip.blob(0).count() / outputs;
    for (int i = 0; i < ip.top.count(); ++i) {
      const int row = i / outputs, output = i % outputs;
      double sum = param.bias_term() ? ip.blob(1).cpu_data()[output] : 0;
      for (int j = 0; j < inputs; ++j) {
        const int place = param.transpose() ? j * outputs + output : output * inputs + j;
        sum += static_cast<double>(ip.bottom.cpu_data()[row * inputs + j]) * ip.blob(0).cpu_data()[place];
      }
      EXPECT_NEAR(ip.top.cpu_data()[i], sum, sizeof(Dtype) == 4 ? 1e-5 : 1e-12);
    }
  }
}

TYPED_TEST(InnerProductLayerTest, Gradient) {
  typedef typename TypeParam::Dtype Dtype;
  const bool single = sizeof(Dtype) == 4;
  GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 1e-2 : 1e-7);
  for (const Case& test : Cases()) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> ip(InnerProductText(test.settings), test.bottom);
    checker.CheckGradientExhaustive(ip.layer.get(), ip.bottoms, ip.tops);
  }
}

TYPED_TEST(InnerProductLayerTest, GradientsAddUpAndStayWhereUnwanted) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string transpose : {"true", "false"}) {
    LayerFixture<Dtype> ip(InnerProductText("num_output: 3 transpose: " + transpose), {4, 5});
    ip.SetUp();
    ip.Forward();
    caffe_copy(ip.top.count(), ip.top.cpu_data(), ip.top.mutable_cpu_diff());
    ip.Backward();
    const vector<vector<Dtype>> once = {DiffOf(ip.blob(0)), DiffOf(ip.blob(1))};
    ip.Backward();
    for (int i = 0; i < 2; ++i) {
      for (size_t j = 0; j < once[i].size(); ++j) EXPECT_NEAR(ip.blob(i).cpu_diff()[j], 2 * once[i][j], 1e-4);
    }
    const vector<vector<Dtype>> twice = {DiffOf(ip.blob(0)), DiffOf(ip.blob(1))};
    ip.layer->set_param_propagate_down(0, false);
    ip.layer->set_param_propagate_down(1, false);
    caffe_set(ip.bottom.count(), Dtype(7), ip.bottom.mutable_cpu_diff());
    ip.Backward(false);
    EXPECT_EQ(DiffOf(ip.blob(0)), twice[0]);
    EXPECT_EQ(DiffOf(ip.blob(1)), twice[1]);
    EXPECT_EQ(DiffOf(ip.bottom), vector<Dtype>(ip.bottom.count(), 7));
  }
}

TYPED_TEST(InnerProductLayerTest, ThreadsDoNotChangeTheResult) {
  typedef typename TypeParam::Dtype Dtype;
  // Large enough for several chunks of rows and of outputs.
  LayerFixture<Dtype> ip(InnerProductText("num_output: 300"), {130, 40});
  ip.SetUp();
  vector<vector<Dtype>> tops, biases;
  for (const int threads : {1, 3}) {
    const ThreadsForTest set(threads);
    ip.Forward();
    tops.push_back(DataOf(ip.top));
    caffe_copy(ip.top.count(), ip.top.cpu_data(), ip.top.mutable_cpu_diff());
    caffe_set(ip.blob(1).count(), Dtype(0), ip.blob(1).mutable_cpu_diff());
    ip.Backward();
    biases.push_back(DiffOf(ip.blob(1)));
  }
  ExpectNear(tops[1], tops[0], 1e-4);
  ExpectNear(biases[1], biases[0], 1e-2);
}

TYPED_TEST(InnerProductLayerTest, FollowsTheNumberOfRowsOnly) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> ip(InnerProductText("num_output: 3"), {2, 4});
  ip.SetUp();
  ip.bottom.Reshape({5, 2, 2});
  ip.Forward();
  EXPECT_EQ(ip.top.shape(), vector<int>({5, 3}));
  ip.bottom.Reshape(vector<int>{0, 4});
  ip.Forward();
  ip.Backward();
  EXPECT_EQ(ip.top.shape(), vector<int>({0, 3}));
  ip.bottom.Reshape({2, 5});
  const string error = ErrorOf([&] { ip.Forward(); });
  EXPECT_NE(error.find("set up for 4 inputs; the bottom's shape is now 2 5 (10)"), string::npos) << error;
}

TYPED_TEST(InnerProductLayerTest, TakesWeightsOfOldFiles) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> ip(InnerProductText("num_output: 3"), {2, 4});
  ip.SetUp();
  LayerParameter saved;
  ip.layer->ToProto(&saved);
  for (int i = 0; i < 2; ++i) {
    BlobProto* blob = saved.mutable_blobs(i);
    blob->clear_shape();
    blob->set_num(1);
    blob->set_channels(1);
    blob->set_height(i == 0 ? 3 : 1);
    blob->set_width(i == 0 ? 4 : 3);
  }
  const auto copy = LayerRegistry<Dtype>::CreateLayer(saved);
  copy->SetUp(ip.bottoms, ip.tops);
  EXPECT_EQ(copy->blobs()[0]->shape(), vector<int>({3, 4}));
  EXPECT_EQ(copy->blobs()[1]->shape(), vector<int>({3}));
  EXPECT_EQ(DataOf(*copy->blobs()[0]), DataOf(ip.blob(0)));

  saved.mutable_inner_product_param()->set_num_output(2);
  const auto error = [&] {
    return ErrorOf([&] { LayerRegistry<Dtype>::CreateLayer(saved)->SetUp(ip.bottoms, ip.tops); });
  };
  EXPECT_NE(error().find("1 1 3 4 (12), which does not fit 2 outputs of 4 inputs"), string::npos) << error();
  saved.mutable_inner_product_param()->set_bias_term(false);
  EXPECT_NE(error().find("weights only"), string::npos) << error();
}

TYPED_TEST(InnerProductLayerTest, BadSettingsAreErrors) {
  typedef typename TypeParam::Dtype Dtype;
  const auto error = [](const string& settings, const vector<int>& bottom) {
    return ErrorOf([&] { LayerFixture<Dtype>(InnerProductText(settings), bottom).SetUp(); });
  };
  EXPECT_NE(error("", {2, 3}).find("'num_output' must be at least 1"), string::npos);
  EXPECT_NE(error("num_output: 3000000000", {2, 3}).find("'num_output'"), string::npos);
  EXPECT_NE(error("num_output: 3 axis: 2", {2, 3}).find("axis"), string::npos);
  EXPECT_NE(error("num_output: 2000000", {1, 2000}).find("2147483647"), string::npos);
}

}  // namespace caffe
