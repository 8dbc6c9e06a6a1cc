#ifndef CAFFE_LOWBIT_BINARY_KERNELS_HPP_
#define CAFFE_LOWBIT_BINARY_KERNELS_HPP_

#include "caffe/lowbit/binary_kernel.hpp"

namespace caffe {
namespace lowbit {

// The kernels, each in a file of its own, which alone is compiled for its instructions. Nothing that the
// linker merges between files (templates of the standard library, inline functions) may be used there:
// another file could get the copy with the wrong instructions.

extern const BinaryKernel kPlain;
extern const BinaryKernel kPopcount64;
#ifdef __x86_64__
extern const BinaryKernel kAvx2Lookup;
extern const BinaryKernel kAvx2Multiply;
extern const BinaryKernel kAvx2Popcount;
extern const BinaryKernel kAvx512Lookup;
extern const BinaryKernel kAvx512Vbmi;
extern const BinaryKernel kAvx512Vnni;
extern const BinaryKernel kAvx512Vpopcnt;
extern const BinaryKernel kAmx;
#endif
#ifdef __aarch64__
extern const BinaryKernel kNeon;
#endif

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_BINARY_KERNELS_HPP_
