#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class FilterLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerRun<Dtype> Make(const vector<Dtype>& selector) {
    LayerRun<Dtype> run("name: 'sieve' type: 'Filter'", {{4, 2}, {4}, {4, 1, 1}}, 2);
    run.SetBottom(0, {1, 2, 3, 4, 5, 6, 7, 8});
    run.SetBottom(1, {10, 20, 30, 40});
    run.SetBottom(2, selector);
    return run;
  }
};
TYPED_TEST_SUITE(FilterLayerTest, TestDtypesAndDevices);

TYPED_TEST(FilterLayerTest, PassesSelectedItems) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make({0, 1, 0, Dtype(-0.5)});
  run.SetUp();
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{4, 2})) << "before anything is selected";
  run.Forward();
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{2, 2}));
  EXPECT_EQ(DataOf(*run.tops[0]), (vector<Dtype>{3, 4, 7, 8}));
  EXPECT_EQ(DataOf(*run.tops[1]), (vector<Dtype>{20, 40}));
}

TYPED_TEST(FilterLayerTest, PassesNothingOrAll) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make({0, 0, 0, 0});
  run.SetUp();
  run.Forward();
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{0, 2}));
  run.Backward({true, true, false});
  EXPECT_EQ(DiffOf(*run.bottoms[0]), vector<Dtype>(8, 0));
  run.SetBottom(2, {1, 1, 1, 1});
  run.Forward();
  EXPECT_EQ(DataOf(*run.tops[0]), DataOf(*run.bottoms[0]));
}

TYPED_TEST(FilterLayerTest, HandsGradientsToSelectedItems) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make({1, 0, 1, 1});
  run.SetUp();
  run.Forward();
  run.SetTopDiff(0, {1, 2, 3, 4, 5, 6});
  run.SetTopDiff(1, {7, 8, 9});
  run.Backward({true, true, false});
  EXPECT_EQ(DiffOf(*run.bottoms[0]), (vector<Dtype>{1, 2, 0, 0, 3, 4, 5, 6}));
  EXPECT_EQ(DiffOf(*run.bottoms[1]), (vector<Dtype>{7, 0, 8, 9}));
}

TYPED_TEST(FilterLayerTest, RefusesBlobsThatDoNotMatch) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make({1, 0, 1, 1});
  run.SetUp();
  run.Forward();
  EXPECT_TRUE(Contains(ErrorOf([&] { run.Backward({true, true, true}); }), "no gradient"));
  EXPECT_FALSE(LayerRegistry<Dtype>::CreateLayer(
                   LayerFromText("type: 'Filter' bottom: 'a' bottom: 'selector' top: 'b'"))
                   ->AllowForceBackward(1));
  LayerRun<Dtype> wide("type: 'Filter'", {{4, 2}, {4, 2}});
  EXPECT_TRUE(Contains(ErrorOf([&] { wide.SetUp(); }), "one value for each item"));
  LayerRun<Dtype> fewer("name: 'sieve' type: 'Filter'", {{3, 2}, {4}});
  EXPECT_TRUE(Contains(ErrorOf([&] { fewer.SetUp(); }), "must hold 4 items"));
  LayerRun<Dtype> tops("type: 'Filter'", {{4, 2}, {4}}, 2);
  EXPECT_TRUE(Contains(ErrorOf([&] { tops.SetUp(); }), "a top for each bottom but the last"));
}

}  // namespace caffe
