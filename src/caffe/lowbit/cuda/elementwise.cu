// Stages whose result is as large as their input, and the order of their elements.
#include "caffe/lowbit/cuda/pixel_stages.cuh"
#include "caffe/lowbit/cuda/stage.hpp"
#include "caffe/lowbit/normalized.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

namespace {

struct CopyReals {
  const float* input;
  int channels;

  __device__ void operator()(int pixel, int channel, int some, float (&values)[kQuad]) const {
    const float* const x = input + static_cast<int64_t>(pixel) * channels + channel;
    CAFFE_UNROLL
    for (int c = 0; c < kQuad; ++c) {
      if (c < some) values[c] = x[c];
    }
  }
};

struct CopyCodes {
  const uint8_t* input;
  int stride;

  __device__ uint32_t operator()(int pixel, int channel) const {
    return *reinterpret_cast<const uint32_t*>(input + static_cast<int64_t>(pixel) * stride + channel);
  }
};

// ------------------------------------------------------------------------------------------------- softmax

// The largest value of a pixel, and the sum of all exponentials relative to it.
struct Scale {
  float largest, sum;
};

constexpr int kWarpsOfBlock = kPixelThreads / 32;

// By warps, a pixel each.
__global__ void __launch_bounds__(kPixelThreads)
    FindScales(int pixels, int channels, const float* input, Scale* scales) {
  const int pixel = static_cast<int>(blockIdx.x) * kWarpsOfBlock + threadIdx.x / 32;
  if (pixel >= pixels) return;
  const float* const x = input + static_cast<int64_t>(pixel) * channels;
  const int lane = threadIdx.x % 32;
  float largest = x[lane < channels ? lane : 0];
  for (int c = lane; c < channels; c += 32) largest = largest > x[c] ? largest : x[c];
  for (int distance = 16; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(mma::kWholeWarp, largest, distance);
    largest = largest > other ? largest : other;
  }
  float sum = 0;
  for (int c = lane; c < channels; c += 32) sum += expf(x[c] - largest);
  for (int distance = 16; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(mma::kWholeWarp, sum, distance);
  }
  if (lane == 0) scales[pixel] = {largest, sum};
}

struct Probabilities {
  const float* input;
  int channels;
  const Scale* scales;

  __device__ void operator()(int pixel, int channel, int some, float (&values)[kQuad]) const {
    const float* const x = input + static_cast<int64_t>(pixel) * channels + channel;
    const Scale scale = scales[pixel];
    CAFFE_UNROLL
    for (int c = 0; c < kQuad; ++c) {
      if (c < some) values[c] = expf(x[c] - scale.largest) / scale.sum;
    }
  }
};

// ------------------------------------------------------------------------------------------- normalization

struct NormalizeAcross {
  const float* input;
  int channels, radius;
  Normalization normalize;

  __device__ void operator()(int pixel, int channel, int some, float (&values)[kQuad]) const {
    const float* const x = input + static_cast<int64_t>(pixel) * channels;
    for (int c = 0; c < some; ++c) {
      const int end = min(channel + c + radius + 1, channels);
      float sum = 0;
      for (int i = max(channel + c - radius, 0); i < end; ++i) sum += x[i] * x[i];
      values[c] = normalize(x[channel + c], sum);
    }
  }
};

struct NormalizeWithin {
  const float* input;
  int channels, height, width, radius;
  Normalization normalize;

  __device__ void operator()(int pixel, int channel, int some, float (&values)[kQuad]) const {
    const int row = pixel / width % height, column = pixel % width;
    const int64_t first_row = pixel / width - row;
    for (int y = max(row - radius, 0); y < min(row + radius + 1, height); ++y) {
      for (int x = max(column - radius, 0); x < min(column + radius + 1, width); ++x) {
        const float* const near = input + ((first_row + y) * width + x) * channels + channel;
        for (int c = 0; c < some; ++c) values[c] += near[c] * near[c];
      }
    }
    const float* const center = input + static_cast<int64_t>(pixel) * channels + channel;
    for (int c = 0; c < some; ++c) values[c] = normalize(center[c], values[c]);
  }
};

class Elementwise : public Stage {
 public:
  Elementwise(const Plan& plan, const StageInfo& stage)
      : Stage(StageSteps(plan, stage, plan.tensors[stage.inputs[0]].channels, 1)),
        input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        kind_(stage.kind) {
    if (kind_ != StageKind::kLrn) return;
    within_ = stage.attributes[0] == 1;
    radius_ = stage.attributes[1] / 2;
    normalize_ = MakeNormalization(stage.arrays[0].as<float>(), within_, stage.attributes[1]);
  }

  size_t RoomBytes(int images) const override {
    return kind_ == StageKind::kSoftmax ? sizeof(Scale) * Pixels(images) : 0;
  }

  void Start(const Tensors& tensors, const StepList& steps, uint8_t* room) const override {
    const int pixels = Pixels(tensors.images), channels = input_.channels;
    const float* const x = tensors.real(tensor_);
    if (input_.kind == TensorKind::kCodes) {
      StartCodes(pixels, steps, CopyCodes{tensors.codes(tensor_), static_cast<int>(PixelStride(input_))});
    } else if (kind_ == StageKind::kSoftmax) {
      Scale* const scales = reinterpret_cast<Scale*>(room);
      LaunchKernel(FindScales, (pixels + kWarpsOfBlock - 1) / kWarpsOfBlock, kPixelThreads, 0, pixels,
                   channels, x, scales);
      StartQuads<float>(pixels, steps, Probabilities{x, channels, scales});
    } else if (kind_ == StageKind::kLrn && within_) {
      StartQuads<float>(pixels, steps,
                        NormalizeWithin{x, channels, input_.height, input_.width, radius_, normalize_});
    } else if (kind_ == StageKind::kLrn) {
      StartQuads<float>(pixels, steps, NormalizeAcross{x, channels, radius_, normalize_});
    } else {
      StartQuads<float>(pixels, steps, CopyReals{x, channels});
    }
  }

  const char* Kernel() const override { return "cuda"; }

 private:
  int Pixels(int images) const { return static_cast<int>(images * input_.pixels()); }

  const TensorInfo input_;
  const int tensor_;
  const StageKind kind_;
  bool within_ = false;
  int radius_ = 0;
  Normalization normalize_ = {};
};

// ------------------------------------------------------------------------------------------------- order

constexpr int kSide = 32, kRowsAtOnce = 8;

// Images of rows x columns become ones of columns x rows. Blocks are columns fastest, then rows; along y are
// images.
__global__ void __launch_bounds__(kSide* kRowsAtOnce)
    Transpose(int images, int rows, int columns, const float* x, float* y) {
  // An element more a row, against conflicts of banks.
  __shared__ float tile[kSide][kSide + 1];
  const int column_blocks = (columns + kSide - 1) / kSide;
  const int first_row = static_cast<int>(blockIdx.x) / column_blocks * kSide;
  const int first_column = static_cast<int>(blockIdx.x) % column_blocks * kSide;
  const int lane = threadIdx.x % kSide, line = threadIdx.x / kSide;
  const int64_t elements = static_cast<int64_t>(rows) * columns;
  for (int image = blockIdx.y; image < images; image += gridDim.y) {
    for (int i = line; i < kSide; i += kRowsAtOnce) {
      const int row = first_row + i, column = first_column + lane;
      if (row < rows && column < columns) {
        tile[i][lane] = x[image * elements + static_cast<int64_t>(row) * columns + column];
      }
    }
    __syncthreads();
    for (int i = line; i < kSide; i += kRowsAtOnce) {
      const int row = first_row + lane, column = first_column + i;
      if (row < rows && column < columns) {
        y[image * elements + static_cast<int64_t>(column) * rows + row] = tile[lane][i];
      }
    }
    __syncthreads();
  }
}

// The same for few rows, such as an image's colors.
__global__ void __launch_bounds__(kPixelThreads)
    TransposeFew(int images, int rows, int columns, const float* x, float* y) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kPixelThreads + threadIdx.x;
  if (index >= static_cast<int64_t>(images) * columns) return;
  const int64_t image = index / columns, column = index % columns;
  const float* const from = x + image * rows * columns + column;
  for (int row = 0; row < rows; ++row) y[index * rows + row] = from[static_cast<int64_t>(row) * columns];
}

void StartTranspose(int images, int64_t rows, int64_t columns, const float* x, float* y) {
  constexpr int kFew = 8, kMostAlongY = 65535;
  const int r = static_cast<int>(rows), c = static_cast<int>(columns);
  if (r <= kFew) {
    const int64_t blocks = (images * columns + kPixelThreads - 1) / kPixelThreads;
    LaunchKernel(TransposeFew, static_cast<unsigned>(blocks), kPixelThreads, 0, images, r, c, x, y);
  } else {
    const int64_t blocks = (rows + kSide - 1) / kSide * ((columns + kSide - 1) / kSide);
    LaunchKernel(Transpose, dim3(static_cast<unsigned>(blocks), std::min(images, kMostAlongY)),
                 kSide * kRowsAtOnce, 0, images, r, c, x, y);
  }
}

}  // namespace

std::unique_ptr<Stage> MakeElementwise(const Plan& plan, const StageInfo& stage) {
  return std::make_unique<Elementwise>(plan, stage);
}

std::unique_ptr<Stage> MakeStage(const Plan& plan, const StageInfo& stage, bool by_channels) {
  switch (stage.kind) {
    case StageKind::kConvolution:
      return MakeFloatConvolution(plan, stage, by_channels);
    case StageKind::kBinaryConvolution:
      return MakeBinaryConvolution(plan, stage);
    case StageKind::kPooling:
      return MakePooling(plan, stage);
    case StageKind::kCaffeLayer:
      throw PlanError(StageMessage(
          stage,
          "Caffe computes this layer on the processor, which packed inference on a GPU cannot ask: load "
          "the model for the CPU"));
    default:
      return MakeElementwise(plan, stage);
  }
}

void StartFromCaffe(const TensorInfo& tensor, const float* x, int images, float* y) {
  StartTranspose(images, tensor.channels, tensor.pixels(), x, y);
}

void StartToCaffe(const TensorInfo& tensor, const float* x, int images, float* y) {
  StartTranspose(images, tensor.pixels(), tensor.channels, x, y);
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
