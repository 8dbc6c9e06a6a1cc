#ifndef CAFFE_UTIL_SOLVER_SHARE_HPP_
#define CAFFE_UTIL_SOLVER_SHARE_HPP_

#include <cstdint>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Solvers that share the records of a source: in training solver r of n takes the records r, r + n, ...
inline uint64_t SharingSolvers(Phase phase) { return phase == TEST ? 1 : Caffe::solver_count(); }

/// Whether the record is for another solver than the calling thread's.
inline bool IsOfAnotherSolver(uint64_t record, Phase phase) {
  return phase != TEST && record % SharingSolvers(phase) != static_cast<uint64_t>(Caffe::solver_rank());
}

/// The first record at or after this one from which all solvers go on together.
inline uint64_t StartOfRound(uint64_t record, Phase phase) {
  const uint64_t solvers = SharingSolvers(phase);
  return (record + solvers - 1) / solvers * solvers;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_SOLVER_SHARE_HPP_
