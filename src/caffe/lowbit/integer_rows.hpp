#ifndef CAFFE_LOWBIT_INTEGER_ROWS_HPP_
#define CAFFE_LOWBIT_INTEGER_ROWS_HPP_

#include <cstdint>

namespace caffe {
namespace lowbit {

/// The bits of the largest magnitude; those of infinities and of NaNs are above all others.
int32_t LargestBits(const float* values, int64_t count);

/// Rounds values times `factor`, which are within 16 bits.
void ToWords(const float* values, int64_t count, float factor, int16_t* words);

/// More channels than an image has are not taken by what follows.
constexpr int kMostByteChannels = 16;

/// The least and the largest of each channel's values in a row of finite pixels, 0 counted in.
void FindRanges(const float* row, int64_t pixels, int channels, float* least, float* most);

/**
 * @brief A row's values times `factor`, less the least of their channel, as bytes.
 *
 * @param least integers; what is above them has to be 255 at most.
 * @return whether all are integers; else bytes are undefined.
 */
bool ToBytes(const float* row, int64_t pixels, int channels, float factor, const int32_t* least,
             uint8_t* bytes);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_INTEGER_ROWS_HPP_
