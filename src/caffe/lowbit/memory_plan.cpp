#include "caffe/lowbit/memory_plan.hpp"

#include <algorithm>
#include <numeric>

#include "caffe/lowbit/scratch.hpp"

namespace caffe {
namespace lowbit {

MemoryPlan PlanMemory(const std::vector<Lifetime>& lifetimes) {
  std::vector<size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), 0);
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  MemoryPlan plan = {std::vector<size_t>(lifetimes.size(), 0), 0};
  // Those that have their place, by offset.
  std::vector<size_t> placed;
  for (const size_t index : by_size) {
    const Lifetime& wanted = lifetimes[index];
    const size_t bytes = Aligned(wanted.bytes);
    size_t offset = 0;
    for (const size_t other : placed) {
      if (lifetimes[other].last < wanted.first || wanted.last < lifetimes[other].first) continue;
      if (plan.offsets[other] >= offset + bytes) break;
      offset = std::max(offset, plan.offsets[other] + Aligned(lifetimes[other].bytes));
    }
    plan.offsets[index] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), index,
                                   [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  index);
  }
  return plan;
}

}  // namespace lowbit
}  // namespace caffe
