#ifndef CAFFE_TEST_GPU_TEST_UTIL_HPP_
#define CAFFE_TEST_GPU_TEST_UTIL_HPP_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "layer_test_util.hpp"
#ifdef CAFFE_GPU_EMULATOR
#include <cstdlib>

#include "gpu_emulator.h"
#include "gpu_emulator/streams.hpp"
#endif

#ifndef CPU_ONLY

namespace caffe {

/// Ends a test where there is no GPU to run it on.
#define SKIP_WITHOUT_GPU() \
  if (Caffe::FindDevice() < 0) GTEST_SKIP() << "this machine has no GPU that this build can use"

/// Computes in this mode for as long as it lives.
class ModeForTest {
 public:
  explicit ModeForTest(Caffe::Brew mode) : before_(Caffe::mode()) { Caffe::set_mode(mode); }
  ~ModeForTest() { Caffe::set_mode(before_); }

 private:
  Caffe::Brew before_;
};

#ifdef CAFFE_GPU_EMULATOR
/// How many kernels, calls of libraries, copies and the like `action` puts into streams.
template <typename Action>
uint64_t CountOnGpu(const Action& action) {
  const uint64_t before = gpu_emulator::CountOfThread();
  action();
  return gpu_emulator::CountOfThread() - before;
}
#endif

/// Lets imitated GPUs do their work only when it is waited for, for as long as it lives.
class LateGpuWorkForTest {
 public:
#ifdef CAFFE_GPU_EMULATOR
  LateGpuWorkForTest() : before_(std::getenv("CAFFE_EMULATED_GPU_LAZY") != nullptr) {
    gpu_emulator::SetLazy(true);
  }
  ~LateGpuWorkForTest() { gpu_emulator::SetLazy(before_); }

 private:
  bool before_;
#else
  LateGpuWorkForTest() {}
#endif
};

/// How a layer is run by ExpectGpuEqualsCpu.
enum class GpuRun {
  kOnGpu,    ///< may not bring bottom 0 to the host
  kInPlace,  ///< with bottom 0 as its top
  kByHost    ///< may read what it wants on the host
};

/// Sets the bottoms, which hold normal values; null leaves them.
template <typename Dtype>
using BottomFiller = std::function<void(const vector<Blob<Dtype>*>& bottoms)>;

namespace gpu_test {

template <typename Dtype>
void CopyOnHost(const Blob<Dtype>& from, Blob<Dtype>* to) {
  to->ReshapeLike(from);
  std::copy_n(from.cpu_data(), from.count(), to->mutable_cpu_data());
}

/// The newest copy of the blob's data is then on the GPU alone, as after a layer that ran there.
template <typename Dtype>
void MoveToGpu(Blob<Dtype>* blob) {
  if (blob->count() > 0) blob->mutable_gpu_data();
}

/// Elements may differ by `tolerance` times the largest magnitude of those expected.
template <typename Dtype>
void ExpectClose(const vector<Dtype>& values, const vector<Dtype>& expected, double tolerance,
                 const string& what) {
  ASSERT_EQ(expected.size(), values.size()) << what;
  double largest = 0;
  for (const Dtype value : expected) {
    if (std::isfinite(value)) largest = std::max<double>(largest, std::fabs(value));
  }
  int shown = 0;
  for (size_t i = 0; i < values.size() && shown < 5; ++i) {
    const bool same = values[i] == expected[i] || (std::isnan(values[i]) && std::isnan(expected[i])) ||
                      std::fabs(values[i] - expected[i]) <= tolerance * largest;
    EXPECT_TRUE(same) << what << ", element " << i << " of " << values.size() << ": " << values[i]
                      << " on the GPU, " << expected[i] << " on the CPU";
    shown += !same;
  }
}

}  // namespace gpu_test

/**
 * @brief Runs a layer forward and backward in both modes, with the same parameters, bottoms and gradients of
 * the tops, and compares the loss, the tops, the parameters and the gradients.
 *
 * @param text the layer as prototxt.
 * @param shapes of the bottoms, which get normal values and what `fill` makes of them.
 * @param propagate_down for each bottom; empty: no backward pass.
 * @param tolerance relative to the largest magnitude of each blob; 0: 1e-5 for float, 1e-11 for double.
 */
template <typename Dtype>
void ExpectGpuEqualsCpu(const string& text, const vector<vector<int>>& shapes, int num_tops,
                        const vector<bool>& propagate_down, double tolerance = 0,
                        const BottomFiller<Dtype>& fill = nullptr, GpuRun run = GpuRun::kOnGpu) {
  SKIP_WITHOUT_GPU();
  if (tolerance == 0) tolerance = sizeof(Dtype) == 8 ? 1e-11 : 1e-5;
  SCOPED_TRACE(text);
  const bool in_place = run == GpuRun::kInPlace;
  Caffe::set_random_seed(1701);
  LayerRun<Dtype> cpu(text, shapes, num_tops), gpu(text, shapes, num_tops);
  if (fill) fill(cpu.bottoms);
  for (size_t i = 0; i < shapes.size(); ++i) gpu_test::CopyOnHost(*cpu.bottoms[i], gpu.bottoms[i]);
  if (in_place) {
    cpu.tops[0] = cpu.bottoms[0];
    gpu.tops[0] = gpu.bottoms[0];
  }

  // Random, so that nothing passes for adding to a gradient, or for leaving it alone, that sets it.
  vector<vector<Dtype>> parameter_diffs, bottom_diffs;
  Dtype cpu_loss = 0, gpu_loss = 0;
  {
    const ModeForTest mode(Caffe::CPU);
    cpu.SetUp();
    for (const auto& parameter : cpu.layer->blobs()) {
      Blob<Dtype> diff(parameter->shape());
      FillNormal(&diff);
      parameter_diffs.push_back(DataOf(diff));
      std::copy_n(diff.cpu_data(), diff.count(), parameter->mutable_cpu_diff());
    }
    for (Blob<Dtype>* bottom : cpu.bottoms) {
      Blob<Dtype> diff(bottom->shape());
      FillNormal(&diff);
      bottom_diffs.push_back(DataOf(diff));
      std::copy_n(diff.cpu_data(), diff.count(), bottom->mutable_cpu_diff());
    }
  }
  const ModeForTest mode(Caffe::GPU);
  gpu.SetUp();
  const vector<shared_ptr<Blob<Dtype>>>&cpu_blobs = cpu.layer->blobs(), &gpu_blobs = gpu.layer->blobs();
  ASSERT_EQ(cpu_blobs.size(), gpu_blobs.size());
  for (size_t i = 0; i < parameter_diffs.size(); ++i) {
    gpu_test::CopyOnHost(*cpu_blobs[i], gpu_blobs[i].get());
    std::copy(parameter_diffs[i].begin(), parameter_diffs[i].end(), gpu_blobs[i]->mutable_cpu_diff());
    gpu_test::MoveToGpu(gpu_blobs[i].get());
  }
  for (size_t i = 0; i < shapes.size(); ++i) {
    std::copy(bottom_diffs[i].begin(), bottom_diffs[i].end(), gpu.bottoms[i]->mutable_cpu_diff());
    gpu_test::MoveToGpu(gpu.bottoms[i]);
  }

  {
    const ModeForTest cpu_mode(Caffe::CPU);
    cpu_loss = cpu.Forward();
  }
  gpu_loss = gpu.Forward();
  if (run == GpuRun::kOnGpu && !shapes.empty() && gpu.bottoms[0]->count() > 0) {
    EXPECT_EQ(SyncedMemory::HEAD_AT_GPU, gpu.bottoms[0]->data()->head())
        << "the forward pass took bottom 0 to the host";
  }
  gpu_test::ExpectClose<Dtype>({gpu_loss}, {cpu_loss}, tolerance, "loss");
  for (int i = 0; i < num_tops; ++i) {
    ASSERT_EQ(cpu.tops[i]->shape(), gpu.tops[i]->shape());
    gpu_test::ExpectClose(DataOf(*gpu.tops[i]), DataOf(*cpu.tops[i]), tolerance, "top " + std::to_string(i));
    if (cpu.tops[i]->count() > 0) gpu_test::MoveToGpu(gpu.tops[i]);
  }

  if (!propagate_down.empty() || shapes.empty()) {
    for (int i = 0; i < num_tops; ++i) {
      Blob<Dtype> diff(cpu.tops[i]->shape());
      FillNormal(&diff);
      std::copy_n(diff.cpu_data(), diff.count(), cpu.tops[i]->mutable_cpu_diff());
      std::copy_n(diff.cpu_data(), diff.count(), gpu.tops[i]->mutable_cpu_diff());
      if (diff.count() > 0) gpu.tops[i]->mutable_gpu_diff();
    }
    {
      const ModeForTest cpu_mode(Caffe::CPU);
      cpu.Backward(propagate_down);
    }
    gpu.Backward(propagate_down);
    if (run == GpuRun::kOnGpu && !shapes.empty() && gpu.bottoms[0]->count() > 0) {
      EXPECT_EQ(SyncedMemory::HEAD_AT_GPU, gpu.bottoms[0]->data()->head())
          << "the backward pass took bottom 0 to the host";
    }
    for (size_t i = 0; i < shapes.size(); ++i) {
      gpu_test::ExpectClose(DiffOf(*gpu.bottoms[i]), DiffOf(*cpu.bottoms[i]), tolerance,
                            "gradient of bottom " + std::to_string(i));
    }
  }
  // After the backward pass: some layers change parameters in the forward pass, others gradients.
  for (size_t i = 0; i < parameter_diffs.size(); ++i) {
    const string which = "parameter " + std::to_string(i);
    gpu_test::ExpectClose(DataOf(*gpu_blobs[i]), DataOf(*cpu_blobs[i]), tolerance, which);
    gpu_test::ExpectClose(DiffOf(*gpu_blobs[i]), DiffOf(*cpu_blobs[i]), tolerance, "gradient of " + which);
  }
}

/// Integers from 0 to size - 1, as labels and indices are, in a pattern without a period that matters.
template <typename Dtype>
void FillIndices(int size, Blob<Dtype>* blob) {
  Dtype* values = blob->mutable_cpu_data();
  for (int i = 0; i < blob->count(); ++i) values[i] = static_cast<Dtype>((i * 7 + i / 3) % size);
}

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_TEST_GPU_TEST_UTIL_HPP_
