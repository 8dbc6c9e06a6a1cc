#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class CropLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  /// The layer run on a bottom that counts 0, 1, 2, ...
  LayerRun<Dtype> Run(const string& param, const vector<int>& from, const vector<int>& like) {
    LayerRun<Dtype> run("name: 'cut' type: 'Crop' crop_param { " + param + " }", {from, like});
    for (int i = 0; i < run.bottoms[0]->count(); ++i) run.bottoms[0]->mutable_cpu_data()[i] = Dtype(i);
    run.SetUp();
    run.Forward();
    return run;
  }
};
TYPED_TEST_SUITE(CropLayerTest, TestDtypesAndDevices);

TYPED_TEST(CropLayerTest, CutsImagesByDefault) {
  const auto run = this->Run("", {2, 1, 3, 4}, {7, 7, 2, 3});
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{2, 1, 2, 3}));
  EXPECT_EQ(DataOf(*run.tops[0]),
            (vector<typename TypeParam::Dtype>{0, 1, 2, 4, 5, 6, 12, 13, 14, 16, 17, 18}));
}

TYPED_TEST(CropLayerTest, CutsFromItsOffsets) {
  using Dtype = typename TypeParam::Dtype;
  EXPECT_EQ(DataOf(*this->Run("offset: 1", {1, 1, 3, 3}, {1, 1, 2, 2}).tops[0]), (vector<Dtype>{4, 5, 7, 8}));
  EXPECT_EQ(DataOf(*this->Run("offset: 0 offset: 2", {1, 1, 3, 4}, {1, 1, 2, 2}).tops[0]),
            (vector<Dtype>{2, 3, 6, 7}));
  EXPECT_EQ(DataOf(*this->Run("axis: 0 offset: 1 offset: 0 offset: 1", {2, 2, 2}, {1, 2, 1}).tops[0]),
            (vector<Dtype>{5, 7}));
  EXPECT_EQ(DataOf(*this->Run("axis: -1 offset: 3", {5}, {2}).tops[0]), (vector<Dtype>{3, 4}));
}

TYPED_TEST(CropLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Run("axis: 1 offset: 1 offset: 0 offset: 2", {2, 3, 2, 5}, {1, 2, 2, 2});
  // The checker's own bottom 1 has gradient 0 too, so both are checked.
  CheckerFor<Dtype>().CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops);
}

TYPED_TEST(CropLayerTest, RefusesCutsThatDoNotFit) {
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Run("offset: 2", {1, 1, 3, 3}, {1, 1, 2, 1}); }),
                       "the cut of 2 from offset 2 leaves axis 2"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Run("offset: 4294967295", {1, 1, 3, 3}, {1, 1, 2, 1}); }),
                       "leaves axis 2"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Run("axis: 1 offset: 1 offset: 1", {1, 1, 3, 3}, {1, 1, 2, 1}); }),
                       "once for each of the 3 axes"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Run("", {1, 1, 3, 3}, {1, 1, 2}); }), "layer 'cut' (Crop)"));
}

}  // namespace caffe
