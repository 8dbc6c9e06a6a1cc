#include <algorithm>
#include <cmath>
#include <cstring>

#include "caffe/lowbit/cuda/float_mma.cuh"
#include "caffe/lowbit/cuda/pixel_stages.cuh"
#include "caffe/lowbit/cuda/stage.hpp"
#include "caffe/lowbit/float_weights.hpp"
#include "caffe/lowbit/plan_check.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

namespace {

// Elements of a window that one instruction takes; those whose products tensor cores sum up at a time, since
// they round sums less well than other arithmetic does; and those that are in shared memory at a time.
constexpr int kStep = 8, kSumElements = 16, kChunk = 32;
constexpr int kSumSteps = kSumElements / kStep;
/// Outputs of an instruction, and those to which a group is filled up.
constexpr int kRowOutputs = 16, kOutputAlignment = 64;

constexpr int CeilDiv(int a, int b) { return (a + b - 1) / b; }

// Where an element of a window lies, from its first pixel's first channel of a group.
struct Tap {
  int offset, y, x;
  int exists;  ///< 0: it only fills the last chunk up
};

struct FloatGeometry {
  int pixels, out_pixels, out_width;  ///< out_pixels: of an image
  int height, width;
  /// From an image of the input, a row, a pixel, a channel to the next.
  int image_step, row_step, pixel_step, channel_step;
  int groups, group_channels, group_outputs;
  int stride_h, stride_w, pad_h, pad_w;
  int chunks;
};

// How a block's work is divided: outputs by pixels, of the block and of each of its warps.
template <int kBlockOutputs_, int kBlockPixels_, int kWarpOutputs_, int kWarpPixels_, int kStages_>
struct FloatTile {
  static constexpr int kBlockOutputs = kBlockOutputs_, kBlockPixels = kBlockPixels_;
  static constexpr int kWarpOutputs = kWarpOutputs_, kWarpPixels = kWarpPixels_;
  static constexpr int kRows = kWarpOutputs / kRowOutputs, kColumns = kWarpPixels / 8;
  static constexpr int kThreads = kBlockOutputs / kWarpOutputs * (kBlockPixels / kWarpPixels) * 32;
  // From an element of the window to the next; what is more than the pixels keeps the banks apart.
  static constexpr int kPitch = kBlockPixels + 8;
  static constexpr int kStages = kStages_, kStageFloats = kChunk * kPitch;
  static constexpr int kSharedBytes =
      std::max(kStages * kStageFloats * 4, kThreads / 32 * kQuadBytes<kColumns>);
  static_assert(kOutputAlignment % kBlockOutputs == 0 && kThreads % kBlockPixels == 0, "tiles are whole");

  static int64_t Blocks(const FloatGeometry& g) {
    return int64_t{CeilDiv(g.group_outputs, kBlockOutputs)} * CeilDiv(g.pixels, kBlockPixels) * g.groups;
  }
};

using LargeTile = FloatTile<64, 128, 32, 64, 3>;
using SmallTile = FloatTile<64, 64, 32, 32, 3>;

// A number as the sum of two of eleven bits, which leaves out what is below 22. Infinities stay.
struct TwoParts {
  uint32_t high, low;

  explicit __device__ TwoParts(float x) : high(mma::RoundToTf32(x)) {
    const float rest = x - __uint_as_float(high);
    low = mma::RoundToTf32(rest == rest ? rest : 0.f);
  }
};

/**
 * Sums of products of inputs and weights on tensor cores: both are sums of two numbers of eleven bits, and
 * the product of the two lower ones is left out. So the error of a product is about that of a float's
 * rounding.
 *
 * Blocks along x are outputs fastest, then pixels, then groups; those along y share the same sums' chunks.
 *
 * @tparam kWeightParts 1 for weights that have eleven bits.
 * @param weights for each 16 outputs, step, part: four of each lane.
 */
template <typename Tile, int kWeightParts, typename Use>
__global__ void __launch_bounds__(Tile::kThreads)
    MultiplyFloats(const __grid_constant__ FloatGeometry g, const float* __restrict__ input,
                   const uint4* __restrict__ weights, const Tap* __restrict__ taps,
                   const __grid_constant__ Use use) {
  constexpr int kRows = Tile::kRows, kColumns = Tile::kColumns;
  float* const shared = reinterpret_cast<float*>(DynamicSharedMemory());
  const int output_blocks = CeilDiv(g.group_outputs, Tile::kBlockOutputs);
  const int pixel_blocks = CeilDiv(g.pixels, Tile::kBlockPixels);
  const int pixel_block = static_cast<int>(blockIdx.x) / output_blocks;
  const int group = pixel_block / pixel_blocks;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  constexpr int kWarpColumns = Tile::kBlockPixels / Tile::kWarpPixels;
  const int warp_pixel = warp % kWarpColumns * Tile::kWarpPixels;
  const int first_pixel = pixel_block % pixel_blocks * Tile::kBlockPixels;
  const int first_output = static_cast<int>(blockIdx.x) % output_blocks * Tile::kBlockOutputs +
                           warp / kWarpColumns * Tile::kWarpOutputs;
  const int chunks_of_part = CeilDiv(g.chunks, static_cast<int>(gridDim.y));
  const int first_chunk = min(static_cast<int>(blockIdx.y) * chunks_of_part, g.chunks);
  const int chunks = min(chunks_of_part, g.chunks - first_chunk);

  // What this thread copies: some elements of the window of one pixel.
  constexpr int kThreadsOfPixel = Tile::kThreads / Tile::kBlockPixels;
  const int copied_pixel = threadIdx.x % Tile::kBlockPixels;
  const int pixel = first_pixel + copied_pixel;
  const int image = pixel / g.out_pixels, rest = pixel % g.out_pixels;
  const int y = rest / g.out_width * g.stride_h - g.pad_h, x = rest % g.out_width * g.stride_w - g.pad_w;
  const int64_t offset = static_cast<int64_t>(image) * g.image_step + y * g.row_step + x * g.pixel_step +
                         group * g.group_channels * g.channel_step;
  const auto load = [&](int chunk) {
    if (chunk < chunks) {
      float* const stage = shared + chunk % Tile::kStages * Tile::kStageFloats + copied_pixel;
      const Tap* const some = taps + (first_chunk + chunk) * kChunk;
      CAFFE_UNROLL
      for (int i = 0; i < kChunk / kThreadsOfPixel; ++i) {
        const int k = i * kThreadsOfPixel + threadIdx.x / Tile::kBlockPixels;
        const Tap tap = some[k];
        const bool exists = tap.exists && pixel < g.pixels &&
                            static_cast<unsigned>(y + tap.y) < static_cast<unsigned>(g.height) &&
                            static_cast<unsigned>(x + tap.x) < static_cast<unsigned>(g.width);
        mma::StartCopy(stage + k * Tile::kPitch, input + (exists ? offset + tap.offset : 0), exists);
      }
    }
    mma::CommitCopies();
  };
  CAFFE_UNROLL
  for (int chunk = 0; chunk < Tile::kStages - 1; ++chunk) load(chunk);

  // This lane's weights: of 16 outputs each.
  const uint4* rows[kRows];
  const int blocks_of_group = CeilDiv(g.group_outputs, kOutputAlignment) * (kOutputAlignment / kRowOutputs);
  constexpr int kStepWords = kWeightParts * 32;
  CAFFE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const int64_t block = group * blocks_of_group + first_output / kRowOutputs + i;
    rows[i] = weights + (block * g.chunks + first_chunk) * (kChunk / kStep * kStepWords) + lane;
  }

  float sums[kRows][kColumns][4] = {};
  for (int chunk = 0; chunk < chunks; ++chunk) {
    mma::WaitForCopies<Tile::kStages - 2>();
    __syncthreads();
    load(chunk + Tile::kStages - 1);
    const float* const stage = shared + chunk % Tile::kStages * Tile::kStageFloats;
    for (int first_step = 0; first_step < kChunk / kStep; first_step += kSumSteps) {
      uint32_t a[kRows][kSumSteps][kWeightParts][4];
      CAFFE_UNROLL
      for (int i = 0; i < kRows; ++i) {
        CAFFE_UNROLL
        for (int s = 0; s < kSumSteps; ++s) {
          CAFFE_UNROLL
          for (int part = 0; part < kWeightParts; ++part) {
            const uint4 four = rows[i][(chunk * (kChunk / kStep) + first_step + s) * kStepWords + part * 32];
            a[i][s][part][0] = four.x, a[i][s][part][1] = four.y;
            a[i][s][part][2] = four.z, a[i][s][part][3] = four.w;
          }
        }
      }
      CAFFE_UNROLL
      for (int j = 0; j < kColumns; ++j) {
        uint32_t high[kSumSteps][2], low[kSumSteps][2];
        CAFFE_UNROLL
        for (int s = 0; s < kSumSteps; ++s) {
          CAFFE_UNROLL
          for (int i = 0; i < 2; ++i) {
            const int k = (first_step + s) * kStep + lane % 4 + 4 * i;
            const TwoParts parts(stage[k * Tile::kPitch + warp_pixel + 8 * j + lane / 4]);
            high[s][i] = parts.high;
            low[s][i] = parts.low;
          }
        }
        CAFFE_UNROLL
        for (int i = 0; i < kRows; ++i) {
          float some[4] = {};
          // The small ones first.
          CAFFE_UNROLL
          for (int s = 0; s < kSumSteps; ++s) {
            mma::MultiplyAddTf32(some, a[i][s][0], low[s]);
            if (kWeightParts > 1) mma::MultiplyAddTf32(some, a[i][s][kWeightParts - 1], high[s]);
          }
          CAFFE_UNROLL
          for (int s = 0; s < kSumSteps; ++s) mma::MultiplyAddTf32(some, a[i][s][0], high[s]);
          CAFFE_UNROLL
          for (int k = 0; k < 4; ++k) sums[i][j][k] += some[k];
        }
      }
    }
  }
  mma::WaitForCopies<0>();
  __syncthreads();
  PassQuads(sums, reinterpret_cast<char*>(shared), group, g.group_outputs, first_output,
            first_pixel + warp_pixel, g.pixels, static_cast<int>(blockIdx.y), use);
}

// The nearest number of eleven bits.
float Rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  if ((bits & 0x7f800000u) == 0x7f800000u) return x;
  bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&x, &bits, sizeof(bits));
  return x;
}

class FloatConvolution : public Stage {
 public:
  FloatConvolution(const Plan& plan, const StageInfo& stage, const ConvolutionInfo& info, bool by_channels)
      : Stage(StageSteps(plan, stage, info.outputs, info.groups,
                         HasScales(stage) ? &stage.arrays[1] : nullptr)),
        tensor_(stage.inputs[0]),
        outputs_(info.outputs),
        weight_parts_(HasScales(stage) ? 1 : 2),
        geometry_(MakeGeometry(plan.tensors[stage.inputs[0]], info, by_channels)),
        multiprocessors_(Multiprocessors()),
        weights_(UploadWeights(stage, info)),
        taps_(UploadTaps(info)) {}

  size_t RoomBytes(int images) const override {
    return sizeof(float) * outputs_ *
           MostPartPixels(int64_t{images} * geometry_.out_pixels, SmallTile::kBlockPixels,
                          CeilDiv(geometry_.group_outputs, SmallTile::kBlockOutputs) * geometry_.groups,
                          multiprocessors_);
  }

  void Start(const Tensors& tensors, const StepList& steps, uint8_t* room) const override {
    FloatGeometry g = geometry_;
    g.pixels = tensors.images * g.out_pixels;
    const float* const input = tensors.real(tensor_);
    if (LargeTile::Blocks(g) >= multiprocessors_) return StartTile<LargeTile>(g, 1, input, UseSteps{steps});
    // Each part takes a pass over its sums: some chunks have to be worth that.
    constexpr int kChunksOfPart = 4;
    const int parts =
        std::min(PartsOfSum(SmallTile::Blocks(g), multiprocessors_), std::max(1, g.chunks / kChunksOfPart));
    if (parts == 1) return StartTile<SmallTile>(g, 1, input, UseSteps{steps});
    float* const kept = reinterpret_cast<float*>(room);
    StartTile<SmallTile>(g, parts, input, KeepPart<float>{kept, g.pixels, outputs_});
    StartQuads<float>(g.pixels, steps, SumParts<float>{kept, parts, g.pixels, outputs_});
  }

  const char* Kernel() const override { return weight_parts_ == 1 ? "cuda_2xtf32_mma" : "cuda_3xtf32_mma"; }

 private:
  // Integers, or signs, which a scale an output is multiplied by.
  static bool HasScales(const StageInfo& stage) { return stage.arrays.size() > 1; }

  static FloatGeometry MakeGeometry(const TensorInfo& input, const ConvolutionInfo& info, bool by_channels) {
    FloatGeometry g = {};
    g.out_width = info.result.width;
    g.out_pixels = info.result.height * info.result.width;
    g.height = input.height, g.width = input.width;
    g.image_step = static_cast<int>(input.elements());
    g.channel_step = by_channels ? static_cast<int>(input.pixels()) : 1;
    g.pixel_step = by_channels ? 1 : input.channels;
    g.row_step = g.width * g.pixel_step;
    g.groups = info.groups;
    g.group_channels = input.channels / info.groups, g.group_outputs = info.outputs / info.groups;
    g.stride_h = info.geometry.stride_h, g.stride_w = info.geometry.stride_w;
    g.pad_h = info.geometry.pad_h, g.pad_w = info.geometry.pad_w;
    g.chunks = static_cast<int>((info.weights + kChunk - 1) / kChunk);
    return g;
  }

  // Places of weights: as MultiplyFloats wants them.
  DeviceBytes UploadWeights(const StageInfo& stage, const ConvolutionInfo& info) const {
    const int blocks_of_group =
        CeilDiv(geometry_.group_outputs, kOutputAlignment) * (kOutputAlignment / kRowOutputs);
    const int64_t steps = int64_t{geometry_.chunks} * (kChunk / kStep);
    const int64_t floats_of_step = int64_t{weight_parts_} * 32 * 4;
    std::vector<float> weights(info.groups * blocks_of_group * steps * floats_of_step);
    std::vector<float> row(info.weights);
    for (int output = 0; output < info.outputs; ++output) {
      const int group = output / geometry_.group_outputs, in_group = output % geometry_.group_outputs;
      ReadRow(stage, output, &row);
      const int64_t block = group * blocks_of_group + in_group / kRowOutputs;
      for (int64_t k = 0; k < info.weights; ++k) {
        // See mma::MultiplyAddTf32.
        const int64_t in_step = k % kStep;
        const int64_t lane = in_group % 8 * 4 + in_step % 4, i = in_group % 16 / 8 + in_step / 4 * 2;
        float* const at = weights.data() + (block * steps + k / kStep) * floats_of_step + lane * 4 + i;
        at[0] = Rounded(row[k]);
        const float rest = row[k] - at[0];
        if (weight_parts_ > 1 && std::isfinite(rest)) at[32 * 4] = Rounded(rest);
      }
    }
    return Upload(weights);
  }

  // The weights of an output without its scale.
  static void ReadRow(const StageInfo& stage, int output, std::vector<float>* row) {
    const int64_t count = static_cast<int64_t>(row->size());
    if (HasInt8Weights(stage)) {
      const int8_t* const bytes = stage.arrays[0].as<int8_t>() + output * count;
      std::copy(bytes, bytes + count, row->begin());
    } else if (HasScales(stage)) {
      const uint8_t* const bits = stage.arrays[0].bytes + output * ((count + 7) / 8);
      for (int64_t k = 0; k < count; ++k) (*row)[k] = bits[k / 8] >> k % 8 & 1 ? 1.f : -1.f;
    } else {
      ReadFloatWeights(stage, output, count, row->data());
    }
  }

  DeviceBytes UploadTaps(const ConvolutionInfo& info) const {
    std::vector<Tap> taps(int64_t{geometry_.chunks} * kChunk);
    const Geometry& window = info.geometry;
    for (int64_t k = 0; k < info.weights; ++k) {
      const int channel = static_cast<int>(k % geometry_.group_channels);
      const int64_t tap = k / geometry_.group_channels;
      const int y = static_cast<int>(tap / window.kernel_w) * window.dilation_h;
      const int x = static_cast<int>(tap % window.kernel_w) * window.dilation_w;
      taps[k] = {y * geometry_.row_step + x * geometry_.pixel_step + channel * geometry_.channel_step, y, x,
                 1};
    }
    return Upload(taps);
  }

  template <typename Tile, typename Use>
  void StartTile(const FloatGeometry& g, int parts, const float* input, const Use& use) const {
    const dim3 blocks(static_cast<unsigned>(Tile::Blocks(g)), parts);
    const uint4* const weights = weights_.as<uint4>();
    const Tap* const taps = taps_.as<Tap>();
    if (weight_parts_ == 1) {
      LaunchKernel(MultiplyFloats<Tile, 1, Use>, blocks, Tile::kThreads, Tile::kSharedBytes, g, input,
                   weights, taps, use);
    } else {
      LaunchKernel(MultiplyFloats<Tile, 2, Use>, blocks, Tile::kThreads, Tile::kSharedBytes, g, input,
                   weights, taps, use);
    }
  }

  const int tensor_, outputs_, weight_parts_;
  /// Without what depends on the number of images.
  const FloatGeometry geometry_;
  const int multiprocessors_;
  const DeviceBytes weights_, taps_;
};

}  // namespace

std::unique_ptr<Stage> MakeFloatConvolution(const Plan& plan, const StageInfo& stage, bool by_channels) {
  return std::make_unique<FloatConvolution>(plan, stage, ReadConvolution(plan, stage), by_channels);
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
