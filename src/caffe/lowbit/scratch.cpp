#include "caffe/lowbit/scratch.hpp"

namespace caffe {
namespace lowbit {

uint8_t* ThreadScratch(size_t bytes) {
  thread_local AlignedBytes scratch;
  if (scratch.size() < bytes) scratch = AlignedBytes(bytes);
  return scratch.data();
}

}  // namespace lowbit
}  // namespace caffe
