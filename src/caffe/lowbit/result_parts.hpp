#ifndef CAFFE_LOWBIT_RESULT_PARTS_HPP_
#define CAFFE_LOWBIT_RESULT_PARTS_HPP_

#include <cstdint>

#include "caffe/lowbit/function_ref.hpp"

namespace caffe {
namespace lowbit {

/// Most pixels of a part, where it is not said.
constexpr int kPartPixels = 112;

/**
 * @brief Cuts a result of `pixels` pixels x `blocks` blocks of channels into parts for threads.
 *
 * Parts have up to `part_pixels` pixels, so that the weights of all blocks stream from the cache once for
 * them; where that makes too few parts, blocks are divided, too.
 *
 * @param run called for pixels [first, first + count) and blocks [begin, end).
 */
void RunParts(int64_t pixels, int blocks, int threads,
              FunctionRef<void(int64_t first, int count, int begin, int end)> run,
              int part_pixels = kPartPixels);

/// Calls `run` for every number from `begin` to `end` - 1, in pieces for threads.
void EachOf(int64_t begin, int64_t end, int threads, FunctionRef<void(int64_t number)> run);

/// Likewise for every row of all images.
void EachRow(int images, int height, int threads, FunctionRef<void(int image, int row)> run);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_RESULT_PARTS_HPP_
