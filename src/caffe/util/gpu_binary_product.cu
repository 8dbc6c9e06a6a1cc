#include "caffe/util/gpu_binary_product.hpp"

#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <string>

#include "caffe/lowbit/integer_levels.hpp"
#include "caffe/util/binarize.cuh"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/mma.cuh"
#include "caffe/util/nearest_names.hpp"

namespace caffe {

namespace {

// What a product of the tensor cores sums over: channels of an input pixel, a byte each.
constexpr int kUnit = 32;
// Bytes that a copy to shared memory takes.
constexpr int kSegment = 16;
// What is in shared memory of a pixel: some segments, so that copies are worth their waits.
constexpr int kChunkUnits = 2, kChunkSegments = kChunkUnits * kUnit / kSegment,
              kChunkBytes = kChunkUnits * kUnit;
// Outputs whose signs are words of their own in `fragments`, and to which these are filled up.
constexpr int kFragmentOutputs = 32, kOutputAlignment = 128;

__host__ __device__ constexpr int CeilDiv(int a, int b) { return (a + b - 1) / b; }

// What kernels know of a product. Pixels are those of the result, over all images.
struct Geometry {
  int pixels, out_pixels, out_width;  // the latter of an image
  int channels, height, width;
  int outputs, groups, group_channels, group_outputs;
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int channel_blocks;
  int units;  // of an output
  int planes;
  int plane_bytes;
  int row_words;
};

__device__ int PixelBytes(const Geometry& g) { return g.groups * g.channel_blocks * kUnit; }

// Blocks of kFragmentOutputs outputs of a group, and units of an output, both filled up for all tiles.
__host__ __device__ int FragmentBlocks(const Geometry& g) {
  return CeilDiv(g.group_outputs, kOutputAlignment) * (kOutputAlignment / kFragmentOutputs);
}
__host__ __device__ int FragmentUnits(const Geometry& g) {
  return CeilDiv(g.units, kChunkUnits) * kChunkUnits;
}

// ------------------------------------------------------------------------------------------------- weights

// Bit i of a row's words is the sign of weight i, in Caffe's order; by warps.
__global__ void PackRows(int outputs, int n, int row_words, const float* weights, uint32_t* rows) {
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32 * gridDim.x;
  for (int64_t word = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; word < int64_t{outputs} * row_words;
       word += warps) {
    const int64_t output = word / row_words;
    const int i = static_cast<int>(word % row_words) * 32 + lane;
    const bool is_positive = i < n && binarize(weights[output * n + i], 1.f) > 0;
    const uint32_t bits = __ballot_sync(mma::kWholeWarp, is_positive);
    if (lane == 0) rows[word] = bits;
  }
}

// Signs of 32 outputs under the channels of a unit: a word a lane, of the bytes that the lane has of two
// operands a of mma::MultiplyAdd, 16 outputs each. Bit 4 k + i of a half is byte k of a[i].
struct PackFragments {
  Geometry g;
  const uint32_t* rows;
  uint32_t* fragments;

  __device__ void operator()(int word) const {
    const int units = FragmentUnits(g), blocks = FragmentBlocks(g);
    const int lane = word % 32, unit = word / 32 % units, block = word / 32 / units % blocks;
    const int group = word / 32 / units / blocks;
    const int tap = unit / g.channel_blocks, first = unit % g.channel_blocks * kUnit + lane % 4 * 4;
    const int taps = g.kernel_h * g.kernel_w;
    uint32_t bits = 0;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) {
        const int output = block * kFragmentOutputs + 16 * half + lane / 4 + 8 * (i % 2);
        if (output >= g.group_outputs || unit >= g.units) continue;
        const uint32_t* row = rows + static_cast<int64_t>(group * g.group_outputs + output) * g.row_words;
        for (int k = 0; k < 4; ++k) {
          const int channel = first + i / 2 * 16 + k;
          if (channel >= g.group_channels) continue;
          const int bit = channel * taps + tap;
          bits |= (row[bit / 32] >> bit % 32 & 1) << (16 * half + 4 * k + i);
        }
      }
    }
    fragments[word] = bits;
  }
};

// What results are multiplied by.
struct FindFactors {
  double unit;
  const float* alphas;
  float* factors;
  int* is_odd;
  __device__ void operator()(int output) const {
    const float alpha = alphas[output];
    factors[output] = static_cast<float>(alpha * unit);
    if (!(alpha <= FLT_MAX)) *is_odd = 1;
  }
};

struct FillBinary {
  int n, row_words;
  const uint32_t* rows;
  const float* alphas;
  float* binary;
  __device__ void operator()(int i) const {
    const int output = i / n, bit = i % n;
    const bool is_positive = rows[static_cast<int64_t>(output) * row_words + bit / 32] >> bit % 32 & 1;
    binary[i] = is_positive ? alphas[output] : -alphas[output];
  }
};

// --------------------------------------------------------------------------------------------------- codes

// Levels and the integers that they become; filled up with NaN, which no value equals.
template <int kLevels>
struct Levels {
  float values[kLevels];
  int32_t integers[kLevels];

  // What a value becomes; sets `is_odd` where it is no level.
  __device__ int32_t Find(float value, bool* is_odd) const {
    int32_t integer = 0;
    bool is_known = false;
    for (int j = 0; j < kLevels; ++j) {
      const bool is_same = value == values[j];
      integer = is_same ? integers[j] : integer;
      is_known = is_known || is_same;
    }
    *is_odd = *is_odd || !is_known;
    return integer;
  }
};

// Takes the lowest byte from an integer, as a signed one; what is left is a multiple of 256 and is divided.
__device__ uint32_t TakeByte(int32_t* integer) {
  const int32_t byte = static_cast<int8_t>(*integer & 0xff);
  *integer = (*integer - byte) / 256;
  return static_cast<uint32_t>(byte) & 0xff;
}

// Four integers' bytes, those of channels behind each other.
__device__ uint32_t TakeBytes(int32_t (&integers)[4]) {
  uint32_t word = 0;
  for (int k = 0; k < 4; ++k) word |= TakeByte(&integers[k]) << 8 * k;
  return word;
}

constexpr int kCodeThreads = 256;
// Pixels of a block, as many for each thread as give it enough to wait for.
constexpr int kCodePixels = 128, kPixelsOfLane = kCodePixels / 32;
constexpr int kUnitWords = kUnit / 4;

// Codes of kCodePixels input pixels and kUnit channels: they are read by channels, a warp four of them, and
// written by pixels. Blocks are pixels fastest, then channels.
template <int kLevels>
__global__ void __launch_bounds__(kCodeThreads) CodeImages(Geometry g, int images, Levels<kLevels> levels,
                                                           const float* input, uint8_t* codes, int* is_odd) {
  // A word more a row, against conflicts of banks.
  __shared__ uint32_t words[kCodePixels][kUnitWords + 1];
  static_assert(kCodeThreads / 32 == kUnitWords, "a warp for each word of a pixel");
  const int image_pixels = g.height * g.width, pixels = images * image_pixels;
  const int pixel_blocks = CeilDiv(pixels, kCodePixels);
  const int first = static_cast<int>(blockIdx.x % pixel_blocks) * kCodePixels;
  const int unit = static_cast<int>(blockIdx.x / pixel_blocks);  // of a pixel, all groups together
  const int group = unit / g.channel_blocks;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int channel = unit % g.channel_blocks * kUnit + 4 * warp;  // of the group
  float values[kPixelsOfLane][4];
  for (int p = 0; p < kPixelsOfLane; ++p) {
    const int pixel = first + 32 * p + lane;
    const int64_t image = pixel / image_pixels;
    const float* from = input + (image * g.channels + group * g.group_channels + channel) * image_pixels +
                        pixel % image_pixels;
    for (int k = 0; k < 4; ++k) {
      // Zeros are a level of most quantizers, but not of all.
      const bool exists = pixel < pixels && channel + k < g.group_channels;
      values[p][k] = exists ? from[static_cast<int64_t>(k) * image_pixels] : levels.values[0];
    }
  }
  bool odd = false;
  int32_t integers[kPixelsOfLane][4];
  for (int p = 0; p < kPixelsOfLane; ++p) {
    for (int k = 0; k < 4; ++k) {
      const int32_t integer = levels.Find(values[p][k], &odd);
      integers[p][k] = channel + k < g.group_channels ? integer : 0;
    }
  }
  if (odd) *is_odd = 1;
  for (int plane = 0; plane < g.planes; ++plane) {
    for (int p = 0; p < kPixelsOfLane; ++p) words[32 * p + lane][warp] = TakeBytes(integers[p]);
    __syncthreads();
    for (int i = threadIdx.x; i < kCodePixels * 2; i += kCodeThreads) {
      const int pixel = i / 2, half = i % 2;
      if (first + pixel < pixels) {
        const uint32_t* row = words[pixel] + 4 * half;
        // The first plane is the highest.
        uint8_t* to = codes + static_cast<int64_t>(g.planes - 1 - plane) * g.plane_bytes +
                      static_cast<int64_t>(first + pixel) * PixelBytes(g) + unit * kUnit + half * kSegment;
        *reinterpret_cast<uint4*>(to) = make_uint4(row[0], row[1], row[2], row[3]);
      }
    }
    __syncthreads();
  }
}

// The same for images of one pixel, whose channels are behind each other already; four of them.
template <int kLevels>
struct CodeRows {
  Geometry g;
  Levels<kLevels> levels;
  const float* input;
  uint8_t* codes;
  int* is_odd;

  __device__ void operator()(int word) const {
    const int words = g.channel_blocks * kUnitWords;  // of a group
    const int channel = word % words * 4;
    const int64_t group = word / words;  // of all images
    const float* from = input + group * g.group_channels + channel;
    bool odd = false;
    int32_t integers[4];
    for (int k = 0; k < 4; ++k) {
      integers[k] = channel + k < g.group_channels ? levels.Find(from[k], &odd) : 0;
    }
    if (odd) *is_odd = 1;
    for (int plane = g.planes - 1; plane >= 0; --plane) {
      *reinterpret_cast<uint32_t*>(codes + static_cast<int64_t>(plane) * g.plane_bytes +
                                   static_cast<int64_t>(word) * 4) = TakeBytes(integers);
    }
  }
};

// ------------------------------------------------------------------------------------------------- product

// How a block's work is divided: outputs by pixels, of the block and of each of its warps.
template <int kBlockOutputs_, int kBlockPixels_, int kWarpOutputs_, int kWarpPixels_, int kStages_>
struct Tile {
  static constexpr int kBlockOutputs = kBlockOutputs_, kBlockPixels = kBlockPixels_;
  static constexpr int kWarpOutputs = kWarpOutputs_, kWarpPixels = kWarpPixels_;
  /// Chunks in shared memory: one in use, the others on their way.
  static constexpr int kStages = kStages_, kStageBytes = kBlockPixels * kChunkBytes;
  static constexpr int kThreads = kBlockOutputs / kWarpOutputs * (kBlockPixels / kWarpPixels) * 32;
  /// Sums of 16 outputs pass through shared memory; the distance keeps two outputs from one bank.
  static constexpr int kSumsPitch = kWarpPixels + 8;
  static constexpr int kSharedBytes =
      std::max(kStages * kStageBytes, kThreads / 32 * 16 * kSumsPitch * static_cast<int>(sizeof(int32_t)));
  static_assert(kWarpOutputs % kFragmentOutputs == 0 && kWarpPixels % 32 == 0 &&
                    kOutputAlignment % kBlockOutputs == 0,
                "tiles are whole fragments");
};

using WideTile = Tile<128, 128, 64, 64, 4>;
using FlatTile = Tile<64, 256, 64, 64, 3>;
using SmallTile = Tile<64, 64, 32, 32, 4>;

// Where a segment of a pixel's chunk lies: so that eight pixels' segments lie in different banks.
__device__ int SegmentOffset(int pixel, int segment) {
  return pixel * kChunkBytes + (segment ^ (pixel >> 1 & (kChunkSegments - 1))) * kSegment;
}

// Elements that a kernel may have along an axis: they are bits of half a word, and one bit is for none.
constexpr int kMostKernel = 15;

// Copies of chunks, one after the other: the same segment of some pixels by each thread. What does not exist,
// outside of the images and behind the last channel, is zeros.
template <typename Tile>
class Loader {
 public:
  __device__ Loader(const Geometry& g, const uint8_t* codes, int group, int first_pixel)
      : g_(g), codes_(codes), block_(Segment() / kUnitSegments), plane_(0) {
    const int start = group * g.channel_blocks * kUnit + Segment() % kUnitSegments * kSegment;
    CAFFE_UNROLL
    for (int i = 0; i < kPixels; ++i) {
      const int pixel = first_pixel + PixelOf(i);
      const int image = pixel / g.out_pixels, rest = pixel % g.out_pixels;
      const int y = rest / g.out_width * g.stride_h - g.pad_h, x = rest % g.out_width * g.stride_w - g.pad_w;
      offset_[i] = start + ((image * g.height + y) * g.width + x) * PixelBytes(g);
      exists_[i] = pixel < g.pixels ? Inside(y, g.dilation_h, g.kernel_h, g.height) |
                                          Inside(x, g.dilation_w, g.kernel_w, g.width) << 16
                                    : 0;
    }
    FindTap();
  }

  __device__ void Load(char* stage) {
    CAFFE_UNROLL
    for (int i = 0; i < kPixels; ++i) {
      // Where it does not exist, this is no place in the codes, and is not read.
      const uint8_t* from = codes_ + static_cast<uint32_t>(offset_[i] + tap_offset_ + block_ * kUnit);
      mma::StartCopy(stage + SegmentOffset(PixelOf(i), Segment()), from, (exists_[i] & tap_) == tap_);
    }
    block_ += kChunkUnits;
    if (block_ >= g_.channel_blocks) FindTap();
  }

  // What is loaded next is the next plane's first chunk.
  __device__ void NextPlane() {
    plane_ += g_.plane_bytes;
    tap_y_ = tap_x_ = 0;
    block_ = Segment() / kUnitSegments;
    FindTap();
  }

 private:
  static constexpr int kPixels = Tile::kBlockPixels * kChunkSegments / Tile::kThreads;
  static constexpr int kUnitSegments = kChunkSegments / kChunkUnits;

  static __device__ int Segment() { return threadIdx.x % kChunkSegments; }
  static __device__ int PixelOf(int i) {
    return threadIdx.x / kChunkSegments + i * (Tile::kThreads / kChunkSegments);
  }
  // A bit for each element of the kernel along an axis that lies in the image.
  static __device__ uint32_t Inside(int first, int dilation, int kernel, int size) {
    uint32_t bits = 0;
    for (int k = 0; k < kernel; ++k) {
      if (static_cast<unsigned>(first + k * dilation) < static_cast<unsigned>(size)) bits |= 1u << k;
    }
    return bits;
  }

  // Brings the block into the kernel element's channels, or that of one of the next.
  __device__ void FindTap() {
    while (block_ >= g_.channel_blocks) {
      block_ -= g_.channel_blocks;
      if (++tap_x_ == g_.kernel_w) {
        tap_x_ = 0;
        ++tap_y_;
      }
    }
    tap_ = tap_y_ < g_.kernel_h ? 1u << tap_y_ | 0x10000u << tap_x_ : 1u << kMostKernel;
    tap_offset_ = plane_ + (tap_y_ * g_.dilation_h * g_.width + tap_x_ * g_.dilation_w) * PixelBytes(g_);
  }

  const Geometry& g_;
  const uint8_t* const codes_;
  // Of the pixels under the kernel's first element; and which elements lie in the image, rows and columns.
  int offset_[kPixels];
  uint32_t exists_[kPixels];
  // The kernel's element, and the block of its channels.
  int tap_y_ = 0, tap_x_ = 0, block_;
  uint32_t tap_;
  int tap_offset_;
  int plane_;
};

// Signs as bytes +1 and -1, operands of mma::MultiplyAdd; see PackFragments.
__device__ void ExpandSigns(uint32_t word, uint32_t (&a)[2][4]) {
  // A bit of a selector's nibble chooses byte 0, which is -1, or, where it is set, byte 1, 2 or 4, which are
  // +1. A nibble's highest bit may not be set.
  constexpr uint32_t kLow = 0x000101ff, kHigh = 0x00000001;
  CAFFE_UNROLL
  for (int half = 0; half < 2; ++half) {
    const uint32_t bits = word >> 16 * half;
    a[half][0] = __byte_perm(kLow, kHigh, bits & 0x1111);
    a[half][1] = __byte_perm(kLow, kHigh, bits & 0x2222);
    a[half][2] = __byte_perm(kLow, kHigh, bits & 0x4444);
    a[half][3] = __byte_perm(kLow, kHigh, bits >> 1 & 0x4444);
  }
}

// Wraps around, as sums do.
__device__ int32_t Times256(int32_t sum) { return static_cast<int32_t>(static_cast<uint32_t>(sum) << 8); }

// Blocks are outputs fastest, so that those of the same pixels run together, then pixels, then groups.
template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    Multiply(const __grid_constant__ Geometry g, const uint8_t* __restrict__ codes,
             const uint32_t* __restrict__ fragments, const float* __restrict__ factors,
             const float* __restrict__ bias, float* __restrict__ output) {
  constexpr int kRows = Tile::kWarpOutputs / 16, kColumns = Tile::kWarpPixels / 8;
  constexpr int kWords = Tile::kWarpOutputs / kFragmentOutputs;
  char* const shared = DynamicSharedMemory();
  const int output_blocks = CeilDiv(g.group_outputs, Tile::kBlockOutputs);
  const int pixel_blocks = CeilDiv(g.pixels, Tile::kBlockPixels);
  const int pixel_block = static_cast<int>(blockIdx.x) / output_blocks;
  const int group = pixel_block / pixel_blocks;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  constexpr int kWarpColumns = Tile::kBlockPixels / Tile::kWarpPixels;
  // In the block, and in the group.
  const int warp_pixel = warp % kWarpColumns * Tile::kWarpPixels;
  const int first_pixel = pixel_block % pixel_blocks * Tile::kBlockPixels;
  const int first_output = static_cast<int>(blockIdx.x) % output_blocks * Tile::kBlockOutputs +
                           warp / kWarpColumns * Tile::kWarpOutputs;

  int32_t sums[kRows][kColumns][4] = {};

  const int chunks = CeilDiv(g.units, kChunkUnits), all_chunks = chunks * g.planes;
  Loader<Tile> loader(g, codes, group, first_pixel);
  int loaded = 0;  // chunks of a plane
  const auto load = [&](int chunk) {
    if (chunk < all_chunks) {
      if (loaded == chunks) {
        loader.NextPlane();
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

  // This lane's signs: of 32 outputs each, unit after unit.
  const uint32_t* signs[kWords];
  const int group_blocks = FragmentBlocks(g);
  CAFFE_UNROLL
  for (int i = 0; i < kWords; ++i) {
    const int block = group * group_blocks + first_output / kFragmentOutputs + i;
    signs[i] = fragments + static_cast<int64_t>(block) * chunks * kChunkUnits * 32 + lane;
  }
  uint32_t next[kChunkUnits][kWords];
  const auto load_signs = [&](int chunk) {
    CAFFE_UNROLL
    for (int u = 0; u < kChunkUnits; ++u) {
      CAFFE_UNROLL
      for (int i = 0; i < kWords; ++i) next[u][i] = signs[i][(chunk * kChunkUnits + u) * 32];
    }
  };
  load_signs(0);

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
          for (int k = 0; k < 4; ++k) sums[i][j][k] = Times256(sums[i][j][k]);
        }
      }
    }
    ++in_plane;
    uint32_t words[kChunkUnits][kWords];
    CAFFE_UNROLL
    for (int u = 0; u < kChunkUnits; ++u) {
      CAFFE_UNROLL
      for (int i = 0; i < kWords; ++i) words[u][i] = next[u][i];
    }
    load_signs(in_plane == chunks ? 0 : in_plane);

    const char* const stage = shared + chunk % Tile::kStages * Tile::kStageBytes;
    CAFFE_UNROLL
    for (int u = 0; u < kChunkUnits; ++u) {
      uint32_t a[kWords][2][4];
      CAFFE_UNROLL
      for (int i = 0; i < kWords; ++i) ExpandSigns(words[u][i], a[i]);
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
  int32_t* const mine = reinterpret_cast<int32_t*>(shared) + warp * 16 * Tile::kSumsPitch;
  constexpr int kPixelsOfLane = Tile::kWarpPixels / 32;
  float* to[kPixelsOfLane];
  CAFFE_UNROLL
  for (int h = 0; h < kPixelsOfLane; ++h) {
    const int pixel = first_pixel + warp_pixel + 32 * h + lane;
    to[h] = pixel < g.pixels
                ? output + static_cast<int64_t>(pixel / g.out_pixels) * g.outputs * g.out_pixels +
                      pixel % g.out_pixels
                : nullptr;
  }
  CAFFE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    __syncwarp();
    CAFFE_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      CAFFE_UNROLL
      for (int k = 0; k < 4; k += 2) {
        *reinterpret_cast<int2*>(mine + (lane / 4 + 4 * k) * Tile::kSumsPitch + 8 * j + lane % 4 * 2) =
            make_int2(sums[i][j][k], sums[i][j][k + 1]);
      }
    }
    __syncwarp();
    for (int row = 0; row < 16; ++row) {
      const int in_group = first_output + 16 * i + row;
      if (in_group >= g.group_outputs) break;
      const int o = group * g.group_outputs + in_group;
      const float factor = factors[o], offset = bias ? bias[o] : 0.f;
      CAFFE_UNROLL
      for (int h = 0; h < kPixelsOfLane; ++h) {
        if (!to[h]) continue;
        const float sum = static_cast<float>(mine[row * Tile::kSumsPitch + 32 * h + lane]);
        // Rounded twice, as on the CPU.
        to[h][static_cast<int64_t>(o) * g.out_pixels] = __fadd_rn(__fmul_rn(sum, factor), offset);
      }
    }
  }
}

// The result from floats, where an input is no level or an alpha not finite; nothing else.
__global__ void MultiplyOdd(Geometry g, const int* odd_input, const int* odd_alpha, const float* input,
                            const uint32_t* rows, const float* alphas, const float* bias, float* output) {
  if (!*odd_input && !*odd_alpha) return;
  const int taps = g.kernel_h * g.kernel_w;
  const int64_t count = static_cast<int64_t>(g.pixels) * g.outputs;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int x = static_cast<int>(i % g.out_width) * g.stride_w - g.pad_w;
    const int y = static_cast<int>(i % g.out_pixels / g.out_width) * g.stride_h - g.pad_h;
    const int o = static_cast<int>(i / g.out_pixels % g.outputs);
    const int64_t image = i / g.out_pixels / g.outputs;
    const float* const from =
        input + (image * g.channels + o / g.group_outputs * g.group_channels) * g.height * g.width;
    const uint32_t* const row = rows + static_cast<int64_t>(o) * g.row_words;
    const float alpha = alphas[o];
    float sum = 0;
    for (int bit = 0; bit < g.group_channels * taps; ++bit) {
      const int in_y = y + bit % taps / g.kernel_w * g.dilation_h,
                in_x = x + bit % taps % g.kernel_w * g.dilation_w;
      if (in_y < 0 || in_y >= g.height || in_x < 0 || in_x >= g.width) continue;
      const float value = from[(static_cast<int64_t>(bit / taps) * g.height + in_y) * g.width + in_x];
      sum += (row[bit / 32] >> bit % 32 & 1 ? alpha : -alpha) * value;
    }
    output[i] = sum + (bias ? bias[o] : 0.f);
  }
}

// ---------------------------------------------------------------------------------------------------- host

template <typename Tile>
int64_t Blocks(const Geometry& g) {
  return int64_t{CeilDiv(g.group_outputs, Tile::kBlockOutputs)} * CeilDiv(g.pixels, Tile::kBlockPixels) *
         g.groups;
}

enum class TileKind { kWide, kFlat, kSmall };

int Multiprocessors() {
  int count = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, Caffe::device()));
  return count;
}

// Tests ask for each.
TileKind ChooseTile(const Geometry& g) {
  const char* const wanted = std::getenv("HWGQ_GPU_TILE");
  if (wanted && *wanted) {
    const std::vector<std::string> known = {"wide", "flat", "small"};
    const auto found = std::find(known.begin(), known.end(), wanted);
    if (found == known.end()) throw Error(UnknownName("HWGQ_GPU_TILE", wanted, known));
    return static_cast<TileKind>(found - known.begin());
  }
  const int64_t enough = Multiprocessors();
  // Half of a wide tile's outputs would be for nothing.
  const bool is_flat = (g.group_outputs - 1) % WideTile::kBlockOutputs < FlatTile::kBlockOutputs;
  if (is_flat ? Blocks<FlatTile>(g) >= enough : Blocks<WideTile>(g) >= enough) {
    return is_flat ? TileKind::kFlat : TileKind::kWide;
  }
  return TileKind::kSmall;
}

template <typename Tile>
void LaunchMultiply(const Geometry& g, const uint8_t* codes, const uint32_t* fragments, const float* factors,
                    const float* bias, float* output) {
  LaunchKernel(Multiply<Tile>, static_cast<unsigned>(Blocks<Tile>(g)), Tile::kThreads, Tile::kSharedBytes, g,
               codes, fragments, factors, bias, output);
}

template <int kLevels>
void FindCodes(const Geometry& g, int images, const std::vector<float>& values,
               const std::vector<int32_t>& integers, const float* input, uint8_t* codes, int* is_odd) {
  Levels<kLevels> levels;
  for (size_t j = 0; j < kLevels; ++j) {
    levels.values[j] = j < values.size() ? values[j] : NAN;
    levels.integers[j] = j < values.size() ? integers[j] : 0;
  }
  const int units = g.groups * g.channel_blocks;
  if (g.height * g.width == 1) {
    GpuForEach(int64_t{images} * units * kUnitWords, CodeRows<kLevels>{g, levels, input, codes, is_odd});
    return;
  }
  const int pixel_blocks = CeilDiv(images * g.height * g.width, kCodePixels);
  LaunchKernel(CodeImages<kLevels>, static_cast<unsigned>(pixel_blocks * units), kCodeThreads, 0, g, images,
               levels, input, codes, is_odd);
}

// Where bytes of images at a time end: their places are ints.
constexpr int64_t kMostBytes = int64_t{1} << 30;

// Fewer channels in one of several groups are mostly what they are filled up with.
constexpr int kLeastGroup = 16;

int OutSize(int size, int kernel, int stride, int pad, int dilation) {
  return (size + 2 * pad - (dilation * (kernel - 1) + 1)) / stride + 1;
}

// Signed bytes that each of the integers needs.
int BytesOf(const std::vector<int32_t>& integers) {
  int bytes = 1;
  for (int64_t integer : integers) {
    int needed = 1;
    for (; integer < -128 || integer > 127; ++needed)
      integer = (integer - static_cast<int8_t>(integer)) / 256;
    bytes = std::max(bytes, needed);
  }
  return bytes;
}

Geometry MakeGeometry(const lowbit::BinaryProductShape& shape, int planes) {
  Geometry g = {};
  g.out_width = OutSize(shape.width, shape.kernel_w, shape.stride_w, shape.pad_w, shape.dilation_w);
  g.out_pixels =
      OutSize(shape.height, shape.kernel_h, shape.stride_h, shape.pad_h, shape.dilation_h) * g.out_width;
  g.channels = shape.channels, g.height = shape.height, g.width = shape.width;
  g.outputs = shape.outputs, g.groups = shape.groups;
  g.group_channels = shape.channels / shape.groups, g.group_outputs = shape.outputs / shape.groups;
  g.kernel_h = shape.kernel_h, g.kernel_w = shape.kernel_w;
  g.stride_h = shape.stride_h, g.stride_w = shape.stride_w;
  g.pad_h = shape.pad_h, g.pad_w = shape.pad_w;
  g.dilation_h = shape.dilation_h, g.dilation_w = shape.dilation_w;
  g.channel_blocks = CeilDiv(g.group_channels, kUnit);
  g.units = g.kernel_h * g.kernel_w * g.channel_blocks;
  g.planes = planes;
  g.row_words = CeilDiv(static_cast<int>(shape.weights()), 32);
  return g;
}

int64_t ImageBytes(const Geometry& g) {
  return int64_t{g.height} * g.width * g.groups * g.channel_blocks * kUnit * g.planes;
}

int64_t FragmentWords(const Geometry& g) {
  return int64_t{g.groups} * FragmentBlocks(g) * FragmentUnits(g) * 32;
}

}  // namespace

class GpuBinaryProduct::Engine {
 public:
  Engine(const Geometry& geometry, const std::vector<float>& levels, const lowbit::IntegerLevels& integers)
      : g_(geometry),
        levels_(levels),
        integers_(integers),
        rows_(static_cast<size_t>(g_.outputs) * g_.row_words),
        fragments_(FragmentWords(g_)),
        alphas_(g_.outputs),
        factors_(g_.outputs),
        is_odd_(1) {}

  void SetWeights(const float* weights, bool use_alpha) {
    CUDA_CHECK(cudaMemsetAsync(is_odd_.get(), 0, sizeof(int), cudaStreamPerThread));
    FindAlphas(g_.outputs, Weights(), weights, use_alpha, alphas_.get());
    GpuForEach(g_.outputs, FindFactors{integers_.unit, alphas_.get(), factors_.get(), is_odd_.get()});
    constexpr int kThreads = 256, kMostBlocks = 4096;
    const int64_t blocks = (int64_t{g_.outputs} * g_.row_words - 1) / (kThreads / 32) + 1;
    LaunchKernel(PackRows, static_cast<unsigned>(std::min<int64_t>(blocks, kMostBlocks)), kThreads, 0,
                 g_.outputs, Weights(), g_.row_words, weights, rows_.get());
    GpuForEach(FragmentWords(g_), PackFragments{g_, rows_.get(), fragments_.get()});
  }

  void Run(int64_t images, const float* input, const float* bias, float* output) const {
    const int64_t at_once = std::min(images, kMostBytes / ImageBytes(g_));
    const GpuArray<uint8_t> codes(at_once * ImageBytes(g_));
    const GpuArray<int> is_odd(1);
    const int64_t in_elements = int64_t{g_.channels} * g_.height * g_.width;
    const int64_t out_elements = int64_t{g_.outputs} * g_.out_pixels;
    for (int64_t done = 0; done < images; done += at_once) {
      const int some = static_cast<int>(std::min(at_once, images - done));
      RunSome(some, input + done * in_elements, bias, output + done * out_elements, codes.get(),
              is_odd.get());
    }
  }

  void FillBinaryWeights(float* alphas, float* binary) const {
    CUDA_CHECK(cudaMemcpyAsync(alphas, alphas_.get(), g_.outputs * sizeof(float), cudaMemcpyDeviceToDevice,
                               cudaStreamPerThread));
    GpuForEach(int64_t{g_.outputs} * Weights(),
               FillBinary{Weights(), g_.row_words, rows_.get(), alphas_.get(), binary});
  }

 private:
  // Of an output.
  int Weights() const { return g_.group_channels * g_.kernel_h * g_.kernel_w; }

  void RunSome(int images, const float* input, const float* bias, float* output, uint8_t* codes,
               int* is_odd) const {
    Geometry g = g_;
    g.pixels = images * g.out_pixels;
    g.plane_bytes = static_cast<int>(ImageBytes(g) / g.planes * images);
    CUDA_CHECK(cudaMemsetAsync(is_odd, 0, sizeof(int), cudaStreamPerThread));
    if (levels_.size() <= 4) {
      FindCodes<4>(g, images, levels_, integers_.levels, input, codes, is_odd);
    } else {
      FindCodes<lowbit::kMaxLevels>(g, images, levels_, integers_.levels, input, codes, is_odd);
    }
    switch (ChooseTile(g)) {
      case TileKind::kWide:
        LaunchMultiply<WideTile>(g, codes, fragments_.get(), factors_.get(), bias, output);
        break;
      case TileKind::kFlat:
        LaunchMultiply<FlatTile>(g, codes, fragments_.get(), factors_.get(), bias, output);
        break;
      case TileKind::kSmall:
        LaunchMultiply<SmallTile>(g, codes, fragments_.get(), factors_.get(), bias, output);
        break;
    }
    // Most of the time it does nothing, which is faster than to ask first.
    constexpr int kThreads = 256, kMostBlocks = 1024;
    const int64_t blocks = (static_cast<int64_t>(g.pixels) * g.outputs - 1) / kThreads + 1;
    LaunchKernel(MultiplyOdd, static_cast<unsigned>(std::min<int64_t>(blocks, kMostBlocks)), kThreads, 0, g,
                 static_cast<const int*>(is_odd), static_cast<const int*>(is_odd_.get()), input,
                 static_cast<const uint32_t*>(rows_.get()), static_cast<const float*>(alphas_.get()), bias,
                 output);
  }

  // Without what depends on the number of images.
  const Geometry g_;
  const std::vector<float> levels_;
  const lowbit::IntegerLevels integers_;
  /// Signs, in Caffe's order and as the tensor cores take them.
  const GpuArray<uint32_t> rows_, fragments_;
  /// Alphas, and alphas times the levels' unit.
  const GpuArray<float> alphas_, factors_;
  /// Whether an alpha is not finite.
  const GpuArray<int> is_odd_;
};

std::unique_ptr<GpuBinaryProduct> GpuBinaryProduct::Make(const lowbit::BinaryProductShape& shape,
                                                         const std::vector<float>& levels) {
  if (shape.weights() < 1 || shape.height < 1 || shape.width < 1) return nullptr;
  const lowbit::IntegerLevels integers = lowbit::FindProductLevels(levels, shape.weights());
  if (integers.levels.empty()) return nullptr;
  const Geometry g = MakeGeometry(shape, BytesOf(integers.levels));
  const bool is_thin = g.groups > 1 && std::min(g.group_channels, g.group_outputs) < kLeastGroup;
  if (is_thin || std::max(g.kernel_h, g.kernel_w) > kMostKernel || ImageBytes(g) > kMostBytes ||
      FragmentWords(g) > INT_MAX)
    return nullptr;
  return std::unique_ptr<GpuBinaryProduct>(
      new GpuBinaryProduct(std::make_unique<Engine>(g, levels, integers)));
}

GpuBinaryProduct::GpuBinaryProduct(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

GpuBinaryProduct::~GpuBinaryProduct() = default;

void GpuBinaryProduct::SetWeights(const float* weights, bool use_alpha) {
  engine_->SetWeights(weights, use_alpha);
}

void GpuBinaryProduct::Run(int64_t images, const float* input, const float* bias, float* output) const {
  if (images > 0) engine_->Run(images, input, bias, output);
}

void GpuBinaryProduct::FillBinaryWeights(float* alphas, float* binary) const {
  engine_->FillBinaryWeights(alphas, binary);
}

}  // namespace caffe
