#ifndef CAFFE_TEST_COUNTED_ALLOCATIONS_HPP_
#define CAFFE_TEST_COUNTED_ALLOCATIONS_HPP_

#include <cstdint>

namespace caffe {

/// How often this program, its libraries and all threads included, has allocated memory with operator new.
int64_t CountedAllocations();

}  // namespace caffe

#endif  // CAFFE_TEST_COUNTED_ALLOCATIONS_HPP_
