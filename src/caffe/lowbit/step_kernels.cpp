#include <cstdlib>
#include <stdexcept>
#include <string>

#include "caffe/lowbit/step_kernel.hpp"

namespace caffe {
namespace lowbit {

const std::vector<const StepKernel*>& StepKernels() {
  static const std::vector<const StepKernel*> kernels = {
#ifdef __x86_64__
      &kStepAvx512, &kStepAvx2,
#endif
      &kStepPlain};
  return kernels;
}

const StepKernel& ChooseStepKernel() {
  const char* const wanted = std::getenv("HWGQ_STEP_KERNEL");
  const bool named = wanted && *wanted;
  std::string names;
  for (const StepKernel* kernel : StepKernels()) {
    if (!kernel->available()) continue;
    if (!named || kernel->name == std::string(wanted)) return *kernel;
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  }
  throw std::runtime_error("HWGQ_STEP_KERNEL: there is no " + std::string(wanted) + " here; there are " +
                           names);
}

}  // namespace lowbit
}  // namespace caffe
