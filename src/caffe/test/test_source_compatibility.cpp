// Code as others have written it for Caffe: its idioms, its libraries' names, its way to subclass.
#include <gflags/gflags.h>
#include <glog/logging.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <boost/algorithm/string.hpp>
#include <boost/scoped_ptr.hpp>
#include <boost/shared_ptr.hpp>
#include <boost/thread.hpp>

#include <string>
#include <vector>

#include "caffe/caffe.hpp"
#include "caffe/layers/base_conv_layer.hpp"
#include "caffe/layers/base_data_layer.hpp"
#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/parallel.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "caffe/util/math_functions.hpp"
#ifdef USE_CUDNN
#include "caffe/layers/cudnn_relu_layer.hpp"
#endif

// Such code compares int with size_t, leaves parameters unused and says TYPED_TEST_CASE.
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

using boost::scoped_ptr;

namespace caffe {

// A layer of one formula, with the GPU's half stubbed out.
template <typename Dtype>
class TripleLayer : public NeuronLayer<Dtype> {
 public:
  explicit TripleLayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}
  virtual inline const char* type() const { return "Triple"; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    caffe_copy(bottom[0]->count(), bottom[0]->cpu_data(), top[0]->mutable_cpu_data());
    caffe_scal(top[0]->count(), Dtype(3), top[0]->mutable_cpu_data());
  }
  virtual void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom) {
    if (propagate_down[0]) {
      caffe_cpu_axpby(top[0]->count(), Dtype(3), top[0]->cpu_diff(), Dtype(0), bottom[0]->mutable_cpu_diff());
    }
  }
  virtual void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom);
};

#ifdef USE_NCCL
// A solver's thread, with the barrier that Caffe's have. To be compiled.
[[maybe_unused]] void TrainWithBarrier(const shared_ptr<Solver<float> >& solver) {
  boost::barrier barrier(1);
  NCCL<float> nccl(solver);
  nccl.set_barrier(&barrier);
  solver->add_callback(&nccl);
  if (solver->param().layer_wise_reduce()) solver->net()->add_after_backward(&nccl);
  vector<NCCL<float>*> nccls(1, &nccl);
  NCCL<float>::InitSingleProcess(&nccls);
  nccl.Broadcast();
  solver->Step(solver->param().max_iter() - solver->iter());
  nccl.barrier()->wait();
  nccl.Run(vector<int>(1, 0), NULL);
}
#endif

#ifdef CPU_ONLY
STUB_GPU(TripleLayer);
#else
// In place of a .cu file's.
template <typename Dtype>
void TripleLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  Forward_cpu(bottom, top);
}
template <typename Dtype>
void TripleLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  Backward_cpu(top, propagate_down, bottom);
}
#endif

INSTANTIATE_CLASS(TripleLayer);
REGISTER_LAYER_CLASS(Triple);

// A loss with both bottoms learned, and memory of its own.
template <typename Dtype>
class HalfSquareLossLayer : public LossLayer<Dtype> {
 public:
  explicit HalfSquareLossLayer(const LayerParameter& param) : LossLayer<Dtype>(param), difference_() {}
  virtual void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    LossLayer<Dtype>::Reshape(bottom, top);
    CHECK_EQ(bottom[0]->count(1), bottom[1]->count(1)) << "bottoms must have the same dimension";
    difference_.ReshapeLike(*bottom[0]);
  }
  virtual inline const char* type() const { return "HalfSquareLoss"; }
  virtual inline bool AllowForceBackward(const int bottom_index) const { return true; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    const int count = bottom[0]->count();
    caffe_sub(count, bottom[0]->cpu_data(), bottom[1]->cpu_data(), difference_.mutable_cpu_data());
    const Dtype squares = caffe_cpu_dot(count, difference_.cpu_data(), difference_.cpu_data());
    top[0]->mutable_cpu_data()[0] = squares / bottom[0]->num() / Dtype(2);
  }
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom) {
    for (int i = 0; i < bottom.size(); ++i) {
      if (!propagate_down[i]) continue;
      const Dtype factor = (i == 0 ? 1 : -1) * top[0]->cpu_diff()[0] / bottom[i]->num();
      caffe_cpu_axpby(bottom[i]->count(), factor, difference_.cpu_data(), Dtype(0),
                      bottom[i]->mutable_cpu_diff());
    }
  }
  Blob<Dtype> difference_;
};

// A convolution on BaseConvolutionLayer's products and sizes.
template <typename Dtype>
class OwnConvolutionLayer : public BaseConvolutionLayer<Dtype> {
 public:
  explicit OwnConvolutionLayer(const LayerParameter& param) : BaseConvolutionLayer<Dtype>(param) {}
  virtual inline const char* type() const { return "OwnConvolution"; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    const Dtype* weight = this->blobs_[0]->cpu_data();
    for (int i = 0; i < bottom.size(); ++i) {
      for (int n = 0; n < this->num_; ++n) {
        Dtype* output = top[i]->mutable_cpu_data() + n * this->top_dim_;
        this->forward_cpu_gemm(bottom[i]->cpu_data() + n * this->bottom_dim_, weight, output);
        if (this->bias_term_) this->forward_cpu_bias(output, this->blobs_[1]->cpu_data());
      }
    }
  }
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom) {
    for (int i = 0; i < top.size(); ++i) {
      for (int n = 0; n < this->num_; ++n) {
        const Dtype* top_diff = top[i]->cpu_diff() + n * this->top_dim_;
        const int offset = n * this->bottom_dim_;
        if (this->bias_term_ && this->param_propagate_down_[1]) {
          this->backward_cpu_bias(this->blobs_[1]->mutable_cpu_diff(), top_diff);
        }
        if (this->param_propagate_down_[0]) {
          this->weight_cpu_gemm(bottom[i]->cpu_data() + offset, top_diff,
                                this->blobs_[0]->mutable_cpu_diff());
        }
        if (propagate_down[i]) {
          this->backward_cpu_gemm(top_diff, this->blobs_[0]->cpu_data(),
                                  bottom[i]->mutable_cpu_diff() + offset);
        }
      }
    }
  }
  virtual void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    NOT_IMPLEMENTED;
  }
  virtual inline bool reverse_dimensions() { return false; }
  virtual void compute_output_shape() {
    this->output_shape_.clear();
    for (int i = 0; i < this->num_spatial_axes_; ++i) {
      const int extent = this->dilation_.cpu_data()[i] * (this->kernel_shape_.cpu_data()[i] - 1) + 1;
      const int room = this->input_shape(i + 1) + 2 * this->pad_.cpu_data()[i] - extent;
      this->output_shape_.push_back(room / this->stride_.cpu_data()[i] + 1);
    }
  }
};

template <typename Dtype>
shared_ptr<Layer<Dtype> > MakeOwnConvolution(const LayerParameter& param) {
  return shared_ptr<Layer<Dtype> >(new OwnConvolutionLayer<Dtype>(param));
}
REGISTER_LAYER_CREATOR(OwnConvolution, MakeOwnConvolution);

// A data layer whose thread counts.
template <typename Dtype>
class CountingDataLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  explicit CountingDataLayer(const LayerParameter& param) : BasePrefetchingDataLayer<Dtype>(param) {}
  virtual ~CountingDataLayer() { this->StopInternalThread(); }
  virtual void DataLayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    const vector<int> shape(1, 2);
    top[0]->Reshape(shape);
    for (int i = 0; i < this->prefetch_.size(); ++i) this->prefetch_[i]->data_.Reshape(shape);
  }
  virtual inline const char* type() const { return "CountingData"; }
  virtual inline int ExactNumBottomBlobs() const { return 0; }
  virtual inline int ExactNumTopBlobs() const { return 1; }

 protected:
  virtual void load_batch(Batch<Dtype>* batch) {
    Dtype* data = batch->data_.mutable_cpu_data();
    for (int i = 0; i < batch->data_.count(); ++i) data[i] = count_++;
  }
  int count_ = 0;
};

// A solver with a rule of its own: steps of one size, in the gradient's direction.
template <typename Dtype>
class SignSolver : public SGDSolver<Dtype> {
 public:
  explicit SignSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  explicit SignSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {}
  virtual inline const char* type() const { return "Sign"; }

 protected:
  virtual void ComputeUpdateValue(int param_id, Dtype rate) {
    Blob<Dtype>* param = this->net_->learnable_params()[param_id];
    const Dtype local_rate = rate * this->net_->params_lr()[param_id];
    caffe_cpu_sign(param->count(), param->cpu_diff(), this->update_[param_id]->mutable_cpu_data());
    caffe_cpu_scale(param->count(), local_rate, this->update_[param_id]->cpu_data(),
                    param->mutable_cpu_diff());
  }
  DISABLE_COPY_AND_ASSIGN(SignSolver);
};

INSTANTIATE_CLASS(SignSolver);
REGISTER_SOLVER_CLASS(Sign);

template <typename TypeParam>
class SourceCompatibilityTest : public MultiDeviceTest<TypeParam> {
  typedef typename TypeParam::Dtype Dtype;

 protected:
  SourceCompatibilityTest()
      : blob_bottom_(new Blob<Dtype>(2, 3, 4, 5)),
        blob_target_(new Blob<Dtype>(2, 3, 4, 5)),
        blob_top_(new Blob<Dtype>()) {
    FillerParameter filler_param;
    scoped_ptr<Filler<Dtype> > filler(GetFiller<Dtype>(filler_param));
    GaussianFiller<Dtype> gaussian(filler_param);
    gaussian.Fill(blob_bottom_);
    filler->Fill(blob_target_);
    blob_bottom_vec_.push_back(blob_bottom_);
    blob_top_vec_.push_back(blob_top_);
  }
  virtual ~SourceCompatibilityTest() {
    delete blob_bottom_;
    delete blob_target_;
    delete blob_top_;
  }
  Blob<Dtype>* const blob_bottom_;
  Blob<Dtype>* const blob_target_;
  Blob<Dtype>* const blob_top_;
  vector<Blob<Dtype>*> blob_bottom_vec_;
  vector<Blob<Dtype>*> blob_top_vec_;
};

TYPED_TEST_CASE(SourceCompatibilityTest, TestDtypesAndDevices);

TYPED_TEST(SourceCompatibilityTest, OwnLayersHaveTheirGradients) {
  typedef typename TypeParam::Dtype Dtype;
  LayerParameter layer_param;
  GradientChecker<Dtype> checker(1e-2, 1e-2);
  TripleLayer<Dtype> triple(layer_param);
  checker.CheckGradientEltwise(&triple, this->blob_bottom_vec_, this->blob_top_vec_);
  if (Caffe::mode() == Caffe::GPU) return;  // the next has no half for it

  ConvolutionParameter* convolution_param = layer_param.mutable_convolution_param();
  convolution_param->set_num_output(2);
  convolution_param->add_kernel_size(2);
  convolution_param->mutable_weight_filler()->set_type("xavier");
  layer_param.set_type("OwnConvolution");
  shared_ptr<Layer<Dtype> > convolution = LayerRegistry<Dtype>::CreateLayer(layer_param);
  checker.CheckGradientExhaustive(convolution.get(), this->blob_bottom_vec_, this->blob_top_vec_);

  this->blob_bottom_vec_.push_back(this->blob_target_);
  HalfSquareLossLayer<Dtype> loss(layer_param);
  checker.CheckGradientExhaustive(&loss, this->blob_bottom_vec_, this->blob_top_vec_);
}

TYPED_TEST(SourceCompatibilityTest, OwnDataLayerPrefetches) {
  typedef typename TypeParam::Dtype Dtype;
  CountingDataLayer<Dtype> layer((LayerParameter()));
  const vector<Blob<Dtype>*> none;
  layer.SetUp(none, this->blob_top_vec_);
  for (int i = 0; i < 20; ++i) {
    layer.Forward(none, this->blob_top_vec_);
    EXPECT_EQ(this->blob_top_->cpu_data()[0], 2 * i);
    EXPECT_EQ(this->blob_top_->cpu_data()[1], 2 * i + 1);
  }
}

TYPED_TEST(SourceCompatibilityTest, OwnSolverTrainsANetOfOwnLayers) {
  typedef typename TypeParam::Dtype Dtype;
  SolverParameter param;
  CHECK(google::protobuf::TextFormat::ParseFromString(
      "type: 'Sign' base_lr: 0.5 lr_policy: 'fixed' max_iter: 3 snapshot_after_train: false "
      "net_param { layer { name: 'data' type: 'DummyData' top: 'data' top: 'target' "
      "  dummy_data_param { shape { dim: 1 dim: 1 } data_filler { value: 1 } data_filler { value: 9 } } } "
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' "
      "  inner_product_param { num_output: 1 bias_term: false } } "
      "layer { name: 'triple' type: 'Triple' bottom: 'ip' top: 'triple' } "
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'triple' bottom: 'target' top: 'loss' } }",
      &param));
  switch (Caffe::mode()) {
    case Caffe::CPU:
      param.set_solver_mode(SolverParameter_SolverMode_CPU);
      break;
    case Caffe::GPU:
      param.set_solver_mode(SolverParameter_SolverMode_GPU);
      break;
    default:
      LOG(FATAL) << "Unknown Caffe mode: " << Caffe::mode();
  }
  boost::shared_ptr<Solver<Dtype> > solver(SolverRegistry<Dtype>::CreateSolver(param));
  solver->Solve();
  const boost::shared_ptr<Net<Dtype> > net = solver->net();
  const boost::shared_ptr<Blob<Dtype> > weight = net->layer_by_name("ip")->blobs()[0];
  EXPECT_EQ(weight->cpu_data()[0], Dtype(1.5)) << "three steps of 0.5";
}

TYPED_TEST(SourceCompatibilityTest, RegistriesAreMaps) {
  typedef typename TypeParam::Dtype Dtype;
  typename LayerRegistry<Dtype>::CreatorRegistry& registry = LayerRegistry<Dtype>::Registry();
  for (typename LayerRegistry<Dtype>::CreatorRegistry::iterator iter = registry.begin();
       iter != registry.end(); ++iter) {
    // A Python layer is made from a module's class, a data layer from a database.
    if (iter->first == "Python" || iter->first == "Data") continue;
    LayerParameter layer_param;
    layer_param.set_type(iter->first);
    const shared_ptr<Layer<Dtype> > layer = registry[iter->first](layer_param);
    EXPECT_EQ(iter->first, layer->type());
  }
  typename SolverRegistry<Dtype>::CreatorRegistry& solvers = SolverRegistry<Dtype>::Registry();
  EXPECT_EQ(solvers.count("Sign"), 1);
}

TYPED_TEST(SourceCompatibilityTest, GradientsOfAWholeNet) {
  typedef typename TypeParam::Dtype Dtype;
  NetParameter param;
  CHECK(google::protobuf::TextFormat::ParseFromString(
      "force_backward: true layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 } } "
      "} "
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip' "
      "  inner_product_param { num_output: 2 weight_filler { type: 'xavier' } } } "
      "layer { name: 'tanh' type: 'TanH' bottom: 'ip' top: 'y' }",
      &param));
  Net<Dtype> net(param);
  caffe_set(net.input_blobs()[0]->count(), Dtype(0.5), net.input_blobs()[0]->mutable_cpu_data());
  GradientChecker<Dtype> checker(1e-2, 1e-2);
  checker.CheckGradientNet(net, net.input_blobs());
}

DEFINE_CAFFE_CPU_UNARY_FUNC(cube, y[i] = x[i] * x[i] * x[i])
DEFINE_VSL_UNARY_FUNC(Quarter, y[i] = a[i] / 4)
DEFINE_VSL_UNARY_FUNC_WITH_PARAM(Shift, y[i] = a[i] + b)
DEFINE_VSL_BINARY_FUNC(Mean, y[i] = (a[i] + b[i]) / 2)

TEST(VectorFunctionsTest, SetWhatTheirNamesSay) {
  const std::vector<double> a = {1, 4}, b = {2, 0.5};
  std::vector<double> y(2);
  const auto after = [&y](const auto& function) {
    function();
    return y;
  };
  typedef std::vector<double> V;
  EXPECT_EQ(after([&] { vdSqr(2, a.data(), y.data()); }), (V{1, 16}));
  EXPECT_EQ(after([&] { vdSqrt(2, a.data(), y.data()); }), (V{1, 2}));
  EXPECT_EQ(after([&] { vdExp(2, a.data(), y.data()); }), (V{std::exp(1.), std::exp(4.)}));
  EXPECT_EQ(after([&] { vdLn(2, a.data(), y.data()); }), (V{0, std::log(4.)}));
  EXPECT_EQ(after([&] { vdPowx(2, a.data(), 2, y.data()); }), (V{1, 16}));
  EXPECT_EQ(after([&] { vdAdd(2, a.data(), b.data(), y.data()); }), (V{3, 4.5}));
  EXPECT_EQ(after([&] { vdSub(2, a.data(), b.data(), y.data()); }), (V{-1, 3.5}));
  EXPECT_EQ(after([&] { vdMul(2, a.data(), b.data(), y.data()); }), (V{2, 2}));
  EXPECT_EQ(after([&] { vdDiv(2, a.data(), b.data(), y.data()); }), (V{0.5, 8}));
  EXPECT_EQ(after([&] { vdAbs(2, y.data(), y.data()); }), (V{0.5, 8}));
  EXPECT_EQ(after([&] { vdQuarter(2, a.data(), y.data()); }), (V{0.25, 1}));
  EXPECT_EQ(after([&] { vdShift(2, a.data(), -1, y.data()); }), (V{0, 3}));
  EXPECT_EQ(after([&] { vdMean(2, a.data(), b.data(), y.data()); }), (V{1.5, 2.25}));
  EXPECT_EQ(after([&] { caffe_cpu_cube<double>(2, a.data(), y.data()); }), (V{1, 64}));
  EXPECT_THROW(vdExp(0, a.data(), y.data()), Error);
  float single = -2;
  vsAbs(1, &single, &single);
  EXPECT_EQ(single, 2);
}

TEST(LibraryNamesTest, BoostsThreadsAndStringsWork) {
  boost::mutex mutex;
  boost::barrier barrier(3);
  int sum = 0;
  boost::thread_group threads;
  for (int i = 0; i < 2; ++i) {
    threads.create_thread([&] {
      boost::mutex::scoped_lock lock(mutex);
      ++sum;
      lock.unlock();
      barrier.wait();
    });
  }
  barrier.wait();
  threads.join_all();
  EXPECT_EQ(sum, 2);

  std::vector<std::string> words;
  boost::split(words, "a,,b", boost::is_any_of(","));
  EXPECT_EQ(words, (std::vector<std::string>{"a", "", "b"}));
  boost::split(words, "a,,b", boost::is_any_of(","), boost::token_compress_on);
  EXPECT_EQ(words, (std::vector<std::string>{"a", "b"}));
  std::string text = "  Text ";
  boost::trim(text);
  boost::to_lower(text);
  EXPECT_EQ(text, "text");
}

// Its constant is declared, and defined nowhere.
struct Limits {
  static const int kMost = 3;
};

TEST(LibraryNamesTest, GlogsChecksHold) {
  CHECK_LE(2, Limits::kMost);
  CHECK_STRNE("a", "b");
  CHECK_STRCASEEQ("Same", "sAME");
  CHECK_DOUBLE_EQ(1.0, 1.0);
  DCHECK_GT(2, 1) << "in a debug build";
  EXPECT_THROW(CHECK_STRCASENE("Same", "sAME"), Error);
  EXPECT_THROW(PCHECK(false), Error);
  EXPECT_THROW(LOG_IF(FATAL, true) << "the end", Error);
  LOG_IF_EVERY_N(INFO, false, 2) << "never";
}

}  // namespace caffe
