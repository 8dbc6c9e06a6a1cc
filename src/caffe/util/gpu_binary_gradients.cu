#include "caffe/util/gpu_binary_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/int_divisor.hpp"
#include "caffe/util/pixel_product.cuh"

namespace caffe {

namespace {

using namespace pixel_product;

// An alpha of 0 makes the gradient by the result vanish, from which that by the weights is made, too. This is
// as good as 0 for the one, and can be divided by for the other.
constexpr float kLeastAlpha = 1e-30f;

__device__ float ScaleOf(float alpha) { return alpha < kLeastAlpha ? kLeastAlpha : alpha; }

// Numbers of bfloat16, of floats times their channel's scale, which is an alpha, or times a factor.
struct HalfCoder {
  static constexpr int kChannels = 2;
  using Value = float;
  using Input = FloatInput;
  using State = uint32_t;

  const float* alphas;
  float factor;

  __device__ State Load(const float (&values)[kChannels], int count, int channel) const {
    float scaled[kChannels];
    CAFFE_UNROLL
    for (int k = 0; k < kChannels; ++k) {
      const float scale = alphas && k < count ? ScaleOf(alphas[channel + k]) : factor;
      scaled[k] = k < count ? values[k] * scale : 0.f;
    }
    return mma::ToBF16(scaled[0], scaled[1]);
  }
  __device__ uint32_t Take(const State* state) const { return *state; }
};

// Of codes, times a factor.
template <int kCodes>
struct HalfOfCodes {
  static constexpr int kChannels = 2;
  using Value = unsigned char;
  using Input = KeptValues;
  using State = uint32_t;

  CodeValues<float, kCodes> values;

  __device__ State Load(const Value (&kept)[kChannels], int count, int) const {
    const float first = values.Of(KeptCode(kept[0]), NAN);
    return mma::ToBF16(first, count > 1 ? values.Of(KeptCode(kept[1]), NAN) : 0.f);
  }
  __device__ uint32_t Take(const State* state) const { return *state; }
};

Pixels HalfPixels(int height, int width, int groups, int group_channels) {
  return {height, width, groups, group_channels, CeilDiv(group_channels, Halves::kUnitChannels), 1, 0};
}

// --------------------------------------------------------------------------------------- by the input

// Rows of the input that are `phase` plus a multiple of the stride see the same elements of the kernel:
// `first`, first + step, and so on. For an axis.
struct Phase {
  int phase, size;  // and how many rows
  int first, step;
  Axis axis;  // through the result
};

Phase MakePhase(int phase, int size, int kernel, int stride, int pad, int dilation) {
  Phase p = {};
  p.phase = phase;
  p.size = CeilDiv(size - phase, stride);
  p.step = stride / std::gcd(stride, dilation);
  while (p.first < kernel && (phase + pad - p.first * dilation) % stride != 0) ++p.first;
  p.axis.taps = p.first < kernel ? (kernel - 1 - p.first) / p.step + 1 : 0;
  p.axis.scale = 1;
  p.axis.first = (phase + pad - p.first * dilation) / stride;
  p.axis.step = -dilation * p.step / stride;
  return p;
}

// What SignRows tell, of binary weights that are floats.
struct FloatSigns {
  const float* binary;
  int weights;  // of an output
  __device__ bool IsPositive(int output, int weight) const {
    return !signbit(binary[static_cast<int64_t>(output) * weights + weight]);
  }
};

// Outputs are the input's channels here, and channels the outputs.
template <typename Signs>
struct TransposedSign {
  Signs signs;
  int group_channels, group_outputs, kernel_h, kernel_w;
  int first_y, step_y, first_x, step_x;
  __device__ bool operator()(int group, int channel, int output, int y, int x) const {
    const int row = channel * kernel_h + first_y + y * step_y;
    return signs.IsPositive(group * group_outputs + output, row * kernel_w + first_x + x * step_x);
  }
};

// Puts the rows and columns of phases into images.
struct StorePhase {
  struct Output {
    float* output;
    __device__ void Put(int64_t place, float sum) const { output[place] = sum; }
  };

  int channels, height, width;
  int phase_y, stride_y, phase_x, stride_x;
  int phase_pixels, phase_columns;
  float* output;

  __device__ int64_t Place(int pixel) const {
    const int rest = pixel % phase_pixels;
    const int y = phase_y + rest / phase_columns * stride_y, x = phase_x + rest % phase_columns * stride_x;
    return (static_cast<int64_t>(pixel / phase_pixels) * channels * height + y) * width + x;
  }
  __device__ Output Of(int channel) const {
    return {output + static_cast<int64_t>(channel) * height * width};
  }
};

template <typename Signs>
void ComputeInputDiff(const BinaryGradients& gradients, const Signs& signs, int images, const Pixels& diffs,
                      const uint8_t* diff_pixels, float* input_diff) {
  const lowbit::BinaryProductShape& s = gradients.shape;
  for (int phase_y = 0; phase_y < std::min(s.stride_h, s.height); ++phase_y) {
    for (int phase_x = 0; phase_x < std::min(s.stride_w, s.width); ++phase_x) {
      const Phase y = MakePhase(phase_y, s.height, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h);
      const Phase x = MakePhase(phase_x, s.width, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w);
      Product p = {};
      p.input = diffs;
      p.y = y.axis;
      p.x = x.axis;
      p.columns = x.size;
      p.image_pixels = y.size * x.size;
      p.pixels = images * p.image_pixels;
      p.group_outputs = s.channels / s.groups;
      const GpuArray<uint32_t> fragments(p.fragment_words<Halves>());
      using Sign = TransposedSign<Signs>;
      const Sign sign = {signs,
                         s.channels / s.groups,
                         s.outputs / s.groups,
                         s.kernel_h,
                         s.kernel_w,
                         y.first,
                         y.step,
                         x.first,
                         x.step};
      GpuForEach(p.fragment_words<Halves>(), PackFragments<Halves, Sign>{p, sign, fragments.get()});
      pixel_product::Run<Halves>(p, diff_pixels, fragments.get(),
                                 StorePhase{s.channels, s.height, s.width, y.phase, s.stride_h, x.phase,
                                            s.stride_w, p.image_pixels, p.columns, input_diff});
    }
  }
}

void ComputeInputDiff(const BinaryGradients& gradients, int images, const Pixels& diffs,
                      const uint8_t* diff_pixels, float* input_diff) {
  if (gradients.sign_rows) {
    const SignRows signs = {gradients.sign_rows, gradients.row_words};
    return ComputeInputDiff(gradients, signs, images, diffs, diff_pixels, input_diff);
  }
  const FloatSigns signs = {gradients.binary, static_cast<int>(gradients.shape.weights())};
  ComputeInputDiff(gradients, signs, images, diffs, diff_pixels, input_diff);
}

// ------------------------------------------------------------------------------------- by the weights

// Sums over pixels of the result.
struct WeightProduct {
  Pixels input, output;
  Axis y, x;
  int pixels, image_pixels, columns;
  IntDivisor by_image, by_row;
  int split_pixels;  // that a block sums over, a multiple of kChunkPixels
};

// Pixels that are in shared memory at a time, and that a step of the tensor cores sums over.
constexpr int kChunkPixels = 32, kStepPixels = 16;

// Outputs by input channels of a block, as many of both, and of its four warps.
template <int kBlock_, int kWarp_>
struct WeightTile {
  static constexpr int kBlock = kBlock_, kWarp = kWarp_, kThreads = 128, kStages = 3;
  static constexpr int kRowBytes = kBlock * 2, kRowSegments = kRowBytes / kSegment;
  static constexpr int kOperandBytes = kChunkPixels * kRowBytes, kStageBytes = 2 * kOperandBytes;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kBlock == 2 * kWarp, "two by two warps");
  // Eight pixels' numbers of the same channels lie in different banks.
  static __device__ int Offset(int pixel, int segment) {
    return pixel * kRowBytes + (segment ^ (pixel & 7)) * kSegment;
  }
};

using WideWeights = WeightTile<128, 64>;
using SmallWeights = WeightTile<64, 32>;

// Adds to the gradients of weights, of which an output has `channels` of `taps` each. Nobody else adds to the
// same one: it is atomic because the memory then adds, and no thread waits for what was there.
struct AddToWeights {
  int channels, taps;
  float unit;
  const float* alphas;
  float* weight_diff;

  __device__ float FactorOf(int output) const { return unit / ScaleOf(alphas[output]); }
  __device__ void Add(int output, int channel, int tap, float sum, float factor) const {
    atomicAdd(weight_diff + (static_cast<int64_t>(output) * channels + channel) * taps + tap, sum * factor);
  }
};

// Blocks are outputs fastest, then channels, elements of the kernel, groups; and splits of the pixels along
// y. `parts` are [splits, outputs, taps, channels of a group]; null where there is one split, whose sums go
// to the weights at once.
template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    SumWeights(const __grid_constant__ WeightProduct p, const uint8_t* __restrict__ input,
               const uint8_t* __restrict__ output, const __grid_constant__ AddToWeights weights,
               float* __restrict__ parts) {
  constexpr int kRows = Tile::kWarp / 16, kColumns = Tile::kWarp / 8;
  constexpr int kThreadPixels = kChunkPixels * Tile::kRowSegments / Tile::kThreads;
  char* const shared = DynamicSharedMemory();
  const int group_outputs = p.output.group_channels, group_channels = p.input.group_channels;
  int block = static_cast<int>(blockIdx.x);
  const auto next = [&block](int count) {
    const int at = block % count;
    block /= count;
    return at;
  };
  const int first_output = next(CeilDiv(group_outputs, Tile::kBlock)) * Tile::kBlock;
  const int first_channel = next(CeilDiv(group_channels, Tile::kBlock)) * Tile::kBlock;
  const int taps = p.y.taps * p.x.taps, tap = next(taps), group = block;
  const int tap_y = p.y.first + tap / p.x.taps * p.y.step, tap_x = p.x.first + tap % p.x.taps * p.x.step;
  const int begin = static_cast<int>(blockIdx.y) * p.split_pixels;
  const int end = begin > p.pixels - p.split_pixels ? p.pixels : begin + p.split_pixels;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  // This thread copies the same segment of some pixels.
  const int segment = threadIdx.x % Tile::kRowSegments, row = threadIdx.x / Tile::kRowSegments;
  constexpr int kRowStep = Tile::kThreads / Tile::kRowSegments;
  constexpr int kSegmentChannels = kSegment / 2;
  const int output_unit = first_output + segment * kSegmentChannels;
  const int input_unit = first_channel + segment * kSegmentChannels;
  const bool has_output = output_unit < p.output.channel_blocks * Halves::kUnitChannels;
  const bool has_input = input_unit < p.input.channel_blocks * Halves::kUnitChannels;
  const int output_start = group * p.output.channel_blocks * kUnit + output_unit * 2;
  const int input_start = group * p.input.channel_blocks * kUnit + input_unit * 2;
  const int chunks = CeilDiv(end - begin, kChunkPixels);
  const auto load = [&](int chunk) {
    char* const stage = shared + chunk % Tile::kStages * Tile::kStageBytes;
    CAFFE_UNROLL
    for (int i = 0; i < kThreadPixels && chunk < chunks; ++i) {
      const int in_chunk = row + i * kRowStep, pixel = begin + chunk * kChunkPixels + in_chunk;
      const int image = p.by_image.Quotient(pixel), rest = pixel - image * p.image_pixels;
      const int out_y = p.by_row.Quotient(rest), out_x = rest - out_y * p.columns;
      const int y = out_y * p.y.scale + tap_y, x = out_x * p.x.scale + tap_x;
      const bool exists = static_cast<unsigned>(y) < static_cast<unsigned>(p.input.height) &&
                          static_cast<unsigned>(x) < static_cast<unsigned>(p.input.width);
      const int from = ((image * p.input.height + y) * p.input.width + x) * p.input.pixel_bytes();
      // Where it does not exist, this is no place in the pixels, and is not read.
      mma::StartCopy(stage + Tile::Offset(in_chunk, segment),
                     output + static_cast<uint32_t>(pixel * p.output.pixel_bytes() + output_start),
                     pixel < end && has_output);
      mma::StartCopy(stage + Tile::kOperandBytes + Tile::Offset(in_chunk, segment),
                     input + static_cast<uint32_t>(from + input_start), pixel < end && has_input && exists);
    }
    mma::CommitCopies();
  };
  CAFFE_UNROLL
  for (int chunk = 0; chunk < Tile::kStages - 1; ++chunk) load(chunk);

  float sums[kRows][kColumns][4] = {};
  const int warp_output = warp / 2 * Tile::kWarp, warp_channel = warp % 2 * Tile::kWarp;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    mma::WaitForCopies<Tile::kStages - 2>();
    // All threads' copies of this chunk are done, and all threads are done with the chunk before, whose place
    // is the next to be filled.
    __syncthreads();
    load(chunk + Tile::kStages - 1);
    const char* const outputs = shared + chunk % Tile::kStages * Tile::kStageBytes;
    const char* const inputs = outputs + Tile::kOperandBytes;
    CAFFE_UNROLL
    for (int step = 0; step < kChunkPixels; step += kStepPixels) {
      uint32_t a[kRows][4];
      CAFFE_UNROLL
      for (int i = 0; i < kRows; ++i) {
        const int pixel = step + lane / 16 * 8 + lane % 8, channel = warp_output + 16 * i + lane / 8 % 2 * 8;
        mma::LoadMatrices<true>(outputs + Tile::Offset(pixel, channel / kSegmentChannels), a[i]);
      }
      CAFFE_UNROLL
      for (int j = 0; j < kColumns; j += 2) {
        const int pixel = step + lane / 8 % 2 * 8 + lane % 8, channel = warp_channel + 8 * j + lane / 16 * 8;
        uint32_t b[4];
        mma::LoadMatrices<true>(inputs + Tile::Offset(pixel, channel / kSegmentChannels), b);
        const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
        CAFFE_UNROLL
        for (int i = 0; i < kRows; ++i) {
          mma::MultiplyAdd(sums[i][j], a[i], left);
          mma::MultiplyAdd(sums[i][j + 1], a[i], right);
        }
      }
    }
  }
  mma::WaitForCopies<0>();

  const int outputs = p.output.groups * group_outputs;
  CAFFE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    CAFFE_UNROLL
    for (int k = 0; k < 4; ++k) {
      const int o = first_output + warp_output + 16 * i + lane / 4 + k / 2 * 8;
      if (o >= group_outputs) continue;
      const int of_all = group * group_outputs + o;
      const int64_t part = static_cast<int64_t>(blockIdx.y) * outputs + of_all;
      const float factor = parts ? 0 : weights.FactorOf(of_all);
      CAFFE_UNROLL
      for (int j = 0; j < kColumns; ++j) {
        const int c = first_channel + warp_channel + 8 * j + lane % 4 * 2 + k % 2;
        if (c >= group_channels) continue;
        if (parts) {
          parts[(part * taps + tap) * group_channels + c] = sums[i][j][k];
        } else {
          weights.Add(of_all, c, tap, sums[i][j][k], factor);
        }
      }
    }
  }
}

// Adds parts up, in their order.
struct AddParts {
  AddToWeights weights;
  int splits;
  int64_t part_size;
  const float* parts;

  __device__ void operator()(int i) const {
    const int tap = i % weights.taps;
    const int channel = i / weights.taps % weights.channels, output = i / weights.taps / weights.channels;
    const float* part =
        parts + (static_cast<int64_t>(output) * weights.taps + tap) * weights.channels + channel;
    float sum = 0;
    for (int split = 0; split < splits; ++split) sum += part[split * part_size];
    weights.Add(output, channel, tap, sum, weights.FactorOf(output));
  }
};

template <typename Tile>
void AddWeightDiff(const BinaryGradients& gradients, WeightProduct p, const uint8_t* input,
                   const uint8_t* output) {
  const lowbit::BinaryProductShape& s = gradients.shape;
  const int taps = s.kernel_h * s.kernel_w;
  const int tiles = CeilDiv(p.output.group_channels, Tile::kBlock) *
                    CeilDiv(p.input.group_channels, Tile::kBlock) * taps * s.groups;
  // As many splits as occupy all of the GPU twice, unless their sums would be too short, or take too much
  // memory.
  constexpr int kLeastChunks = 8;
  constexpr int64_t kMostWeights = 64 << 20;
  const int64_t weights = int64_t{s.outputs} * s.weights();
  const int64_t most = std::min<int64_t>(p.pixels / (kLeastChunks * kChunkPixels), kMostWeights / weights);
  const int wanted =
      static_cast<int>(std::clamp<int64_t>(2 * Multiprocessors() / tiles, 1, std::max<int64_t>(most, 1)));
  p.split_pixels = CeilDiv(CeilDiv(p.pixels, wanted), kChunkPixels) * kChunkPixels;
  const int splits = CeilDiv(p.pixels, p.split_pixels);
  const AddToWeights add = {s.channels / s.groups, taps, gradients.unit, gradients.alphas,
                            gradients.weight_diff};
  const GpuArray<float> parts(splits > 1 ? splits * weights : 0);
  float* const some_parts = splits > 1 ? parts.get() : nullptr;
  LaunchKernel(SumWeights<Tile>, dim3(tiles, splits), Tile::kThreads, Tile::kSharedBytes, p, input, output,
               add, some_parts);
  if (splits > 1) GpuForEach(weights, AddParts{add, splits, weights, some_parts});
}

void AddWeightDiff(const BinaryGradients& gradients, int images, const Pixels& inputs, const Pixels& diffs,
                   const uint8_t* input_pixels, const uint8_t* diff_pixels) {
  const lowbit::BinaryProductShape& s = gradients.shape;
  const int image_pixels = diffs.height * diffs.width;
  const WeightProduct p = {inputs,
                           diffs,
                           {s.kernel_h, s.stride_h, -s.pad_h, s.dilation_h},
                           {s.kernel_w, s.stride_w, -s.pad_w, s.dilation_w},
                           images * image_pixels,
                           image_pixels,
                           diffs.width,
                           IntDivisor(image_pixels),
                           IntDivisor(diffs.width),
                           0};
  const bool is_wide = std::min(inputs.group_channels, diffs.group_channels) > SmallWeights::kBlock;
  if (is_wide) {
    AddWeightDiff<WideWeights>(gradients, p, input_pixels, diff_pixels);
  } else {
    AddWeightDiff<SmallWeights>(gradients, p, input_pixels, diff_pixels);
  }
}

// Of the input and of the gradient by the result.
std::pair<Pixels, Pixels> PixelsOf(const lowbit::BinaryProductShape& s) {
  const int out_height = conv_output_size(s.height, s.kernel_h, s.pad_h, s.stride_h, s.dilation_h);
  const int out_width = conv_output_size(s.width, s.kernel_w, s.pad_w, s.stride_w, s.dilation_w);
  return {HalfPixels(s.height, s.width, s.groups, s.channels / s.groups),
          HalfPixels(out_height, out_width, s.groups, s.outputs / s.groups)};
}

// Images from an element on, in multiples of their unit.
void InputToPixels(const BinaryGradients& gradients, const Pixels& inputs, int images, int64_t first,
                   uint8_t* pixels) {
  const float factor = 1 / gradients.unit;
  const KeptCodes* const codes = gradients.input_codes;
  if (!codes) return ToPixels(inputs, images, HalfCoder{nullptr, factor}, {gradients.input + first}, pixels);
  WithCodes(codes->count, [&](auto most) {
    HalfOfCodes<most> coder = {};
    for (int code = 0; code < codes->count; ++code) coder.values.values[code] = codes->levels[code] * factor;
    ToPixels(inputs, images, coder, codes->kept.From(first), pixels);
  });
}

}  // namespace

bool SuitsBF16(const lowbit::BinaryProductShape& shape) {
  const auto [inputs, diffs] = PixelsOf(shape);
  // Fewer channels in one of several groups are mostly what they are filled up with.
  constexpr int kLeastGroup = 8;
  const bool is_thin =
      shape.groups > 1 && std::min(inputs.group_channels, diffs.group_channels) < kLeastGroup;
  return !is_thin && std::max(shape.kernel_h, shape.kernel_w) <= kMostKernel &&
         std::max(inputs.image_bytes(), diffs.image_bytes()) <= kMostBytes;
}

bool ComputeGradientsInBF16(const BinaryGradients& gradients) {
  const lowbit::BinaryProductShape& s = gradients.shape;
  if (!SuitsBF16(s)) return false;
  const auto [inputs, diffs] = PixelsOf(s);
  const int64_t image_bytes = std::max(inputs.image_bytes(), diffs.image_bytes());
  const int diff_pixels_of_image = diffs.height * diffs.width;
  if (gradients.images == 0) return true;
  if (gradients.bias_diff) {
    GpuSumChannels<float>({gradients.images, s.outputs, diff_pixels_of_image},
                          ChannelValues<float>{gradients.output_diff},
                          StoreSum<float>{gradients.bias_diff, true});
  }
  if (!gradients.input_diff && !gradients.weight_diff) return true;

  const int at_once = static_cast<int>(std::min<int64_t>(gradients.images, kMostBytes / image_bytes));
  const GpuArray<uint8_t> diff_pixels(at_once * diffs.image_bytes());
  const GpuArray<uint8_t> input_pixels(gradients.weight_diff ? at_once * inputs.image_bytes() : 0);
  const int64_t in_elements = int64_t{s.channels} * s.height * s.width;
  const int64_t out_elements = int64_t{s.outputs} * diff_pixels_of_image;
  for (int done = 0; done < gradients.images; done += at_once) {
    const int images = std::min(at_once, gradients.images - done);
    ToPixels(diffs, images, HalfCoder{gradients.alphas, 1}, {gradients.output_diff + done * out_elements},
             diff_pixels.get());
    if (gradients.input_diff) {
      ComputeInputDiff(gradients, images, diffs, diff_pixels.get(),
                       gradients.input_diff + done * in_elements);
    }
    if (gradients.weight_diff) {
      InputToPixels(gradients, inputs, images, done * in_elements, input_pixels.get());
      AddWeightDiff(gradients, images, inputs, diffs, input_pixels.get(), diff_pixels.get());
    }
  }
  return true;
}

}  // namespace caffe
