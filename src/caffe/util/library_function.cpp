#include "caffe/util/library_function.hpp"

#include <atomic>

#include "caffe/util/logging.hpp"
#include "caffe/util/onednn_library.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

constexpr char kFailed[] =
    "oneDNN failed to compute a function element by element; CAFFE_ENGINE=CAFFE does without it";

bool Compute(const LibraryFunction& f, int64_t n, const float* x, const float* factors, float* y) {
  const OneDnnLibrary* const library = GetOneDnn();
  if (!library) return false;
  std::atomic<bool> is_computed{true};
  ParallelFor(n, kElementGrain, [&](int64_t begin, int64_t end) {
    const float* const own_factors = factors ? factors + begin : nullptr;
    if (!library->elementwise(&f, end - begin, x + begin, own_factors, y + begin)) is_computed = false;
  });
  CHECK(is_computed) << kFailed;
  return true;
}

}  // namespace

bool ForwardByLibrary(const LibraryFunction& f, int64_t n, const float* x, float* y) {
  return Compute(f, n, x, nullptr, y);
}

bool ForwardByLibraryAlone(const LibraryFunction& f, int64_t n, const float* x, float* y) {
  const OneDnnLibrary* const library = GetOneDnn();
  if (!library) return false;
  CHECK(library->elementwise(&f, n, x, nullptr, y)) << kFailed;
  return true;
}

bool BackwardByLibrary(const LibraryFunction& derivative, int64_t n, const float* y, const float* dy,
                       float* dx) {
  return Compute(derivative, n, y, dy, dx);
}

}  // namespace caffe
