#ifndef CAFFE_UTIL_KEPT_CODES_HPP_
#define CAFFE_UTIL_KEPT_CODES_HPP_

#include "caffe/util/quantize.hpp"

namespace caffe {

/// What a quantizer keeps of its top on a GPU until it has run backward, in an eighth or a quarter of the
/// memory.
struct KeptCodes {
  /// Codes of levels are less.
  static constexpr int kMostLevels = 16;

  /// In the top's order, in the GPU's memory.
  KeptValues kept;
  /// The level of each code.
  float levels[kMostLevels] = {};
  int count = 0;
  /// Whether the top has no data beside them.
  bool is_alone = false;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_KEPT_CODES_HPP_
