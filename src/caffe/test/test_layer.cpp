#include "caffe/layer.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

/// A layer that does what a test tells it to; top i is i + 1 everywhere.
template <typename Dtype>
class PlainLayer : public Layer<Dtype> {
 public:
  explicit PlainLayer(const string& text = "")
      : Layer<Dtype>(FromText<LayerParameter>("name: 'plain' " + text)) {}

  int exact_bottom = -1, min_bottom = -1, max_bottom = -1;
  int exact_top = -1, min_top = -1, max_top = -1;
  bool equal = false;
  vector<string> calls;
  string fail_in;

  const char* type() const override { return "Plain"; }
  int ExactNumBottomBlobs() const override { return exact_bottom; }
  int MinBottomBlobs() const override { return min_bottom; }
  int MaxBottomBlobs() const override { return max_bottom; }
  int ExactNumTopBlobs() const override { return exact_top; }
  int MinTopBlobs() const override { return min_top; }
  int MaxTopBlobs() const override { return max_top; }
  bool EqualNumBottomTopBlobs() const override { return equal; }

  void LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override { Note("LayerSetUp"); }
  void Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) override {
    Note("Reshape");
    for (Blob<Dtype>* blob : top) blob->Reshape({2, 3});
  }
  Phase phase() const { return this->phase_; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) override {
    Note("Forward");
    for (size_t i = 0; i < top.size(); ++i) {
      std::fill_n(top[i]->mutable_cpu_data(), top[i]->count(), Dtype(i + 1));
    }
  }
  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>&) override {
    Note(propagate_down.at(0) ? "Backward" : "Backward without bottom");
  }

 private:
  void Note(const string& call) {
    calls.push_back(call);
    if (call == fail_in) LOG(FATAL) << "failed in " << call;
  }
};

}  // namespace

template <typename TypeParam>
class LayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  void SetUp(PlainLayer<Dtype>* layer, int num_bottom, int num_top) {
    static_cast<Layer<Dtype>*>(layer)->SetUp(Blobs(num_bottom, &bottom_), Blobs(num_top, &top_));
  }
  Dtype Forward(PlainLayer<Dtype>* layer, int num_top) {
    return layer->Forward(Blobs(1, &bottom_), Blobs(num_top, &top_));
  }
  static vector<Blob<Dtype>*> Blobs(int count, Blob<Dtype> (*blobs)[3]) {
    vector<Blob<Dtype>*> pointers;
    for (int i = 0; i < count; ++i) pointers.push_back(&(*blobs)[i]);
    return pointers;
  }

  Blob<Dtype> bottom_[3];
  Blob<Dtype> top_[3];
};

TYPED_TEST_SUITE(LayerTest, TestDtypesAndDevices);

TYPED_TEST(LayerTest, SetsUpThenShapesAndShapesBeforeEachPass) {
  typedef typename TypeParam::Dtype Dtype;
  PlainLayer<Dtype> layer("phase: TEST");
  EXPECT_EQ(layer.phase(), TEST);
  this->SetUp(&layer, 1, 1);
  EXPECT_EQ(layer.calls, (vector<string>{"LayerSetUp", "Reshape"}));
  this->Forward(&layer, 1);
  layer.Backward({&this->top_[0]}, {false}, {&this->bottom_[0]});
  EXPECT_EQ(layer.calls,
            (vector<string>{"LayerSetUp", "Reshape", "Reshape", "Forward", "Backward without bottom"}));
}

TYPED_TEST(LayerTest, ChecksTheNumberOfBlobs) {
  typedef typename TypeParam::Dtype Dtype;
  const auto error = [this](const std::function<void(PlainLayer<Dtype>*)>& limit, int num_bottom,
                            int num_top) {
    PlainLayer<Dtype> layer;
    limit(&layer);
    return ErrorOf([&] { this->SetUp(&layer, num_bottom, num_top); });
  };
  const string start = "layer 'plain' (Plain): ";
  EXPECT_TRUE(Contains(error([](auto* layer) { layer->exact_bottom = 2; }, 1, 0),
                       "takes exactly 2 bottom blob(s), not 1"));
  EXPECT_TRUE(Contains(error([](auto* layer) { layer->exact_bottom = 0; }, 1, 0), start));
  EXPECT_TRUE(Contains(error([](auto* layer) { layer->min_bottom = 2; }, 1, 0),
                       "takes at least 2 bottom blob(s), not 1"));
  EXPECT_TRUE(Contains(error([](auto* layer) { layer->max_bottom = 2; }, 3, 0),
                       "takes at most 2 bottom blob(s), not 3"));
  EXPECT_TRUE(
      Contains(error([](auto* layer) { layer->exact_top = 1; }, 1, 0), "takes exactly 1 top blob(s), not 0"));
  EXPECT_TRUE(
      Contains(error([](auto* layer) { layer->min_top = 1; }, 1, 0), "takes at least 1 top blob(s), not 0"));
  EXPECT_TRUE(
      Contains(error([](auto* layer) { layer->max_top = 1; }, 1, 2), "takes at most 1 top blob(s), not 2"));
  EXPECT_TRUE(
      Contains(error([](auto* layer) { layer->equal = true; }, 1, 2), "as many bottom blobs as top blobs"));

  PlainLayer<Dtype> layer;
  layer.exact_bottom = 2;
  layer.min_top = 1;
  layer.max_top = 3;
  this->SetUp(&layer, 2, 1);
  this->SetUp(&layer, 2, 3);
}

TYPED_TEST(LayerTest, ErrorsOfEachStepNameTheLayer) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string& step :
       {string("LayerSetUp"), string("Reshape"), string("Forward"), string("Backward")}) {
    PlainLayer<Dtype> layer;
    layer.fail_in = step;
    const string text = ErrorOf([&] {
      this->SetUp(&layer, 1, 1);
      this->Forward(&layer, 1);
      layer.Backward({&this->top_[0]}, {true}, {&this->bottom_[0]});
    });
    EXPECT_EQ(text, "layer 'plain' (Plain): failed in " + step);
  }
}

TYPED_TEST(LayerTest, LossIsTheWeightedSumOfTops) {
  typedef typename TypeParam::Dtype Dtype;
  PlainLayer<Dtype> none;
  this->SetUp(&none, 1, 2);
  EXPECT_EQ(this->Forward(&none, 2), 0);
  EXPECT_EQ(none.loss(0), 0);

  PlainLayer<Dtype> weighted("loss_weight: 0.5 loss_weight: 0 loss_weight: -2");
  this->SetUp(&weighted, 1, 3);
  EXPECT_EQ(weighted.loss(0), Dtype(0.5));
  EXPECT_EQ(weighted.loss(1), 0);
  EXPECT_EQ(weighted.loss(2), -2);
  EXPECT_EQ(weighted.loss(3), 0) << "beyond the tops";
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(this->top_[0].cpu_diff()[i], Dtype(0.5)) << "backward starts from the weight";
    EXPECT_EQ(this->top_[2].cpu_diff()[i], -2);
  }
  EXPECT_EQ(this->top_[1].asum_diff(), 0);
  EXPECT_EQ(this->Forward(&weighted, 3), 6 * 0.5 - 2 * 18);
}

TYPED_TEST(LayerTest, LossWeightsAreForAllTopsOrNone) {
  typedef typename TypeParam::Dtype Dtype;
  PlainLayer<Dtype> layer("loss_weight: 1");
  EXPECT_TRUE(Contains(ErrorOf([&] { this->SetUp(&layer, 1, 2); }), "once for each top blob, or not at all"));
}

TYPED_TEST(LayerTest, LossesCanBeSet) {
  typedef typename TypeParam::Dtype Dtype;
  PlainLayer<Dtype> layer;
  layer.set_loss(2, 3);
  EXPECT_EQ(layer.loss(2), 3);
  EXPECT_EQ(layer.loss(0), 0);
}

TYPED_TEST(LayerTest, ParametersPropagateAsSet) {
  typedef typename TypeParam::Dtype Dtype;
  PlainLayer<Dtype> layer;
  EXPECT_FALSE(layer.param_propagate_down(0)) << "none yet";
  layer.set_param_propagate_down(1, false);
  EXPECT_TRUE(layer.param_propagate_down(0));
  EXPECT_FALSE(layer.param_propagate_down(1));
  layer.set_param_propagate_down(1, true);
  EXPECT_TRUE(layer.param_propagate_down(1));
}

TYPED_TEST(LayerTest, TakesAndGivesItsBlobs) {
  typedef typename TypeParam::Dtype Dtype;
  PlainLayer<Dtype> layer(
      "bottom: 'x' blobs { shape { dim: 2 } data: 1 data: 2 } blobs { data: 3 shape {} }");
  ASSERT_EQ(layer.blobs().size(), 2u);
  EXPECT_EQ(layer.blobs()[0]->shape(), vector<int>{2});
  EXPECT_EQ(layer.blobs()[1]->cpu_data()[0], 3);
  layer.blobs()[0]->mutable_cpu_data()[0] = 5;
  layer.blobs()[0]->mutable_cpu_diff()[1] = 7;
  LayerParameter param;
  layer.ToProto(&param);
  EXPECT_EQ(param.bottom(0), "x");
  ASSERT_EQ(param.blobs_size(), 2) << "not beside those it was made from";
  Blob<Dtype> blob;
  blob.FromProto(param.blobs(0));
  EXPECT_EQ(blob.cpu_data()[0], 5);
  EXPECT_EQ(blob.cpu_diff()[1], 0);
  layer.ToProto(&param, true);
  blob.FromProto(param.blobs(0));
  EXPECT_EQ(blob.cpu_diff()[1], 7);
}

TYPED_TEST(LayerTest, DefaultsSuitMostLayers) {
  typedef typename TypeParam::Dtype Dtype;
  PlainLayer<Dtype> layer;
  EXPECT_FALSE(layer.AutoTopBlobs());
  EXPECT_TRUE(layer.AllowForceBackward(0));
}

TEST(LayerModeTest, WithoutGpuCodeALayerRunsOnTheCpu) {
  PlainLayer<float> layer;
  Blob<float> bottom, top;
  Caffe::set_mode(Caffe::GPU);
  layer.SetUp({&bottom}, {&top});
  layer.Forward({&bottom}, {&top});
  layer.Backward({&top}, {true}, {&bottom});
  Caffe::set_mode(Caffe::CPU);
  EXPECT_EQ(layer.calls.back(), "Backward");
}

}  // namespace caffe
