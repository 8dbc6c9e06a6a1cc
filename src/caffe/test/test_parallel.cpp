// Training on several GPUs, real ones or emulated.
#include "caffe/parallel.hpp"

#include <gtest/gtest.h>

#include "caffe/test/test_caffe_main.hpp"

#ifndef USE_NCCL

TEST(ParallelTest, NeedsNccl) { GTEST_SKIP() << "Caffe was built without NCCL"; }

#else

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "caffe/caffe.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace {

/// What the layers and solvers of a test do and have seen, each rank in a thread of its own.
struct Script {
  std::mutex mutex;
  /// The solver of this rank fails when it makes its net, ...
  int rank_without_net = -1;
  /// ... or at this forward pass.
  int failing_rank = -1;
  int failing_pass = -1;
  std::set<unsigned int> random_numbers;
  std::map<int, vector<vector<double> > > weights;
  std::set<int> devices;
  /// GPUs whose nets were told to reuse memory.
  std::set<int> reusing_devices;
};

Script& script() {
  static Script instance;
  return instance;
}

}  // namespace

/// Serves the items of RegressionValue: rank r of n the items r, r + n, ... One top for x, one for y.
template <typename Dtype>
class TestItemsLayer : public Layer<Dtype> {
 public:
  explicit TestItemsLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  const char* type() const override { return "TestItems"; }
  void LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override {
    if (this->phase_ == TEST) return;
    count_ = Caffe::solver_count();
    rank_ = Caffe::solver_rank();
    const std::lock_guard<std::mutex> lock(script().mutex);
    LOG_IF(FATAL, script().rank_without_net == rank_) << "no items for this solver";
    script().devices.insert(Caffe::device());
  }
  void Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) override {
    const int batch = static_cast<int>(this->layer_param_.data_param().batch_size());
    top[0]->Reshape({batch, 3});
    top[1]->Reshape({batch, 2});
  }
  void SetReusesMemory(bool value) override {
    if (!value || this->phase_ == TEST) return;
    const std::lock_guard<std::mutex> lock(script().mutex);
    script().reusing_devices.insert(Caffe::device());
  }
  bool GetDataState(DataState* state) const override {
    state->set_seed(0);
    state->set_record(next_);
    return next_ > 0;
  }
  void SetDataState(const DataState& state) override { next_ = static_cast<int>(state.record()); }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) override {
    const bool fails = this->phase_ == TRAIN && rank_ == script().failing_rank;
    LOG_IF(FATAL, fails && ++pass_ == script().failing_pass) << "an item is missing";
    NoteRandomNumber();
    Dtype* x = top[0]->mutable_cpu_data();
    Dtype* y = top[1]->mutable_cpu_data();
    for (int n = 0; n < top[0]->num(); ++n, next_ += count_) {
      for (int k = 0; k < 3; ++k) *x++ = RegressionValue(next_ + rank_, k);
      for (int k = 3; k < 5; ++k) *y++ = RegressionValue(next_ + rank_, k);
    }
  }
  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}

 private:
  /// The first that a solver gets while it trains.
  void NoteRandomNumber() {
    if (has_noted_) return;
    has_noted_ = true;
    const std::lock_guard<std::mutex> lock(script().mutex);
    script().random_numbers.insert(caffe_rng_rand());
  }

  bool has_noted_ = false;
  int count_ = 1;
  int rank_ = 0;
  /// Of all solvers together.
  int next_ = 0;
  int pass_ = 0;
};

REGISTER_LAYER_CLASS(TestItems);

/// Notes its weights after each update.
template <typename Dtype>
class RecordingSGDSolver : public SGDSolver<Dtype> {
 public:
  explicit RecordingSGDSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  const char* type() const override { return "RecordingSGD"; }
  void ApplyUpdate() override {
    SGDSolver<Dtype>::ApplyUpdate();
    const vector<Dtype> weights = AllWeights(this);
    const std::lock_guard<std::mutex> lock(script().mutex);
    script().weights[Caffe::solver_rank()].emplace_back(weights.begin(), weights.end());
  }
};

REGISTER_SOLVER_CLASS(RecordingSGD);

namespace {

string NetText(int batch, const string& hidden) {
  return "layer { name: 'data' type: 'TestItems' top: 'x' top: 'y' data_param { batch_size: " +
         std::to_string(batch) + " } } " + hidden +
         R"(layer { name: 'ip' type: 'InnerProduct' bottom: 'hidden' top: 'ip'
            param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
            inner_product_param { num_output: 2 weight_filler { type: 'gaussian' std: 0.5 }
                                  bias_filler { value: 0.25 } } }
    layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'y' top: 'loss' } )";
}

/// 'x' to 'hidden' by a fully connected layer with parameters of these names.
string Hidden(int outputs, const string& filler = "type: 'xavier'", const string& param = "") {
  return "layer { name: 'first' type: 'InnerProduct' bottom: 'x' top: 'first' " + param +
         " inner_product_param { num_output: " + std::to_string(outputs) + " weight_filler { " + filler +
         " } } } layer { name: 'hidden' type: 'TanH' bottom: 'first' top: 'hidden' } ";
}

string TypeText(const string& type) {
  if (type == "AdaGrad") return "type: 'AdaGrad' delta: 1e-3 base_lr: 0.05 ";
  if (type == "RMSProp") return "type: 'RMSProp' rms_decay: 0.8 delta: 1e-2 base_lr: 0.05 ";
  if (type == "AdaDelta") return "type: 'AdaDelta' momentum: 0.9 delta: 1e-3 base_lr: 0.7 ";
  if (type == "Adam") return "type: 'Adam' momentum: 0.8 momentum2: 0.95 delta: 1e-2 base_lr: 0.05 ";
  return "type: '" + type + "' momentum: 0.9 base_lr: 0.05 ";
}

const vector<string>& SolverTypes() {
  static const vector<string> types = {"SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"};
  return types;
}

}  // namespace

template <typename Dtype>
class ParallelTest : public ::testing::Test {
 protected:
  ParallelTest() {
    Caffe::set_mode(Caffe::GPU);
    Caffe::set_random_seed(1701);
    Script& all = script();
    all.rank_without_net = all.failing_rank = all.failing_pass = -1;
    all.random_numbers.clear();
    all.weights.clear();
    all.devices.clear();
    if (cudaGetDeviceCount(&num_gpus_) != cudaSuccess) cudaGetLastError();
  }
  ~ParallelTest() override {
    Caffe::set_solver_count(1);
    Caffe::set_solver_rank(0);
  }

  bool HasGpus(int count) const { return num_gpus_ >= count; }

  static vector<int> Gpus(int count) {
    vector<int> gpus;
    for (int i = 0; i < count; ++i) gpus.push_back(i);
    return gpus;
  }

  /// The definition of a solver whose nets take batches of this size.
  static SolverParameter Definition(int batch, const string& text, const string& hidden = Hidden(5)) {
    SolverParameter param = FromText<SolverParameter>(
        "base_lr: 0.05 lr_policy: 'fixed' random_seed: 5 max_iter: 4 snapshot_after_train: false "
        "weight_decay: 0.1 net_param { " +
        NetText(batch, hidden) + " }");
    param.MergeFrom(FromText<SolverParameter>(text));
    return param;
  }

  static shared_ptr<SGDSolver<Dtype> > MakeFor(int gpus, const SolverParameter& param) {
    Caffe::SetDevice(0);
    Caffe::set_solver_count(gpus);
    return shared_ptr<SGDSolver<Dtype> >(MakeSolver<Dtype>(param));
  }

  /// The weights after training alone, on one GPU.
  static vector<Dtype> TrainAlone(const SolverParameter& param) {
    const auto solver = MakeFor(1, param);
    solver->Solve();
    return AllWeights(solver.get());
  }

  static vector<Dtype> Train(int gpus, const SolverParameter& param, const string& snapshot = "") {
    const auto solver = MakeFor(gpus, param);
    if (!snapshot.empty()) solver->Restore(snapshot.c_str());
    NCCL<Dtype>(solver).Run(Gpus(gpus), snapshot.empty() ? nullptr : snapshot.c_str());
    EXPECT_EQ(param.max_iter(), solver->iter());
    // The solver has kept the memory.
    return AllWeights(solver.get());
  }

  static void ExpectNear(const vector<Dtype>& expected, const vector<Dtype>& weights) {
    const double tolerance = sizeof(Dtype) == 8 ? 1e-10 : 1e-4;
    ASSERT_EQ(expected.size(), weights.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(expected[i], weights[i], tolerance) << "weight " << i;
    }
  }

  /// All solvers have recorded the same weights, bit for bit.
  static void ExpectSameRecords(int gpus, size_t updates) {
    ASSERT_EQ(static_cast<size_t>(gpus), script().weights.size());
    for (int rank = 0; rank < gpus; ++rank) {
      ASSERT_EQ(updates, script().weights[rank].size()) << "rank " << rank;
      EXPECT_EQ(script().weights[0], script().weights[rank]) << "rank " << rank;
    }
  }

  int num_gpus_ = 0;
  LogCapture log_;
};

TYPED_TEST_SUITE(ParallelTest, TestDtypes);

#define NEED_GPUS(count) \
  if (!this->HasGpus(count)) GTEST_SKIP() << "needs " << (count) << " GPUs, and there are " << this->num_gpus_

TYPED_TEST(ParallelTest, SeveralBatchesEqualOneLargeOne) {
  for (int gpus : {2, 3}) {
    NEED_GPUS(gpus);
    for (const string& type : SolverTypes()) {
      const string text = TypeText(type);
      const auto expected = this->TrainAlone(this->Definition(4 * gpus, text));
      for (const char* layer_wise : {"layer_wise_reduce: true", "layer_wise_reduce: false"}) {
        SCOPED_TRACE(text + layer_wise + ", GPUs: " + std::to_string(gpus));
        this->ExpectNear(expected, this->Train(gpus, this->Definition(4, text + layer_wise)));
      }
    }
  }
}

TYPED_TEST(ParallelTest, OneGpuIsOne) {
  NEED_GPUS(1);
  const auto definition = this->Definition(4, "momentum: 0.9");
  EXPECT_EQ(this->TrainAlone(definition), this->Train(1, definition));
}

TYPED_TEST(ParallelTest, SeveralPassesAddUp) {
  NEED_GPUS(2);
  const string text = "momentum: 0.9 iter_size: 3 ";
  const auto expected = this->TrainAlone(this->Definition(8, text));
  for (const char* layer_wise : {"layer_wise_reduce: true", "layer_wise_reduce: false"}) {
    this->ExpectNear(expected, this->Train(2, this->Definition(4, text + layer_wise)));
  }
}

TYPED_TEST(ParallelTest, LongGradientsAreClippedTogether) {
  NEED_GPUS(2);
  const string text = "momentum: 0.9 clip_gradients: 0.1 iter_size: 2 ";
  this->ExpectNear(this->TrainAlone(this->Definition(8, text)), this->Train(2, this->Definition(4, text)));
}

TYPED_TEST(ParallelTest, PartsOfLargeNetsTravelApart) {
  NEED_GPUS(2);
  // Each of the layers fills a part.
  string hidden = Hidden(1030);
  for (int i = 0; i < 2; ++i) {
    const string in = i == 0 ? "hidden" : "wide0", out = "wide" + std::to_string(i);
    hidden += "layer { name: '" + out + "' type: 'InnerProduct' bottom: '" + in + "' top: '" + out +
              "' inner_product_param { num_output: 1030 weight_filler { type: 'xavier' } } } ";
  }
  SolverParameter large = this->Definition(8, "base_lr: 1e-4 max_iter: 3", hidden);
  SolverParameter small = this->Definition(4, "base_lr: 1e-4 max_iter: 3", hidden);
  for (SolverParameter* param : {&large, &small}) {
    const int ip = param->net_param().layer_size() - 2;
    param->mutable_net_param()->mutable_layer(ip)->set_bottom(0, "wide1");
  }
  this->ExpectNear(this->TrainAlone(large), this->Train(2, small));
}

TYPED_TEST(ParallelTest, LayersMayShareParameters) {
  NEED_GPUS(2);
  const string shared = "param { name: 'w' } param { name: 'b' }";
  const string hidden =
      Hidden(3, "type: 'xavier'", shared) +
      "layer { name: 'again' type: 'InnerProduct' bottom: 'hidden' top: 'again' " + shared +
      " inner_product_param { num_output: 3 } } layer { name: 'hidden2' type: 'TanH' bottom: 'again' top: "
      "'hidden2' } ";
  SolverParameter large = this->Definition(8, "momentum: 0.9", hidden);
  SolverParameter small = this->Definition(4, "momentum: 0.9", hidden);
  for (SolverParameter* param : {&large, &small}) {
    const int ip = param->net_param().layer_size() - 2;
    param->mutable_net_param()->mutable_layer(ip)->set_bottom(0, "hidden2");
  }
  this->ExpectNear(this->TrainAlone(large), this->Train(2, small));
}

TYPED_TEST(ParallelTest, AllHaveTheSameWeightsAfterEachStep) {
  NEED_GPUS(3);
  for (const char* layer_wise : {"layer_wise_reduce: true", "layer_wise_reduce: false"}) {
    script().weights.clear();
    this->Train(3,
                this->Definition(2, string("type: 'RecordingSGD' momentum: 0.9 max_iter: 6 ") + layer_wise));
    this->ExpectSameRecords(3, 6);
  }
  EXPECT_EQ((std::set<int>{0, 1, 2}), script().devices);
}

TYPED_TEST(ParallelTest, AllReuseMemoryWhereTheRootDoes) {
  NEED_GPUS(2);
  const SolverParameter param = this->Definition(4, "momentum: 0.9");
  const auto expected = this->Train(2, param);
  script().reusing_devices.clear();
  const auto solver = this->MakeFor(2, param);
  solver->net()->set_reuses_memory(true);
  NCCL<TypeParam>(solver).Run(this->Gpus(2), nullptr);
  EXPECT_EQ((std::set<int>{0, 1}), script().reusing_devices);
  EXPECT_EQ(expected, AllWeights(solver.get()));
}

TYPED_TEST(ParallelTest, EachSolverHasRandomNumbersOfItsOwn) {
  NEED_GPUS(3);
  this->Train(3, this->Definition(2, ""));
  EXPECT_EQ(3u, script().random_numbers.size());
}

TYPED_TEST(ParallelTest, ThreadsOfTheCallerMeetByAUid) {
  typedef TypeParam Dtype;
  NEED_GPUS(2);
  for (const string& type : SolverTypes()) {
    SCOPED_TRACE(type);
    const SolverParameter definition = this->Definition(4, TypeText(type));
    const string uid = NCCL<Dtype>::new_uid();
    vector<vector<Dtype> > weights[2];
    const auto train = [&](int rank) {
      Caffe::set_mode(Caffe::GPU);
      Caffe::SetDevice(rank);
      Caffe::set_solver_count(2);
      Caffe::set_solver_rank(rank);
      Caffe::set_multiprocess(true);
      const shared_ptr<Solver<Dtype> > solver(MakeSolver<Dtype>(definition));
      NCCL<Dtype> nccl(solver, uid);
      EXPECT_EQ(nccl.data(), solver->net()->learnable_params()[0]->gpu_data());
      EXPECT_EQ(nccl.diff(), solver->net()->learnable_params()[0]->gpu_diff());
      nccl.Broadcast();
      solver->add_callback(&nccl);
      // With the net's callback or without, the gradients are averaged.
      if (type != "Adam") solver->net()->add_after_backward(&nccl);
      for (int i = 0; i < 4; ++i) {
        solver->Step(1);
        weights[rank].push_back(AllWeights(solver.get()));
      }
    };
    std::thread other([&] { train(1); });
    std::thread root([&] { train(0); });
    root.join();
    other.join();
    EXPECT_EQ(weights[0], weights[1]);
    this->ExpectNear(this->TrainAlone(this->Definition(8, TypeText(type))), weights[0].back());
  }
}

TYPED_TEST(ParallelTest, TheRootAloneLogsTestsAndTakesSnapshots) {
  NEED_GPUS(2);
  const TempFolder folder;
  this->Train(2,
              this->Definition(4, "display: 2 test_iter: 2 test_interval: 2 snapshot: 2 snapshot_prefix: '" +
                                      (folder / "train") + "'"));
  EXPECT_EQ(1, this->log_.Count("Iteration 0, Testing net (#0)"));
  EXPECT_EQ(1, this->log_.Count("Iteration 4, Testing net (#0)"));
  EXPECT_EQ(1, this->log_.Count("Creating test net (#0)"));
  EXPECT_EQ(1, this->log_.Count("Iteration 2, lr = "));
  EXPECT_EQ(2, this->log_.Count("Snapshotting to binary proto file"));
  EXPECT_EQ((std::set<string>{"train_iter_2.caffemodel", "train_iter_2.solverstate",
                              "train_iter_4.caffemodel", "train_iter_4.solverstate"}),
            folder.Files());
  EXPECT_EQ(0, this->log_.Warnings());
}

TYPED_TEST(ParallelTest, TrainingGoesOnWithAnotherNumberOfGpus) {
  NEED_GPUS(3);
  const TempFolder folder;
  const string text = "momentum: 0.9 max_iter: 6 ";
  const string with_snapshots = text + "snapshot: 3 snapshot_prefix: '" + (folder / "train") + "'";
  const auto expected = this->Train(2, this->Definition(6, with_snapshots));
  const string state = folder / "train_iter_3.solverstate";
  EXPECT_EQ(expected, this->Train(2, this->Definition(6, text), state));
  this->ExpectNear(expected, this->Train(3, this->Definition(4, text), state));
  this->ExpectNear(expected, this->Train(1, this->Definition(12, text), state));
  EXPECT_EQ(0, this->log_.Warnings());

  // The solvers must have come from the same place.
  const auto forgotten = this->MakeFor(2, this->Definition(6, text));
  EXPECT_TRUE(Contains(ErrorOf([&] { NCCL<TypeParam>(forgotten).Run(this->Gpus(2), state.c_str()); }),
                       "the root solver is to be restored"));
}

TYPED_TEST(ParallelTest, AllStopAfterTheSameIteration) {
  NEED_GPUS(3);
  const TempFolder folder;
  const auto solver = this->MakeFor(
      3,
      this->Definition(2, "type: 'RecordingSGD' max_iter: 50 snapshot_after_train: true snapshot_prefix: '" +
                              (folder / "train") + "'"));
  int asked = 0;
  solver->SetActionFunction([&asked] {
    ++asked;
    if (asked == 2) return SolverAction::SNAPSHOT;
    return asked == 5 ? SolverAction::STOP : SolverAction::NONE;
  });
  NCCL<TypeParam>(solver).Run(this->Gpus(3), nullptr);
  EXPECT_EQ(5, solver->iter());
  this->ExpectSameRecords(3, 5);
  EXPECT_EQ(1, this->log_.Count("Optimization stopped early."));
  EXPECT_EQ((std::set<string>{"train_iter_2.caffemodel", "train_iter_2.solverstate",
                              "train_iter_5.caffemodel", "train_iter_5.solverstate"}),
            folder.Files());
}

TYPED_TEST(ParallelTest, AStopWhileTheRootTestsStopsAll) {
  NEED_GPUS(2);
  const auto solver = this->MakeFor(
      2, this->Definition(4, "type: 'RecordingSGD' max_iter: 50 test_iter: 3 test_interval: 2"));
  bool asked = false;
  solver->SetActionFunction([&] {
    if (asked || !this->log_.Count("Iteration 2, Testing net")) return SolverAction::NONE;
    asked = true;
    return SolverAction::STOP;
  });
  NCCL<TypeParam>(solver).Run(this->Gpus(2), nullptr);
  EXPECT_EQ(2, solver->iter());
  this->ExpectSameRecords(2, 2);
}

TYPED_TEST(ParallelTest, TheSolverIsAsBeforeWhenTrainingHasEnded) {
  NEED_GPUS(2);
  const auto solver = this->MakeFor(2, this->Definition(4, "momentum: 0.9"));
  NCCL<TypeParam>(solver).Run(this->Gpus(2), nullptr);
  EXPECT_TRUE(solver->callbacks().empty());
  EXPECT_TRUE(solver->net()->after_backward().empty());
  Caffe::set_solver_count(1);
  const auto before = AllWeights(solver.get());
  solver->Step(2);
  EXPECT_NE(before, AllWeights(solver.get()));
}

TYPED_TEST(ParallelTest, AnErrorOfAnySolverEndsTheTraining) {
  NEED_GPUS(3);
  for (int rank = 0; rank < 3; ++rank) {
    for (int pass : {1, 3}) {
      for (const char* layer_wise : {"layer_wise_reduce: true", "layer_wise_reduce: false"}) {
        SCOPED_TRACE("rank " + std::to_string(rank) + ", pass " + std::to_string(pass));
        script().failing_rank = rank;
        script().failing_pass = pass;
        const auto solver = this->MakeFor(3, this->Definition(2, string("max_iter: 100 ") + layer_wise));
        EXPECT_EQ("layer 'data' (TestItems): an item is missing",
                  ErrorOf([&] { NCCL<TypeParam>(solver).Run(this->Gpus(3), nullptr); }));
        EXPECT_EQ(pass - 1, solver->iter());
      }
    }
  }
  EXPECT_EQ(4, this->log_.Count("Solver 2 failed: layer 'data'"));
  // The next training knows nothing of it.
  script().failing_rank = -1;
  this->Train(3, this->Definition(2, ""));
}

TYPED_TEST(ParallelTest, AnErrorWhileANetIsMadeEndsTheTraining) {
  NEED_GPUS(2);
  script().rank_without_net = 1;
  const auto solver = this->MakeFor(2, this->Definition(2, ""));
  EXPECT_EQ("layer 'data' (TestItems): no items for this solver",
            ErrorOf([&] { NCCL<TypeParam>(solver).Run(this->Gpus(2), nullptr); }));
  EXPECT_EQ(0, solver->iter());
}

TYPED_TEST(ParallelTest, WhatIsAskedForMustBeThere) {
  NEED_GPUS(2);
  const auto solver = this->MakeFor(2, this->Definition(2, ""));
  const auto error = [&](const vector<int>& gpus) {
    return ErrorOf([&] { NCCL<TypeParam>(solver).Run(gpus, nullptr); });
  };
  EXPECT_TRUE(Contains(error({0, 0}), "each GPU can be named once only"));
  EXPECT_TRUE(Contains(error({}), "no GPU to train on"));
  EXPECT_TRUE(Contains(error({1, 0}), "the first GPU to train on must be the one that the solver is on"));
  EXPECT_TRUE(Contains(error({0, 99}), "there is no GPU 99"));
  EXPECT_TRUE(Contains(error({0}), "set_solver_count"));
  EXPECT_TRUE(Contains(ErrorOf([&] { NCCL<TypeParam>(solver).Broadcast(); }), "not connected"));
  EXPECT_TRUE(Contains(ErrorOf([&] { NCCL<TypeParam>(solver, "home"); }), "this is no uid"));
  Caffe::set_mode(Caffe::CPU);
  EXPECT_TRUE(Contains(error({0, 1}), "needs the GPU mode"));
}

}  // namespace caffe

#endif  // USE_NCCL
