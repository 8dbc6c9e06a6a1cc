#ifndef CAFFE_PARALLEL_HPP_
#define CAFFE_PARALLEL_HPP_

/// @file
/// Training on several GPUs, where Caffe is built with CUDA and NCCL (USE_NCCL).

#ifdef USE_NCCL

#include <memory>
#include <string>
#include <vector>

// Code written for Caffe says boost::thread and boost::barrier after this header.
#if __has_include(<boost/thread.hpp>)
#include <boost/thread.hpp>
#include <boost/thread/barrier.hpp>
#endif

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/solver.hpp"
#include "caffe/syncedmem.hpp"
#include "caffe/util/gpu_stream.hpp"
#include "caffe/util/gradient_exchange.hpp"
#include "caffe/util/nccl.hpp"
#include "caffe/util/param_layout.hpp"
#include "caffe/util/solver_threads.hpp"

namespace boost {
class barrier;
}

namespace caffe {

/// All learnable parameters of a solver's net in one piece of memory, and all their gradients in another, as
/// ParamLayout has them.
template <typename Dtype>
class Params {
 public:
  explicit Params(shared_ptr<Solver<Dtype>> root_solver);
  virtual ~Params() {}

  /// In elements.
  inline size_t size() const { return size_; }
  inline Dtype* data() const { return data_; }
  inline Dtype* diff() const { return diff_; }

 protected:
  const ParamLayout layout_;
  const size_t size_;
  Dtype* data_ = nullptr;
  Dtype* diff_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(Params);
};

/// Params on a GPU.
template <typename Dtype>
class GPUParams : public Params<Dtype> {
 public:
  /// With the values of root_solver's parameters, and gradients of zero.
  GPUParams(shared_ptr<Solver<Dtype>> root_solver, int device);
  virtual ~GPUParams();

  /// Lets the parameters of this solver's net live here; they keep the memory alive.
  void Configure(Solver<Dtype>* solver) const;

 protected:
  using Params<Dtype>::layout_;
  using Params<Dtype>::size_;
  using Params<Dtype>::data_;
  using Params<Dtype>::diff_;
  const int device_;

 private:
  shared_ptr<void> data_owner_;
  shared_ptr<void> diff_owner_;
};

/**
 * @brief One solver's part in training on several GPUs, which average their gradients with NCCL.
 *
 * Each GPU computes on its own batches; the gradients of all are averaged, so that all apply the same update,
 * that of one batch as large as all together.
 *
 * Solvers that are processes or threads of the caller's own: each makes its NCCL with the uid, calls
 * Broadcast, and adds it to its solver and net:
 *
 *     NCCL<float> nccl(solver, uid);  // Caffe::solver_count() of them, each with its Caffe::solver_rank()
 *     nccl.Broadcast();
 *     solver->add_callback(&nccl);
 *     if (solver->param().layer_wise_reduce()) solver->net()->add_after_backward(&nccl);
 *     solver->Step(solver->param().max_iter() - solver->iter());
 *
 * Threads of one process are made by Run:
 *
 *     Caffe::SetDevice(gpus[0]);
 *     Caffe::set_mode(Caffe::GPU);
 *     Caffe::set_solver_count(gpus.size());
 *     shared_ptr<Solver<float>> solver(SolverRegistry<float>::CreateSolver(param));
 *     NCCL<float>(solver).Run(gpus, nullptr);
 *
 * What NCCL reports is thrown, by Broadcast, the solver's Step, or Run.
 */
template <typename Dtype>
class NCCL : public GPUParams<Dtype>, public GradientExchange<Dtype> {
 public:
  /// For solvers that are threads of one process: to be connected by Run or InitSingleProcess.
  explicit NCCL(shared_ptr<Solver<Dtype>> solver);
  /// Waits for Caffe::solver_count() solvers; uid is new_uid() of one of them.
  NCCL(shared_ptr<Solver<Dtype>> solver, const string& uid);
  ~NCCL();

  /// For code written for Caffe. Nobody waits here: solvers of one process are kept in step without it.
  boost::barrier* barrier() { return barrier_; }
  void set_barrier(boost::barrier* value) { barrier_ = value; }

  /// Connects solvers that are threads of this process; the i-th has rank i. Called in one of the threads,
  /// once all have made their NCCL.
  static void InitSingleProcess(vector<NCCL<Dtype>*>* nccls);
  /// A name that the solvers' processes meet by. It is made of any bytes, zeros too.
  static string new_uid();

  void Broadcast() override;

  /**
   * @brief Trains the solver, as Solver::Solve does, on these GPUs: one thread and one more solver for each
   * after the first, which is the calling thread's.
   *
   * The solver was made in GPU mode on the first GPU, with Caffe::solver_count() set to the number of GPUs.
   * It alone logs, tests, takes snapshots, and is asked for actions; all stop after the same iteration.
   *
   * @param restore the snapshot that the solver was restored from, for the other solvers; null for none.
   * @throws Error where a GPU does not exist or is named twice; what any of the solvers throws, once all have
   * stopped.
   */
  void Run(const vector<int>& gpus, const char* restore);

 protected:
  /// Makes what every NCCL needs.
  void Init();
  void on_start() override;
  void Send(int first, int end) override;
  /// @throws ThreadInterrupted where this thread is to stop, Error for what NCCL reports.
  void Finish() override;

  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  shared_ptr<Solver<Dtype>> solver_;
  /// The caller's.
  boost::barrier* barrier_ = nullptr;
  using Params<Dtype>::layout_;
  using Params<Dtype>::size_;
  using Params<Dtype>::data_;
  using Params<Dtype>::diff_;
  using GPUParams<Dtype>::device_;

 private:
  /// Trains as one of the threads of Run.
  void Train(SolverThreads* threads, vector<NCCL<Dtype>*>* nccls);
  /// Starts a call of NCCL, all solvers together, on stream_ and after what the thread has started so far.
  template <typename Collective>
  void Start(Collective collective);
  /// Waits until stream_ has done what was started.
  void Await();
  void Disconnect();

  bool in_flight_ = false;
  /// Of Run; null where the solvers are on their own.
  SolverThreads* threads_ = nullptr;
  const GpuStream own_stream_;
  GpuEvent computed_;
  GpuEvent received_;
};

}  // namespace caffe

#endif  // USE_NCCL

#endif  // CAFFE_PARALLEL_HPP_
