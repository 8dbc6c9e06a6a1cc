// The memory of the GPUs: of each a range of addresses, in which allocations lie between guards.

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <sstream>

#include "gpu_emulator.h"
#include "sanitizer.hpp"
#include "state.hpp"

namespace gpu_emulator {
namespace {

constexpr size_t kArenaBytes = size_t{64} << 30;
/// CUDA's alignment; the least room around an allocation as well.
constexpr size_t kAlignment = 256;
/// The arena is opened step by step.
constexpr size_t kStepBytes = size_t{16} << 20;
constexpr unsigned char kGuard = 0xa5;
constexpr unsigned char kGarbage = 0xff;
/// More than this is not filled with garbage, which would take time and the host's memory.
constexpr size_t kMostGarbage = size_t{64} << 20;
/// Freed memory of this size goes back to the system.
constexpr size_t kGiveBack = size_t{1} << 20;

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// The bytes of an allocation and of the guards before and after it.
size_t BytesWithGuards(size_t bytes) { return RoundUp(bytes, kAlignment) + 2 * kAlignment; }

class Arena {
 public:
  char* base() const { return base_; }
  bool Has(const void* address) const { return base_ && address >= base_ && address < base_ + kArenaBytes; }

  void Reserve(int device) {
    if (base_) return;
    device_ = device;
    void* const memory =
        mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) Die("the host has no addresses left for a GPU's memory");
    base_ = static_cast<char*>(memory);
    free_[base_] = kArenaBytes;
  }

  /// nullptr where there is no room.
  char* Allocate(size_t bytes, bool pooled) {
    const size_t needed = BytesWithGuards(bytes);
    for (auto hole = free_.begin(); hole != free_.end(); ++hole) {
      const auto [place, room] = *hole;
      if (room < needed) continue;
      free_.erase(hole);
      if (room > needed) free_[place + needed] = room - needed;
      OpenUpTo(place + needed);
      const Allocation allocation{place + kAlignment, bytes, device_, pooled};
      used_[allocation.begin] = allocation;
      const Opened opened(this);
      Allow(place, needed);
      std::memset(place, kGuard, kAlignment);
      std::memset(allocation.begin, kGarbage, std::min(bytes, kMostGarbage));
      std::memset(allocation.begin + bytes, kGuard, needed - kAlignment - bytes);
      Forbid(place, kAlignment);
      Forbid(allocation.begin + bytes, needed - kAlignment - bytes);
      use_.all += RoundUp(bytes, kAlignment);
      if (pooled) use_.pooled += RoundUp(bytes, kAlignment);
      use_.most_pooled = std::max(use_.most_pooled, use_.pooled);
      use_.reserved = std::max(use_.reserved, use_.pooled);
      return allocation.begin;
    }
    return nullptr;
  }

  std::optional<Allocation> End(void* memory) {
    const auto found = used_.find(static_cast<char*>(memory));
    if (found == used_.end()) return std::nullopt;
    const Allocation allocation = found->second;
    used_.erase(found);
    use_.all -= RoundUp(allocation.bytes, kAlignment);
    if (allocation.pooled) use_.pooled -= RoundUp(allocation.bytes, kAlignment);
    if (!pool_keeps_) Trim(0);
    return allocation;
  }

  void Release(const Allocation& allocation) {
    const Opened opened(this);
    CheckGuards(allocation);
    char* place = allocation.begin - kAlignment;
    size_t room = BytesWithGuards(allocation.bytes);
    // Who still reads it finds garbage.
    if (allocation.bytes < kGiveBack) {
      std::memset(allocation.begin, kGarbage, allocation.bytes);
    } else {
      GiveBack(place, room);
    }
    Forbid(place, room);
    auto next = free_.lower_bound(place);
    if (next != free_.end() && place + room == next->first) {
      room += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin() && std::prev(next)->first + std::prev(next)->second == place) {
      std::prev(next)->second += room;
    } else {
      free_[place] = room;
    }
  }

  void FreeAll() {
    while (!used_.empty()) Release(*End(used_.begin()->first));
  }

  std::optional<Allocation> Find(const void* address) const {
    auto after = used_.upper_bound(static_cast<char*>(const_cast<void*>(address)));
    if (after == used_.begin()) return std::nullopt;
    const Allocation& allocation = std::prev(after)->second;
    // One past the end belongs to an empty allocation too.
    if (static_cast<const char*>(address) >= allocation.begin + std::max<size_t>(allocation.bytes, 1)) {
      return std::nullopt;
    }
    return allocation;
  }

  void CheckAllGuards() {
    const Opened opened(this);
    for (const auto& entry : used_) CheckGuards(entry.second);
  }

  /// Nests.
  void Open() {
    if (base_ && IsStrict() && users_ == 0) Protect(base_, opened_bytes_, PROT_READ | PROT_WRITE);
    ++users_;
  }
  void Close() {
    --users_;
    if (base_ && IsStrict() && users_ == 0) Protect(base_, opened_bytes_, PROT_NONE);
  }

  MemoryUse& use() { return use_; }
  void SetPoolKeeps(bool keeps) { pool_keeps_ = keeps; }
  void Trim(size_t bytes) { use_.reserved = std::max(use_.pooled, std::min(use_.reserved, bytes)); }

 private:
  class Opened {
   public:
    explicit Opened(Arena* arena) : arena_(arena) { arena->Open(); }
    ~Opened() { arena_->Close(); }

   private:
    Arena* arena_;
  };

  static void Protect(char* begin, size_t bytes, int protection) {
    if (bytes > 0 && mprotect(begin, bytes, protection) != 0) Die("the host lacks memory for a GPU's");
  }

  void OpenUpTo(const char* end) {
    const size_t needed = std::min(RoundUp(end - base_, kStepBytes), kArenaBytes);
    if (needed <= opened_bytes_) return;
    if (!IsStrict() || users_ > 0) {
      Protect(base_ + opened_bytes_, needed - opened_bytes_, PROT_READ | PROT_WRITE);
    }
    opened_bytes_ = needed;
  }

  static void GiveBack(char* begin, size_t bytes) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t first = RoundUp(reinterpret_cast<uintptr_t>(begin), page);
    const uintptr_t last = (reinterpret_cast<uintptr_t>(begin) + bytes) / page * page;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }

  static void CheckGuards(const Allocation& allocation) {
    CheckGuard(allocation, allocation.begin - kAlignment, allocation.begin);
    CheckGuard(allocation, allocation.begin + allocation.bytes,
               allocation.begin + RoundUp(allocation.bytes, kAlignment) + kAlignment);
  }

  GPU_EMULATOR_UNCHECKED static void CheckGuard(const Allocation& allocation, const char* begin,
                                                const char* end) {
    for (const char* byte = begin; byte < end; ++byte) {
      if (static_cast<unsigned char>(*byte) == kGuard) continue;
      std::ostringstream text;
      text << "GPU " << allocation.device << ": something was written ";
      if (byte < allocation.begin) {
        text << allocation.begin - byte << " bytes before";
      } else {
        text << byte - allocation.begin - allocation.bytes << " bytes behind the end of";
      }
      text << " an allocation of " << allocation.bytes << " bytes";
      Die(text.str());
    }
  }

  int device_ = -1;
  char* base_ = nullptr;
  size_t opened_bytes_ = 0;
  int users_ = 0;
  std::map<char*, Allocation> used_;
  std::map<char*, size_t> free_;
  MemoryUse use_{};
  bool pool_keeps_ = false;
};

struct Arenas {
  std::mutex mutex;
  Arena all[kMostDevices];
  bool peers[kMostDevices][kMostDevices] = {};
};

Arenas& TheArenas() {
  // Never destroyed: objects of others may free their memory at the very end.
  static Arenas* const arenas = new Arenas;
  return *arenas;
}

struct sigaction old_fault_action;

/// Where host code reached for a GPU's memory: says so. Then the fault takes its usual course.
void TellFault(int, siginfo_t* info, void*) {
  for (int device = 0; device < kMostDevices; ++device) {
    if (TheArenas().all[device].Has(info->si_addr)) {
      const char text[] =
          "emulated GPU: the memory of a GPU was used outside of kernels, copies and libraries, by another "
          "GPU "
          "without peer access, or beyond all allocations\n";
      const ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
      static_cast<void>(written);
      break;
    }
  }
  sigaction(SIGSEGV, &old_fault_action, nullptr);
}

void InstallFaultHandler() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = TellFault;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGSEGV, &action, &old_fault_action) == 0;
  }();
  static_cast<void>(installed);
}

/// Opens or closes the memory of the devices whose bits are set.
void SetOpen(unsigned devices, bool open) {
  if (!IsStrict()) return;
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  for (int i = 0; i < kMostDevices; ++i) {
    if (!(devices >> i & 1)) continue;
    if (open) {
      arenas.all[i].Open();
    } else {
      arenas.all[i].Close();
    }
  }
}

unsigned ReachedFromHere() {
  unsigned devices = 1u << CurrentDevice();
  for (int i = 0; i < kMostDevices; ++i) {
    if (HasPeerAccess(CurrentDevice(), i)) devices |= 1u << i;
  }
  return devices;
}

}  // namespace

DeviceAccess::DeviceAccess() : opened_(ReachedFromHere()) { SetOpen(opened_, true); }
DeviceAccess::~DeviceAccess() { SetOpen(opened_, false); }
AccessToAll::AccessToAll() { SetOpen(~0u, true); }
AccessToAll::~AccessToAll() { SetOpen(~0u, false); }

cudaError_t AllocateOnDevice(int device, size_t bytes, bool pooled, void** memory) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  if (IsStrict()) InstallFaultHandler();
  Arena& arena = arenas.all[device];
  arena.Reserve(device);
  const size_t limit = DeviceMemoryLimit();
  if (bytes > limit || arena.use().all + RoundUp(bytes, kAlignment) > limit) return cudaErrorMemoryAllocation;
  char* const place = arena.Allocate(bytes, pooled);
  if (!place) return cudaErrorMemoryAllocation;
  *memory = place;
  return cudaSuccess;
}

std::optional<Allocation> EndAllocation(void* memory) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  for (Arena& arena : arenas.all) {
    if (arena.Has(memory)) return arena.End(memory);
  }
  return std::nullopt;
}

void ReleaseRoom(const Allocation& allocation) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  arenas.all[allocation.device].Release(allocation);
}

int DeviceOf(const void* address) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  for (int device = 0; device < kMostDevices; ++device) {
    if (arenas.all[device].Has(address)) return device;
  }
  return -1;
}

std::optional<Allocation> FindAllocation(const void* address) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  for (const Arena& arena : arenas.all) {
    if (arena.Has(address)) return arena.Find(address);
  }
  return std::nullopt;
}

MemoryUse UseOf(int device) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  return arenas.all[device].use();
}

void ResetMostPooled(int device) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  arenas.all[device].use().most_pooled = arenas.all[device].use().pooled;
}

void SetPoolKeeps(int device, bool keeps) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  arenas.all[device].SetPoolKeeps(keeps);
}

void TrimPool(int device, size_t bytes) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  arenas.all[device].Trim(bytes);
}

void FreeAllOf(int device) {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  arenas.all[device].FreeAll();
}

bool HasPeerAccess(int device, int peer) { return TheArenas().peers[device][peer]; }

void CheckGuards() {
  Arenas& arenas = TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  for (Arena& arena : arenas.all) arena.CheckAllGuards();
}

bool IsDeviceMemory(const void* memory, size_t bytes) {
  const std::optional<Allocation> allocation = FindAllocation(memory);
  return allocation && bytes <= static_cast<size_t>(allocation->begin + allocation->bytes -
                                                    static_cast<const char*>(memory));
}

bool CheckOperand(const char* function, const char* operand, const void* memory, size_t bytes) {
  if (bytes == 0) return true;
  std::ostringstream text;
  text << function << ": " << operand << ", " << bytes << " bytes at " << memory << ", ";
  const int device = DeviceOf(memory);
  if (device < 0) {
    if (IsPinned(memory, bytes)) return true;
    text << "is not in the memory of a GPU";
  } else if (!IsDeviceMemory(memory, bytes)) {
    text << "is not inside an allocation";
  } else if (device != CurrentDevice() && !HasPeerAccess(CurrentDevice(), device)) {
    text << "is of GPU " << device << ", but the current one is " << CurrentDevice();
  } else {
    return true;
  }
  Complain(text.str());
  return false;
}

}  // namespace gpu_emulator

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  if (const cudaError_t error = gpu_emulator::NeedDevice()) return error;
  const int count = gpu_emulator::DeviceCount();
  if (device < 0 || device >= count || peer < 0 || peer >= count) return cudaErrorInvalidDevice;
  *can = device != peer;
  return cudaSuccess;
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  if (const cudaError_t error = gpu_emulator::NeedDevice()) return error;
  const int device = gpu_emulator::CurrentDevice();
  if (flags != 0) return cudaErrorInvalidValue;
  if (peer < 0 || peer >= gpu_emulator::DeviceCount() || peer == device) return cudaErrorInvalidDevice;
  auto& arenas = gpu_emulator::TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  if (arenas.peers[device][peer]) {
    gpu_emulator::SetLastError(cudaErrorPeerAccessAlreadyEnabled);
    return cudaErrorPeerAccessAlreadyEnabled;
  }
  arenas.peers[device][peer] = true;
  return cudaSuccess;
}

cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  const int device = gpu_emulator::CurrentDevice();
  if (peer < 0 || peer >= gpu_emulator::DeviceCount()) return cudaErrorInvalidDevice;
  auto& arenas = gpu_emulator::TheArenas();
  const std::lock_guard<std::mutex> lock(arenas.mutex);
  if (!arenas.peers[device][peer]) return cudaErrorPeerAccessNotEnabled;
  arenas.peers[device][peer] = false;
  return cudaSuccess;
}
