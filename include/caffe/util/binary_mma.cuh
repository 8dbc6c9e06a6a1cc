#ifndef CAFFE_UTIL_BINARY_MMA_CUH_
#define CAFFE_UTIL_BINARY_MMA_CUH_

/// @file
/// Convolutions of signed bytes under signs, on tensor cores, with any way to use the sums: an implicit
/// matrix product of outputs x channels under the kernel by channels x pixels. For CUDA's compiler only, or
/// for the compiler of the host where CAFFE_GPU_EMULATOR stands in for a GPU.

#include <algorithm>
#include <climits>
#include <cstdint>

#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/mma.cuh"

namespace caffe {
namespace binary_mma {

/// What a product of the tensor cores sums over: channels of an input pixel, a byte each.
constexpr int kUnit = 32;
/// Bytes that a copy to shared memory takes.
constexpr int kSegment = 16;
/// What is in shared memory of a pixel: some segments, so that copies are worth their waits.
constexpr int kChunkUnits = 2, kChunkSegments = kChunkUnits * kUnit / kSegment,
              kChunkBytes = kChunkUnits * kUnit;
/// Outputs whose signs are words of their own in the fragments, and to which these are filled up.
constexpr int kFragmentOutputs = 32, kOutputAlignment = 128;

__host__ __device__ constexpr int CeilDiv(int a, int b) { return (a + b - 1) / b; }

/**
 * @brief A convolution. Pixels are those of the result, over all images.
 *
 * Its input is images x height x width pixels of groups x channel_blocks x kUnit bytes; those that fill up a
 * group are 0. Integers that do not fit into a byte are several planes of bytes, the highest first: the sums
 * of a plane are multiplied by 256 before those of the next are added.
 */
struct Geometry {
  int pixels, out_pixels, out_width;  ///< out_pixels: of an image
  int height, width;
  int groups, group_outputs;
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int channel_blocks;
  int units;  ///< of an output
  int planes;
  int plane_bytes;
};

__host__ __device__ inline int PixelBytes(const Geometry& g) { return g.groups * g.channel_blocks * kUnit; }

/// Blocks of kFragmentOutputs outputs of a group, and units of an output, both filled up for all tiles.
__host__ __device__ inline int FragmentBlocks(const Geometry& g) {
  return CeilDiv(g.group_outputs, kOutputAlignment) * (kOutputAlignment / kFragmentOutputs);
}
__host__ __device__ inline int FragmentUnits(const Geometry& g) {
  return CeilDiv(g.units, kChunkUnits) * kChunkUnits;
}

/// Words of the signs of all outputs.
inline int64_t FragmentWords(const Geometry& g) {
  return int64_t{g.groups} * FragmentBlocks(g) * FragmentUnits(g) * 32;
}

/// A byte of a word of the fragments: the sign of an output, of a group, under a channel of a unit.
struct FragmentPlace {
  int group, output, unit, channel;
  /// Of the word; the others of it are 0.
  int bit;
};

/**
 * @brief Calls use(place) for each of the 32 signs of a word of the fragments.
 *
 * A word has those that a lane has of two operands a of mma::MultiplyAdd, of 16 outputs each, under the
 * channels of a unit. Bit 4 k + i of a half is byte k of a[i].
 */
template <typename Use>
__host__ __device__ void EachSign(const Geometry& g, int64_t word, const Use& use) {
  const int units = FragmentUnits(g), blocks = FragmentBlocks(g);
  const int lane = static_cast<int>(word % 32), unit = static_cast<int>(word / 32 % units);
  const int block = static_cast<int>(word / 32 / units % blocks);
  const int group = static_cast<int>(word / 32 / units / blocks);
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 4; ++i) {
      const int output = block * kFragmentOutputs + 16 * half + lane / 4 + 8 * (i % 2);
      for (int k = 0; k < 4; ++k) {
        use(FragmentPlace{group, output, unit, lane % 4 * 4 + i / 2 * 16 + k, 16 * half + 4 * k + i});
      }
    }
  }
}

/// How a block's work is divided: outputs by pixels, of the block and of each of its warps.
template <int kBlockOutputs_, int kBlockPixels_, int kWarpOutputs_, int kWarpPixels_, int kStages_>
struct Tile {
  static constexpr int kBlockOutputs = kBlockOutputs_, kBlockPixels = kBlockPixels_;
  static constexpr int kWarpOutputs = kWarpOutputs_, kWarpPixels = kWarpPixels_;
  static constexpr int kRows = kWarpOutputs / 16, kColumns = kWarpPixels / 8;
  /// Chunks in shared memory: one in use, the others on their way.
  static constexpr int kStages = kStages_, kStageBytes = kBlockPixels * kChunkBytes;
  static constexpr int kThreads = kBlockOutputs / kWarpOutputs * (kBlockPixels / kWarpPixels) * 32;
  static_assert(kWarpOutputs % kFragmentOutputs == 0 && kWarpPixels % 32 == 0 &&
                    kOutputAlignment % kBlockOutputs == 0,
                "tiles are whole fragments");

  static int64_t Blocks(const Geometry& g) {
    return int64_t{CeilDiv(g.group_outputs, kBlockOutputs)} * CeilDiv(g.pixels, kBlockPixels) * g.groups;
  }
};

using WideTile = Tile<128, 128, 64, 64, 4>;
using FlatTile = Tile<64, 256, 64, 64, 3>;
using SmallTile = Tile<64, 64, 32, 32, 4>;

/// What a warp has summed.
struct WarpPlace {
  int group;
  int output;  ///< the first one, in the group; there may be fewer than the warp has
  int pixel;   ///< likewise
  int part;    ///< of the sums, which several blocks may share
};

/// Where a segment of a pixel's chunk lies: so that eight pixels' segments lie in different banks.
__device__ inline int SegmentOffset(int pixel, int segment) {
  return pixel * kChunkBytes + (segment ^ (pixel >> 1 & (kChunkSegments - 1))) * kSegment;
}

/// Copies of chunks, one after the other: the same segment of some pixels by each thread.
template <typename Tile>
class Loader {
 public:
  __device__ Loader(const Geometry& g, const uint8_t* codes, int group, int first_pixel, int first_chunk)
      : g_(g),
        codes_(codes + group * g.channel_blocks * kUnit + SegmentOfUnit() * kSegment),
        first_block_(first_chunk * kChunkUnits) {
    CAFFE_UNROLL
    for (int i = 0; i < kPixels; ++i) {
      const int pixel = first_pixel + PixelOf(i);
      const int image = pixel / g.out_pixels, rest = pixel % g.out_pixels;
      // Pixels that there are not are outside of any image.
      constexpr int kFarOutside = INT_MIN / 2;
      y_[i] = pixel < g.pixels ? rest / g.out_width * g.stride_h - g.pad_h : kFarOutside;
      x_[i] = rest % g.out_width * g.stride_w - g.pad_w;
      offset_[i] = pixel < g.pixels ? ((image * g.height + y_[i]) * g.width + x_[i]) * PixelBytes(g) : 0;
    }
    StartPlane();
  }

  /// The next plane's chunks are next.
  __device__ void NextPlane() {
    codes_ += g_.plane_bytes;
    StartPlane();
  }

  __device__ void Load(char* stage) {
    const int dy = tap_y_ * g_.dilation_h, dx = tap_x_ * g_.dilation_w;
    const int offset = (dy * g_.width + dx) * PixelBytes(g_) + block_ * kUnit;
    const bool is_weight = tap_y_ < g_.kernel_h;
    CAFFE_UNROLL
    for (int i = 0; i < kPixels; ++i) {
      const bool exists = is_weight && static_cast<unsigned>(y_[i] + dy) < static_cast<unsigned>(g_.height) &&
                          static_cast<unsigned>(x_[i] + dx) < static_cast<unsigned>(g_.width);
      mma::StartCopy(stage + SegmentOffset(PixelOf(i), Segment()),
                     codes_ + (exists ? offset_[i] + offset : 0), exists);
    }
    block_ += kChunkUnits;
    FindTap();
  }

 private:
  static constexpr int kPixels = Tile::kBlockPixels * kChunkSegments / Tile::kThreads;

  static __device__ int Segment() { return threadIdx.x % kChunkSegments; }
  static __device__ int SegmentOfUnit() { return Segment() % (kChunkSegments / kChunkUnits); }
  static __device__ int PixelOf(int i) {
    return threadIdx.x / kChunkSegments + i * (Tile::kThreads / kChunkSegments);
  }

  __device__ void StartPlane() {
    const int block = first_block_ + Segment() / (kChunkSegments / kChunkUnits);
    const int tap = block / g_.channel_blocks;
    tap_y_ = tap / g_.kernel_w;
    tap_x_ = tap % g_.kernel_w;
    block_ = block % g_.channel_blocks;
  }

  __device__ void FindTap() {
    while (block_ >= g_.channel_blocks) {
      block_ -= g_.channel_blocks;
      if (++tap_x_ == g_.kernel_w) {
        tap_x_ = 0;
        ++tap_y_;
      }
    }
  }

  const Geometry& g_;
  const uint8_t* codes_;
  const int first_block_;
  // Of the input pixels under the kernel's first element.
  int y_[kPixels], x_[kPixels], offset_[kPixels];
  // Of the kernel, and of its channels.
  int tap_y_, tap_x_, block_;
};

/// Signs as bytes +1 and -1, operands of mma::MultiplyAdd; see EachSign.
__device__ inline void ExpandSigns(uint32_t word, uint32_t (&a)[2][4]) {
  // A bit of a nibble chooses byte 0 or, set, one of the bytes 1, 2 and 4. A nibble's highest bit may not be
  // set.
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

/// Wraps around, as sums do.
__device__ inline int32_t Times256(int32_t sum) {
  return static_cast<int32_t>(static_cast<uint32_t>(sum) << 8);
}

/**
 * @brief Sums inputs under signs, and calls use(place, sums, shared) with each warp's.
 *
 * Blocks along x are outputs fastest, so that those of the same pixels run together, then pixels, then
 * groups; those along y share the chunks of the same sums.
 *
 * @tparam Use has `void operator()(const WarpPlace&, int32_t (&sums)[Tile::kRows][Tile::kColumns][4], char*
 * shared) const`: sums as of mma::MultiplyAdd, 16 outputs by 8 pixels each, and all of the block's shared
 * memory, which is no more in use.
 */
template <typename Tile, typename Use>
__global__ void __launch_bounds__(Tile::kThreads)
    Multiply(const __grid_constant__ Geometry g, const uint8_t* __restrict__ codes,
             const uint32_t* __restrict__ fragments, const __grid_constant__ Use use) {
  constexpr int kRows = Tile::kRows, kColumns = Tile::kColumns;
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

  // Of a plane.
  const int chunks_of_sum = CeilDiv(g.units, kChunkUnits);
  const int chunks_of_part = CeilDiv(chunks_of_sum, static_cast<int>(gridDim.y));
  const int first_chunk = min(static_cast<int>(blockIdx.y) * chunks_of_part, chunks_of_sum);
  const int chunks = min(chunks_of_part, chunks_of_sum - first_chunk), all_chunks = chunks * g.planes;
  Loader<Tile> loader(g, codes, group, first_pixel, first_chunk);
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
    const int64_t block = group * group_blocks + first_output / kFragmentOutputs + i;
    signs[i] = fragments + (block * chunks_of_sum + first_chunk) * (kChunkUnits * 32) + lane;
  }
  uint32_t next[kChunkUnits][kWords] = {};
  const auto load_signs = [&](int chunk) {
    CAFFE_UNROLL
    for (int u = 0; u < kChunkUnits; ++u) {
      CAFFE_UNROLL
      for (int i = 0; i < kWords; ++i) next[u][i] = signs[i][(chunk * kChunkUnits + u) * 32];
    }
  };
  if (chunks > 0) load_signs(0);

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
  mma::WaitForCopies<0>();
  __syncthreads();
  use(WarpPlace{group, first_output, first_pixel + warp_pixel, static_cast<int>(blockIdx.y)}, sums, shared);
}

/// Starts Multiply, in `parts` parts. @param use_bytes of shared memory, for `use`.
template <typename Tile, typename Use>
void LaunchMultiply(const Geometry& g, int parts, const uint8_t* codes, const uint32_t* fragments,
                    size_t use_bytes, const Use& use) {
  const size_t stages = size_t{Tile::kStages} * Tile::kStageBytes;
  LaunchKernel(Multiply<Tile, Use>, dim3(static_cast<unsigned>(Tile::Blocks(g)), parts), Tile::kThreads,
               std::max(stages, use_bytes), g, codes, fragments, use);
}

}  // namespace binary_mma
}  // namespace caffe

#endif  // CAFFE_UTIL_BINARY_MMA_CUH_
