#include "caffe/lowbit/binary_product.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "caffe/lowbit/integer_levels.hpp"
#include "caffe/lowbit/level_codes.hpp"
#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/lowbit/thread_pool.hpp"
#include "caffe/lowbit/transpose.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Elements of a tensor that pass together: more images at a time would take more memory, and not be faster.
constexpr int64_t kElementsAtOnce = int64_t{1} << 18;

// Channels that are put into Caffe's order together: a line of the cache, read whole.
constexpr int64_t kBlockChannels = 16;

// Values that a thread codes at a time, where they stay in their order.
constexpr int64_t kPiece = 4096;

int64_t Pieces(int64_t count, int64_t piece) { return (count + piece - 1) / piece; }

// From channel by channel, row by row, to a plan's order: the channels last.
std::vector<uint8_t> ChannelsLast(const BinaryProductShape& shape, const uint8_t* signs,
                                  const ParallelLoop& loop) {
  const int64_t row_bytes = (shape.weights() + 7) / 8;
  const int64_t taps = int64_t{shape.kernel_h} * shape.kernel_w, channels = shape.channels / shape.groups;
  std::vector<uint8_t> bits(signs, signs + row_bytes * shape.outputs);
  if (taps == 1 || channels == 1) return bits;
  std::fill(bits.begin(), bits.end(), 0);
  loop(shape.outputs, [&](int64_t output) {
    const uint8_t* from = signs + output * row_bytes;
    uint8_t* to = bits.data() + output * row_bytes;
    int64_t bit = 0;
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t c = 0; c < channels; ++c, ++bit) {
        const int64_t source = c * taps + tap;
        to[bit / 8] = static_cast<uint8_t>(to[bit / 8] | (from[source / 8] >> source % 8 & 1) << bit % 8);
      }
    }
  });
  return bits;
}

template <typename T>
ArrayView View(ArrayType type, const std::vector<T>& values) {
  return {type, values.size(), reinterpret_cast<const uint8_t*>(values.data())};
}

}  // namespace

bool BinaryProductShape::operator==(const BinaryProductShape& other) const {
  const auto all = [](const BinaryProductShape& s) {
    return std::vector<int>{s.channels, s.height,   s.width, s.outputs, s.groups,     s.kernel_h,  s.kernel_w,
                            s.stride_h, s.stride_w, s.pad_h, s.pad_w,   s.dilation_h, s.dilation_w};
  };
  return all(*this) == all(other);
}

/// A plan of one stage, a binary convolution, from codes to real values.
class BinaryProduct::Engine {
 public:
  Engine(const BinaryProductShape& shape, const std::vector<float>& values, const IntegerLevels& levels,
         const uint8_t* signs, int threads, const ParallelLoop& loop)
      : codes_(values),
        levels_(levels),
        bits_(ChannelsLast(shape, signs, loop)),
        factors_(shape.outputs),
        offsets_(shape.outputs) {
    const StepInfo affine = {
        StepKind::kAffine, -1, 0, {}, {View(ArrayType::kFloat, factors_), View(ArrayType::kFloat, offsets_)}};
    const StageInfo info = {StageKind::kBinaryConvolution,
                            "product",
                            {shape.outputs, shape.kernel_h, shape.kernel_w, shape.stride_h, shape.stride_w,
                             shape.pad_h, shape.pad_w, shape.dilation_h, shape.dilation_w, shape.groups},
                            {kCodes},
                            {View(ArrayType::kUint8, bits_), View(ArrayType::kInt32, levels_.levels)},
                            {affine, {StepKind::kStore, kResult, 0, {}, {}}}};
    Plan plan;
    plan.tensors = {{"input", TensorKind::kCodes, shape.channels, shape.height, shape.width}, {}};
    CheckTensor(plan.tensors[kCodes]);
    const Shape result = ResultShape(plan, info);
    plan.tensors[kResult] = {"result", TensorKind::kReal, result.channels, result.height, result.width};
    CheckTensor(plan.tensors[kResult]);
    input_ = plan.tensors[kCodes];
    result_ = plan.tensors[kResult];
    const LoopsElsewhere elsewhere(loop);
    stage_ = MakeBinaryConvolution(plan, info, threads);
  }

  bool Run(int64_t images, const float* input, const float* scales, const float* bias, float* output,
           int threads, const ParallelLoop& loop) {
    const LoopsElsewhere elsewhere(loop);
    const int outputs = result_.channels;
    for (int o = 0; o < outputs; ++o) {
      factors_[o] = static_cast<float>(scales[o] * levels_.unit);
      offsets_[o] = bias ? bias[o] : 0;
    }
    const int64_t elements = std::max(input_.elements(), result_.elements());
    const int64_t at_once = std::clamp<int64_t>(kElementsAtOnce / elements, 1, images);
    Allocate(static_cast<int>(at_once));
    for (int64_t done = 0; done < images; done += tensors_.images) {
      tensors_.images = static_cast<int>(std::min(at_once, images - done));
      float* const to = output + done * result_.elements();
      tensors_.at[kResult] = reinterpret_cast<uint8_t*>(IsInPlace() ? to : values_);
      if (!FindCodes(input + done * input_.elements(), loop)) return false;
      stage_->Run(tensors_, room_, threads);
      if (!IsInPlace()) ToCaffe(to, loop);
    }
    return true;
  }

 private:
  enum { kCodes, kResult };

  // Whether a result lies as in Caffe's order.
  bool IsInPlace() const { return result_.pixels() == 1 || result_.channels == 1; }

  void Allocate(int images) {
    const size_t codes = Aligned(input_.elements() * images);
    const size_t values = IsInPlace() ? 0 : Aligned(result_.elements() * images * sizeof(float));
    const size_t bytes = codes + values + stage_->RoomBytes(images);
    // Of the thread, for all products: a net's layers run one after the other.
    thread_local AlignedBytes memory;
    if (memory.size() < bytes) memory = AlignedBytes(bytes);
    tensors_.at = {memory.data(), nullptr};
    values_ = reinterpret_cast<float*>(memory.data() + codes);
    room_ = memory.data() + codes + values;
  }

  bool FindCodes(const float* input, const ParallelLoop& loop) const {
    std::atomic<bool> known{true};
    uint8_t* const codes = tensors_.codes(kCodes);
    const int64_t pixels = input_.pixels(), elements = input_.elements();
    if (pixels == 1) {
      const int64_t count = elements * tensors_.images;
      loop(Pieces(count, kPiece), [&](int64_t piece) {
        const int64_t begin = piece * kPiece;
        if (!codes_.Find(input + begin, std::min(kPiece, count - begin), codes + begin)) known = false;
      });
      return known;
    }
    const int64_t parts = Pieces(pixels, LevelCodes::kPixels);
    loop(parts * tensors_.images, [&](int64_t task) {
      const int64_t image = task / parts, first = task % parts * LevelCodes::kPixels;
      const int64_t count = std::min<int64_t>(LevelCodes::kPixels, pixels - first);
      if (!codes_.Find(input + image * elements, input_.channels, pixels, first, count,
                       codes + image * elements)) {
        known = false;
      }
    });
    return known;
  }

  void ToCaffe(float* output, const ParallelLoop& loop) const {
    const int64_t pixels = result_.pixels(), channels = result_.channels;
    const int64_t parts = Pieces(channels, kBlockChannels);
    loop(parts * tensors_.images, [&](int64_t task) {
      const int64_t image = task / parts * result_.elements(), begin = task % parts * kBlockChannels;
      const int64_t end = std::min(begin + kBlockChannels, channels);
      TransposeMatrix(values_ + image + begin, channels, pixels, end - begin, false,
                      output + image + begin * pixels, pixels);
    });
  }

  const LevelCodes codes_;
  TensorInfo input_, result_;
  // The stage's arrays.
  const IntegerLevels levels_;
  const std::vector<uint8_t> bits_;
  std::vector<float> factors_, offsets_;
  std::unique_ptr<Stage> stage_;
  /// Where a pass works.
  Tensors tensors_ = {};
  /// The result pixel by pixel, and the stage's room.
  float* values_ = nullptr;
  uint8_t* room_ = nullptr;
};

std::unique_ptr<BinaryProduct> BinaryProduct::Make(const BinaryProductShape& shape,
                                                   const std::vector<float>& levels, const uint8_t* signs,
                                                   int threads, const ParallelLoop& loop) {
  const IntegerLevels integers = FindProductLevels(levels, shape.weights());
  if (integers.levels.empty()) return nullptr;
  try {
    return std::unique_ptr<BinaryProduct>(
        new BinaryProduct(std::make_unique<Engine>(shape, levels, integers, signs, threads, loop)));
  } catch (const PlanError&) {
    return nullptr;
  }
}

BinaryProduct::BinaryProduct(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

BinaryProduct::~BinaryProduct() = default;

bool BinaryProduct::Run(int64_t images, const float* input, const float* scales, const float* bias,
                        float* output, int threads, const ParallelLoop& loop) {
  return images == 0 || engine_->Run(images, input, scales, bias, output, threads, loop);
}

}  // namespace lowbit
}  // namespace caffe
