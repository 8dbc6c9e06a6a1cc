#include "caffe/util/winograd.hpp"

#include <algorithm>
#include <type_traits>

#include "caffe/util/math_functions.hpp"
#include "caffe/util/onednn_library.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/scratch_memory.hpp"
#include "winograd_transforms.hpp"

namespace caffe {

namespace {

constexpr int kLanes = kWinogradLanes, kPoints = kWinogradPoints;

int RoundedUp(int size, int unit) { return (size + unit - 1) / unit * unit; }

int Tiles(int outputs, int kernel) {
  return RoundedUp(outputs, WinogradOutputs(kernel)) / WinogradOutputs(kernel);
}

/// Matrices, one for each point, of which a column is a channel.
template <typename Point>
struct PointMatrices {
  Point* data;
  int64_t rows;
  int channels;

  // Were matrices a power of two apart, the same element of all would fall to one set of the cache.
  int64_t stride() const { return rows * channels + 5 * kLanes; }
  size_t bytes() const { return kPoints * stride() * sizeof(Point); }
  Point* at(int point) const { return data + point * stride(); }
  Point* row(int64_t row, int channel) const { return data + row * channels + channel; }
};

/// m x n (+=) the product of a, or its transposed, and b over k of those channels or tiles that there are.
void Product(bool trans_a, int m, int n, int k, const PointMatrices<float>& a, const PointMatrices<float>& b,
             bool is_added, const PointMatrices<float>& c, int point) {
  caffe_cpu_gemm<float>(trans_a ? CblasTrans : CblasNoTrans, CblasNoTrans, m, n, k, 1, a.at(point),
                        a.channels, b.at(point), b.channels, is_added, c.at(point), c.channels);
}

void Product(bool trans_a, int m, int n, int k, const PointMatrices<BF16>& a, const PointMatrices<BF16>& b,
             bool is_added, const PointMatrices<float>& c, int point) {
  CHECK(GetOneDnn()->bf16_gemm(trans_a, m, n, k, a.at(point), a.channels, b.at(point), b.channels, is_added,
                               c.at(point), c.channels))
      << "oneDNN failed to multiply matrices of " << m << " x " << k << " and " << k << " x " << n
      << " BF16; CAFFE_BACKWARD=FLOAT does without it";
}

/// One call of WinogradBackward. Tiles are computed in blocks of some rows of tiles, which may be those of
/// several images or a part of one's, and where there are many of the input's channels, for some of them at a
/// time: what is made of their weights, for each block anew, takes so much less memory. Points that are
/// multiplied are of that type, their products are floats.
template <typename Point>
class Backward {
 public:
  Backward(const WinogradShape& shape, const float* input, const float* output_diff, const float* weights,
           float* weight_diff, float* input_diff)
      : shape_(shape),
        input_(input),
        output_diff_(output_diff),
        weights_(weights),
        weight_diff_(weight_diff),
        input_diff_(input_diff),
        tile_outputs_(WinogradOutputs(shape.kernel)),
        tile_rows_(Tiles(shape.out_height(), shape.kernel)),
        tile_columns_(Tiles(shape.out_width(), shape.kernel)),
        row_width_(tile_columns_ * tile_outputs_ + shape.kernel - 1),
        out_channels_(RoundedUp(shape.out_channels, kLanes)),
        in_channels_(InChannelsAtATime()) {
    const int64_t total = static_cast<int64_t>(shape.num) * tile_rows_;
    const int64_t blocks = (total + RowsInCache() - 1) / RowsInCache();
    block_rows_ = (total + blocks - 1) / blocks;
    const int64_t tiles = block_rows_ * tile_columns_;
    inputs_ = {nullptr, tiles, in_channels_};
    input_diffs_ = {nullptr, tiles, in_channels_};
    outputs_ = {nullptr, tiles, out_channels_};
    kernels_ = {nullptr, out_channels_, in_channels_};
    weight_sums_ = {nullptr, out_channels_, in_channels_};
    const size_t bytes = inputs_.bytes() + outputs_.bytes() + kernels_.bytes() + weight_sums_.bytes() +
                         (kInPlace ? 0 : input_diffs_.bytes());
    // As large as the largest layer needs it, which is much to fill with zeros at each call.
    static thread_local ScratchMemory memory;
    auto* data = reinterpret_cast<char*>(memory.Get(bytes));
    Place(&data, &inputs_);
    Place(&data, &outputs_);
    Place(&data, &kernels_);
    Place(&data, &weight_sums_);
    if constexpr (kInPlace) {
      input_diffs_ = inputs_;
    } else {
      Place(&data, &input_diffs_);
    }
  }

  void Run() {
    const int64_t total = static_cast<int64_t>(shape_.num) * tile_rows_;
    const bool has_all_channels = in_channels_ >= shape_.in_channels;
    for (int64_t first = 0; first < total; first += block_rows_) {
      const int64_t rows = std::min(block_rows_, total - first);
      const bool is_first = !has_all_channels || first == 0;
      const bool is_last = !has_all_channels || first + rows == total;
      GatherOutputs(first, rows);
      for (int channel = 0; channel < shape_.in_channels; channel += in_channels_) {
        if (input_diff_ && is_first) TransformKernels(channel);
        if (weight_diff_) GatherInputs(first, rows, channel);
        Multiply(rows * tile_columns_, channel, is_first);
        if (input_diff_) ScatterInputs(first, rows, channel);
        if (weight_diff_ && is_last) AddWeightGradient(channel);
      }
    }
  }

 private:
  /// Whether gradients by the inputs' points take the place of the points.
  static constexpr bool kInPlace = std::is_same<Point, float>::value;

  template <typename T>
  static void Place(char** data, PointMatrices<T>* matrices) {
    matrices->data = reinterpret_cast<T*>(*data);
    *data += matrices->bytes();
  }

  // So many rows of tiles that what is made of them stays in the cache, but enough of them for the products
  // to be worth going through all weights.
  int64_t RowsInCache() const {
    constexpr int64_t kBytes = 2 << 20, kLeastTiles = 512 / sizeof(Point), kMostTiles = 2 * kLeastTiles;
    const int64_t bytes = kPoints * sizeof(Point) * (in_channels_ + out_channels_);
    const int64_t tiles =
        std::max<int64_t>({kLeastTiles, std::min<int64_t>({in_channels_, out_channels_, kMostTiles}),
                           ParallelThreads() * kBytes / bytes});
    return (tiles + tile_columns_ - 1) / tile_columns_;
  }

  // Up to a whole number of lanes, and about the same each time.
  int InChannelsAtATime() const {
    constexpr int64_t kBytes = 32 << 20;
    const int64_t bytes = 2 * kPoints * sizeof(float) * out_channels_;
    const int most = static_cast<int>(std::max<int64_t>(kLanes, kBytes / bytes));
    const int times = (shape_.in_channels + most - 1) / most;
    return RoundedUp((shape_.in_channels + times - 1) / times, kLanes);
  }

  // None where all channels come before.
  int InputLanes(int channel) const { return std::clamp(shape_.in_channels - channel, 0, kLanes); }
  WinogradPlanes InputPlanes(int channel) const { return {shape_.height, shape_.width, InputLanes(channel)}; }
  template <typename T>
  T* InputPlane(T* images, int64_t image, int channel) const {
    return images + (image * shape_.in_channels + channel) * shape_.height * shape_.width;
  }
  WinogradPlanes OutputPlanes(int channel) const {
    return {shape_.out_height(), shape_.out_width(), std::min(kLanes, shape_.out_channels - channel)};
  }

  // Calls body(row of tiles in the block, first channel, memory for six rows).
  template <typename Body>
  static void ForRows(int64_t rows, int channels, int row_width, Body body) {
    const int64_t parts = channels / kLanes;
    ParallelFor(rows * parts, 1, [&](int64_t begin, int64_t end) {
      static thread_local ScratchMemory memory;
      float* scratch = memory.Get(sizeof(float) * kWinogradInputs * row_width * kLanes);
      for (int64_t i = begin; i < end; ++i) body(i / parts, static_cast<int>(i % parts) * kLanes, scratch);
    });
  }

  void TransformKernels(int first_channel) {
    ParallelFor(shape_.out_channels, 1, [=](int64_t begin, int64_t end) {
      for (int64_t output = begin; output < end; ++output) {
        for (int channel = 0; channel < in_channels_; channel += kLanes) {
          TransformWinogradWeights(shape_.kernel, Kernels(weights_, output, first_channel + channel),
                                   InputLanes(first_channel + channel), kernels_.stride(),
                                   kernels_.row(output, channel));
        }
      }
    });
  }

  void GatherInputs(int64_t first, int64_t rows, int first_channel) {
    ForRows(rows, in_channels_, row_width_, [=](int64_t row, int channel, float* scratch) {
      const WinogradPlanes planes = InputPlanes(first_channel + channel);
      const int64_t image = (first + row) / tile_rows_, tile_row = (first + row) % tile_rows_;
      GatherWinogradRows(planes, InputPlane(input_, image, first_channel + channel),
                         static_cast<int>(tile_row) * tile_outputs_ - shape_.pad_h, kWinogradInputs,
                         shape_.pad_w, row_width_, scratch);
      TransformWinogradInputs(shape_.kernel, scratch, row_width_, tile_columns_, inputs_.stride(),
                              in_channels_, inputs_.row(row * tile_columns_, channel));
    });
  }

  void GatherOutputs(int64_t first, int64_t rows) {
    ForRows(rows, out_channels_, row_width_, [=](int64_t row, int channel, float* scratch) {
      const WinogradPlanes planes = OutputPlanes(channel);
      const int64_t image = (first + row) / tile_rows_, tile_row = (first + row) % tile_rows_;
      GatherWinogradRows(planes, output_diff_ + (image * shape_.out_channels + channel) * planes.plane(),
                         static_cast<int>(tile_row) * tile_outputs_, tile_outputs_, 0, row_width_, scratch);
      TransformWinogradOutputs(shape_.kernel, scratch, row_width_, tile_columns_, outputs_.stride(),
                               out_channels_, outputs_.row(row * tile_columns_, channel));
    });
  }

  // Of channels that there are. What fills up their lanes goes through the transforms and is left out of what
  // they write, whatever it is.
  void Multiply(int64_t tiles, int first_channel, bool is_first) {
    const int rows = static_cast<int>(tiles), outputs = shape_.out_channels,
              inputs = std::min(in_channels_, shape_.in_channels - first_channel);
    ParallelFor(kPoints, 1, [=](int64_t begin, int64_t end) {
      for (int point = static_cast<int>(begin); point < end; ++point) {
        if (weight_diff_) {
          Product(true, outputs, inputs, rows, outputs_, inputs_, !is_first, weight_sums_, point);
        }
        if (input_diff_)
          Product(false, rows, inputs, outputs, outputs_, kernels_, false, input_diffs_, point);
      }
    });
  }

  // Rows of tiles overlap, so that those of an image are added one after the other.
  void ScatterInputs(int64_t first, int64_t rows, int first_channel) {
    const int64_t first_image = first / tile_rows_,
                  images = (first + rows - 1) / tile_rows_ - first_image + 1;
    ForRows(images, in_channels_, row_width_, [=](int64_t image, int channel, float* scratch) {
      image += first_image;
      const WinogradPlanes planes = InputPlanes(first_channel + channel);
      float* to = InputPlane(input_diff_, image, first_channel + channel);
      const int64_t begin = std::max(first, image * tile_rows_);
      const int64_t end = std::min(first + rows, (image + 1) * tile_rows_);
      for (int64_t row = begin; row < end; ++row) {
        const int tile_row = static_cast<int>(row - image * tile_rows_);
        AddUpWinogradInputs(shape_.kernel, input_diffs_.row((row - first) * tile_columns_, channel),
                            input_diffs_.stride(), in_channels_, tile_columns_, row_width_, scratch);
        for (int i = 0; i < kWinogradInputs; ++i) {
          const int y = tile_row * tile_outputs_ + i - shape_.pad_h;
          if (y < 0 || y >= planes.height) continue;
          const bool is_shared = tile_row > 0 && i < kWinogradInputs - tile_outputs_;
          ScatterWinogradRow(planes, scratch + static_cast<int64_t>(i) * row_width_ * kLanes, shape_.pad_w,
                             is_shared, y, to);
        }
      }
    });
  }

  void AddWeightGradient(int first_channel) {
    ParallelFor(shape_.out_channels, 1, [=](int64_t begin, int64_t end) {
      for (int64_t output = begin; output < end; ++output) {
        for (int channel = 0; channel < in_channels_; channel += kLanes) {
          AddWinogradWeightGradient(shape_.kernel, weight_sums_.row(output, channel), weight_sums_.stride(),
                                    InputLanes(first_channel + channel),
                                    Kernels(weight_diff_, output, first_channel + channel));
        }
      }
    });
  }

  template <typename T>
  T* Kernels(T* weights, int64_t output, int channel) const {
    return weights + (output * shape_.in_channels + channel) * shape_.kernel * shape_.kernel;
  }

  const WinogradShape& shape_;
  const float *const input_, *const output_diff_, *const weights_;
  float *const weight_diff_, *const input_diff_;
  const int tile_outputs_;
  const int tile_rows_, tile_columns_;
  const int row_width_;
  /// Up to a whole number of lanes; of the input's, those that are computed at a time.
  const int out_channels_, in_channels_;
  int64_t block_rows_;
  PointMatrices<Point> inputs_, outputs_, kernels_;
  PointMatrices<float> weight_sums_, input_diffs_;
};

}  // namespace

bool IsWinogradWorthwhile(const WinogradShape& shape, Precision precision) {
  if (precision == Precision::kBF16 && BF16OfProcessor() == BF16Instructions::kTiles) return false;
  // Transforms of smaller tiles take more, and so do the products that they save.
  const int least_channels = shape.kernel == 3 ? 32 : 16;
  constexpr int kLeastPositions = 256;
  if (std::min(shape.in_channels, shape.out_channels) < least_channels) return false;
  if (shape.out_height() < 1 || shape.out_width() < 1) return false;
  const int64_t positions = static_cast<int64_t>(shape.out_height()) * shape.out_width();
  if (shape.num * positions < kLeastPositions) return false;
  const int64_t tiles =
      static_cast<int64_t>(Tiles(shape.out_height(), shape.kernel)) * Tiles(shape.out_width(), shape.kernel);
  // Half of the products saved pay for the transforms. Sums as they are take whole blocks of channels, too.
  return 2 * kPoints * tiles <= positions * shape.kernel * shape.kernel;
}

void WinogradBackward(const WinogradShape& shape, const float* input, const float* output_diff,
                      const float* weights, float* weight_diff, float* input_diff, Precision precision) {
  if (!weight_diff && !input_diff) return;
  if (precision == Precision::kBF16) {
    Backward<BF16>(shape, input, output_diff, weights, weight_diff, input_diff).Run();
  } else {
    Backward<float>(shape, input, output_diff, weights, weight_diff, input_diff).Run();
  }
}

}  // namespace caffe
