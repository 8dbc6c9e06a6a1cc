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

/// The number of an item of this solver's batch, where each solver takes its next batch from `first` on.
inline uint64_t RecordOfItem(uint64_t first, int item, Phase phase) {
  return first + SharingSolvers(phase) * item + (phase == TEST ? 0 : Caffe::solver_rank());
}

/// The definition of the solvers beside the root, which do not test, log, take snapshots, or read weights.
SolverParameter DefinitionOfOthers(const SolverParameter& param);

}  // namespace caffe

#endif  // CAFFE_UTIL_SOLVER_SHARE_HPP_
