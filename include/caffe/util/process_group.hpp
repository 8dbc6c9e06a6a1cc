#ifndef CAFFE_UTIL_PROCESS_GROUP_HPP_
#define CAFFE_UTIL_PROCESS_GROUP_HPP_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Processes, on one machine or several, that do a work together.
 *
 * Each has a rank; 0 is the root. But for Abort, all processes make the same calls in the same order, one
 * thread of each at a time; a call waits for the others, without taking the processor. What the connection
 * reports is thrown as Error.
 */
class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Among the processes of this machine.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  /// The machine's name.
  const string& host() const { return host_; }

  /// Copies memory of the root to that of all others.
  virtual void Broadcast(void* data, size_t bytes) = 0;
  /// What each has given, by rank.
  virtual vector<string> Gather(const string& mine) = 0;
  /// The largest of the values given.
  virtual int Max(int mine) = 0;

  /// Starts to make these values the averages of those of all, bit for bit the same everywhere; another
  /// thread does it, in the order of the calls. Until FinishAverages returns, nothing else is called here,
  /// and nobody touches the values.
  virtual void StartAverage(float* values, size_t count) = 0;
  virtual void StartAverage(double* values, size_t count) = 0;
  virtual void FinishAverages() = 0;

  /// Leaves the group, in which all must do so; nothing is called here afterwards.
  virtual void Leave() = 0;
  /// Ends all processes of the group, this one with the exit status given, whatever the others do now.
  [[noreturn]] virtual void Abort(int status) = 0;

  /// The root's text, everywhere.
  string BroadcastText(const string& text);

 protected:
  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  string host_;
};

/// Whether libcaffe_mpi, the part of Caffe that needs MPI, lies beside this library.
bool HasMpi();

/**
 * @brief Joins the processes that mpirun, or another launcher of MPI programs, has started with this one.
 *
 * Once in a process, and never after its group was left. Unless OMP_NUM_THREADS is set, the calling thread's
 * parallel loops get this process's share of the processors, as evenly as processes of this machine may run
 * on the same ones.
 * @throws Error where there is no MPI part, or it cannot be loaded or started.
 */
std::shared_ptr<ProcessGroup> JoinMpi();

/// The number of threads for a process whose processors are affinities[index], of processes that may run on
/// these sets of processors, each written in any way: an even share of those it has in common with others.
int ShareOfProcessors(const vector<string>& affinities, size_t index, int processors);

}  // namespace caffe

#endif  // CAFFE_UTIL_PROCESS_GROUP_HPP_
