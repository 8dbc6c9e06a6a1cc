#include "caffe/util/gpu_binary_product.hpp"

#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>

#include "caffe/lowbit/integer_levels.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/int_divisor.hpp"
#include "caffe/util/pixel_product.cuh"

namespace caffe {

namespace {

using namespace pixel_product;

// What an output's sums are multiplied by: its alpha, and that times the levels' unit.
struct StoreFactors {
  double unit;
  float *alphas, *factors;
  int *odd_version, version;  // the first becomes the second where an alpha is not finite
  __device__ void operator()(int output, float alpha) const {
    alphas[output] = alpha;
    factors[output] = static_cast<float>(alpha * unit);
    if (!(alpha <= FLT_MAX)) *odd_version = version;
  }
};

// A block for each output. Bit i of a row's words is the sign of weight i, in Caffe's order.
__global__ void __launch_bounds__(gpu_launch::kThreads)
    PackRows(int n, int row_words, const float* __restrict__ weights, bool use_alpha,
             uint32_t* __restrict__ rows, StoreFactors store) {
  constexpr int kWarps = gpu_launch::kThreads / 32, kAtOnce = 4;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int output = static_cast<int>(blockIdx.x);
  const float* const row = weights + static_cast<int64_t>(output) * n;
  double sum = 0;
  for (int first = warp * kAtOnce; first < row_words; first += kWarps * kAtOnce) {
    float values[kAtOnce];
    CAFFE_UNROLL
    for (int k = 0; k < kAtOnce; ++k) {
      const int i = (first + k) * 32 + lane;
      values[k] = i < n ? row[i] : 0.f;
    }
    CAFFE_UNROLL
    for (int k = 0; k < kAtOnce; ++k) {
      const bool is_positive = (first + k) * 32 + lane < n && binarize(values[k], 1.f) > 0;
      const uint32_t bits = __ballot_sync(mma::kWholeWarp, is_positive);
      if (lane == 0 && first + k < row_words)
        rows[static_cast<int64_t>(output) * row_words + first + k] = bits;
      sum += fabs(static_cast<double>(values[k]));
    }
  }
  if (use_alpha) sum = gpu_launch::BlockReduce(sum, gpu_launch::Sum<double>());
  if (threadIdx.x == 0) store(output, use_alpha ? binary_alpha<float>(sum, n) : 1.f);
}

struct SignOfTap {
  SignRows rows;
  int group_outputs, kernel_h, kernel_w;
  __device__ bool operator()(int group, int output, int channel, int y, int x) const {
    return rows.IsPositive(group * group_outputs + output, (channel * kernel_h + y) * kernel_w + x);
  }
};

struct FillBinary {
  IntDivisor n;
  SignRows rows;
  const float* alphas;
  float *to_alphas, *to_binary;
  __device__ void operator()(int i) const {
    int output = i;
    const int weight = n.Split(&output);
    const float alpha = alphas[output];
    to_binary[i] = rows.IsPositive(output, weight) ? alpha : -alpha;
    if (weight == 0) to_alphas[output] = alpha;
  }
};

// Integers, of one or more signed bytes.
struct IntegerBytes {
  static constexpr int kChannels = 4;
  struct State {
    int32_t integers[kChannels];
  };

  // A signed byte from each integer, of which a 256th of the rest is left.
  __device__ uint32_t Take(State* state) const {
    uint32_t word = 0;
    CAFFE_UNROLL
    for (int k = 0; k < kChannels; ++k) {
      const int32_t byte = static_cast<int8_t>(state->integers[k] & 0xff);
      state->integers[k] = (state->integers[k] - byte) / 256;
      word |= (static_cast<uint32_t>(byte) & 0xff) << 8 * k;
    }
    return word;
  }
};

// Of levels. Levels are filled up with NaN, which no value equals.
template <int kLevels>
struct LevelCoder : IntegerBytes {
  using Value = float;
  using Input = FloatInput;

  float levels[kLevels];
  int32_t integers[kLevels];
  int *odd_run, run;

  // The first becomes the second where a value is no level.
  __device__ State Load(const float (&values)[kChannels], int count, int) const {
    State state;
    bool odd = false;
    CAFFE_UNROLL
    for (int k = 0; k < kChannels; ++k) {
      int32_t integer = 0;
      bool is_known = k >= count;
      CAFFE_UNROLL
      for (int j = 0; j < kLevels; ++j) {
        const bool is_same = values[k] == levels[j];
        integer = is_same ? integers[j] : integer;
        is_known = is_known || is_same;
      }
      state.integers[k] = k < count ? integer : 0;
      odd = odd || !is_known;
    }
    if (odd) *odd_run = run;
    return state;
  }
};

// Of the codes of levels.
template <int kCodes>
struct CodeCoder : IntegerBytes {
  using Value = unsigned char;
  using Input = KeptValues;

  CodeValues<int32_t, kCodes> integers;
  int *odd_run, run;

  // The first becomes the second where a code is that of NaN.
  __device__ State Load(const Value (&kept)[kChannels], int count, int) const {
    State state;
    bool odd = false;
    CAFFE_UNROLL
    for (int k = 0; k < kChannels; ++k) {
      const int code = k < count ? KeptCode(kept[k]) : 0;
      state.integers[k] = k < count ? integers.Of(code, 0) : 0;
      odd = odd || code == kNanCode;
    }
    if (odd) *odd_run = run;
    return state;
  }
};

// What FloatInput gives, of codes.
template <int kCodes>
struct CodeInput {
  KeptValues kept;
  CodeValues<float, kCodes> levels;
  __device__ float operator()(int64_t i) const { return levels.Of(KeptCode(kept(i)), NAN); }
};

// output = factor times sum, plus bias, in Caffe's order.
struct StoreScaled {
  struct Output {
    float factor, offset;
    float* output;
    __device__ void Put(int64_t place, int32_t sum) const {
      // Rounded twice, as on the CPU.
      output[place] = __fadd_rn(__fmul_rn(static_cast<float>(sum), factor), offset);
    }
  };

  int outputs, image_pixels;
  const float *factors, *bias;
  float* output;

  __device__ int64_t Place(int pixel) const {
    return static_cast<int64_t>(pixel / image_pixels) * outputs * image_pixels + pixel % image_pixels;
  }
  __device__ Output Of(int o) const {
    return {factors[o], bias ? bias[o] : 0.f, output + static_cast<int64_t>(o) * image_pixels};
  }
};

// The result from floats, where an input is no level or an alpha not finite; nothing else.
template <typename Input>
__global__ void MultiplyOdd(Product p, int kernel_h, int kernel_w, const int* odd_run, int run,
                            const int* odd_version, int version, Input input, SignRows rows,
                            const float* alphas, const float* bias, float* output) {
  if (*odd_run != run && *odd_version != version) return;
  const int taps = kernel_h * kernel_w, outputs = p.input.groups * p.group_outputs;
  const int channels = p.input.groups * p.input.group_channels;
  const int64_t count = static_cast<int64_t>(p.pixels) * outputs;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int rest = static_cast<int>(i % p.image_pixels);
    const int o = static_cast<int>(i / p.image_pixels % outputs);
    const int64_t image = i / p.image_pixels / outputs;
    const int y = rest / p.columns * p.y.scale + p.y.first, x = rest % p.columns * p.x.scale + p.x.first;
    const int64_t channel = image * channels + o / p.group_outputs * p.input.group_channels;
    const float alpha = alphas[o];
    float sum = 0;
    for (int weight = 0; weight < p.input.group_channels * taps; ++weight) {
      const int in_y = y + weight % taps / kernel_w * p.y.step,
                in_x = x + weight % taps % kernel_w * p.x.step;
      if (in_y < 0 || in_y >= p.input.height || in_x < 0 || in_x >= p.input.width) continue;
      const float value = input(((channel + weight / taps) * p.input.height + in_y) * p.input.width + in_x);
      sum += (rows.IsPositive(o, weight) ? alpha : -alpha) * value;
    }
    output[i] = sum + (bias ? bias[o] : 0.f);
  }
}

// Fewer channels in one of several groups are mostly what they are filled up with.
constexpr int kLeastGroup = 16;

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

// Without what depends on the number of images.
Product MakeProduct(const lowbit::BinaryProductShape& shape, int planes) {
  const int channels = shape.channels / shape.groups;
  Product p = {};
  p.input = {shape.height, shape.width, shape.groups, channels, CeilDiv(channels, kUnit), planes, 0};
  p.y = {shape.kernel_h, shape.stride_h, -shape.pad_h, shape.dilation_h};
  p.x = {shape.kernel_w, shape.stride_w, -shape.pad_w, shape.dilation_w};
  p.columns = conv_output_size(shape.width, shape.kernel_w, shape.pad_w, shape.stride_w, shape.dilation_w);
  p.image_pixels = p.columns * conv_output_size(shape.height, shape.kernel_h, shape.pad_h, shape.stride_h,
                                                shape.dilation_h);
  p.group_outputs = shape.outputs / shape.groups;
  return p;
}

}  // namespace

class GpuBinaryProduct::Engine {
 public:
  Engine(const lowbit::BinaryProductShape& shape, const Product& product, const std::vector<float>& levels,
         const lowbit::IntegerLevels& integers)
      : shape_(shape),
        product_(product),
        levels_(levels),
        integers_(integers),
        row_words_(CeilDiv(weights(), 32)),
        rows_(static_cast<size_t>(shape.outputs) * row_words_, cudaStreamLegacy),
        fragments_(product.fragment_words<Bytes>(), cudaStreamLegacy),
        alphas_(shape.outputs, cudaStreamLegacy),
        factors_(shape.outputs, cudaStreamLegacy),
        odd_(2, cudaStreamLegacy) {
    CUDA_CHECK(cudaMemsetAsync(odd_.get(), 0, 2 * sizeof(int), cudaStreamPerThread));
  }

  void SetWeights(const float* weight_data, bool use_alpha) {
    LaunchKernel(PackRows, static_cast<unsigned>(shape_.outputs), gpu_launch::kThreads, 0, weights(),
                 row_words_, weight_data, use_alpha, rows_.get(),
                 StoreFactors{integers_.unit, alphas_.get(), factors_.get(), odd_version(), ++version_});
    const SignOfTap sign = {rows(), product_.group_outputs, shape_.kernel_h, shape_.kernel_w};
    GpuForEach(product_.fragment_words<Bytes>(),
               PackFragments<Bytes, SignOfTap>{product_, sign, fragments_.get()});
  }

  void Run(int64_t images, const float* input, const float* bias, float* output) {
    const auto to_pixels = [&](const Pixels& p, int some, int64_t first, uint8_t* pixels) {
      if (levels_.size() <= 4) {
        ToPixels(p, some, Coder<4>(), {input + first}, pixels);
      } else {
        ToPixels(p, some, Coder<lowbit::kMaxLevels>(), {input + first}, pixels);
      }
    };
    Run(images, to_pixels, [&](int64_t first) { return FloatInput{input + first}; }, bias, output);
  }

  bool Run(int64_t images, const KeptCodes& input, const float* bias, float* output) {
    return WithCodes(input.count, [&](auto most) { return RunCodes<most>(images, input, bias, output); });
  }

  Signs signs() const { return {alphas_.get(), rows_.get(), row_words_}; }

  void FillBinaryWeights(float* alphas, float* binary) const {
    GpuForEach(int64_t{shape_.outputs} * weights(),
               FillBinary{IntDivisor(weights()), rows(), alphas_.get(), alphas, binary});
  }

 private:
  // Of an output.
  int weights() const { return static_cast<int>(shape_.weights()); }
  SignRows rows() const { return {rows_.get(), row_words_}; }

  int* odd_version() const { return odd_.get(); }
  int* odd_run() const { return odd_.get() + 1; }

  template <int kCodes>
  bool RunCodes(int64_t images, const KeptCodes& input, const float* bias, float* output) {
    CodeValues<int32_t, kCodes> integers = {};
    CodeValues<float, kCodes> levels = {};
    for (int code = 0; code < input.count; ++code) {
      levels.values[code] = input.levels[code];
      const auto level = std::find(levels_.begin(), levels_.end(), input.levels[code]);
      if (level == levels_.end()) return false;
      integers.values[code] = integers_.levels[level - levels_.begin()];
    }
    const auto to_pixels = [&](const Pixels& p, int some, int64_t first, uint8_t* pixels) {
      ToPixels(p, some, CodeCoder<kCodes>{{}, integers, odd_run(), run_}, input.kept.From(first), pixels);
    };
    Run(
        images, to_pixels, [&](int64_t first) { return CodeInput<kCodes>{input.kept.From(first), levels}; },
        bias, output);
    return true;
  }

  // to_pixels(p, images, first, pixels) puts some images, from an element on, into pixels; input(first)
  // are their values.
  template <typename Convert, typename Input>
  void Run(int64_t images, const Convert& to_pixels, const Input& input, const float* bias, float* output) {
    const int64_t at_once = std::min(images, kMostBytes / product_.input.image_bytes());
    const GpuArray<uint8_t> pixels(at_once * product_.input.image_bytes());
    const int64_t in_elements = int64_t{shape_.channels} * shape_.height * shape_.width;
    const int64_t out_elements = int64_t{shape_.outputs} * product_.image_pixels;
    for (int64_t done = 0; done < images; done += at_once) {
      const int some = static_cast<int>(std::min(at_once, images - done));
      ++run_;
      Product p = product_;
      p.pixels = some * p.image_pixels;
      p.input.plane_bytes = static_cast<int>(p.input.image_bytes() / p.input.planes * some);
      to_pixels(p.input, some, done * in_elements, pixels.get());
      Multiply(p, pixels.get(), input(done * in_elements), bias, output + done * out_elements);
    }
  }

  template <typename Input>
  void Multiply(const Product& p, const uint8_t* pixels, const Input& input, const float* bias,
                float* output) const {
    pixel_product::Run<Bytes>(p, pixels, fragments_.get(),
                              StoreScaled{shape_.outputs, p.image_pixels, factors_.get(), bias, output});
    // Most of the time it does nothing, which is faster than to ask first.
    constexpr int kThreads = 256, kMostBlocks = 1024;
    const int64_t blocks = (static_cast<int64_t>(p.pixels) * shape_.outputs - 1) / kThreads + 1;
    LaunchKernel(MultiplyOdd<Input>, static_cast<unsigned>(std::min<int64_t>(blocks, kMostBlocks)), kThreads,
                 0, p, shape_.kernel_h, shape_.kernel_w, static_cast<const int*>(odd_run()), run_,
                 static_cast<const int*>(odd_version()), version_, input, rows(),
                 static_cast<const float*>(alphas_.get()), bias, output);
  }

  template <int kLevels>
  LevelCoder<kLevels> Coder() const {
    LevelCoder<kLevels> coder;
    for (size_t j = 0; j < kLevels; ++j) {
      coder.levels[j] = j < levels_.size() ? levels_[j] : NAN;
      coder.integers[j] = j < levels_.size() ? integers_.levels[j] : 0;
    }
    coder.odd_run = odd_run();
    coder.run = run_;
    return coder;
  }

  const lowbit::BinaryProductShape shape_;
  // Without what depends on the number of images.
  const Product product_;
  const std::vector<float> levels_;
  const lowbit::IntegerLevels integers_;
  const int row_words_;
  // Whichever thread ends the layer, they are given back when all are done with them.
  /// Signs, in Caffe's order and as the tensor cores take them.
  const GpuArray<uint32_t> rows_, fragments_;
  /// Alphas, and alphas times the levels' unit.
  const GpuArray<float> alphas_, factors_;
  /// Numbers of the present weights and of the last run; and, of each, the last one that integers could not
  /// do, for an alpha or an input. Nobody has to clear a number.
  int version_ = 0, run_ = 0;
  const GpuArray<int> odd_;
};

std::unique_ptr<GpuBinaryProduct> GpuBinaryProduct::Make(const lowbit::BinaryProductShape& shape,
                                                         const std::vector<float>& levels) {
  if (!Suits(shape, levels)) return nullptr;
  const lowbit::IntegerLevels integers = lowbit::FindProductLevels(levels, shape.weights());
  const Product p = MakeProduct(shape, BytesOf(integers.levels));
  return std::unique_ptr<GpuBinaryProduct>(
      new GpuBinaryProduct(std::make_unique<Engine>(shape, p, levels, integers)));
}

bool GpuBinaryProduct::Suits(const lowbit::BinaryProductShape& shape, const std::vector<float>& levels) {
  if (shape.weights() < 1 || shape.height < 1 || shape.width < 1) return false;
  const lowbit::IntegerLevels integers = lowbit::FindProductLevels(levels, shape.weights());
  if (integers.levels.empty()) return false;
  const Product p = MakeProduct(shape, BytesOf(integers.levels));
  const bool is_thin = shape.groups > 1 && std::min(p.input.group_channels, p.group_outputs) < kLeastGroup;
  return !is_thin && std::max(shape.kernel_h, shape.kernel_w) <= kMostKernel &&
         p.input.image_bytes() <= kMostBytes && p.fragment_words<Bytes>() <= INT_MAX;
}

GpuBinaryProduct::GpuBinaryProduct(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

GpuBinaryProduct::~GpuBinaryProduct() = default;

void GpuBinaryProduct::SetWeights(const float* weights, bool use_alpha) {
  engine_->SetWeights(weights, use_alpha);
}

void GpuBinaryProduct::Run(int64_t images, const float* input, const float* bias, float* output) {
  if (images > 0) engine_->Run(images, input, bias, output);
}

bool GpuBinaryProduct::Run(int64_t images, const KeptCodes& input, const float* bias, float* output) {
  return images == 0 || engine_->Run(images, input, bias, output);
}

GpuBinaryProduct::Signs GpuBinaryProduct::signs() const { return engine_->signs(); }

void GpuBinaryProduct::FillBinaryWeights(float* alphas, float* binary) const {
  engine_->FillBinaryWeights(alphas, binary);
}

}  // namespace caffe
