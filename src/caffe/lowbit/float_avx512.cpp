#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/float_filter.hpp"
#include "caffe/lowbit/float_sums.hpp"

namespace caffe {
namespace lowbit {

const FloatKernel kFloatAvx512 = {"avx512", HasAvx512, 32, FloatSums<16, 2, 2, 6>,
                                  MakeWindowFilter<16, 2, 2>("avx512_winograd")};

}  // namespace lowbit
}  // namespace caffe
