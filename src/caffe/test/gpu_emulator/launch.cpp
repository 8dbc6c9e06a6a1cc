// Kernels: the threads of a block as fibers of one thread of the host.
//
// A fiber runs one thread of the block after another, as long as they come to their ends. Where one has to
// wait, at a barrier or for its warp, its fiber rests with it, and another fiber takes the block's next
// threads. So a kernel without barriers costs no switch at all.

// Checked jumps take one to another stack for an error.
#undef _FORTIFY_SOURCE

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "sanitizer.hpp"
#include "state.hpp"
#include "streams.hpp"

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace gpu_emulator {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr unsigned kMostThreads = 1024;
constexpr size_t kMostShared = 227 << 10;
constexpr size_t kSharedAlignment = 1024;
constexpr size_t kSharedGuard = 256;
constexpr int kGarbage = 0xff;

class Stack {
 public:
  Stack() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    memory_ = mmap(nullptr, kStackBytes + page_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    // A thread that needs more than its stack faults, instead of writing on another's.
    mprotect(memory_, page_, PROT_NONE);
  }
  ~Stack() { munmap(memory_, kStackBytes + page_); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  void* begin() const { return static_cast<char*>(memory_) + page_; }

 private:
  size_t page_;
  void* memory_;
};

struct Fiber {
  Stack stack;
  jmp_buf place;
  bool begun = false;
  void* left = nullptr;
};

enum class Wait { kNothing, kBlock, kWarp };

/// A thread of the block.
struct Thread {
  uint3 index;
  Fiber* fiber;
  bool ended;
  Wait wait;
  int predicate_sum;
  // What it waits for in its warp.
  unsigned mask;
  const char* name;
  const void* mine;
  void (*finish)(void*, const void* const (&)[32]);
  void* context;
};

class Executor {
 public:
  void Run(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& body);
  bool running() const { return body_ != nullptr; }
  char* shared() const { return shared_; }
  int lane() const { return static_cast<int>(current_) % 32; }
  int SyncBlock(int predicate);
  void SyncWarp(unsigned mask, const char* name, const void* mine,
                void (*finish)(void*, const void* const (&)[32]), void* context);

 private:
  void StartBlock(uint3 index);
  void RunBlock();
  void EndBlock();
  void Resume(Fiber* fiber);
  void Suspend(Fiber* fiber);
  static void FiberMain();
  void Work(Fiber* self);
  void RunThread(unsigned thread);
  void Rest(Wait wait);
  bool TryWarp(unsigned thread);
  void TryWaitingOfWarp(unsigned thread);
  std::string Standstill() const;
  unsigned InOrder(unsigned i) const;

  const std::function<void()>* body_ = nullptr;
  ThreadOrder order_ = ThreadOrder::kForward;
  std::vector<unsigned> shuffled_;
  std::mt19937 shuffle_{1};
  std::vector<Thread> threads_;
  std::vector<int> waiting_of_warp_;
  std::vector<unsigned> alive_of_warp_;
  unsigned count_ = 0, begun_ = 0, ended_ = 0, at_barrier_ = 0;
  int predicate_sum_ = 0;
  unsigned current_ = 0;
  Fiber* fiber_ = nullptr;
  std::deque<unsigned> ready_;
  std::exception_ptr error_;
  jmp_buf scheduler_;
  void* left_by_scheduler_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  size_t scheduler_stack_bytes_ = 0;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  std::vector<char> shared_memory_;
  char* shared_ = nullptr;
  size_t shared_bytes_ = 0;
};

Executor& ThisExecutor() {
  static thread_local Executor executor;
  return executor;
}

Executor& RunningExecutor(const char* what) {
  Executor& executor = ThisExecutor();
  if (!executor.running())
    throw std::logic_error(std::string("emulated GPU: ") + what + " outside of a kernel");
  return executor;
}

// Of the same stack as the caller's, so that what it holds in registers is as it was.
__attribute__((noinline)) void Switch(jmp_buf from, jmp_buf to) {
  if (_setjmp(from) == 0) _longjmp(to, 1);
}

std::string Text(uint3 index) {
  std::ostringstream text;
  text << "(" << index.x << ", " << index.y << ", " << index.z << ")";
  return text.str();
}

void Executor::Run(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& body) {
  body_ = &body;
  order_ = CurrentThreadOrder();
  count_ = threads.x * threads.y * threads.z;
  threads_.resize(count_);
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].index = {i % threads.x, i / threads.x % threads.y, i / (threads.x * threads.y)};
  }
  shuffled_.resize(count_);
  std::iota(shuffled_.begin(), shuffled_.end(), 0);
  shared_bytes_ = shared_bytes;
  shared_memory_.resize(std::max(shared_memory_.size(), shared_bytes + kSharedAlignment + kSharedGuard));
  shared_ =
      reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(shared_memory_.data()) + kSharedAlignment - 1) /
                              kSharedAlignment * kSharedAlignment);
  blockDim = threads;
  gridDim = blocks;
  struct End {
    Executor* executor;
    ~End() { executor->body_ = nullptr; }
  } end{this};
  const int64_t block_count = static_cast<int64_t>(blocks.x) * blocks.y * blocks.z;
  for (int64_t i = 0; i < block_count; ++i) {
    const int64_t block = order_ == ThreadOrder::kForward    ? i
                          : order_ == ThreadOrder::kBackward ? block_count - 1 - i
                                                             : ShuffledIndex(i, block_count);
    StartBlock({static_cast<unsigned>(block % blocks.x), static_cast<unsigned>(block / blocks.x % blocks.y),
                static_cast<unsigned>(block / (static_cast<int64_t>(blocks.x) * blocks.y))});
    RunBlock();
    EndBlock();
  }
}

void Executor::StartBlock(uint3 index) {
  blockIdx = index;
  begun_ = ended_ = at_barrier_ = 0;
  predicate_sum_ = 0;
  for (Thread& thread : threads_) {
    thread.ended = false;
    thread.wait = Wait::kNothing;
  }
  const unsigned warps = (count_ + 31) / 32;
  waiting_of_warp_.assign(warps, 0);
  alive_of_warp_.assign(warps, 0xffffffff);
  if (count_ % 32) alive_of_warp_.back() = (1u << count_ % 32) - 1;
  if (order_ == ThreadOrder::kRandom) std::shuffle(shuffled_.begin(), shuffled_.end(), shuffle_);
  std::memset(shared_, kGarbage, shared_bytes_ + kSharedGuard);
}

void Executor::RunBlock() {
  while (!error_ && ended_ < count_) {
    if (!ready_.empty()) {
      current_ = ready_.front();
      ready_.pop_front();
      Resume(threads_[current_].fiber);
    } else if (begun_ < count_) {
      if (idle_.empty()) {
        fibers_.push_back(std::make_unique<Fiber>());
        idle_.push_back(fibers_.back().get());
      }
      Fiber* const fiber = idle_.back();
      idle_.pop_back();
      Resume(fiber);
    } else {
      error_ = std::make_exception_ptr(std::logic_error(Standstill()));
    }
  }
}

void Executor::EndBlock() {
  if (error_) {
    // Fibers that rest in the middle of a thread begin anew.
    ready_.clear();
    idle_.clear();
    for (const auto& fiber : fibers_) {
      fiber->begun = false;
      idle_.push_back(fiber.get());
    }
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
  for (size_t i = 0; i < kSharedGuard; ++i) {
    if (shared_[shared_bytes_ + i] != static_cast<char>(kGarbage)) {
      throw std::logic_error("emulated GPU: a kernel wrote " + std::to_string(i) + " bytes behind its " +
                             std::to_string(shared_bytes_) + " bytes of dynamic shared memory");
    }
  }
}

void Executor::Resume(Fiber* fiber) {
  fiber_ = fiber;
  LeaveStack(&left_by_scheduler_, fiber->stack.begin(), kStackBytes);
  if (fiber->begun) {
    Switch(scheduler_, fiber->place);
  } else {
    fiber->begun = true;
    Allow(fiber->stack.begin(), kStackBytes);
    ucontext_t start;
    getcontext(&start);
    start.uc_stack.ss_sp = fiber->stack.begin();
    start.uc_stack.ss_size = kStackBytes;
    start.uc_link = nullptr;
    makecontext(&start, &Executor::FiberMain, 0);
    if (_setjmp(scheduler_) == 0) setcontext(&start);
  }
  EnterStack(left_by_scheduler_, nullptr, nullptr);
}

void Executor::Suspend(Fiber* fiber) {
  LeaveStack(&fiber->left, scheduler_stack_, scheduler_stack_bytes_);
  Switch(fiber->place, scheduler_);
  EnterStack(fiber->left, &scheduler_stack_, &scheduler_stack_bytes_);
}

void Executor::FiberMain() {
  Executor& executor = ThisExecutor();
  EnterStack(nullptr, &executor.scheduler_stack_, &executor.scheduler_stack_bytes_);
  executor.Work(executor.fiber_);
}

void Executor::Work(Fiber* self) {
  for (;;) {
    while (begun_ < count_ && !error_) RunThread(InOrder(begun_++));
    idle_.push_back(self);
    Suspend(self);
  }
}

unsigned Executor::InOrder(unsigned i) const {
  switch (order_) {
    case ThreadOrder::kBackward:
      return count_ - 1 - i;
    case ThreadOrder::kRandom:
      return shuffled_[i];
    default:
      return i;
  }
}

void Executor::RunThread(unsigned thread) {
  current_ = thread;
  threadIdx = threads_[thread].index;
  try {
    (*body_)();
  } catch (...) {
    if (!error_) error_ = std::current_exception();
  }
  // It may have rested meanwhile, but then it is the current one again.
  threads_[thread].ended = true;
  ++ended_;
  alive_of_warp_[thread / 32] &= ~(1u << thread % 32);
  if (waiting_of_warp_[thread / 32] > 0) TryWaitingOfWarp(thread);
}

void Executor::Rest(Wait wait) {
  const unsigned thread = current_;
  Thread& me = threads_[thread];
  me.wait = wait;
  me.fiber = fiber_;
  Suspend(me.fiber);
  threadIdx = me.index;
}

int Executor::SyncBlock(int predicate) {
  Thread& me = threads_[current_];
  if (predicate) ++predicate_sum_;
  if (++at_barrier_ == count_) {
    me.wait = Wait::kBlock;
    for (unsigned i = 0; i < count_; ++i) {
      Thread& thread = threads_[InOrder(i)];
      thread.wait = Wait::kNothing;
      thread.predicate_sum = predicate_sum_;
      ready_.push_back(InOrder(i));
    }
    at_barrier_ = 0;
    predicate_sum_ = 0;
    Rest(Wait::kNothing);
  } else {
    Rest(Wait::kBlock);
  }
  return me.predicate_sum;
}

void Executor::SyncWarp(unsigned mask, const char* name, const void* mine,
                        void (*finish)(void*, const void* const (&)[32]), void* context) {
  const unsigned thread = current_;
  Thread& me = threads_[thread];
  if (!(mask >> thread % 32 & 1)) {
    throw std::logic_error("emulated GPU: thread " + Text(me.index) + " of block " + Text(blockIdx) +
                           " calls " + name + " with a mask that lacks it");
  }
  me.mask = mask;
  me.name = name;
  me.mine = mine;
  me.finish = finish;
  me.context = context;
  me.wait = Wait::kWarp;
  ++waiting_of_warp_[thread / 32];
  Rest(TryWarp(thread) ? Wait::kNothing : Wait::kWarp);
}

/// Ends what the thread waits for in its warp, if all are there. @return whether they were.
bool Executor::TryWarp(unsigned thread) {
  const unsigned warp = thread / 32, first = warp * 32;
  const Thread& me = threads_[thread];
  const unsigned awaited = me.mask & alive_of_warp_[warp];
  if (waiting_of_warp_[warp] < __builtin_popcount(awaited)) return false;
  const void* lanes[32] = {};
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(awaited >> lane & 1)) continue;
    const Thread& other = threads_[first + lane];
    if (other.wait != Wait::kWarp || other.mask != me.mask || std::strcmp(other.name, me.name) != 0)
      return false;
    lanes[lane] = other.mine;
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (awaited >> lane & 1) threads_[first + lane].finish(threads_[first + lane].context, lanes);
  }
  const unsigned size = std::min(32u, count_ - first);
  for (unsigned i = 0; i < size; ++i) {
    const unsigned lane = order_ == ThreadOrder::kBackward ? size - 1 - i : i;
    if (!(awaited >> lane & 1)) continue;
    threads_[first + lane].wait = Wait::kNothing;
    ready_.push_back(first + lane);
  }
  waiting_of_warp_[warp] -= __builtin_popcount(awaited);
  return true;
}

/// The thread has ended: others of its warp may have waited for nothing else.
void Executor::TryWaitingOfWarp(unsigned thread) {
  const unsigned first = thread / 32 * 32, last = std::min(first + 32, count_);
  for (unsigned i = first; i < last; ++i) {
    if (threads_[i].wait == Wait::kWarp && !threads_[i].ended) TryWarp(i);
  }
}

/// Why nobody can go on.
std::string Executor::Standstill() const {
  std::ostringstream text;
  text << "emulated GPU: the threads of block " << Text(blockIdx)
       << " wait for each other forever: " << ended_ << " of " << count_ << " have ended";
  if (at_barrier_ > 0) {
    const auto first = std::find_if(threads_.begin(), threads_.end(),
                                    [](const Thread& thread) { return thread.wait == Wait::kBlock; });
    text << ", " << at_barrier_ << " are at __syncthreads() (such as " << Text(first->index) << ")";
  }
  int told = 0;
  for (const Thread& thread : threads_) {
    if (thread.wait != Wait::kWarp) continue;
    if (++told > 4) {
      text << ", ...";
      break;
    }
    text << ", " << Text(thread.index) << " is in " << thread.name << " with mask 0x" << std::hex
         << thread.mask << std::dec;
  }
  return text.str();
}

void RunKernel(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& body) {
  {
    const DeviceAccess access;
    ThisExecutor().Run(blocks, threads, shared_bytes, body);
  }
  if (IsStrict()) CheckGuards();
}

}  // namespace

void Launch(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& body,
            CUstream_st* stream) {
  if (ThisExecutor().running()) throw std::logic_error("emulated GPU: a kernel launches a kernel");
  if (const cudaError_t error = ValidStream(stream)) {
    SetLastError(error);
    return;
  }
  const uint64_t size = static_cast<uint64_t>(threads.x) * threads.y * threads.z;
  if (size == 0 || size > kMostThreads || threads.z > 64 || blocks.x == 0 || blocks.y == 0 || blocks.z == 0 ||
      blocks.x > 0x7fffffff || blocks.y > 0xffff || blocks.z > 0xffff) {
    SetLastError(cudaErrorInvalidConfiguration);
    return;
  }
  if (shared_bytes > kMostShared) {
    SetLastError(cudaErrorInvalidValue);
    return;
  }
  Submit(stream, [=] { RunKernel(blocks, threads, shared_bytes, body); });
}

char* SharedMemory() { return RunningExecutor("dynamic shared memory").shared(); }

int LaneId() { return RunningExecutor("a warp's instruction").lane(); }

int SyncThreads(int predicate) { return RunningExecutor("__syncthreads()").SyncBlock(predicate); }

void WaitForWarp(unsigned mask, const char* name, const void* mine,
                 void (*finish)(void*, const void* const (&)[32]), void* context) {
  RunningExecutor(name).SyncWarp(mask, name, mine, finish, context);
}

int64_t ShuffledIndex(int64_t i, int64_t n) {
  // A prime that is no divisor of n leads through all of [0, n).
  constexpr int64_t kPrime = 2654435761;
  if (n % kPrime == 0) return i;
  return static_cast<int64_t>(static_cast<unsigned __int128>(i) * kPrime % static_cast<uint64_t>(n));
}

}  // namespace gpu_emulator

long long clock64() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
