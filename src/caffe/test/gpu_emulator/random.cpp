// cuRAND: number i of a generator is a hash of its seed and i, so that offsets cost nothing.

#include <cmath>
#include <cstdint>

#include "curand.h"
#include "gpu_emulator.h"
#include "state.hpp"
#include "streams.hpp"

struct curandGenerator_st {
  unsigned long long seed = 0;
  unsigned long long next = 0;
  int device = 0;
  cudaStream_t stream = nullptr;
};

namespace gpu_emulator {
namespace {

/// 64 well-mixed bits of x (the finalizer of MurmurHash3, twice).
uint64_t Mix(uint64_t x) {
  for (int round = 0; round < 2; ++round) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    x ^= x >> 33;
  }
  return x;
}

uint64_t Bits(const curandGenerator_st& generator, uint64_t i) {
  return Mix(Mix(generator.seed + 0x9e3779b97f4a7c15ull) ^ (generator.next + i + 1));
}

/// In (0, 1].
double Uniform(const curandGenerator_st& generator, uint64_t i) {
  return std::ldexp(static_cast<double>((Bits(generator, i) >> 11) + 1), -53);
}

/// fill(state of the generator) in its stream.
template <typename T, typename Fill>
curandStatus_t Generate(const char* function, curandGenerator_t generator, T* out, size_t n,
                        const Fill& fill) {
  if (!generator) return CURAND_STATUS_NOT_INITIALIZED;
  if (generator->device != CurrentDevice()) {
    Complain(std::string(function) + ": the generator belongs to GPU " + std::to_string(generator->device) +
             ", but the current one is " + std::to_string(CurrentDevice()));
    return CURAND_STATUS_LAUNCH_FAILURE;
  }
  if (!CheckOperand(function, "the output", out, n * sizeof(T))) return CURAND_STATUS_LAUNCH_FAILURE;
  Submit(generator->stream, [=, numbers = *generator] {
    const DeviceAccess access;
    fill(numbers);
  });
  generator->next += n;
  return CURAND_STATUS_SUCCESS;
}

template <typename T>
curandStatus_t GenerateNormal(const char* function, curandGenerator_t generator, T* out, size_t n, T mean,
                              T stddev) {
  if (n % 2) return CURAND_STATUS_LENGTH_NOT_MULTIPLE;
  return Generate(function, generator, out, n, [=](const curandGenerator_st& numbers) {
    for (size_t i = 0; i < n; i += 2) {
      // Two numbers of each point of the plane (Box and Muller).
      const double radius = std::sqrt(-2 * std::log(Uniform(numbers, i)));
      const double angle = 2 * M_PI * Uniform(numbers, i + 1);
      out[i] = static_cast<T>(mean + stddev * radius * std::cos(angle));
      out[i + 1] = static_cast<T>(mean + stddev * radius * std::sin(angle));
    }
  });
}

}  // namespace
}  // namespace gpu_emulator

using namespace gpu_emulator;

curandStatus_t curandGetVersion(int* version) {
  *version = 100400;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandCreateGenerator(curandGenerator_t* generator, curandRngType_t type) {
  if (NeedDevice() != cudaSuccess) return CURAND_STATUS_INITIALIZATION_FAILED;
  if (!generator) return CURAND_STATUS_NOT_INITIALIZED;
  if (type < CURAND_RNG_PSEUDO_DEFAULT || type > CURAND_RNG_PSEUDO_PHILOX4_32_10)
    return CURAND_STATUS_TYPE_ERROR;
  *generator = new curandGenerator_st;
  (*generator)->device = CurrentDevice();
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandDestroyGenerator(curandGenerator_t generator) {
  if (!generator) return CURAND_STATUS_NOT_INITIALIZED;
  delete generator;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetStream(curandGenerator_t generator, cudaStream_t stream) {
  if (!generator) return CURAND_STATUS_NOT_INITIALIZED;
  generator->stream = stream;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t generator, unsigned long long seed) {
  if (!generator) return CURAND_STATUS_NOT_INITIALIZED;
  generator->seed = seed;
  generator->next = 0;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetGeneratorOffset(curandGenerator_t generator, unsigned long long offset) {
  if (!generator) return CURAND_STATUS_NOT_INITIALIZED;
  generator->next = offset;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetGeneratorOrdering(curandGenerator_t generator, curandOrdering_t) {
  return generator ? CURAND_STATUS_SUCCESS : CURAND_STATUS_NOT_INITIALIZED;
}

curandStatus_t curandGenerateSeeds(curandGenerator_t generator) {
  return generator ? CURAND_STATUS_SUCCESS : CURAND_STATUS_NOT_INITIALIZED;
}

curandStatus_t curandGenerate(curandGenerator_t generator, unsigned* out, size_t n) {
  return Generate("curandGenerate", generator, out, n, [=](const curandGenerator_st& numbers) {
    for (size_t i = 0; i < n; ++i) out[i] = static_cast<unsigned>(Bits(numbers, i) >> 32);
  });
}

curandStatus_t curandGenerateUniform(curandGenerator_t generator, float* out, size_t n) {
  return Generate("curandGenerateUniform", generator, out, n, [=](const curandGenerator_st& numbers) {
    // 24 bits, so that no number is rounded to 0.
    for (size_t i = 0; i < n; ++i) {
      out[i] = std::ldexp(static_cast<float>((Bits(numbers, i) >> 40) + 1), -24);
    }
  });
}

curandStatus_t curandGenerateUniformDouble(curandGenerator_t generator, double* out, size_t n) {
  return Generate("curandGenerateUniformDouble", generator, out, n, [=](const curandGenerator_st& numbers) {
    for (size_t i = 0; i < n; ++i) out[i] = Uniform(numbers, i);
  });
}

curandStatus_t curandGenerateNormal(curandGenerator_t generator, float* out, size_t n, float mean,
                                    float stddev) {
  return GenerateNormal("curandGenerateNormal", generator, out, n, mean, stddev);
}

curandStatus_t curandGenerateNormalDouble(curandGenerator_t generator, double* out, size_t n, double mean,
                                          double stddev) {
  return GenerateNormal("curandGenerateNormalDouble", generator, out, n, mean, stddev);
}
