#ifndef CAFFE_UTIL_PIXEL_PRODUCT_CUH_
#define CAFFE_UTIL_PIXEL_PRODUCT_CUH_

/// @file
/// Convolutions with binary weights on tensor cores, of images whose pixels' channels lie behind each other:
/// how images get there, and the product. For CUDA's compiler only, or for the compiler of the host where
/// CAFFE_GPU_EMULATOR stands in for a GPU.

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/kept_codes.hpp"
#include "caffe/util/mma.cuh"
#include "caffe/util/nearest_names.hpp"
#include "caffe/util/quantize.hpp"

namespace caffe {
namespace pixel_product {

/// What one step of the tensor cores sums over: channels of a pixel, 32 that are a byte each, or 16 of
/// bfloat16.
constexpr int kUnit = 32;
/// Bytes that a copy to shared memory takes, and words of a unit.
constexpr int kSegment = 16, kUnitWords = kUnit / 4, kUnitSegments = kUnit / kSegment;
/// What is in shared memory of a pixel: some units, so that copies are worth their waits.
constexpr int kChunkUnits = 2, kChunkBytes = kChunkUnits * kUnit, kChunkSegments = kChunkBytes / kSegment;
/// Outputs whose signs are words of their own, and to which a group's outputs are filled up.
constexpr int kFragmentOutputs = 32, kOutputAlignment = 128;
/// Elements that a kernel may have along an axis: they are bits of half a word, and one bit is for none.
constexpr int kMostKernel = 15;
/// Where all pixels of images that are taken at a time end: places in them are ints.
constexpr int64_t kMostBytes = int64_t{1} << 30;

CAFFE_HOST_DEVICE constexpr int CeilDiv(int a, int b) { return (a + b - 1) / b; }

/// Images, pixel by pixel, a pixel group by group, a group's channels in blocks of a unit, of which the last
/// is filled up with zeros; and that several times where a channel has several bytes, for each, the highest
/// first.
struct Pixels {
  int height, width;
  int groups, group_channels;
  int channel_blocks;  ///< of a group
  int planes, plane_bytes;

  CAFFE_HOST_DEVICE int pixel_bytes() const { return groups * channel_blocks * kUnit; }
  /// Of an image, all planes together.
  int64_t image_bytes() const { return int64_t{height} * width * pixel_bytes() * planes; }
};

// -------------------------------------------------------------------------------------------------- pixels

/// Signs of weights as GpuBinaryProduct keeps them, a bit each.
struct SignRows {
  const uint32_t* rows;
  int words;  ///< of an output
  __device__ bool IsPositive(int output, int weight) const {
    return rows[static_cast<int64_t>(output) * words + weight / 32] >> weight % 32 & 1;
  }
};

/// Elements that are floats.
struct FloatInput {
  const float* values;
  __device__ float operator()(int64_t i) const { return values[i]; }
};

/// A value for each code of KeptCodes that have up to kCodes.
template <typename T, int kCodes>
struct CodeValues {
  T values[kCodes];

  /// Or `of_nan` for the code of NaN. By comparisons: an index would have the values in slow memory.
  __device__ T Of(int code, T of_nan) const {
    T value = code == kNanCode ? of_nan : values[0];
    CAFFE_UNROLL
    for (int j = 1; j < kCodes; ++j) value = code == j ? values[j] : value;
    return value;
  }
};

/// Calls run(an integral constant), for CodeValues of so many codes.
template <typename Run>
auto WithCodes(int count, const Run& run) {
  constexpr int kFew = 4;
  if (count <= kFew) return run(std::integral_constant<int, kFew>());
  return run(std::integral_constant<int, KeptCodes::kMostLevels>());
}

constexpr int kCodeThreads = 256;
/// Pixels of a block, as many for each thread as give it enough to wait for.
constexpr int kCodePixels = 128, kPixelsOfLane = kCodePixels / 32;

/**
 * Pixels of images of floats, [images, channels, height, width]. Reads kCodePixels pixels and a unit of
 * channels by channels, a warp those of a word, and writes them by pixels. Blocks are pixels fastest, then
 * channels.
 *
 * @tparam Coder has kChannels, those of a word; Input, which gives the Value of an element; Load(values,
 * count, channel) of the first `count` channels of a word, which are `channel` and so on, returns a state;
 * and Take(&state) the word of a plane, the lowest first.
 */
template <typename Coder>
__global__ void __launch_bounds__(kCodeThreads)
    MakePixels(Pixels p, int images, Coder coder, typename Coder::Input input, uint8_t* __restrict__ output) {
  using Value = typename Coder::Value;
  // A word more a row, against conflicts of banks.
  __shared__ uint32_t words[kCodePixels][kUnitWords + 1];
  static_assert(kCodeThreads / 32 == kUnitWords, "a warp for each word of a unit");
  constexpr int kChannels = Coder::kChannels;
  const int image_pixels = p.height * p.width, pixels = images * image_pixels;
  const int pixel_blocks = CeilDiv(pixels, kCodePixels);
  const int first = static_cast<int>(blockIdx.x % pixel_blocks) * kCodePixels;
  const int unit = static_cast<int>(blockIdx.x / pixel_blocks);  // of a pixel, all groups together
  const int group = unit / p.channel_blocks;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int in_group = (unit % p.channel_blocks * kUnitWords + warp) * kChannels;
  const int count = p.group_channels - in_group;  // and more channels than a word has, or none
  const int channel = group * p.group_channels + in_group;
  Value values[kPixelsOfLane][kChannels];
  CAFFE_UNROLL
  for (int i = 0; i < kPixelsOfLane; ++i) {
    const int pixel = first + 32 * i + lane;
    const int64_t image = pixel / image_pixels;
    const int64_t from =
        (image * p.groups * p.group_channels + channel) * image_pixels + pixel % image_pixels;
    CAFFE_UNROLL
    for (int k = 0; k < kChannels; ++k) {
      values[i][k] =
          pixel < pixels && k < count ? input(from + static_cast<int64_t>(k) * image_pixels) : Value(0);
    }
  }
  typename Coder::State states[kPixelsOfLane];
  CAFFE_UNROLL
  for (int i = 0; i < kPixelsOfLane; ++i) {
    states[i] = coder.Load(values[i], first + 32 * i + lane < pixels ? count : 0, channel);
  }
  for (int plane = p.planes - 1; plane >= 0; --plane) {
    CAFFE_UNROLL
    for (int i = 0; i < kPixelsOfLane; ++i) words[32 * i + lane][warp] = coder.Take(&states[i]);
    __syncthreads();
    for (int i = threadIdx.x; i < kCodePixels * kUnitSegments; i += kCodeThreads) {
      const int pixel = i / kUnitSegments, segment = i % kUnitSegments;
      if (first + pixel < pixels) {
        const uint32_t* row = words[pixel] + 4 * segment;
        uint8_t* to = output + static_cast<int64_t>(plane) * p.plane_bytes +
                      static_cast<int64_t>(first + pixel) * p.pixel_bytes() + unit * kUnit +
                      segment * kSegment;
        *reinterpret_cast<uint4*>(to) = make_uint4(row[0], row[1], row[2], row[3]);
      }
    }
    __syncthreads();
  }
}

/// The same for images of one pixel, whose channels are behind each other already; a word each.
template <typename Coder>
struct MakeRows {
  using Value = typename Coder::Value;

  Pixels p;
  Coder coder;
  typename Coder::Input input;
  uint8_t* output;

  __device__ void operator()(int word) const {
    constexpr int kChannels = Coder::kChannels;
    const int words = p.channel_blocks * kUnitWords;  // of a group
    const int in_group = word % words * kChannels;
    const int64_t group = word / words;  // of all images
    const int count = p.group_channels - in_group;
    const int64_t from = group * p.group_channels + in_group;
    Value values[kChannels];
    CAFFE_UNROLL
    for (int k = 0; k < kChannels; ++k) values[k] = k < count ? input(from + k) : Value(0);
    typename Coder::State state =
        coder.Load(values, count, static_cast<int>(group % p.groups) * p.group_channels + in_group);
    for (int plane = p.planes - 1; plane >= 0; --plane) {
      *reinterpret_cast<uint32_t*>(output + static_cast<int64_t>(plane) * p.plane_bytes +
                                   static_cast<int64_t>(word) * 4) = coder.Take(&state);
    }
  }
};

/// @param output has images * p.image_bytes() bytes, at most kMostBytes.
template <typename Coder>
void ToPixels(const Pixels& p, int images, const Coder& coder, const typename Coder::Input& input,
              uint8_t* output) {
  const int units = p.groups * p.channel_blocks;
  if (p.height * p.width == 1) {
    GpuForEach(int64_t{images} * units * kUnitWords, MakeRows<Coder>{p, coder, input, output});
    return;
  }
  const int pixel_blocks = CeilDiv(images * p.height * p.width, kCodePixels);
  LaunchKernel(MakePixels<Coder>, static_cast<unsigned>(pixel_blocks * units), kCodeThreads, 0, p, images,
               coder, input, output);
}

// ------------------------------------------------------------------------------------------------- product

/// Along an axis: element k of the kernel looks, for a result's row y, at row y * scale + first + k * step.
struct Axis {
  int taps, scale, first, step;
};

/// A product of signs and pixels. The result's pixels are counted over all images.
struct Product {
  Pixels input;
  Axis y, x;
  int pixels, image_pixels, columns;  ///< of the result, of its images, of their rows
  int group_outputs;

  CAFFE_HOST_DEVICE int units() const { return y.taps * x.taps * input.channel_blocks; }
  CAFFE_HOST_DEVICE int chunks() const { return CeilDiv(units(), kChunkUnits); }
  /// Parts of a group's outputs that have words of their own.
  CAFFE_HOST_DEVICE int fragment_blocks() const {
    return CeilDiv(group_outputs, kOutputAlignment) * (kOutputAlignment / kFragmentOutputs);
  }
  /// Words of all signs.
  template <typename Arithmetic>
  int64_t fragment_words() const {
    return int64_t{input.groups} * fragment_blocks() * chunks() * Arithmetic::kChunkWords * 32;
  }
};

/// How a block's work is divided: outputs by pixels, of the block and of each of its warps.
template <int kBlockOutputs_, int kBlockPixels_, int kWarpOutputs_, int kWarpPixels_, int kStages_>
struct Tile {
  static constexpr int kBlockOutputs = kBlockOutputs_, kBlockPixels = kBlockPixels_;
  static constexpr int kWarpOutputs = kWarpOutputs_, kWarpPixels = kWarpPixels_;
  /// Chunks in shared memory: one in use, the others on their way.
  static constexpr int kStages = kStages_, kStageBytes = kBlockPixels * kChunkBytes;
  static constexpr int kThreads = kBlockOutputs / kWarpOutputs * (kBlockPixels / kWarpPixels) * 32;
  /// Sums of 16 outputs pass through shared memory; the distance keeps two outputs from one bank.
  static constexpr int kSumsPitch = kWarpPixels + 8;
  static constexpr int kSharedBytes = std::max(kStages * kStageBytes, kThreads / 32 * 16 * kSumsPitch * 4);
  static_assert(kWarpOutputs % kFragmentOutputs == 0 && kWarpPixels % 32 == 0 &&
                    kOutputAlignment % kBlockOutputs == 0,
                "tiles are whole fragments");
};

using WideTile = Tile<128, 128, 64, 64, 4>;
using FlatTile = Tile<64, 256, 64, 64, 3>;
using SmallTile = Tile<64, 64, 32, 32, 4>;

/// Where a segment of a pixel's chunk lies: so that eight pixels' segments lie in different banks.
inline __device__ int SegmentOffset(int pixel, int segment) {
  return pixel * kChunkBytes + (segment ^ (pixel >> 1 & (kChunkSegments - 1))) * kSegment;
}

/// Copies chunks to shared memory, one after the other: each thread the same segment of some pixels. What
/// does not exist, outside of the images and behind the last channel, is zeros.
template <typename Tile>
class Loader {
 public:
  __device__ Loader(const Product& product, const uint8_t* pixels, int group, int first_pixel)
      : p_(product), pixels_(pixels) {
    const int start = group * p_.input.channel_blocks * kUnit + Segment() % kUnitSegments * kSegment;
    CAFFE_UNROLL
    for (int i = 0; i < kPixels; ++i) {
      const int pixel = first_pixel + PixelOf(i);
      const int image = pixel / p_.image_pixels, rest = pixel % p_.image_pixels;
      const int y = rest / p_.columns * p_.y.scale + p_.y.first,
                x = rest % p_.columns * p_.x.scale + p_.x.first;
      offset_[i] = start + ((image * p_.input.height + y) * p_.input.width + x) * p_.input.pixel_bytes();
      exists_[i] =
          pixel < p_.pixels ? Inside(y, p_.y, p_.input.height) | Inside(x, p_.x, p_.input.width) << 16 : 0;
    }
    StartPlane(0);
  }

  __device__ void Load(char* stage) {
    CAFFE_UNROLL
    for (int i = 0; i < kPixels; ++i) {
      // Where it does not exist, this is no place in the pixels, and is not read.
      const uint8_t* from = pixels_ + static_cast<uint32_t>(offset_[i] + tap_offset_ + block_ * kUnit);
      mma::StartCopy(stage + SegmentOffset(PixelOf(i), Segment()), from, (exists_[i] & tap_) == tap_);
    }
    block_ += kChunkUnits;
    if (block_ >= p_.input.channel_blocks) FindTap();
  }

  /// What is loaded next is this plane's first chunk.
  __device__ void StartPlane(int plane) {
    plane_offset_ = plane * p_.input.plane_bytes;
    tap_y_ = tap_x_ = 0;
    block_ = Segment() / kUnitSegments;
    FindTap();
  }

 private:
  static constexpr int kPixels = Tile::kBlockPixels * kChunkSegments / Tile::kThreads;

  static __device__ int Segment() { return threadIdx.x % kChunkSegments; }
  static __device__ int PixelOf(int i) {
    return threadIdx.x / kChunkSegments + i * (Tile::kThreads / kChunkSegments);
  }
  // A bit for each element of the kernel along an axis that lies in the image.
  static __device__ uint32_t Inside(int first, const Axis& axis, int size) {
    uint32_t bits = 0;
    for (int k = 0; k < axis.taps; ++k) {
      if (static_cast<unsigned>(first + k * axis.step) < static_cast<unsigned>(size)) bits |= 1u << k;
    }
    return bits;
  }

  // Brings the block into its kernel element's channels, or into those of one of the next.
  __device__ void FindTap() {
    while (block_ >= p_.input.channel_blocks) {
      block_ -= p_.input.channel_blocks;
      if (++tap_x_ == p_.x.taps) {
        tap_x_ = 0;
        ++tap_y_;
      }
    }
    tap_ = tap_y_ < p_.y.taps ? 1u << tap_y_ | 0x10000u << tap_x_ : 1u << kMostKernel;
    tap_offset_ =
        plane_offset_ + (tap_y_ * p_.y.step * p_.input.width + tap_x_ * p_.x.step) * p_.input.pixel_bytes();
  }

  const Product& p_;
  const uint8_t* const pixels_;
  // Of the pixels under the kernel's first element; and which elements lie in the image, rows and columns.
  int offset_[kPixels];
  uint32_t exists_[kPixels];
  // The kernel's element, and the block of its channels.
  int tap_y_, tap_x_, block_;
  uint32_t tap_;
  int tap_offset_, plane_offset_;
};

/// Signs and integers of a byte; a set bit is +1.
struct Bytes {
  using Sum = int32_t;
  static constexpr int kUnitChannels = 32;
  /// Words that a lane has of the signs of 32 outputs and a chunk.
  static constexpr int kChunkWords = kChunkUnits;

  /// Bit of a word, and whose: of outputs 16 * half + g + 8 * (i % 2), with g and t as for mma::MultiplyAdd,
  /// i = bit % 4; and channel of the chunk.
  static __device__ int HalfOf(int bit) { return bit / 16; }
  static __device__ int RegisterOf(int bit) { return bit % 4; }
  static __device__ int ChannelOf(int word, int t, int bit) {
    return word * kUnitChannels + 4 * t + bit % 4 / 2 * 16 + bit % 16 / 4;
  }
  static constexpr bool kSetIsPositive = true;

  /// Operands a of a unit, of 2 x 16 outputs.
  static __device__ void Expand(const uint32_t (&words)[kChunkWords], int unit, uint32_t (&a)[2][4]) {
    // A bit of a selector's nibble chooses byte 0, which is -1, or, where it is set, byte 1, 2 or 4, which
    // are +1. A nibble's highest bit may not be set.
    constexpr uint32_t kLow = 0x000101ff, kHigh = 0x00000001;
    CAFFE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const uint32_t bits = words[unit] >> 16 * half;
      a[half][0] = __byte_perm(kLow, kHigh, bits & 0x1111);
      a[half][1] = __byte_perm(kLow, kHigh, bits & 0x2222);
      a[half][2] = __byte_perm(kLow, kHigh, bits & 0x4444);
      a[half][3] = __byte_perm(kLow, kHigh, bits >> 1 & 0x4444);
    }
  }

  /// Before the next plane; sums wrap around.
  static __device__ Sum NextPlane(Sum sum) { return static_cast<Sum>(static_cast<uint32_t>(sum) << 8); }
};

/// Signs and bfloat16; a set bit is -1.
struct Halves {
  using Sum = float;
  static constexpr int kUnitChannels = 16;
  static constexpr int kChunkWords = 1;

  static __device__ int HalfOf(int bit) { return bit % 8 / 4; }
  static __device__ int RegisterOf(int bit) { return bit % 4; }
  static __device__ int ChannelOf(int, int t, int bit) {
    return bit % 16 / 8 * kUnitChannels + 2 * t + bit % 4 / 2 * 8 + bit / 16;
  }
  static constexpr bool kSetIsPositive = false;

  static __device__ void Expand(const uint32_t (&words)[kChunkWords], int unit, uint32_t (&a)[2][4]) {
    constexpr uint32_t kOnes = 0x3f803f80, kSigns = 0x80008000;
    CAFFE_UNROLL
    for (int i = 0; i < 8; ++i) a[i / 4][i % 4] = (words[0] << (15 - 8 * unit - i) & kSigns) ^ kOnes;
  }

  static __device__ Sum NextPlane(Sum sum) { return sum; }
};

/**
 * Puts signs into words: of each group, of 32 outputs each, of each chunk, the words that each lane has.
 *
 * @tparam IsPositive the sign of an output under a channel, both of a group, and an element of the kernel:
 * bool(group, output, channel, tap_y, tap_x), for outputs and channels that there are.
 */
template <typename Arithmetic, typename IsPositive>
struct PackFragments {
  Product p;
  IsPositive is_positive;
  uint32_t* fragments;

  __device__ void operator()(int at) const {
    static_assert(kChunkUnits == 2, "a bit is of the first unit or of the second");
    const int lane = at % 32, word = at / 32 % Arithmetic::kChunkWords;
    const int chunks = p.chunks(), fragment_blocks = p.fragment_blocks();
    int block = at / 32 / Arithmetic::kChunkWords;
    const int chunk = block % chunks;
    block /= chunks;
    const int group = block / fragment_blocks;
    const int first_output = block % fragment_blocks * kFragmentOutputs + lane / 4;
    // Divisions take long: they are of units, not of bits.
    const Unit first = FindUnit(chunk * kChunkUnits), second = FindUnit(chunk * kChunkUnits + 1);
    uint32_t bits = 0;
    CAFFE_UNROLL
    for (int bit = 0; bit < 32; ++bit) {
      const int output = first_output + 16 * Arithmetic::HalfOf(bit) + 8 * (Arithmetic::RegisterOf(bit) % 2);
      const int in_chunk = Arithmetic::ChannelOf(word, lane % 4, bit);
      const Unit unit = in_chunk < Arithmetic::kUnitChannels ? first : second;
      const int channel = unit.first_channel + in_chunk % Arithmetic::kUnitChannels;
      if (output >= p.group_outputs || channel >= p.input.group_channels) continue;
      const bool set =
          is_positive(group, output, channel, unit.tap_y, unit.tap_x) == Arithmetic::kSetIsPositive;
      bits |= static_cast<uint32_t>(set) << bit;
    }
    fragments[at] = bits;
  }

  struct Unit {
    int tap_y, tap_x, first_channel;
  };

  // Behind the last one, of no channel that there is.
  __device__ Unit FindUnit(int unit) const {
    if (unit >= p.units()) return {0, 0, p.input.group_channels};
    const int tap = unit / p.input.channel_blocks;
    return {tap / p.x.taps, tap % p.x.taps, unit % p.input.channel_blocks * Arithmetic::kUnitChannels};
  }
};

/**
 * The product. Blocks are outputs fastest, so that those of the same pixels run together, then pixels, then
 * groups.
 *
 * @tparam Store Place(pixel) is where an output's result of a pixel lies, relative to the first of the
 * output; and Of(output), of all groups, has Put(place, sum).
 */
template <typename Arithmetic, typename Tile, typename Store>
__global__ void __launch_bounds__(Tile::kThreads)
    Multiply(const __grid_constant__ Product p, const uint8_t* __restrict__ pixels,
             const uint32_t* __restrict__ fragments, const __grid_constant__ Store store) {
  using Sum = typename Arithmetic::Sum;
  constexpr int kRows = Tile::kWarpOutputs / 16, kColumns = Tile::kWarpPixels / 8;
  constexpr int kBlocks = Tile::kWarpOutputs / kFragmentOutputs, kWords = Arithmetic::kChunkWords;
  char* const shared = DynamicSharedMemory();
  const int output_blocks = CeilDiv(p.group_outputs, Tile::kBlockOutputs);
  const int pixel_blocks = CeilDiv(p.pixels, Tile::kBlockPixels);
  const int pixel_block = static_cast<int>(blockIdx.x) / output_blocks;
  const int group = pixel_block / pixel_blocks;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  constexpr int kWarpColumns = Tile::kBlockPixels / Tile::kWarpPixels;
  const int warp_pixel = warp % kWarpColumns * Tile::kWarpPixels;  // in the block
  const int first_pixel = pixel_block % pixel_blocks * Tile::kBlockPixels;
  const int first_output = static_cast<int>(blockIdx.x) % output_blocks * Tile::kBlockOutputs +
                           warp / kWarpColumns * Tile::kWarpOutputs;  // in the group

  Sum sums[kRows][kColumns][4] = {};

  const int chunks = p.chunks(), all_chunks = chunks * p.input.planes;
  Loader<Tile> loader(p, pixels, group, first_pixel);
  int loaded = 0, plane = 0;  // of the plane, and which
  const auto load = [&](int chunk) {
    if (chunk < all_chunks) {
      if (loaded == chunks) {
        loader.StartPlane(++plane);
        loaded = 0;
      }
      loader.Load(shared + chunk % Tile::kStages * Tile::kStageBytes);
      ++loaded;
    }
    // Also where there is nothing: so the groups of copies are counted by chunks.
    mma::CommitCopies();
  };
  CAFFE_UNROLL
  for (int chunk = 0; chunk < Tile::kStages - 1; ++chunk) load(chunk);

  // This lane's signs, chunk after chunk.
  const uint32_t* signs[kBlocks];
  CAFFE_UNROLL
  for (int i = 0; i < kBlocks; ++i) {
    const int block = group * p.fragment_blocks() + first_output / kFragmentOutputs + i;
    signs[i] = fragments + static_cast<int64_t>(block) * chunks * kWords * 32 + lane;
  }
  uint32_t next[kBlocks][kWords];
  const auto load_signs = [&](int chunk) {
    CAFFE_UNROLL
    for (int i = 0; i < kBlocks; ++i) {
      CAFFE_UNROLL
      for (int w = 0; w < kWords; ++w) next[i][w] = signs[i][(chunk * kWords + w) * 32];
    }
  };
  if (all_chunks > 0) load_signs(0);

  int in_plane = 0;  // the chunk's number
  for (int chunk = 0; chunk < all_chunks; ++chunk) {
    mma::WaitForCopies<Tile::kStages - 2>();
    // All threads' copies of this chunk are done, and all threads are done with the chunk before, whose place
    // is the next to be filled.
    __syncthreads();
    load(chunk + Tile::kStages - 1);
    if (in_plane == chunks) {
      in_plane = 0;
      CAFFE_UNROLL
      for (int i = 0; i < kRows; ++i) {
        CAFFE_UNROLL
        for (int j = 0; j < kColumns; ++j) {
          CAFFE_UNROLL
          for (int k = 0; k < 4; ++k) sums[i][j][k] = Arithmetic::NextPlane(sums[i][j][k]);
        }
      }
    }
    ++in_plane;
    uint32_t words[kBlocks][kWords];
    CAFFE_UNROLL
    for (int i = 0; i < kBlocks; ++i) {
      CAFFE_UNROLL
      for (int w = 0; w < kWords; ++w) words[i][w] = next[i][w];
    }
    load_signs(in_plane == chunks ? 0 : in_plane);

    const char* const stage = shared + chunk % Tile::kStages * Tile::kStageBytes;
    CAFFE_UNROLL
    for (int u = 0; u < kChunkUnits; ++u) {
      uint32_t a[kBlocks][2][4];
      CAFFE_UNROLL
      for (int i = 0; i < kBlocks; ++i) Arithmetic::Expand(words[i], u, a[i]);
      CAFFE_UNROLL
      for (int j = 0; j < kColumns; j += 2) {
        uint32_t b[4];
        mma::LoadMatrices(
            stage + SegmentOffset(warp_pixel + 8 * j + lane / 16 * 8 + lane % 8, 2 * u + lane / 8 % 2), b);
        const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
        CAFFE_UNROLL
        for (int i = 0; i < kRows; ++i) {
          mma::MultiplyAdd(sums[i][j], a[i / 2][i % 2], left);
          mma::MultiplyAdd(sums[i][j + 1], a[i / 2][i % 2], right);
        }
      }
    }
  }

  // Results leave row by row, an output's pixels behind each other, as the memory wants them.
  mma::WaitForCopies<0>();
  __syncthreads();
  struct alignas(2 * sizeof(Sum)) Pair {
    Sum left, right;
  };
  Sum* const mine = reinterpret_cast<Sum*>(shared) + warp * 16 * Tile::kSumsPitch;
  constexpr int kLanePixels = Tile::kWarpPixels / 32;
  int64_t places[kLanePixels];
  CAFFE_UNROLL
  for (int h = 0; h < kLanePixels; ++h) {
    const int pixel = first_pixel + warp_pixel + 32 * h + lane;
    places[h] = pixel < p.pixels ? store.Place(pixel) : -1;
  }
  CAFFE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    __syncwarp();
    CAFFE_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      CAFFE_UNROLL
      for (int half = 0; half < 2; ++half) {
        *reinterpret_cast<Pair*>(mine + (lane / 4 + 8 * half) * Tile::kSumsPitch + 8 * j + lane % 4 * 2) = {
            sums[i][j][2 * half], sums[i][j][2 * half + 1]};
      }
    }
    __syncwarp();
    for (int row = 0; row < 16; ++row) {
      const int output = first_output + 16 * i + row;
      if (output >= p.group_outputs) break;
      const auto of_output = store.Of(group * p.group_outputs + output);
      CAFFE_UNROLL
      for (int h = 0; h < kLanePixels; ++h) {
        if (places[h] >= 0) of_output.Put(places[h], mine[row * Tile::kSumsPitch + 32 * h + lane]);
      }
    }
  }
}

template <typename Tile>
int64_t Blocks(const Product& p) {
  return int64_t{CeilDiv(p.group_outputs, Tile::kBlockOutputs)} * CeilDiv(p.pixels, Tile::kBlockPixels) *
         p.input.groups;
}

enum class TileKind { kWide, kFlat, kSmall };

inline int Multiprocessors() {
  int count = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, Caffe::device()));
  return count;
}

/// The environment variable HWGQ_GPU_TILE, wide, flat or small, asks for one, as tests do.
inline TileKind ChooseTile(const Product& p) {
  const char* const wanted = std::getenv("HWGQ_GPU_TILE");
  if (wanted && *wanted) {
    const std::vector<std::string> known = {"wide", "flat", "small"};
    const auto found = std::find(known.begin(), known.end(), wanted);
    if (found == known.end()) throw Error(UnknownName("HWGQ_GPU_TILE", wanted, known));
    return static_cast<TileKind>(found - known.begin());
  }
  const int64_t enough = Multiprocessors();
  // Half of a wide tile's outputs would be for nothing.
  const bool is_flat = (p.group_outputs - 1) % WideTile::kBlockOutputs < FlatTile::kBlockOutputs;
  if (is_flat ? Blocks<FlatTile>(p) >= enough : Blocks<WideTile>(p) >= enough) {
    return is_flat ? TileKind::kFlat : TileKind::kWide;
  }
  return TileKind::kSmall;
}

template <typename Arithmetic, typename Tile, typename Store>
void LaunchMultiply(const Product& p, const uint8_t* pixels, const uint32_t* fragments, const Store& store) {
  LaunchKernel(Multiply<Arithmetic, Tile, Store>, static_cast<unsigned>(Blocks<Tile>(p)), Tile::kThreads,
               Tile::kSharedBytes, p, pixels, fragments, store);
}

template <typename Arithmetic, typename Store>
void Run(const Product& p, const uint8_t* pixels, const uint32_t* fragments, const Store& store) {
  switch (ChooseTile(p)) {
    case TileKind::kWide:
      return LaunchMultiply<Arithmetic, WideTile>(p, pixels, fragments, store);
    case TileKind::kFlat:
      return LaunchMultiply<Arithmetic, FlatTile>(p, pixels, fragments, store);
    case TileKind::kSmall:
      return LaunchMultiply<Arithmetic, SmallTile>(p, pixels, fragments, store);
  }
}

}  // namespace pixel_product
}  // namespace caffe

#endif  // CAFFE_UTIL_PIXEL_PRODUCT_CUH_
