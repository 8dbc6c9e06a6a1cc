#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

/// Layers that move values without changing them.
template <typename TypeParam>
class ShapeLayersTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;

  /// Sets a layer up for blobs of these shapes, with the values 0, 1, 2, ... through all bottoms.
  void SetUpLayer(const string& text, const vector<vector<int>>& shapes, int num_tops) {
    layer_ = MakeLayer<Dtype>("name: 'l' " + text);
    bottom_blobs_.clear();
    top_blobs_.clear();
    bottoms_.clear();
    tops_.clear();
    int value = 0;
    for (const vector<int>& shape : shapes) {
      bottom_blobs_.push_back(std::make_shared<Blob<Dtype>>(shape));
      bottoms_.push_back(bottom_blobs_.back().get());
      for (int i = 0; i < bottoms_.back()->count(); ++i)
        bottoms_.back()->mutable_cpu_data()[i] = Dtype(value++);
    }
    for (int i = 0; i < num_tops; ++i) {
      top_blobs_.push_back(std::make_shared<Blob<Dtype>>());
      tops_.push_back(top_blobs_.back().get());
    }
    layer_->SetUp(bottoms_, tops_);
    layer_->Forward(bottoms_, tops_);
  }

  string SetUpError(const string& text, const vector<vector<int>>& shapes, int num_tops) {
    return ErrorOf([&] { SetUpLayer(text, shapes, num_tops); });
  }

  void CheckGradient() {
    const bool is_double = sizeof(Dtype) == 8;
    for (Blob<Dtype>* blob : bottoms_) FillNormal(blob);
    GradientChecker<Dtype> checker(is_double ? 1e-4 : 1e-2, is_double ? 1e-7 : 1e-2);
    checker.CheckGradientExhaustive(layer_.get(), bottoms_, tops_);
  }

  Dtype Top(int top, const vector<int>& index) { return tops_[top]->data_at(index); }

  shared_ptr<Layer<Dtype>> layer_;
  vector<shared_ptr<Blob<Dtype>>> bottom_blobs_, top_blobs_;
  vector<Blob<Dtype>*> bottoms_, tops_;
};
TYPED_TEST_SUITE(ShapeLayersTest, TestDtypesAndDevices);

TYPED_TEST(ShapeLayersTest, ConcatJoinsAlongItsAxis) {
  this->SetUpLayer("type: 'Concat'", {{2, 3, 2}, {2, 1, 2}}, 1);
  ASSERT_EQ(this->tops_[0]->shape(), (vector<int>{2, 4, 2}));
  EXPECT_EQ(this->Top(0, {1, 2, 1}), 11);
  EXPECT_EQ(this->Top(0, {0, 3, 1}), 13);
  EXPECT_EQ(this->Top(0, {1, 3, 0}), 14);
  this->CheckGradient();
  this->SetUpLayer("type: 'Concat' concat_param { axis: 0 }", {{2, 3}, {1, 3}}, 1);
  EXPECT_EQ(this->Top(0, {2, 1}), 7);
  this->SetUpLayer("type: 'Concat' concat_param { concat_dim: 2 }", {{1, 2, 2}, {1, 2, 1}}, 1);
  EXPECT_EQ(this->tops_[0]->shape(), (vector<int>{1, 2, 3}));
  EXPECT_EQ(this->Top(0, {0, 1, 2}), 5);
  this->SetUpLayer("type: 'Concat' concat_param { axis: -1 }", {{2, 3}}, 1);
  EXPECT_EQ(this->tops_[0]->cpu_data(), this->bottoms_[0]->cpu_data()) << "one bottom is shared";
}

TYPED_TEST(ShapeLayersTest, ConcatRefusesMisfits) {
  const string error = this->SetUpError("type: 'Concat'", {{2, 3, 2}, {2, 3, 3}}, 1);
  EXPECT_NE(error.find("layer 'l' (Concat)"), string::npos) << error;
  EXPECT_NE(error.find("2 3 3"), string::npos) << error;
  EXPECT_NE(this->SetUpError("type: 'Concat'", {{2, 3}, {2, 3, 1}}, 1).find("number of axes"), string::npos);
  EXPECT_NE(
      this->SetUpError("type: 'Concat' concat_param { axis: 1 concat_dim: 1 }", {{2, 3}}, 1).find("not both"),
      string::npos);
}

TYPED_TEST(ShapeLayersTest, SliceCuts) {
  this->SetUpLayer("type: 'Slice' slice_param { slice_point: 1 slice_point: 4 }", {{2, 6, 2}}, 3);
  EXPECT_EQ(this->tops_[1]->shape(), (vector<int>{2, 3, 2}));
  EXPECT_EQ(this->Top(1, {1, 0, 1}), 15);
  EXPECT_EQ(this->Top(2, {0, 1, 0}), 10);
  this->CheckGradient();
  this->SetUpLayer("type: 'Slice' slice_param { axis: 0 }", {{4, 3}}, 2);
  EXPECT_EQ(this->Top(1, {0, 0}), 6);
  this->SetUpLayer("type: 'Slice' slice_param { slice_dim: 1 }", {{2, 2}}, 1);
  EXPECT_EQ(this->tops_[0]->cpu_data(), this->bottoms_[0]->cpu_data()) << "one top is shared";
}

TYPED_TEST(ShapeLayersTest, SliceRefusesMisfits) {
  EXPECT_NE(this->SetUpError("type: 'Slice'", {{2, 5}}, 2).find("equal slices"), string::npos);
  EXPECT_NE(this->SetUpError("type: 'Slice' slice_param { slice_point: 2 }", {{2, 5}}, 3)
                .find("one slice_point less"),
            string::npos);
  for (const char* points :
       {"slice_point: 3 slice_point: 2", "slice_point: 2 slice_point: 7", "slice_point: 0 slice_point: 2"}) {
    EXPECT_NE(
        this->SetUpError(string("type: 'Slice' slice_param { ") + points + " }", {{2, 5}}, 3).find("ascend"),
        string::npos);
  }
}

TYPED_TEST(ShapeLayersTest, SplitSharesDataAndAddsGradients) {
  using Dtype = typename TypeParam::Dtype;
  this->SetUpLayer("type: 'Split'", {{2, 3}}, 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(this->tops_[i]->cpu_data(), this->bottoms_[0]->cpu_data());
    caffe_set(6, Dtype(i + 1), this->tops_[i]->mutable_cpu_diff());
  }
  this->layer_->Backward(this->tops_, {true}, this->bottoms_);
  EXPECT_EQ(DiffOf(*this->bottoms_[0]), vector<Dtype>(6, 6));
  this->CheckGradient();
}

TYPED_TEST(ShapeLayersTest, SilenceHasZeroGradient) {
  using Dtype = typename TypeParam::Dtype;
  this->SetUpLayer("type: 'Silence'", {{2}, {3}}, 0);
  for (Blob<Dtype>* blob : this->bottoms_) caffe_set(blob->count(), Dtype(1), blob->mutable_cpu_diff());
  this->layer_->Backward({}, {true, false}, this->bottoms_);
  EXPECT_EQ(DiffOf(*this->bottoms_[0]), vector<Dtype>(2, 0));
  EXPECT_EQ(DiffOf(*this->bottoms_[1]), vector<Dtype>(3, 1));
}

TYPED_TEST(ShapeLayersTest, Flatten) {
  const struct {
    const char* param;
    vector<int> shape;
  } cases[] = {{"", {2, 60}},
               {"flatten_param { axis: 2 }", {2, 3, 20}},
               {"flatten_param { axis: 1 end_axis: 2 }", {2, 12, 5}},
               {"flatten_param { axis: 0 end_axis: -2 }", {24, 5}}};
  for (const auto& c : cases) {
    this->SetUpLayer(string("type: 'Flatten' ") + c.param, {{2, 3, 4, 5}}, 1);
    EXPECT_EQ(this->tops_[0]->shape(), c.shape);
    EXPECT_EQ(DataOf(*this->tops_[0]), DataOf(*this->bottoms_[0]));
  }
  this->SetUpLayer("type: 'Flatten'", {{2, 2, 2}}, 1);
  this->CheckGradient();
  EXPECT_NE(this->SetUpError("type: 'Flatten' flatten_param { axis: 2 end_axis: 1 }", {{2, 3, 4}}, 1)
                .find("end_axis"),
            string::npos);
}

// Its bottom may share the gradient with something before it, which must get it all the same.
TYPED_TEST(ShapeLayersTest, FlattenHandsGradientsToLayersThatShareThem) {
  typedef typename TypeParam::Dtype Dtype;
  const auto gradient = [](const string& between) {
    Caffe::set_random_seed(3);
    NetParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        R"(layer { name: 'data' type: 'DummyData' top: 'data' top: 'label' dummy_data_param {
             shape { dim: 4 dim: 6 } shape { dim: 4 } data_filler { type: 'gaussian' }
             data_filler { type: 'constant' value: 1 } } }
           layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' inner_product_param {
             num_output: 5 weight_filler { type: 'xavier' } } } )" +
            between + R"(
           layer { name: 'flat' type: 'Flatten' bottom: ')" +
            (between.empty() ? "ip" : "shared") + R"(' top: 'flat' }
           layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'flat' bottom: 'label' top: 'loss' })",
        &param));
    param.mutable_state()->set_phase(TRAIN);
    Net<Dtype> net(param);
    net.ClearParamDiffs();
    net.ForwardBackward();
    return DiffOf(*net.params()[0]);
  };
  const vector<Dtype> expected = gradient("");
  EXPECT_NE(expected, vector<Dtype>(expected.size(), 0));
  for (const char* type :
       {"Concat", "Slice", "Reshape' reshape_param { shape { dim: 4 dim: 5 } } top: 'shared", "Split"}) {
    const bool has_top = string(type).find("top") != string::npos;
    EXPECT_EQ(gradient("layer { name: 'shared' bottom: 'ip' type: '" + string(type) +
                       (has_top ? "' }" : "' top: 'shared' }")),
              expected)
        << type;
  }
}

TYPED_TEST(ShapeLayersTest, Reshape) {
  const struct {
    const char* param;
    vector<int> shape;
  } cases[] = {{"shape { dim: 0 dim: -1 dim: 2 }", {2, 6, 2}},
               {"shape { dim: 24 }", {24}},
               {"shape { dim: -1 }", {24}},
               {"axis: 1 num_axes: 1 shape { dim: 3 dim: 2 }", {2, 3, 2, 2}},
               {"axis: -1 shape { dim: 1 }", {2, 6, 2, 1}},
               {"axis: 1 num_axes: 0 shape { dim: 1 }", {2, 1, 6, 2}},
               {"axis: 1 shape { dim: 0 dim: 1 dim: -1 }", {2, 6, 1, 2}}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.param);
    this->SetUpLayer(string("type: 'Reshape' reshape_param { ") + c.param + " }", {{2, 6, 2}}, 1);
    EXPECT_EQ(this->tops_[0]->shape(), c.shape);
    EXPECT_EQ(DataOf(*this->tops_[0]), DataOf(*this->bottoms_[0]));
  }
  this->CheckGradient();
}

TYPED_TEST(ShapeLayersTest, ReshapeRefusesMisfits) {
  const struct {
    const char* param;
    const char* message;
  } cases[] = {{"shape { dim: -1 dim: -1 }", "only one -1"},
               {"shape { dim: -2 }", "negative"},
               {"shape { dim: 5 }", "another number"},
               {"shape { dim: 5 dim: -1 }", "cannot infer"},
               {"axis: 4 shape { dim: 1 }", "out of range"},
               {"axis: 1 num_axes: 3 shape { dim: 1 }", "last axis"},
               {"axis: 3 shape { dim: 0 }", "does not have"},
               {"num_axes: -2 shape { dim: 1 }", "num_axes"},
               {"axis: 1 num_axes: 2147483647 shape { dim: 1 }", "last axis"}};
  for (const auto& c : cases) {
    const string error =
        this->SetUpError(string("type: 'Reshape' reshape_param { ") + c.param + " }", {{2, 6, 2}}, 1);
    EXPECT_NE(error.find(c.message), string::npos) << c.param << ": " << error;
  }
}

TYPED_TEST(ShapeLayersTest, InputShapes) {
  this->SetUpLayer("type: 'Input' input_param { shape { dim: 2 dim: 3 } }", {}, 2);
  EXPECT_EQ(this->tops_[1]->shape(), (vector<int>{2, 3}));
  this->SetUpLayer("type: 'Input' input_param { shape { dim: 2 } shape { dim: 3 } }", {}, 2);
  EXPECT_EQ(this->tops_[1]->shape(), (vector<int>{3}));
  EXPECT_NE(
      this->SetUpError("type: 'Input' input_param { shape { dim: 2 } shape { dim: 3 } }", {}, 3).find("3"),
      string::npos);
}

TYPED_TEST(ShapeLayersTest, DummyDataFills) {
  using Dtype = typename TypeParam::Dtype;
  this->SetUpLayer(
      "type: 'DummyData' dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 4 } "
      "data_filler { value: 7 } data_filler { type: 'gaussian' } }",
      {}, 2);
  EXPECT_EQ(DataOf(*this->tops_[0]), vector<Dtype>(6, 7));
  const vector<Dtype> before = DataOf(*this->tops_[1]);
  this->tops_[0]->mutable_cpu_data()[0] = 1;
  this->layer_->Forward({}, this->tops_);
  EXPECT_NE(DataOf(*this->tops_[1]), before) << "random values are drawn anew";
  EXPECT_EQ(this->tops_[0]->cpu_data()[0], 1) << "constants are filled once";
  this->SetUpLayer("type: 'DummyData' dummy_data_param { num: 2 num: 3 channels: 1 height: 4 width: 5 }", {},
                   2);
  EXPECT_EQ(this->tops_[1]->shape(), (vector<int>{3, 1, 4, 5}));
  EXPECT_EQ(DataOf(*this->tops_[0]), vector<Dtype>(40, 0));
  EXPECT_NE(this->SetUpError("type: 'DummyData'", {}, 1).find("shape"), string::npos);
  EXPECT_NE(this->SetUpError("type: 'DummyData' dummy_data_param { shape { dim: 1 } num: 1 }", {}, 1)
                .find("not both"),
            string::npos);
}

}  // namespace caffe
