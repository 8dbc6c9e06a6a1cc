#ifndef CAFFE_TEST_RANDOM_CONVOLUTION_HPP_
#define CAFFE_TEST_RANDOM_CONVOLUTION_HPP_

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/test/packed_model_writer.hpp"

// Only of libhwgq, so that it can be built for another processor.

namespace caffe {
namespace lowbit {

/// A plan of one convolution of real numbers, and what to run it on.
class RandomConvolution {
 public:
  using Images = std::vector<float>;
  using Make = std::function<std::unique_ptr<Stage>(const Plan& plan, const StageInfo& stage)>;

  RandomConvolution(unsigned seed, int encoding) : random_(seed) {
    const int groups = Draw(1, 3), channels = groups * Draw(1, 5), size = Draw(5, 12);
    const int outputs = groups * Draw(1, seed % 3 ? 20 : 70);
    const int width = size + Draw(0, 4);
    Geometry g = {Draw(1, 4), Draw(1, 4), Draw(1, 3), Draw(1, 3), Draw(0, 2), Draw(0, 2), 1, 1};
    if (seed % 4 == 0) g.dilation_h = 2;
    MakePlan({channels, size, width}, outputs, g, groups, encoding);
  }

  RandomConvolution(unsigned seed, const Shape& input, int outputs, const Geometry& geometry, int groups = 1,
                    int encoding = 0)
      : random_(seed) {
    MakePlan(input, outputs, geometry, groups, encoding);
  }

  const Plan& plan() const { return maker_.plan; }
  int output() const { return output_; }
  /// Of an image of the input, and of the result.
  int64_t in_elements() const { return plan().tensors[0].elements(); }
  int64_t out_elements() const { return plan().tensors[output_].elements(); }

  int Draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  float Normal() { return std::normal_distribution<float>()(random_); }

  /// Images by turns of integers and of other numbers.
  Images DrawImages(int images) {
    Images values(images * in_elements());
    for (size_t i = 0; i < values.size(); ++i) {
      const bool integers = i / in_elements() % 2 == 0;
      values[i] = integers ? static_cast<float>(Draw(-255, 255)) : Normal();
    }
    return values;
  }

  /// Runs the stage that `make` makes, one of rows in two pieces. Images and results have channels first.
  Images Run(const Make& make, const Images& images, int threads = 1) const {
    const TensorInfo &in = plan().tensors[0], &out = plan().tensors[output_];
    const int count = static_cast<int>(images.size() / in.elements());
    Images input = Reorder(images, count, in.channels, static_cast<int>(in.pixels()));
    Images result(count * out.elements(), std::nanf(""));
    const std::unique_ptr<Stage> stage = make(plan(), plan().stages[0]);
    const AlignedBytes room(stage->RoomBytes(count));
    std::memset(room.data(), 0xff, room.size());
    const Tensors tensors = {{Bytes(&input), Bytes(&result)}, count};
    if (const auto* const of_rows = dynamic_cast<const RowStage*>(stage.get())) {
      const int height = of_rows->ResultHeight(), together = of_rows->RowsTogether();
      const int64_t rows = int64_t{count} * height;
      int64_t some = (rows + 2) / 3;
      some = std::max<int64_t>(some - some % height % together, std::min(together, height));
      of_rows->Prepare(tensors, room.data(), threads);
      of_rows->RunRows(tensors, room.data(), 0, some, threads);
      if (some < rows) of_rows->RunRows(tensors, room.data(), some, rows, threads);
    } else {
      stage->Run(tensors, room.data(), threads);
    }
    return Reorder(result, count, static_cast<int>(out.pixels()), out.channels);
  }

  /// Runs the images one by one.
  Images RunEach(const Make& make, const Images& images) const {
    Images results;
    for (auto image = images.begin(); image != images.end(); image += in_elements()) {
      const Images result = Run(make, {image, image + in_elements()});
      results.insert(results.end(), result.begin(), result.end());
    }
    return results;
  }

 private:
  void MakePlan(const Shape& in, int outputs, const Geometry& g, int groups, int encoding) {
    const int input = maker_.Input(in.channels, in.height, in.width);
    attributes_ = {outputs, g.kernel_h,   g.kernel_w,   g.stride_h, g.stride_w, g.pad_h,
                   g.pad_w, g.dilation_h, g.dilation_w, groups,     encoding};
    output_ = maker_.Tensor(TensorKind::kReal, outputs, Result(in.height, 0), Result(in.width, 1));
    maker_.Stage(StageKind::kConvolution, {input}, attributes_, Weights()).steps = {
        MakeStep(StepKind::kStore, output_)};
    maker_.Output(output_);
  }

  int Result(int size, int axis) const {
    const std::vector<int>& a = attributes_;
    return (size + 2 * a[5 + axis] - (a[7 + axis] * (a[1 + axis] - 1) + 1)) / a[3 + axis] + 1;
  }

  std::vector<ArrayView> Weights() {
    const std::vector<int>& a = attributes_;
    const int outputs = a[0];
    const size_t count = static_cast<size_t>(a[1]) * a[2] * plan().tensors[0].channels / a[9];
    std::vector<float> weights(outputs * count), scales(outputs);
    for (float& weight : weights) weight = Normal();
    for (float& scale : scales) scale = std::abs(Normal());
    if (a[10] == 0) return {maker_.Floats(weights)};
    if (a[10] == 1) {
      std::vector<int8_t> bytes;
      for (size_t i = 0; i < weights.size(); ++i) bytes.push_back(static_cast<int8_t>(Draw(-127, 127)));
      return {maker_.SignedBytes(bytes), maker_.Floats(scales)};
    }
    std::vector<bool> bits;
    for (const float weight : weights) bits.push_back(weight > 0);
    return {maker_.Bytes(PackBits(bits, outputs)), maker_.Floats(scales)};
  }

  static uint8_t* Bytes(Images* values) { return reinterpret_cast<uint8_t*>(values->data()); }

  // Exchanges two dimensions of each image.
  static Images Reorder(const Images& values, int images, int rows, int columns) {
    Images reordered;
    for (int image = 0; image < images; ++image) {
      const float* const from = values.data() + static_cast<size_t>(image) * rows * columns;
      for (int column = 0; column < columns; ++column) {
        for (int row = 0; row < rows; ++row) reordered.push_back(from[row * columns + column]);
      }
    }
    return reordered;
  }

  std::mt19937 random_;
  PlanMaker maker_;
  std::vector<int> attributes_;
  int output_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_TEST_RANDOM_CONVOLUTION_HPP_
