#ifndef CAFFE_LOWBIT_BIT_BYTES_HPP_
#define CAFFE_LOWBIT_BIT_BYTES_HPP_

#include <cstdint>

// Bits and bytes of 0 or 1, eight at a time, the first the lowest. Not for files that are compiled for
// special instructions.
namespace caffe {
namespace lowbit {

/// The bits as bytes.
inline uint64_t SpreadBits(uint8_t bits) {
  // Each byte keeps one bit, at a place of its own; adding 127 moves it to the top.
  const uint64_t apart = bits * 0x0101010101010101u & 0x8040201008040201u;
  return (apart + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

/// The lowest bit of each byte. No two terms of the product meet.
inline uint8_t GatherBits(uint64_t bytes) {
  return static_cast<uint8_t>((bytes & 0x0101010101010101u) * 0x0102040810204080u >> 56);
}

/// The sum of the bytes, where it is below 256.
inline int SumOfBytes(uint64_t bytes) { return static_cast<int>(bytes * 0x0101010101010101u >> 56); }

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_BIT_BYTES_HPP_
