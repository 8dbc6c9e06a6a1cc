#ifndef CAFFE_TEST_EMULATED_KERNELS_HPP_
#define CAFFE_TEST_EMULATED_KERNELS_HPP_

#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/digits.hpp"
#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/step_kernel.hpp"

namespace caffe {
namespace lowbit {

/// The kernels for AVX-512 and AMX, made to run on every processor, whatever their available() says.
std::vector<const FloatKernel*> EmulatedFloatKernels();
std::vector<const StepKernel*> EmulatedStepKernels();
std::vector<const Int8Kernel*> EmulatedInt8Kernels();

/// The binary ones, and those that this processor has.
std::vector<const BinaryKernel*> BinaryKernelsToTest();

/// Likewise PackSixesAvx512.
void EmulatedPackSixes(const PixelRow& row, int channels);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_TEST_EMULATED_KERNELS_HPP_
