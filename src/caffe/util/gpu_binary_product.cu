#include "caffe/util/gpu_binary_product.hpp"

#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>

#include "caffe/lowbit/integer_levels.hpp"
#include "caffe/util/binarize.cuh"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/pixel_product.cuh"

namespace caffe {

namespace {

using namespace pixel_product;

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

// Such rows, and a weight's sign.
struct Rows {
  int words;
  const uint32_t* rows;
  __device__ bool IsPositive(int output, int weight) const {
    return rows[static_cast<int64_t>(output) * words + weight / 32] >> weight % 32 & 1;
  }
};

struct SignOfTap {
  Rows rows;
  int group_outputs, kernel_h, kernel_w;
  __device__ bool operator()(int group, int output, int channel, int y, int x) const {
    return rows.IsPositive(group * group_outputs + output, (channel * kernel_h + y) * kernel_w + x);
  }
};

// What sums are multiplied by.
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
  int n;
  Rows rows;
  const float* alphas;
  float* binary;
  __device__ void operator()(int i) const {
    const float alpha = alphas[i / n];
    binary[i] = rows.IsPositive(i / n, i % n) ? alpha : -alpha;
  }
};

// Levels become integers, of one or more signed bytes. Levels are filled up with NaN, which no value equals.
template <int kLevels>
struct LevelCoder {
  static constexpr int kChannels = 4;
  struct State {
    int32_t integers[kChannels];
  };

  float levels[kLevels];
  int32_t integers[kLevels];
  int* is_odd;

  // Leaves a mark where a value is no level.
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
    if (odd) *is_odd = 1;
    return state;
  }

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
__global__ void MultiplyOdd(Product p, int kernel_h, int kernel_w, const int* odd_input, const int* odd_alpha,
                            const float* input, Rows rows, const float* alphas, const float* bias,
                            float* output) {
  if (!*odd_input && !*odd_alpha) return;
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
      const float value = input[((channel + weight / taps) * p.input.height + in_y) * p.input.width + in_x];
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
        is_odd_(1, cudaStreamLegacy) {}

  void SetWeights(const float* weight_data, bool use_alpha) {
    CUDA_CHECK(cudaMemsetAsync(is_odd_.get(), 0, sizeof(int), cudaStreamPerThread));
    FindAlphas(shape_.outputs, weights(), weight_data, use_alpha, alphas_.get());
    GpuForEach(shape_.outputs, FindFactors{integers_.unit, alphas_.get(), factors_.get(), is_odd_.get()});
    constexpr int kThreads = 256, kMostBlocks = 4096;
    const int64_t blocks = (int64_t{shape_.outputs} * row_words_ - 1) / (kThreads / 32) + 1;
    LaunchKernel(PackRows, static_cast<unsigned>(std::min<int64_t>(blocks, kMostBlocks)), kThreads, 0,
                 shape_.outputs, weights(), row_words_, weight_data, rows_.get());
    const SignOfTap sign = {rows(), product_.group_outputs, shape_.kernel_h, shape_.kernel_w};
    GpuForEach(product_.fragment_words<Bytes>(),
               PackFragments<Bytes, SignOfTap>{product_, sign, fragments_.get()});
  }

  void Run(int64_t images, const float* input, const float* bias, float* output) const {
    const int64_t at_once = std::min(images, kMostBytes / product_.input.image_bytes());
    const GpuArray<uint8_t> pixels(at_once * product_.input.image_bytes());
    const GpuArray<int> is_odd(1);
    const int64_t in_elements = int64_t{shape_.channels} * shape_.height * shape_.width;
    const int64_t out_elements = int64_t{shape_.outputs} * product_.image_pixels;
    for (int64_t done = 0; done < images; done += at_once) {
      const int some = static_cast<int>(std::min(at_once, images - done));
      RunSome(some, input + done * in_elements, bias, output + done * out_elements, pixels.get(),
              is_odd.get());
    }
  }

  void FillBinaryWeights(float* alphas, float* binary) const {
    CUDA_CHECK(cudaMemcpyAsync(alphas, alphas_.get(), shape_.outputs * sizeof(float),
                               cudaMemcpyDeviceToDevice, cudaStreamPerThread));
    GpuForEach(int64_t{shape_.outputs} * weights(), FillBinary{weights(), rows(), alphas_.get(), binary});
  }

 private:
  // Of an output.
  int weights() const { return static_cast<int>(shape_.weights()); }
  Rows rows() const { return {row_words_, rows_.get()}; }

  void RunSome(int images, const float* input, const float* bias, float* output, uint8_t* pixels,
               int* is_odd) const {
    Product p = product_;
    p.pixels = images * p.image_pixels;
    p.input.plane_bytes = static_cast<int>(p.input.image_bytes() / p.input.planes * images);
    CUDA_CHECK(cudaMemsetAsync(is_odd, 0, sizeof(int), cudaStreamPerThread));
    if (levels_.size() <= 4) {
      ToPixels(p.input, images, Coder<4>(is_odd), input, pixels);
    } else {
      ToPixels(p.input, images, Coder<lowbit::kMaxLevels>(is_odd), input, pixels);
    }
    pixel_product::Run<Bytes>(p, pixels, fragments_.get(),
                              StoreScaled{shape_.outputs, p.image_pixels, factors_.get(), bias, output});
    // Most of the time it does nothing, which is faster than to ask first.
    constexpr int kThreads = 256, kMostBlocks = 1024;
    const int64_t blocks = (static_cast<int64_t>(p.pixels) * shape_.outputs - 1) / kThreads + 1;
    LaunchKernel(MultiplyOdd, static_cast<unsigned>(std::min<int64_t>(blocks, kMostBlocks)), kThreads, 0, p,
                 shape_.kernel_h, shape_.kernel_w, static_cast<const int*>(is_odd),
                 static_cast<const int*>(is_odd_.get()), input, rows(),
                 static_cast<const float*>(alphas_.get()), bias, output);
  }

  template <int kLevels>
  LevelCoder<kLevels> Coder(int* is_odd) const {
    LevelCoder<kLevels> coder;
    for (size_t j = 0; j < kLevels; ++j) {
      coder.levels[j] = j < levels_.size() ? levels_[j] : NAN;
      coder.integers[j] = j < levels_.size() ? integers_.levels[j] : 0;
    }
    coder.is_odd = is_odd;
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
  /// Whether an alpha is not finite.
  const GpuArray<int> is_odd_;
};

std::unique_ptr<GpuBinaryProduct> GpuBinaryProduct::Make(const lowbit::BinaryProductShape& shape,
                                                         const std::vector<float>& levels) {
  if (shape.weights() < 1 || shape.height < 1 || shape.width < 1) return nullptr;
  const lowbit::IntegerLevels integers = lowbit::FindProductLevels(levels, shape.weights());
  if (integers.levels.empty()) return nullptr;
  const Product p = MakeProduct(shape, BytesOf(integers.levels));
  const bool is_thin = shape.groups > 1 && std::min(p.input.group_channels, p.group_outputs) < kLeastGroup;
  if (is_thin || std::max(shape.kernel_h, shape.kernel_w) > kMostKernel ||
      p.input.image_bytes() > kMostBytes || p.fragment_words<Bytes>() > INT_MAX) {
    return nullptr;
  }
  return std::unique_ptr<GpuBinaryProduct>(
      new GpuBinaryProduct(std::make_unique<Engine>(shape, p, levels, integers)));
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
