#include "caffe/lowbit/result_parts.hpp"

#include <algorithm>

#include "caffe/lowbit/thread_pool.hpp"

namespace caffe {
namespace lowbit {

void RunParts(int64_t pixels, int blocks, int threads,
              FunctionRef<void(int64_t first, int count, int begin, int end)> run, int part_pixels) {
  // Enough parts that threads which started late, or run slower, take fewer.
  const int64_t wanted = threads > 1 ? 4 * threads : 1;
  const int64_t pixel_parts = (pixels + part_pixels - 1) / part_pixels;
  const int64_t block_parts = std::min<int64_t>(blocks, (wanted + pixel_parts - 1) / pixel_parts);
  ThreadPool::Shared().Run(threads, pixel_parts * block_parts, [&](int64_t part) {
    const int64_t first = part / block_parts * part_pixels, b = part % block_parts;
    run(first, static_cast<int>(std::min<int64_t>(part_pixels, pixels - first)),
        static_cast<int>(blocks * b / block_parts), static_cast<int>(blocks * (b + 1) / block_parts));
  });
}

}  // namespace lowbit
}  // namespace caffe
