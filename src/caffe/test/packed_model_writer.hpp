#ifndef CAFFE_TEST_PACKED_MODEL_WRITER_HPP_
#define CAFFE_TEST_PACKED_MODEL_WRITER_HPP_

#include <cstdint>
#include <cstring>
#include <list>
#include <string>
#include <vector>

#include "caffe/lowbit/plan.hpp"

// Packed models for tests, as docs/packed-format.md describes them. Nothing is checked, so that wrong ones
// can be written. Only of the standard library, so that it can be built for another processor.

namespace caffe {
namespace lowbit {

/// A plan that is being made, with the arrays that it refers to.
class PlanMaker {
 public:
  ArrayView Floats(const std::vector<float>& values) { return Keep(ArrayType::kFloat, values); }
  ArrayView Ints(const std::vector<int32_t>& values) { return Keep(ArrayType::kInt32, values); }
  ArrayView ShortInts(const std::vector<int16_t>& values) { return Keep(ArrayType::kInt16, values); }
  ArrayView Bytes(const std::vector<uint8_t>& values) { return Keep(ArrayType::kUint8, values); }
  ArrayView SignedBytes(const std::vector<int8_t>& values) { return Keep(ArrayType::kInt8, values); }

  int Tensor(TensorKind kind, int channels, int height, int width) {
    const int index = static_cast<int>(plan.tensors.size());
    plan.tensors.push_back({"t" + std::to_string(index), kind, channels, height, width});
    return index;
  }

  int Input(int channels, int height, int width) {
    const int tensor = Tensor(TensorKind::kReal, channels, height, width);
    plan.inputs.push_back(Blob(tensor));
    return tensor;
  }

  void Output(int tensor) { plan.outputs.push_back(Blob(tensor)); }

  /// A stage without steps; the reference holds until the next one is added.
  StageInfo& Stage(StageKind kind, const std::vector<int>& inputs, const std::vector<int>& attributes = {},
                   const std::vector<ArrayView>& arrays = {}) {
    plan.stages.push_back({kind, "s" + std::to_string(plan.stages.size()), attributes, inputs, arrays, {}});
    return plan.stages.back();
  }

  Plan plan;

 private:
  template <typename T>
  ArrayView Keep(ArrayType type, const std::vector<T>& values) {
    arrays_.emplace_back(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(arrays_.back().data(), values.data(), arrays_.back().size());
    return {type, values.size(), arrays_.back().data()};
  }

  BlobInfo Blob(int tensor) const {
    const TensorInfo& info = plan.tensors[tensor];
    return {info.name, tensor, {info.channels, info.height, info.width}};
  }

  std::list<std::vector<uint8_t>> arrays_;
};

inline StepInfo MakeStep(StepKind kind, int tensor = -1, const std::vector<float>& parameters = {},
                         const std::vector<ArrayView>& arrays = {}, int channel = 0) {
  return {kind, tensor, channel, parameters, arrays};
}

/// Bits of weights: those of each of `outputs` rows from a byte's beginning on.
inline std::vector<uint8_t> PackBits(const std::vector<bool>& bits, size_t outputs) {
  const size_t count = bits.size() / outputs, row_bytes = (count + 7) / 8;
  std::vector<uint8_t> packed(outputs * row_bytes);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) packed[i / count * row_bytes + i % count / 8] |= static_cast<uint8_t>(1 << i % count % 8);
  }
  return packed;
}

/// A file's bytes, and where the parts of its header lie.
class PackedModel {
 public:
  static constexpr size_t kVersion = 8, kHeaderBytes = 12, kFileBytes = 16, kPlanOffset = 24, kPlanBytes = 32,
                          kDataOffset = 40, kDataBytes = 48, kBodyChecksum = 56, kHeaderChecksum = 60,
                          kPlan = 64;

  explicit PackedModel(const Plan& plan) {
    WritePlan(plan);
    Assemble();
  }

  /// Puts the checksums right after a change of the bytes.
  void Seal() { Seal(&bytes); }
  static void Seal(std::vector<uint8_t>* file) {
    if (file->size() < kPlan) return;
    SetNumber(file, kBodyChecksum, Crc32(file->data() + kPlan, file->size() - kPlan));
    SetNumber(file, kHeaderChecksum, Crc32(file->data(), kHeaderChecksum));
  }

  template <typename T>
  void Set(size_t offset, T value) {
    SetNumber(&bytes, offset, value);
  }

  /// As in zlib, bit by bit.
  static uint32_t Crc32(const uint8_t* data, size_t size) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; ++i) {
      crc ^= data[i];
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
  }

  std::vector<uint8_t> bytes;
  /// Where the reference to each array lies, in the order of the plan: type (u32), count and offset (u64).
  std::vector<size_t> array_references;

 private:
  template <typename T>
  static void SetNumber(std::vector<uint8_t>* file, size_t offset, T value) {
    std::memcpy(file->data() + offset, &value, sizeof(T));
  }

  template <typename T>
  void Put(T value) {
    const size_t at = plan_.size();
    plan_.resize(at + sizeof(T));
    std::memcpy(plan_.data() + at, &value, sizeof(T));
  }

  void PutCount(size_t count) { Put(static_cast<uint32_t>(count)); }

  void PutString(const std::string& text) {
    PutCount(text.size());
    plan_.insert(plan_.end(), text.begin(), text.end());
  }

  template <typename T>
  void PutList(const std::vector<T>& numbers) {
    PutCount(numbers.size());
    for (const T number : numbers) Put(number);
  }

  void PutBlobs(const std::vector<BlobInfo>& blobs) {
    PutCount(blobs.size());
    for (const BlobInfo& blob : blobs) {
      PutString(blob.name);
      Put(blob.tensor);
      PutCount(blob.dimensions.size());
      for (const int64_t size : blob.dimensions) Put(static_cast<uint32_t>(size));
    }
  }

  static size_t ElementBytes(ArrayType type) {
    return type <= ArrayType::kInt32 ? 4 : type == ArrayType::kInt16 ? 2 : 1;
  }

  void PutArrays(const std::vector<ArrayView>& arrays) {
    PutCount(arrays.size());
    for (const ArrayView& array : arrays) {
      array_references.push_back(kPlan + plan_.size());
      Put(static_cast<uint32_t>(array.type));
      Put(static_cast<uint64_t>(array.count));
      Put(static_cast<uint64_t>(data_.size()));
      const size_t size = array.count * ElementBytes(array.type);
      data_.insert(data_.end(), array.bytes, array.bytes + size);
      data_.resize((data_.size() + 63) / 64 * 64);
    }
  }

  void WritePlan(const Plan& plan) {
    PutString(plan.name);
    PutCount(plan.tensors.size());
    for (const TensorInfo& tensor : plan.tensors) {
      PutString(tensor.name);
      Put(static_cast<uint32_t>(tensor.kind));
      for (const int size : {tensor.channels, tensor.height, tensor.width}) Put(size);
    }
    PutBlobs(plan.inputs);
    PutBlobs(plan.outputs);
    PutCount(plan.stages.size());
    for (const StageInfo& stage : plan.stages) {
      Put(static_cast<uint32_t>(stage.kind));
      PutString(stage.name);
      PutList(stage.attributes);
      PutList(stage.inputs);
      PutArrays(stage.arrays);
      PutCount(stage.steps.size());
      for (const StepInfo& step : stage.steps) {
        Put(static_cast<uint32_t>(step.kind));
        Put(step.tensor);
        Put(step.channel);
        PutList(step.parameters);
        PutArrays(step.arrays);
      }
    }
    PutString("");
  }

  void Assemble() {
    const uint8_t magic[8] = {0x89, 'H', 'W', 'G', 'Q', 13, 10, 26};
    const size_t data_offset = (kPlan + plan_.size() + 63) / 64 * 64;
    bytes.assign(data_offset, 0);
    std::memcpy(bytes.data(), magic, sizeof(magic));
    std::memcpy(bytes.data() + kPlan, plan_.data(), plan_.size());
    bytes.insert(bytes.end(), data_.begin(), data_.end());
    Set<uint32_t>(kVersion, 1);
    Set<uint32_t>(kHeaderBytes, 64);
    Set<uint64_t>(kFileBytes, bytes.size());
    Set<uint64_t>(kPlanOffset, kPlan);
    Set<uint64_t>(kPlanBytes, plan_.size());
    Set<uint64_t>(kDataOffset, data_offset);
    Set<uint64_t>(kDataBytes, data_.size());
    Seal();
  }

  std::vector<uint8_t> plan_, data_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_TEST_PACKED_MODEL_WRITER_HPP_
