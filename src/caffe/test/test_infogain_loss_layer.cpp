#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/io.hpp"
#include "layer_test_util.hpp"

namespace caffe {

/// Scores of 4 classes for 3 items of 2 positions, with a matrix H that is not symmetric.
template <typename TypeParam>
class InfogainLossLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;

  static LayerRun<Dtype> Make(const string& settings, int num_tops = 1) {
    LayerRun<Dtype> run("name: 'loss' type: 'InfogainLoss' " + settings, {{3, 4, 2}, {3, 2}, {4, 4}},
                        num_tops);
    run.SetBottom(1, {0, 3, 2, 2, 1, 0});
    for (int i = 0; i < 16; ++i) run.bottoms[2]->mutable_cpu_data()[i] = Dtype(i * 7 % 11 / 10.0 + 0.05);
    return run;
  }

  /// The sum of all losses but those of a label.
  static double Loss(const LayerRun<Dtype>& run, int ignored_label) {
    double loss = 0;
    for (int position = 0; position < 6; ++position) {
      const int label = static_cast<int>(run.bottoms[1]->cpu_data()[position]);
      if (label == ignored_label) continue;
      const auto score = [&](int k) {
        return static_cast<double>(run.bottoms[0]->cpu_data()[(position / 2 * 4 + k) * 2 + position % 2]);
      };
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum += std::exp(score(k));
      for (int k = 0; k < 4; ++k) {
        loss -= run.bottoms[2]->cpu_data()[label * 4 + k] * (score(k) - std::log(sum));
      }
    }
    return loss;
  }
};
TYPED_TEST_SUITE(InfogainLossLayerTest, TestDtypesAndDevices);

TYPED_TEST(InfogainLossLayerTest, WeighsTheLogarithmsByH) {
  const struct {
    const char* settings;
    int ignored;
    double normalizer;
  } cases[] = {{"", -1, 6},
               {"infogain_loss_param { axis: -2 }", -1, 6},
               {"loss_param { ignore_label: 2 }", 2, 4},
               {"loss_param { ignore_label: 2 normalization: FULL }", 2, 6},
               {"loss_param { normalization: BATCH_SIZE }", -1, 3},
               {"loss_param { normalization: NONE }", -1, 1}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.settings);
    auto run = this->Make(c.settings);
    run.SetUp();
    run.Forward();
    EXPECT_NEAR(run.tops[0]->cpu_data()[0], this->Loss(run, c.ignored) / c.normalizer, 1e-4);
  }
}

TYPED_TEST(InfogainLossLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* settings :
       {"loss_weight: 3", "loss_param { ignore_label: 2 normalization: BATCH_SIZE }"}) {
    auto run = this->Make(settings);
    CheckerFor<Dtype>().CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops, 0);
  }
}

TYPED_TEST(InfogainLossLayerTest, TheIdentityGivesTheSoftmaxLoss) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("", 2);
  for (int i = 0; i < 16; ++i) run.bottoms[2]->mutable_cpu_data()[i] = i % 5 == 0;
  run.SetUp();
  const Dtype loss = run.Forward();
  Blob<Dtype> softmax_loss;
  const auto layer = MakeLayer<Dtype>("type: 'SoftmaxWithLoss'");
  const vector<Blob<Dtype>*> bottoms = {run.bottoms[0], run.bottoms[1]};
  layer->SetUp(bottoms, {&softmax_loss});
  EXPECT_NEAR(layer->Forward(bottoms, {&softmax_loss}), loss, 1e-5);
  EXPECT_EQ(run.tops[1]->shape(), run.bottoms[0]->shape());
  EXPECT_EQ(run.layer->loss(1), 0) << "the softmax that comes out is no loss";
}

TYPED_TEST(InfogainLossLayerTest, ReadsHFromAFile) {
  using Dtype = typename TypeParam::Dtype;
  auto from_bottom = this->Make("");
  BlobProto proto;
  from_bottom.bottoms[2]->ToProto(&proto);
  string file;
  MakeTempFilename(&file);
  WriteProtoToBinaryFile(proto, file);
  auto from_file = this->Make("infogain_loss_param { source: '" + file + "' }");
  from_file.bottoms.pop_back();
  from_file.bottoms[0]->CopyFrom(*from_bottom.bottoms[0]);
  for (auto* run : {&from_bottom, &from_file}) {
    run->SetUp();
    run->Forward();
  }
  from_bottom.Backward({true, false, false});
  from_file.Backward({true, false});
  EXPECT_EQ(DataOf(*from_file.tops[0]), DataOf(*from_bottom.tops[0]));
  EXPECT_EQ(DiffOf(*from_file.bottoms[0]), DiffOf(*from_bottom.bottoms[0]));
  CheckerFor<Dtype>().CheckGradientExhaustive(from_file.layer.get(), from_file.bottoms, from_file.tops, 0);
}

TYPED_TEST(InfogainLossLayerTest, RefusesBadInput) {
  using Dtype = typename TypeParam::Dtype;
  auto missing = this->Make("");
  missing.bottoms.pop_back();
  EXPECT_TRUE(Contains(ErrorOf([&] { missing.SetUp(); }), "infogain_loss_param.source"));
  auto no_file = this->Make("infogain_loss_param { source: '/nowhere/h.binaryproto' }");
  no_file.bottoms.pop_back();
  EXPECT_TRUE(Contains(ErrorOf([&] { no_file.SetUp(); }), "/nowhere/h.binaryproto"));
  LayerRun<Dtype> small("type: 'InfogainLoss'", {{3, 4}, {3}, {3, 3}});
  EXPECT_TRUE(Contains(ErrorOf([&] { small.SetUp(); }), "each of 4 classes"));
  auto run = this->Make("");
  run.SetUp();
  EXPECT_TRUE(Contains(ErrorOf([&] { run.Backward({true, false, true}); }), "H has no gradient"));
  EXPECT_TRUE(Contains(ErrorOf([&] { run.Backward({true, true, false}); }), "labels have no gradient"));
  EXPECT_FALSE(run.layer->AllowForceBackward(2));
  run.bottoms[1]->mutable_cpu_data()[5] = 4;
  const string error = ErrorOf([&] { run.Forward(); });
  EXPECT_TRUE(Contains(error, "layer 'loss' (InfogainLoss)"));
  EXPECT_TRUE(Contains(error, "wrong label 4 at position 5"));
}

}  // namespace caffe
