#ifdef CAFFE_GPU_EMULATOR

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <curand.h>
#include <gtest/gtest.h>
#include <nccl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using gpu_emulator::Launch;
using gpu_emulator::ThreadOrder;

// Memory on the current GPU.
template <typename T>
class OnGpu {
 public:
  explicit OnGpu(size_t count) : count_(count) {
    EXPECT_EQ(cudaMalloc(&data_, count * sizeof(T)), cudaSuccess);
  }
  explicit OnGpu(const std::vector<T>& values) : OnGpu(values.size()) { Set(values); }
  ~OnGpu() { EXPECT_EQ(cudaFree(data_), cudaSuccess); }
  T* get() const { return data_; }
  void Set(const std::vector<T>& values) {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  std::vector<T> Get() const {
    std::vector<T> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

std::vector<float> RandomFloats(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-1, 1);
  std::vector<float> result(count);
  for (float& value : result) value = values(random);
  return result;
}

class GpuEmulatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    gpu_emulator::SetDeviceCount(2);
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    cudaGetLastError();
  }
  void TearDown() override {
    gpu_emulator::SetDeviceCount(2);
    gpu_emulator::SetDeviceMemory(size_t{8} << 30);
    gpu_emulator::SetDriverVersion(CUDART_VERSION);
    gpu_emulator::SetThreadOrder(ThreadOrder::kForward);
    cudaGetLastError();
  }
};

const ThreadOrder kOrders[] = {ThreadOrder::kForward, ThreadOrder::kBackward, ThreadOrder::kRandom};

// ---- Kernels ----

__global__ void NumberThreads(int* out) {
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  atomicAdd(&out[block * blockDim.x * blockDim.y * blockDim.z + thread], 1);
}

TEST_F(GpuEmulatorTest, EveryThreadOfEveryBlockRunsOnce) {
  for (const ThreadOrder order : kOrders) {
    gpu_emulator::SetThreadOrder(order);
    const OnGpu<int> out(std::vector<int>(2 * 3 * 4 * 5 * 6 * 7, 0));
    Launch(dim3(2, 3, 4), dim3(5, 6, 7), 0, [&] { NumberThreads(out.get()); });
    EXPECT_EQ(out.Get(), std::vector<int>(2 * 3 * 4 * 5 * 6 * 7, 1));
  }
}

__global__ void SumOfBlock(const float* in, float* out) {
  __shared__ float values[512];
  values[threadIdx.x] = in[blockIdx.x * blockDim.x + threadIdx.x];
  for (unsigned width = blockDim.x / 2; width > 0; width /= 2) {
    __syncthreads();
    if (threadIdx.x < width) values[threadIdx.x] += values[threadIdx.x + width];
  }
  if (threadIdx.x == 0) out[blockIdx.x] = values[0];
}

TEST_F(GpuEmulatorTest, BarriersLetThreadsExchange) {
  std::vector<float> in(16 * 512);
  std::iota(in.begin(), in.end(), 0.f);
  for (const ThreadOrder order : kOrders) {
    gpu_emulator::SetThreadOrder(order);
    const OnGpu<float> gpu_in(in), out(16);
    Launch(16, 512, 0, [&] { SumOfBlock(gpu_in.get(), out.get()); });
    const std::vector<float> sums = out.Get();
    for (int i = 0; i < 16; ++i) EXPECT_EQ(sums[i], 512 * (512 * i + 255.5f));
  }
}

TEST_F(GpuEmulatorTest, BarriersCount) {
  const OnGpu<int> out(3 * 96);
  Launch(1, 96, 0, [&] {
    out.get()[threadIdx.x] = __syncthreads_count(threadIdx.x % 3 == 0);
    out.get()[96 + threadIdx.x] = __syncthreads_or(threadIdx.x == 95);
    out.get()[192 + threadIdx.x] = __syncthreads_and(threadIdx.x != 95);
  });
  std::vector<int> expected(96, 32);
  expected.resize(192, 1);
  expected.resize(288, 0);
  EXPECT_EQ(out.Get(), expected);
}

// What Launch throws, or whoever waits for the kernel.
std::string ErrorOf(dim3 blocks, dim3 threads, const std::function<void()>& kernel) {
  try {
    Launch(blocks, threads, 0, kernel);
    cudaDeviceSynchronize();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

TEST_F(GpuEmulatorTest, BarrierThatNotAllReachIsAnError) {
  for (const ThreadOrder order : kOrders) {
    gpu_emulator::SetThreadOrder(order);
    const std::string error = ErrorOf(3, 64, [] {
      if (blockIdx.x == 1 && threadIdx.x >= 40) return;
      __syncthreads();
    });
    EXPECT_NE(error.find("24 of 64 have ended, 40 are at __syncthreads()"), std::string::npos) << error;
    EXPECT_NE(error.find("block (1, 0, 0)"), std::string::npos) << error;
    // What comes after is not disturbed.
    EXPECT_EQ(ErrorOf(2, 64, [] { __syncthreads(); }), "");
  }
}

TEST_F(GpuEmulatorTest, KernelsErrorsComeOut) {
  EXPECT_EQ(ErrorOf(1, 64,
                    [] {
                      __syncthreads();
                      if (threadIdx.x == 3) throw std::logic_error("of the kernel");
                      __syncthreads();
                    }),
            "of the kernel");
  EXPECT_THROW(__syncthreads(), std::logic_error);
  EXPECT_NE(ErrorOf(1, 1, [] { Launch(1, 1, 0, [] {}); }), "");
}

TEST_F(GpuEmulatorTest, LaunchesThatCannotBeLeaveAnError) {
  int runs = 0;
  const auto error_of = [&](dim3 blocks, dim3 threads, size_t shared) {
    Launch(blocks, threads, shared, [&] { ++runs; });
    EXPECT_EQ(cudaPeekAtLastError(), cudaPeekAtLastError());
    return cudaGetLastError();
  };
  EXPECT_EQ(error_of(0, 1, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error_of(1, 0, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error_of(1, 1025, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error_of(1, dim3(1, 1, 65), 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error_of(dim3(1, 65536), 1, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error_of(1, 1, 228 << 10), cudaErrorInvalidValue);
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(error_of(1, 1024, 227 << 10), cudaSuccess);
  cudaDeviceSynchronize();
  EXPECT_EQ(runs, 1024);
}

TEST_F(GpuEmulatorTest, DynamicSharedMemoryIsTheBlocksOwn) {
  const OnGpu<int> out(8 * 32);
  Launch(8, 32, 32 * sizeof(int), [&] {
    int* const shared = reinterpret_cast<int*>(gpu_emulator::SharedMemory());
    // Nothing is left of the block before.
    const bool garbage = shared[threadIdx.x] == -1;
    shared[threadIdx.x] = static_cast<int>(blockIdx.x * 100 + threadIdx.x);
    __syncthreads();
    out.get()[blockIdx.x * 32 + threadIdx.x] = garbage ? shared[31 - threadIdx.x] : -2;
  });
  std::vector<int> expected;
  for (int block = 0; block < 8; ++block) {
    for (int thread = 0; thread < 32; ++thread) expected.push_back(block * 100 + 31 - thread);
  }
  EXPECT_EQ(out.Get(), expected);
}

TEST_F(GpuEmulatorTest, WritingBehindDynamicSharedMemoryIsAnError) {
  EXPECT_THROW(
      {
        Launch(1, 1, 64, [] { gpu_emulator::SharedMemory()[64] = 0; });
        cudaDeviceSynchronize();
      },
      std::logic_error);
}

TEST_F(GpuEmulatorTest, ForEachRunsAllInEachOrder) {
  for (const ThreadOrder order : kOrders) {
    gpu_emulator::SetThreadOrder(order);
    for (const int n : {0, 1, 2, 1000, 1009}) {
      const OnGpu<int> out(std::vector<int>(1009, 0));
      gpu_emulator::ForEach(n, [&](int64_t i) { ++out.get()[i]; });
      std::vector<int> expected(n, 1);
      expected.resize(1009, 0);
      EXPECT_EQ(out.Get(), expected) << n;
    }
  }
}

// ---- Warps ----

// out of each of `threads` threads that run `body` with their number.
template <typename T, typename Body>
std::vector<T> RunThreads(int threads, const Body& body) {
  const OnGpu<T> out(threads);
  Launch(1, threads, 0, [&] { out.get()[threadIdx.x] = body(static_cast<int>(threadIdx.x)); });
  return out.Get();
}

TEST_F(GpuEmulatorTest, ShufflesMoveValuesBetweenLanes) {
  for (const ThreadOrder order : kOrders) {
    gpu_emulator::SetThreadOrder(order);
    const auto from = RunThreads<int>(64, [](int i) { return __shfl_sync(~0u, i, 5); });
    const auto within = RunThreads<float>(64, [](int i) { return __shfl_sync(~0u, i + 0.5f, i + 1, 8); });
    const auto up = RunThreads<double>(64, [](int i) { return __shfl_up_sync(~0u, i + 0.5, 3, 16); });
    const auto down = RunThreads<unsigned>(64, [](unsigned i) { return __shfl_down_sync(~0u, i, 3, 16); });
    const auto exchanged =
        RunThreads<long long>(64, [](long long i) { return __shfl_xor_sync(~0u, i << 40, 6); });
    for (int i = 0; i < 64; ++i) {
      EXPECT_EQ(from[i], i / 32 * 32 + 5);
      EXPECT_EQ(within[i], i / 8 * 8 + (i + 1) % 8 + 0.5f);
      EXPECT_EQ(up[i], (i % 16 < 3 ? i : i - 3) + 0.5);
      EXPECT_EQ(down[i], static_cast<unsigned>(i % 16 >= 13 ? i : i + 3));
      EXPECT_EQ(exchanged[i], static_cast<long long>(i ^ 6) << 40);
    }
  }
}

TEST_F(GpuEmulatorTest, VotesAndReductionsOfWarps) {
  const auto ballot =
      RunThreads<unsigned>(40, [](int i) { return __ballot_sync(i < 32 ? ~0u : 0xffu, i % 3 == 0); });
  const auto any =
      RunThreads<int>(32, [](int i) { return __any_sync(~0u, i == 7) + 2 * __all_sync(~0u, i != 7); });
  const auto sums = RunThreads<int>(32, [](int i) { return __reduce_add_sync(~0u, i - 40); });
  const auto most = RunThreads<unsigned>(32, [](unsigned i) { return __reduce_max_sync(~0u, i ^ 5); });
  const auto same = RunThreads<unsigned>(32, [](int i) { return __match_any_sync(~0u, i / 16); });
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(ballot[i], 0x49249249u);
    EXPECT_EQ(any[i], 1);
    EXPECT_EQ(sums[i], 31 * 16 - 40 * 32);
    EXPECT_EQ(most[i], 31u);
    EXPECT_EQ(same[i], i < 16 ? 0xffffu : 0xffff0000u);
  }
  // 33, 36 and 39 are lanes 1, 4 and 7.
  for (int i = 32; i < 40; ++i) EXPECT_EQ(ballot[i], 0x92u);
}

TEST_F(GpuEmulatorTest, PartsOfWarpsMeetOnTheirOwn) {
  const auto sums = RunThreads<int>(32, [](int i) {
    if (i < 8) return __reduce_add_sync(0x000000ffu, i);
    // Lanes that have ended are not waited for.
    if (i == 31) return -1;
    return __reduce_add_sync(0xffffff00u, i) + __shfl_sync(0xffffff00u, i, 8);
  });
  for (int i = 0; i < 31; ++i) EXPECT_EQ(sums[i], i < 8 ? 28 : 31 * 16 - 28 - 31 + 8);
}

TEST_F(GpuEmulatorTest, LanesThatCannotMeetAreAnError) {
  std::string error = ErrorOf(1, 32, [] {
    if (threadIdx.x == 3) {
      __syncwarp();
    } else {
      __shfl_sync(~0u, 1, 0);
    }
  });
  EXPECT_NE(error.find("(3, 0, 0) is in __syncwarp"), std::string::npos) << error;
  error = ErrorOf(1, 32, [] { __syncwarp(1); });
  EXPECT_NE(error.find("with a mask that lacks it"), std::string::npos) << error;
  error = ErrorOf(1, 32, [] {
    if (threadIdx.x == 0) {
      __syncthreads();
    } else {
      __syncwarp();
    }
  });
  EXPECT_NE(error.find("1 are at __syncthreads()"), std::string::npos) << error;
}

TEST_F(GpuEmulatorTest, WarpExchangeGivesTheValuesOfAll) {
  struct Part {
    int a[3];
    double b;
  };
  const auto sums = RunThreads<double>(32, [](int i) {
    const Part mine = {{i, 2 * i, 3 * i}, i / 4.};
    return gpu_emulator::WarpExchange(~0u, "sum", mine, [i](const gpu_emulator::WarpValues<Part>& all) {
      double sum = i;
      for (int lane = 0; lane < 32; ++lane) sum += all[lane].a[2] + all[lane].b;
      return sum;
    });
  });
  for (int i = 0; i < 32; ++i) EXPECT_EQ(sums[i], i + 496 * 3.25);
}

// ---- Intrinsics ----

TEST_F(GpuEmulatorTest, BitIntrinsics) {
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__popcll(~0ull), 64);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(-1), 0);
  EXPECT_EQ(__clzll(1), 63);
  EXPECT_EQ(__brev(0x12345678u), 0x1e6a2c48u);
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x7250), 0x77225500u);
  EXPECT_EQ(__byte_perm(0x00807f00u, 0, 0x9a8b), 0x00ff0000u);
  EXPECT_EQ(__funnelshift_l(0x80000000u, 1, 1), 3u);
  EXPECT_EQ(__funnelshift_r(0x80000000u, 1, 1), 0xc0000000u);
  EXPECT_EQ(__dp4a(static_cast<int>(0xff02fe01u), 0x01010203, 10), 10 + 3 - 4 + 2 - 1);
  EXPECT_EQ(__dp4a(0xff02fe01u, 0x01010203u, 10u), 10u + 3 + 508 + 2 + 255);
  EXPECT_EQ(__float_as_int(1.f), 0x3f800000);
  EXPECT_EQ(__int_as_float(0x3f800000), 1.f);
  EXPECT_EQ(__longlong_as_double(__double_as_longlong(-0.1)), -0.1);
  EXPECT_EQ(__hiloint2double(__double2hiint(-0.1), __double2loint(-0.1)), -0.1);
  EXPECT_EQ(__umulhi(0x80000000u, 6u), 3u);
}

TEST_F(GpuEmulatorTest, ConversionsRoundAndSaturate) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(__float2int_rn(2.5f), 2);
  EXPECT_EQ(__float2int_rn(-3.5f), -4);
  EXPECT_EQ(__float2int_rz(-3.5f), -3);
  EXPECT_EQ(__float2int_rd(-3.5f), -4);
  EXPECT_EQ(__float2int_ru(3.1f), 4);
  EXPECT_EQ(__float2int_rn(3e9f), std::numeric_limits<int>::max());
  EXPECT_EQ(__float2int_rn(-infinity), std::numeric_limits<int>::min());
  EXPECT_EQ(__float2int_rn(NAN), 0);
  EXPECT_EQ(__float2uint_rn(-5.f), 0u);
  EXPECT_EQ(__float2uint_rz(4e9f), 4000000000u);
  EXPECT_EQ(__double2ll_rz(1e300), std::numeric_limits<long long>::max());
  EXPECT_EQ(__saturatef(NAN), 0.f);
  EXPECT_EQ(max(1.f, NAN), 1.f);
  EXPECT_EQ(min(-1, 2), -1);
}

TEST_F(GpuEmulatorTest, AtomicsReturnWhatWasThere) {
  int number = 5;
  EXPECT_EQ(atomicAdd(&number, 3), 5);
  EXPECT_EQ(atomicMax(&number, 3), 8);
  EXPECT_EQ(atomicMin(&number, 3), 8);
  EXPECT_EQ(atomicExch(&number, 6), 3);
  EXPECT_EQ(atomicCAS(&number, 5, 9), 6);
  EXPECT_EQ(atomicCAS(&number, 6, 9), 6);
  EXPECT_EQ(atomicOr(&number, 2), 9);
  EXPECT_EQ(atomicAnd(&number, 3), 11);
  EXPECT_EQ(number, 3);
  unsigned count = 2;
  EXPECT_EQ(atomicInc(&count, 2), 2u);
  EXPECT_EQ(count, 0u);
  double sum = 0.5;
  EXPECT_EQ(atomicAdd(&sum, 0.25), 0.5);
  EXPECT_EQ(sum, 0.75);
  const OnGpu<float> total(std::vector<float>(1, 0.f));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Launch(100, 64, 0, [&] { atomicAdd(total.get(), 1.f); });
      EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total.Get()[0], 4 * 6400);
}

TEST_F(GpuEmulatorTest, HalfIsTheFormatOfIeee) {
  EXPECT_EQ(__half_as_ushort(__float2half(1.f)), 0x3c00);
  EXPECT_EQ(__half_as_ushort(__float2half(-2.5f)), 0xc100);
  EXPECT_EQ(__half_as_ushort(__float2half(65504.f)), 0x7bff);
  EXPECT_EQ(__half_as_ushort(__float2half(65519.f)), 0x7bff);
  EXPECT_EQ(__half_as_ushort(__float2half(65520.f)), 0x7c00);
  EXPECT_EQ(__half_as_ushort(__float2half(std::ldexp(1.f, -24))), 1);
  EXPECT_EQ(__half_as_ushort(__float2half(std::ldexp(1.f, -25))), 0);
  EXPECT_EQ(__half_as_ushort(__float2half(std::ldexp(1.5f, -25))), 1);
  // Ties go to the even one.
  EXPECT_EQ(__half2float(__float2half(2049.f)), 2048.f);
  EXPECT_EQ(__half2float(__float2half(2051.f)), 2052.f);
  // A double is rounded once.
  EXPECT_EQ(__half2float(__double2half(2049.0000000001)), 2050.f);
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float value = __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
    if (value == value) {
      ASSERT_EQ(__half_as_ushort(__float2half(value)), bits);
    } else {
      ASSERT_GT(bits & 0x7fff, 0x7c00);
    }
  }
  // 2047 * 2049 = 2^22 - 1: what is lost in 2^22 decides.
  const __half a = __float2half(2047.f), b = __float2half(2.f), c = __float2half(-4094.f);
  EXPECT_EQ(__half2float(__hfma(a, b, c)), 0.f);
  EXPECT_EQ(__half2float(a * b), 4094.f);
  const float2 sums = __half22float2(__hadd2(__floats2half2_rn(1.f, 2.f), __floats2half2_rn(0.5f, -2.f)));
  EXPECT_EQ(sums.x, 1.5f);
  EXPECT_EQ(sums.y, 0.f);
}

TEST_F(GpuEmulatorTest, Bfloat16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(__bfloat16_as_ushort(__float2bfloat16(1.f)), 0x3f80);
  EXPECT_EQ(__bfloat162float(__float2bfloat16(257.f)), 256.f);
  EXPECT_EQ(__bfloat162float(__float2bfloat16(259.f)), 260.f);
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float value = __bfloat162float(__ushort_as_bfloat16(static_cast<unsigned short>(bits)));
    if (value == value) {
      ASSERT_EQ(static_cast<unsigned>(bits) << 16, __float_as_uint(value));
      ASSERT_EQ(__bfloat16_as_ushort(__float2bfloat16(value)), bits);
    }
  }
}

// ---- Devices ----

TEST_F(GpuEmulatorTest, DevicesCanBeAsManyAsNeeded) {
  int count = -1;
  gpu_emulator::SetDeviceCount(5);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 5);
  EXPECT_EQ(cudaSetDevice(4), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(5), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  // The current device is the thread's own.
  std::thread([&] {
    int device = -1;
    EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
    EXPECT_EQ(device, 0);
  }).join();
  int device = -1;
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(device, 4);
  gpu_emulator::SetDeviceCount(0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  void* memory;
  EXPECT_EQ(cudaMalloc(&memory, 1), cudaErrorNoDevice);
  Launch(1, 1, 0, [] { FAIL(); });
  EXPECT_EQ(cudaGetLastError(), cudaErrorNoDevice);
}

TEST_F(GpuEmulatorTest, DriverCanBeTooOld) {
  gpu_emulator::SetDriverVersion(12020);
  int value;
  EXPECT_EQ(cudaGetDeviceCount(&value), cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaDriverGetVersion(&value), cudaSuccess);
  EXPECT_EQ(value, 12020);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorInsufficientDriver), "cudaErrorInsufficientDriver");
}

TEST_F(GpuEmulatorTest, PropertiesAndAttributesAgree) {
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 1), cudaSuccess);
  EXPECT_STREQ(properties.name, "Emulated GPU 1");
  int value;
  ASSERT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 1), cudaSuccess);
  EXPECT_EQ(static_cast<size_t>(value), properties.sharedMemPerBlockOptin);
  ASSERT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 1), cudaSuccess);
  EXPECT_EQ(value, properties.major);
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 2), cudaErrorInvalidDevice);
}

// ---- Memory ----

TEST_F(GpuEmulatorTest, CopiesCheckTheirDirection) {
  std::vector<char> host(100);
  const OnGpu<char> gpu(100), other(100);
  const auto copy = [](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    const cudaError_t error = cudaMemcpy(to, from, bytes, kind);
    EXPECT_EQ(cudaGetLastError(), error);
    return error;
  };
  EXPECT_EQ(copy(gpu.get(), host.data(), 100, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(copy(gpu.get(), host.data(), 100, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(gpu.get(), host.data(), 100, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(gpu.get(), host.data(), 100, cudaMemcpyHostToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host.data(), gpu.get(), 100, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host.data(), gpu.get(), 100, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(copy(other.get(), gpu.get(), 100, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(copy(gpu.get(), host.data(), 100, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(copy(host.data(), gpu.get(), 100, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(copy(host.data(), host.data() + 50, 50, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(copy(gpu.get(), host.data(), 100, static_cast<cudaMemcpyKind>(7)),
            cudaErrorInvalidMemcpyDirection);
}

TEST_F(GpuEmulatorTest, CopiesStayInsideAllocations) {
  std::vector<char> host(200);
  const OnGpu<char> gpu(100);
  EXPECT_EQ(cudaMemcpy(gpu.get(), host.data(), 101, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(gpu.get() + 1, host.data(), 100, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(gpu.get() + 1, host.data(), 99, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(gpu.get() - 1, host.data(), 1, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(gpu.get(), 0, 101), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host.data(), 0, 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(nullptr, host.data(), 1, cudaMemcpyDefault), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyDefault), cudaSuccess);
  // 3 rows of 30 bytes, 35 apart, take 100 bytes.
  EXPECT_EQ(cudaMemcpy2D(gpu.get(), 35, host.data(), 30, 30, 3, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpy2D(gpu.get(), 36, host.data(), 30, 30, 3, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy2D(gpu.get(), 29, host.data(), 30, 30, 3, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
}

TEST_F(GpuEmulatorTest, RowsAreCopiedAndSet) {
  std::vector<char> host(100, 0);
  std::iota(host.begin(), host.end(), 0);
  const OnGpu<char> gpu(std::vector<char>(100, -1));
  ASSERT_EQ(cudaMemcpy2D(gpu.get(), 10, host.data(), 20, 3, 4, cudaMemcpyHostToDevice), cudaSuccess);
  ASSERT_EQ(cudaMemset2D(gpu.get() + 5, 10, 9, 2, 4), cudaSuccess);
  const std::vector<char> copied = gpu.Get();
  for (int i = 0; i < 100; ++i) {
    const int row = i / 10, column = i % 10;
    const int expected = row >= 4 ? -1 : column < 3 ? row * 20 + column : column == 5 || column == 6 ? 9 : -1;
    EXPECT_EQ(copied[i], expected) << i;
  }
}

TEST_F(GpuEmulatorTest, MemoryRunsOut) {
  // What the pool keeps of earlier tests is used, and could be had all the same.
  cudaMemPool_t pool;
  ASSERT_EQ(cudaDeviceGetDefaultMemPool(&pool, 0), cudaSuccess);
  ASSERT_EQ(cudaMemPoolTrimTo(pool, 0), cudaSuccess);
  gpu_emulator::SetDeviceMemory(1 << 20);
  size_t free, total;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  const size_t used = total - free;
  gpu_emulator::SetDeviceMemory(used + (1 << 20));
  void *first, *second = &first;
  ASSERT_EQ(cudaMalloc(&first, 600 << 10), cudaSuccess);
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(free, size_t{424} << 10);
  EXPECT_EQ(cudaMalloc(&second, 600 << 10), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMallocAsync(&second, size_t(-1), cudaStreamPerThread), cudaErrorMemoryAllocation);
  // The other GPU has its own.
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  ASSERT_EQ(cudaMalloc(&second, 600 << 10), cudaSuccess);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
}

TEST_F(GpuEmulatorTest, WrongFreesAreErrors) {
  void* memory;
  ASSERT_EQ(cudaMalloc(&memory, 100), cudaSuccess);
  EXPECT_EQ(cudaFree(static_cast<char*>(memory) + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(&memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  ASSERT_EQ(cudaMallocHost(&memory, 100), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(memory), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMalloc(&memory, 0), cudaSuccess);
  EXPECT_EQ(memory, nullptr);
}

TEST_F(GpuEmulatorTest, FreshMemoryIsGarbage) {
  for (int i = 0; i < 2; ++i) {
    const OnGpu<float> gpu(10);
    for (const float value : gpu.Get()) EXPECT_TRUE(std::isnan(value));
    gpu_emulator::ForEach(10, [&](int64_t j) { gpu.get()[j] = 1; });
  }
}

TEST_F(GpuEmulatorTest, WritingOutsideEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto write = [](int index) {
    char* memory;
    cudaMalloc(&memory, 100);
    Launch(1, 1, 0, [&] { memory[index] = 1; });
    cudaFree(memory);
  };
  EXPECT_DEATH(write(100), "written 0 bytes behind the end of an allocation of 100 bytes|AddressSanitizer");
  EXPECT_DEATH(write(-1), "written 1 bytes before an allocation of 100 bytes|AddressSanitizer");
  EXPECT_DEATH(
      {
        char* memory;
        cudaMallocHost(&memory, 100);
        memory[100] = 1;
        cudaFreeHost(memory);
      },
      "behind the end of pinned memory|AddressSanitizer");
}

TEST_F(GpuEmulatorTest, StrictModeCatchesHostAndOtherGpu) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  setenv("CAFFE_EMULATED_GPU_STRICT", "1", 1);
  EXPECT_DEATH(
      {
        int* memory;
        cudaMalloc(&memory, 4);
        *static_cast<volatile int*>(memory) = 1;
      },
      "used outside of kernels");
  EXPECT_DEATH(
      {
        int* memory;
        cudaMalloc(&memory, 4);
        cudaSetDevice(1);
        Launch(1, 1, 0, [&] { *static_cast<volatile int*>(memory) = 1; });
        cudaDeviceSynchronize();
      },
      "by another GPU without peer access");
  EXPECT_EXIT(
      {
        int* memory;
        cudaMalloc(&memory, 4);
        cudaSetDevice(1);
        cudaDeviceEnablePeerAccess(0, 0);
        Launch(1, 1, 0, [&] { *static_cast<volatile int*>(memory) = 7; });
        int value = 0;
        cudaMemcpy(&value, memory, 4, cudaMemcpyDefault);
        std::exit(value);
      },
      ::testing::ExitedWithCode(7), "");
  unsetenv("CAFFE_EMULATED_GPU_STRICT");
}

TEST_F(GpuEmulatorTest, PointersTellWhereTheyAre) {
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  const OnGpu<int> gpu(10);
  void* pinned;
  ASSERT_EQ(cudaMallocHost(&pinned, 10), cudaSuccess);
  cudaPointerAttributes attributes;
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, gpu.get() + 9), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(attributes.device, 1);
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, pinned), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, &attributes), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
  EXPECT_TRUE(gpu_emulator::IsDeviceMemory(gpu.get(), 40));
  EXPECT_FALSE(gpu_emulator::IsDeviceMemory(gpu.get(), 41));
}

TEST_F(GpuEmulatorTest, PoolsTellTheirUse) {
  cudaMemPool_t pool;
  ASSERT_EQ(cudaDeviceGetDefaultMemPool(&pool, 0), cudaSuccess);
  uint64_t before, used, most, zero = 0;
  ASSERT_EQ(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &before), cudaSuccess);
  ASSERT_EQ(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &zero), cudaSuccess);
  void* memory;
  ASSERT_EQ(cudaMallocAsync(&memory, 1024, cudaStreamPerThread), cudaSuccess);
  ASSERT_EQ(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used), cudaSuccess);
  EXPECT_EQ(used, before + 1024);
  ASSERT_EQ(cudaFreeAsync(memory, cudaStreamPerThread), cudaSuccess);
  ASSERT_EQ(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used), cudaSuccess);
  ASSERT_EQ(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &most), cudaSuccess);
  EXPECT_EQ(used, before);
  EXPECT_EQ(most, before + 1024);
  uint64_t threshold = UINT64_MAX;
  ASSERT_EQ(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold), cudaSuccess);
  EXPECT_EQ(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &threshold), cudaErrorInvalidValue);
}

TEST_F(GpuEmulatorTest, PoolsKeepWhatIsGivenBack) {
  cudaMemPool_t pool;
  ASSERT_EQ(cudaDeviceGetDefaultMemPool(&pool, 1), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  uint64_t keeps;
  ASSERT_EQ(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keeps), cudaSuccess);
  for (uint64_t threshold : {uint64_t{0}, UINT64_MAX}) {
    ASSERT_EQ(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold), cudaSuccess);
    ASSERT_EQ(cudaMemPoolTrimTo(pool, 0), cudaSuccess);
    uint64_t before, reserved;
    size_t free_before, free;
    ASSERT_EQ(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &before), cudaSuccess);
    ASSERT_EQ(cudaMemGetInfo(&free_before, nullptr), cudaSuccess);
    void* memory;
    ASSERT_EQ(cudaMallocAsync(&memory, 1024, cudaStreamPerThread), cudaSuccess);
    ASSERT_EQ(cudaFreeAsync(memory, cudaStreamPerThread), cudaSuccess);
    const uint64_t kept = threshold > 0 ? 1024 : 0;
    ASSERT_EQ(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved), cudaSuccess);
    EXPECT_EQ(reserved, before + kept);
    ASSERT_EQ(cudaMemGetInfo(&free, nullptr), cudaSuccess);
    EXPECT_EQ(free, free_before - kept);
    ASSERT_EQ(cudaMemPoolTrimTo(pool, 0), cudaSuccess);
    ASSERT_EQ(cudaMemGetInfo(&free, nullptr), cudaSuccess);
    EXPECT_EQ(free, free_before);
  }
  ASSERT_EQ(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keeps), cudaSuccess);
}

// ---- Streams and events ----

TEST_F(GpuEmulatorTest, GraphsRepeatWhatWasCaptured) {
  const OnGpu<int> sum(1);
  int* const gpu = sum.get();
  ASSERT_EQ(cudaMemset(gpu, 0, sizeof(int)), cudaSuccess);
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaErrorIllegalState);
  Launch(1, 2, 0, [=] { *gpu += 1; }, stream);
  gpu_emulator::ForEach(10, [=](int64_t) { *gpu *= 2; }, stream);
  // What goes into other streams is done.
  Launch(1, 1, 0, [=] { *gpu += 5; });
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  std::thread([&] {
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureWrongThread);
  }).join();
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(sum.Get(), std::vector<int>{5});
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(executable, cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(sum.Get(), std::vector<int>{(5 + 2) * 1024});
  EXPECT_EQ(cudaGraphLaunch(executable, cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(sum.Get(), std::vector<int>{((5 + 2) * 1024 + 2) * 1024});
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
}

TEST_F(GpuEmulatorTest, LegacyStreamCannotWaitForACapture) {
  const OnGpu<int> memory(1);
  cudaStream_t stream;
  cudaGraph_t graph;
  for (const unsigned flags : {cudaStreamDefault, cudaStreamNonBlocking}) {
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, flags), cudaSuccess);
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    std::thread([&] {
      EXPECT_EQ(cudaMemsetAsync(memory.get(), 0, 1, cudaStreamLegacy),
                flags == cudaStreamDefault ? cudaErrorStreamCaptureImplicit : cudaSuccess);
      EXPECT_EQ(cudaMemsetAsync(memory.get(), 0, 1, cudaStreamPerThread), cudaSuccess);
    }).join();
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  }
  EXPECT_EQ(cudaStreamBeginCapture(cudaStreamLegacy, cudaStreamCaptureModeThreadLocal),
            cudaErrorStreamCaptureUnsupported);
}

TEST_F(GpuEmulatorTest, EventsMeasureTime) {
  cudaStream_t stream;
  cudaEvent_t start, end;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&start), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorInvalidResourceHandle);
  ASSERT_EQ(cudaEventRecord(start, stream), cudaSuccess);
  const auto sleep = [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  ASSERT_EQ(cudaLaunchHostFunc(stream, sleep, nullptr), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(end, stream), cudaSuccess);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  ASSERT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_GE(milliseconds, 2);
  EXPECT_EQ(cudaEventDestroy(start), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(start), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
}

TEST_F(GpuEmulatorTest, EventsAndStreamsBelongToGpus) {
  cudaEvent_t event;
  cudaStream_t stream;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(event, stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(event, cudaStreamPerThread), cudaErrorInvalidResourceHandle);
  // Waiting goes across.
  EXPECT_EQ(cudaStreamWaitEvent(stream, event), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
}

// ---- Work that is done late ----

class LazyGpuEmulatorTest : public GpuEmulatorTest {
 protected:
  void SetUp() override {
    GpuEmulatorTest::SetUp();
    was_lazy_ = std::getenv("CAFFE_EMULATED_GPU_LAZY") != nullptr;
    gpu_emulator::SetLazy(true);
    EXPECT_EQ(cudaMallocHost(&pinned_, sizeof(int)), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&gpu_, sizeof(int)), cudaSuccess);
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess);
    Put(1);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }
  void TearDown() override {
    EXPECT_EQ(cudaEventDestroy(event_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    EXPECT_EQ(cudaFree(gpu_), cudaSuccess);
    EXPECT_EQ(cudaFreeHost(pinned_), cudaSuccess);
    gpu_emulator::SetLazy(was_lazy_);
    GpuEmulatorTest::TearDown();
  }
  // *gpu = value, in the thread's own stream.
  void Put(int value) {
    int* const gpu = gpu_;
    Launch(1, 1, 0, [=] { *gpu = value; });
  }
  void Copy(cudaStream_t stream) {
    EXPECT_EQ(cudaMemcpyAsync(pinned_, gpu_, sizeof(int), cudaMemcpyDeviceToHost, stream), cudaSuccess);
  }

  bool was_lazy_;
  int *pinned_, *gpu_;
  cudaStream_t stream_;
  cudaEvent_t event_;
};

TEST_F(LazyGpuEmulatorTest, CopiesAreThereWhenTheStreamIsWaitedFor) {
  *pinned_ = 0;
  Copy(stream_);
  EXPECT_EQ(*pinned_, 0);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(*pinned_, 1);
  // Pinned memory must stay as it is until it has been read, pageable memory need not.
  int pageable = 2;
  EXPECT_EQ(cudaMemcpyAsync(gpu_, &pageable, sizeof(int), cudaMemcpyHostToDevice, stream_), cudaSuccess);
  pageable = 3;
  Copy(stream_);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(*pinned_, 2);
  EXPECT_EQ(cudaMemcpyAsync(gpu_, pinned_, sizeof(int), cudaMemcpyHostToDevice, stream_), cudaSuccess);
  *pinned_ = 4;
  EXPECT_EQ(cudaMemcpyAsync(&pageable, gpu_, sizeof(int), cudaMemcpyDeviceToHost, stream_), cudaSuccess);
  EXPECT_EQ(pageable, 4);
}

TEST_F(LazyGpuEmulatorTest, StreamsGoInOrderOnlyWhereTheyAreToldTo) {
  Put(2);
  Copy(stream_);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(*pinned_, 1);
  Put(3);
  EXPECT_EQ(cudaEventRecord(event_, cudaStreamPerThread), cudaSuccess);
  Put(4);
  EXPECT_EQ(cudaStreamWaitEvent(stream_, event_, 0), cudaSuccess);
  Copy(stream_);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(*pinned_, 3);
  // The legacy stream follows the threads' streams, of threads that have ended too, and they follow it.
  std::thread([&] { Put(5); }).join();
  Copy(cudaStreamLegacy);
  Put(6);
  EXPECT_EQ(cudaStreamSynchronize(cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(*pinned_, 5);
}

TEST_F(LazyGpuEmulatorTest, EventsPassWhenTheyAreWaitedFor) {
  Put(2);
  EXPECT_EQ(cudaEventRecord(event_, cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event_), cudaErrorNotReady);
  int polls = 0;
  while (cudaEventQuery(event_) == cudaErrorNotReady) ASSERT_LT(++polls, 10);
  EXPECT_EQ(cudaEventQuery(event_), cudaSuccess);
  Put(3);
  EXPECT_EQ(cudaEventRecord(event_, cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(event_), cudaSuccess);
  Copy(stream_);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(*pinned_, 3);
}

TEST_F(LazyGpuEmulatorTest, FreedMemoryIsReusedWhenItsStreamIsDoneWithIt) {
  int *memory, *other;
  ASSERT_EQ(cudaMallocAsync(&memory, sizeof(int), cudaStreamPerThread), cudaSuccess);
  Launch(1, 1, 0, [=] { *memory = 7; });
  EXPECT_EQ(cudaMemcpyAsync(gpu_, memory, sizeof(int), cudaMemcpyDeviceToDevice, cudaStreamPerThread),
            cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(memory, cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(memory, cudaStreamPerThread), cudaErrorInvalidValue);
  ASSERT_EQ(cudaMallocAsync(&other, sizeof(int), stream_), cudaSuccess);
  EXPECT_NE(memory, other);
  Copy(cudaStreamPerThread);
  EXPECT_EQ(cudaStreamSynchronize(cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(*pinned_, 7);
  EXPECT_EQ(cudaFreeAsync(other, stream_), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
}

// ---- cuBLAS ----

class Blas {
 public:
  Blas() { EXPECT_EQ(cublasCreate(&handle_), CUBLAS_STATUS_SUCCESS); }
  ~Blas() { EXPECT_EQ(cublasDestroy(handle_), CUBLAS_STATUS_SUCCESS); }
  cublasHandle_t get() const { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

// alpha op(a) op(b) + beta c by loops; columns are contiguous.
std::vector<float> PlainGemm(bool trans_a, bool trans_b, int m, int n, int k, float alpha,
                             const std::vector<float>& a, int lda, const std::vector<float>& b, int ldb,
                             float beta, std::vector<float> c, int ldc) {
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int l = 0; l < k; ++l) {
        sum += static_cast<double>(trans_a ? a[i * lda + l] : a[l * lda + i]) *
               (trans_b ? b[l * ldb + j] : b[j * ldb + l]);
      }
      float& out = c[j * ldc + i];
      out = static_cast<float>(alpha * sum + (beta == 0 ? 0 : beta * out));
    }
  }
  return c;
}

TEST_F(GpuEmulatorTest, GemmOfFloats) {
  const Blas blas;
  constexpr int m = 5, n = 7, k = 9, ld = 10;
  const std::vector<float> a = RandomFloats(ld * ld, 1), b = RandomFloats(ld * ld, 2);
  const OnGpu<float> gpu_a(a), gpu_b(b);
  for (int which = 0; which < 8; ++which) {
    const bool trans_a = which & 1, trans_b = which & 2;
    const float alpha = 0.5f, beta = which & 4 ? 2.f : 0.f;
    // What beta = 0 multiplies is not read.
    const std::vector<float> c = beta == 0 ? std::vector<float>(ld * n, NAN) : RandomFloats(ld * n, 3);
    const OnGpu<float> gpu_c(c);
    ASSERT_EQ(
        cublasSgemm(blas.get(), trans_a ? CUBLAS_OP_T : CUBLAS_OP_N, trans_b ? CUBLAS_OP_T : CUBLAS_OP_N, m,
                    n, k, &alpha, gpu_a.get(), ld, gpu_b.get(), ld, &beta, gpu_c.get(), ld),
        CUBLAS_STATUS_SUCCESS);
    const std::vector<float> expected =
        PlainGemm(trans_a, trans_b, m, n, k, alpha, a, ld, b, ld, beta, c, ld);
    const std::vector<float> result = gpu_c.Get();
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < m; ++i) EXPECT_NEAR(result[j * ld + i], expected[j * ld + i], 1e-5);
    }
  }
}

TEST_F(GpuEmulatorTest, GemmInBatches) {
  const Blas blas;
  const std::vector<float> a = RandomFloats(3 * 6, 1), b = RandomFloats(3 * 6, 2);
  const OnGpu<float> gpu_a(a), gpu_b(b), gpu_c(3 * 4);
  const float one = 1, zero = 0;
  ASSERT_EQ(cublasSgemmStridedBatched(blas.get(), CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 3, &one, gpu_a.get(), 2, 6,
                                      gpu_b.get(), 3, 6, &zero, gpu_c.get(), 2, 4, 3),
            CUBLAS_STATUS_SUCCESS);
  const std::vector<float> c = gpu_c.Get();
  for (int batch = 0; batch < 3; ++batch) {
    const std::vector<float> expected =
        PlainGemm(false, false, 2, 2, 3, 1, {a.begin() + batch * 6, a.end()}, 2,
                  {b.begin() + batch * 6, b.end()}, 3, 0, std::vector<float>(4), 2);
    for (int i = 0; i < 4; ++i) EXPECT_NEAR(c[batch * 4 + i], expected[i], 1e-6);
  }
}

TEST_F(GpuEmulatorTest, GemmOfSmallTypes) {
  const Blas blas;
  constexpr int m = 4, n = 6, k = 8;
  std::vector<int8_t> a(m * k), b(k * n);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<int8_t>(i * 37);
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<int8_t>(i * 53);
  const OnGpu<int8_t> gpu_a(a), gpu_b(b);
  const OnGpu<int32_t> gpu_c(m * n);
  const int32_t alpha = 1, beta = 0;
  // Rows of a and columns of b are contiguous.
  ASSERT_EQ(cublasGemmEx(blas.get(), CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &alpha, gpu_a.get(), CUDA_R_8I, k,
                         gpu_b.get(), CUDA_R_8I, k, &beta, gpu_c.get(), CUDA_R_32I, m, CUBLAS_COMPUTE_32I,
                         CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_SUCCESS);
  const std::vector<int32_t> c = gpu_c.Get();
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      int sum = 0;
      for (int l = 0; l < k; ++l) sum += a[i * k + l] * b[j * k + l];
      EXPECT_EQ(c[j * m + i], sum);
    }
  }
  // Of halves into a half: rounded once, at the end.
  const OnGpu<__half> half_a({__float2half(1.f), __float2half(2048.f)}),
      half_b({__float2half(1.f), __float2half(1.f)});
  const OnGpu<__half> half_c(1);
  const float one = 1, zero = 0;
  ASSERT_EQ(cublasGemmEx(blas.get(), CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 2, &one, half_a.get(), CUDA_R_16F, 1,
                         half_b.get(), CUDA_R_16F, 2, &zero, half_c.get(), CUDA_R_16F, 1, CUBLAS_COMPUTE_32F,
                         CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(__half2float(half_c.Get()[0]), 2048.f);
  // TF32 has 10 bits of mantissa.
  const OnGpu<float> float_a(std::vector<float>{1 + std::ldexp(1.f, -11)}), float_b(std::vector<float>{1}),
      float_c(1);
  for (const bool tf32 : {false, true}) {
    ASSERT_EQ(cublasSetMathMode(blas.get(), tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasSgemm(blas.get(), CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, float_a.get(), 1,
                          float_b.get(), 1, &zero, float_c.get(), 1),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(float_c.Get()[0], tf32 ? 1.f : 1 + std::ldexp(1.f, -11));
  }
}

TEST_F(GpuEmulatorTest, VectorsOfBlas) {
  const Blas blas;
  const OnGpu<double> x({1, 2, 3}), y({4, 5, 6});
  const double two = 2, zero = 0;
  double result;
  ASSERT_EQ(cublasDdot(blas.get(), 3, x.get(), 1, y.get(), 1, &result), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(result, 32);
  ASSERT_EQ(cublasDaxpy(blas.get(), 3, &two, x.get(), 1, y.get(), 1), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(y.Get(), (std::vector<double>{6, 9, 12}));
  ASSERT_EQ(cublasDscal(blas.get(), 2, &two, y.get(), 2), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(y.Get(), (std::vector<double>{12, 9, 24}));
  ASSERT_EQ(cublasDasum(blas.get(), 3, y.get(), 1, &result), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(result, 45);
  ASSERT_EQ(cublasDnrm2(blas.get(), 2, y.get(), 1, &result), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(result, 15);
  ASSERT_EQ(cublasDcopy(blas.get(), 3, x.get(), 1, y.get(), 1), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(y.Get(), x.Get());
  // A of 2 x 3: columns (1, 2), (3, 4), (5, 6).
  const OnGpu<double> a({1, 2, 3, 4, 5, 6});
  ASSERT_EQ(cublasDgemv(blas.get(), CUBLAS_OP_T, 2, 3, &two, a.get(), 2, x.get(), 1, &zero, y.get(), 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(y.Get(), (std::vector<double>{10, 22, 34}));
  const OnGpu<double> transposed(6);
  ASSERT_EQ(cublasDgeam(blas.get(), CUBLAS_OP_T, CUBLAS_OP_N, 3, 2, &two, a.get(), 2, &zero, nullptr, 3,
                        transposed.get(), 3),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(transposed.Get(), (std::vector<double>{2, 6, 10, 4, 8, 12}));
  // Scalars on the GPU.
  ASSERT_EQ(cublasSetPointerMode(blas.get(), CUBLAS_POINTER_MODE_DEVICE), CUBLAS_STATUS_SUCCESS);
  const OnGpu<double> sum(1);
  ASSERT_EQ(cublasDasum(blas.get(), 6, a.get(), 1, sum.get()), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(sum.Get()[0], 21);
  EXPECT_EQ(cublasDasum(blas.get(), 6, a.get(), 1, &result), CUBLAS_STATUS_EXECUTION_FAILED);
}

TEST_F(GpuEmulatorTest, BlasWantsOperandsOnItsGpu) {
  const Blas blas;
  std::vector<float> host(4);
  const OnGpu<float> gpu(4);
  const float one = 1;
  EXPECT_EQ(cublasSaxpy(blas.get(), 4, &one, host.data(), 1, gpu.get(), 1), CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_EQ(cublasSaxpy(blas.get(), 5, &one, gpu.get(), 1, gpu.get(), 1), CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_EQ(cublasSgemm(blas.get(), CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, gpu.get(), 1, gpu.get(), 2, &one,
                        gpu.get(), 2),
            CUBLAS_STATUS_INVALID_VALUE);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cublasSscal(blas.get(), 4, &one, gpu.get(), 1), CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_STREQ(cublasGetStatusName(CUBLAS_STATUS_EXECUTION_FAILED), "CUBLAS_STATUS_EXECUTION_FAILED");
}

// ---- cuRAND ----

TEST_F(GpuEmulatorTest, RandomNumbers) {
  curandGenerator_t generator;
  ASSERT_EQ(curandCreateGenerator(&generator, CURAND_RNG_PSEUDO_DEFAULT), CURAND_STATUS_SUCCESS);
  ASSERT_EQ(curandSetPseudoRandomGeneratorSeed(generator, 1701), CURAND_STATUS_SUCCESS);
  constexpr int n = 100000;
  const OnGpu<float> uniform(n);
  const OnGpu<double> normal(n);
  ASSERT_EQ(curandGenerateUniform(generator, uniform.get(), n), CURAND_STATUS_SUCCESS);
  double sum = 0, squares = 0;
  const std::vector<float> first = uniform.Get();
  for (const float value : first) {
    ASSERT_GT(value, 0);
    ASSERT_LE(value, 1);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / n, 0.5, 0.005);
  EXPECT_NEAR(squares / n, 1 / 3., 0.005);
  ASSERT_EQ(curandGenerateNormalDouble(generator, normal.get(), n, 2, 3), CURAND_STATUS_SUCCESS);
  sum = squares = 0;
  for (const double value : normal.Get()) {
    sum += value - 2;
    squares += (value - 2) * (value - 2);
  }
  EXPECT_NEAR(sum / n, 0, 0.05);
  EXPECT_NEAR(squares / n, 9, 0.2);
  EXPECT_EQ(curandGenerateNormalDouble(generator, normal.get(), 3, 0, 1), CURAND_STATUS_LENGTH_NOT_MULTIPLE);
  // The same seed, the same numbers, from any offset on.
  ASSERT_EQ(curandSetPseudoRandomGeneratorSeed(generator, 1701), CURAND_STATUS_SUCCESS);
  ASSERT_EQ(curandSetGeneratorOffset(generator, 10), CURAND_STATUS_SUCCESS);
  ASSERT_EQ(curandGenerateUniform(generator, uniform.get(), n - 10), CURAND_STATUS_SUCCESS);
  const std::vector<float> again = uniform.Get();
  EXPECT_TRUE(std::equal(first.begin() + 10, first.end(), again.begin()));
  EXPECT_EQ(curandDestroyGenerator(generator), CURAND_STATUS_SUCCESS);
}

// ---- NCCL ----

// body(rank, communicator) on a thread for each of `ranks` GPUs.
void OnRanks(int ranks, const std::function<void(int, ncclComm_t)>& body) {
  gpu_emulator::SetDeviceCount(ranks);
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      ASSERT_EQ(cudaSetDevice(rank), cudaSuccess);
      ncclComm_t comm;
      ASSERT_EQ(ncclCommInitRank(&comm, ranks, id, rank), ncclSuccess);
      body(rank, comm);
      // Unless body has.
      int count;
      if (ncclCommCount(comm, &count) == ncclSuccess) {
        EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(GpuEmulatorTest, AllReduceOfThreads) {
  // More than fits in one chunk of the exchange.
  constexpr int n = 100003;
  OnRanks(3, [](int rank, ncclComm_t comm) {
    int value;
    EXPECT_EQ(ncclCommCount(comm, &value), ncclSuccess);
    EXPECT_EQ(value, 3);
    EXPECT_EQ(ncclCommUserRank(comm, &value), ncclSuccess);
    EXPECT_EQ(value, rank);
    std::vector<float> mine(n);
    for (int i = 0; i < n; ++i) mine[i] = static_cast<float>(i * (rank + 1));
    const OnGpu<float> data(mine), out(n);
    for (const ncclRedOp_t op : {ncclSum, ncclAvg, ncclMax}) {
      ASSERT_EQ(ncclAllReduce(data.get(), out.get(), n, ncclFloat, op, comm, cudaStreamPerThread),
                ncclSuccess);
      ASSERT_EQ(cudaStreamSynchronize(cudaStreamPerThread), cudaSuccess);
      const std::vector<float> result = out.Get();
      const float factor = op == ncclSum ? 6.f : op == ncclAvg ? 2.f : 3.f;
      for (int i = 0; i < n; ++i) ASSERT_EQ(result[i], factor * i);
    }
  });
}

TEST_F(GpuEmulatorTest, OtherCollectives) {
  OnRanks(2, [](int rank, ncclComm_t comm) {
    const double base = 10 * rank;
    const OnGpu<double> data({base + 1, base + 2}), out(std::vector<double>(4, 0.));
    ASSERT_EQ(ncclAllGather(data.get(), out.get(), 2, ncclDouble, comm, nullptr), ncclSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(out.Get(), (std::vector<double>{1, 2, 11, 12}));
    ASSERT_EQ(ncclReduceScatter(out.get(), data.get(), 2, ncclDouble, ncclSum, comm, nullptr), ncclSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(data.Get(), rank == 0 ? (std::vector<double>{2, 4}) : (std::vector<double>{22, 24}));
    ASSERT_EQ(
        ncclReduce(data.get(), rank == 1 ? data.get() : nullptr, 2, ncclDouble, ncclSum, 1, comm, nullptr),
        ncclSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(data.Get(), rank == 0 ? (std::vector<double>{2, 4}) : (std::vector<double>{24, 28}));
    ASSERT_EQ(ncclBcast(data.get(), 2, ncclDouble, 1, comm, nullptr), ncclSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(data.Get(), (std::vector<double>{24, 28}));
  });
}

TEST_F(GpuEmulatorTest, OneThreadServesSeveralGpusInGroups) {
  ncclComm_t comms[2];
  ASSERT_EQ(ncclCommInitAll(comms, 2, nullptr), ncclSuccess);
  std::unique_ptr<OnGpu<int>> data[2];
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(cudaSetDevice(i), cudaSuccess);
    data[i] = std::make_unique<OnGpu<int>>(std::vector<int>{i + 1, 10});
  }
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  for (int i = 0; i < 2; ++i) {
    for (int part = 0; part < 2; ++part) {
      int* const one = data[i]->get() + part;
      ASSERT_EQ(ncclAllReduce(one, one, 1, ncclInt, ncclSum, comms[i], nullptr), ncclSuccess);
    }
  }
  ASSERT_EQ(ncclGroupEnd(), ncclSuccess);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(cudaSetDevice(i), cudaSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(data[i]->Get(), (std::vector<int>{3, 20}));
    EXPECT_EQ(ncclCommDestroy(comms[i]), ncclSuccess);
  }
  const int twice[] = {1, 1};
  EXPECT_EQ(ncclCommInitAll(comms, 2, twice), ncclInvalidUsage);
}

TEST_F(GpuEmulatorTest, ProcessesReduceTogether) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  const auto sum = [&](int rank) {
    ncclComm_t comm;
    if (cudaSetDevice(rank) != cudaSuccess || ncclCommInitRank(&comm, 2, id, rank) != ncclSuccess) return 0;
    const OnGpu<int> data(std::vector<int>{rank + 1});
    if (ncclAllReduce(data.get(), data.get(), 1, ncclInt, ncclSum, comm, nullptr) != ncclSuccess) return 0;
    cudaDeviceSynchronize();
    const int result = data.Get()[0];
    ncclCommDestroy(comm);
    return result;
  };
  const pid_t child = fork();
  if (child == 0) _exit(sum(1));
  EXPECT_EQ(sum(0), 3);
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

TEST_F(GpuEmulatorTest, CollectivesAreWaitedForInTheirStream) {
  for (const bool lazy : {false, true}) {
    gpu_emulator::SetLazy(lazy);
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    ncclComm_t comms[2];
    ASSERT_EQ(ncclCommInitAll(comms, 2, nullptr), ncclSuccess);
    cudaStream_t streams[2];
    cudaEvent_t event;
    ASSERT_EQ(cudaEventCreate(&event), cudaSuccess);
    std::unique_ptr<OnGpu<int>> data[2];
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(cudaSetDevice(i), cudaSuccess);
      data[i] = std::make_unique<OnGpu<int>>(std::vector<int>{i + 1});
      // What is on the GPU before the collective begins.
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      ASSERT_EQ(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking), cudaSuccess);
    }
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    // The call does not wait for the other rank, but what comes after it in its stream does.
    ASSERT_EQ(ncclAllReduce(data[0]->get(), data[0]->get(), 1, ncclInt, ncclSum, comms[0], streams[0]),
              ncclSuccess);
    ASSERT_EQ(cudaEventRecord(event, streams[0]), cudaSuccess);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
    ASSERT_EQ(ncclAllReduce(data[1]->get(), data[1]->get(), 1, ncclInt, ncclSum, comms[1], streams[1]),
              ncclSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(cudaStreamPerThread, event, 0), cudaSuccess);
    EXPECT_EQ(data[0]->Get(), std::vector<int>{3});
    ASSERT_EQ(cudaStreamSynchronize(streams[1]), cudaSuccess);
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(cudaSetDevice(i), cudaSuccess);
      data[i].reset();
      EXPECT_EQ(cudaStreamDestroy(streams[i]), cudaSuccess);
      EXPECT_EQ(ncclCommDestroy(comms[i]), ncclSuccess);
    }
    EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  }
  gpu_emulator::SetLazy(std::getenv("CAFFE_EMULATED_GPU_LAZY") != nullptr);
}

TEST_F(GpuEmulatorTest, AbortEndsWaitingForRanksThatDoNotCome) {
  OnRanks(2, [](int rank, ncclComm_t comm) {
    if (rank == 1) return;
    const OnGpu<float> data(std::vector<float>(4, 1.f));
    ASSERT_EQ(ncclAllReduce(data.get(), data.get(), 4, ncclFloat, ncclSum, comm, nullptr), ncclSuccess);
    ncclResult_t error;
    EXPECT_EQ(ncclCommGetAsyncError(comm, &error), ncclSuccess);
    EXPECT_EQ(error, ncclSuccess);
    EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  });
}

TEST_F(GpuEmulatorTest, RanksThatDisagreeGetAnError) {
  OnRanks(2, [](int rank, ncclComm_t comm) {
    const OnGpu<float> data(std::vector<float>(4, 1.f));
    ncclResult_t result =
        ncclAllReduce(data.get(), data.get(), rank == 0 ? 3 : 4, ncclFloat, ncclSum, comm, nullptr);
    cudaDeviceSynchronize();
    if (result == ncclSuccess) {
      EXPECT_EQ(ncclCommGetAsyncError(comm, &result), ncclSuccess);
    }
    EXPECT_NE(result, ncclSuccess);
  });
}

TEST_F(GpuEmulatorTest, RankThatDoesNotComeIsAnErrorAfterAWhile) {
  setenv("CAFFE_EMULATED_NCCL_TIMEOUT", "1", 1);
  OnRanks(2, [](int rank, ncclComm_t comm) {
    if (rank == 1) return;
    const OnGpu<float> data(std::vector<float>(4, 1.f));
    ncclResult_t result = ncclAllReduce(data.get(), data.get(), 4, ncclFloat, ncclSum, comm, nullptr);
    cudaDeviceSynchronize();
    if (result == ncclSuccess) {
      EXPECT_EQ(ncclCommGetAsyncError(comm, &result), ncclSuccess);
    }
    EXPECT_EQ(result, ncclSystemError);
  });
  unsetenv("CAFFE_EMULATED_NCCL_TIMEOUT");
}

TEST_F(GpuEmulatorTest, NcclChecksItsArguments) {
  OnRanks(2, [](int, ncclComm_t comm) {
    std::vector<float> host(4);
    const OnGpu<float> data(4);
    EXPECT_EQ(ncclAllReduce(host.data(), data.get(), 4, ncclFloat, ncclSum, comm, nullptr),
              ncclInvalidArgument);
    EXPECT_EQ(ncclAllReduce(data.get(), data.get(), 5, ncclFloat, ncclSum, comm, nullptr),
              ncclInvalidArgument);
    EXPECT_EQ(ncclBcast(data.get(), 4, ncclFloat, 2, comm, nullptr), ncclInvalidArgument);
    EXPECT_EQ(ncclAllReduce(data.get(), data.get(), 4, ncclFloat, ncclSum, nullptr, nullptr),
              ncclInvalidArgument);
  });
  ncclComm_t comm;
  ncclUniqueId id = {};
  EXPECT_EQ(ncclCommInitRank(&comm, 2, id, 2), ncclInvalidArgument);
  EXPECT_EQ(ncclCommInitRank(&comm, 2, id, 0), ncclSystemError);
  EXPECT_STREQ(ncclGetErrorString(ncclInvalidUsage), "invalid usage");
}

}  // namespace

#endif  // CAFFE_GPU_EMULATOR
