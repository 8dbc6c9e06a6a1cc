#include "state.hpp"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gpu_emulator.h"

namespace gpu_emulator {
namespace {

ThreadOrder OrderFromEnvironment() {
  const char* const order = std::getenv("CAFFE_EMULATED_GPU_ORDER");
  if (!order || !*order || std::strcmp(order, "forward") == 0) return ThreadOrder::kForward;
  if (std::strcmp(order, "backward") == 0) return ThreadOrder::kBackward;
  if (std::strcmp(order, "random") == 0) return ThreadOrder::kRandom;
  Die(std::string("CAFFE_EMULATED_GPU_ORDER must be forward, backward or random, not ") + order);
}

struct Settings {
  std::atomic<int> devices{static_cast<int>(EnvironmentNumber("CAFFE_EMULATED_GPUS", 2))};
  std::atomic<size_t> memory{EnvironmentNumber("CAFFE_EMULATED_GPU_MEMORY", size_t{8} << 30)};
  std::atomic<int> driver{static_cast<int>(EnvironmentNumber("CAFFE_EMULATED_GPU_DRIVER", CUDART_VERSION))};
  std::atomic<ThreadOrder> order{OrderFromEnvironment()};
  std::atomic<bool> lazy{EnvironmentNumber("CAFFE_EMULATED_GPU_LAZY", 0) != 0};
  const bool strict = EnvironmentNumber("CAFFE_EMULATED_GPU_STRICT", 0) != 0;
};

Settings& TheSettings() {
  static Settings settings;
  return settings;
}

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

}  // namespace

void Complain(const std::string& message) { std::fprintf(stderr, "emulated GPU: %s\n", message.c_str()); }

void Die(const std::string& message) {
  Complain(message);
  std::abort();
}

size_t EnvironmentNumber(const char* name, size_t otherwise) {
  const char* const text = std::getenv(name);
  if (!text || !*text) return otherwise;
  char* end;
  const size_t number = std::strtoull(text, &end, 10);
  if (*end) Die(std::string(name) + " must be a number, not " + text);
  return number;
}

bool IsStrict() { return TheSettings().strict; }
bool IsLazy() { return TheSettings().lazy; }
void SetLazy(bool lazy) { TheSettings().lazy = lazy; }
int DeviceCount() {
  const int devices = TheSettings().devices;
  return devices < kMostDevices ? devices : kMostDevices;
}
size_t DeviceMemoryLimit() { return TheSettings().memory; }
int DriverVersion() { return TheSettings().driver; }
void SetDeviceCount(int devices) { TheSettings().devices = devices; }
void SetDeviceMemory(size_t bytes) { TheSettings().memory = bytes; }
void SetDriverVersion(int version) { TheSettings().driver = version; }
ThreadOrder CurrentThreadOrder() { return TheSettings().order; }
void SetThreadOrder(ThreadOrder order) { TheSettings().order = order; }

cudaError_t NeedDevice() {
  // A driver serves all runtimes of its major version.
  if (DriverVersion() / 1000 < CUDART_VERSION / 1000) return cudaErrorInsufficientDriver;
  if (DeviceCount() == 0) return cudaErrorNoDevice;
  return cudaSuccess;
}

float RoundToTF32(float x) {
  if (!std::isfinite(x)) return x;
  constexpr int kBits = 10;
  int exponent;
  const float mantissa = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, kBits + 1)), exponent - kBits - 1);
}

int CurrentDevice() { return current_device; }
void SetCurrentDevice(int device) { current_device = device; }
void SetLastError(cudaError_t error) { last_error = error; }

cudaError_t Report(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace gpu_emulator

cudaError_t cudaPeekAtLastError() { return gpu_emulator::last_error; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = gpu_emulator::last_error;
  gpu_emulator::last_error = cudaSuccess;
  return error;
}
