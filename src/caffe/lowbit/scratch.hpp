#ifndef CAFFE_LOWBIT_SCRATCH_HPP_
#define CAFFE_LOWBIT_SCRATCH_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "caffe/lowbit/huge_pages.hpp"

namespace caffe {
namespace lowbit {

constexpr size_t kAlignment = kCacheLine;

constexpr size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Memory of a size that is not in its type, 64-byte aligned, in large pages where it is large; not
/// initialized.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size) : bytes_(New(Aligned(size + 1))), size_(size) {}

  uint8_t* data() const { return bytes_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    std::align_val_t alignment;
    void operator()(uint8_t* bytes) const { ::operator delete[](bytes, alignment); }
  };
  using Owner = std::unique_ptr<uint8_t[], Free>;

  static Owner New(size_t bytes) {
    const std::align_val_t alignment{AlignmentFor(bytes)};
    Owner owner(static_cast<uint8_t*>(::operator new[](bytes, alignment)), Free{alignment});
    PreferHugePages(owner.get(), bytes);
    return owner;
  }

  Owner bytes_;
  size_t size_ = 0;
};

/// Room of the calling thread, at least so large; it stays the thread's, so that it is allocated once.
uint8_t* ThreadScratch(size_t bytes);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_SCRATCH_HPP_
