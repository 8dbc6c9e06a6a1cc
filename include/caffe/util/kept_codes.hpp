#ifndef CAFFE_UTIL_KEPT_CODES_HPP_
#define CAFFE_UTIL_KEPT_CODES_HPP_

namespace caffe {

/// What a quantizer keeps of its top on a GPU until it has run backward, in a quarter of the memory.
struct KeptCodes {
  /// Codes of levels are less.
  static constexpr int kMostLevels = 16;

  /// KeptByte of each value, in the top's order, in the GPU's memory.
  const unsigned char* kept = nullptr;
  /// The level of each code.
  float levels[kMostLevels] = {};
  int count = 0;
  /// Whether the top has no data beside them.
  bool is_alone = false;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_KEPT_CODES_HPP_
