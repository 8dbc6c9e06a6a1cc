#ifndef CAFFE_LOWBIT_INTEGER_LEVELS_HPP_
#define CAFFE_LOWBIT_INTEGER_LEVELS_HPP_

#include <cstdint>
#include <vector>

namespace caffe {
namespace lowbit {

/// Most levels of a quantizer, and so its codes.
constexpr int kMaxLevels = 16;

/// Levels of a quantizer as integers times a unit.
struct IntegerLevels {
  std::vector<int32_t> levels;
  double unit;
};

/**
 * @brief Integers in the proportion of ascending values.
 *
 * Those of a uniform quantizer are 0, 1, ..., n and those of a sign are -1 and 1. Others are exact where the
 * values are short decimal numbers, else as fine as `most`, the largest magnitude allowed, admits.
 *
 * @return no levels where none come within 2e-6 of each value.
 */
IntegerLevels FindIntegerLevels(const std::vector<float>& values, int64_t most);

/// Those of which any sum of `weights` levels, each under a sign, fits 32 bits. @return no levels also where
/// values are fewer than two or more than kMaxLevels.
IntegerLevels FindProductLevels(const std::vector<float>& values, int64_t weights);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_INTEGER_LEVELS_HPP_
