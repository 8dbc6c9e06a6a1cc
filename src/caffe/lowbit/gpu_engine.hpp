#ifndef CAFFE_LOWBIT_GPU_ENGINE_HPP_
#define CAFFE_LOWBIT_GPU_ENGINE_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {

/// Runs a plan on a GPU. Any number of threads may call Forward at the same time.
class GpuEngine {
 public:
  virtual ~GpuEngine() = default;

  /**
   * @brief Computes the outputs of a batch, and returns when they are there.
   *
   * @param inputs for each input images x elements values, in Caffe's order, on the host or on the engine's
   * GPU.
   * @param outputs likewise.
   * @param threads at most so many copy what lies on the host.
   * @param seconds null, or for each stage what its time is added to.
   */
  virtual void Forward(int64_t images, const float* const* inputs, float* const* outputs, int threads,
                       std::vector<double>* seconds) const = 0;

  /// How a stage is computed, for reports.
  virtual const char* Kernel(size_t stage) const = 0;
};

/**
 * @brief Prepares a plan for a GPU.
 *
 * The code for GPUs is in a library of its own, libhwgq_cuda.so, which is loaded from where libhwgq lies, or
 * from where the system finds it.
 *
 * @param plan must outlive the engine, and its arrays, too.
 * @param gpu the GPU's number.
 * @throws PlanError where the plan has what no GPU computes, naming the layer; where there is no such GPU, no
 * driver, or no library for it.
 */
std::unique_ptr<GpuEngine> MakeGpuEngine(const Plan& plan, int gpu);

/// The function "hwgq_make_gpu_engine" of libhwgq_cuda.so.
using GpuEngineMaker = GpuEngine* (*)(const Plan* plan, int gpu);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_GPU_ENGINE_HPP_
