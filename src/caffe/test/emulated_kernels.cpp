// The kernels for AVX-512 and AMX, compiled for the instructions' imitations.
#define CAFFE_EMULATE_SIMD
#include "caffe/test/emulated_kernels.hpp"

// What the kernels include, outside the namespaces that follow.
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/digit_tables.hpp"
#include "caffe/lowbit/digits.hpp"
#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_tiles.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/int8_sums.hpp"
#include "caffe/lowbit/step_kernel.hpp"
#include "caffe/lowbit/tile_config.hpp"

// Every kernel in a namespace of its own, since they give their parts the same names; the intrinsics in one
// around them, so that they come before those of the compiler where some other header includes these.
namespace emulated {

#include "caffe/test/emulated_avx512.hpp"

namespace lookup {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/binary_avx512_lookup.cpp"
}  // namespace lookup

namespace vbmi {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/binary_avx512_vbmi.cpp"
}  // namespace vbmi

namespace digits {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/digits_avx512_vbmi.cpp"
}  // namespace digits

namespace vnni {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/binary_avx512_vnni.cpp"
}  // namespace vnni

namespace vpopcnt {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/binary_avx512_vpopcnt.cpp"
}  // namespace vpopcnt

namespace amx {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/binary_amx.cpp"
}  // namespace amx

namespace amx_bf16 {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/float_amx.cpp"
}  // namespace amx_bf16

namespace steps {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/step_avx512.cpp"
}  // namespace steps

namespace int8_vnni {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/int8_avx512_vnni.cpp"
}  // namespace int8_vnni

namespace int8_amx {
namespace caffe::lowbit {
using namespace ::caffe::lowbit;
}
#include "caffe/lowbit/int8_amx.cpp"
}  // namespace int8_amx

}  // namespace emulated

namespace caffe {
namespace lowbit {

std::vector<const BinaryKernel*> BinaryKernelsToTest() {
  std::vector<const BinaryKernel*> kernels = {
      &emulated::lookup::caffe::lowbit::kAvx512Lookup, &emulated::vbmi::caffe::lowbit::kAvx512Vbmi,
      &emulated::vnni::caffe::lowbit::kAvx512Vnni, &emulated::vpopcnt::caffe::lowbit::kAvx512Vpopcnt,
      &emulated::amx::caffe::lowbit::kAmx};
  for (const BinaryKernel* kernel : BinaryKernels()) {
    if (kernel->available()) kernels.push_back(kernel);
  }
  return kernels;
}

void EmulatedPackSixes(const PixelRow& row, int channels) {
  emulated::digits::caffe::lowbit::PackSixesAvx512(row, channels);
}

std::vector<const FloatKernel*> EmulatedFloatKernels() {
  return {&emulated::amx_bf16::caffe::lowbit::kFloatAmx};
}

std::vector<const StepKernel*> EmulatedStepKernels() {
  return {&emulated::steps::caffe::lowbit::kStepAvx512};
}

std::vector<const Int8Kernel*> EmulatedInt8Kernels() {
  return {&emulated::int8_vnni::caffe::lowbit::kInt8Vnni, &emulated::int8_amx::caffe::lowbit::kInt8Amx};
}

}  // namespace lowbit
}  // namespace caffe
