#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class BatchReindexLayerTest : public MultiDeviceTest<TypeParam> {};
TYPED_TEST_SUITE(BatchReindexLayerTest, TestDtypesAndDevices);

TYPED_TEST(BatchReindexLayerTest, TakesItemsInTheOrderAsked) {
  using Dtype = typename TypeParam::Dtype;
  LayerRun<Dtype> run("type: 'BatchReindex'", {{3, 2}, {5}});
  run.SetBottom(0, {1, 2, 3, 4, 5, 6});
  run.SetBottom(1, {2, 0, 0, 1, 2});
  run.SetUp();
  run.Forward();
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{5, 2}));
  EXPECT_EQ(DataOf(*run.tops[0]), (vector<Dtype>{5, 6, 1, 2, 1, 2, 3, 4, 5, 6}));
}

TYPED_TEST(BatchReindexLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  LayerRun<Dtype> run("type: 'BatchReindex'", {{4, 3, 1}, {5}});
  run.SetBottom(1, {3, 0, 0, 1, 3});  // item 2 never, others once or twice
  CheckerFor<Dtype>().CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops, 0);
}

TYPED_TEST(BatchReindexLayerTest, RefusesIndicesOutsideTheBatch) {
  using Dtype = typename TypeParam::Dtype;
  for (const Dtype index : {Dtype(3), Dtype(-1), Dtype(NAN)}) {
    LayerRun<Dtype> run("name: 'pick' type: 'BatchReindex'", {{3, 2}, {2}});
    run.SetBottom(1, {0, index});
    run.SetUp();
    const string error = ErrorOf([&] { run.Forward(); });
    EXPECT_TRUE(Contains(error, "layer 'pick' (BatchReindex)"));
    EXPECT_TRUE(Contains(error, "at position 1: indices must be integers from 0 to 2"));
  }
  LayerRun<Dtype> matrix("type: 'BatchReindex'", {{3, 2}, {2, 1}});
  EXPECT_TRUE(Contains(ErrorOf([&] { matrix.SetUp(); }), "must have one axis"));
  EXPECT_FALSE(matrix.layer->AllowForceBackward(1));
}

}  // namespace caffe
