#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/float_filter.hpp"
#include "caffe/lowbit/float_sums.hpp"

namespace caffe {
namespace lowbit {

const FloatKernel kFloatAvx2 = {"avx2", HasAvx2, 16, FloatSums<8, 2, 1, 6>,
                                MakeWindowFilter<8, 1, 2>("avx2_winograd")};

}  // namespace lowbit
}  // namespace caffe
