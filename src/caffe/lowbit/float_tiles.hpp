#ifndef CAFFE_LOWBIT_FLOAT_TILES_HPP_
#define CAFFE_LOWBIT_FLOAT_TILES_HPP_

#include <cstddef>
#include <cstdint>

#include "caffe/lowbit/binary_kernel.hpp"

namespace caffe {
namespace lowbit {

/**
 * @brief One way of a processor to convolve real numbers by products of tiles of bfloat16, numbers of 8 bits.
 *
 * A float, of 24 bits, is the sum of three of them, its parts: each is what the parts before it leave,
 * rounded. Of the nine products of a value's parts x_i and a weight's parts w_j those with i + j <= 2 are
 * summed; the others are 2^-24 |w x| at most. Parts that are zero in all of an image need no products: of
 * integers up to 256, such as 8-bit pixels, only the first is not. Leaving them out does not change the sums.
 *
 * What is smaller than 2^-126, be it a part, a product or a sum, counts as 0: products of 1e-30 do not suffer
 * from it. Sums that are not finite in floats are not finite here, either; within a hundredth of the largest
 * float they may overflow, too, since parts are rounded up.
 */
struct FloatTiles {
  static constexpr int kOutputs = BinaryKernel::kOutputs;
  static constexpr int kParts = 3;
  /// Most pixels at a time: two tiles of 16.
  static constexpr int kPixels = 32;
  /// Outputs that are computed together: two tiles of 16. A block has one or two such strips.
  static constexpr int kStrip = 32;
  /// Values of a tile's row. Windows are padded with zeros up to a whole number of steps of so many values.
  static constexpr int kStep = 32;

  /**
   * @brief Splits values into their parts.
   *
   * @param parts where the first parts go; the second and third ones are `stride` elements farther each.
   * @return how many parts are needed: those after them are all zeros. At least 1.
   */
  int (*split)(const float* values, int64_t count, uint16_t* parts, int64_t stride);
  /**
   * @brief Collects the windows of up to kPixels pixels.
   *
   * @param pixels where the first part of each pixel's window begins; units are of 2 bytes. Up to
   *        BinaryKernel::kReadAhead bytes after a piece are read, and ignored.
   * @param part_bytes how far a value's parts are from each other.
   * @param parts how many of them are wanted.
   * @param rows GatheredBytes(window.total_units) bytes, 64-byte aligned.
   */
  void (*gather)(const uint8_t* const* pixels, int count, const Window& window, int64_t part_bytes, int parts,
                 uint8_t* rows);
  /**
   * @brief Sums under the weights of some strips.
   *
   * @param rows what `gather` made of so many pixels and parts.
   * @param weights strip by strip, see PackTileWeights.
   * @param sums kPixels x kOutputs, all of which may be written; the first `count` rows are the result.
   */
  void (*sums)(const uint8_t* rows, int count, int total_units, int parts, const uint8_t* weights, int strips,
               float* sums);
};

/// Bytes of the collected windows of kPixels pixels.
size_t GatheredBytes(int total_units);

/// Bytes of the packed weights of a strip.
size_t TileStripBytes(int total_units);

/**
 * @brief Packs the weights of one output of a strip.
 *
 * A strip has, part by part and step by step, the tiles of its first and of its second 16 outputs. A tile has
 * 16 rows, one for each two values of the window; a row has 16 outputs, each with the weights of these two
 * values.
 *
 * @param row total_units weights, in the window's order.
 * @param output from 0 to kStrip - 1.
 * @param strip TileStripBytes(total_units) bytes, of which weights that are not packed have to be 0.
 */
void PackTileWeights(const FloatTiles& tiles, const float* row, int total_units, int output, uint8_t* strip);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_TILES_HPP_
