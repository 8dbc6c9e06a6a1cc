#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/float_filter.hpp"
#include "caffe/lowbit/float_sums.hpp"

namespace caffe {
namespace lowbit {

namespace {

bool AlwaysAvailable() { return true; }

#ifdef __aarch64__
constexpr int kFilteredTiles = 2;
#else
constexpr int kFilteredTiles = 1;
#endif

}  // namespace

const FloatKernel kFloatPlain = {"plain", AlwaysAvailable, 8, FloatSums<4, 2, 1, 4>,
                                 MakeWindowFilter<4, kFilteredTiles, 2>("plain_winograd")};

}  // namespace lowbit
}  // namespace caffe
