#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class ArgMaxLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  /// The layer with these parameters, run on `values` of shape `shape`.
  LayerRun<Dtype> Run(const string& param, const vector<int>& shape, const vector<Dtype>& values) {
    LayerRun<Dtype> run("name: 'best' type: 'ArgMax' argmax_param { " + param + " }", {shape});
    run.SetBottom(0, values);
    run.SetUp();
    run.Forward();
    return run;
  }
};
TYPED_TEST_SUITE(ArgMaxLayerTest, TestDtypesAndDevices);

TYPED_TEST(ArgMaxLayerTest, FindsTheLargestOfEachItem) {
  const auto run = this->Run("", {2, 2, 2}, {1, 5, 2, 3, 9, -1, 0, 4});
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{2, 1, 1}));
  EXPECT_EQ(DataOf(*run.tops[0]), (vector<typename TypeParam::Dtype>{1, 0}));
}

TYPED_TEST(ArgMaxLayerTest, ShapesTheTopAsImagesForImages) {
  EXPECT_EQ(this->Run("top_k: 2", {1, 1, 2, 2}, {1, 2, 3, 4}).tops[0]->shape(), (vector<int>{1, 1, 2, 1}));
  EXPECT_EQ(this->Run("top_k: 2", {1, 3}, {1, 2, 3}).tops[0]->shape(), (vector<int>{1, 1, 2}));
}

TYPED_TEST(ArgMaxLayerTest, GivesIndicesAndThenValues) {
  const auto run = this->Run("top_k: 2 out_max_val: true", {2, 3}, {1, 5, 2, 3, -1, 0});
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{2, 2, 2}));
  EXPECT_EQ(DataOf(*run.tops[0]), (vector<typename TypeParam::Dtype>{1, 2, 5, 2, 0, 2, 3, 0}));
}

TYPED_TEST(ArgMaxLayerTest, SearchesAlongAnAxis) {
  using Dtype = typename TypeParam::Dtype;
  const vector<Dtype> values = {1, 9, 5, 2, 3, 7, 0, -1, 8, 4, 6, 5};
  const auto places = this->Run("axis: 1 top_k: 2", {2, 3, 2}, values);
  EXPECT_EQ(places.tops[0]->shape(), (vector<int>{2, 2, 2}));
  EXPECT_EQ(DataOf(*places.tops[0]), (vector<Dtype>{1, 0, 2, 2, 1, 2, 2, 1}));
  const auto maxima = this->Run("axis: -2 top_k: 2 out_max_val: true", {2, 3, 2}, values);
  EXPECT_EQ(DataOf(*maxima.tops[0]), (vector<Dtype>{5, 9, 3, 7, 8, 5, 6, 4}));
}

TYPED_TEST(ArgMaxLayerTest, TakesTheLastOfEqualValuesAndNanAsLargest) {
  using Dtype = typename TypeParam::Dtype;
  EXPECT_EQ(DataOf(*this->Run("top_k: 3", {1, 4}, {2, 7, 7, 1}).tops[0]), (vector<Dtype>{2, 1, 0}));
  EXPECT_EQ(DataOf(*this->Run("top_k: 2", {1, 4}, {2, Dtype(NAN), 7, 1}).tops[0]), (vector<Dtype>{1, 2}));
}

TYPED_TEST(ArgMaxLayerTest, RefusesWhatItCannotDo) {
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Run("top_k: 3", {1, 2}, {1, 2}); }), "more than an item holds"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Run("top_k: 3 axis: 0", {2, 2}, {1, 2, 3, 4}); }),
                       "more than axis 0 holds"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Run("top_k: 0", {1, 2}, {1, 2}); }), "layer 'best' (ArgMax)"));
  auto run = this->Run("", {1, 2}, {1, 2});
  EXPECT_TRUE(Contains(ErrorOf([&] { run.Backward({true}); }), "no gradient"));
}

}  // namespace caffe
