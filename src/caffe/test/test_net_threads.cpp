#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/parallel_for.hpp"
#include "solver_test_util.hpp"

namespace caffe {

// Whole nets and solvers in several threads at a time; ThreadSanitizer sees here what the threads share.
class NetThreadsTest : public ::testing::Test {
 protected:
  NetThreadsTest() : threads_before_(ParallelThreads()) {
    SetParallelThreads(3);
    const std::unique_ptr<db::DB> database(db::GetDB(DataParameter::LMDB));
    database->Open(folder_ / "records", db::NEW);
    const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
    for (int i = 0; i < 7; ++i) {
      Datum datum;
      datum.set_channels(4);
      datum.set_height(12);
      datum.set_width(12);
      datum.set_label(i % 3);
      datum.set_data(string(4 * 12 * 12, static_cast<char>(37 * i)));
      transaction->Put(format_int(i, 3), datum.SerializeAsString());
    }
    transaction->Commit();
  }
  ~NetThreadsTest() override { SetParallelThreads(threads_before_); }

  string NetText() const {
    return R"(layer { name: "data" type: "Data" top: "data" top: "label"
        data_param { backend: LMDB batch_size: 4 source: ")" +
           folder_ / "records" + R"(" } transform_param { crop_size: 10 mirror: true scale: 0.01 } }
      layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "gaussian" std: 0.2 } } }
      layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "bn1" }
      layer { name: "quant1" type: "Quant" bottom: "bn1" top: "quant1"
        quant_param { centers: 0.538 centers: 1.076 centers: 1.614 clip_thr: 1.614 } }
      layer { name: "conv2" type: "BinaryConvolution" bottom: "quant1" top: "conv2"
        convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "gaussian" std: 0.2 } }
        binary_convolution_param { use_alpha: true } }
      layer { name: "drop" type: "Dropout" bottom: "conv2" top: "conv2" }
      layer { name: "ip" type: "InnerProduct" bottom: "conv2" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" })";
  }

  /// The weights of a solver of its own after three iterations with a snapshot among them.
  vector<float> Train(int seed) const {
    SolverParameter param = FromText<SolverParameter>(R"(base_lr: 0.05 lr_policy: "fixed" momentum: 0.9
        max_iter: 3 display: 0 snapshot: 2 test_iter: 1 test_interval: 2 snapshot_after_train: false)");
    *param.mutable_net_param() = FromText<NetParameter>(NetText());
    param.set_random_seed(seed);
    param.set_snapshot_prefix(folder_ / std::to_string(seed));
    const std::unique_ptr<SGDSolver<float>> solver = MakeSolver<float>(param);
    solver->Solve();
    return AllWeights<float>(solver.get());
  }

  template <typename Work>
  static void InThreads(int number, const Work& work) {
    vector<std::thread> threads;
    for (int i = 0; i < number; ++i) threads.emplace_back([&work, i] { work(i); });
    for (std::thread& thread : threads) thread.join();
  }

  TempFolder folder_;
  const int threads_before_;
};

TEST_F(NetThreadsTest, SolversTrainSideBySide) {
  constexpr int kSolvers = 4;
  // In threads of their own, as those below: how loops are cut is a thread's own affair.
  vector<vector<float>> alone(kSolvers), beside(kSolvers);
  for (int i = 0; i < kSolvers; ++i) std::thread([&, i] { alone[i] = Train(i + 1); }).join();
  InThreads(kSolvers, [&](int i) { beside[i] = Train(i + 1); });
  EXPECT_EQ(alone, beside);
  EXPECT_NE(alone[0], alone[1]);
}

TEST_F(NetThreadsTest, NetsAreDroppedWhileTheyReadAhead) {
  InThreads(4, [&](int i) {
    for (int round = 0; round < 5; ++round) {
      const shared_ptr<Net<float>> net = MakeNet<float>(NetText() + (i % 2 ? "state { phase: TRAIN }" : ""));
      if (round % 2) net->Forward();
    }
  });
}

TEST_F(NetThreadsTest, ANetIsMadeInOneThreadAndRunInOthers) {
  const shared_ptr<Net<float>> net = MakeNet<float>("state { phase: TRAIN } " + NetText());
  vector<float> losses;
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      SetParallelThreads(3);
      losses.push_back(net->ForwardBackward());
    }).join();
  }
  EXPECT_EQ(losses.size(), 3);
}

TEST_F(NetThreadsTest, AllThreadsLog) {
  const LogCapture log;
  InThreads(4, [](int i) {
    for (int line = 0; line < 50; ++line) LOG(WARNING) << "line " << line << " of thread " << i;
  });
  EXPECT_EQ(log.Warnings(), 200);
  EXPECT_EQ(log.Count("line 49 of thread "), 4);
}

}  // namespace caffe
