// Memory that goes from blob to blob of a net, held against a net whose blobs have memory of their own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/quant_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/net.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/backward_precision.hpp"
#include "caffe/util/kept_codes.hpp"
#include "environment_for_test.hpp"
#include "gpu_test_util.hpp"
#include "layer_test_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

constexpr const char* kLabels = R"(
  layer { name: 'data' type: 'DummyData' top: 'data' top: 'label' dummy_data_param {
    shape { dim: 4 dim: 3 dim: 12 dim: 12 } shape { dim: 4 }
    data_filler { type: 'gaussian' } data_filler { type: 'constant' value: 1 } } }
)";

// Layers of all kinds that a pass goes through: in place and not, with shortcuts, shared memory and no
// gradient.
constexpr const char* kLayers = R"(
  layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' convolution_param {
    num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
  layer { name: 'bn1' type: 'BatchNorm' bottom: 'conv1' top: 'bn1' }
  layer { name: 'scale1' type: 'Scale' bottom: 'bn1' top: 'bn1' scale_param { bias_term: true } }
  layer { name: 'quant1' type: 'Quant' bottom: 'bn1' top: 'quant1' quant_param {
    centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614 } }
  layer { name: 'conv2' type: 'BinaryConvolution' bottom: 'quant1' top: 'conv2' convolution_param {
    num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
  layer { name: 'bn2' type: 'BatchNorm' bottom: 'conv2' top: 'conv2' }
  layer { name: 'sum' type: 'Eltwise' bottom: 'conv2' bottom: 'bn1' top: 'sum' }
  layer { name: 'relu' type: 'ReLU' bottom: 'sum' top: 'sum' }
  layer { name: 'pool' type: 'Pooling' bottom: 'sum' top: 'pool' pooling_param { kernel_size: 3 stride: 2 } }
  layer { name: 'norm' type: 'LRN' bottom: 'pool' top: 'norm' }
  layer { name: 'slice' type: 'Slice' bottom: 'norm' top: 'left' top: 'right' }
  layer { name: 'quant2' type: 'Quant' bottom: 'left' top: 'quant2' quant_param {
    centers: 0.8 clip_thr: 0.8 backward_func: 'log_tailed_relu' } }
  layer { name: 'average' type: 'Pooling' bottom: 'right' top: 'average' pooling_param {
    pool: AVE kernel_size: 3 stride: 1 pad: 1 } }
  layer { name: 'concat' type: 'Concat' bottom: 'quant2' bottom: 'average' top: 'concat' }
  layer { name: 'flat' type: 'Flatten' bottom: 'concat' top: 'flat' }
  layer { name: 'ip1' type: 'InnerProduct' bottom: 'flat' top: 'ip1' inner_product_param {
    num_output: 16 weight_filler { type: 'xavier' } } }
  layer { name: 'tanh' type: 'TanH' bottom: 'ip1' top: 'tanh' }
  layer { name: 'ip2' type: 'InnerProduct' bottom: 'tanh' top: 'ip2' inner_product_param {
    num_output: 5 weight_filler { type: 'xavier' } } }
  layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss' }
  layer { name: 'hinge' type: 'HingeLoss' bottom: 'ip2' bottom: 'label' top: 'hinge' loss_weight: 0.5 }
)";

constexpr const char* kAccuracy =
    "layer { name: 'accuracy' type: 'Accuracy' bottom: 'ip2' bottom: 'label' top: 'accuracy' }";

// Writes its gradient in Forward already, as some losses do.
template <typename Dtype>
class EagerLossLayer : public Layer<Dtype> {
 public:
  explicit EagerLossLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) override {
    top[0]->Reshape(vector<int>());
  }
  const char* type() const override { return "EagerLoss"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    std::copy_n(bottom[0]->cpu_data(), bottom[0]->count(), bottom[0]->mutable_cpu_diff());
    top[0]->mutable_cpu_data()[0] = bottom[0]->sumsq_data() / 2;
  }
  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}
};

REGISTER_LAYER_CLASS(EagerLoss);

// Lets the test see whether the bottom was copied.
template <typename Dtype>
class OpenScaleLayer : public ScaleLayer<Dtype> {
 public:
  using ScaleLayer<Dtype>::ScaleLayer;
  const char* type() const override { return "OpenScale"; }
  bool has_copied() const {
    return this->temp_.count() && this->temp_.data()->head() != SyncedMemory::UNINITIALIZED;
  }
};

REGISTER_LAYER_CLASS(OpenScale);

// Counts its passes, which a layer that joins it would take over.
template <typename Dtype>
class OwnBatchNormLayer : public BatchNormLayer<Dtype> {
 public:
  using BatchNormLayer<Dtype>::BatchNormLayer;
  const char* type() const override { return "OwnBatchNorm"; }
  int passes = 0;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    ++passes;
    BatchNormLayer<Dtype>::Forward_cpu(bottom, top);
  }
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    ++passes;
    BatchNormLayer<Dtype>::Forward_gpu(bottom, top);
  }
};

REGISTER_LAYER_CLASS(OwnBatchNorm);

template <typename Dtype>
struct CountCalls : Net<Dtype>::Callback {
  int calls = 0;
  void run(int) override { ++calls; }
};

// Convolutions with normalized values in place that are quantized, as binary nets have them.
string JoinedLayers(const string& batch_norm = "BatchNorm", const string& settings = "",
                    const string& quant = "centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614") {
  string text = kLabels;
  string bottom = "data";
  for (const string name : {"a", "b", "c"}) {
    text +=
        "layer { name: 'conv_" + name + "' type: 'Convolution' bottom: '" + bottom + "' top: '" + name +
        "' convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } } " +
        "layer { name: 'bn_" + name + "' type: '" + batch_norm + "' bottom: '" + name + "' top: '" + name +
        "' batch_norm_param { " + settings + " } } layer { name: 'quant_" + name +
        "' type: 'Quant' bottom: '" + name + "' top: 'q_" + name + "' quant_param { " + quant + " } } ";
    bottom = "q_" + name;
  }
  return text + R"(
    layer { name: 'ip' type: 'InnerProduct' bottom: 'q_c' top: 'ip' inner_product_param {
      num_output: 6 weight_filler { type: 'xavier' } } }
    layer { name: 'bn_ip' type: 'BatchNorm' bottom: 'ip' top: 'ip' }
    layer { name: 'quant_ip' type: 'Quant' bottom: 'ip' top: 'q_ip' quant_param { forward_func: 'sign'
      backward_func: 'hard_tanh' clip_thr: 1 } }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'q_ip' bottom: 'label' top: 'loss' })";
}

template <typename TypeParam>
class NetMemoryTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;

  // Two nets of the same text and parameters; the second reuses memory.
  void Make(const string& text, Phase phase = TRAIN) {
    NetParameter param;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param));
    param.mutable_state()->set_phase(phase);
    plain_ = std::make_unique<Net<Dtype>>(param);
    reusing_ = std::make_unique<Net<Dtype>>(param);
    for (size_t i = 0; i < plain_->params().size(); ++i) {
      reusing_->params()[i]->CopyFrom(*plain_->params()[i]);
    }
    reusing_->set_reuses_memory(true);
  }

  Dtype Pass(Net<Dtype>* net, unsigned seed) {
    Caffe::set_random_seed(seed);
    net->ClearParamDiffs();
    return net->ForwardBackward();
  }

  void ExpectSamePasses(int passes) {
    for (int pass = 0; pass < passes; ++pass) {
      SCOPED_TRACE("pass " + std::to_string(pass));
      EXPECT_EQ(Pass(plain_.get(), 7 + pass), Pass(reusing_.get(), 7 + pass));
      for (size_t i = 0; i < plain_->params().size(); ++i) {
        EXPECT_EQ(DiffOf(*plain_->params()[i]), DiffOf(*reusing_->params()[i])) << "parameter " << i;
        EXPECT_EQ(DataOf(*plain_->params()[i]), DataOf(*reusing_->params()[i])) << "parameter " << i;
      }
      for (int i = 0; i < plain_->num_outputs(); ++i) {
        EXPECT_EQ(DataOf(*plain_->output_blobs()[i]), DataOf(*reusing_->output_blobs()[i])) << "output " << i;
      }
    }
  }

  // One of a sum's terms has the memory of the sum's gradient, the other one does not.
  void ExpectSumSharesItsGradient() {
    struct Look : Net<Dtype>::Callback {
      Net<Dtype>* net;
      int sums = 0;
      void run(int layer) override {
        if (net->layer_names()[layer] != "sum") return;
        const vector<Blob<Dtype>*>& terms = net->bottom_vecs()[layer];
        const shared_ptr<SyncedMemory>& gradient = net->top_vecs()[layer][0]->diff();
        EXPECT_EQ(terms[0]->diff(), gradient);
        EXPECT_NE(terms[1]->diff(), gradient);
        EXPECT_EQ(DiffOf(*terms[0]), DiffOf(*terms[1]));
        ++sums;
      }
    } look;
    look.net = reusing_.get();
    reusing_->add_after_backward(&look);
    for (int pass = 1; pass <= 2; ++pass) {
      Pass(plain_.get(), pass);
      Pass(reusing_.get(), pass);
      EXPECT_EQ(look.sums, pass);
    }
    reusing_->remove_after_backward(&look);
  }

  // Bytes of the blobs' memory that was touched.
  static size_t BytesOf(const Net<Dtype>& net) {
    std::set<const SyncedMemory*> all;
    for (const auto& blob : net.blobs()) {
      if (blob->count() == 0) continue;
      for (const auto& memory : {blob->data(), blob->diff()}) {
        if (memory->head() != SyncedMemory::UNINITIALIZED) all.insert(memory.get());
      }
    }
    size_t bytes = 0;
    for (const SyncedMemory* memory : all) bytes += memory->size();
    return bytes + net.pool().bytes();
  }

  std::unique_ptr<Net<Dtype>> plain_, reusing_;
};

TYPED_TEST_SUITE(NetMemoryTest, TestDtypesAndDevices);

}  // namespace

TYPED_TEST(NetMemoryTest, TrainsToTheSame) {
  for (const int threads : {1, 3}) {
    const ThreadsForTest some(threads);
    this->Make(string(kLabels) + kLayers + kAccuracy);
    this->ExpectSamePasses(4);
    EXPECT_LT(this->BytesOf(*this->reusing_), this->BytesOf(*this->plain_) * 2 / 3);
  }
}

TYPED_TEST(NetMemoryTest, ASumGivesItsGradientToATermWithoutACopy) {
  this->Make(string(kLabels) + kLayers);
  this->ExpectSumSharesItsGradient();
  for (size_t i = 0; i < this->plain_->params().size(); ++i) {
    EXPECT_EQ(DiffOf(*this->plain_->params()[i]), DiffOf(*this->reusing_->params()[i])) << "parameter " << i;
  }
}

#ifndef CPU_ONLY

TYPED_TEST(NetMemoryTest, ASumGivesItsGradientToATermWithoutACopyOnAGpu) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  this->Make(string(kLabels) + kLayers);
  this->ExpectSumSharesItsGradient();
  for (size_t i = 0; i < this->plain_->params().size(); ++i) {
    gpu_test::ExpectClose(DiffOf(*this->reusing_->params()[i]), DiffOf(*this->plain_->params()[i]), 1e-4,
                          "parameter " + std::to_string(i));
  }
}

#endif  // !CPU_ONLY

// The gradient of one is not that of the other.
TYPED_TEST(NetMemoryTest, ASumWithCoefficientsTrainsToTheSame) {
  string layers = kLayers;
  const string sum = "bottom: 'conv2' bottom: 'bn1' top: 'sum'";
  layers.replace(layers.find(sum), sum.size(), sum + " eltwise_param { coeff: -2 coeff: 1 }");
  this->Make(string(kLabels) + layers);
  this->ExpectSamePasses(2);
}

TYPED_TEST(NetMemoryTest, TestsToTheSame) {
  typedef typename TypeParam::Dtype Dtype;
  this->Make(string(kLabels) + kLayers + kAccuracy, TEST);
  for (int pass = 0; pass < 3; ++pass) {
    Dtype loss, expected;
    Caffe::set_random_seed(pass);
    this->plain_->Forward(&expected);
    Caffe::set_random_seed(pass);
    this->reusing_->Forward(&loss);
    EXPECT_EQ(loss, expected);
  }
  EXPECT_LT(this->BytesOf(*this->reusing_), this->BytesOf(*this->plain_) * 2 / 3);
  EXPECT_TRUE(Contains(ErrorOf([&] { this->reusing_->Backward(); }), "keeps nothing for Backward"));
}

TYPED_TEST(NetMemoryTest, FollowsTheShapeOfItsInputs) {
  typedef typename TypeParam::Dtype Dtype;
  const string input = R"(force_backward: true
    layer { name: 'data' type: 'Input' top: 'data' top: 'label' input_param {
      shape { dim: 4 dim: 3 dim: 12 dim: 12 } shape { dim: 4 } } })";
  this->Make(input + kLayers);
  for (const int num : {4, 7, 2, 5}) {
    SCOPED_TRACE("images: " + std::to_string(num));
    Blob<Dtype> images(num, 3, 12, 12);
    FillNormal(&images);
    for (Net<Dtype>* net : {this->plain_.get(), this->reusing_.get()}) {
      net->blob_by_name("data")->CopyFrom(images, false, true);
      net->blob_by_name("label")->Reshape({num});
      caffe_set(num, Dtype(2), net->blob_by_name("label")->mutable_cpu_data());
    }
    this->ExpectSamePasses(2);
    // What the user gave is still there, and what the user asks for.
    EXPECT_EQ(DataOf(*this->reusing_->blob_by_name("data")), DataOf(images));
    EXPECT_EQ(DiffOf(*this->reusing_->blob_by_name("data")), DiffOf(*this->plain_->blob_by_name("data")));
  }
}

TYPED_TEST(NetMemoryTest, LeavesWhatIsWrittenAhead) {
  this->Make(string(kLabels) + R"(
    layer { name: 'silence' type: 'Silence' bottom: 'label' }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' inner_product_param {
      num_output: 5 weight_filler { type: 'xavier' } } }
    layer { name: 'tanh' type: 'TanH' bottom: 'ip' top: 'tanh' }
    layer { name: 'loss' type: 'EagerLoss' bottom: 'tanh' top: 'loss' loss_weight: 1 })");
  this->ExpectSamePasses(3);
}

TYPED_TEST(NetMemoryTest, LeavesWhatSomebodyLooksAt) {
  typedef typename TypeParam::Dtype Dtype;
  this->Make(string(kLabels) + kLayers + kAccuracy);
  this->ExpectSamePasses(1);
  const Blob<Dtype>& quant1 = *this->reusing_->blob_by_name("quant1");
  const Blob<Dtype>& expected = *this->plain_->blob_by_name("quant1");
  EXPECT_NE(DataOf(quant1), DataOf(expected));
  EXPECT_NE(DiffOf(quant1), DiffOf(expected));
  this->ExpectSamePasses(2);
  EXPECT_EQ(DataOf(quant1), DataOf(expected));
  EXPECT_EQ(DiffOf(quant1), DiffOf(expected));
}

// What a quantizer makes is read by convolutions going backward, one of them beside the other, or after a
// layer that shares it; all of it comes from codes.
TYPED_TEST(NetMemoryTest, RestoresCodes) {
  typedef typename TypeParam::Dtype Dtype;
  for (const char* levels : {"centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614",
                             "centers: 0.8 clip_thr: 0.8", "forward_func: 'sign' backward_func: 'hard_tanh'",
                             "centers: 0.2 centers: 0.4 centers: 0.6 centers: 0.8 centers: 1 centers: 1.2 "
                             "centers: 1.4 centers: 1.6 centers: 1.8"}) {
    SCOPED_TRACE(levels);
    this->Make(string(kLabels) + R"(
      layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' convolution_param {
        num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
      layer { name: 'quant1' type: 'Quant' bottom: 'conv1' top: 'quant1' quant_param { )" +
               levels + R"( } }
      layer { name: 'conv2' type: 'BinaryConvolution' bottom: 'quant1' top: 'conv2' convolution_param {
        num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
      layer { name: 'conv3' type: 'Convolution' bottom: 'quant1' top: 'conv3' convolution_param {
        num_output: 6 kernel_size: 1 weight_filler { type: 'xavier' } } }
      layer { name: 'sum' type: 'Eltwise' bottom: 'conv2' bottom: 'conv3' top: 'sum' }
      layer { name: 'quant2' type: 'Quant' bottom: 'sum' top: 'quant2' quant_param { )" +
               levels + R"( } }
      layer { name: 'flat' type: 'Flatten' bottom: 'quant2' top: 'flat' }
      layer { name: 'ip' type: 'InnerProduct' bottom: 'flat' top: 'ip' inner_product_param {
        num_output: 5 weight_filler { type: 'xavier' } } }
      layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' })");
    this->ExpectSamePasses(2);
    EXPECT_TRUE(this->reusing_->layer_by_name("quant1")->RestoresTop(0));
    EXPECT_EQ(this->reusing_->blob_by_name("quant1")->data()->head(), SyncedMemory::UNINITIALIZED);
    EXPECT_FALSE(this->plain_->layer_by_name("quant1")->RestoresTop(0));

    // Looked at between the passes.
    for (Net<Dtype>* net : {this->plain_.get(), this->reusing_.get()}) {
      Caffe::set_random_seed(3);
      net->ClearParamDiffs();
      net->Forward();
      const shared_ptr<const void> owner = net->blob_by_name("quant1")->data()->cpu_owner();
      net->blob_by_name("quant1")->cpu_data();
      net->Backward();
    }
    for (size_t i = 0; i < this->plain_->params().size(); ++i) {
      EXPECT_EQ(DiffOf(*this->plain_->params()[i]), DiffOf(*this->reusing_->params()[i]))
          << "parameter " << i;
    }
    this->ExpectSamePasses(2);
  }
}

// On a GPU what reads a quantizer's top may take its codes, and where all do, the top is never made.
TYPED_TEST(NetMemoryTest, CodesStandForWhatWasQuantized) {
  typedef typename TypeParam::Dtype Dtype;
  const bool has_codes = Caffe::mode() == Caffe::GPU && sizeof(Dtype) == sizeof(float);
  for (const char* precision : {"FLOAT", "BF16"}) {
    // Without batch normalization: passes that join it keep less of its values under BF16.
    const bool is_bf16 = string(precision) == "BF16";
    for (const char* levels : {"centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614",
                               "centers: 0.4528 centers: 1.51", "forward_func: 'sign'"}) {
      for (const bool has_other_reader : {false, true}) {
        SCOPED_TRACE(string(precision) + " " + levels + (has_other_reader ? ", and another reader" : ""));
        const EnvironmentForTest backward("CAFFE_BACKWARD", precision);
        const auto normalized = [&](const string& blob) {
          return is_bf16 ? string()
                         : "layer { name: 'bn_" + blob + "' type: 'BatchNorm' bottom: '" + blob + "' top: '" +
                               blob + "' } ";
        };
        this->Make(string(kLabels) + R"(
          layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' convolution_param {
            num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } } )" +
                   normalized("conv1") + R"(
          layer { name: 'quant1' type: 'Quant' bottom: 'conv1' top: 'quant1' quant_param { )" +
                   levels + R"( } }
          layer { name: 'conv2' type: 'BinaryConvolution' bottom: 'quant1' top: 'conv2' convolution_param {
            num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
          layer { name: 'conv3' type: 'BinaryConvolution' bottom: 'quant1' top: 'conv3' convolution_param {
            num_output: 6 kernel_size: 1 weight_filler { type: 'xavier' } } }
          layer { name: 'sum' type: 'Eltwise' bottom: 'conv2' bottom: 'conv3' top: 'sum' } )" +
                   normalized("sum") + R"(
          layer { name: 'quant2' type: 'Quant' bottom: 'sum' top: 'quant2' quant_param { )" +
                   levels + R"( } }
          layer { name: 'ip' type: 'BinaryInnerProduct' bottom: 'quant2' top: 'ip' inner_product_param {
            num_output: 5 weight_filler { type: 'xavier' } } }
          layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' } )" +
                   (has_other_reader ? "layer { name: 'mean' type: 'Reduction' bottom: 'quant1' top: 'mean' "
                                       "loss_weight: 0.1 }"
                                     : ""));
        this->ExpectSamePasses(2);
        const auto is_alone = [&](const char* layer) {
          const KeptCodes* const codes = this->reusing_->layer_by_name(layer)->TopCodes(0);
          EXPECT_EQ(codes != nullptr, Caffe::mode() == Caffe::GPU);
          return codes && codes->is_alone;
        };
        EXPECT_EQ(is_alone("quant1"), has_codes && !has_other_reader);
        EXPECT_EQ(is_alone("quant2"), has_codes);
        EXPECT_EQ(this->plain_->layer_by_name("quant1")->TopCodes(0), nullptr);

        // Whoever looks at them between two passes finds them after the next.
        const Blob<Dtype>& quant2 = *this->reusing_->blob_by_name("quant2");
        quant2.cpu_data();
        this->ExpectSamePasses(1);
        EXPECT_FALSE(is_alone("quant2"));
        EXPECT_EQ(DataOf(quant2), DataOf(*this->plain_->blob_by_name("quant2")));
        // Nor is there anything between layers where somebody looks there.
        CountCalls<Dtype> count;
        this->reusing_->add_after_forward(&count);
        this->ExpectSamePasses(2);
        EXPECT_EQ(this->reusing_->layer_by_name("quant1")->TopCodes(0), nullptr);
      }
    }
  }
}

TYPED_TEST(NetMemoryTest, GoesBackwardOnce) {
  this->Make(string(kLabels) + kLayers);
  this->ExpectSamePasses(2);
  const string error = ErrorOf([&] { this->reusing_->Backward(); });
  EXPECT_TRUE(Contains(error, "run Forward again")) << error;
  this->ExpectSamePasses(2);
  this->reusing_->set_reuses_memory(false);
  this->reusing_->Forward();
  this->reusing_->Backward();
  this->reusing_->Backward();
}

TYPED_TEST(NetMemoryTest, RestoresNoNumber) {
  typedef typename TypeParam::Dtype Dtype;
  Blob<Dtype> x(1, 1, 2, 4), y;
  const Dtype values[] = {
      -1, 0, Dtype(0.3), Dtype(0.9), Dtype(1.2), 7, std::numeric_limits<Dtype>::quiet_NaN(), Dtype(1.345)};
  std::copy(values, values + 8, x.mutable_cpu_data());
  LayerParameter param;
  param.set_phase(TRAIN);
  for (const double center : {0.538, 1.076, 1.614}) param.mutable_quant_param()->add_centers(center);
  QuantLayer<Dtype> layer(param);
  layer.SetReusesMemory(true);
  layer.SetUp({&x}, {&y});
  layer.Forward({&x}, {&y});
  const vector<Dtype> made = DataOf(y);
  caffe_set(y.count(), Dtype(0), y.mutable_cpu_data());
  layer.RestoreTop(0, &y);
  EXPECT_EQ(std::memcmp(y.cpu_data(), made.data(), made.size() * sizeof(Dtype)), 0);
}

TYPED_TEST(NetMemoryTest, KeepsNoCopyOfWhatIsKept) {
  typedef typename TypeParam::Dtype Dtype;
  for (const auto& [bn, scale] :
       {pair<string, string>{"conv1", "conv1"}, {"bn1", "bn1"}, {"bn1", "scale1"}}) {
    SCOPED_TRACE(bn + ", " + scale);
    this->Make(string(kLabels) + R"(
      layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' convolution_param {
        num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
      layer { name: 'bn1' type: 'BatchNorm' bottom: 'conv1' top: ')" +
               bn + R"(' }
      layer { name: 'scale1' type: 'OpenScale' bottom: ')" +
               bn + "' top: '" + scale + R"('
        scale_param { bias_term: true filler { type: 'uniform' min: 0.5 max: 2 } } }
      layer { name: 'ip' type: 'InnerProduct' bottom: ')" +
               scale + R"(' top: 'ip' inner_product_param {
        num_output: 5 weight_filler { type: 'xavier' } } }
      layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' })");
    this->ExpectSamePasses(2);
    const auto has_copied = [](const Net<Dtype>& net) {
      return dynamic_cast<OpenScaleLayer<Dtype>&>(*net.layer_by_name("scale1")).has_copied();
    };
    const bool is_in_place = bn == scale;
    EXPECT_EQ(has_copied(*this->plain_), is_in_place);
    EXPECT_FALSE(has_copied(*this->reusing_));
    // On a GPU nothing is kept twice: what stays is the top.
    if (!is_in_place && Caffe::mode() == Caffe::CPU) {
      EXPECT_EQ(this->reusing_->blob_by_name(bn)->data()->head(), SyncedMemory::UNINITIALIZED);
    }
    this->reusing_->set_reuses_memory(false);
    this->ExpectSamePasses(2);
    EXPECT_EQ(has_copied(*this->reusing_), is_in_place);
  }
}

TYPED_TEST(NetMemoryTest, EndsWhenAsked) {
  this->Make(string(kLabels) + kLayers + kAccuracy);
  this->ExpectSamePasses(2);
  EXPECT_TRUE(this->reusing_->reuses_memory());
  EXPECT_TRUE(Contains(ErrorOf([&] { this->reusing_->ForwardFrom(1); }), "begin at the first layer"));
  this->reusing_->set_reuses_memory(false);
  this->ExpectSamePasses(2);
  for (size_t i = 0; i < this->plain_->blobs().size(); ++i) {
    EXPECT_EQ(DataOf(*this->plain_->blobs()[i]), DataOf(*this->reusing_->blobs()[i]));
    EXPECT_EQ(DiffOf(*this->plain_->blobs()[i]), DiffOf(*this->reusing_->blobs()[i]));
  }
}

// Whether a BatchNorm layer leaves its passes to another: then its top stays as it was.
template <typename Dtype>
bool IsJoined(Layer<Dtype>* layer) {
  Blob<Dtype> bottom(2, 6, 3, 3), top;
  FillNormal(&bottom);
  layer->Reshape({&bottom}, {&top});
  caffe_set(top.count(), Dtype(7), top.mutable_cpu_data());
  layer->Forward({&bottom}, {&top});
  return DataOf(top) == vector<Dtype>(top.count(), 7);
}

TYPED_TEST(NetMemoryTest, QuantizersJoinTheBatchNormBeforeThem) {
  for (const int threads : {1, 3}) {
    const ThreadsForTest some(threads);
    this->Make(JoinedLayers());
    this->ExpectSamePasses(3);
    for (const char* name : {"bn_a", "bn_b", "bn_c", "bn_ip"}) {
      EXPECT_TRUE(IsJoined(this->reusing_->layer_by_name(name).get())) << name;
      EXPECT_FALSE(IsJoined(this->plain_->layer_by_name(name).get())) << name;
    }
    this->reusing_->set_reuses_memory(false);
    EXPECT_FALSE(IsJoined(this->reusing_->layer_by_name("bn_a").get()));
  }
}

TYPED_TEST(NetMemoryTest, ScalesInPlaceJoinTheBatchNormBeforeThemOnAGpu) {
  const auto net = [](const string& scale, const string& top = "conv") {
    return string(kLabels) + R"(
      layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {
        num_output: 6 kernel_size: 3 weight_filler { type: 'xavier' } } }
      layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' }
      layer { name: 'scale' type: 'Scale' bottom: 'conv' top: ')" +
           top + "' " + scale + R"( }
      layer { name: 'relu' type: 'ReLU' bottom: ')" +
           top + "' top: '" + top + R"(' }
      layer { name: 'ip' type: 'InnerProduct' bottom: ')" +
           top + R"(' top: 'ip' inner_product_param { num_output: 5 weight_filler { type: 'xavier' } } }
      layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' })";
  };
  const string filler = "filler { type: 'uniform' min: 0.5 max: 2 } ";
  for (const string& scale :
       {"scale_param { " + filler + "bias_term: true bias_filler { type: 'uniform' } }",
        "scale_param { " + filler + "}",
        "param { lr_mult: 0 } param { lr_mult: 1 } scale_param { " + filler + "bias_term: true }",
        "param { lr_mult: 0 } param { lr_mult: 0 } scale_param { " + filler + "bias_term: true }"}) {
    SCOPED_TRACE(scale);
    this->Make(net(scale));
    this->ExpectSamePasses(3);
    // A pass on the other device does not find them joined.
    const Caffe::Brew mode = Caffe::mode();
    Caffe::set_mode(Caffe::CPU);
    this->ExpectSamePasses(2);
    Caffe::set_mode(mode);
    this->ExpectSamePasses(2);
    EXPECT_EQ(IsJoined(this->reusing_->layer_by_name("bn").get()), Caffe::mode() == Caffe::GPU);
    EXPECT_FALSE(IsJoined(this->plain_->layer_by_name("bn").get()));
  }
  // Neither one that is not in place nor one of other axes.
  for (const string& text : {net("scale_param { }", "scaled"), net("scale_param { axis: 1 num_axes: 2 }"),
                             net("scale_param { axis: 0 num_axes: 2 }")}) {
    this->Make(text);
    this->ExpectSamePasses(2);
    EXPECT_FALSE(IsJoined(this->reusing_->layer_by_name("bn").get()));
  }
}

TYPED_TEST(NetMemoryTest, JoinedLayersKeepTheirValuesAsBF16) {
  typedef typename TypeParam::Dtype Dtype;
  if (BF16OfProcessor() == BF16Instructions::kNone) GTEST_SKIP() << "the processor does not multiply BF16";
  const bool is_float = sizeof(Dtype) == sizeof(float);
  for (const int threads : {1, 3}) {
    const ThreadsForTest some(threads);
    this->Make(JoinedLayers());
    const Dtype loss = this->Pass(this->plain_.get(), 7);
    this->Pass(this->reusing_.get(), 7);
    {
      const EnvironmentForTest bf16("CAFFE_BACKWARD", "BF16");
      this->reusing_->set_reuses_memory(false);
      const size_t planned = this->reusing_->PassBytes();
      this->reusing_->set_reuses_memory(true);
      EXPECT_EQ(this->Pass(this->reusing_.get(), 7), loss);
      const int count = this->reusing_->blob_by_name("a")->count();
      EXPECT_EQ(this->reusing_->layer_by_name("bn_a")->KeptBlobs()[0]->count(), is_float ? count / 2 : count);
      const auto taken = static_cast<double>(this->BytesOf(*this->reusing_));
      EXPECT_NEAR(static_cast<double>(planned), taken, taken / 20);
    }
    double difference = 0, size = 0;
    for (size_t i = 0; i < this->plain_->params().size(); ++i) {
      const vector<Dtype> exact = DiffOf(*this->plain_->params()[i]),
                          rounded = DiffOf(*this->reusing_->params()[i]);
      for (size_t j = 0; j < exact.size(); ++j) {
        difference += std::pow(static_cast<double>(rounded[j]) - exact[j], 2);
        size += std::pow(static_cast<double>(exact[j]), 2);
      }
    }
    EXPECT_LT(std::sqrt(difference / size), 1e-2);
    EXPECT_EQ(difference > 0, is_float);
  }
}

TYPED_TEST(NetMemoryTest, LayersAreNotJoinedWhereSomebodyLooksBetweenThem) {
  typedef typename TypeParam::Dtype Dtype;
  this->Make(JoinedLayers());
  CountCalls<Dtype> count;
  this->reusing_->add_after_forward(&count);
  this->ExpectSamePasses(1);
  EXPECT_GT(count.calls, 0);
  EXPECT_FALSE(IsJoined(this->reusing_->layer_by_name("bn_a").get()));

  // Not a part of a pass either, for what it makes may be asked for.
  this->Make(JoinedLayers());
  this->reusing_->ForwardTo(2);
  EXPECT_FALSE(IsJoined(this->reusing_->layer_by_name("bn_a").get()));
  this->reusing_->Forward();
  EXPECT_TRUE(IsJoined(this->reusing_->layer_by_name("bn_a").get()));
}

TYPED_TEST(NetMemoryTest, LayersAreNotJoinedWhereOneHasWaysOfItsOwn) {
  typedef typename TypeParam::Dtype Dtype;
  // Kept statistics; a gradient that is no mask; a subclass; a second reader.
  for (const string& text :
       {JoinedLayers("BatchNorm", "use_global_stats: true"),
        JoinedLayers("BatchNorm", "", "centers: 0.8 clip_thr: 0.8 backward_func: 'log_tailed_relu'"),
        JoinedLayers("OwnBatchNorm"),
        JoinedLayers() +
            "layer { name: 'other' type: 'Reduction' bottom: 'a' top: 'other' loss_weight: 1 }"}) {
    SCOPED_TRACE(text);
    this->Make(text);
    this->ExpectSamePasses(2);
    const auto layer = this->reusing_->layer_by_name("bn_a");
    if (auto* own = dynamic_cast<OwnBatchNormLayer<Dtype>*>(layer.get())) {
      EXPECT_EQ(own->passes, 2);
    } else {
      EXPECT_FALSE(IsJoined(layer.get()));
    }
  }
}

TYPED_TEST(NetMemoryTest, TellsWhatAPassTakes) {
  for (const Phase phase : {TRAIN, TEST}) {
    for (const string& text : {string(kLabels) + kLayers, JoinedLayers()}) {
      SCOPED_TRACE(Phase_Name(phase) + text);
      this->Make(text, phase);
      this->reusing_->set_reuses_memory(false);
      const size_t before = this->BytesOf(*this->reusing_);
      const size_t planned = this->reusing_->PassBytes();
      // Addresses are all that it takes.
      EXPECT_LT(this->BytesOf(*this->reusing_) - this->reusing_->pool().bytes(), before + planned / 100);
      this->reusing_->set_reuses_memory(true);
      EXPECT_TRUE(Contains(ErrorOf([&] { this->reusing_->PassBytes(); }), "reuses memory already"));
      if (phase == TRAIN) {
        this->ExpectSamePasses(2);
      } else {
        this->reusing_->Forward();
      }
      const auto taken = static_cast<double>(this->BytesOf(*this->reusing_));
      // On a GPU pieces of memory stay whole, and a plan does not see the ones that layers let go of which
      // share their bottom's.
      EXPECT_NEAR(static_cast<double>(planned), taken, taken / (Caffe::mode() == Caffe::CPU ? 20 : 4));
    }
  }
}

}  // namespace caffe
