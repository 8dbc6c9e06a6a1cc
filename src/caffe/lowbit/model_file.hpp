#ifndef CAFFE_LOWBIT_MODEL_FILE_HPP_
#define CAFFE_LOWBIT_MODEL_FILE_HPP_

#include <cstddef>
#include <cstdint>
#include <string>

#include "caffe/lowbit/scratch.hpp"

namespace caffe {
namespace lowbit {

/// The bytes of a model, 64-byte aligned: a file mapped into memory, or a copy.
class ModelFile {
 public:
  /// @throws PlanError naming the file where it cannot be opened or mapped.
  explicit ModelFile(const std::string& path);
  ModelFile(const void* bytes, size_t size);
  ~ModelFile();
  ModelFile(const ModelFile&) = delete;
  ModelFile& operator=(const ModelFile&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  /// Empty where the file is mapped.
  AlignedBytes copy_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_MODEL_FILE_HPP_
