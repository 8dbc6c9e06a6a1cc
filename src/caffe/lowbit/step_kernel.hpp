#ifndef CAFFE_LOWBIT_STEP_KERNEL_HPP_
#define CAFFE_LOWBIT_STEP_KERNEL_HPP_

#include <cstdint>
#include <vector>

#include "caffe/lowbit/tail.hpp"

namespace caffe {
namespace lowbit {

/**
 * @brief One way of a processor to run the steps that follow most convolutions.
 *
 * The plain kernel is the definition; all others equal it bit for bit.
 */
struct StepKernel {
  const char* name;
  /// Whether this processor has the instructions.
  bool (*available)();
  /// Codes of `channels` values of each pixel, at most Sums16::kOutputs: of how many of `count` thresholds
  /// the value is not below. Threshold j of channel c is t[j * stride + c].
  void (*thresholds)(const Sums16& values, int pixels, int channels, const int16_t* t, int count, int stride,
                     Tile<uint8_t> codes);
  void (*tail_of_sums)(const Tail& tail, const Sums16& values);
  void (*tail)(const Tail& tail, Tile<const float> values);
};

// Each in a file of its own, which alone is compiled for its instructions; what binary_kernels.hpp says of
// such files holds for these.
extern const StepKernel kStepPlain;
#ifdef __x86_64__
extern const StepKernel kStepAvx2;
extern const StepKernel kStepAvx512;
#endif

// The same of values of 32 bits, which only few nets have.
void Thresholds32(Tile<const int32_t> values, int pixels, int channels, const int32_t* t, int count,
                  int stride, Tile<uint8_t> codes);
void Tail32(const Tail& tail, Tile<const int32_t> values);

/// All kernels that this build has, the fastest first; those of other instruction sets too (see available).
const std::vector<const StepKernel*>& StepKernels();

/// The fastest available kernel, or the one that the environment variable HWGQ_STEP_KERNEL names.
/// @throws std::runtime_error, listing the names, where that one is unknown or unavailable.
const StepKernel& ChooseStepKernel();

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_STEP_KERNEL_HPP_
