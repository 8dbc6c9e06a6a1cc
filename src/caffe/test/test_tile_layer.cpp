#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class TileLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerFixture<Dtype> Make(const string& param, const vector<int>& shape = {2, 3, 2}) {
    return LayerFixture<Dtype>("name: 't' type: 'Tile' tile_param { " + param + " }", shape);
  }
};
TYPED_TEST_SUITE(TileLayerTest, TestDtypesAndDevices);

TYPED_TEST(TileLayerTest, RepeatsAlongItsAxis) {
  for (int axis = 0; axis < 3; ++axis) {
    auto run = this->Make("tiles: 3 axis: " + std::to_string(axis));
    run.SetUp();
    run.Forward();
    vector<int> shape = {2, 3, 2};
    const int size = shape[axis];
    shape[axis] *= 3;
    ASSERT_EQ(run.top.shape(), shape);
    for (int i = 0; i < shape[0]; ++i) {
      for (int j = 0; j < shape[1]; ++j) {
        for (int k = 0; k < shape[2]; ++k) {
          vector<int> from = {i, j, k};
          from[axis] %= size;
          EXPECT_EQ(run.top.data_at({i, j, k}), run.bottom.data_at(from));
        }
      }
    }
  }
}

TYPED_TEST(TileLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* param : {"tiles: 1", "tiles: 3", "tiles: 2 axis: 0", "tiles: 4 axis: -1"}) {
    auto run = this->Make(param);
    CheckerFor<Dtype>().CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops);
  }
}

TYPED_TEST(TileLayerTest, RefusesBadCounts) {
  const auto error = [&](const string& param) {
    auto run = this->Make(param);
    return ErrorOf([&] { run.SetUp(); });
  };
  EXPECT_TRUE(Contains(error(""), "tile_param.tiles is needed"));
  EXPECT_TRUE(Contains(error("tiles: 0"), "at least 1"));
  EXPECT_TRUE(Contains(error("tiles: 2147483647"), "too long"));
}

}  // namespace caffe
