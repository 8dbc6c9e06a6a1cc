#include "caffe/lowbit/integer_levels.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace caffe {
namespace lowbit {

namespace {

// Relative; of decimal numbers that are kept as floats, and of what rounding to integers may change.
constexpr double kTolerance = 2e-6;
constexpr int kMostDecimals = 6;

// Of a sum; what CheckPlan allows.
constexpr int64_t kMostSum = INT32_MAX / 2;

// The values in multiples of a unit; none where they are not close to such.
std::vector<int32_t> Multiples(const std::vector<float>& values, double unit, int64_t most) {
  std::vector<int32_t> levels;
  for (const float value : values) {
    const double multiple = std::round(value / unit);
    const bool fits = std::fabs(multiple) <= static_cast<double>(most) &&
                      std::fabs(multiple * unit - value) <= kTolerance * std::fabs(value);
    if (!fits) return {};
    levels.push_back(static_cast<int32_t>(multiple));
  }
  return levels;
}

// As small as they can be: sums of small integers are cheaper.
IntegerLevels Reduced(std::vector<int32_t> levels, double unit) {
  int32_t common = 0;
  for (const int32_t level : levels) common = std::gcd(common, level);
  if (common > 1) {
    for (int32_t& level : levels) level /= common;
    unit *= common;
  }
  return {levels, unit};
}

}  // namespace

IntegerLevels FindIntegerLevels(const std::vector<float>& values, int64_t most) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  if (!(largest > 0) || most < 1) return {};
  std::vector<double> units = {largest / std::max<double>(static_cast<double>(values.size()) - 1, 1),
                               largest};
  for (int decimals = 0; decimals <= kMostDecimals; ++decimals) units.push_back(std::pow(10., -decimals));
  units.push_back(largest / static_cast<double>(most));
  for (const double unit : units) {
    const std::vector<int32_t> levels = Multiples(values, unit, most);
    if (!levels.empty()) return Reduced(levels, unit);
  }
  return {};
}

IntegerLevels FindProductLevels(const std::vector<float>& values, int64_t weights) {
  if (values.size() < 2 || values.size() > kMaxLevels) return {};
  return FindIntegerLevels(values, kMostSum / weights);
}

}  // namespace lowbit
}  // namespace caffe
