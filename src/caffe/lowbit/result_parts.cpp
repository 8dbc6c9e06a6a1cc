#include "caffe/lowbit/result_parts.hpp"

#include <algorithm>

#include "caffe/lowbit/thread_pool.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Enough parts that threads which started late, or run slower, take fewer.
int64_t Wanted(int threads) { return threads > 1 ? 4 * threads : 1; }

}  // namespace

void RunParts(int64_t pixels, int blocks, int threads,
              FunctionRef<void(int64_t first, int count, int begin, int end)> run, int part_pixels) {
  const int64_t wanted = Wanted(threads);
  const int64_t pixel_parts = (pixels + part_pixels - 1) / part_pixels;
  const int64_t block_parts = std::min<int64_t>(blocks, (wanted + pixel_parts - 1) / pixel_parts);
  ThreadPool::Shared().Run(threads, pixel_parts * block_parts, [&](int64_t part) {
    const int64_t first = part / block_parts * part_pixels, b = part % block_parts;
    run(first, static_cast<int>(std::min<int64_t>(part_pixels, pixels - first)),
        static_cast<int>(blocks * b / block_parts), static_cast<int>(blocks * (b + 1) / block_parts));
  });
}

void EachOf(int64_t begin, int64_t end, int threads, FunctionRef<void(int64_t number)> run) {
  const int64_t count = end - begin, tasks = std::min(count, Wanted(threads));
  ThreadPool::Shared().Run(threads, tasks, [&](int64_t task) {
    const int64_t last = begin + count * (task + 1) / tasks;
    for (int64_t number = begin + count * task / tasks; number < last; ++number) run(number);
  });
}

void EachRow(int images, int height, int threads, FunctionRef<void(int image, int row)> run) {
  EachOf(0, int64_t{images} * height, threads,
         [&](int64_t row) { run(static_cast<int>(row / height), static_cast<int>(row % height)); });
}

}  // namespace lowbit
}  // namespace caffe
