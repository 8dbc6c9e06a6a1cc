// What Caffe's layers leave to their subclasses: vectors of ones to sum by, room to work in, inner layers.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/binary_conv_layer.hpp"
#include "caffe/layers/binary_inner_product_layer.hpp"
#include "caffe/layers/contrastive_loss_layer.hpp"
#include "caffe/layers/crop_layer.hpp"
#include "caffe/layers/embed_layer.hpp"
#include "caffe/layers/inner_product_layer.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/layers/mvn_layer.hpp"
#include "caffe/layers/prelu_layer.hpp"
#include "caffe/layers/reduction_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/layers/sigmoid_cross_entropy_loss_layer.hpp"
#include "caffe/layers/softmax_layer.hpp"
#include "caffe/layers/spp_layer.hpp"
#include "caffe/layers/swish_layer.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/math_functions.hpp"
#include "google/protobuf/text_format.h"
#include "log_capture.hpp"

namespace caffe {
namespace {

template <typename Dtype>
void ExpectOnes(const Blob<Dtype>& blob, int count) {
  ASSERT_EQ(blob.count(), count);
  for (int i = 0; i < count; ++i) EXPECT_EQ(blob.cpu_data()[i], 1);
}

LayerParameter Definition(const std::string& text) {
  LayerParameter param;
  CHECK(google::protobuf::TextFormat::ParseFromString(text, &param));
  return param;
}

template <typename Dtype>
class LayerSubclassTest : public ::testing::Test {
 protected:
  LayerSubclassTest() : bottom_(2, 3, 4, 6), labels_(vector<int>{2}) {
    Caffe::set_random_seed(5);
    FillerParameter filler;
    GaussianFiller<Dtype>(filler).Fill(&bottom_);
    caffe_set(labels_.count(), Dtype(1), labels_.mutable_cpu_data());
  }

  template <typename Subclass>
  void SetUp(Subclass* layer, vector<Blob<Dtype>*> more = {}) {
    bottoms_ = {&bottom_};
    bottoms_.insert(bottoms_.end(), more.begin(), more.end());
    tops_ = {&top_};
    layer->SetUp(bottoms_, tops_);
  }

  Blob<Dtype> bottom_, labels_, top_;
  vector<Blob<Dtype>*> bottoms_, tops_;
};

typedef ::testing::Types<float, double> Dtypes;
TYPED_TEST_CASE(LayerSubclassTest, Dtypes);

// An inner product whose bias is added, and has its gradient, by products with a vector of ones.
template <typename Dtype>
class OwnInnerProductLayer : public InnerProductLayer<Dtype> {
 public:
  using InnerProductLayer<Dtype>::InnerProductLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasTrans, this->M_, this->N_, this->K_, 1, bottom[0]->cpu_data(),
                          this->blobs_[0]->cpu_data(), 0, top[0]->mutable_cpu_data());
    caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasNoTrans, this->M_, this->N_, 1, 1,
                          this->bias_multiplier_.cpu_data(), this->blobs_[1]->cpu_data(), 1,
                          top[0]->mutable_cpu_data());
  }
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                    const vector<Blob<Dtype>*>&) override {
    caffe_cpu_gemv<Dtype>(CblasTrans, this->M_, this->N_, 1, top[0]->cpu_diff(),
                          this->bias_multiplier_.cpu_data(), 1, this->blobs_[1]->mutable_cpu_diff());
  }
};

TYPED_TEST(LayerSubclassTest, InnerProductByOnes) {
  const LayerParameter param = Definition(
      "inner_product_param { num_output: 5 weight_filler { type: 'xavier' } bias_filler { value: 2 } }");
  OwnInnerProductLayer<TypeParam> own(param);
  InnerProductLayer<TypeParam> plain(param);
  Blob<TypeParam> expected;
  this->SetUp(&own);
  plain.SetUp(this->bottoms_, {&expected});
  plain.blobs()[0]->CopyFrom(*own.blobs()[0]);
  // The ones follow the number of rows.
  for (int rows : {2, 7, 3}) {
    this->bottom_.Reshape(rows, 3, 4, 6);
    std::iota(this->bottom_.mutable_cpu_data(), this->bottom_.mutable_cpu_data() + this->bottom_.count(), -9);
    own.Reshape(this->bottoms_, this->tops_);
    plain.Reshape(this->bottoms_, {&expected});
    own.Forward(this->bottoms_, this->tops_);
    plain.Forward(this->bottoms_, {&expected});
    for (Blob<TypeParam>* top : {&expected, &this->top_}) {
      caffe_copy(top->count(), top->cpu_data(), top->mutable_cpu_diff());
    }
    for (auto* layer : {static_cast<Layer<TypeParam>*>(&own), static_cast<Layer<TypeParam>*>(&plain)}) {
      caffe_set(5, TypeParam(0), layer->blobs()[1]->mutable_cpu_diff());
    }
    own.Backward(this->tops_, {false}, this->bottoms_);
    plain.Backward({&expected}, {false}, this->bottoms_);
    for (int i = 0; i < expected.count(); ++i) {
      EXPECT_NEAR(this->top_.cpu_data()[i], expected.cpu_data()[i], 1e-3);
    }
    for (int i = 0; i < 5; ++i) {
      const TypeParam gradient = plain.blobs()[1]->cpu_diff()[i];
      EXPECT_NEAR(own.blobs()[1]->cpu_diff()[i], gradient, 1e-5 * std::abs(gradient));
    }
  }
}

// Sums of channels by the products that Caffe's layer takes.
template <typename Dtype>
struct OwnBatchNormLayer : BatchNormLayer<Dtype> {
  using BatchNormLayer<Dtype>::BatchNormLayer;
  vector<Dtype> SumsOfSquares(const Blob<Dtype>& bottom) {
    const int num = bottom.num(), channels = bottom.channels(), spatial = bottom.count(2);
    caffe_sqr(bottom.count(), bottom.cpu_data(), this->temp_.mutable_cpu_data());
    caffe_cpu_gemv<Dtype>(CblasNoTrans, num * channels, spatial, 1, this->temp_.cpu_data(),
                          this->spatial_sum_multiplier_.cpu_data(), 0,
                          this->num_by_chans_.mutable_cpu_data());
    vector<Dtype> sums(channels);
    caffe_cpu_gemv<Dtype>(CblasTrans, num, channels, 1, this->num_by_chans_.cpu_data(),
                          this->batch_sum_multiplier_.cpu_data(), 0, sums.data());
    return sums;
  }
};

TYPED_TEST(LayerSubclassTest, BatchNormSumsByOnes) {
  OwnBatchNormLayer<TypeParam> layer{LayerParameter()};
  this->SetUp(&layer);
  const vector<TypeParam> sums = layer.SumsOfSquares(this->bottom_);
  for (int c = 0; c < 3; ++c) {
    TypeParam expected = 0;
    for (int n = 0; n < 2; ++n) {
      const TypeParam* x = this->bottom_.cpu_data() + this->bottom_.offset(n, c);
      expected += caffe_cpu_dot(24, x, x);
    }
    EXPECT_NEAR(sums[c], expected, 1e-4);
  }
}

// Opens what is protected to a test.
#define OPEN(Name, ...)             \
  template <typename Dtype>         \
  struct Open##Name : Name<Dtype> { \
    using Name<Dtype>::Name;        \
    __VA_ARGS__                     \
  }

OPEN(MVNLayer, using MVNLayer<Dtype>::temp_; using MVNLayer<Dtype>::sum_multiplier_;);
OPEN(PReLULayer, using PReLULayer<Dtype>::multiplier_; using PReLULayer<Dtype>::backward_buff_;);
OPEN(ReductionLayer, using ReductionLayer<Dtype>::sum_multiplier_;);
OPEN(EmbedLayer, using EmbedLayer<Dtype>::bias_multiplier_;);
OPEN(BinaryConvolutionLayer, using BinaryConvolutionLayer<Dtype>::weight_sum_multiplier_;);
OPEN(BinaryInnerProductLayer, using BinaryInnerProductLayer<Dtype>::weight_sum_multiplier_;
     using BinaryInnerProductLayer<Dtype>::filter_means_;
     using BinaryInnerProductLayer<Dtype>::bias_multiplier_;);
OPEN(ContrastiveLossLayer, using ContrastiveLossLayer<Dtype>::diff_sq_;
     using ContrastiveLossLayer<Dtype>::summer_vec_;);
OPEN(SoftmaxLayer, using SoftmaxLayer<Dtype>::scale_; using SoftmaxLayer<Dtype>::sum_multiplier_;);
OPEN(CropLayer, using CropLayer<Dtype>::src_strides_; using CropLayer<Dtype>::dest_strides_;);
OPEN(ScaleLayer, using ScaleLayer<Dtype>::bias_layer_; using ScaleLayer<Dtype>::sum_multiplier_;
     using ScaleLayer<Dtype>::sum_result_; using ScaleLayer<Dtype>::bias_bottom_vec_;
     using ScaleLayer<Dtype>::bias_propagate_down_;);
OPEN(SigmoidCrossEntropyLossLayer, using SigmoidCrossEntropyLossLayer<Dtype>::sigmoid_output_;
     using SigmoidCrossEntropyLossLayer<Dtype>::sigmoid_bottom_vec_;);
OPEN(SwishLayer, using SwishLayer<Dtype>::sigmoid_input_; using SwishLayer<Dtype>::sigmoid_output_;);
OPEN(LRNLayer, using LRNLayer<Dtype>::pool_output_; using LRNLayer<Dtype>::power_output_;
     using LRNLayer<Dtype>::square_output_;);
OPEN(SPPLayer, using SPPLayer<Dtype>::pooling_outputs_; using SPPLayer<Dtype>::flatten_outputs_;
     using SPPLayer<Dtype>::pooling_layers_; using SPPLayer<Dtype>::kernel_h_; using SPPLayer<Dtype>::pad_w_;
     using SPPLayer<Dtype>::num_; using SPPLayer<Dtype>::channels_;);

TYPED_TEST(LayerSubclassTest, OnesAndRoom) {
  typedef TypeParam Dtype;
  OpenMVNLayer<Dtype> mvn(Definition(""));
  this->SetUp(&mvn);
  ExpectOnes(mvn.sum_multiplier_, 24);
  EXPECT_EQ(mvn.temp_.shape(), this->bottom_.shape());
  OpenMVNLayer<Dtype> across(Definition("mvn_param { across_channels: true }"));
  this->SetUp(&across);
  ExpectOnes(across.sum_multiplier_, 72);

  OpenPReLULayer<Dtype> prelu(Definition(""));
  this->SetUp(&prelu);
  ExpectOnes(prelu.multiplier_, 72);
  EXPECT_EQ(prelu.backward_buff_.count(), 72);

  OpenReductionLayer<Dtype> reduction(Definition("reduction_param { operation: MEAN axis: 2 }"));
  this->SetUp(&reduction);
  ExpectOnes(reduction.sum_multiplier_, 24);

  OpenBinaryConvolutionLayer<Dtype> conv(
      Definition("convolution_param { num_output: 4 kernel_size: 2 bias_term: false }"));
  this->SetUp(&conv);
  ExpectOnes(conv.weight_sum_multiplier_, 12);

  OpenBinaryInnerProductLayer<Dtype> product(Definition("inner_product_param { num_output: 4 }"));
  this->SetUp(&product);
  ExpectOnes(product.weight_sum_multiplier_, 72);
  ExpectOnes(product.bias_multiplier_, 2);
  EXPECT_EQ(product.filter_means_.count(), 4);

  OpenEmbedLayer<Dtype> embed(Definition("embed_param { num_output: 4 input_dim: 9 }"));
  this->SetUp(&embed);
  ExpectOnes(embed.bias_multiplier_, this->bottom_.count());

  OpenContrastiveLossLayer<Dtype> contrastive(Definition(""));
  Blob<Dtype> a(2, 5, 1, 1), b(2, 5, 1, 1);
  contrastive.SetUp({&a, &b, &this->labels_}, this->tops_);
  ExpectOnes(contrastive.summer_vec_, 5);
  EXPECT_EQ(contrastive.diff_sq_.count(), 10);
}

TYPED_TEST(LayerSubclassTest, SoftmaxKeepsTheLargest) {
  OpenSoftmaxLayer<TypeParam> layer(Definition(""));
  this->SetUp(&layer);
  ExpectOnes(layer.sum_multiplier_, 3);
  EXPECT_EQ(layer.scale_.shape(), vector<int>({2, 1, 4, 6}));
  layer.Forward(this->bottoms_, this->tops_);
  const auto& x = this->bottom_;
  const TypeParam largest = std::max({x.data_at(1, 0, 2, 3), x.data_at(1, 1, 2, 3), x.data_at(1, 2, 2, 3)});
  EXPECT_EQ(layer.scale_.data_at(1, 0, 2, 3), largest);
}

TYPED_TEST(LayerSubclassTest, CropHasStrides) {
  OpenCropLayer<TypeParam> layer(Definition("crop_param { axis: 2 offset: 1 }"));
  Blob<TypeParam> size(2, 3, 2, 5);
  this->SetUp(&layer, {&size});
  const vector<int> source{72, 24, 6, 1}, target{30, 10, 5, 1};
  for (int axis = 0; axis < 4; ++axis) {
    EXPECT_EQ(layer.src_strides_.cpu_data()[axis], source[axis]);
    EXPECT_EQ(layer.dest_strides_.cpu_data()[axis], target[axis]);
  }
}

TYPED_TEST(LayerSubclassTest, ScaleHasItsBiasFromABiasLayer) {
  OpenScaleLayer<TypeParam> layer(Definition("scale_param { bias_term: true bias_filler { value: 3 } }"));
  this->SetUp(&layer);
  ASSERT_EQ(layer.blobs().size(), 2u);
  EXPECT_EQ(layer.bias_layer_->blobs()[0], layer.blobs()[1]);
  EXPECT_EQ(layer.bias_bottom_vec_, this->tops_);
  EXPECT_EQ(layer.bias_propagate_down_, vector<bool>{false});
  ExpectOnes(layer.sum_multiplier_, 24);
  EXPECT_EQ(layer.sum_result_.count(), 6);
  // As a subclass would add it: the inner layer works on the top in place.
  layer.Forward(this->bottoms_, this->tops_);
  const TypeParam before = this->top_.cpu_data()[0];
  layer.bias_layer_->Forward(layer.bias_bottom_vec_, this->tops_);
  EXPECT_NEAR(this->top_.cpu_data()[0], before + 3, 1e-6);
}

TYPED_TEST(LayerSubclassTest, SigmoidsAreKept) {
  OpenSigmoidCrossEntropyLossLayer<TypeParam> loss(Definition(""));
  Blob<TypeParam> targets;
  targets.ReshapeLike(this->bottom_);
  this->SetUp(&loss, {&targets});
  loss.Forward(this->bottoms_, this->tops_);
  EXPECT_EQ(loss.sigmoid_bottom_vec_[0], &this->bottom_);
  OpenSwishLayer<TypeParam> swish(Definition("swish_param { beta: 2 }"));
  this->SetUp(&swish);
  swish.Forward(this->bottoms_, this->tops_);
  for (int i = 0; i < this->bottom_.count(); ++i) {
    const TypeParam x = this->bottom_.cpu_data()[i];
    EXPECT_NEAR(loss.sigmoid_output_->cpu_data()[i], 1 / (1 + std::exp(-x)), 1e-6);
    EXPECT_NEAR(swish.sigmoid_input_->cpu_data()[i], 2 * x, 1e-6);
    EXPECT_NEAR(swish.sigmoid_output_->cpu_data()[i], 1 / (1 + std::exp(-2 * x)), 1e-6);
  }
}

TYPED_TEST(LayerSubclassTest, LrnWithinAChannelInSteps) {
  OpenLRNLayer<TypeParam> layer(
      Definition("lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 0.5 beta: 0.75 }"));
  this->SetUp(&layer);
  layer.Forward(this->bottoms_, this->tops_);
  const auto& x = this->bottom_;
  TypeParam sum = 0;
  for (int h = 0; h < 2; ++h) {
    for (int w = 4; w < 6; ++w) sum += x.data_at(1, 2, h, w) * x.data_at(1, 2, h, w);
  }
  EXPECT_NEAR(layer.square_output_.data_at(1, 2, 0, 5), x.data_at(1, 2, 0, 5) * x.data_at(1, 2, 0, 5), 1e-6);
  EXPECT_NEAR(layer.pool_output_.data_at(1, 2, 0, 5), sum / 9, 1e-6);
  EXPECT_NEAR(layer.power_output_.data_at(1, 2, 0, 5), std::pow(1 + 0.5 * sum / 9, -0.75), 1e-6);
  EXPECT_NEAR(this->top_.data_at(1, 2, 0, 5), x.data_at(1, 2, 0, 5) * layer.power_output_.data_at(1, 2, 0, 5),
              1e-6);
}

TYPED_TEST(LayerSubclassTest, PyramidsHaveALayerForEachLevel) {
  OpenSPPLayer<TypeParam> layer(Definition("spp_param { pyramid_height: 3 }"));
  this->SetUp(&layer);
  layer.Forward(this->bottoms_, this->tops_);
  EXPECT_EQ(layer.num_, 2);
  EXPECT_EQ(layer.channels_, 3);
  EXPECT_EQ(layer.kernel_h_, 1);
  EXPECT_EQ(layer.pad_w_, 1);
  ASSERT_EQ(layer.pooling_layers_.size(), 3u);
  for (int level = 0; level < 3; ++level) {
    const int bins = 1 << level;
    EXPECT_EQ(layer.pooling_outputs_[level]->shape(), vector<int>({2, 3, bins, bins}));
    EXPECT_EQ(layer.flatten_outputs_[level]->shape(), vector<int>({2, 3 * bins * bins}));
  }
}

TEST(SolverSubclassTest, DisplaysTheOutputsOfATestNet) {
  struct OpenSolver : SGDSolver<float> {
    using SGDSolver<float>::DisplayOutputBlobs;
    using SGDSolver<float>::SGDSolver;
  };
  SolverParameter param;
  const char* text =
      "base_lr: 0.1 lr_policy: 'fixed' solver_mode: CPU test_iter: 1 test_interval: 5 net_param { "
      "layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param { shape { dim: 2 } "
      "data_filler { value: 7 } } } }";
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param));
  OpenSolver solver(param);
  solver.test_nets()[0]->Forward();
  {
    const LogCapture log;
    solver.DisplayOutputBlobs(0);
    EXPECT_EQ(log.messages(),
              vector<std::string>({"    Test net output #0: data = 7", "    Test net output #1: data = 7"}));
  }
  EXPECT_THROW(solver.DisplayOutputBlobs(1), Error);
}

}  // namespace
}  // namespace caffe
