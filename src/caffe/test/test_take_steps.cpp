// Updates of all parameters of a net together.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "caffe/sgd_solvers.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "gpu_test_util.hpp"
#include "solver_test_util.hpp"

#ifndef CPU_ONLY

namespace caffe {

namespace {

/// Of none to several blocks of a kernel.
const vector<int>& Sizes() {
  static const vector<int> sizes = {0, 1, 3, 4, 64, 255, 1027, 2048, 4096, 4097, 13001};
  return sizes;
}

/// A solver of `count` parameters, which nobody computes gradients of. Rates and decays are of `kinds` kinds.
template <typename Dtype>
std::unique_ptr<SGDSolver<Dtype>> SolverOfParameters(const string& text, int count, int kinds) {
  string layers;
  for (int i = 0; i < count; ++i) {
    const string name = "'p" + std::to_string(i) + "'";
    const string rate = std::to_string(i % kinds), decay = std::to_string((i + 1) % kinds);
    layers += "layer { name: " + name + " type: 'Parameter' top: " + name + " param { lr_mult: " + rate +
              " decay_mult: " + decay +
              " } parameter_param { shape { dim: " + std::to_string(Sizes()[i % Sizes().size()]) + " } } } ";
  }
  return MakeSolver<Dtype>(FromText<SolverParameter>("lr_policy: 'fixed' snapshot_after_train: false " +
                                                     text + " net_param { " + layers + "}"));
}

/// Moves a parameter and its gradient on the GPU to memory that begins `offset` elements behind an address
/// that is aligned. @return the memory of the gradient, with an element before and one behind it.
template <typename Dtype>
shared_ptr<SyncedMemory> MoveTo(int offset, Blob<Dtype>* param) {
  const size_t bytes = (offset + param->count() + 1) * sizeof(Dtype);
  const auto data = std::make_shared<SyncedMemory>(bytes), diff = std::make_shared<SyncedMemory>(bytes);
  param->set_gpu_data(static_cast<Dtype*>(data->mutable_gpu_data()) + offset, data);
  param->diff()->set_gpu_data(static_cast<Dtype*>(diff->mutable_gpu_data()) + offset, diff);
  return diff;
}

}  // namespace

template <typename Dtype>
class TakeStepsTest : public ::testing::Test {
 protected:
  /// Values that are the same for solvers of the same parameters.
  static void Fill(SGDSolver<Dtype>* solver) {
    Caffe::set_random_seed(7);
    for (Blob<Dtype>* param : solver->net()->learnable_params()) {
      Blob<Dtype> values(param->shape());
      FillNormal(&values);
      std::copy_n(values.cpu_data(), values.count(), param->mutable_cpu_data());
      FillNormal(&values);
      std::copy_n(values.cpu_data(), values.count(), param->mutable_cpu_diff());
    }
  }

  static void ExpectGpuEqualsCpu(const string& text, int count, int kinds) {
    SCOPED_TRACE(text);
    const auto cpu = SolverOfParameters<Dtype>(text, count, kinds);
    const auto gpu = SolverOfParameters<Dtype>(text, count, kinds);
    {
      const ModeForTest mode(Caffe::GPU);
      // So that some are not aligned with their states, and some with nothing.
      for (int i = 0; i < count; ++i) MoveTo(i % 4, gpu->net()->learnable_params()[i]);
    }
    for (int step = 0; step < 3; ++step) {
      Fill(cpu.get());
      Fill(gpu.get());
      {
        const ModeForTest mode(Caffe::CPU);
        cpu->ApplyUpdate();
      }
      {
        const ModeForTest mode(Caffe::GPU);
        gpu->ApplyUpdate();
      }
      const double tolerance = sizeof(Dtype) == 8 ? 1e-12 : 1e-5;
      for (int i = 0; i < count; ++i) {
        const Blob<Dtype>&expected = *cpu->net()->learnable_params()[i],
              &param = *gpu->net()->learnable_params()[i];
        const string which = "parameter " + std::to_string(i);
        gpu_test::ExpectClose(DataOf(param), DataOf(expected), tolerance, which);
        gpu_test::ExpectClose(DiffOf(param), DiffOf(expected), tolerance, "update of " + which);
      }
      for (size_t i = 0; i < cpu->history().size(); ++i) {
        gpu_test::ExpectClose(DataOf(*gpu->history()[i]), DataOf(*cpu->history()[i]), tolerance,
                              "history " + std::to_string(i));
      }
    }
  }
};

TYPED_TEST_SUITE(TakeStepsTest, TestDtypes);

TYPED_TEST(TakeStepsTest, ParametersOfAllSizesAndAddressesGetTheUpdateOfTheCpu) {
  SKIP_WITHOUT_GPU();
  for (const string type : {"type: 'SGD' momentum: 0.9", "type: 'Nesterov' momentum: 0.9", "type: 'AdaGrad'",
                            "type: 'RMSProp' rms_decay: 0.9", "type: 'AdaDelta' momentum: 0.9 delta: 1e-3",
                            "type: 'Adam' momentum: 0.9 momentum2: 0.99"}) {
    for (const string penalty : {"L1", "L2"}) {
      this->ExpectGpuEqualsCpu(
          type + " base_lr: 0.05 weight_decay: 0.1 iter_size: 2 regularization_type: '" + penalty + "'", 23,
          3);
    }
  }
}

// More than one kernel takes, and of more kinds than it takes.
TYPED_TEST(TakeStepsTest, ManyParametersGetTheUpdateOfTheCpu) {
  SKIP_WITHOUT_GPU();
  this->ExpectGpuEqualsCpu("type: 'SGD' momentum: 0.9 base_lr: 0.05 weight_decay: 0.1", 260, 2);
  this->ExpectGpuEqualsCpu("type: 'Adam' base_lr: 0.05 weight_decay: 0.1", 40, 11);
}

TYPED_TEST(TakeStepsTest, GradientsAreClearedAndNothingBesides) {
  SKIP_WITHOUT_GPU();
  const auto solver = SolverOfParameters<TypeParam>("", 260, 1);
  const ModeForTest mode(Caffe::GPU);
  const vector<Blob<TypeParam>*>& params = solver->net()->learnable_params();
  vector<shared_ptr<SyncedMemory>> diffs;
  for (size_t i = 0; i < params.size(); ++i) {
    diffs.push_back(MoveTo(1 + i % 4, params[i]));
    auto* const values = static_cast<TypeParam*>(diffs.back()->mutable_cpu_data());
    std::fill_n(values, diffs.back()->size() / sizeof(TypeParam), TypeParam(3));
    diffs.back()->gpu_data();
  }
  solver->net()->ClearParamDiffs();
  for (size_t i = 0; i < params.size(); ++i) {
    const auto begin = static_cast<int>(1 + i % 4), count = params[i]->count();
    EXPECT_EQ(DiffOf(*params[i]), vector<TypeParam>(count, 0)) << i;
    // It has changed behind the back of the memory around it.
    diffs[i]->mutable_gpu_data();
    const auto* const values = static_cast<const TypeParam*>(diffs[i]->cpu_data());
    EXPECT_EQ(values[begin - 1], 3) << i;
    EXPECT_EQ(values[begin + count], 3) << i;
  }
}

#ifdef CAFFE_GPU_EMULATOR

// As many parameters as AlexNet has with its batch norms, and more.
TYPED_TEST(TakeStepsTest, ManyParametersAreOneLaunch) {
  const ModeForTest mode(Caffe::GPU);
  for (const string type : {"SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"}) {
    const auto solver =
        SolverOfParameters<TypeParam>("type: '" + type + "' base_lr: 0.1 weight_decay: 0.1 momentum: " +
                                          (type == "AdaGrad" || type == "RMSProp" ? "0" : "0.9"),
                                      48, 3);
    solver->net()->ClearParamDiffs();
    solver->ApplyUpdate();  // Takes memory.
    EXPECT_EQ(CountOnGpu([&] { solver->net()->ClearParamDiffs(); }), 1u) << type << ": clearing gradients";
    EXPECT_EQ(CountOnGpu([&] { solver->ApplyUpdate(); }), 1u) << type << ": the update";
  }
}

#endif  // CAFFE_GPU_EMULATOR

}  // namespace caffe

#endif  // !CPU_ONLY
