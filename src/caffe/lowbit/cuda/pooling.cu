#include "caffe/lowbit/cuda/pixel_stages.cuh"
#include "caffe/lowbit/cuda/stage.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/pool_range.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

namespace {

struct PoolShape {
  Geometry geometry;
  int channels, height, width, out_height, out_width;
  /// Elements from a pixel of the input to the next.
  int stride;
};

/// A window's part that is inside an image.
struct PoolWindow {
  PoolRange y, x;
  int64_t first_row;  ///< of the image, counted through all

  __device__ PoolWindow(const PoolShape& shape, int pixel)
      : y(PoolRangeAt(pixel / shape.out_width % shape.out_height, shape.geometry.kernel_h,
                      shape.geometry.stride_h, shape.geometry.pad_h, shape.height)),
        x(PoolRangeAt(pixel % shape.out_width, shape.geometry.kernel_w, shape.geometry.stride_w,
                      shape.geometry.pad_w, shape.width)),
        first_row(static_cast<int64_t>(pixel / (shape.out_width * shape.out_height)) * shape.height) {}

  /// use(offset) for each of its pixels, row by row, with where that lies in the input.
  template <typename Use>
  __device__ void EachPixel(const PoolShape& shape, const Use& use) const {
    for (int row = y.begin; row < y.end; ++row) {
      int64_t offset = ((first_row + row) * shape.width + x.begin) * shape.stride;
      for (int column = x.begin; column < x.end; ++column, offset += shape.stride) use(offset);
    }
  }
};

struct PoolReals {
  PoolShape shape;
  bool mean;
  const float* input;

  __device__ void operator()(int pixel, int channel, int some, float (&values)[kQuad]) const {
    const PoolWindow window(shape, pixel);
    const int64_t first =
        ((window.first_row + window.y.begin) * shape.width + window.x.begin) * shape.stride + channel;
    for (int c = 0; c < some; ++c) values[c] = mean ? 0 : input[first + c];
    window.EachPixel(shape, [&](int64_t offset) {
      const float* const x = input + offset + channel;
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) {
        if (c >= some) continue;
        values[c] = mean ? values[c] + x[c] : values[c] > x[c] ? values[c] : x[c];
      }
    });
    if (!mean) return;
    const float count = static_cast<float>(window.y.counted) * window.x.counted;
    CAFFE_UNROLL
    for (int c = 0; c < kQuad; ++c) values[c] /= count;
  }
};

struct PoolCodes {
  PoolShape shape;
  const uint8_t* input;
  /// 255 where a channel takes the minimum: that of flipped codes is the maximum. Four a word.
  const uint32_t* flips;

  __device__ uint32_t operator()(int pixel, int channel) const {
    const PoolWindow window(shape, pixel);
    const uint32_t flip = flips[channel / kQuad];
    uint32_t most = 0;
    window.EachPixel(shape, [&](int64_t offset) {
      const uint32_t codes = *reinterpret_cast<const uint32_t*>(input + offset + channel) ^ flip;
      uint32_t larger = 0;
      CAFFE_UNROLL
      for (int c = 0; c < kQuad; ++c) {
        const uint32_t mask = 0xffu << 8 * c;
        larger |= max(most & mask, codes & mask);
      }
      most = larger;
    });
    return most ^ flip;
  }
};

class Pooling : public Stage {
 public:
  Pooling(const Plan& plan, const StageInfo& stage)
      : Stage(StageSteps(plan, stage, plan.tensors[stage.inputs[0]].channels, 1)),
        input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadPooling(plan, stage)) {
    std::vector<uint32_t> flips((input_.channels + kQuad - 1) / kQuad);
    if (!stage.arrays.empty()) {
      for (int c = 0; c < input_.channels; ++c) {
        flips[c / kQuad] |= uint32_t{stage.arrays[0].bytes[c]} << c % kQuad * 8;
      }
    }
    flips_ = Upload(flips);
  }

  void Start(const Tensors& tensors, const StepList& steps, uint8_t*) const override {
    const PoolShape shape = {info_.geometry,
                             input_.channels,
                             input_.height,
                             input_.width,
                             info_.result.height,
                             info_.result.width,
                             static_cast<int>(PixelStride(input_))};
    const int pixels = tensors.images * info_.result.height * info_.result.width;
    if (input_.kind == TensorKind::kCodes) {
      StartCodes(pixels, steps, PoolCodes{shape, tensors.codes(tensor_), flips_.as<uint32_t>()});
    } else {
      StartQuads<float>(pixels, steps, PoolReals{shape, info_.mean, tensors.real(tensor_)});
    }
  }

  const char* Kernel() const override { return "cuda"; }

 private:
  const TensorInfo input_;
  const int tensor_;
  const PoolingInfo info_;
  DeviceBytes flips_;
};

}  // namespace

std::unique_ptr<Stage> MakePooling(const Plan& plan, const StageInfo& stage) {
  return std::make_unique<Pooling>(plan, stage);
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
