#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/caffe.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/parallel_for.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace {

constexpr int kBatch = 4;
constexpr int kNumWeights = 6;
constexpr int kNumParams = 8;

const vector<string>& SolverTypes() {
  static const vector<string> types = {"SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"};
  return types;
}

string TypeText(const string& type) {
  if (type == "SGD" || type == "Nesterov") return "type: '" + type + "' momentum: 0.9 base_lr: 0.05 ";
  if (type == "AdaGrad") return "type: 'AdaGrad' delta: 1e-3 base_lr: 0.05 ";
  if (type == "RMSProp") return "type: 'RMSProp' rms_decay: 0.8 delta: 1e-3 base_lr: 0.05 ";
  if (type == "AdaDelta") return "type: 'AdaDelta' momentum: 0.9 delta: 1e-3 base_lr: 0.7 ";
  return "type: 'Adam' momentum: 0.8 momentum2: 0.95 delta: 1e-3 base_lr: 0.05 ";
}

SolverParameter RegressionSolver(const string& text, int batch = kBatch) {
  SolverParameter param =
      FromText<SolverParameter>("lr_policy: 'fixed' random_seed: 5 snapshot_after_train: false net_param { " +
                                RegressionNet(batch) + " }");
  param.MergeFrom(FromText<SolverParameter>(text));
  return param;
}

/// The regression trained by formulas written out one number at a time. 6 weights, then 2 biases.
class PlainRegression {
 public:
  PlainRegression(const SolverParameter& param, const vector<double>& start)
      : param_(param), w_(start), first_(kNumParams, 0.0), second_(kNumParams, 0.0) {}

  const vector<double>& weights() const { return w_; }

  void Step(int iteration) {
    vector<double> gradient(kNumParams, 0.0);
    for (int pass = 0; pass < param_.iter_size(); ++pass) {
      for (int n = 0; n < kBatch; ++n)
        AddGradient((iteration * param_.iter_size() + pass) * kBatch + n, &gradient);
    }
    if (param_.clip_gradients() > 0) {
      double squares = 0;
      for (double g : gradient) squares += g * g;
      const double too_long = std::sqrt(squares) / param_.clip_gradients();
      if (too_long > 1) {
        for (double& g : gradient) g /= too_long;
      }
    }
    for (int i = 0; i < kNumParams; ++i) {
      const bool is_bias = i >= kNumWeights;
      double g = gradient[i] / param_.iter_size();
      const double decay = is_bias ? 0 : param_.weight_decay();
      if (param_.regularization_type() == "L1") {
        if (w_[i] > 0) g += decay;
        if (w_[i] < 0) g -= decay;
      } else {
        g += decay * w_[i];
      }
      w_[i] -= UpdateOf(g, param_.base_lr() * (is_bias ? 2 : 1), iteration + 1, &first_[i], &second_[i]);
    }
  }

 private:
  // Of half the squared error, averaged over the batch.
  void AddGradient(int item, vector<double>* gradient) const {
    for (int j = 0; j < 2; ++j) {
      double output = w_[kNumWeights + j];
      for (int k = 0; k < 3; ++k) output += w_[3 * j + k] * RegressionValue(item, k);
      const double error = (output - RegressionValue(item, 3 + j)) / kBatch;
      for (int k = 0; k < 3; ++k) (*gradient)[3 * j + k] += error * RegressionValue(item, k);
      (*gradient)[kNumWeights + j] += error;
    }
  }

  double UpdateOf(double g, double lr, int t, double* first, double* second) const {
    const double m = param_.momentum();
    if (param_.type() == "SGD") {
      *first = m * *first + lr * g;
      return *first;
    }
    if (param_.type() == "Nesterov") {
      const double velocity = m * *first + lr * g;
      const double update = velocity + m * (velocity - *first);
      *first = velocity;
      return update;
    }
    if (param_.type() == "AdaGrad") {
      *first += g * g;
      return lr * g / (std::sqrt(*first) + param_.delta());
    }
    if (param_.type() == "RMSProp") {
      *first = param_.rms_decay() * *first + (1 - param_.rms_decay()) * g * g;
      return lr * g / (std::sqrt(*first) + param_.delta());
    }
    if (param_.type() == "AdaDelta") {
      *first = m * *first + (1 - m) * g * g;
      const double step = std::sqrt(*second + param_.delta()) / std::sqrt(*first + param_.delta()) * g;
      *second = m * *second + (1 - m) * step * step;
      return lr * step;
    }
    const double m2 = param_.momentum2();
    *first = m * *first + (1 - m) * g;
    *second = m2 * *second + (1 - m2) * g * g;
    return lr * (*first / (1 - std::pow(m, t))) /
           (std::sqrt(*second / (1 - std::pow(m2, t))) + param_.delta() / std::sqrt(1 - std::pow(m2, t)));
  }

  const SolverParameter param_;
  vector<double> w_;
  vector<double> first_;
  vector<double> second_;
};

/// Makes the protected parts of a solver public.
template <typename Dtype>
class OpenSolver : public SGDSolver<Dtype> {
 public:
  explicit OpenSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  Dtype RateAt(int iteration) {
    this->iter_ = iteration;
    return this->GetLearningRate();
  }
  int current_step() const { return this->current_step_; }
  using SGDSolver<Dtype>::update_;
  using SGDSolver<Dtype>::temp_;
};

}  // namespace

template <typename TypeParam>
class GradientBasedSolverTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  void ExpectFollowsPlain(const string& text, int steps = 6) {
    SCOPED_TRACE(text);
    const SolverParameter param = RegressionSolver(text);
    const auto solver = MakeSolver<Dtype>(param);
    RegressionFeeder<Dtype> feeder(solver->net().get(), 0);
    const vector<Dtype> start = AllWeights(solver.get());
    PlainRegression plain(param, vector<double>(start.begin(), start.end()));
    const double tolerance = sizeof(Dtype) == 8 ? 1e-7 : 2e-5;
    for (int i = 0; i < steps; ++i) {
      solver->Step(1);
      plain.Step(i);
      const vector<Dtype> weights = AllWeights(solver.get());
      for (int j = 0; j < kNumParams; ++j) {
        EXPECT_NEAR(weights[j], plain.weights()[j], tolerance) << "step " << i << ", parameter " << j;
      }
    }
  }

  LogCapture log_;
};

TYPED_TEST_SUITE(GradientBasedSolverTest, TestDtypesAndDevices);

TYPED_TEST(GradientBasedSolverTest, EachTypeFollowsItsRule) {
  for (const string& type : SolverTypes()) this->ExpectFollowsPlain(TypeText(type));
}

TYPED_TEST(GradientBasedSolverTest, SGDWithoutMomentum) { this->ExpectFollowsPlain("base_lr: 0.1"); }

TYPED_TEST(GradientBasedSolverTest, PenaltiesAddTheirGradient) {
  for (const string& type : SolverTypes()) {
    this->ExpectFollowsPlain(TypeText(type) + "weight_decay: 0.3");
    this->ExpectFollowsPlain(TypeText(type) + "weight_decay: 0.3 regularization_type: 'L1'");
  }
}

TYPED_TEST(GradientBasedSolverTest, IterSizeAccumulates) {
  for (const string& type : SolverTypes()) {
    this->ExpectFollowsPlain(TypeText(type) + "weight_decay: 0.1 iter_size: 3");
  }
}

TYPED_TEST(GradientBasedSolverTest, LongGradientsAreClipped) {
  for (const string& type : SolverTypes()) {
    this->ExpectFollowsPlain(TypeText(type) + "weight_decay: 0.1 clip_gradients: 0.2");
  }
  EXPECT_GT(this->log_.Count("Gradient clipping: scaling down gradients (L2 norm "), 0);
  this->log_.Clear();
  this->ExpectFollowsPlain("momentum: 0.9 base_lr: 0.05 clip_gradients: 1000");
  EXPECT_EQ(this->log_.Count("Gradient clipping"), 0);
  this->ExpectFollowsPlain("momentum: 0.9 base_lr: 0.05 iter_size: 2 clip_gradients: 0.1");
}

TYPED_TEST(GradientBasedSolverTest, PassesEqualOneLargerBatch) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string& type : SolverTypes()) {
    SCOPED_TRACE(type);
    const auto large = MakeSolver<Dtype>(RegressionSolver(TypeText(type) + "weight_decay: 0.1", 12));
    const auto small =
        MakeSolver<Dtype>(RegressionSolver(TypeText(type) + "weight_decay: 0.1 iter_size: 3", 4));
    RegressionFeeder<Dtype> large_feeder(large->net().get(), 0), small_feeder(small->net().get(), 0);
    large->Step(5);
    small->Step(5);
    const vector<Dtype> expected = AllWeights(large.get());
    const vector<Dtype> weights = AllWeights(small.get());
    for (int j = 0; j < kNumParams; ++j) EXPECT_NEAR(weights[j], expected[j], 1e-4);
  }
}

TYPED_TEST(GradientBasedSolverTest, ThreadsChangeNothing) {
  typedef typename TypeParam::Dtype Dtype;
  const int threads_before = ParallelThreads();
  // Enough weights for several chunks of kElementGrain.
  const string wide =
      R"(lr_policy: 'fixed' random_seed: 5 snapshot_after_train: false weight_decay: 0.1 net_param {
    layer { name: 'data' type: 'Input' top: 'x' top: 'y'
            input_param { shape { dim: 1 dim: 500 } shape { dim: 1 dim: 101 } } }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip'
            inner_product_param { num_output: 101 weight_filler { type: 'gaussian' } } }
    layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'y' top: 'loss' } } )";
  for (const string& type : SolverTypes()) {
    SCOPED_TRACE(type);
    vector<Dtype> expected;
    for (int threads : {1, 3}) {
      const auto solver = MakeSolver<Dtype>(wide + TypeText(type));
      SetParallelThreads(1);  // Of the gradients only; products may differ.
      solver->net()->input_blobs()[0]->mutable_cpu_data()[7] = 1;
      solver->net()->ForwardBackward();
      SetParallelThreads(threads);
      solver->ApplyUpdate();
      if (expected.empty()) {
        expected = AllWeights(solver.get());
      } else {
        EXPECT_EQ(AllWeights(solver.get()), expected);
      }
    }
  }
  SetParallelThreads(threads_before);
}

TYPED_TEST(GradientBasedSolverTest, HistoryHasTheShapesOfTheParameters) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string& type : SolverTypes()) {
    const auto solver = MakeSolver<Dtype>(RegressionSolver(TypeText(type)));
    const size_t rows = type == "AdaDelta" || type == "Adam" ? 2 : 1;
    ASSERT_EQ(solver->history().size(), 2 * rows) << type;
    for (size_t i = 0; i < solver->history().size(); ++i) {
      EXPECT_EQ(solver->history()[i]->shape(), solver->net()->learnable_params()[i % 2]->shape());
    }
  }
  OpenSolver<Dtype> open(RegressionSolver("base_lr: 0.1"));
  EXPECT_EQ(open.update_[0]->shape(), (vector<int>{2, 3}));
  EXPECT_EQ(open.temp_[1]->shape(), (vector<int>{2}));
}

// -------------------------------------------------------------------------------------------- learning rates

TYPED_TEST(GradientBasedSolverTest, LearningRatesFollowThePolicy) {
  typedef typename TypeParam::Dtype Dtype;
  const auto expect = [](const string& text, const std::function<double(int)>& rate) {
    SCOPED_TRACE(text);
    OpenSolver<Dtype> solver(RegressionSolver("base_lr: 0.4 max_iter: 20 " + text));
    for (int i = 0; i <= 20; ++i) EXPECT_NEAR(solver.RateAt(i), rate(i), 1e-6) << "iteration " << i;
  };
  expect("lr_policy: 'fixed'", [](int) { return 0.4; });
  expect("lr_policy: 'step' gamma: 0.5 stepsize: 7", [](int i) { return i < 7 ? 0.4 : i < 14 ? 0.2 : 0.1; });
  expect("lr_policy: 'exp' gamma: 0.9", [](int i) { return 0.4 * std::exp(i * std::log(0.9)); });
  expect("lr_policy: 'inv' gamma: 0.1 power: 0.75", [](int i) { return 0.4 / std::pow(1 + i / 10.0, 0.75); });
  expect("lr_policy: 'multistep' gamma: 0.1 stepvalue: 3 stepvalue: 4 stepvalue: 18", [](int i) {
    return i < 3 ? 0.4 : i < 4 ? 0.04 : i < 18 ? 0.004 : 0.0004;
  });
  expect("lr_policy: 'poly' power: 2", [](int i) { return 0.4 * (20 - i) * (20 - i) / 400; });
  expect("lr_policy: 'sigmoid' gamma: -0.5 stepsize: 4",
         [](int i) { return 0.4 / (1 + std::exp(0.5 * (i - 4))); });
}

TYPED_TEST(GradientBasedSolverTest, StepsAreCountedAndLogged) {
  typedef typename TypeParam::Dtype Dtype;
  OpenSolver<Dtype> steps(RegressionSolver("base_lr: 1 lr_policy: 'step' gamma: 0.5 stepsize: 3"));
  steps.RateAt(7);
  EXPECT_EQ(steps.current_step(), 2);
  OpenSolver<Dtype> multi(RegressionSolver(
      "base_lr: 1 lr_policy: 'multistep' gamma: 0.5 stepvalue: 2 stepvalue: 3 stepvalue: 9"));
  EXPECT_EQ(multi.RateAt(5), Dtype(0.25)) << "values passed in between count";
  EXPECT_EQ(multi.current_step(), 2);
  EXPECT_TRUE(this->log_.Has("MultiStep Status: Iteration 5, step = 1"));
  EXPECT_TRUE(this->log_.Has("MultiStep Status: Iteration 5, step = 2"));
}

TYPED_TEST(GradientBasedSolverTest, PolyEndsAtZero) {
  typedef typename TypeParam::Dtype Dtype;
  OpenSolver<Dtype> solver(RegressionSolver("base_lr: 1 lr_policy: 'poly' power: 0.5 max_iter: 10"));
  EXPECT_EQ(solver.RateAt(10), 0);
  EXPECT_EQ(solver.RateAt(12), 0) << "no square root of a negative number";
}

TYPED_TEST(GradientBasedSolverTest, WrongSettingsAreSaid) {
  typedef typename TypeParam::Dtype Dtype;
  const auto error = [](const string& text) {
    return ErrorOf([&] { MakeSolver<Dtype>(RegressionSolver(text)); });
  };
  EXPECT_TRUE(Contains(error("lr_policy: 'stp'"), "unknown lr_policy 'stp' (did you mean 'step'"));
  EXPECT_TRUE(Contains(error("regularization_type: 'L3'"), "unknown regularization_type 'L3'"));
  EXPECT_TRUE(Contains(error("type: 'AdaGrad' momentum: 0.9"), "Momentum cannot be used with AdaGrad."));
  EXPECT_TRUE(Contains(error("type: 'RMSProp' momentum: 0.9"), "Momentum cannot be used with RMSProp."));
  EXPECT_TRUE(Contains(error("type: 'RMSProp' rms_decay: 1"), "rms_decay should lie between 0 and 1."));

  const auto step_error = [](const string& text) {
    SolverParameter param = RegressionSolver(text);
    if (text.empty()) param.clear_lr_policy();
    const auto solver = MakeSolver<Dtype>(param);
    return ErrorOf([&] { solver->Step(1); });
  };
  EXPECT_TRUE(Contains(step_error(""), "the solver has no lr_policy"));
  EXPECT_TRUE(Contains(step_error("lr_policy: 'step'"), "needs a positive stepsize"));
  EXPECT_TRUE(Contains(step_error("lr_policy: 'poly'"), "needs a positive max_iter"));
}

#ifdef CPU_ONLY

TYPED_TEST(GradientBasedSolverTest, GpuModeWithoutAGpuIsAnErrorThatSaysWhatToDo) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver = MakeSolver<Dtype>(RegressionSolver("base_lr: 0.1"));
  Caffe::set_mode(Caffe::GPU);
  const string update_error = ErrorOf([&] { solver->ApplyUpdate(); });
  const string step_error = ErrorOf([&] { solver->Step(1); });
  Caffe::set_mode(Caffe::CPU);
  EXPECT_TRUE(Contains(update_error, "solver_mode: CPU"));
  EXPECT_TRUE(Contains(step_error, "solver_mode: CPU"));
  EXPECT_TRUE(Contains(step_error, "-cpu"));
}

#endif  // CPU_ONLY

TYPED_TEST(GradientBasedSolverTest, LogsTheRateWhereItDisplays) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver =
      MakeSolver<Dtype>(RegressionSolver("base_lr: 0.5 lr_policy: 'step' gamma: 0.5 stepsize: 2 display: 2"));
  solver->Step(5);
  EXPECT_EQ(this->log_.Starting("Iteration 0, lr = "), vector<string>{"Iteration 0, lr = 0.5"});
  EXPECT_TRUE(this->log_.Has("Iteration 2, lr = 0.25"));
  EXPECT_TRUE(this->log_.Has("Iteration 4, lr = 0.125"));
  EXPECT_FALSE(this->log_.Has("Iteration 1, lr = 0.5"));
}

// ------------------------------------------------------------------------------------------------ snapshots

TYPED_TEST(GradientBasedSolverTest, ResumingContinuesExactly) {
  typedef typename TypeParam::Dtype Dtype;
  vector<string> formats = {"BINARYPROTO"};
#ifdef USE_HDF5
  formats.push_back("HDF5");
#endif
  for (const string& type : SolverTypes()) {
    for (const string& format : formats) {
      SCOPED_TRACE(type + " " + format);
      const TempFolder folder;
      const SolverParameter param = RegressionSolver(
          TypeText(type) +
          "lr_policy: 'multistep' gamma: 0.5 stepvalue: 2 stepvalue: 6 weight_decay: 0.1 snapshot: 4 "
          "snapshot_prefix: '" +
          (folder / "train") + "' snapshot_format: " + format);
      const auto whole = MakeSolver<Dtype>(param);
      RegressionFeeder<Dtype> whole_feeder(whole->net().get(), 0);
      whole->Step(7);

      const auto resumed = MakeSolver<Dtype>(param);
      const string state = (folder / "train_iter_4.solverstate") + (format == "HDF5" ? ".h5" : "");
      resumed->Restore(state.c_str());
      EXPECT_EQ(resumed->iter(), 4);
      RegressionFeeder<Dtype> resumed_feeder(resumed->net().get(), 4 * kBatch);
      resumed->Step(3);
      EXPECT_EQ(AllWeights(resumed.get()), AllWeights(whole.get()));
      for (size_t i = 0; i < whole->history().size(); ++i) {
        const Blob<Dtype>& expected = *whole->history()[i];
        const Blob<Dtype>& history = *resumed->history()[i];
        for (int j = 0; j < expected.count(); ++j) EXPECT_EQ(history.cpu_data()[j], expected.cpu_data()[j]);
      }
    }
  }
}

}  // namespace caffe
