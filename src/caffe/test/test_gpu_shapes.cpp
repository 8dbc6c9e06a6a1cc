// Layers that arrange and combine blobs, on the GPU and on the CPU.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/util/crop_places.hpp"
#include "caffe/util/item_moves.hpp"
#include "caffe/util/tiling.hpp"

namespace caffe {

TEST(CropPlacesTest, FindsEachValueWhereTheAxesSay) {
  const vector<vector<vector<int>>> crops = {
      // Shape, cut, offset.
      {{2, 3, 5, 7}, {2, 3, 4, 4}, {0, 0, 1, 2}}, {{2, 3, 5, 7}, {2, 3, 5, 7}, {0, 0, 0, 0}},
      {{2, 3, 5, 7}, {2, 1, 5, 7}, {0, 2, 0, 0}}, {{4, 3, 5, 7}, {1, 3, 5, 2}, {3, 0, 0, 5}},
      {{2, 3, 5, 7}, {2, 3, 2, 7}, {0, 0, 3, 0}}, {{9}, {4}, {5}},
      {{1, 1, 3}, {1, 1, 1}, {0, 0, 1}},          {{3, 1, 2, 1, 4}, {2, 1, 1, 1, 3}, {1, 0, 1, 0, 0}}};
  for (const auto& crop : crops) {
    Blob<int> blob(crop[0]), cut(crop[1]);
    const CropPlaces places = PlacesOfCrop(crop[0], crop[1], crop[2].data());
    for (int i = 0; i < cut.count(); ++i) {
      int rest = i, expected = 0;
      vector<int> index(crop[0].size());
      for (int axis = static_cast<int>(index.size()) - 1; axis >= 0; --axis) {
        index[axis] = rest % crop[1][axis] + crop[2][axis];
        rest /= crop[1][axis];
      }
      expected = blob.offset(index);
      ASSERT_EQ(expected, places.Place(i / places.run) + i % places.run)
          << blob.shape_string() << " " << cut.shape_string() << " " << i;
    }
  }
}

TEST(CropPlacesTest, JoinsWhatIsNotCut) {
  const vector<int> offset = {0, 0, 1, 2};
  const CropPlaces window = PlacesOfCrop({8, 16, 9, 9}, {8, 16, 6, 6}, offset.data());
  EXPECT_EQ(6, window.run);
  EXPECT_EQ(2, window.axes);
  const vector<int> none = {0, 0, 0, 0};
  const CropPlaces all = PlacesOfCrop({8, 16, 9, 9}, {8, 16, 9, 9}, none.data());
  EXPECT_EQ(8 * 16 * 9 * 9, all.run);
  EXPECT_EQ(0, all.axes);
}

TEST(TilingTest, FindsTheValueOfEachCopy) {
  for (const unsigned inner : {1u, 2u, 7u}) {
    for (const unsigned tiles : {1u, 2u, 5u}) {
      const Tiling tiling = {inner, tiles};
      vector<int> seen(3 * inner * tiles, 0);
      for (unsigned i = 0; i < 3 * inner; ++i) {
        for (unsigned t = 0; t < tiles; ++t) {
          const unsigned place = tiling.Place(i, t);
          EXPECT_EQ(i, tiling.ValueAt(place));
          ++seen[place];
        }
      }
      EXPECT_EQ(vector<int>(seen.size(), 1), seen) << inner << " x " << tiles;
    }
  }
}

TEST(ItemMovesTest, PutsPositionsWithTheirItems) {
  const ItemPositions by_item = PositionsOfItems({3, 0, 3, 1, 3}, 5);
  EXPECT_EQ((vector<int>{0, 1, 2, 2, 5, 5}), by_item.begin);
  EXPECT_EQ((vector<int>{1, 3, 0, 2, 4}), by_item.positions);
  EXPECT_EQ((vector<int>{0, 0, 0}), PositionsOfItems({}, 2).begin);
}

}  // namespace caffe

#ifndef CPU_ONLY

#include "caffe/test/test_caffe_main.hpp"
#include "gpu_test_util.hpp"

namespace caffe {

template <typename Dtype>
class GpuShapesTest : public ::testing::Test {};
TYPED_TEST_SUITE(GpuShapesTest, TestDtypes);

namespace {

const vector<vector<int>> kBlobShapes = {{2, 3, 5, 7},   {1, 4, 8, 8}, {3, 1, 1, 1},
                                         {129, 3, 1, 5}, {6, 4},       {37}};

// The shape with another size of an axis.
vector<int> With(vector<int> shape, int axis, int size) {
  shape[axis] = size;
  return shape;
}

}  // namespace

TYPED_TEST(GpuShapesTest, Eltwise) {
  for (const char* param :
       {"operation: SUM", "operation: PROD", "operation: PROD stable_prod_grad: false", "operation: MAX"}) {
    for (const auto& shape : kBlobShapes) {
      for (const int bottoms : {2, 3, 5}) {
        // Not near 0, by which an unstable gradient divides.
        const BottomFiller<TypeParam> away = [](const vector<Blob<TypeParam>*>& blobs) {
          for (Blob<TypeParam>* blob : blobs) {
            TypeParam* values = blob->mutable_cpu_data();
            for (int i = 0; i < blob->count(); ++i) values[i] += values[i] < 0 ? -0.5 : 0.5;
          }
        };
        ExpectGpuEqualsCpu<TypeParam>("type: 'Eltwise' eltwise_param { " + string(param) + " }",
                                      vector<vector<int>>(bottoms, shape), 1, vector<bool>(bottoms, true), 0,
                                      away);
      }
    }
  }
}

TYPED_TEST(GpuShapesTest, EltwiseWithCoefficients) {
  const string text = "type: 'Eltwise' eltwise_param { coeff: -1 coeff: 0.5 coeff: 3 }";
  ExpectGpuEqualsCpu<TypeParam>(text, {{2, 3, 5, 7}, {2, 3, 5, 7}, {2, 3, 5, 7}}, 1, {true, true, true});
  ExpectGpuEqualsCpu<TypeParam>(text, {{2, 3, 5, 7}, {2, 3, 5, 7}, {2, 3, 5, 7}}, 1, {false, true, false});
}

TYPED_TEST(GpuShapesTest, EltwiseGivesEqualValuesToTheFirst) {
  const BottomFiller<TypeParam> equal = [](const vector<Blob<TypeParam>*>& blobs) {
    for (Blob<TypeParam>* blob : blobs) {
      TypeParam* values = blob->mutable_cpu_data();
      for (int i = 0; i < blob->count(); ++i) values[i] = TypeParam((i / 3) % 2);
    }
  };
  ExpectGpuEqualsCpu<TypeParam>("type: 'Eltwise' eltwise_param { operation: MAX }",
                                {{4, 33}, {4, 33}, {4, 33}}, 1, {true, true, true}, 0, equal);
}

TYPED_TEST(GpuShapesTest, Concat) {
  for (const auto& shape : kBlobShapes) {
    for (int axis = 0; axis < static_cast<int>(shape.size()); ++axis) {
      const string text = "type: 'Concat' concat_param { axis: " + std::to_string(axis) + " }";
      ExpectGpuEqualsCpu<TypeParam>(text, {shape, With(shape, axis, 4), With(shape, axis, 1)}, 1,
                                    {true, false, true});
      ExpectGpuEqualsCpu<TypeParam>(text, {shape, With(shape, axis, 16)}, 1, {true, true});
    }
  }
  ExpectGpuEqualsCpu<TypeParam>("type: 'Concat'", {{2, 3, 4}}, 1, {true});
}

TYPED_TEST(GpuShapesTest, Slice) {
  ExpectGpuEqualsCpu<TypeParam>("type: 'Slice'", {{3, 8, 4, 5}}, 2, {true});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Slice' slice_param { axis: 0 }", {{6, 3, 4}}, 3, {true});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Slice' slice_param { slice_point: 1 slice_point: 5 }", {{3, 8, 7}}, 3,
                                {true});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Slice' slice_param { axis: -1 slice_point: 5 }", {{129, 3, 8}}, 2,
                                {true});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Slice'", {{3, 8, 4, 5}}, 1, {false});
}

TYPED_TEST(GpuShapesTest, Split) {
  for (const int tops : {1, 2, 3, 8, 9, 17}) {
    ExpectGpuEqualsCpu<TypeParam>("type: 'Split'", {{3, 5, 7}}, tops, {true});
  }
}

TYPED_TEST(GpuShapesTest, Tile) {
  const auto run = [](const vector<int>& shape, int axis, int tiles) {
    ExpectGpuEqualsCpu<TypeParam>(
        "type: 'Tile' tile_param { axis: " + std::to_string(axis) + " tiles: " + std::to_string(tiles) + " }",
        {shape}, 1, {true});
  };
  for (const auto& shape : kBlobShapes) {
    for (int axis = 0; axis < static_cast<int>(shape.size()); ++axis) {
      run(shape, axis, 1);
      run(shape, axis, 3);
    }
  }
  // Many copies, of long and of short runs.
  run({2, 3, 35}, 2, 100);
  run({2, 3, 5}, 2, 100);
  run({2, 3, 1}, 2, 5000);
}

TYPED_TEST(GpuShapesTest, Crop) {
  // Only the first bottom's gradient counts; the second's shape does.
  ExpectGpuEqualsCpu<TypeParam>("type: 'Crop' crop_param { offset: 1 offset: 2 }",
                                {{2, 3, 6, 9}, {2, 3, 4, 5}}, 1, {true, true});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Crop' crop_param { offset: 4 }", {{2, 3, 16, 16}, {2, 3, 8, 8}}, 1,
                                {true, false});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Crop' crop_param { axis: 1 offset: 1 offset: 0 offset: 3 }",
                                {{2, 3, 6, 9}, {2, 2, 6, 5}}, 1, {true, false});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Crop' crop_param { axis: 0 }", {{5, 3, 2}, {2, 3, 2}}, 1,
                                {true, false});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Crop'", {{2, 3, 6, 9}, {1, 1, 6, 9}}, 1, {true, false});
}

TYPED_TEST(GpuShapesTest, Filter) {
  for (const int period : {1, 2, 3}) {
    const BottomFiller<TypeParam> select = [period](const vector<Blob<TypeParam>*>& blobs) {
      TypeParam* selector = blobs.back()->mutable_cpu_data();
      for (int i = 0; i < blobs.back()->count(); ++i) selector[i] = i % period == 0;
    };
    ExpectGpuEqualsCpu<TypeParam>("type: 'Filter'", {{7, 3, 5}, {7, 8}, {7}}, 2, {true, true, false}, 0,
                                  select);
    ExpectGpuEqualsCpu<TypeParam>("type: 'Filter'", {{5, 1}, {5, 1, 1, 1}}, 1, {true, false}, 0, select);
  }
}

TYPED_TEST(GpuShapesTest, BatchReindex) {
  for (const int items : {1, 2, 5, 33}) {
    const BottomFiller<TypeParam> index = [items](const vector<Blob<TypeParam>*>& blobs) {
      FillIndices(items, blobs[1]);
    };
    ExpectGpuEqualsCpu<TypeParam>("type: 'BatchReindex'", {{items, 3, 5}, {17}}, 1, {true, false}, 0, index);
    ExpectGpuEqualsCpu<TypeParam>("type: 'BatchReindex'", {{items, 8}, {100}}, 1, {true, false}, 0, index);
    ExpectGpuEqualsCpu<TypeParam>("type: 'BatchReindex'", {{items}, {1}}, 1, {true, false}, 0, index);
  }
}

TYPED_TEST(GpuShapesTest, FlattenAndReshape) {
  ExpectGpuEqualsCpu<TypeParam>("type: 'Flatten'", {{2, 3, 5}}, 1, {true});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Reshape' reshape_param { shape { dim: -1 dim: 5 } }", {{2, 3, 5}}, 1,
                                {});
}

}  // namespace caffe

#endif  // !CPU_ONLY
