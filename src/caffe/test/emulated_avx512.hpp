// The instructions of AVX-512 and AMX that the kernels use, by the names of their intrinsics, on plain
// arrays: so the kernels are tested on processors without them. To be included inside a namespace.
#ifndef CAFFE_TEST_EMULATED_AVX512_HPP_
#define CAFFE_TEST_EMULATED_AVX512_HPP_

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

template <int kBytes>
struct Register {
  uint8_t bytes[kBytes];

  template <typename Lane>
  Lane Get(int lane) const {
    Lane value;
    std::memcpy(&value, bytes + lane * sizeof(Lane), sizeof(Lane));
    return value;
  }
  template <typename Lane>
  void Set(int lane, Lane value) {
    std::memcpy(bytes + lane * sizeof(Lane), &value, sizeof(Lane));
  }
};

struct __m128i : Register<16> {};
struct __m256i : Register<32> {};
struct __m512i : Register<64> {};
struct __m512 : Register<64> {};
using __mmask8 = uint8_t;
using __mmask16 = uint16_t;
using __mmask32 = uint32_t;
using __mmask64 = uint64_t;

// A register each of whose lanes is what `lane` says of its number.
template <typename Lane, typename Result = __m512i, typename Function>
Result MakeLanes(Function lane) {
  Result result;
  for (int i = 0; i < static_cast<int>(sizeof(Result) / sizeof(Lane)); ++i) {
    result.template Set<Lane>(i, static_cast<Lane>(lane(i)));
  }
  return result;
}

template <typename Result>
Result LoadBytes(const void* at) {
  Result result;
  std::memcpy(result.bytes, at, sizeof(result.bytes));
  return result;
}

inline __m128i _mm_load_si128(const __m128i* at) { return LoadBytes<__m128i>(at); }
inline __m256i _mm256_loadu_si256(const __m256i* at) { return LoadBytes<__m256i>(at); }
inline __m512i _mm512_loadu_si512(const void* at) { return LoadBytes<__m512i>(at); }
inline void _mm_storeu_si128(__m128i* at, const __m128i& a) { std::memcpy(at, a.bytes, sizeof(a.bytes)); }
inline void _mm256_storeu_si256(__m256i* at, const __m256i& a) { std::memcpy(at, a.bytes, sizeof(a.bytes)); }
inline void _mm512_storeu_si512(void* at, const __m512i& a) { std::memcpy(at, a.bytes, sizeof(a.bytes)); }

inline __m512i _mm512_set1_epi8(char a) {
  return MakeLanes<uint8_t>([&](int) { return a; });
}
inline __m512i _mm512_set1_epi16(short a) {  // NOLINT(runtime/int): the intrinsic's type
  return MakeLanes<uint16_t>([&](int) { return a; });
}
inline __m512i _mm512_set1_epi32(int a) {
  return MakeLanes<uint32_t>([&](int) { return a; });
}
inline __m512i _mm512_set1_epi64(int64_t a) {
  return MakeLanes<uint64_t>([&](int) { return a; });
}
inline __m512i _mm512_setr_epi64(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g,
                                 int64_t h) {
  const int64_t lanes[8] = {a, b, c, d, e, f, g, h};
  return LoadBytes<__m512i>(lanes);
}
inline __m512i _mm512_setzero_si512() { return _mm512_set1_epi8(0); }
inline __m512i _mm512_broadcast_i32x4(const __m128i& a) {
  return MakeLanes<uint8_t>([&](int i) { return a.bytes[i % 16]; });
}
inline __m512i _mm512_broadcast_i64x4(const __m256i& a) {
  return MakeLanes<uint8_t>([&](int i) { return a.bytes[i % 32]; });
}

inline __m512i _mm512_and_si512(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint8_t>([&](int i) { return a.bytes[i] & b.bytes[i]; });
}
inline __m512i _mm512_or_si512(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint8_t>([&](int i) { return a.bytes[i] | b.bytes[i]; });
}
// Bit 4 a + 2 b + c of `table` is what bits a, b and c give.
inline __m512i _mm512_ternarylogic_epi64(const __m512i& a, const __m512i& b, const __m512i& c, int table) {
  return MakeLanes<uint8_t>([&](int i) {
    int byte = 0;
    for (int bit = 0; bit < 8; ++bit) {
      const int place = 4 * (a.bytes[i] >> bit & 1) + 2 * (b.bytes[i] >> bit & 1) + (c.bytes[i] >> bit & 1);
      byte |= (table >> place & 1) << bit;
    }
    return byte;
  });
}
inline __m512i _mm512_add_epi8(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint8_t>([&](int i) { return a.bytes[i] + b.bytes[i]; });
}
inline __m512i _mm512_sub_epi16(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint16_t>([&](int i) { return a.Get<uint16_t>(i) - b.Get<uint16_t>(i); });
}
inline __m512i _mm512_add_epi16(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint16_t>([&](int i) { return a.Get<uint16_t>(i) + b.Get<uint16_t>(i); });
}
inline __m512i _mm512_mask_add_epi8(const __m512i& otherwise, __mmask64 mask, const __m512i& a,
                                    const __m512i& b) {
  return MakeLanes<uint8_t>(
      [&](int i) { return mask >> i & 1 ? a.bytes[i] + b.bytes[i] : otherwise.bytes[i]; });
}
inline __m512i _mm512_add_epi32(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint32_t>([&](int i) { return a.Get<uint32_t>(i) + b.Get<uint32_t>(i); });
}
inline __m512i _mm512_mask_add_epi32(const __m512i& otherwise, __mmask16 mask, const __m512i& a,
                                     const __m512i& b) {
  const __m512i sums = _mm512_add_epi32(a, b);
  return MakeLanes<uint32_t>([&](int i) { return (mask >> i & 1 ? sums : otherwise).Get<uint32_t>(i); });
}
inline __m512i _mm512_add_epi64(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint64_t>([&](int i) { return a.Get<uint64_t>(i) + b.Get<uint64_t>(i); });
}
inline __m512i _mm512_srli_epi16(const __m512i& a, unsigned count) {
  return MakeLanes<uint16_t>([&](int i) { return count < 16 ? a.Get<uint16_t>(i) >> count : 0; });
}
inline __m512i _mm512_slli_epi16(const __m512i& a, unsigned count) {
  return MakeLanes<uint16_t>([&](int i) { return count < 16 ? a.Get<uint16_t>(i) << count : 0; });
}
inline __m512i _mm512_srli_epi32(const __m512i& a, unsigned count) {
  return MakeLanes<uint32_t>([&](int i) { return count < 32 ? a.Get<uint32_t>(i) >> count : 0; });
}
inline __m512i _mm512_slli_epi32(const __m512i& a, unsigned count) {
  return MakeLanes<uint32_t>([&](int i) { return count < 32 ? a.Get<uint32_t>(i) << count : 0; });
}
inline __m512i _mm512_srlv_epi64(const __m512i& a, const __m512i& counts) {
  return MakeLanes<uint64_t>([&](int i) {
    const uint64_t count = counts.Get<uint64_t>(i);
    return count < 64 ? a.Get<uint64_t>(i) >> count : 0;
  });
}
inline __m512i _mm512_popcnt_epi64(const __m512i& a) {
  return MakeLanes<uint64_t>([&](int i) { return __builtin_popcountll(a.Get<uint64_t>(i)); });
}
inline __m512i _mm512_shuffle_epi8(const __m512i& table, const __m512i& index) {
  return MakeLanes<uint8_t>([&](int i) {
    const int at = index.bytes[i];
    return at & 0x80 ? 0 : table.bytes[i / 16 * 16 + at % 16];
  });
}
inline __m512i _mm512_permutexvar_epi8(const __m512i& index, const __m512i& table) {
  return MakeLanes<uint8_t>([&](int i) { return table.bytes[index.bytes[i] % 64]; });
}
inline __m512i _mm512_permutexvar_epi64(const __m512i& index, const __m512i& table) {
  return MakeLanes<uint64_t>([&](int i) { return table.Get<uint64_t>(index.bytes[8 * i] % 8); });
}
// Within each 16 bytes: four of a's numbers, then four of b's, those that do not fit cut off.
inline __m512i _mm512_packs_epi32(const __m512i& a, const __m512i& b) {
  return MakeLanes<int16_t>([&](int i) {
    const int value = (i % 8 < 4 ? a : b).Get<int32_t>(i / 8 * 4 + i % 4);
    return value < -32768 ? -32768 : value > 32767 ? 32767 : value;
  });
}
inline __m512i _mm512_maskz_mov_epi8(uint64_t mask, const __m512i& a) {
  return MakeLanes<uint8_t>([&](int i) { return mask >> i & 1 ? a.bytes[i] : 0; });
}
inline __m512i _mm512_mask_blend_epi8(uint64_t mask, const __m512i& a, const __m512i& b) {
  return MakeLanes<uint8_t>([&](int i) { return (mask >> i & 1 ? b : a).bytes[i]; });
}

// A mask of the lanes of which `is_set` is true.
template <typename Mask = __mmask16, typename Function>
Mask MakeMask(Function is_set) {
  Mask mask = 0;
  for (int i = 0; i < static_cast<int>(8 * sizeof(Mask)); ++i) {
    mask = static_cast<Mask>(mask | Mask{is_set(i)} << i);
  }
  return mask;
}
inline __mmask32 _mm512_cmple_epi16_mask(const __m512i& a, const __m512i& b) {
  return MakeMask<__mmask32>([&](int i) { return a.Get<int16_t>(i) <= b.Get<int16_t>(i); });
}
inline __mmask16 _mm512_cmplt_ps_mask(const __m512& a, const __m512& b) {
  return MakeMask([&](int i) { return a.Get<float>(i) < b.Get<float>(i); });
}
inline __mmask32 _mm512_kunpackw(__mmask32 high, __mmask32 low) { return high << 16 | (low & 0xffff); }
inline __mmask64 _mm512_kunpackd(__mmask64 high, __mmask64 low) { return high << 32 | (low & 0xffffffff); }
inline __mmask16 _mm512_cmplt_epu32_mask(const __m512i& a, const __m512i& b) {
  return MakeMask([&](int i) { return a.Get<uint32_t>(i) < b.Get<uint32_t>(i); });
}
inline __mmask16 _mm512_test_epi32_mask(const __m512i& a, const __m512i& b) {
  return MakeMask([&](int i) { return (a.Get<uint32_t>(i) & b.Get<uint32_t>(i)) != 0; });
}

// Lanes that are masked out are not touched, as the processor does not.
template <typename Lane, typename Result = __m512i>
Result LoadLanes(uint64_t mask, const void* at) {
  return MakeLanes<Lane, Result>([&](int i) {
    Lane lane = 0;
    if (mask >> i & 1) std::memcpy(&lane, static_cast<const uint8_t*>(at) + sizeof(lane) * i, sizeof(lane));
    return lane;
  });
}
template <typename Lane, typename From>
void StoreLanes(void* at, uint64_t mask, const From& a) {
  for (int i = 0; i < static_cast<int>(sizeof(From) / sizeof(Lane)); ++i) {
    const size_t place = sizeof(Lane) * i;
    if (mask >> i & 1) std::memcpy(static_cast<uint8_t*>(at) + place, a.bytes + place, sizeof(Lane));
  }
}
inline __m512i _mm512_maskz_loadu_epi8(__mmask64 mask, const void* at) {
  return LoadLanes<uint8_t>(mask, at);
}
inline __m512i _mm512_maskz_loadu_epi16(__mmask32 mask, const void* at) {
  return LoadLanes<uint16_t>(mask, at);
}
inline __m512i _mm512_maskz_loadu_epi32(__mmask16 mask, const void* at) {
  return LoadLanes<uint32_t>(mask, at);
}
inline __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const void* at) {
  return LoadLanes<uint32_t, __m512>(mask, at);
}
inline void _mm256_mask_storeu_epi32(void* at, __mmask8 mask, const __m256i& a) {
  StoreLanes<uint32_t>(at, mask, a);
}
inline void _mm256_mask_storeu_epi16(void* at, __mmask16 mask, const __m256i& a) {
  StoreLanes<uint16_t>(at, mask, a);
}
inline void _mm512_mask_storeu_epi8(void* at, __mmask64 mask, const __m512i& a) {
  StoreLanes<uint8_t>(at, mask, a);
}
inline void _mm512_mask_storeu_ps(void* at, __mmask16 mask, const __m512& a) {
  StoreLanes<uint32_t>(at, mask, a);
}

inline __m512 _mm512_castsi512_ps(const __m512i& a) { return LoadBytes<__m512>(a.bytes); }
inline __m512i _mm512_castps_si512(const __m512& a) { return LoadBytes<__m512i>(a.bytes); }
inline __m512 _mm512_set1_ps(float a) {
  return MakeLanes<float, __m512>([&](int) { return a; });
}
inline __m512 _mm512_add_ps(const __m512& a, const __m512& b) {
  return MakeLanes<float, __m512>([&](int i) { return a.Get<float>(i) + b.Get<float>(i); });
}
inline __m512 _mm512_sub_ps(const __m512& a, const __m512& b) {
  return MakeLanes<float, __m512>([&](int i) { return a.Get<float>(i) - b.Get<float>(i); });
}
inline __m512 _mm512_mul_ps(const __m512& a, const __m512& b) {
  return MakeLanes<float, __m512>([&](int i) { return a.Get<float>(i) * b.Get<float>(i); });
}
inline __m512 _mm512_fmsub_ps(const __m512& a, const __m512& b, const __m512& c) {
  return MakeLanes<float, __m512>(
      [&](int i) { return std::fma(a.Get<float>(i), b.Get<float>(i), -c.Get<float>(i)); });
}
// The second operand where both are 0, or one is no number.
inline __m512 _mm512_max_ps(const __m512& a, const __m512& b) {
  return MakeLanes<float, __m512>(
      [&](int i) { return a.Get<float>(i) > b.Get<float>(i) ? a.Get<float>(i) : b.Get<float>(i); });
}
inline __m512 _mm512_min_ps(const __m512& a, const __m512& b) {
  return MakeLanes<float, __m512>(
      [&](int i) { return a.Get<float>(i) < b.Get<float>(i) ? a.Get<float>(i) : b.Get<float>(i); });
}
inline __m512 _mm512_cvtepi32_ps(const __m512i& a) {
  return MakeLanes<float, __m512>([&](int i) { return static_cast<float>(a.Get<int32_t>(i)); });
}

// Four products of an unsigned by a signed byte.
inline uint32_t FourProducts(const uint8_t* digits, const uint8_t* factors) {
  int sum = 0;
  for (int i = 0; i < 4; ++i) sum += digits[i] * static_cast<int8_t>(factors[i]);
  return static_cast<uint32_t>(sum);
}
inline __m512i _mm512_dpbusd_epi32(const __m512i& sums, const __m512i& a, const __m512i& b) {
  return MakeLanes<uint32_t>(
      [&](int i) { return sums.Get<uint32_t>(i) + FourProducts(a.bytes + 4 * i, b.bytes + 4 * i); });
}

inline __m512i _mm512_maddubs_epi16(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint16_t>([&](int i) {
    const int sum = a.bytes[2 * i] * b.Get<int8_t>(2 * i) + a.bytes[2 * i + 1] * b.Get<int8_t>(2 * i + 1);
    return sum < -32768 ? -32768 : sum > 32767 ? 32767 : sum;
  });
}
inline __m512i _mm512_madd_epi16(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint32_t>([&](int i) {
    return a.Get<int16_t>(2 * i) * b.Get<int16_t>(2 * i) +
           a.Get<int16_t>(2 * i + 1) * b.Get<int16_t>(2 * i + 1);
  });
}
inline __m512i _mm512_sad_epu8(const __m512i& a, const __m512i& b) {
  return MakeLanes<uint64_t>([&](int i) {
    int sum = 0;
    for (int k = 8 * i; k < 8 * i + 8; ++k) {
      sum += a.bytes[k] > b.bytes[k] ? a.bytes[k] - b.bytes[k] : b.bytes[k] - a.bytes[k];
    }
    return sum;
  });
}
inline int64_t _mm512_reduce_add_epi64(const __m512i& a) {
  uint64_t sum = 0;
  for (int i = 0; i < 8; ++i) sum += a.Get<uint64_t>(i);
  return static_cast<int64_t>(sum);
}

inline __m512i _mm512_cvtepi8_epi16(const __m256i& a) {
  return MakeLanes<int16_t>([&](int i) { return a.Get<int8_t>(i); });
}
inline __m512i _mm512_dpwssd_epi32(const __m512i& sums, const __m512i& a, const __m512i& b) {
  return MakeLanes<int32_t>([&](int i) {
    return sums.Get<int32_t>(i) + a.Get<int16_t>(2 * i) * b.Get<int16_t>(2 * i) +
           a.Get<int16_t>(2 * i + 1) * b.Get<int16_t>(2 * i + 1);
  });
}
inline __m512 _mm512_loadu_ps(const void* at) { return LoadBytes<__m512>(at); }
inline void _mm512_storeu_ps(void* at, const __m512& a) { std::memcpy(at, a.bytes, sizeof(a.bytes)); }
inline __m256i _mm512_cvtepi16_epi8(const __m512i& a) {
  return MakeLanes<uint8_t, __m256i>([&](int i) { return a.bytes[2 * i]; });
}
inline __m256i _mm512_cvtepi32_epi16(const __m512i& a) {
  return MakeLanes<uint16_t, __m256i>([&](int i) { return a.Get<uint32_t>(i); });
}
inline __m512i _mm512_cvtepi16_epi32(const __m256i& a) {
  return MakeLanes<int32_t>([&](int i) { return a.Get<int16_t>(i); });
}
inline __m512i _mm512_cvtepu16_epi32(const __m256i& a) {
  return MakeLanes<int32_t>([&](int i) { return a.Get<uint16_t>(i); });
}
inline __m256i _mm512_cvtepi64_epi32(const __m512i& a) {
  return MakeLanes<uint32_t, __m256i>([&](int i) { return a.Get<uint64_t>(i); });
}
inline __m128i _mm512_cvtepi64_epi16(const __m512i& a) {
  return MakeLanes<uint16_t, __m128i>([&](int i) { return a.Get<uint64_t>(i); });
}

struct TileRegister {
  int rows, row_bytes;
  uint8_t bytes[16][64];

  void Clear() { std::memset(bytes, 0, sizeof(bytes)); }
};

// Of this thread.
inline TileRegister* Tiles() {
  thread_local TileRegister tiles[8];
  return tiles;
}

inline void _tile_loadconfig(const void* config) {
  const uint8_t* const bytes = static_cast<const uint8_t*>(config);
  for (int tile = 0; tile < 8; ++tile) {
    Tiles()[tile].row_bytes = bytes[16 + 2 * tile] + 256 * bytes[17 + 2 * tile];
    Tiles()[tile].rows = bytes[48 + tile];
    Tiles()[tile].Clear();
  }
}
inline void _tile_release() {
  for (int tile = 0; tile < 8; ++tile) Tiles()[tile].rows = Tiles()[tile].row_bytes = 0;
}
inline void _tile_zero(int tile) { Tiles()[tile].Clear(); }
inline void _tile_loadd(int tile, const void* at, ptrdiff_t stride) {
  TileRegister& to = Tiles()[tile];
  to.Clear();
  for (int row = 0; row < to.rows; ++row) {
    std::memcpy(to.bytes[row], static_cast<const uint8_t*>(at) + row * stride, to.row_bytes);
  }
}
inline void _tile_stored(int tile, void* at, ptrdiff_t stride) {
  const TileRegister& from = Tiles()[tile];
  for (int row = 0; row < from.rows; ++row) {
    std::memcpy(static_cast<uint8_t*>(at) + row * stride, from.bytes[row], from.row_bytes);
  }
}
inline void CheckProduct(const TileRegister& to, const TileRegister& left, const TileRegister& right) {
  if (to.rows != left.rows || to.row_bytes != right.row_bytes || left.row_bytes != 4 * right.rows) {
    throw std::logic_error("these tiles cannot be multiplied");
  }
}
// Of bytes, the left ones of type `Left`.
template <typename Left>
void MultiplyBytes(int sums, int a, int b) {
  TileRegister& to = Tiles()[sums];
  const TileRegister &left = Tiles()[a], &right = Tiles()[b];
  CheckProduct(to, left, right);
  for (int row = 0; row < to.rows; ++row) {
    for (int k = 0; k < left.row_bytes / 4; ++k) {
      for (int column = 0; column < to.row_bytes / 4; ++column) {
        uint32_t sum;
        std::memcpy(&sum, &to.bytes[row][4 * column], sizeof(sum));
        for (int i = 0; i < 4; ++i) {
          const int value = static_cast<Left>(left.bytes[row][4 * k + i]);
          sum += static_cast<uint32_t>(value * static_cast<int8_t>(right.bytes[k][4 * column + i]));
        }
        std::memcpy(&to.bytes[row][4 * column], &sum, sizeof(sum));
      }
    }
  }
}
inline void _tile_dpbusd(int sums, int a, int b) { MultiplyBytes<uint8_t>(sums, a, b); }
inline void _tile_dpbssd(int sums, int a, int b) { MultiplyBytes<int8_t>(sums, a, b); }

// What is smaller than the least normal float is 0 for the tiles, before and after an operation.
inline float Flushed(float value) { return std::abs(value) < FLT_MIN ? std::copysign(0.f, value) : value; }

// A tile's bfloat16, the upper half of a float.
inline float BfloatAt(const uint8_t* at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof(half));
  const uint32_t bits = uint32_t{half} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return Flushed(value);
}

// Even and odd products are summed apart, each rounded as it is added; then both, and what was there before.
inline void _tile_dpbf16ps(int sums, int a, int b) {
  TileRegister& to = Tiles()[sums];
  const TileRegister &left = Tiles()[a], &right = Tiles()[b];
  CheckProduct(to, left, right);
  for (int row = 0; row < to.rows; ++row) {
    for (int column = 0; column < to.row_bytes / 4; ++column) {
      float products[2] = {};
      for (int k = 0; k < left.row_bytes / 2; ++k) {
        const float x = BfloatAt(&left.bytes[row][2 * k]);
        const float w = BfloatAt(&right.bytes[k / 2][4 * column + k % 2 * 2]);
        products[k % 2] = Flushed(std::fma(x, w, products[k % 2]));
      }
      float sum;
      std::memcpy(&sum, &to.bytes[row][4 * column], sizeof(sum));
      sum = Flushed(Flushed(sum) + Flushed(products[0] + products[1]));
      std::memcpy(&to.bytes[row][4 * column], &sum, sizeof(sum));
    }
  }
}

#endif  // CAFFE_TEST_EMULATED_AVX512_HPP_
