#ifndef CAFFE_LOWBIT_PLAN_HPP_
#define CAFFE_LOWBIT_PLAN_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/lowbit/integer_levels.hpp"

// What a packed model file says, as read and checked. docs/packed-format.md has the meaning of every field.
namespace caffe {
namespace lowbit {

/// A packed model cannot be used: the message says why, and what to do.
class PlanError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class TensorKind : uint32_t { kReal = 0, kCodes = 1 };

struct TensorInfo {
  std::string name;
  TensorKind kind;
  int channels, height, width;

  int64_t pixels() const { return static_cast<int64_t>(height) * width; }
  int64_t elements() const { return pixels() * channels; }
};

/// A blob of the net's interface: its dimensions without the first, the number of images.
struct BlobInfo {
  std::string name;
  int tensor;
  std::vector<int64_t> dimensions;
};

enum class ArrayType : uint32_t { kFloat = 0, kInt32 = 1, kUint8 = 2, kInt8 = 3, kInt16 = 4 };

/// A part of the file's data, 64-byte aligned, or one of Plan::spread.
struct ArrayView {
  ArrayType type;
  size_t count;
  const uint8_t* bytes;

  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes);
  }
};

/// An element of an array of integers.
inline int32_t IntegerAt(const ArrayView& array, size_t index) {
  return array.type == ArrayType::kInt16 ? array.as<int16_t>()[index] : array.as<int32_t>()[index];
}

enum class StepKind : uint32_t {
  kAffine = 1,
  kAdd = 2,
  kMaximum = 3,
  kMultiply = 4,
  kRelu = 5,
  kClamp = 6,
  kSigmoid = 7,
  kStore = 8,
  kQuantize = 9,
  kThreshold = 10,
  kLevels = 11,
  kTanh = 12,
};

struct StepInfo {
  StepKind kind;
  /// -1 for none.
  int tensor;
  int channel;
  std::vector<float> parameters;
  std::vector<ArrayView> arrays;
};

enum class StageKind : uint32_t {
  kConvolution = 1,
  kBinaryConvolution = 2,
  kPooling = 3,
  kMap = 4,
  kSoftmax = 5,
  kLrn = 6,
  kCaffeLayer = 7,
};

struct StageInfo {
  StageKind kind;
  std::string name;
  std::vector<int> attributes;
  std::vector<int> inputs;
  std::vector<ArrayView> arrays;
  std::vector<StepInfo> steps;
};

struct Plan {
  std::string name;
  std::vector<TensorInfo> tensors;
  std::vector<BlobInfo> inputs;
  std::vector<BlobInfo> outputs;
  std::vector<StageInfo> stages;
  /// What the file holds once for all channels of an affine step, one a channel as the steps' arrays are.
  std::vector<std::shared_ptr<const std::vector<float>>> spread;
};

/// The words of an error about a part of the plan.
std::string StageMessage(const StageInfo& stage, const std::string& what);

/**
 * @brief Reads a packed model.
 *
 * @param file the file's bytes, 64-byte aligned; the plan's arrays point into them, but for those of affine
 *        steps with one value for all channels, which become one a channel.
 * @throws PlanError where they are no packed model, damaged, of another version, or contradict themselves:
 *         each stage and step of the result has the inputs, arrays and shapes that its kind asks for.
 */
Plan ReadPlan(const uint8_t* file, size_t size);

/// The same, but the plan may contradict itself: each of its parts is known, and lies within the file.
Plan ParsePlan(const uint8_t* file, size_t size);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_PLAN_HPP_
