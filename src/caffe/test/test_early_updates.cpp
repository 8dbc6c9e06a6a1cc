// Updates in the midst of Backward, of gradients that are not kept, held against those after it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/inner_product_layer.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "layer_test_util.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace {

// Fails backward when it is told to.
template <typename Dtype>
class FragileLayer : public Layer<Dtype> {
 public:
  explicit FragileLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    top[0]->ReshapeLike(*bottom[0]);
  }
  const char* type() const override { return "Fragile"; }
  static inline bool fails = false;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    top[0]->CopyFrom(*bottom[0]);
  }
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                    const vector<Blob<Dtype>*>& bottom) override {
    CHECK(!fails) << "it broke";
    bottom[0]->CopyFrom(*top[0], true);
  }
};

REGISTER_LAYER_CLASS(Fragile);

// Add to the diff in their own way.
template <typename Dtype>
class DoublingConvolutionLayer : public ConvolutionLayer<Dtype> {
 public:
  using ConvolutionLayer<Dtype>::ConvolutionLayer;
  const char* type() const override { return "DoublingConvolution"; }

 protected:
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    ConvolutionLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
    this->blobs_[0]->scale_diff(2);
  }
};

REGISTER_LAYER_CLASS(DoublingConvolution);

template <typename Dtype>
class OwnInnerProductLayer : public InnerProductLayer<Dtype> {
 public:
  using InnerProductLayer<Dtype>::InnerProductLayer;
  const char* type() const override { return "OwnInnerProduct"; }

 protected:
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    InnerProductLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
    this->blobs_[0]->scale_diff(2);
  }
};

REGISTER_LAYER_CLASS(OwnInnerProduct);

// Weights that are given: of convolutions, of 'wide', whose gradient has several parts, 'binary' and 'last'.
// Not those that two layers share, are stored the other way round, are not learned, or of another layer.
constexpr const char* kNet = R"(
  layer { name: 'data' type: 'DummyData' top: 'data' top: 'label' dummy_data_param {
    shape { dim: 5 dim: 2 dim: 6 dim: 6 } shape { dim: 5 }
    data_filler { type: 'gaussian' } data_filler { type: 'constant' value: 1 } } }
  layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' param { lr_mult: 1 } param { lr_mult: 2 }
    convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: 'xavier' } } }
  layer { name: 'bn0' type: 'BatchNorm' bottom: 'conv' top: 'conv' }
  layer { name: 'quant0' type: 'Quant' bottom: 'conv' top: 'quant0' quant_param { centers: 0.538 centers: 1.076
    centers: 1.614 clip_thr: 1.614 } }
  layer { name: 'bits' type: 'BinaryConvolution' bottom: 'quant0' top: 'bits' convolution_param { num_output: 5
    kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } binary_convolution_param { use_alpha: true } }
  layer { name: 'deconv' type: 'Deconvolution' bottom: 'bits' top: 'deconv' convolution_param { num_output: 3
    kernel_size: 2 weight_filler { type: 'xavier' } } }
  layer { name: 'own conv' type: 'DoublingConvolution' bottom: 'deconv' top: 'own conv' convolution_param {
    num_output: 4 kernel_size: 2 weight_filler { type: 'xavier' } } }
  layer { name: 'fragile' type: 'Fragile' bottom: 'own conv' top: 'fragile' }
  layer { name: 'wide' type: 'InnerProduct' bottom: 'fragile' top: 'wide'
    inner_product_param { num_output: 20000 weight_filler { type: 'xavier' } } }
  layer { name: 'bn' type: 'BatchNorm' bottom: 'wide' top: 'wide' }
  layer { name: 'quant' type: 'Quant' bottom: 'wide' top: 'quant' quant_param { centers: 0.538 centers: 1.076
    centers: 1.614 clip_thr: 1.614 } }
  layer { name: 'binary' type: 'BinaryInnerProduct' bottom: 'quant' top: 'binary' param { decay_mult: 0 }
    inner_product_param { num_output: 7 weight_filler { type: 'xavier' } }
    binary_inner_product_param { use_alpha: true } }
  layer { name: 'bn2' type: 'BatchNorm' bottom: 'binary' top: 'binary' }
  layer { name: 'one' type: 'InnerProduct' bottom: 'binary' top: 'one' param { name: 'shared' } param { }
    inner_product_param { num_output: 7 weight_filler { type: 'xavier' } } }
  layer { name: 'two' type: 'InnerProduct' bottom: 'one' top: 'two' param { name: 'shared' } param { }
    inner_product_param { num_output: 7 weight_filler { type: 'xavier' } } }
  layer { name: 'turned' type: 'InnerProduct' bottom: 'two' top: 'turned' inner_product_param { num_output: 6
    transpose: true weight_filler { type: 'xavier' } } }
  layer { name: 'fixed' type: 'InnerProduct' bottom: 'turned' top: 'fixed' param { lr_mult: 0 }
    inner_product_param { num_output: 5 weight_filler { type: 'xavier' } } }
  layer { name: 'own' type: 'OwnInnerProduct' bottom: 'fixed' top: 'own'
    inner_product_param { num_output: 5 weight_filler { type: 'xavier' } } }
  layer { name: 'last' type: 'InnerProduct' bottom: 'own' top: 'last' param { lr_mult: 3 }
    inner_product_param { num_output: 4 weight_filler { type: 'xavier' } } }
  layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'last' bottom: 'label' top: 'loss' })";

template <typename Dtype>
class EarlyUpdatesTest : public ::testing::Test {
 protected:
  using NetType = Net<Dtype>;

  // Solvers that reuse memory, and so update early, or do not.
  std::unique_ptr<SGDSolver<Dtype>> Make(const string& settings, bool reuses_memory) {
    auto solver = MakeSolver<Dtype>(FromText<SolverParameter>(
        "base_lr: 0.05 lr_policy: 'step' stepsize: 2 gamma: 0.5 weight_decay: 0.01 random_seed: 3 "
        "snapshot_after_train: false " +
        settings + " net_param { " + kNet + " }"));
    solver->net()->set_reuses_memory(reuses_memory);
    return solver;
  }

  // Images are drawn.
  static void Step(SGDSolver<Dtype>* solver) {
    Caffe::set_random_seed(100 + solver->iter());
    solver->Step(1);
  }

  static Blob<Dtype>& Weights(SGDSolver<Dtype>* solver, const string& layer) {
    return *solver->net()->layer_by_name(layer)->blobs()[0];
  }

  // A gradient that was given has never had memory.
  static std::map<string, bool> KeptGradients(SGDSolver<Dtype>* solver) {
    std::map<string, bool> are_kept;
    for (const char* layer :
         {"conv", "bits", "deconv", "own conv", "wide", "binary", "one", "turned", "own", "last"}) {
      are_kept[layer] = Weights(solver, layer).diff()->head() != SyncedMemory::UNINITIALIZED;
    }
    return are_kept;
  }

  // On several threads a library may add up parts of a product in another order than the whole.
  static void ExpectSame(SGDSolver<Dtype>* solver, SGDSolver<Dtype>* expected, bool to_the_bit = true) {
    const auto compare = [&](const vector<Dtype>& values, const vector<Dtype>& others) {
      ASSERT_EQ(values.size(), others.size());
      Dtype difference = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        difference = std::max(difference, std::fabs(values[i] - others[i]));
      }
      ASSERT_LE(difference, to_the_bit ? 0 : 1e-6);
    };
    const auto &params = solver->net()->params(), &others = expected->net()->params();
    ASSERT_EQ(params.size(), others.size());
    for (size_t i = 0; i < params.size(); ++i) {
      SCOPED_TRACE("parameter " + std::to_string(i));
      compare(DataOf(*params[i]), DataOf(*others[i]));
    }
    for (size_t i = 0; i < solver->history().size(); ++i) {
      SCOPED_TRACE("history " + std::to_string(i));
      compare(DataOf(*solver->history()[i]), DataOf(*expected->history()[i]));
    }
  }

  LogCapture log_;
  TempFolder folder_;
};

TYPED_TEST_SUITE(EarlyUpdatesTest, TestDtypes);

}  // namespace

TYPED_TEST(EarlyUpdatesTest, AreTheSameOfEverySolver) {
  for (const string type :
       {"SGD' momentum: 0.9", "Nesterov' momentum: 0.9", "AdaGrad'", "RMSProp' rms_decay: 0.9",
        "AdaDelta' momentum: 0.9", "Adam' momentum: 0.9", "SGD' momentum: 0.9 regularization_type: 'L1"}) {
    // Rules that divide by the gradient's size, or go by a weight's sign, make much of how a small one is
    // rounded.
    const bool magnifies =
        type.find("momentum: 0.9") == string::npos || type[0] == 'A' || type.find("L1") != string::npos;
    for (const int threads : magnifies ? vector<int>{1} : vector<int>{1, 3}) {
      SCOPED_TRACE(type + ", threads: " + std::to_string(threads));
      const ThreadsForTest some(threads);
      const string settings = "type: '" + type + (type.back() == '1' ? "'" : "");
      const auto early = this->Make(settings, true), late = this->Make(settings, false);
      for (int i = 0; i < 3; ++i) {
        this->Step(early.get());
        this->Step(late.get());
        this->ExpectSame(early.get(), late.get(), threads == 1);
        if (this->HasFatalFailure()) return;
      }
      const std::map<string, bool> expected = {
          {"conv", false}, {"bits", false}, {"deconv", false}, {"wide", false}, {"binary", false},
          {"last", false}, {"one", true},   {"turned", true},  {"own", true},   {"own conv", true}};
      EXPECT_EQ(this->KeptGradients(early.get()), expected);
    }
  }
}

// All gradients at once, or the loss, are looked at before an update.
TYPED_TEST(EarlyUpdatesTest, WaitWhereTheyHaveTo) {
  struct Callback : Solver<TypeParam>::Callback {
    void on_start() override {}
    void on_gradients_ready() override {}
  } callback;
  struct NetCallback : Net<TypeParam>::Callback {
    void run(int) override {}
  } net_callback;
  for (const string settings :
       {"clip_gradients: 0.1", "iter_size: 2", "stop_on_nan: true", "check_numerics: true",
        "debug_info: true display: 1", "snapshot_diff: true", "callback", "net callback"}) {
    SCOPED_TRACE(settings);
    const bool is_field = settings.find(':') != string::npos;
    const auto early = this->Make(is_field ? settings : "", true),
               late = this->Make(is_field ? settings : "", false);
    if (settings == "callback") early->add_callback(&callback);
    if (settings == "net callback") early->net()->add_after_backward(&net_callback);
    for (int i = 0; i < 2; ++i) {
      this->Step(early.get());
      this->Step(late.get());
    }
    this->ExpectSame(early.get(), late.get());
    for (const auto& [layer, is_kept] : this->KeptGradients(early.get())) EXPECT_TRUE(is_kept) << layer;
  }
}

TYPED_TEST(EarlyUpdatesTest, AreMadeInStepAlone) {
  const auto solver = this->Make("", true);
  solver->Step(1);
  const vector<TypeParam> before = DataOf(this->Weights(solver.get(), "last"));
  solver->net()->ClearParamDiffs();
  solver->net()->ForwardBackward();
  EXPECT_EQ(DataOf(this->Weights(solver.get(), "last")), before);
  EXPECT_NE(this->Weights(solver.get(), "last").asum_diff(), 0);
}

TYPED_TEST(EarlyUpdatesTest, GiveEachPartOfAGradientOnce) {
  const auto solver = this->Make("", true), other = this->Make("", false);
  const auto given = solver->net(), kept = other->net();
  std::map<int, vector<TypeParam>> gradients;
  std::map<int, int> parts;
  const auto& params = given->learnable_params();
  const auto of_wide = std::find(params.begin(), params.end(), &this->Weights(solver.get(), "wide"));
  const int wide = static_cast<int>(of_wide - params.begin());
  given->GiveGradients([&](int param_id, int64_t begin, int64_t count, TypeParam* gradient) {
    vector<TypeParam>& whole = gradients[param_id];
    ASSERT_EQ(static_cast<int64_t>(whole.size()), begin);
    whole.insert(whole.end(), gradient, gradient + count);
    std::fill_n(gradient, count, std::nanf(""));
    ++parts[param_id];
  });
  for (const auto& net : {given, kept}) {
    Caffe::set_random_seed(5);
    net->ClearParamDiffs();
    net->ForwardBackward();
  }
  EXPECT_EQ(gradients.size(), 6u);
  EXPECT_GT(parts[wide], 1);
  for (size_t id = 0; id < kept->learnable_params().size(); ++id) {
    ASSERT_EQ(given->gives_gradient(id), gradients.count(id) == 1) << id;
    EXPECT_EQ(given->gives_gradient(id) ? gradients[id] : DiffOf(*given->learnable_params()[id]),
              DiffOf(*kept->learnable_params()[id]))
        << id;
  }
  given->GiveGradients(nullptr);
  EXPECT_FALSE(given->gives_gradient(wide));
}

TYPED_TEST(EarlyUpdatesTest, AHalfUpdatedStateIsNotSaved) {
  const string prefix = "snapshot: 2 snapshot_prefix: '" + this->folder_ / "s" + "' momentum: 0.9 ";
  const auto solver = this->Make(prefix, true);
  solver->Step(3);
  const std::set<string> files = this->folder_.Files();
  FragileLayer<TypeParam>::fails = true;
  EXPECT_TRUE(Contains(ErrorOf([&] { solver->Step(1); }), "it broke"));
  FragileLayer<TypeParam>::fails = false;
  EXPECT_EQ(this->folder_.Files(), files);
  EXPECT_TRUE(
      this->log_.Has("Backward failed when some of the updates of iteration 3 were made: the state cannot be "
                     "saved, go on from the last snapshot"));
  EXPECT_TRUE(Contains(ErrorOf([&] { solver->Step(1); }), "restore a snapshot first"));
  solver->Restore((this->folder_ / "s_iter_2.solverstate").c_str());
  EXPECT_EQ(solver->iter(), 2);
  solver->Step(3);
  EXPECT_EQ(solver->iter(), 5);
}

}  // namespace caffe
