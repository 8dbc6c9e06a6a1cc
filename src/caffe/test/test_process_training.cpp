#include "caffe/process_training.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/solver_share.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace {

/// What threads that stand for the processes of a group have in common.
struct Meeting {
  explicit Meeting(int size) : size(size), places(size), texts(size), numbers(size), arrays(size) {}

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex);
    const int present_round = round;
    if (++waiting == size) {
      waiting = 0;
      ++round;
      all_here.notify_all();
    }
    all_here.wait(lock, [&] { return round != present_round; });
  }

  const int size;
  std::mutex mutex;
  std::condition_variable all_here;
  int waiting = 0;
  int round = 0;
  vector<void*> places;
  vector<string> texts;
  vector<int> numbers;
  vector<vector<pair<void*, size_t>>> arrays;
};

/// A process of a group, played by a thread.
template <typename Dtype>
class ThreadOfGroup : public ProcessGroup {
 public:
  ThreadOfGroup(Meeting* meeting, int rank) : meeting_(meeting) {
    rank_ = local_rank_ = rank;
    size_ = local_size_ = meeting->size;
    host_ = "here";
  }

  void Broadcast(void* data, size_t bytes) override {
    meeting_->places[rank_] = data;
    meeting_->Wait();
    if (rank_ > 0) std::memcpy(data, meeting_->places[0], bytes);
    meeting_->Wait();
  }
  vector<string> Gather(const string& mine) override {
    meeting_->texts[rank_] = mine;
    meeting_->Wait();
    const vector<string> texts = meeting_->texts;
    meeting_->Wait();
    return texts;
  }
  int Max(int mine) override {
    meeting_->numbers[rank_] = mine;
    meeting_->Wait();
    const int largest = *std::max_element(meeting_->numbers.begin(), meeting_->numbers.end());
    meeting_->Wait();
    return largest;
  }
  void StartAverage(float* values, size_t count) override {
    meeting_->arrays[rank_].push_back({values, count});
  }
  void StartAverage(double* values, size_t count) override {
    meeting_->arrays[rank_].push_back({values, count});
  }
  void FinishAverages() override {
    meeting_->Wait();
    if (rank_ == 0) Average();
    meeting_->Wait();
    parts_ = meeting_->arrays[rank_].size();
    meeting_->arrays[rank_].clear();
  }
  void Leave() override {}
  [[noreturn]] void Abort(int) override { std::abort(); }

  /// Of the last averages.
  size_t parts() const { return parts_; }

 private:
  void Average() {
    const auto& arrays = meeting_->arrays;
    for (size_t part = 0; part < arrays[0].size(); ++part) {
      for (size_t i = 0; i < arrays[0][part].second; ++i) {
        Dtype sum = 0;
        for (const auto& of_rank : arrays) sum += static_cast<Dtype*>(of_rank.at(part).first)[i];
        for (const auto& of_rank : arrays) static_cast<Dtype*>(of_rank[part].first)[i] = sum / meeting_->size;
      }
    }
  }

  Meeting* const meeting_;
  size_t parts_ = 0;
};

/// Feeds the net of one of several solvers its items of each batch that they make up together.
template <typename Dtype>
class ShareFeeder : public Net<Dtype>::Callback {
 public:
  explicit ShareFeeder(Net<Dtype>* net) : net_(net) { net->add_before_forward(this); }

 protected:
  void run(int layer) override {
    if (layer != 0) return;
    const int batch = net_->input_blobs()[0]->num();
    Dtype* x = net_->input_blobs()[0]->mutable_cpu_data();
    Dtype* y = net_->input_blobs()[1]->mutable_cpu_data();
    for (int n = 0; n < batch; ++n) {
      const int item = first_ + Caffe::solver_rank() * batch + n;
      for (int k = 0; k < 3; ++k) *x++ = RegressionValue(item, k);
      for (int k = 3; k < 5; ++k) *y++ = RegressionValue(item, k);
    }
    first_ += Caffe::solver_count() * batch;
  }

 private:
  Net<Dtype>* net_;
  int first_ = 0;
};

SolverParameter Definition(int batch, const string& text) {
  SolverParameter param = FromText<SolverParameter>(
      "base_lr: 0.05 lr_policy: 'fixed' random_seed: 5 max_iter: 6 momentum: 0.9 "
      "snapshot_after_train: false net_param { " +
      RegressionNet(batch) + " }");
  param.MergeFrom(FromText<SolverParameter>(text));
  return param;
}

}  // namespace

template <typename Dtype>
class ProcessTrainingTest : public ::testing::Test {
 protected:
  ProcessTrainingTest() { Caffe::set_mode(Caffe::CPU); }

  using Prepare = std::function<void(int rank, SGDSolver<Dtype>* solver)>;

  /// Trains with so many solvers; all their weights, by rank.
  static vector<vector<Dtype>> Train(
      int size, const SolverParameter& param, const Prepare& prepare = [](int, SGDSolver<Dtype>*) {}) {
    Meeting meeting(size);
    vector<vector<Dtype>> weights(size);
    vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        Caffe::set_solver_count(size);
        Caffe::set_solver_rank(rank);
        Caffe::set_multiprocess(true);
        ThreadOfGroup<Dtype> group(&meeting, rank);
        shared_ptr<SGDSolver<Dtype>> solver(MakeSolver<Dtype>(rank ? DefinitionOfOthers(param) : param));
        ShareFeeder<Dtype> feeder(solver->net().get());
        prepare(rank, solver.get());
        EXPECT_EQ("", TrainingDiffers<Dtype>(solver.get(), &group));
        SolveInProcesses<Dtype>(solver, &group);
        EXPECT_TRUE(solver->callbacks().empty());
        EXPECT_TRUE(solver->net()->after_backward().empty());
        weights[rank] = AllWeights(solver.get());
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int rank = 1; rank < size; ++rank) EXPECT_EQ(weights[0], weights[rank]) << "rank " << rank;
    return weights;
  }

  static void ExpectNear(const vector<Dtype>& expected, const vector<Dtype>& weights) {
    ASSERT_EQ(expected.size(), weights.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(expected[i], weights[i], sizeof(Dtype) == 8 ? 1e-10 : 1e-4) << "weight " << i;
    }
  }

  LogCapture log_;
};

TYPED_TEST_SUITE(ProcessTrainingTest, TestDtypes);

TYPED_TEST(ProcessTrainingTest, SeveralBatchesEqualOneLargeOne) {
  for (const char* text : {"", "layer_wise_reduce: false", "iter_size: 2 clip_gradients: 0.1",
                           "type: 'Adam' momentum2: 0.99 delta: 1e-2"}) {
    SCOPED_TRACE(text);
    this->ExpectNear(this->Train(1, Definition(12, text))[0], this->Train(3, Definition(4, text))[0]);
  }
}

TYPED_TEST(ProcessTrainingTest, AllGoOnFromTheRootsState) {
  const TempFolder folder;
  const string prefix = "snapshot: 3 snapshot_prefix: '" + (folder / "train") + "'";
  const auto expected = this->Train(2, Definition(4, prefix));
  EXPECT_EQ((std::set<string>{"train_iter_3.caffemodel", "train_iter_3.solverstate",
                              "train_iter_6.caffemodel", "train_iter_6.solverstate"}),
            folder.Files());
  // The items that the first three iterations had come again: what is compared is where momentum leads.
  vector<vector<TypeParam>> resumed[2];
  for (auto& weights : resumed) {
    weights = this->Train(2, Definition(4, ""), [&](int rank, SGDSolver<TypeParam>* solver) {
      if (rank == 0) solver->Restore((folder / "train_iter_3.solverstate").c_str());
    });
  }
  EXPECT_EQ(resumed[0], resumed[1]);
  EXPECT_NE(expected, resumed[0]);
}

TYPED_TEST(ProcessTrainingTest, AnActionOfOneIsOfAll) {
  const TempFolder folder;
  int iterations[3];
  this->Train(
      3,
      Definition(4, "max_iter: 100 snapshot_after_train: true snapshot_prefix: '" + (folder / "train") + "'"),
      [&](int rank, SGDSolver<TypeParam>* solver) {
        solver->SetActionFunction([solver, rank, &iterations] {
          iterations[rank] = solver->iter();
          if (rank == 1 && solver->iter() == 2) return SolverAction::SNAPSHOT;
          return rank == 2 && solver->iter() == 4 ? SolverAction::STOP : SolverAction::NONE;
        });
      });
  for (const int iteration : iterations) EXPECT_EQ(4, iteration);
  EXPECT_EQ((std::set<string>{"train_iter_3.caffemodel", "train_iter_3.solverstate",
                              "train_iter_5.caffemodel", "train_iter_5.solverstate"}),
            folder.Files());
}

TYPED_TEST(ProcessTrainingTest, WhatDiffersIsTold) {
  typedef TypeParam Dtype;
  const auto difference = [](const SolverParameter& mine, const SolverParameter& of_root) {
    Meeting meeting(2);
    string found[2];
    vector<std::thread> threads;
    for (int rank = 0; rank < 2; ++rank) {
      threads.emplace_back([&, rank] {
        ThreadOfGroup<Dtype> group(&meeting, rank);
        const auto solver = MakeSolver<Dtype>(rank ? mine : of_root);
        found[rank] = TrainingDiffers<Dtype>(solver.get(), &group);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ("", found[0]);
    return found[1];
  };
  const SolverParameter root = Definition(4, "");
  EXPECT_EQ("", difference(DefinitionOfOthers(Definition(4, "display: 2 snapshot_prefix: 'there'")), root));
  EXPECT_EQ(
      "rank 1 (here) would train something else: it has 'max_iter: 7', where rank 0 has 'max_iter: 6'; give "
      "all processes the same solver, net and program",
      difference(Definition(4, "max_iter: 7"), root));
  SolverParameter other = root;
  other.mutable_net_param()->mutable_layer(1)->mutable_inner_product_param()->set_bias_term(false);
  other.mutable_net_param()->mutable_layer(1)->mutable_param()->RemoveLast();
  EXPECT_TRUE(Contains(difference(other, root), "it has 'layer 'ip': "));
  EXPECT_TRUE(Contains(difference(Definition(5, ""), root), "it has 'layer 'data': dim: 5'"));
}

TYPED_TEST(ProcessTrainingTest, RanksMustBeTold) {
  Meeting meeting(1);
  ThreadOfGroup<TypeParam> group(&meeting, 0);
  const shared_ptr<Solver<TypeParam>> solver(MakeSolver<TypeParam>(Definition(4, "")));
  Caffe::set_solver_count(2);
  EXPECT_TRUE(Contains(ErrorOf([&] { SolveInProcesses<TypeParam>(solver, &group); }), "set_solver_count"));
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(1);
  EXPECT_TRUE(Contains(ErrorOf([&] { SolveInProcesses<TypeParam>(solver, &group); }), "set_solver_rank"));
  Caffe::set_solver_rank(0);
}

TEST(ProcessGroupTest, ProcessorsAreShared) {
  const vector<string> affinities = {"a 0011", "a 0011", "a 1100", "b 0011", "a 0011"};
  EXPECT_EQ(2, ShareOfProcessors(affinities, 0, 6));
  EXPECT_EQ(6, ShareOfProcessors(affinities, 2, 6));
  EXPECT_EQ(6, ShareOfProcessors(affinities, 3, 6));
  EXPECT_EQ(1, ShareOfProcessors(affinities, 4, 2));
}

}  // namespace caffe
