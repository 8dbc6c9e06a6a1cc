#include "caffe/lowbit/cpu_features.hpp"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace caffe {
namespace lowbit {

#ifdef __x86_64__

namespace {

bool Bit(uint32_t word, int bit) { return (word >> bit & 1) != 0; }

// The parts of a processor's state that the operating system keeps, a bit each.
uint32_t KeptState() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Intel's numbers of the states.
constexpr uint32_t kYmmState = 0x6, kZmmState = 0xe6;
#ifdef __linux__
constexpr uint32_t kTileState = 0x60000;
#endif

// The answers of the instruction cpuid, reduced to what the kernels need.
struct Features {
  bool popcnt = false, avx2 = false, avx512 = false, vnni = false, vpopcnt = false, vbmi = false,
       amx_int8 = false, amx_bf16 = false;
  uint32_t kept = 0;

  Features() {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    popcnt = Bit(c, 23);
    const bool fma = Bit(c, 12), has_xgetbv = Bit(c, 27);
    if (!has_xgetbv || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    kept = KeptState();
    avx2 = fma && Bit(b, 5) && Keeps(kYmmState);
    avx512 = avx2 && Bit(b, 16) && Bit(b, 17) && Bit(b, 30) && Bit(b, 31) && Keeps(kZmmState);
    vnni = avx512 && Bit(c, 11);
    vbmi = avx512 && Bit(c, 1);
    vpopcnt = avx512 && Bit(c, 14);
    const bool tiles = avx512 && Bit(d, 24);
    amx_int8 = tiles && Bit(d, 25);
    amx_bf16 = tiles && Bit(d, 22);
  }

  bool Keeps(uint32_t state) const { return (kept & state) == state; }
};

const Features& ThisProcessor() {
  static const Features features;
  return features;
}

// Linux gives a process the large registers of the tiles when it asks for them.
bool AskForTiles() {
#ifdef __linux__
  const char* const wanted = std::getenv("HWGQ_AMX");
  if (wanted && std::strcmp(wanted, "0") == 0) return false;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return ThisProcessor().Keeps(kTileState) && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool MayUseTiles() {
  static const bool may = AskForTiles();
  return may;
}

}  // namespace

bool HasPopcount() { return ThisProcessor().popcnt; }
bool HasAvx2() { return ThisProcessor().avx2; }
bool HasAvx512() { return ThisProcessor().avx512; }
bool HasAvx512Vnni() { return ThisProcessor().vnni; }
bool HasAvx512Vpopcnt() { return ThisProcessor().vpopcnt; }
bool HasAvx512Vbmi() { return ThisProcessor().vbmi; }

bool HasAmxInt8() { return ThisProcessor().amx_int8 && MayUseTiles(); }
bool HasAmxBf16() { return ThisProcessor().amx_bf16 && MayUseTiles(); }

#else

bool HasPopcount() { return true; }
bool HasAvx2() { return false; }
bool HasAvx512() { return false; }
bool HasAvx512Vnni() { return false; }
bool HasAvx512Vpopcnt() { return false; }
bool HasAvx512Vbmi() { return false; }
bool HasAmxInt8() { return false; }
bool HasAmxBf16() { return false; }

#endif

bool HasNeon() {
#ifdef __aarch64__
  return true;
#else
  return false;
#endif
}

}  // namespace lowbit
}  // namespace caffe
