#include "caffe/util/parallel_for.hpp"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <exception>
#include <mutex>

#include "caffe/util/logging.hpp"

// ThreadSanitizer does not see how GNU OpenMP starts and awaits its threads, and is told: what was done
// before HandOver(place) is there for the thread that calls TakeOver(place) after.
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define CAFFE_UNSEEN_BY_TSAN __attribute__((no_sanitize("thread")))
#else
#define CAFFE_UNSEEN_BY_TSAN
#endif

namespace caffe {

namespace {

// OpenBLAS built with its own threads does not see that it is called from a parallel loop and would start
// as many threads again in each; then products run on the calling thread alone.
void LetBlasShareThreads() {
  static std::once_flag once;
  std::call_once(once, [] {
    constexpr int kOwnThreads = 1;
    if (openblas_get_parallel() == kOwnThreads) openblas_set_num_threads(1);
  });
}

void HandOver([[maybe_unused]] void* place) {
#ifdef __SANITIZE_THREAD__
  __tsan_release(place);
#endif
}

void TakeOver([[maybe_unused]] void* place) {
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(place);
#endif
}

// A child of fork() has none of the threads that GNU OpenMP keeps for the next loop of the thread that
// forked, and would wait for them for ever. Without them both processes start new ones when they need them.
const int at_fork = pthread_atfork([] { omp_pause_resource_all(omp_pause_soft); }, nullptr, nullptr);

}  // namespace

int ParallelThreads() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

void SetParallelThreads(int threads) {
  CHECK_GE(threads, 1) << "the number of threads must be positive";
  omp_set_num_threads(threads);
}

int ParallelChunks(int64_t n, int64_t grain) {
  const int64_t chunks = std::min<int64_t>(ParallelThreads(), n / std::max<int64_t>(grain, 1));
  return static_cast<int>(std::max<int64_t>(chunks, 1));
}

CAFFE_UNSEEN_BY_TSAN void ParallelForChunks(
    int64_t n, int64_t grain, const std::function<void(int chunk, int64_t begin, int64_t end)>& body) {
  LetBlasShareThreads();
  if (n <= 0) return;
  const int chunks = ParallelChunks(n, grain);
  if (chunks == 1) {
    body(0, 0, n);
    return;
  }
  // An exception must not leave an OpenMP region.
  std::exception_ptr failure;
  int failed_chunk = chunks;
  std::mutex mutex;
  HandOver(&failure);
#pragma omp parallel for num_threads(chunks) schedule(static, 1)
  for (int chunk = 0; chunk < chunks; ++chunk) {
    TakeOver(&failure);
    try {
      body(chunk, n * chunk / chunks, n * (chunk + 1) / chunks);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (chunk < failed_chunk) {
        failed_chunk = chunk;
        failure = std::current_exception();
      }
    }
    HandOver(&failed_chunk);
  }
  TakeOver(&failed_chunk);
  if (failure) std::rethrow_exception(failure);
}

void ParallelFor(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body) {
  ParallelForChunks(n, grain, [&body](int, int64_t begin, int64_t end) { body(begin, end); });
}

}  // namespace caffe
