#include <cstdlib>
#include <stdexcept>
#include <string>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/int8_kernel.hpp"

namespace caffe {
namespace lowbit {

namespace {

const char* Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value && *value ? value : nullptr;
}

bool IsOfTiles([[maybe_unused]] const Int8Kernel& kernel) {
#ifdef __x86_64__
  return &kernel == &kInt8Amx;
#else
  return false;
#endif
}

// Float kernels have vectors everywhere, ones for AVX-512 twice as long as AVX2's; tiles are faster than any,
// and those of integers faster than those of floats, which take a product for each part of a weight. For one
// pixel what counts is that weights of 8 bits are a quarter of what has to be read.
bool IsFasterThan(const FloatKernel& floats, const Int8Kernel& kernel, [[maybe_unused]] bool one_pixel) {
  if (IsOfTiles(kernel)) return true;
  if (&kernel == &kInt8Plain || floats.tiles) return false;
#ifdef __x86_64__
  if (&kernel == &kInt8Avx2) return one_pixel || &floats != &kFloatAvx512;
#endif
  return true;
}

}  // namespace

const Int8Kernel* ChooseInt8Kernel(const FloatKernel& otherwise, bool one_pixel) {
  static const Int8Kernel* const fastest_first[] = {
#ifdef __x86_64__
      &kInt8Amx, &kInt8Vnni, &kInt8Avx2,
#endif
      &kInt8Plain};
  const char* const wanted = Variable("HWGQ_INT8_KERNEL");
  std::string names;
  for (const Int8Kernel* kernel : fastest_first) {
    if (!kernel->available()) continue;
    if (!wanted) {
      // One pixel would fill but one row of a tile.
      if (one_pixel && IsOfTiles(*kernel)) continue;
      const bool use = !Variable("HWGQ_FLOAT_KERNEL") && IsFasterThan(otherwise, *kernel, one_pixel);
      return use ? kernel : nullptr;
    }
    if (kernel->name == std::string(wanted)) return kernel;
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  }
  throw std::runtime_error("HWGQ_INT8_KERNEL: there is no " + std::string(wanted) + " here; there are " +
                           names);
}

}  // namespace lowbit
}  // namespace caffe
