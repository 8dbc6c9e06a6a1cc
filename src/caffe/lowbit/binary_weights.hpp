#ifndef CAFFE_LOWBIT_BINARY_WEIGHTS_HPP_
#define CAFFE_LOWBIT_BINARY_WEIGHTS_HPP_

#include "caffe/lowbit/binary_kernel.hpp"

namespace caffe {
namespace lowbit {

// Orders of a block's weights that several kernels have, 1 bit a weight. In the first two a kernel takes
// groups of outputs one after the other, each from its own run of memory.

/// Of units of 4 channels: two groups of 32 outputs; for each unit 128 bits, bit 4 o + c for channel c of the
/// group's output o. So 64 bits are the weights of 16 outputs in the order of 16 lanes of 4 bytes.
size_t QuadWeightBytes(const Window& window);
void PackQuadWeights(const uint8_t* bits, const Window& window, uint8_t* weights);
constexpr int kQuadGroup = 32, kQuadGroupBytes = 16;

/// Of units of 64 channels: eight groups of 8 outputs; for each unit a word of 64 bits an output.
size_t WordWeightBytes(const Window& window);
void PackWordWeights(const uint8_t* bits, const Window& window, uint8_t* weights);
constexpr int kWordGroup = 8, kWordGroupBytes = 64;

/// Of units of 4 channels: for each 32 bytes, the low halves of which are the weights of lanes 0 to 31, the
/// high halves those of lanes 32 to 63, bit c for channel c. lane_of_output says where a kernel wants an
/// output.
size_t HalfByteWeightBytes(const Window& window);
void PackHalfByteWeights(const uint8_t* bits, const Window& window, int (*lane_of_output)(int),
                         uint8_t* weights);
constexpr int kHalfByteUnitBytes = 32;

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_BINARY_WEIGHTS_HPP_
