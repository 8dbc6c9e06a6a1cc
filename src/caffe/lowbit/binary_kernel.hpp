#ifndef CAFFE_LOWBIT_BINARY_KERNEL_HPP_
#define CAFFE_LOWBIT_BINARY_KERNEL_HPP_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace caffe {
namespace lowbit {

/// How a pixel's digits (small unsigned integers, one a channel) lie in memory. Channels are padded with
/// digits that meet no weight, up to a whole number of units.
enum class Packing {
  kBytes,    ///< A digit a byte; a unit is 4 channels in 4 bytes.
  kOffsets,  ///< A unit is 4 channels, digits of 2 bits, in a uint16_t: 16 (d0 + 4 d1 + 16 d2 + 64 d3).
  kSixes,    ///< A unit is 6 channels, digits of 2 bits, in two uint16_t: 64 (d0 + 4 d1 + 16 d2), and so on.
  kPlanes,   ///< A unit is 64 channels, digits of 2 bits, in two uint64_t: the low bits, then the high bits.
};

constexpr int ChannelsOfUnit(Packing packing) {
  return packing == Packing::kPlanes ? 64 : packing == Packing::kSixes ? 6 : 4;
}
constexpr int BytesOfUnit(Packing packing) {
  return packing == Packing::kPlanes ? 16 : packing == Packing::kOffsets ? 2 : 4;
}
constexpr int LargestDigit(Packing packing) { return packing == Packing::kBytes ? 127 : 3; }

/// Where an output's window lies, relative to its first pixel: pieces that are contiguous in memory.
struct Window {
  const int32_t* offsets;  ///< in bytes
  const int32_t* units;    ///< length of each piece
  int pieces;
  int total_units;

  // The same once more, where it is so regular: rows of `columns` columns of `column_units` units each,
  // `column_bytes` from one to the next. Of pixels that lie so far from each other windows share columns.
  const int32_t* row_offsets = nullptr;  ///< in bytes
  int rows = 0, columns = 0, column_units = 0;
  int32_t column_bytes = 0;
};

/// How the pixels lie that are computed together.
enum class PixelOrder {
  kAny,
  kOne,     ///< There is only one.
  kBeside,  ///< Their windows have 3 or 5 columns, of which neighbours share all but one.
};

/// Expected speed for each order of pixels, in multiply-adds a nanosecond on one core.
struct KernelRates {
  double any, one, beside;

  double of(PixelOrder order) const {
    return order == PixelOrder::kOne ? one : order == PixelOrder::kBeside ? beside : any;
  }
};

/**
 * @brief One way of a processor to sum digits under binary weights.
 *
 * A kernel computes, for some pixels and a block of kOutputs outputs, S[p][o] = the sum of the digits in
 * pixel p's window whose weight for output o is +1. (Sum with -1 for the others: 2 S - sum of all digits.)
 * Where `signed_sums` says so it computes that one, as two's complement. The plain kernel is the definition;
 * all others equal it bit for bit.
 *
 * Kernels may read, and ignore, up to kReadAhead bytes beyond a window's pieces.
 */
struct BinaryKernel {
  /// Outputs of a block. The last block is padded with outputs whose weights are all -1.
  static constexpr int kOutputs = 64;
  static constexpr int kReadAhead = 64;

  const char* name;
  Packing packing;
  /// Whether the others' weights are -1 in its sums, and not 0.
  bool signed_sums;
  /// Whether this processor has the instructions.
  bool (*available)();
  /// The fastest available kernel is chosen.
  KernelRates rates;
  /// How many pixels it likes at a time: fewer where sums should stay in the first cache, more where it
  /// prepares the weights for each call.
  int pixels;
  /// Bytes of a block's packed weights.
  size_t (*weight_bytes)(const Window& window);
  /**
   * @brief Packs the weights of a block.
   *
   * @param bits 1 (for +1) or 0, kOutputs rows of total_units * ChannelsOfUnit(packing), in a window's order;
   *        0 for channels that are padding.
   * @param weights weight_bytes(window) bytes, 64-byte aligned.
   */
  void (*pack_weights)(const uint8_t* bits, const Window& window, uint8_t* weights);
  /**
   * @brief Sums of `count` pixels; sums is count x kOutputs.
   *
   * @param pixels where each pixel's window begins.
   * @param scratch scratch_bytes(total_units) bytes, 64-byte aligned, whose content is nobody else's.
   *
   * sums16 holds where total_units * ChannelsOfUnit * the largest digit is at most 65535 (uint16_t), or 32767
   * with a sign; sums32 always. Either may be null in a kernel that has only the other.
   */
  void (*sums16)(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
                 uint8_t* scratch, uint16_t* sums);
  void (*sums32)(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
                 uint8_t* scratch, uint32_t* sums);
  /// Null for a kernel that needs no scratch.
  size_t (*scratch_bytes)(int total_units);
};

/// All kernels that this build has, the plain one first; those of other instruction sets too (see available).
const std::vector<const BinaryKernel*>& BinaryKernels();

/// The fastest available kernel for an order of pixels, or the one that the environment variable HWGQ_KERNEL
/// names. @throws std::runtime_error, listing the names, where that one is unknown or
/// unavailable.
const BinaryKernel& ChooseBinaryKernel(PixelOrder order);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_BINARY_KERNEL_HPP_
