#include "caffe/lowbit/float_weights.hpp"

#include <algorithm>

namespace caffe {
namespace lowbit {

namespace {

enum Encoding { kFloats = 0, kBytes = 1, kBits = 2 };

}  // namespace

bool HasInt8Weights(const StageInfo& stage) { return stage.attributes[10] == kBytes; }

void ReadFloatWeights(const StageInfo& stage, int output, int64_t count, float* row) {
  const int encoding = stage.attributes[10];
  if (encoding == kFloats) {
    std::copy_n(stage.arrays[0].as<float>() + output * count, count, row);
    return;
  }
  const float scale = stage.arrays[1].as<float>()[output];
  if (encoding == kBytes) {
    const int8_t* bytes = stage.arrays[0].as<int8_t>() + output * count;
    for (int64_t k = 0; k < count; ++k) row[k] = scale * bytes[k];
  } else {
    const uint8_t* bits = stage.arrays[0].bytes + output * ((count + 7) / 8);
    for (int64_t k = 0; k < count; ++k) row[k] = bits[k / 8] >> k % 8 & 1 ? scale : -scale;
  }
}

}  // namespace lowbit
}  // namespace caffe
