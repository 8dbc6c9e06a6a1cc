#include "caffe/solver.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <limits>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/test/test_shared_data.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace fs = std::filesystem;

namespace {

// Trains one weight (lr_mult 1) to map 1 to 3: loss = (w - 3)^2 / 2.
const char kScalarNet[] = R"(name: 'scalar'
  layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param { shape { dim: 1 dim: 1 } data_filler { value: 1 } } }
  layer { name: 'y' type: 'DummyData' top: 'y' dummy_data_param { shape { dim: 1 dim: 1 } data_filler { value: 3 } } }
  layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip'
          inner_product_param { num_output: 1 bias_term: false weight_filler { value: 1 } } }
  layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'y' top: 'loss' loss_weight: 2 }
  layer { name: 'tested' type: 'Power' bottom: 'x' top: 'tested' power_param { scale: 5 } include { phase: TEST } })";

// Gradients are 2 (w - 3): at a rate of 0.25 the distance halves in each step. w = 1, 2, 2.5, 2.75, ...
SolverParameter ScalarSolver(const string& text) {
  SolverParameter param = FromText<SolverParameter>(
      "base_lr: 0.25 lr_policy: 'fixed' snapshot_after_train: false "
      "net_param { " +
      string(kScalarNet) + " }");
  param.MergeFrom(FromText<SolverParameter>(text));
  return param;
}

template <typename Dtype>
Dtype Weight(Solver<Dtype>* solver) {
  return solver->net()->params()[0]->cpu_data()[0];
}

string Quoted(const string& text) { return "'" + text + "'"; }

}  // namespace

template <typename TypeParam>
class SolverTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  static std::unique_ptr<SGDSolver<Dtype>> Make(const string& text) {
    return MakeSolver<Dtype>(ScalarSolver(text));
  }
  static string MakeError(const SolverParameter& param) {
    return ErrorOf([&] { MakeSolver<Dtype>(param); });
  }
  string Prefix() const { return "snapshot_prefix: " + Quoted(folder_ / "s") + " "; }

  LogCapture log_;
  TempFolder folder_;
};

TYPED_TEST_SUITE(SolverTest, TestDtypesAndDevices);

// ---------------------------------------------------------------------------------------------- definition

TYPED_TEST(SolverTest, BuildsTrainingAndTestNets) {
  const auto solver = this->Make("test_iter: 2 test_iter: 1 test_interval: 10");
  EXPECT_STREQ(solver->type(), "SGD");
  EXPECT_EQ(solver->iter(), 0);
  EXPECT_EQ(solver->net()->phase(), TRAIN);
  EXPECT_FALSE(solver->net()->has_layer("tested"));
  ASSERT_EQ(solver->test_nets().size(), 2u) << "one for each test_iter";
  for (const auto& net : solver->test_nets()) {
    EXPECT_EQ(net->phase(), TEST);
    EXPECT_TRUE(net->has_layer("tested"));
  }
  EXPECT_TRUE(this->log_.Has("Creating training net specified in net_param."));
  EXPECT_TRUE(this->log_.Has("Creating test net (#1) specified by net_param"));
  EXPECT_TRUE(this->log_.Has("Solver scaffolding done."));
}

TYPED_TEST(SolverTest, NetsComeFromAllFields) {
  typedef typename TypeParam::Dtype Dtype;
  const string net = "layer { name: 'r' type: 'Input' top: 'r' input_param { shape { dim: 1 } } }";
  const string train = this->folder_.Save("train.prototxt", "name: 'train file' " + net);
  const string test = this->folder_.Save("test.prototxt", "name: 'test file' " + net);
  const auto split = MakeSolver<Dtype>("train_net: " + Quoted(train) + " test_net: " + Quoted(test) +
                                       " test_net_param { name: 'test param' " + net +
                                       " } test_iter: 1 test_iter: 1 test_interval: 1");
  EXPECT_EQ(split->net()->name(), "train file");
  ASSERT_EQ(split->test_nets().size(), 2u);
  EXPECT_EQ(split->test_nets()[0]->name(), "test param") << "definitions come before files";
  EXPECT_EQ(split->test_nets()[1]->name(), "test file");
  EXPECT_TRUE(this->log_.Has("Creating training net from train_net file: " + train));
  EXPECT_TRUE(this->log_.Has("Creating test net (#1) specified by test_net file: " + test));

  const auto both = MakeSolver<Dtype>("net: " + Quoted(train) + " test_net: " + Quoted(test) +
                                      " test_iter: 1 test_iter: 1 test_interval: 1");
  EXPECT_EQ(both->net()->name(), "train file");
  EXPECT_EQ(both->test_nets()[0]->name(), "test file");
  EXPECT_EQ(both->test_nets()[1]->name(), "train file") << "tests left over are of the net itself";
  EXPECT_TRUE(this->log_.Has("Creating training net from net file: " + train));

  const auto definition = MakeSolver<Dtype>("train_net_param { name: 'train param' " + net + " }");
  EXPECT_EQ(definition->net()->name(), "train param");
  EXPECT_TRUE(definition->test_nets().empty());
}

TYPED_TEST(SolverTest, StatesChooseLayers) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver = MakeSolver<Dtype>(R"(
    net_param {
      state { stage: 'all' }
      layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 1 } } }
      layer { name: 'a' type: 'Power' bottom: 'x' top: 'a' include { stage: 'all' stage: 'a' } }
      layer { name: 'b' type: 'Power' bottom: 'x' top: 'b' include { min_level: 2 phase: TEST } } }
    train_state { stage: 'a' } test_state { level: 2 } test_state { stage: 'a' }
    test_iter: 1 test_iter: 1 test_interval: 1)");
  EXPECT_EQ(solver->net()->layer_names(), (vector<string>{"x", "a"}));
  EXPECT_EQ(solver->test_nets()[0]->layer_names(), (vector<string>{"x", "b"}));
  EXPECT_EQ(solver->test_nets()[1]->layer_names(), (vector<string>{"x", "a"}));
}

TYPED_TEST(SolverTest, WrongDefinitionsAreSaid) {
  const auto error = [](const string& text) { return TestFixture::MakeError(ScalarSolver(text)); };
  EXPECT_TRUE(Contains(this->MakeError(SolverParameter()), "a solver must specify one training net"));
  EXPECT_TRUE(Contains(error("net: 'other.prototxt'"), "a solver must specify one training net"));
  EXPECT_TRUE(Contains(error("test_net: 'a' test_net: 'b' test_iter: 1 test_interval: 1"),
                       "test_iter must be given once for each test net"));
  EXPECT_TRUE(Contains(error("test_iter: 1"), "needs a positive test_interval"));
  EXPECT_TRUE(Contains(error("test_iter: 1 test_interval: 1 test_state {} test_state {}"),
                       "test_state must be given once for each test net"));
  EXPECT_TRUE(Contains(error("average_loss: 0"), "average_loss must be at least 1"));
  EXPECT_TRUE(Contains(error("iter_size: 0"), "iter_size must be at least 1"));
  EXPECT_TRUE(Contains(error("snapshot: 5"), "snapshot_prefix is not"));
  EXPECT_TRUE(Contains(this->MakeError(FromText<SolverParameter>(
                           "train_net_param { layer {} } test_iter: 1 test_interval: 1")),
                       "layer"))
      << "an unnamed layer of no type";
}

TYPED_TEST(SolverTest, ErrorsOfFilesNameThem) {
  typedef typename TypeParam::Dtype Dtype;
  const string net = this->folder_.Save("net.prototxt", "layer { name: 'c' type: 'None' }");
  const string solver = this->folder_.Save("solver.prototxt", "net: " + Quoted(net));
  EXPECT_TRUE(
      Contains(ErrorOf([&] { SGDSolver<Dtype>{solver}; }), net + ": layer 'c' (None): unknown layer type"));
  const string empty = this->folder_.Save("empty.prototxt", "base_lr: 1");
  EXPECT_TRUE(Contains(ErrorOf([&] { SGDSolver<Dtype>{empty}; }), empty + ": "));
  const string missing = this->folder_.Save("missing.prototxt", "net: 'none.prototxt'");
  EXPECT_TRUE(Contains(ErrorOf([&] { SGDSolver<Dtype>{missing}; }), "none.prototxt"));
}

TYPED_TEST(SolverTest, FilesFindEachOtherFromEverywhere) {
  typedef typename TypeParam::Dtype Dtype;
  this->folder_.Save("example/net.prototxt", kScalarNet);
  this->folder_.Save("example/solver.prototxt",
                     "net: 'net.prototxt' base_lr: 0.25 lr_policy: 'fixed' snapshot_prefix: 's' max_iter: 1");
  for (const string where : {"", "example"}) {
    const WorkingFolder here(this->folder_ / where);
    SGDSolver<Dtype> solver(string(where.empty() ? "example/" : "") + "solver.prototxt");
    solver.Solve();
    EXPECT_TRUE(fs::exists("s_iter_1.caffemodel")) << "snapshots go to the working folder";
  }
}

TYPED_TEST(SolverTest, TheSeedRepeatsWeights) {
  typedef typename TypeParam::Dtype Dtype;
  const auto weights = [](const string& seed) {
    return AllWeights(MakeSolver<Dtype>(seed + " net_param { " + RegressionNet(2) + " }").get());
  };
  EXPECT_EQ(weights("random_seed: 7"), weights("random_seed: 7"));
  EXPECT_NE(weights("random_seed: 7"), weights("random_seed: 8"));
  EXPECT_NE(weights(""), weights(""));
}

TYPED_TEST(SolverTest, SolversThatTrainTogetherDrawApartOnceTheirNetsAreMade) {
  typedef typename TypeParam::Dtype Dtype;
  vector<vector<Dtype>> weights;
  std::set<unsigned int> drawn;
  for (int rank = 0; rank < 3; ++rank) {
    Caffe::set_solver_rank(rank);
    const auto solver = MakeSolver<Dtype>("random_seed: 7 net_param { " + RegressionNet(2) + " }");
    weights.push_back(AllWeights(solver.get()));
    drawn.insert(caffe_rng_rand());
  }
  Caffe::set_solver_rank(0);
  EXPECT_EQ(weights[0], weights[1]);
  EXPECT_EQ(weights[0], weights[2]);
  EXPECT_EQ(3u, drawn.size());
}

// ------------------------------------------------------------------------------------------------- training

TYPED_TEST(SolverTest, TrainsAndCounts) {
  const auto solver = this->Make("max_iter: 3");
  solver->Step(2);
  EXPECT_EQ(solver->iter(), 2);
  EXPECT_NEAR(Weight<typename TypeParam::Dtype>(solver.get()), 2.5, 1e-6);
  solver->Solve();
  EXPECT_EQ(solver->iter(), 3) << "up to max_iter";
  EXPECT_NEAR(Weight<typename TypeParam::Dtype>(solver.get()), 2.75, 1e-6);
  solver->Solve();
  EXPECT_EQ(solver->iter(), 3);
}

TYPED_TEST(SolverTest, LogsTrainingInCaffesWords) {
  const auto solver =
      this->Make("max_iter: 4 display: 2 test_iter: 2 test_interval: 2 test_compute_loss: true");
  this->log_.Clear();
  solver->Solve();
  vector<string> lines;
  for (const string& message : this->log_.messages()) {
    // Times differ; what Test says of layers is tested with Net.
    if (message.find("Ignoring source layer") != 0) {
      lines.push_back(
          std::regex_replace(message, std::regex(R"(\([-+.e\d]+ iter/s, [-+.e\d]+s/)"), "(TIMES/"));
    }
  }
  EXPECT_EQ(lines, (vector<string>{
                       "Solving scalar",
                       "Learning Rate Policy: fixed",
                       "Iteration 0, Testing net (#0)",
                       "Test loss: 4",
                       "    Test net output #0: loss = 2 (* 2 = 4 loss)",
                       "    Test net output #1: tested = 5",
                       "Iteration 0 (TIMES/2 iters), loss = 4",
                       "    Train net output #0: loss = 2 (* 2 = 4 loss)",
                       "Iteration 0, lr = 0.25",
                       "Iteration 2, Testing net (#0)",
                       "Test loss: 0.25",
                       "    Test net output #0: loss = 0.125 (* 2 = 0.25 loss)",
                       "    Test net output #1: tested = 5",
                       "Iteration 2 (TIMES/2 iters), loss = 0.25",
                       "    Train net output #0: loss = 0.125 (* 2 = 0.25 loss)",
                       "Iteration 2, lr = 0.25",
                       "Iteration 4, loss = 0.015625",
                       "Iteration 4, Testing net (#0)",
                       "Test loss: 0.015625",
                       "    Test net output #0: loss = 0.0078125 (* 2 = 0.015625 loss)",
                       "    Test net output #1: tested = 5",
                       "Optimization Done.",
                   }));
}

TYPED_TEST(SolverTest, TestsWhenAsked) {
  const auto tests = [this](const string& text) {
    const auto solver = this->Make("max_iter: 3 test_iter: 1 " + text);
    this->log_.Clear();
    solver->Solve();
    return this->log_.Starting("Iteration");
  };
  EXPECT_EQ(tests("test_interval: 3"),
            (vector<string>{"Iteration 0, Testing net (#0)", "Iteration 3, Testing net (#0)"}));
  EXPECT_EQ(tests("test_interval: 3 test_initialization: false"),
            vector<string>{"Iteration 3, Testing net (#0)"});
  EXPECT_EQ(tests("test_interval: 2 test_initialization: false test_iter: 1"),
            (vector<string>{"Iteration 2, Testing net (#0)", "Iteration 2, Testing net (#1)"}));
}

TYPED_TEST(SolverTest, TestNetsUseTheTrainedWeights) {
  const auto solver = this->Make("test_iter: 1 test_interval: 2");
  solver->Step(3);
  EXPECT_EQ(solver->test_nets()[0]->params()[0]->cpu_data(), solver->net()->params()[0]->cpu_data());
}

namespace {

// Sets the batch of a scalar net before each pass.
template <typename Dtype>
class SetTarget : public Net<Dtype>::Callback {
 public:
  SetTarget(Net<Dtype>* net, std::deque<Dtype> values) : net_(net), values_(values) {
    net->add_before_forward(this);
  }

 protected:
  void run(int layer) override {
    if (layer != 2 || values_.empty()) return;
    net_->blob_by_name("y")->mutable_cpu_data()[0] = values_.front();
    values_.pop_front();
  }

 private:
  Net<Dtype>* net_;
  std::deque<Dtype> values_;
};

}  // namespace

TYPED_TEST(SolverTest, TestScoresAreMeans) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver = this->Make("test_iter: 4 test_interval: 1");
  SetTarget<Dtype> target(solver->test_nets()[0].get(), {1, 2, 3, 5});
  this->log_.Clear();
  solver->Step(1);
  // w = 1: losses 0, 0.5, 2, 8.
  EXPECT_TRUE(this->log_.Has("    Test net output #0: loss = 2.625 (* 2 = 5.25 loss)"));
}

TYPED_TEST(SolverTest, TheDisplayedLossIsAMean) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver = this->Make("base_lr: 0 display: 1 average_loss: 3");
  SetTarget<Dtype> target(solver->net().get(), {1, 2, 3, 4, 5});
  this->log_.Clear();
  solver->Step(5);
  vector<string> losses;
  for (const string& message : this->log_.Starting("Iteration")) {
    const size_t at = message.find("loss = ");
    if (at != string::npos) losses.push_back(message.substr(at));
  }
  // Of 0, 1, 4, 9, 16 the last three.
  EXPECT_EQ(losses,
            (vector<string>{"loss = 0", "loss = 0.5", "loss = 1.66667", "loss = 4.66667", "loss = 9.66667"}));
}

namespace {

// Keeps gradients from the weights.
template <typename Dtype>
class DropGradients : public Solver<Dtype>::Callback {
 public:
  explicit DropGradients(Solver<Dtype>* solver) : solver_(solver) {}

 protected:
  void on_start() override {}
  void on_gradients_ready() override { solver_->net()->ClearParamDiffs(); }

 private:
  Solver<Dtype>* solver_;
};

}  // namespace

TYPED_TEST(SolverTest, ALossThatIsNoNumberIsSaidOnce) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver = this->Make("display: 1 average_loss: 2");
  DropGradients<Dtype> drop(solver.get());
  solver->add_callback(&drop);
  const Dtype nan = std::numeric_limits<Dtype>::quiet_NaN();
  SetTarget<Dtype> target(solver->net().get(), {1, 2, nan, nan, 3, 3, 3});
  this->log_.Clear();
  solver->Step(7);
  EXPECT_EQ(solver->iter(), 7) << "it goes on";
  EXPECT_EQ(this->log_.Warnings(), 1);
  EXPECT_EQ(this->log_.Count("The loss is nan at iteration 2: "), 1);
  EXPECT_TRUE(this->log_.Starting("Iteration 6 (")[0].find("loss = 4") != string::npos)
      << "later means are numbers again";
}

namespace {

template <typename Dtype>
class RecordCalls : public Solver<Dtype>::Callback {
 public:
  explicit RecordCalls(Solver<Dtype>* solver) : solver_(solver) {}
  vector<string> calls;

 protected:
  void on_start() override { calls.push_back("start " + std::to_string(Gradient())); }
  void on_gradients_ready() override { calls.push_back("gradients " + std::to_string(Gradient())); }

 private:
  int Gradient() const { return static_cast<int>(solver_->net()->params()[0]->cpu_diff()[0]); }
  Solver<Dtype>* solver_;
};

}  // namespace

TYPED_TEST(SolverTest, CallbacksSeeClearedAndReadyGradients) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver = this->Make("base_lr: 0 iter_size: 2");
  RecordCalls<Dtype> record(solver.get());
  solver->add_callback(&record);
  EXPECT_EQ(solver->callbacks().size(), 1u);
  solver->Step(2);
  EXPECT_EQ(record.calls, (vector<string>{"start 0", "gradients -8", "start 0", "gradients -8"}));
}

TYPED_TEST(SolverTest, DebugInfoIsLoggedWhereItDisplays) {
  const auto solver = this->Make("display: 2 debug_info: true");
  this->log_.Clear();
  solver->Step(2);
  EXPECT_EQ(this->log_.Count("    [Forward] Layer ip, top blob ip data: "), 1);
  EXPECT_EQ(this->log_.Count("    [Backward] Layer ip, param blob 0 diff: "), 1);
}

// -------------------------------------------------------------------------------------------------- actions

namespace {

// Answers requests from a list, then NONE; counts how often it was asked.
struct Requests {
  std::deque<SolverAction::Enum> actions;
  int asked = 0;
  SolverAction::Enum Next() {
    ++asked;
    if (actions.empty()) return SolverAction::NONE;
    const SolverAction::Enum action = actions.front();
    actions.pop_front();
    return action;
  }
};

}  // namespace

TYPED_TEST(SolverTest, StopsAndSavesOnRequest) {
  const auto solver = this->Make("max_iter: 100 snapshot_after_train: true " + this->Prefix());
  EXPECT_EQ(solver->GetRequestedAction(), SolverAction::NONE);
  Requests requests{{SolverAction::NONE, SolverAction::STOP}};
  solver->SetActionFunction([&] { return requests.Next(); });
  solver->Solve();
  EXPECT_EQ(solver->iter(), 2);
  EXPECT_TRUE(this->log_.Has("Optimization stopped early."));
  EXPECT_FALSE(this->log_.Has("Optimization Done."));
  EXPECT_EQ(this->folder_.Files(), (std::set<string>{"s_iter_2.caffemodel", "s_iter_2.solverstate"}));
  requests.actions = {};
  solver->Step(1);
  EXPECT_EQ(solver->iter(), 2) << "until Solve is called again";
}

TYPED_TEST(SolverTest, SavesOnRequestAndGoesOn) {
  const auto solver = this->Make("max_iter: 3 " + this->Prefix());
  Requests requests{{SolverAction::NONE, SolverAction::SNAPSHOT}};
  solver->SetActionFunction([&] { return requests.Next(); });
  solver->Solve();
  EXPECT_EQ(solver->iter(), 3);
  EXPECT_EQ(this->folder_.Files(), (std::set<string>{"s_iter_2.caffemodel", "s_iter_2.solverstate"}));
}

TYPED_TEST(SolverTest, TestsAnswerRequestsToo) {
  const auto solver = this->Make("max_iter: 3 test_iter: 5 test_iter: 5 test_interval: 1 " + this->Prefix());
  Requests requests{{SolverAction::NONE, SolverAction::SNAPSHOT, SolverAction::STOP}};
  solver->SetActionFunction([&] { return requests.Next(); });
  solver->Solve();
  EXPECT_EQ(solver->iter(), 0);
  EXPECT_TRUE(this->log_.Has("Test interrupted."));
  EXPECT_EQ(this->log_.Count("    Test net output"), 0);
  EXPECT_FALSE(this->log_.Has("Iteration 0, Testing net (#1)"));
  EXPECT_EQ(this->folder_.Files(), (std::set<string>{"s_iter_0.caffemodel", "s_iter_0.solverstate"}));
}

// ------------------------------------------------------------------------------------------------ snapshots

TYPED_TEST(SolverTest, SnapshotsComeAtTheirIterationsAndAtTheEnd) {
  const auto files = [this](const string& text) {
    const TempFolder folder;
    const auto solver = this->Make(text + " snapshot_prefix: " + Quoted(folder / "s"));
    solver->Solve();
    return folder.Files();
  };
  EXPECT_EQ(files("max_iter: 5 snapshot: 2 snapshot_after_train: true"),
            (std::set<string>{"s_iter_2.caffemodel", "s_iter_2.solverstate", "s_iter_4.caffemodel",
                              "s_iter_4.solverstate", "s_iter_5.caffemodel", "s_iter_5.solverstate"}));
  EXPECT_EQ(files("max_iter: 4 snapshot: 4 snapshot_after_train: true"),
            (std::set<string>{"s_iter_4.caffemodel", "s_iter_4.solverstate"}));
  EXPECT_EQ(files("max_iter: 5 snapshot: 4"),
            (std::set<string>{"s_iter_4.caffemodel", "s_iter_4.solverstate"}));
  EXPECT_EQ(files("max_iter: 5"), std::set<string>());
#ifdef USE_HDF5
  EXPECT_EQ(files("max_iter: 1 snapshot: 1 snapshot_format: HDF5"),
            (std::set<string>{"s_iter_1.caffemodel.h5", "s_iter_1.solverstate.h5"}));
  EXPECT_EQ(this->log_.Count("Snapshotting to HDF5 file "), 1);
  EXPECT_EQ(this->log_.Count("Snapshotting solver state to HDF5 file "), 1);
#endif
  EXPECT_GT(this->log_.Count("Snapshotting to binary proto file "), 0);
  EXPECT_GT(this->log_.Count("Snapshotting solver state to binary proto file "), 0);
}

TYPED_TEST(SolverTest, SnapshotsHoldWhatTheySay) {
  const auto solver = this->Make("momentum: 0.5 snapshot_diff: true " + this->Prefix());
  solver->Step(2);
  solver->Snapshot();
  SolverState state;
  ReadProtoFromBinaryFileOrDie(this->folder_ / "s_iter_2.solverstate", &state);
  EXPECT_EQ(state.iter(), 2);
  EXPECT_EQ(state.learned_net(), this->folder_ / "s_iter_2.caffemodel");
  EXPECT_EQ(state.history_size(), 1);
  NetParameter net;
  ReadProtoFromBinaryFileOrDie(state.learned_net(), &net);
  EXPECT_EQ(net.layer(2).name(), "ip");
  const BlobProto& blob = net.layer(2).blobs(0);
  EXPECT_EQ(blob.diff_size() + blob.double_diff_size(), 1);
}

TYPED_TEST(SolverTest, FoldersThatTakeNoSnapshotsAreSaidBeforeTraining) {
  const string nowhere = "snapshot_prefix: " + Quoted(this->folder_ / "none/s");
  const string at_start = this->MakeError(ScalarSolver("snapshot: 5 " + nowhere));
  EXPECT_TRUE(Contains(at_start, "cannot write to snapshot_prefix '" + (this->folder_ / "none/s") + "'"));
  EXPECT_TRUE(Contains(at_start, "make sure that the folder exists"));

  const auto solver = this->Make("max_iter: 3 snapshot_after_train: true " + nowhere);
  EXPECT_TRUE(Contains(ErrorOf([&] { solver->Solve(); }), "cannot write to snapshot_prefix"));
  EXPECT_EQ(solver->iter(), 0);
}

TYPED_TEST(SolverTest, AFullDiskLosesNothingSaved) {
  typedef typename TypeParam::Dtype Dtype;
  vector<string> extensions = {""};
#ifdef USE_HDF5
  extensions.push_back(".h5");
#endif
  for (const string& extension : extensions) {
    const TempFolder folder;
    const auto solver = this->Make("momentum: 0.5 snapshot_prefix: " + Quoted(folder / "s") +
                                   " snapshot_format: " + (extension.empty() ? "BINARYPROTO" : "HDF5"));
    solver->Snapshot();
    const string model = folder.Load("s_iter_0.caffemodel" + extension);
    const string state = folder.Load("s_iter_0.solverstate" + extension);
    const std::set<string> files = folder.Files();
    solver->net()->params()[0]->mutable_cpu_data()[0] = 77;
    string error;
    {
      const FileSizeLimit limit(20);
      error = ErrorOf([&] { solver->Snapshot(); });
    }
    EXPECT_TRUE(Contains(error, folder / ("s_iter_0.caffemodel" + extension)));
    EXPECT_TRUE(Contains(error, "File too large"));
    EXPECT_EQ(folder.Load("s_iter_0.caffemodel" + extension), model);
    EXPECT_EQ(folder.Load("s_iter_0.solverstate" + extension), state);
    EXPECT_EQ(folder.Files(), files);
    solver->Restore((folder / ("s_iter_0.solverstate" + extension)).c_str());
    EXPECT_EQ(Weight<Dtype>(solver.get()), 1);
  }
}

// ------------------------------------------------------------------------------------------------- restoring

TYPED_TEST(SolverTest, SolveResumes) {
  typedef typename TypeParam::Dtype Dtype;
  const auto first = this->Make("max_iter: 2 snapshot_after_train: true " + this->Prefix());
  first->Solve();
  const auto second = this->Make("max_iter: 3 " + this->Prefix());
  const string state = this->folder_ / "s_iter_2.solverstate";
  second->Solve(state);
  EXPECT_TRUE(this->log_.Has("Restoring previous solver status from " + state));
  EXPECT_EQ(second->iter(), 3);
  EXPECT_NEAR(Weight<Dtype>(second.get()), 2.75, 1e-6);
}

TYPED_TEST(SolverTest, SnapshotsMayMove) {
  typedef typename TypeParam::Dtype Dtype;
  vector<string> extensions = {""};
#ifdef USE_HDF5
  extensions.push_back(".h5");
#endif
  for (const string& extension : extensions) {
    const TempFolder folder;
    fs::create_directories(folder / "run");
    {
      const WorkingFolder here(folder.path());
      const auto solver = this->Make(string("snapshot_prefix: 'run/s' snapshot_format: ") +
                                     (extension.empty() ? "BINARYPROTO" : "HDF5"));
      solver->Step(1);
      solver->Snapshot();
    }
    const auto restored = this->Make("");
    restored->Restore((folder / ("run/s_iter_1.solverstate" + extension)).c_str());
    EXPECT_NEAR(Weight<Dtype>(restored.get()), 2, 1e-6) << "from another working folder";

    fs::remove(folder / ("run/s_iter_1.caffemodel" + extension));
    const string error =
        ErrorOf([&] { restored->Restore((folder / ("run/s_iter_1.solverstate" + extension)).c_str()); });
    EXPECT_TRUE(Contains(error, folder / ("run/s_iter_1.solverstate" + extension)));
    EXPECT_TRUE(Contains(error, "'run/s_iter_1.caffemodel" + extension + "', are missing"));
  }
}

TYPED_TEST(SolverTest, RefusedStatesChangeNothing) {
  typedef typename TypeParam::Dtype Dtype;
  const auto saved = this->Make("momentum: 0.5 " + this->Prefix());
  saved->Step(3);
  saved->Snapshot();
  const string whole = this->folder_.Load("s_iter_3.solverstate");
  const string model = this->folder_.Load("s_iter_3.caffemodel");

  const auto solver = this->Make("momentum: 0.5");
  solver->Step(1);
  const auto refuse = [&](const string& file, const string& reason) {
    SCOPED_TRACE(file);
    const string error = ErrorOf([&] { solver->Restore(file.c_str()); });
    EXPECT_TRUE(Contains(error, file));
    EXPECT_TRUE(Contains(error, reason));
    EXPECT_EQ(solver->iter(), 1);
    EXPECT_NEAR(Weight<Dtype>(solver.get()), 2, 1e-6);
    EXPECT_NEAR(solver->history()[0]->cpu_data()[0], -1, 1e-6);
  };
  refuse(this->folder_ / "none.solverstate", "No such file");
  refuse(this->folder_.Save("cut.solverstate", whole.substr(0, whole.size() - 3)), "");
  refuse(this->folder_.Save("text.solverstate", "iter: 3"), "");
  refuse(this->folder_.Save("empty.solverstate", ""), "the file is empty");
  refuse(this->folder_ / "s_iter_3.caffemodel", "");

  const auto changed = [&](const string& name, const std::function<void(SolverState*)>& change) {
    SolverState state;
    state.ParseFromString(whole);
    state.clear_checksum();
    change(&state);
    return this->folder_.Save(name, state.SerializeAsString());
  };
  refuse(changed("no_iter.solverstate", [](SolverState* state) { state->clear_iter(); }), "no solver state");
  refuse(changed("more.solverstate", [](SolverState* state) { state->add_history(); }),
         "another number of history blobs");
  refuse(
      changed("shape.solverstate",
              [](SolverState* state) { Blob<float>(vector<int>{2, 2}).ToProto(state->mutable_history(0)); }),
      "history blob 0: ");
  refuse(changed("negative.solverstate", [](SolverState* state) { state->set_iter(-1); }),
         "negative iteration");

  // The state is whole, its weights are not.
  this->folder_.Save("s_iter_3.caffemodel", model.substr(0, model.size() - 3));
  const string error = ErrorOf([&] { solver->Restore((this->folder_ / "s_iter_3.solverstate").c_str()); });
  EXPECT_TRUE(Contains(error, "s_iter_3.caffemodel"));
  EXPECT_EQ(solver->iter(), 1);
  EXPECT_NEAR(Weight<Dtype>(solver.get()), 2, 1e-6);
}

#ifdef USE_HDF5

TYPED_TEST(SolverTest, RefusedHDF5StatesChangeNothing) {
  typedef typename TypeParam::Dtype Dtype;
  const auto saved = this->Make("momentum: 0.5 snapshot_format: HDF5 " + this->Prefix());
  saved->Step(3);
  saved->Snapshot();
  const string whole = this->folder_.Load("s_iter_3.solverstate.h5");
  const auto error = [&](SGDSolver<Dtype>* solver, const string& file) {
    const string text = ErrorOf([&] { solver->Restore(file.c_str()); });
    EXPECT_TRUE(Contains(text, file));
    EXPECT_EQ(solver->iter(), 0);
    EXPECT_EQ(Weight<Dtype>(solver), 1);
    return text;
  };
  const auto solver = this->Make("momentum: 0.5");
  EXPECT_TRUE(Contains(error(solver.get(), this->folder_.Save("cut.h5", whole.substr(0, whole.size() / 2))),
                       "not a whole HDF5 file"));
  EXPECT_TRUE(
      Contains(error(solver.get(), this->folder_ / "s_iter_3.caffemodel.h5"), "has no group '/history'"));
  const auto adam = this->Make("type: 'Adam' momentum: 0.5");
  EXPECT_TRUE(Contains(error(adam.get(), this->folder_ / "s_iter_3.solverstate.h5"),
                       "another number of history blobs"));
}

#endif  // USE_HDF5

TEST(RealSolverTest, AStateOf2014Continues) {
  const string folder = SharedData("models/lenet-2014");
  if (folder.empty()) GTEST_SKIP() << "no shared data";
  const LogCapture quiet;
  NetParameter net;
  ReadNetParamsFromTextFileOrDie(folder + "/lenet.prototxt", &net);
  SolverParameter param;
  ReadSolverParamsFromTextFileOrDie(folder + "/lenet_solver.prototxt", &param);
  param.clear_net();
  param.clear_test_iter();
  param.clear_snapshot();
  *param.mutable_train_net_param() = net;
  SGDSolver<float> solver(param);
  solver.Restore((folder + "/lenet_iter_10000.solverstate").c_str());
  EXPECT_EQ(solver.iter(), 10000);
  EXPECT_EQ(solver.net()->params()[0]->shape(), (vector<int>{20, 1, 5, 5}))
      << "the shapes of old are four axes";
  EXPECT_GT(solver.net()->params()[7]->asum_data(), 0) << "the last bias";
  EXPECT_GT(solver.history()[7]->asum_data(), 0);
}

// ------------------------------------------------------------------------------------------------ finetuning

TYPED_TEST(SolverTest, StartsFromGivenWeights) {
  typedef typename TypeParam::Dtype Dtype;
  const auto source = this->Make(this->Prefix());
  source->Step(1);
  source->Snapshot();
  source->Step(1);
  source->Snapshot();
  const string first = this->folder_ / "s_iter_1.caffemodel";
  const string second = this->folder_ / "s_iter_2.caffemodel";
  this->log_.Clear();
  const auto tuned = this->Make("test_iter: 1 test_interval: 1 weights: " + Quoted(first + ", " + second));
  EXPECT_NEAR(Weight<Dtype>(tuned.get()), 2.5, 1e-6) << "the last one counts";
  EXPECT_EQ(this->log_.Count("Finetuning from " + first), 2) << "for both nets";
  EXPECT_EQ(this->log_.Count("Finetuning from " + second), 2);
  const auto repeated = this->Make("weights: " + Quoted(second) + " weights: " + Quoted(first));
  EXPECT_NEAR(Weight<Dtype>(repeated.get()), 2, 1e-6);

  EXPECT_TRUE(Contains(this->MakeError(ScalarSolver("weights: 'none.caffemodel'")), "none.caffemodel"));
}

}  // namespace caffe
