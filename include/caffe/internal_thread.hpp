#ifndef CAFFE_INTERNAL_THREAD_HPP_
#define CAFFE_INTERNAL_THREAD_HPP_

#include <exception>
#include <memory>
#include <thread>

#include "caffe/common.hpp"
#include "caffe/util/thread_stop.hpp"

namespace caffe {

/**
 * @brief A class with a worker thread of its own, which runs InternalThreadEntry.
 *
 * The worker starts with the mode, the GPU and the place in parallel training of the thread that starts it,
 * and with a random seed drawn from that thread's generator: one seed of the program gives one run.
 *
 * A subclass calls StopInternalThread in its destructor, before what the worker uses goes.
 */
class InternalThread {
 public:
  InternalThread() = default;
  virtual ~InternalThread();

  /// @throws Error where a worker is running already.
  void StartInternalThread();
  /// Asks the worker to stop, wakes it where it waits in a BlockingQueue, and waits for its end.
  void StopInternalThread();

  /// Whether a worker was started, and not stopped.
  bool is_started() const;

  /// Whether the worker that was started is one of the process that this one was forked from: it does nothing
  /// here. StopInternalThread makes a new one possible.
  bool is_left_behind() const;

 protected:
  /// The worker's work: runs until must_stop(), or until a wait ends it.
  virtual void InternalThreadEntry() {}

  /// Called in the worker when InternalThreadEntry has thrown. Logs the error; a subclass hands it to the
  /// thread that waits for the worker's results (BlockingQueue::fail).
  virtual void InternalThreadFailed(std::exception_ptr error);

  /// Whether the worker has been asked to stop.
  bool must_stop();

 private:
  void Run(Caffe::Brew mode, int device, unsigned int seed, int solver_count, int solver_rank,
           bool multiprocess);

  std::thread thread_;
  std::unique_ptr<ThreadStop> stop_;

  DISABLE_COPY_AND_ASSIGN(InternalThread);
};

}  // namespace caffe

#endif  // CAFFE_INTERNAL_THREAD_HPP_
