#include "caffe/lowbit/binary_kernels.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace caffe {
namespace lowbit {

const std::vector<const BinaryKernel*>& BinaryKernels() {
  static const std::vector<const BinaryKernel*> kernels = {
      &kPlain,      &kPopcount64,
#ifdef __x86_64__
      &kAvx2Lookup, &kAvx2Multiply, &kAvx2Popcount,  &kAvx512Lookup,
      &kAvx512Vbmi, &kAvx512Vnni,   &kAvx512Vpopcnt, &kAmx,
#endif
#ifdef __aarch64__
      &kNeon,
#endif
  };
  return kernels;
}

namespace {

const BinaryKernel& FastestKernel(PixelOrder order) {
  const BinaryKernel* fastest = &kPlain;
  for (const BinaryKernel* kernel : BinaryKernels()) {
    if (kernel->rates.of(order) > fastest->rates.of(order) && kernel->available()) fastest = kernel;
  }
  return *fastest;
}

std::string NamesOfAvailableKernels() {
  std::string names;
  for (const BinaryKernel* kernel : BinaryKernels()) {
    if (kernel->available()) names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  }
  return names;
}

const BinaryKernel& KernelOfName(const std::string& name) {
  std::string problem = "is no kernel";
  for (const BinaryKernel* kernel : BinaryKernels()) {
    if (name != kernel->name) continue;
    if (kernel->available()) return *kernel;
    problem = "needs instructions that this processor lacks";
  }
  throw std::runtime_error("HWGQ_KERNEL: " + name + " " + problem + "; there are " +
                           NamesOfAvailableKernels());
}

}  // namespace

const BinaryKernel& ChooseBinaryKernel(PixelOrder order) {
  const char* const name = std::getenv("HWGQ_KERNEL");
  return name && *name ? KernelOfName(name) : FastestKernel(order);
}

}  // namespace lowbit
}  // namespace caffe
