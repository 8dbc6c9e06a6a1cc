#ifndef CAFFE_UTIL_PARALLEL_FOR_HPP_
#define CAFFE_UTIL_PARALLEL_FOR_HPP_

#include <cstdint>
#include <functional>

namespace caffe {

/// Threads a parallel loop started by the calling thread may use (OMP_NUM_THREADS, else the processors this
/// process may run on; 1 inside another parallel loop).
int ParallelThreads();

/// Sets what ParallelThreads() returns for the process. @throws Error for less than 1.
void SetParallelThreads(int threads);

/// How [0, n) is cut into chunks of at least `grain`: at most one chunk a thread.
int ParallelChunks(int64_t n, int64_t grain);

/**
 * @brief Runs body(begin, end) over the chunks of [0, n), in parallel where there is more than one.
 *
 * The cut depends on n, grain and the number of threads only, so results are the same from run to run. An
 * exception of the body is thrown again here, after all chunks have ended (the first chunk's, if several).
 */
void ParallelFor(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

/// The same, telling each chunk its number in [0, ParallelChunks(n, grain)), for storage of its own.
void ParallelForChunks(int64_t n, int64_t grain,
                       const std::function<void(int chunk, int64_t begin, int64_t end)>& body);

/// A grain for element-wise work on arrays: below it, waking threads costs more than it saves.
constexpr int64_t kElementGrain = 16384;

}  // namespace caffe

#endif  // CAFFE_UTIL_PARALLEL_FOR_HPP_
