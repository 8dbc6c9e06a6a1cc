#ifndef CAFFE_LOWBIT_MEMORY_PLAN_HPP_
#define CAFFE_LOWBIT_MEMORY_PLAN_HPP_

#include <cstddef>
#include <vector>

namespace caffe {
namespace lowbit {

/// Memory that is needed from one stage to another, both included.
struct Lifetime {
  size_t bytes;
  int first, last;
};

struct MemoryPlan {
  std::vector<size_t> offsets;  ///< one a lifetime, 64-byte aligned
  size_t bytes;
};

/// Gives memory to lifetimes so that those which overlap in time do not in space: the largest first, each
/// where the first gap is wide enough.
MemoryPlan PlanMemory(const std::vector<Lifetime>& lifetimes);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_MEMORY_PLAN_HPP_
