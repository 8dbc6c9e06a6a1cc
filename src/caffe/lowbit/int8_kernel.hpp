#ifndef CAFFE_LOWBIT_INT8_KERNEL_HPP_
#define CAFFE_LOWBIT_INT8_KERNEL_HPP_

#include <cstddef>
#include <cstdint>

#include "caffe/lowbit/binary_kernel.hpp"

namespace caffe {
namespace lowbit {

struct FloatKernel;

/**
 * @brief One way of a processor to convolve integers with weights of 8 bits.
 *
 * Computes, for some pixels and a block of up to kOutputs outputs, unit * (start + S) * scale in floats, from
 * left to right, where S is the sum of w x over a pixel's window: an integer, which has to fit into 32 bits
 * wherever the sum is cut off, with and without its start. The plain kernel is the definition; all others
 * equal it bit for bit.
 */
struct Int8Kernel {
  static constexpr int kOutputs = BinaryKernel::kOutputs;
  /// Bytes that may be read, and ignored, beyond a window's pieces, and beyond the last strip's weights.
  static constexpr int kReadAhead = 64, kWeightsReadAhead = 2048;

  /// The sums of integers of one type.
  struct Sums {
    /// Of a unit of a window: of a whole number of values.
    int unit_bytes;
    /// Outputs of a strip; it divides kOutputs. A block's weights are strip by strip; in each by unit of the
    /// window; in each by output; then those of the unit's values.
    int strip;
    /// Of what `run` has to be given; null where it needs no scratch.
    size_t (*scratch_bytes)(int total_units);
    /**
     * @param pixels where each pixel's window begins. What fills a piece's last unit has to meet weights of
     * 0.
     * @param window its units are those of `weights`.
     * @param strips how many strips are wanted.
     * @param starts of each pixel, one for each output of the strips.
     * @param units one a pixel.
     * @param scales one for each output of the strips.
     * @param scratch 64-byte aligned, whose content is nobody else's.
     * @param sums count x kOutputs; outputs of other strips are left as they are.
     */
    void (*run)(const uint8_t* const* pixels, int count, const Window& window, const int8_t* weights,
                int strips, const int32_t* const* starts, const float* units, const float* scales,
                uint8_t* scratch, float* sums);
  };

  const char* name;
  bool (*available)();
  /// How many pixels it likes at a time: whole numbers of those that it sums together.
  int pixels;
  /// Of int16_t.
  Sums words;
  /// Of uint8_t; `run` is null where words are summed as fast.
  Sums bytes;
};

/// The fastest that this processor has, or the one that the environment variable HWGQ_INT8_KERNEL names; null
/// where the float kernel `otherwise` is faster for one pixel or for many, and where HWGQ_FLOAT_KERNEL asks
/// for it. @throws std::runtime_error, listing the names, where the one that is named is unknown or not
/// available.
const Int8Kernel* ChooseInt8Kernel(const FloatKernel& otherwise, bool one_pixel);

extern const Int8Kernel kInt8Plain;
#ifdef __x86_64__
extern const Int8Kernel kInt8Avx2;
extern const Int8Kernel kInt8Vnni;
extern const Int8Kernel kInt8Amx;
#endif

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_INT8_KERNEL_HPP_
