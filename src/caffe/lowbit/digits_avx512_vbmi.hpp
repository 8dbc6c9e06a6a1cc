#ifndef CAFFE_LOWBIT_DIGITS_AVX512_VBMI_HPP_
#define CAFFE_LOWBIT_DIGITS_AVX512_VBMI_HPP_

#include <cstdint>

namespace caffe {
namespace lowbit {

/**
 * @brief Packs digits of 2 bits into whole units of Packing::kSixes, for processors with AVX-512 VBMI.
 *
 * @return the sum of the digits
 */
int32_t PackSixesAvx512(const uint8_t* digits, int channels, uint8_t* packed);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_DIGITS_AVX512_VBMI_HPP_
