#ifndef CAFFE_LOWBIT_FLOAT_KERNEL_HPP_
#define CAFFE_LOWBIT_FLOAT_KERNEL_HPP_

#include <cstdint>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/float_tiles.hpp"
#include "caffe/lowbit/window_filter.hpp"

namespace caffe {
namespace lowbit {

/**
 * @brief One way of a processor to convolve real numbers: the first and the last layers of a net.
 *
 * Computes, for some pixels and a block of up to kOutputs outputs, the sums of w x over each pixel's window,
 * whose units are single values (see Window). A kernel with tiles has these instead, and neither strip, sums
 * nor filter.
 */
struct FloatKernel {
  static constexpr int kOutputs = BinaryKernel::kOutputs;

  const char* name;
  bool (*available)();
  /// Outputs of a strip; a block's weights are strip by strip, in each by window element, then output. It
  /// divides kOutputs.
  int strip;
  /**
   * @param strips how many strips are wanted, each of total_units * strip weights.
   * @param sums count x kOutputs; outputs of other strips are left as they are.
   */
  void (*sums)(const float* const* pixels, int count, const Window& window, const float* weights, int strips,
               float* sums);
  WindowFilter filter;
  const FloatTiles* tiles = nullptr;
};

/// The fastest that this processor has, one with tiles only where they pay, or the one that the environment
/// variable HWGQ_FLOAT_KERNEL names, wherever. @throws std::runtime_error, listing the names, where that one
/// is unknown or not available.
const FloatKernel& ChooseFloatKernel(bool tiles_pay);

extern const FloatKernel kFloatPlain;
#ifdef __x86_64__
extern const FloatKernel kFloatAvx2;
extern const FloatKernel kFloatAvx512;
extern const FloatKernel kFloatAmx;
#endif

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_KERNEL_HPP_
