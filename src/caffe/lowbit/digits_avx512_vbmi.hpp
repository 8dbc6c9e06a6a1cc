#ifndef CAFFE_LOWBIT_DIGITS_AVX512_VBMI_HPP_
#define CAFFE_LOWBIT_DIGITS_AVX512_VBMI_HPP_

#include "caffe/lowbit/digits.hpp"

namespace caffe {
namespace lowbit {

/// Packs digits of 2 bits into whole units of Packing::kSixes, for processors with AVX-512 VBMI.
void PackSixesAvx512(const PixelRow& row, int channels);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_DIGITS_AVX512_VBMI_HPP_
