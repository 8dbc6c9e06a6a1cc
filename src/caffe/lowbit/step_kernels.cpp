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
  const char* const variable = std::getenv("HWGQ_STEP_KERNEL");
  const std::string wanted = variable ? variable : "";
  std::string names;
  for (const StepKernel* kernel : StepKernels()) {
    if (!kernel->available()) continue;
    if (wanted.empty() || kernel->name == wanted) return *kernel;
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  }
  throw std::runtime_error("HWGQ_STEP_KERNEL: there is no " + wanted + " here; there are " + names);
}

}  // namespace lowbit
}  // namespace caffe
