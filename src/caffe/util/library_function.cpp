#include "caffe/util/library_function.hpp"

#include "caffe/util/logging.hpp"
#include "caffe/util/onednn_library.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

// By the calling thread alone.
void Compute(const OneDnnLibrary& library, const LibraryFunction& f, int64_t n, const float* x,
             const float* factors, float* y) {
  CHECK(library.elementwise(&f, n, x, factors, y))
      << "oneDNN failed to compute a function element by element; CAFFE_ENGINE=CAFFE does without it";
}

bool ComputeInParallel(const LibraryFunction& f, int64_t n, const float* x, const float* factors, float* y) {
  const OneDnnLibrary* const library = GetOneDnn();
  if (!library) return false;
  ParallelFor(n, kElementGrain, [&](int64_t begin, int64_t end) {
    Compute(*library, f, end - begin, x + begin, factors ? factors + begin : nullptr, y + begin);
  });
  return true;
}

}  // namespace

bool ForwardByLibrary(const LibraryFunction& f, int64_t n, const float* x, float* y) {
  return ComputeInParallel(f, n, x, nullptr, y);
}

bool ForwardByLibraryAlone(const LibraryFunction& f, int64_t n, const float* x, float* y) {
  const OneDnnLibrary* const library = GetOneDnn();
  if (library) Compute(*library, f, n, x, nullptr, y);
  return library != nullptr;
}

bool BackwardByLibrary(const LibraryFunction& derivative, int64_t n, const float* y, const float* dy,
                       float* dx) {
  return ComputeInParallel(derivative, n, y, dy, dx);
}

}  // namespace caffe
