#ifndef CAFFE_GPU_EMULATOR_GPU_EMULATOR_H_
#define CAFFE_GPU_EMULATOR_GPU_EMULATOR_H_

/// @file
/// GPUs imitated on the CPU, so that CUDA code can be tested where there is none.
///
/// The headers beside this one stand for CUDA's, cuBLAS's, cuRAND's and NCCL's. `.cu` files are compiled as
/// C++; a kernel is a function, which Launch calls once for each thread of each block. Environment:
///
/// - CAFFE_EMULATED_GPUS: how many there are (2); 0: none.
/// - CAFFE_EMULATED_GPU_MEMORY: bytes of each (8 GiB).
/// - CAFFE_EMULATED_GPU_DRIVER: the driver's version, as cudaDriverGetVersion has it (13000); 0: no driver.
/// - CAFFE_EMULATED_GPU_ORDER: in which order a block's threads run as long as none waits: forward (default),
///   backward or random. A missing __syncthreads() shows in one of them.
/// - CAFFE_EMULATED_GPU_STRICT: 1: only kernels, copies and libraries reach the memory of a GPU; host code
///   that does so ends the process with a message. And the guards around all allocations are looked at after
///   every kernel. Slow where there is much memory.
/// - CAFFE_EMULATED_GPU_LAZY: 1: what is put into a stream is done only when somebody waits for it, as late
///   as a GPU might. What lacks such waiting, or an order between streams, shows. By default it is done at
///   once.
/// - CAFFE_EMULATED_NCCL_TIMEOUT: seconds until a collective that lacks a rank fails (60).
///
/// A build with -fsanitize=address,undefined finds more: kernels that read outside allocations or after they
/// were freed, and vectors that are not aligned as a GPU wants them.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "vector_types.h"

struct CUstream_st;

namespace gpu_emulator {

/**
 * @brief Runs `body` once for each thread of each block, with threadIdx and so on set, and returns when all
 * are done. In a stream, by default the calling thread's own.
 *
 * What cannot be launched (no threads, more than 1024 in a block, more shared memory than a block has) is not
 * run and leaves an error for cudaGetLastError, as with CUDA.
 *
 * @throws std::logic_error where the threads of a block wait for each other forever, such as at a
 * __syncthreads() that some have not reached before their end; and what body throws.
 */
void Launch(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& body,
            CUstream_st* stream = nullptr);

/// In a kernel: the dynamic shared memory of the block, aligned to 1024 bytes; garbage at the block's start.
char* SharedMemory();

/// body(i) for i in [0, n), in a stream, by default the calling thread's own, as a kernel of bodies that do
/// not wait for each other would do it; in the order of CAFFE_EMULATED_GPU_ORDER. If lazy, it is a copy of
/// body that runs.
template <typename Body>
void ForEach(int64_t n, const Body& body, CUstream_st* stream = nullptr);

/// As long as one lives, the calling thread is a kernel or a library, which may reach the memory of its GPU.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;

 private:
  /// A bit for each GPU.
  unsigned opened_;
};

/// Whether [memory, memory + bytes) lies within one allocation on a GPU.
bool IsDeviceMemory(const void* memory, size_t bytes);

/// Looks at the bytes around all allocations on all GPUs. Ends the process with a message where a kernel has
/// written there.
void CheckGuards();

/// Changes what the environment says, for the tests that follow. Memory that is in use stays.
void SetDeviceCount(int devices);
void SetDeviceMemory(size_t bytes);
void SetDriverVersion(int version);
enum class ThreadOrder { kForward, kBackward, kRandom };
void SetThreadOrder(ThreadOrder order);
void SetLazy(bool lazy);

/// What the lanes of a warp bring to a collective: of each a T, where it takes part.
template <typename T>
class WarpValues {
 public:
  explicit WarpValues(const void* const (&lanes)[32]) : lanes_(lanes) {}
  bool has(int lane) const { return lanes_[lane & 31] != nullptr; }
  /// Of a lane that takes no part, as good as any value: all bits set.
  T operator[](int lane) const {
    if (has(lane)) return *static_cast<const T*>(lanes_[lane & 31]);
    T garbage;
    unsigned char* const bytes = reinterpret_cast<unsigned char*>(&garbage);
    for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = 0xff;
    return garbage;
  }

 private:
  const void* const (&lanes_)[32];
};

/// The calling thread's place in its warp.
int LaneId();

/// Waits until all the lanes in mask that have not ended are in a collective with the same mask and name;
/// then each gets a call of finish(context, what all brought), before any goes on.
void WaitForWarp(unsigned mask, const char* name, const void* mine,
                 void (*finish)(void* context, const void* const (&lanes)[32]), void* context);

/**
 * @brief A collective of a warp: every lane in mask brings `mine` and gets combine(values of all), computed
 * before any of them goes on. What warp instructions are built of, shuffles as well as the products of tensor
 * cores:
 *
 *     struct Fragments { uint32_t a[4], b[2]; float c[4]; };
 *     const Fragments mine = ...;
 *     const Result result = gpu_emulator::WarpExchange(0xffffffff, "mma.m16n8k16", mine,
 *         [&](const gpu_emulator::WarpValues<Fragments>& all) {
 *           Result mine;               // of lane gpu_emulator::LaneId() is not known in here: capture it
 * before
 *           ... all[lane].a[i] ...
 *           return mine;
 *         });
 *
 * @param mine trivially copyable.
 * @param name of the instruction: lanes must not wait in different ones.
 * @throws std::logic_error where the lane is not in mask, or the lanes in mask cannot meet.
 */
template <typename T, typename Combine>
auto WarpExchange(unsigned mask, const char* name, const T& mine, const Combine& combine) {
  static_assert(std::is_trivially_copyable<T>::value, "lanes exchange bytes");
  using Result = decltype(combine(std::declval<const WarpValues<T>&>()));
  struct Call {
    const Combine& combine;
    std::optional<Result> result;
  } call{combine, std::nullopt};
  WaitForWarp(
      mask, name, &mine,
      [](void* context, const void* const(&lanes)[32]) {
        Call* const one = static_cast<Call*>(context);
        one->result = one->combine(WarpValues<T>(lanes));
      },
      &call);
  return *call.result;
}

/// How __syncthreads_count and so on combine what the threads bring: all get how many were not 0.
int SyncThreads(int predicate);

/// Tells that the calling thread puts something into a stream: see CountOfThread.
void AddToCount();
/// Whether what is put into a valid stream is to run at once; then what is in the way has been waited for.
bool RunsNow(CUstream_st* stream);
/// Puts work into a valid stream. It runs with the current device that is current now, on any thread.
void Enqueue(CUstream_st* stream, std::function<void()> work);
ThreadOrder CurrentThreadOrder();
int64_t ShuffledIndex(int64_t i, int64_t n);

template <typename Body>
void ForEach(int64_t n, const Body& body, CUstream_st* stream) {
  const auto run = [n](const Body& one) {
    const DeviceAccess access;
    switch (CurrentThreadOrder()) {
      case ThreadOrder::kForward:
        for (int64_t i = 0; i < n; ++i) one(i);
        break;
      case ThreadOrder::kBackward:
        for (int64_t i = n - 1; i >= 0; --i) one(i);
        break;
      case ThreadOrder::kRandom:
        for (int64_t i = 0; i < n; ++i) one(ShuffledIndex(i, n));
        break;
    }
  };
  AddToCount();
  if (RunsNow(stream)) {
    run(body);
  } else {
    Enqueue(stream, [run, body] { run(body); });
  }
}

}  // namespace gpu_emulator

#endif  // CAFFE_GPU_EMULATOR_GPU_EMULATOR_H_
