#ifndef CAFFE_LOWBIT_SCRATCH_HPP_
#define CAFFE_LOWBIT_SCRATCH_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace caffe {
namespace lowbit {

constexpr size_t kAlignment = 64;

constexpr size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Memory of a size that is not in its type, 64-byte aligned; not initialized.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size)
      : bytes_(static_cast<uint8_t*>(::operator new[](Aligned(size + 1), std::align_val_t(kAlignment)))),
        size_(size) {}

  uint8_t* data() const { return bytes_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(uint8_t* bytes) const { ::operator delete[](bytes, std::align_val_t(kAlignment)); }
  };
  std::unique_ptr<uint8_t[], Free> bytes_;
  size_t size_ = 0;
};

/// Room of the calling thread, at least so large; it stays the thread's, so that it is allocated once.
uint8_t* ThreadScratch(size_t bytes);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_SCRATCH_HPP_
