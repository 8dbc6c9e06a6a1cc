// What is left of a run that ends before its time, and how it goes on.
#include "caffe/util/snapshots.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/atomic_file.hpp"
#include "caffe/util/crc32.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/math_functions.hpp"
#include "log_capture.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace fs = std::filesystem;

namespace {

// With all that is random in a net without files: fillers before each pass, and dropout.
const char kNet[] = R"(name: 'random'
  layer { name: 'data' type: 'DummyData' top: 'x' top: 'y' dummy_data_param {
          shape { dim: 4 dim: 5 } shape { dim: 4 dim: 2 } data_filler { type: 'gaussian' } data_filler { value: 1 } } }
  layer { name: 'drop' type: 'Dropout' bottom: 'x' top: 'drop' }
  layer { name: 'ip' type: 'InnerProduct' bottom: 'drop' top: 'ip'
          inner_product_param { num_output: 2 weight_filler { type: 'gaussian' std: 0.5 } } }
  layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'y' top: 'loss' })";

// Does something to the training net before the first layer of a pass.
template <typename Dtype>
class BeforePass : public Net<Dtype>::Callback {
 public:
  BeforePass(Net<Dtype>* net, std::function<void(int pass)> action) : action_(std::move(action)) {
    net->add_before_forward(this);
  }

 protected:
  void run(int layer) override {
    if (layer == 0) action_(pass_++);
  }

 private:
  std::function<void(int)> action_;
  int pass_ = 0;
};

// Does something when all gradients of a pass are there.
template <typename Dtype>
class AfterBackward : public Net<Dtype>::Callback {
 public:
  AfterBackward(Net<Dtype>* net, std::function<void()> action) : action_(std::move(action)) {
    net->add_after_backward(this);
  }

 protected:
  void run(int layer) override {
    if (layer == 0) action_();
  }

 private:
  std::function<void()> action_;
};

}  // namespace

template <typename Dtype>
class SnapshotsTest : public ::testing::Test {
 protected:
  std::unique_ptr<SGDSolver<Dtype>> Make(const string& text) const {
    SolverParameter param = FromText<SolverParameter>(
        "base_lr: 0.05 lr_policy: 'fixed' momentum: 0.9 random_seed: 5 snapshot_after_train: false "
        "net_param { " +
        string(kNet) + " }");
    param.set_snapshot_prefix(folder_ / "s");
    param.MergeFrom(FromText<SolverParameter>(text));
    return MakeSolver<Dtype>(param);
  }

  string Newest() const { return NewestSnapshot(folder_ / "s"); }
  string State(int iter) const { return folder_ / ("s_iter_" + std::to_string(iter) + ".solverstate"); }
  string Weights(int iter) const { return folder_ / ("s_iter_" + std::to_string(iter) + ".caffemodel"); }
  /// The files of snapshots of these iterations.
  static std::set<string> FilesOf(const std::set<int>& iters, const string& kind = "") {
    std::set<string> files;
    for (int iter : iters) {
      files.insert("s" + kind + "_iter_" + std::to_string(iter) + ".caffemodel");
      files.insert("s" + kind + "_iter_" + std::to_string(iter) + ".solverstate");
    }
    return files;
  }
  vector<Dtype> WeightsAfter(int iters, const string& text = "") const {
    const auto solver = Make(text);
    solver->Step(iters);
    return AllWeights<Dtype>(solver.get());
  }
  /// A byte of a file becomes another one.
  void Damage(const string& file) const {
    const string name = fs::path(file).filename().string();
    string content = folder_.Load(name);
    content[content.size() / 2] ^= 1;
    folder_.Save(name, content);
  }

  LogCapture log_;
  TempFolder folder_;
};

TYPED_TEST_SUITE(SnapshotsTest, TestDtypes);

TEST(Crc32Test, IsThatOfZlib) {
  EXPECT_EQ(Crc32::Of("123456789", 9), 0xcbf43926u);
  Crc32 crc;
  crc.Add("1234", 4);
  crc.Add("56789", 5);
  EXPECT_EQ(crc.value(), 0xcbf43926u) << "in pieces";
  EXPECT_EQ(Crc32().value(), 0u);
}

// ------------------------------------------------------------------------------------------------- the
// newest

TYPED_TEST(SnapshotsTest, TheNewestIsTheOneThatWasSavedLast) {
  EXPECT_EQ(this->Newest(), "");
  EXPECT_EQ(this->log_.Count("There is no snapshot " + (this->folder_ / "s") + "_iter_N"), 1);
  const auto first = this->Make("");
  first->Step(12);
  first->Snapshot();
  EXPECT_EQ(this->Newest(), this->State(12));
  const auto second = this->Make("");
  second->Step(9);
  second->Snapshot();
  EXPECT_EQ(this->Newest(), this->State(9)) << "a later run that has not come so far";
  second->Step(1);
  second->Snapshot();
  EXPECT_EQ(this->Newest(), this->State(10));
  EXPECT_EQ(this->log_.Warnings(), 0);

  const WorkingFolder here(this->folder_.path());
  EXPECT_EQ(NewestSnapshot("s"), "s_iter_10.solverstate");
  EXPECT_TRUE(Contains(ErrorOf([] { NewestSnapshot(""); }), "snapshot_prefix"));
  EXPECT_EQ(NewestSnapshot(this->folder_ / "none/s"), "");
}

TYPED_TEST(SnapshotsTest, OtherFilesAreNoSnapshots) {
  for (const char* name :
       {"s_iter_5.caffemodel", "s_iter_.solverstate", "s_iter_7.solverstate.bak", "s_iter_x.solverstate",
        "s_iter_99999999999.solverstate", "t_iter_5.solverstate", "s_nan_iter_5.solverstate"}) {
    this->folder_.Save(name, "no snapshot");
  }
  EXPECT_EQ(this->Newest(), "");
  EXPECT_EQ(this->log_.Warnings(), 0);
}

TYPED_TEST(SnapshotsTest, DamagedOnesArePassedOver) {
  vector<string> endings = {""};
#ifdef USE_HDF5
  endings.push_back(".h5");
#endif
  for (const string& ending : endings) {
    const TempFolder folder;
    SolverParameter param = FromText<SolverParameter>(
        "base_lr: 0.05 lr_policy: 'fixed' random_seed: 5 net_param { " + string(kNet) + " }");
    param.set_snapshot_prefix(folder / "s");
    if (!ending.empty()) param.set_snapshot_format(SolverParameter::HDF5);
    const auto solver = MakeSolver<TypeParam>(param);
    for (int i = 0; i < 6; ++i) {
      solver->Step(1);
      solver->Snapshot();
    }
    const auto name = [&](int iter, const string& what) {
      return "s_iter_" + std::to_string(iter) + what + ending;
    };
    const auto cut = [&](const string& file, size_t bytes) {
      const string content = folder.Load(file);
      folder.Save(file, content.substr(0, content.size() - bytes));
    };
    cut(name(6, ".solverstate"), 30);
    cut(name(5, ".caffemodel"), 3);
    fs::remove(folder / name(4, ".caffemodel"));
    string weights = folder.Load(name(3, ".caffemodel"));
    weights[weights.size() - 9] ^= 4;
    folder.Save(name(3, ".caffemodel"), weights);
    this->log_.Clear();
    EXPECT_EQ(NewestSnapshot(folder / "s"), folder / name(2, ".solverstate"));
    EXPECT_EQ(this->log_.Warnings(), 4);
    for (int iter = 3; iter <= 6; ++iter) {
      EXPECT_EQ(this->log_.Count("Passing over the snapshot " + (folder / name(iter, ".solverstate"))), 1);
    }
    EXPECT_EQ(solver->RestoreLatest(), folder / name(2, ".solverstate"));
    EXPECT_EQ(solver->iter(), 2);
    EXPECT_TRUE(Contains(ErrorOf([&] { solver->Restore((folder / name(3, ".solverstate")).c_str()); }),
                         "are not those that belong to this state, or are damaged"));
  }
}

TYPED_TEST(SnapshotsTest, AFlippedBitOfAStateIsSeen) {
  const auto solver = this->Make("snapshot: 1");
  solver->Step(2);
  this->Damage(this->State(2));
  EXPECT_EQ(this->Newest(), this->State(1));
  EXPECT_TRUE(Contains(ErrorOf([&] { solver->Restore(this->State(2).c_str()); }), "checksum does not match"));
  EXPECT_EQ(solver->iter(), 2);
}

TYPED_TEST(SnapshotsTest, StatesOfCaffeAreFoundToo) {
  const auto solver = this->Make("snapshot: 1");
  solver->Step(3);
  for (int iter = 1; iter <= 3; ++iter) {
    SolverState state, of_caffe;
    ReadSolverState(this->State(iter), &state);
    of_caffe.set_iter(state.iter());
    of_caffe.set_learned_net(state.learned_net());
    *of_caffe.mutable_history() = state.history();
    WriteProtoToBinaryFile(of_caffe, this->State(iter));
    // What the file system says of them is all there is.
    fs::last_write_time(this->State(iter), fs::file_time_type::clock::now() + std::chrono::hours(iter));
  }
  EXPECT_EQ(this->Newest(), this->State(3));
  this->folder_.Save("s_iter_3.caffemodel", this->folder_.Load("s_iter_3.caffemodel").substr(0, 40));
  EXPECT_EQ(this->Newest(), this->State(2));
  solver->Restore(this->State(2).c_str());
  EXPECT_EQ(this->log_.Count("The state tells neither the place in the data nor the random numbers"), 1);
}

TYPED_TEST(SnapshotsTest, LeftoversOfKilledWritesGo) {
  this->folder_.Save(".caffe-17-4.tmp", "half of a snapshot");
  this->folder_.Save(".caffe-17-x.tmp", "the user's own");
  this->folder_.Save(".caffe-.tmp", "and this");
  AtomicFile written(this->folder_ / "weights");
  const string in_use = fs::path(written.temp_path()).filename().string();
  this->Make("snapshot: 1");
  EXPECT_EQ(this->folder_.Files(), (std::set<string>{".caffe-17-x.tmp", ".caffe-.tmp", in_use}));
  written.Commit();
  EXPECT_EQ(this->folder_.Files(), (std::set<string>{".caffe-17-x.tmp", ".caffe-.tmp", "weights"}));
}

// -----------------------------------------------------------------------------------------------
// snapshot_keep

TYPED_TEST(SnapshotsTest, SoManyAreKept) {
  const std::set<string> others = {"s_iter_1.caffemodel.bak", "s_iter_1.solverstate.txt",
                                   "s_iter_77.solverstate",   "s_iter_77.caffemodel",
                                   "t_iter_1.solverstate",    "s_iter_1",
                                   "s_iter_1.caffemodel.h5"};
  for (const string& name : others) this->folder_.Save(name, "not of this run");
  const auto files = [&](const std::set<int>& iters) {
    std::set<string> all = this->FilesOf(iters);
    all.insert(others.begin(), others.end());
    return all;
  };
  const auto solver = this->Make("max_iter: 7 snapshot: 1 snapshot_keep: 3");
  solver->Step(2);
  EXPECT_EQ(this->folder_.Files(), files({1, 2}));
  solver->Solve();
  EXPECT_EQ(this->folder_.Files(), files({5, 6, 7}));
  solver->Snapshot();
  EXPECT_EQ(this->folder_.Files(), files({5, 6, 7})) << "the same once more";

  // Of the run, not of the process; and not of what it has not come to.
  const auto next = this->Make("max_iter: 9 snapshot: 2 snapshot_keep: 2");
  next->Restore(this->State(6).c_str());
  next->Solve();
  EXPECT_EQ(this->folder_.Files(), files({6, 7, 8}));

  const auto elsewhere = this->Make("max_iter: 9 snapshot: 1 snapshot_keep: 1 snapshot_prefix: '" +
                                    (this->folder_ / "other") + "'");
  elsewhere->Restore(this->State(8).c_str());
  elsewhere->Solve();
  std::set<string> with_others = files({6, 7, 8});
  with_others.insert({"other_iter_9.caffemodel", "other_iter_9.solverstate"});
  EXPECT_EQ(this->folder_.Files(), with_others);
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Make("snapshot_keep: -1"); }), "snapshot_keep"));
}

// ----------------------------------------------------------------------------------------------------
// failures

TYPED_TEST(SnapshotsTest, AFailedPassSavesItsStart) {
  const vector<TypeParam> expected = this->WeightsAfter(8, "iter_size: 2");
  const auto solver = this->Make("snapshot: 3 iter_size: 2");
  {
    BeforePass<TypeParam> fail(solver->net().get(), [](int pass) {
      if (pass == 9) throw Error("the disk has gone");
    });
    EXPECT_EQ(ErrorOf([&] { solver->Step(8); }), "the disk has gone");
    EXPECT_EQ(solver->iter(), 4);
    EXPECT_EQ(this->folder_.Files(), this->FilesOf({3, 4})) << "in the second half of iteration 4";
  }
  const auto resumed = this->Make("snapshot: 3 iter_size: 2");
  EXPECT_EQ(resumed->RestoreLatest(), this->State(4));
  resumed->Step(4);
  EXPECT_EQ(AllWeights<TypeParam>(resumed.get()), expected);
}

TYPED_TEST(SnapshotsTest, AFailedPassSavesNothingThatIsNotWanted) {
  const auto solver = this->Make("");
  BeforePass<TypeParam> fail(solver->net().get(), [](int) { throw Error("gone"); });
  EXPECT_EQ(ErrorOf([&] { solver->Step(1); }), "gone");
  EXPECT_EQ(this->folder_.Files(), std::set<string>()) << "a solver without snapshots";

  const auto asked = this->Make("snapshot: 100 test_iter: 1 test_interval: 1");
  asked->SetActionFunction([]() -> SolverAction::Enum { throw Error("interrupted"); });
  EXPECT_EQ(ErrorOf([&] { asked->Step(1); }), "interrupted");
  EXPECT_EQ(this->folder_.Files(), std::set<string>()) << "who asks is no failure of training";
}

TYPED_TEST(SnapshotsTest, ASnapshotWhileTestingIsOfTheStart) {
  const string with_tests = "test_iter: 3 test_interval: 2 ";
  const vector<TypeParam> expected = this->WeightsAfter(6, with_tests);
  const auto solver = this->Make(with_tests);
  int asked = 0;
  solver->SetActionFunction([&] { return ++asked == 7 ? SolverAction::SNAPSHOT : SolverAction::NONE; });
  solver->Step(4);
  ASSERT_EQ(this->folder_.Files(), this->FilesOf({2}));
  const auto resumed = this->Make(with_tests);
  resumed->RestoreLatest();
  resumed->Step(4);
  EXPECT_EQ(AllWeights<TypeParam>(resumed.get()), expected);
}

TYPED_TEST(SnapshotsTest, AFullDiskDelaysSnapshots) {
  const auto solver = this->Make("snapshot: 20 max_iter: 50 snapshot_after_train: true");
  solver->Step(20);
  {
    const FileSizeLimit limit(20);
    solver->Step(20);
    EXPECT_EQ(solver->iter(), 40) << "training goes on";
    EXPECT_EQ(this->folder_.Files(), this->FilesOf({20}));
    EXPECT_EQ(this->log_.Count("The snapshot of iteration 40 failed: "), 1);
    EXPECT_TRUE(Contains(this->log_.Starting("The snapshot of iteration 40 failed: ")[0], this->Weights(40)));
    EXPECT_TRUE(Contains(this->log_.Starting("The snapshot of iteration 40 failed: ")[0], "at iteration 42"));
    solver->Step(3);
    EXPECT_EQ(this->log_.Count("The snapshot of iteration 42 failed: "), 1);
  }
  solver->Step(2);
  EXPECT_EQ(this->folder_.Files(), this->FilesOf({20, 44}));
  const FileSizeLimit limit(20);
  EXPECT_TRUE(Contains(ErrorOf([&] { solver->Solve(); }), this->Weights(50))) << "the last one must succeed";
}

// -----------------------------------------------------------------------------------------------------
// numbers

TYPED_TEST(SnapshotsTest, ADivergedLossStops) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const auto solver = this->Make("snapshot: 2 snapshot_keep: 1 stop_on_nan: true");
  BeforePass<TypeParam> poison(solver->net().get(), [&](int pass) {
    if (pass == 4) solver->net()->blob_by_name("y")->mutable_cpu_data()[1] = nan;
  });
  const string error = ErrorOf([&] { solver->Step(9); });
  EXPECT_TRUE(Contains(error, "the loss is nan at iteration 4"));
  EXPECT_TRUE(Contains(error, this->folder_ / "s_nan_iter_4.solverstate"));
  EXPECT_TRUE(Contains(error, "base_lr"));
  EXPECT_EQ(solver->iter(), 4);
  // The snapshot of iteration 4 was there, and would be taken for a good one.
  std::set<string> files = this->FilesOf({2});
  files.merge(this->FilesOf({4}, "_nan"));
  EXPECT_EQ(this->folder_.Files(), files);
  EXPECT_EQ(this->Newest(), this->State(2));

  // What is saved is the start of that iteration: without the poison it goes on as if nothing had been.
  const auto resumed = this->Make("stop_on_nan: true");
  resumed->Restore((this->folder_ / "s_nan_iter_4.solverstate").c_str());
  resumed->Step(3);
  EXPECT_EQ(AllWeights<TypeParam>(resumed.get()), this->WeightsAfter(7));
}

TYPED_TEST(SnapshotsTest, BrokenWeightsAreNoGoodSnapshot) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const auto goes_on = this->Make("snapshot: 2 snapshot_keep: 1");
  goes_on->Step(2);
  goes_on->net()->params()[0]->mutable_cpu_data()[0] = nan;
  goes_on->Step(4);
  EXPECT_EQ(goes_on->iter(), 6);
  EXPECT_EQ(this->folder_.Files(), this->FilesOf({2, 6})) << "the last good one, and the last";
  EXPECT_EQ(this->Newest(), this->State(2));
  EXPECT_EQ(this->log_.Count("The weights of the snapshot " + this->State(6)), 1);
  EXPECT_EQ(this->log_.Count("Passing over the snapshot " + this->State(6)), 1);

  // Where it may stop, such weights are never saved as good ones: no loss has shown them yet.
  const auto stopped = this->Make("snapshot: 8 max_iter: 8 stop_on_nan: true");
  stopped->Step(7);
  AfterBackward<TypeParam> poison(
      stopped->net().get(), [&] { stopped->net()->learnable_params()[0]->mutable_cpu_diff()[0] = nan; });
  EXPECT_TRUE(Contains(ErrorOf([&] { stopped->Solve(); }),
                       "the weights hold an infinity or no number at iteration 8"));
  std::set<string> files = this->FilesOf({2, 6});
  files.merge(this->FilesOf({8}, "_nan"));
  EXPECT_EQ(this->folder_.Files(), files);
}

TYPED_TEST(SnapshotsTest, AllLearningRatesAndLossesGoOn) {
  for (const string policy :
       {"lr_policy: 'step' gamma: 0.5 stepsize: 3", "lr_policy: 'exp' gamma: 0.9",
        "lr_policy: 'inv' gamma: 0.1 power: 0.75",
        "lr_policy: 'multistep' gamma: 0.5 stepvalue: 2 stepvalue: 6",
        "lr_policy: 'poly' power: 2 max_iter: 20", "lr_policy: 'sigmoid' gamma: -0.3 stepsize: 5"}) {
    for (const string type : {"SGD", "Adam", "AdaDelta"}) {
      for (const string format : {"BINARYPROTO", "HDF5"}) {
#ifndef USE_HDF5
        if (format == "HDF5") continue;
#endif
        const string text =
            policy + " type: '" + type + "' display: 1 average_loss: 4 snapshot_format: " + format;
        this->log_.Clear();
        const auto first = this->Make(text);
        first->Step(5);
        first->Snapshot();
        first->Step(5);
        const vector<string> expected = this->log_.Starting("    Train net output #0");
        const auto second = this->Make(text);
        second->Restore(
            (this->folder_ / ("s_iter_5.solverstate" + string(format == "HDF5" ? ".h5" : ""))).c_str());
        this->log_.Clear();
        second->Step(5);
        EXPECT_EQ(AllWeights<TypeParam>(first.get()), AllWeights<TypeParam>(second.get())) << text;
        EXPECT_EQ(vector<string>(expected.end() - 5, expected.end()),
                  this->log_.Starting("    Train net output #0"));
      }
    }
  }
}

TYPED_TEST(SnapshotsTest, OtherSolversGetNewNumbers) {
  const auto root = this->Make("");
  root->Step(2);
  root->Snapshot();
  const auto next_number = [&](int rank, bool restored) {
    Caffe::set_solver_rank(rank);
    const auto solver = this->Make("");
    if (restored) solver->Restore(this->State(2).c_str());
    return caffe_rng_rand();
  };
  const unsigned int first = next_number(1, true);
  EXPECT_EQ(next_number(1, true), first) << "the same each time";
  EXPECT_NE(next_number(1, false), first) << "not those of the beginning";
  EXPECT_NE(next_number(2, true), first);
  EXPECT_NE(next_number(0, true), first) << "nor the root's";
  Caffe::set_solver_rank(0);
}

TYPED_TEST(SnapshotsTest, TheDisplayedMeanGoesOn) {
  const string text = "display: 1 average_loss: 4";
  const auto means = [this] {
    vector<string> losses;
    for (const string& message : this->log_.Starting("Iteration ")) {
      const size_t at = message.find("loss = ");
      if (at != string::npos) losses.push_back(message.substr(at));
    }
    return losses;
  };
  for (const int saved : {2, 4, 7}) {
    this->log_.Clear();
    this->Make(text)->Step(12);
    const vector<string> whole = means();
    const auto first = this->Make(text);
    first->Step(saved);
    first->Snapshot();
    const auto second = this->Make(text);
    second->Restore(this->State(saved).c_str());
    this->log_.Clear();
    second->Step(12 - saved);
    EXPECT_EQ(vector<string>(whole.begin() + saved, whole.end()), means()) << saved;
    // One Step after the other begins anew, as always.
    this->log_.Clear();
    second->Step(1);
    second->Step(1);
    EXPECT_EQ(means().size(), 2u);
  }
}

}  // namespace caffe
