#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class EmbedLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerRun<Dtype> Make(const string& param, const vector<int>& shape, const vector<Dtype>& indices) {
    LayerRun<Dtype> run(
        "name: 'words' type: 'Embed' embed_param { num_output: 2 input_dim: 4 "
        "weight_filler { type: 'gaussian' } bias_filler { type: 'constant' value: 10 } " +
            param + " }",
        {shape});
    run.SetBottom(0, indices);
    return run;
  }
};
TYPED_TEST_SUITE(EmbedLayerTest, TestDtypesAndDevices);

TYPED_TEST(EmbedLayerTest, LooksRowsUp) {
  for (const bool bias : {true, false}) {
    auto run = this->Make(bias ? "" : "bias_term: false", {3, 1}, {2, 0, 2});
    run.SetUp();
    run.Forward();
    ASSERT_EQ(run.layer->blobs().size(), bias ? 2u : 1u);
    EXPECT_EQ(run.layer->blobs()[0]->shape(), (vector<int>{4, 2}));
    EXPECT_EQ(run.tops[0]->shape(), (vector<int>{3, 1, 2}));
    const auto* rows = run.layer->blobs()[0]->cpu_data();
    const int order[] = {2, 0, 2};
    for (int i = 0; i < 6; ++i) {
      EXPECT_NEAR(run.tops[0]->cpu_data()[i], rows[2 * order[i / 2] + i % 2] + (bias ? 10 : 0), 1e-5);
    }
  }
}

TYPED_TEST(EmbedLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* param : {"", "bias_term: false"}) {
    auto run = this->Make(param, {5}, {2, 0, 2, 3, 3});
    // Only the parameters: no bottom has index -2.
    CheckerFor<Dtype>().CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops, -2);
  }
}

TYPED_TEST(EmbedLayerTest, LeavesFrozenParametersAlone) {
  auto run = this->Make("", {2}, {1, 2});
  run.SetUp();
  run.Forward();
  for (int i = 0; i < 2; ++i) {
    run.layer->set_param_propagate_down(i, false);
    caffe_set(run.layer->blobs()[i]->count(), typename TypeParam::Dtype(5),
              run.layer->blobs()[i]->mutable_cpu_diff());
  }
  run.SetTopDiff(0, {1, 2, 3, 4});
  run.Backward({false});
  for (int i = 0; i < 2; ++i) {
    for (const auto diff : DiffOf(*run.layer->blobs()[i])) EXPECT_EQ(diff, 5);
  }
}

TYPED_TEST(EmbedLayerTest, RefusesBadIndicesAndSizes) {
  auto run = this->Make("", {2}, {1, 4});
  run.SetUp();
  const string error = ErrorOf([&] { run.Forward(); });
  EXPECT_TRUE(Contains(error, "layer 'words' (Embed)"));
  EXPECT_TRUE(Contains(error, "wrong index 4 at position 1"));
  EXPECT_FALSE(run.layer->AllowForceBackward(0));
  LayerRun<typename TypeParam::Dtype> no_rows("type: 'Embed' embed_param { num_output: 2 }", {{1}});
  EXPECT_TRUE(Contains(ErrorOf([&] { no_rows.SetUp(); }), "input_dim must be at least 1"));
  LayerRun<typename TypeParam::Dtype> no_width("type: 'Embed' embed_param { input_dim: 2 }", {{1}});
  EXPECT_TRUE(Contains(ErrorOf([&] { no_width.SetUp(); }), "num_output must be at least 1"));
}

}  // namespace caffe
