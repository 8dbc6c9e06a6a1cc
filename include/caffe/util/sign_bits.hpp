#ifndef CAFFE_UTIL_SIGN_BITS_HPP_
#define CAFFE_UTIL_SIGN_BITS_HPP_

#include <cstdint>

namespace caffe {

// Signs of weights as bits, set for +: an output's fill bytes from the lowest bit up, and each output starts
// a new byte. So they are in a packed blob (BlobProto.signs) and in libhwgq.

/// Bytes that the signs of an output's n weights take.
constexpr int64_t SignBytes(int64_t n) { return (n + 7) / 8; }

/// Signs of weights, num_output x n, as binarize() has them: set for x >= 0.
template <typename Dtype>
void PackSigns(int64_t num_output, int64_t n, const Dtype* weights, uint8_t* signs);

/// binary[o, j] = alphas[o] where the sign is set, else -alphas[o].
template <typename Dtype>
void UnpackSigns(int64_t num_output, int64_t n, const uint8_t* signs, const Dtype* alphas, Dtype* binary);

}  // namespace caffe

#endif  // CAFFE_UTIL_SIGN_BITS_HPP_
