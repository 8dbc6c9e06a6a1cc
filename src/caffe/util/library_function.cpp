#include "caffe/util/library_function.hpp"

#include <atomic>

#include "caffe/util/logging.hpp"
#include "caffe/util/onednn_library.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

bool ForwardByLibrary(const LibraryFunction& f, int64_t n, const float* x, float* y) {
  const OneDnnLibrary* const library = GetOneDnn();
  if (!library) return false;
  std::atomic<bool> is_computed{true};
  ParallelFor(n, kElementGrain, [&](int64_t begin, int64_t end) {
    if (!library->elementwise(&f, end - begin, x + begin, y + begin)) is_computed = false;
  });
  CHECK(is_computed) << "oneDNN failed to compute a function element by element; CAFFE_ENGINE=CAFFE does "
                        "without it";
  return true;
}

}  // namespace caffe
