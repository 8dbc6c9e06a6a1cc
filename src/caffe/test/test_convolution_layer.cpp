#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"
#include "reference_convolution.hpp"

namespace caffe {

namespace {

string ConvolutionText(const string& settings) {
  return "name: 'conv' type: 'Convolution' convolution_param { weight_filler { type: 'gaussian' std: 0.5 } "
         "bias_filler { type: 'gaussian' } " +
         settings + " }";
}

// A layer of the kind that users derive from BaseConvolutionLayer: image by image, by the protected
// functions.
template <typename Dtype>
class ImageByImageLayer : public ConvolutionLayer<Dtype> {
 public:
  using ConvolutionLayer<Dtype>::ConvolutionLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    for (int n = 0; n < this->num_; ++n) {
      Dtype* output = top[0]->mutable_cpu_data() + n * this->top_dim_;
      this->forward_cpu_gemm(bottom[0]->cpu_data() + n * this->bottom_dim_, this->blobs_[0]->cpu_data(),
                             output);
      this->forward_cpu_bias(output, this->blobs_[1]->cpu_data());
    }
  }
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                    const vector<Blob<Dtype>*>& bottom) override {
    for (int n = 0; n < this->num_; ++n) {
      const Dtype* diff = top[0]->cpu_diff() + n * this->top_dim_;
      this->backward_cpu_bias(this->blobs_[1]->mutable_cpu_diff(), diff);
      this->weight_cpu_gemm(bottom[0]->cpu_data() + n * this->bottom_dim_, diff,
                            this->blobs_[0]->mutable_cpu_diff());
      this->backward_cpu_gemm(diff, this->blobs_[0]->cpu_data(),
                              bottom[0]->mutable_cpu_diff() + n * this->bottom_dim_);
    }
  }
};

// Reads protected members, and runs forward_cpu_gemm again on the columns it has.
template <typename Dtype>
class OpenLayer : public ConvolutionLayer<Dtype> {
 public:
  using ConvolutionLayer<Dtype>::ConvolutionLayer;
  using ConvolutionLayer<Dtype>::col_buffer_shape_;
  using ConvolutionLayer<Dtype>::conv_input_shape_;
  using ConvolutionLayer<Dtype>::forward_cpu_gemm;
  using ConvolutionLayer<Dtype>::is_1x1_;
  using ConvolutionLayer<Dtype>::output_shape_;
  using ConvolutionLayer<Dtype>::weight_offset_;
};

}  // namespace

template <typename TypeParam>
class ConvolutionLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  ConvolutionLayerTest() { Caffe::set_random_seed(1701); }

  static constexpr double kTolerance = sizeof(Dtype) == 4 ? 2e-5 : 1e-12;

  string SetUpError(const string& settings, const vector<int>& bottom) {
    return ErrorOf([&] { LayerFixture<Dtype>(ConvolutionText(settings), bottom).SetUp(); });
  }
};

TYPED_TEST_SUITE(ConvolutionLayerTest, TestDtypesAndDevices);

TYPED_TEST(ConvolutionLayerTest, ForwardIsTheDefinition) {
  typedef typename TypeParam::Dtype Dtype;
  for (const ConvolutionCase& test : ConvolutionCases()) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> conv(ConvolutionText(test.settings), test.bottom);
    conv.SetUp();
    conv.Forward();
    const ConvolutionParameter& param = conv.layer->layer_param().convolution_param();
    const ReferenceConvolution reference(param, test.bottom);
    EXPECT_EQ(conv.top.shape(), reference.output);
    ExpectNear(DataOf(conv.top),
               reference.Run(conv.bottom.cpu_data(), conv.blob(0).cpu_data(),
                             param.bias_term() ? conv.blob(1).cpu_data() : nullptr),
               this->kTolerance);
  }
}

// As an inner product, whatever the kernel's size says, or without one: VDSR's published net has such layers.
TYPED_TEST(ConvolutionLayerTest, OverNoAxisItIsAnInnerProduct) {
  typedef typename TypeParam::Dtype Dtype;
  const struct {
    const char* settings;
    vector<int> bottom, top;
  } cases[] = {{"kernel_size: 3 pad: 1 stride: 2", {2, 5}, {2, 4}},
               {"", {2, 5}, {2, 4}},
               {"axis: 3", {2, 3, 2, 5}, {2, 3, 2, 4}}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> conv(string("type: 'Convolution' convolution_param { num_output: 4 ") +
                                 test.settings +
                                 " weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } }",
                             test.bottom);
    conv.SetUp();
    EXPECT_EQ(conv.blob(0).shape(), (vector<int>{4, 5}));
    conv.Forward();
    ASSERT_EQ(conv.top.shape(), test.top);
    for (int n = 0; n < conv.top.count() / 4; ++n) {
      for (int o = 0; o < 4; ++o) {
        double sum = conv.blob(1).cpu_data()[o];
        for (int c = 0; c < 5; ++c) {
          sum += double{conv.bottom.cpu_data()[n * 5 + c]} * conv.blob(0).cpu_data()[o * 5 + c];
        }
        EXPECT_NEAR(conv.top.cpu_data()[n * 4 + o], sum, 1e-5);
      }
    }
    CheckerFor<Dtype>().CheckGradientExhaustive(conv.layer.get(), conv.bottoms, conv.tops);
  }
}

TYPED_TEST(ConvolutionLayerTest, Gradient) {
  typedef typename TypeParam::Dtype Dtype;
  const bool single = sizeof(Dtype) == 4;
  GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 2e-2 : 1e-7);
  for (const ConvolutionCase& test : ConvolutionCases()) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> conv(ConvolutionText(test.settings), test.bottom);
    checker.CheckGradient(conv.layer.get(), conv.bottoms, conv.tops);
  }
  LayerFixture<Dtype> conv(ConvolutionText("num_output: 2 kernel_size: 2"), {2, 2, 3, 3});
  checker.CheckGradientExhaustive(conv.layer.get(), conv.bottoms, conv.tops);
}

TYPED_TEST(ConvolutionLayerTest, SeveralBottomsShareTheWeights) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv(ConvolutionText("num_output: 3 kernel_size: 2"), {2, 2, 3, 4});
  Blob<Dtype> second(conv.bottom.shape()), second_top;
  FillNormal(&second);
  conv.bottoms.push_back(&second);
  conv.tops.push_back(&second_top);
  conv.SetUp();
  conv.Forward();
  const ReferenceConvolution reference(conv.layer->layer_param().convolution_param(), second.shape());
  ExpectNear(DataOf(second_top),
             reference.Run(second.cpu_data(), conv.blob(0).cpu_data(), conv.blob(1).cpu_data()),
             this->kTolerance);
  const bool single = sizeof(Dtype) == 4;
  GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 2e-2 : 1e-7);
  checker.CheckGradient(conv.layer.get(), conv.bottoms, conv.tops);
}

TYPED_TEST(ConvolutionLayerTest, ThreadsShareTheImages) {
  typedef typename TypeParam::Dtype Dtype;
  // Fewer images than threads, as many, and more; each of them large enough to be worth a thread.
  for (const int images : {2, 4, 7}) {
    LayerFixture<Dtype> conv(ConvolutionText("num_output: 16 kernel_size: 3 group: 2"), {images, 16, 14, 14});
    conv.SetUp();
    const auto run = [&](int threads) {
      const ThreadsForTest set(threads);
      for (int i = 0; i < 2; ++i) caffe_set(conv.blob(i).count(), Dtype(0), conv.blob(i).mutable_cpu_diff());
      conv.Forward();
      caffe_copy(conv.top.count(), conv.top.cpu_data(), conv.top.mutable_cpu_diff());
      conv.Backward();
      return vector<vector<Dtype>>{DataOf(conv.top), DiffOf(conv.bottom), DiffOf(conv.blob(0)),
                                   DiffOf(conv.blob(1))};
    };
    const auto alone = run(1);
    for (const int threads : {2, 3, 4}) {
      const auto shared = run(threads);
      for (size_t i = 0; i < alone.size(); ++i) ExpectNear(shared[i], alone[i], 1e3 * this->kTolerance);
      EXPECT_EQ(run(threads), shared) << "the same threads must give the same values";
    }
  }
}

TYPED_TEST(ConvolutionLayerTest, GradientsAddUpAndStayWhereUnwanted) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv(ConvolutionText("num_output: 2 kernel_size: 2"), {3, 2, 4, 4});
  conv.SetUp();
  conv.Forward();
  caffe_copy(conv.top.count(), conv.top.cpu_data(), conv.top.mutable_cpu_diff());
  conv.Backward();
  const vector<vector<Dtype>> once = {DiffOf(conv.blob(0)), DiffOf(conv.blob(1))};
  conv.Backward();
  for (int i = 0; i < 2; ++i) {
    for (size_t j = 0; j < once[i].size(); ++j) {
      EXPECT_NEAR(conv.blob(i).cpu_diff()[j], 2 * once[i][j], 1e-4 * (1 + std::fabs(once[i][j])));
    }
  }
  conv.layer->set_param_propagate_down(0, false);
  conv.layer->set_param_propagate_down(1, false);
  caffe_set(conv.bottom.count(), Dtype(7), conv.bottom.mutable_cpu_diff());
  const vector<vector<Dtype>> twice = {DiffOf(conv.blob(0)), DiffOf(conv.blob(1))};
  conv.Backward(false);
  EXPECT_EQ(DiffOf(conv.blob(0)), twice[0]);
  EXPECT_EQ(DiffOf(conv.blob(1)), twice[1]);
  EXPECT_EQ(DiffOf(conv.bottom), vector<Dtype>(conv.bottom.count(), 7));
}

TYPED_TEST(ConvolutionLayerTest, DerivedLayersCanWorkImageByImage) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string settings :
       {"num_output: 4 kernel_size: 3 pad: 1 group: 2", "num_output: 4 kernel_size: 1"}) {
    LayerFixture<Dtype> whole(ConvolutionText(settings), {3, 2, 4, 5});
    whole.SetUp();
    ImageByImageLayer<Dtype> layer(whole.layer->layer_param());
    Blob<Dtype> bottom, top;
    bottom.CopyFrom(whole.bottom, false, true);
    layer.SetUp({&bottom}, {&top});
    for (int i = 0; i < 2; ++i) layer.blobs()[i]->CopyFrom(whole.blob(i));
    whole.Forward();
    layer.Forward({&bottom}, {&top});
    ExpectNear(DataOf(top), DataOf(whole.top), this->kTolerance);
    caffe_copy(top.count(), whole.top.cpu_data(), whole.top.mutable_cpu_diff());
    caffe_copy(top.count(), whole.top.cpu_data(), top.mutable_cpu_diff());
    whole.Backward();
    layer.Backward({&top}, {true}, {&bottom});
    ExpectNear(DiffOf(bottom), DiffOf(whole.bottom), 10 * this->kTolerance);
    for (int i = 0; i < 2; ++i) {
      ExpectNear(DiffOf(*layer.blobs()[i]), DiffOf(whole.blob(i)), 100 * this->kTolerance);
    }
  }
}

TYPED_TEST(ConvolutionLayerTest, DerivedLayersSeeTheGeometry) {
  typedef typename TypeParam::Dtype Dtype;
  OpenLayer<Dtype> layer(LayerFromText(ConvolutionText("num_output: 4 kernel_size: 3 group: 2")));
  Blob<Dtype> bottom(1, 6, 5, 7), top;
  FillNormal(&bottom);
  layer.SetUp({&bottom}, {&top});
  EXPECT_EQ(layer.col_buffer_shape_, vector<int>({54, 3, 5}));
  EXPECT_EQ(DataOf(layer.conv_input_shape_), vector<int>({6, 5, 7}));
  EXPECT_EQ(layer.output_shape_, vector<int>({3, 5}));
  EXPECT_EQ(layer.weight_offset_, 54);
  EXPECT_FALSE(layer.is_1x1_);
  const Dtype* weights = layer.blobs()[0]->cpu_data();
  layer.forward_cpu_gemm(bottom.cpu_data(), weights, top.mutable_cpu_data());
  Blob<Dtype> again(top.shape());
  layer.forward_cpu_gemm(nullptr, weights, again.mutable_cpu_data(), true);
  EXPECT_EQ(DataOf(again), DataOf(top));
}

TYPED_TEST(ConvolutionLayerTest, FollowsTheBottomsSize) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv(ConvolutionText("num_output: 2 kernel_size: 3 pad: 1"), {1, 2, 4, 5});
  conv.SetUp();
  conv.bottom.Reshape({5, 2, 8, 3});
  FillNormal(&conv.bottom);
  conv.Forward();
  const ReferenceConvolution reference(conv.layer->layer_param().convolution_param(), conv.bottom.shape());
  EXPECT_EQ(conv.top.shape(), reference.output);
  ExpectNear(DataOf(conv.top),
             reference.Run(conv.bottom.cpu_data(), conv.blob(0).cpu_data(), conv.blob(1).cpu_data()),
             this->kTolerance);
}

TYPED_TEST(ConvolutionLayerTest, TakesBatchesWithoutImages) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv(ConvolutionText("num_output: 2 kernel_size: 3"), {1, 2, 4, 5});
  conv.SetUp();
  conv.bottom.Reshape({0, 2, 4, 5});
  conv.Forward();
  EXPECT_EQ(conv.top.shape(), vector<int>({0, 2, 2, 3}));
  conv.Backward();
  EXPECT_EQ(conv.blob(0).asum_diff(), 0);
}

TYPED_TEST(ConvolutionLayerTest, EveryEngineWorksOnTheCpu) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string engine : {"DEFAULT", "CAFFE", "CUDNN"}) {
    LayerFixture<Dtype> conv(ConvolutionText("num_output: 2 kernel_size: 3 engine: " + engine), {1, 2, 4, 5});
    conv.SetUp();
    conv.Forward();
    EXPECT_STREQ(conv.layer->type(), "Convolution");
    EXPECT_EQ(conv.top.shape(), vector<int>({1, 2, 2, 3}));
  }
}

TYPED_TEST(ConvolutionLayerTest, TakesWeightsFromItsDefinition) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv(ConvolutionText("num_output: 2 kernel_size: 3"), {1, 2, 4, 5});
  conv.SetUp();
  LayerParameter saved;
  conv.layer->ToProto(&saved);
  const auto copy = LayerRegistry<Dtype>::CreateLayer(saved);
  copy->SetUp(conv.bottoms, conv.tops);
  EXPECT_EQ(DataOf(*copy->blobs()[0]), DataOf(conv.blob(0)));
  EXPECT_EQ(DataOf(*copy->blobs()[1]), DataOf(conv.blob(1)));

  saved.mutable_convolution_param()->clear_kernel_size();
  saved.mutable_convolution_param()->add_kernel_size(2);
  const string error =
      ErrorOf([&] { LayerRegistry<Dtype>::CreateLayer(saved)->SetUp(conv.bottoms, conv.tops); });
  EXPECT_NE(error.find("2 2 3 3 (36)"), string::npos) << error;
  EXPECT_NE(error.find("2 2 2 2 (16)"), string::npos) << error;
  saved.mutable_blobs()->RemoveLast();
  EXPECT_NE(ErrorOf([&] {
              LayerRegistry<Dtype>::CreateLayer(saved)->SetUp(conv.bottoms, conv.tops);
            }).find("weights and bias"),
            string::npos);
}

TYPED_TEST(ConvolutionLayerTest, BadSettingsAreErrorsThatNameTheField) {
  const vector<int> image = {2, 4, 6, 5};
  const struct {
    const char* settings;
    vector<int> bottom;
    const char* expected;
  } cases[] = {
      {"num_output: 2", image, "'kernel_size' must be given"},
      {"num_output: 2 kernel_h: 3", image, "both the _h and the _w form of 'kernel_size'"},
      {"num_output: 2 kernel_size: 3 kernel_h: 3 kernel_w: 3", image, "not both"},
      {"num_output: 2 kernel_h: 3 kernel_w: 3", {2, 4, 6}, "two spatial axes"},
      {"num_output: 2 kernel_size: 3 kernel_size: 3 kernel_size: 3", image,
       "each of the 2 spatial axes, not 3"},
      {"num_output: 2 kernel_size: 0", image, "'kernel_size' must be at least 1"},
      {"num_output: 2 kernel_size: 3 stride: 0", image, "'stride' must be at least 1"},
      {"num_output: 2 kernel_size: 3 dilation: 0", image, "'dilation' must be at least 1"},
      {"num_output: 2 kernel_size: 3 pad: 4294967295", image, "'pad' is too large"},
      {"num_output: 2 kernel_size: 7", image, "kernel of size 7 does not fit into an input of size 6"},
      {"num_output: 2 kernel_size: 3 dilation: 3 dilation: 1", image, "size 3 with dilation 3, extent 7"},
      {"num_output: 2 kernel_size: 3 pad: 2000000000 stride: 1", image, "too large"},
      {"num_output: 2 kernel_size: 3 pad: 100000", image, "a blob holds at most 2147483647 elements"},
      {"num_output: 2 kernel_size: 100 pad: 300", image, "4 channels, kernel 100 x 100, output 507 x 506"},
      {"kernel_size: 3", image, "'num_output' must be at least 1, not 0"},
      {"num_output: 2 kernel_size: 3 group: 0", image, "'group' must be at least 1, not 0"},
      {"num_output: 3 kernel_size: 3 group: 3", image, "4 channels do not divide into 3 groups"},
      {"num_output: 3 kernel_size: 3 group: 2", image, "num_output 3 does not divide into 2 groups"},
      {"num_output: 2 kernel_size: 3 axis: 4", image, "axis"},
  };
  for (const auto& test : cases) {
    const string error = this->SetUpError(test.settings, test.bottom);
    EXPECT_NE(error.find(test.expected), string::npos) << test.settings << " gives: " << error;
    EXPECT_NE(error.find("layer 'conv' (Convolution)"), string::npos) << error;
  }
}

TYPED_TEST(ConvolutionLayerTest, BottomsThatDoNotFitAreErrors) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> conv(ConvolutionText("num_output: 2 kernel_size: 3"), {1, 2, 4, 5});
  conv.SetUp();
  conv.bottom.Reshape({1, 3, 4, 5});
  EXPECT_NE(ErrorOf([&] { conv.Forward(); }).find("input channels may not change"), string::npos);
  conv.bottom.Reshape({1, 2, 20});
  EXPECT_NE(ErrorOf([&] { conv.Forward(); }).find("axes may not change"), string::npos);
  conv.bottom.Reshape({1, 2, 4, 2});
  EXPECT_NE(ErrorOf([&] { conv.Forward(); }).find("does not fit"), string::npos);
  conv.bottom.Reshape({1, 2, 4, 5});
  Blob<Dtype> other(1, 2, 5, 5), other_top;
  EXPECT_NE(ErrorOf([&] {
              conv.layer->Forward({&conv.bottom, &other}, {&conv.top, &other_top});
            }).find("one shape, not 1 2 4 5 (40) and 1 2 5 5 (50)"),
            string::npos);
}

}  // namespace caffe
