#include <cstdlib>
#include <stdexcept>
#include <string>

#include "caffe/lowbit/float_kernel.hpp"

namespace caffe {
namespace lowbit {

const FloatKernel& ChooseFloatKernel(bool tiles_pay) {
  static const FloatKernel* const fastest_first[] = {
#ifdef __x86_64__
      &kFloatAmx, &kFloatAvx512, &kFloatAvx2,
#endif
      &kFloatPlain};
  const char* const wanted = std::getenv("HWGQ_FLOAT_KERNEL");
  const bool named = wanted && *wanted;
  std::string names;
  for (const FloatKernel* kernel : fastest_first) {
    if (!kernel->available()) continue;
    if (named ? kernel->name == std::string(wanted) : tiles_pay || !kernel->tiles) return *kernel;
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  }
  throw std::runtime_error("HWGQ_FLOAT_KERNEL: there is no " + std::string(wanted) + " here; there are " +
                           names);
}

}  // namespace lowbit
}  // namespace caffe
