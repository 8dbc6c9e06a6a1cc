#include <algorithm>
#include <cstring>
#include <utility>

#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/pool_range.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

/// A window inside an image: `rows` x `columns` pixels of `channels` values from `first` on.
template <typename T>
struct Window {
  const T* first;
  int rows, columns;
  int64_t row_stride;
  int channels;
};

// 32 bytes of values.
template <typename T>
struct Vector {
  typedef T Type __attribute__((vector_size(32)));
};

// From anywhere: a vector's address is not aligned.
template <typename Values>
[[gnu::always_inline]] inline void Load(const void* at, Values* values) {
  std::memcpy(values, at, sizeof(*values));
}

// Takes the values of all of a window's pixels into those of a pixel to start with, zeros where there is
// none, for as many channels as `Values` holds. What becomes of them stays in registers until the last pixel.
template <int kCount, typename Values, typename T, typename Take>
[[gnu::always_inline]] inline void TakeChannels(const Window<T>& window, const T* start, int channel,
                                                Take take, T* y) {
  constexpr int kStep = sizeof(Values) / sizeof(T);  // NOLINT(bugprone-sizeof-expression): Values may be a T
  Values taken[kCount] = {};
  for (int i = 0; start && i < kCount; ++i) Load(start + channel + i * kStep, &taken[i]);
  for (int row = 0; row < window.rows; ++row) {
    const T* x = window.first + row * window.row_stride + channel;
    for (int column = 0; column < window.columns; ++column, x += window.channels) {
      for (int i = 0; i < kCount; ++i) {
        Values values;
        Load(x + i * kStep, &values);
        take(&taken[i], values, channel + i * kStep);
      }
    }
  }
  for (int i = 0; i < kCount; ++i) std::memcpy(y + channel + i * kStep, &taken[i], sizeof(taken[i]));
}

template <typename T, typename Take>
[[gnu::always_inline]] inline void EachPixel(const Window<T>& window, const T* start, Take take, T* y) {
  using Values = typename Vector<T>::Type;
  constexpr int kLanes = sizeof(Values) / sizeof(T);
  int c = 0;
  for (; c + 8 * kLanes <= window.channels; c += 8 * kLanes)
    TakeChannels<8, Values>(window, start, c, take, y);
  for (; c + kLanes <= window.channels; c += kLanes) TakeChannels<1, Values>(window, start, c, take, y);
  for (; c < window.channels; ++c) TakeChannels<1, T>(window, start, c, take, y);
}

CAFFE_TARGET_CLONES void Maximum(const Window<uint8_t>& window, const uint8_t* flip, uint8_t* y) {
  const int channels = window.channels;
  EachPixel<uint8_t>(
      window, nullptr,
      [flip](auto* most, const auto& x, int channel) {
        auto flipped = x;
        std::memcpy(&flipped, flip + channel, sizeof(flipped));
        flipped ^= x;
        *most = *most > flipped ? *most : flipped;
      },
      y);
  for (int c = 0; c < channels; ++c) y[c] ^= flip[c];
}

CAFFE_TARGET_CLONES void Maximum(const Window<float>& window, float* y) {
  EachPixel(window, window.first, [](auto* most, const auto& x, int) { *most = *most > x ? *most : x; }, y);
}

CAFFE_TARGET_CLONES void Mean(const Window<float>& window, float count, float* y) {
  const int channels = window.channels;
  EachPixel<float>(window, nullptr, [](auto* sum, const auto& x, int) { *sum += x; }, y);
  for (int c = 0; c < channels; ++c) y[c] /= count;
}

// Pixels of the result that are made at a time.
constexpr int kTilePixels = 8;

class Pooling : public RowStage {
 public:
  Pooling(const Plan& plan, const StageInfo& stage)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadPooling(plan, stage)),
        flip_(input_.channels, 0),
        steps_(plan, stage) {
    if (!stage.arrays.empty()) std::copy_n(stage.arrays[0].bytes, flip_.size(), flip_.begin());
  }

  size_t RoomBytes(int) const override { return 0; }

  const char* Kernel() const override { return "plain"; }

  int ResultHeight() const override { return info_.result.height; }

  void Prepare(const Tensors&, uint8_t*, int) const override {}

  void RunRows(const Tensors& tensors, uint8_t*, int64_t begin, int64_t end, int threads) const override {
    EachOf(begin, end, threads, [&](int64_t row) {
      for (int column = 0; column < info_.result.width; column += kTilePixels) {
        PoolTile(tensors, row, column, std::min(kTilePixels, info_.result.width - column));
      }
    });
  }

 private:
  // `row` counts through all images.
  void PoolTile(const Tensors& tensors, int64_t row, int column, int count) const {
    const int channels = input_.channels;
    const Part part = {row * info_.result.width + column, count, 0, channels};
    uint8_t* const room = ThreadScratch(sizeof(float) * channels * count);
    const Rows rows = RowsAt(row);
    for (int p = 0; p < count; ++p) {
      if (input_.kind == TensorKind::kCodes) {
        Maximum(WindowAt(tensors.codes(tensor_), rows, column + p).first, flip_.data(), room + p * channels);
        continue;
      }
      float* const values = reinterpret_cast<float*>(room) + p * channels;
      const auto [window, counted] = WindowAt(tensors.real(tensor_), rows, column + p);
      if (info_.mean) {
        Mean(window, counted, values);
      } else {
        Maximum(window, values);
      }
    }
    if (input_.kind == TensorKind::kCodes) return steps_.Store(tensors, part, {room, channels});
    steps_.Run(tensors, part, {reinterpret_cast<float*>(room), channels});
  }

  // Of the windows of a row of the result: where they lie in their image, and the image's first row.
  struct Rows {
    PoolRange y;
    int64_t image_row;
  };

  Rows RowsAt(int64_t row) const {
    const Geometry& g = info_.geometry;
    const int64_t image = row / info_.result.height;
    const int y = static_cast<int>(row - image * info_.result.height);
    return {PoolRangeAt(y, g.kernel_h, g.stride_h, g.pad_h, input_.height), image * input_.height};
  }

  // The window of a pixel of the result, and the number of elements that its mean is over.
  template <typename T>
  std::pair<Window<T>, float> WindowAt(const T* images, const Rows& rows, int column) const {
    const Geometry& g = info_.geometry;
    const PoolRange& y = rows.y;
    const PoolRange x = PoolRangeAt(column, g.kernel_w, g.stride_w, g.pad_w, input_.width);
    const int64_t row_stride = int64_t{input_.width} * input_.channels;
    const T* first = images + (rows.image_row + y.begin) * row_stride + int64_t{x.begin} * input_.channels;
    return {{first, y.end - y.begin, x.end - x.begin, row_stride, input_.channels},
            static_cast<float>(y.counted) * x.counted};
  }

  const TensorInfo input_;
  const int tensor_;
  const PoolingInfo info_;
  /// 255 where a channel takes the minimum: that of flipped codes is the maximum.
  std::vector<uint8_t> flip_;
  const Steps steps_;
};

}  // namespace

std::unique_ptr<Stage> MakePooling(const Plan& plan, const StageInfo& stage) {
  return std::make_unique<Pooling>(plan, stage);
}

}  // namespace lowbit
}  // namespace caffe
