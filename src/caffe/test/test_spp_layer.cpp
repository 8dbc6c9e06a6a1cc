#include <algorithm>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class SPPLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerFixture<Dtype> Make(const string& param, const vector<int>& shape) {
    return LayerFixture<Dtype>("name: 'spp' type: 'SPP' spp_param { " + param + " }", shape);
  }
};
TYPED_TEST_SUITE(SPPLayerTest, TestDtypesAndDevices);

TYPED_TEST(SPPLayerTest, PoolsEachLevel) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("pyramid_height: 3", {2, 3, 9, 8});
  run.SetUp();
  run.Forward();
  ASSERT_EQ(run.top.shape(), (vector<int>{2, 3 * (1 + 4 + 16)}));
  // Bins of 9 rows: ceil(9 / bins) rows each, the first pushed over the edge by half of what is too much.
  int place = 0;
  for (const int bins : {1, 2, 4}) {
    const int rows = (9 + bins - 1) / bins, columns = (8 + bins - 1) / bins;
    const int over_h = (rows * bins - 9 + 1) / 2, over_w = (columns * bins - 8 + 1) / 2;
    for (int c = 0; c < 3; ++c) {
      for (int i = 0; i < bins; ++i) {
        for (int j = 0; j < bins; ++j, ++place) {
          for (int n = 0; n < 2; ++n) {
            Dtype largest = -1e9;
            for (int h = std::max(0, i * rows - over_h); h < std::min(9, (i + 1) * rows - over_h); ++h) {
              for (int w = std::max(0, j * columns - over_w); w < std::min(8, (j + 1) * columns - over_w);
                   ++w) {
                largest = std::max(largest, run.bottom.data_at({n, c, h, w}));
              }
            }
            EXPECT_EQ(run.top.data_at({n, place}), largest) << bins << " bins, channel " << c;
          }
        }
      }
    }
  }
}

TYPED_TEST(SPPLayerTest, KeepsImagesForAPyramidOfOneLevel) {
  auto run = this->Make("pyramid_height: 1 pool: AVE", {2, 3, 2, 2});
  run.SetUp();
  run.Forward();
  EXPECT_EQ(run.top.shape(), (vector<int>{2, 3, 1, 1}));
  const auto* x = run.bottom.cpu_data();
  EXPECT_NEAR(run.top.cpu_data()[0], (x[0] + x[1] + x[2] + x[3]) / 4, 1e-6);
}

TYPED_TEST(SPPLayerTest, FollowsTheImagesSize) {
  auto run = this->Make("pyramid_height: 2", {2, 3, 4, 4});
  run.SetUp();
  run.Forward();
  run.bottom.Reshape({1, 3, 7, 9});
  FillNormal(&run.bottom);
  run.Forward();
  EXPECT_EQ(run.top.shape(), (vector<int>{1, 15}));
  auto fresh = this->Make("pyramid_height: 2", {1, 3, 7, 9});
  fresh.bottom.CopyFrom(run.bottom);
  fresh.SetUp();
  fresh.Forward();
  EXPECT_EQ(DataOf(run.top), DataOf(fresh.top));
}

TYPED_TEST(SPPLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* param : {"pyramid_height: 1", "pyramid_height: 3", "pyramid_height: 2 pool: AVE"}) {
    auto run = this->Make(param, {2, 2, 6, 7});
    // Values far apart, so that no step changes which is the largest.
    for (int i = 0; i < run.bottom.count(); ++i) run.bottom.mutable_cpu_data()[i] = Dtype((i * 37) % 168);
    GradientChecker<Dtype>(1e-2, 1e-2).CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops);
  }
}

TYPED_TEST(SPPLayerTest, RefusesPyramidsThatDoNotFit) {
  const auto error = [&](const string& param, const vector<int>& shape) {
    auto run = this->Make(param, shape);
    return ErrorOf([&] { run.SetUp(); });
  };
  EXPECT_TRUE(Contains(error("pyramid_height: 3", {1, 1, 3, 8}), "level 2 of the pyramid has 4 x 4 bins"));
  EXPECT_TRUE(Contains(error("", {1, 1, 3, 3}), "spp_param.pyramid_height must be 1 to 15"));
  EXPECT_TRUE(Contains(error("pyramid_height: 40", {1, 1, 3, 3}), "not 40"));
  EXPECT_TRUE(Contains(error("pyramid_height: 1", {1, 9}), "must be images"));
}

}  // namespace caffe
