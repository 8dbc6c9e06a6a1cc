#ifndef CAFFE_UTIL_SHARED_LOOP_HPP_
#define CAFFE_UTIL_SHARED_LOOP_HPP_

#include <cstdint>
#include <functional>

namespace caffe {

/**
 * @brief Runs body(0) ... body(n - 1) on the calling thread and on up to threads - 1 helpers.
 *
 * For items that take long, and not equally long: a thread that is free takes the next item. The helpers
 * belong to the process, sleep while there is nothing to do, and help several loops at a time. (ParallelFor
 * is for loops of the computation: its threads are bound to the caller and wait awake for the next loop.)
 *
 * Where items throw, what the first of them threw is thrown again here, once no item runs any more; items
 * after it may not have run.
 */
void SharedLoop(int64_t n, int threads, const std::function<void(int64_t i)>& body);

}  // namespace caffe

#endif  // CAFFE_UTIL_SHARED_LOOP_HPP_
