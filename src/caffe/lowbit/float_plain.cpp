#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/float_rows.hpp"
#include "caffe/lowbit/float_sums.hpp"

namespace caffe {
namespace lowbit {

namespace {

bool AlwaysAvailable() { return true; }

}  // namespace

const FloatKernel kFloatPlain = {"plain", AlwaysAvailable, 8, FloatSums<4, 2, 1, 4>,
                                 MakeRowTransforms<4>("plain_winograd")};

}  // namespace lowbit
}  // namespace caffe
