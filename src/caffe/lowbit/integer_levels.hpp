#ifndef CAFFE_LOWBIT_INTEGER_LEVELS_HPP_
#define CAFFE_LOWBIT_INTEGER_LEVELS_HPP_

#include <cstdint>
#include <vector>

namespace caffe {
namespace lowbit {

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

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_INTEGER_LEVELS_HPP_
