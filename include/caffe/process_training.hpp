#ifndef CAFFE_PROCESS_TRAINING_HPP_
#define CAFFE_PROCESS_TRAINING_HPP_

#include <memory>

#include "caffe/solver.hpp"
#include "caffe/util/process_group.hpp"

namespace caffe {

/**
 * @brief Trains, as Solver::Solve does, one solver in each process of a group, on batches of its own; the
 * gradients of all are averaged, so that all apply the same update, that of one batch as large as all
 * together. In CPU mode they travel by the group, in GPU mode by NCCL.
 *
 * All processes call it. Before it makes its solver, each sets Caffe::solver_count() and solver_rank() to the
 * group's size and its rank there, and multiprocess(); the others' definition is DefinitionOfOthers of the
 * root's. The root's parameters and state go to all, so that it alone needs to be restored, or to read
 * weights. What TrainingDiffers tells is to be heeded before. The root alone logs, tests and takes snapshots.
 * An action that any process is asked for is taken by all, after the same iteration.
 *
 * Parameters that no gradient changes, such as the statistics of BatchNorm, stay each process's own, of its
 * part of the data; tests and snapshots have the root's.
 *
 * @throws Error in GPU mode without NCCL; what this process's solver throws, while the others wait for it:
 * they are to be ended with ProcessGroup::Abort.
 */
template <typename Dtype>
void SolveInProcesses(const shared_ptr<Solver<Dtype>>& solver, ProcessGroup* group);

/// Compares this process's solver, net and program with the root's, so that not different things are
/// averaged. Empty where they are the same; else what differs first, with this process's rank. All processes
/// call it.
template <typename Dtype>
string TrainingDiffers(Solver<Dtype>* solver, ProcessGroup* group);

}  // namespace caffe

#endif  // CAFFE_PROCESS_TRAINING_HPP_
