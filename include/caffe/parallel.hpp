#ifndef CAFFE_PARALLEL_HPP_
#define CAFFE_PARALLEL_HPP_

/// @file
/// Training on several GPUs, where Caffe is built with CUDA and NCCL (USE_NCCL).

#ifdef USE_NCCL

#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/solver.hpp"
#include "caffe/syncedmem.hpp"
#include "caffe/util/nccl.hpp"

namespace boost {
class barrier;
}

namespace caffe {

/// All learnable parameters of a solver's net in one piece of memory, and all their gradients in another.
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
  const size_t size_;
  Dtype* data_;
  Dtype* diff_;

  DISABLE_COPY_AND_ASSIGN(Params);
};

/// Params on a GPU.
template <typename Dtype>
class GPUParams : public Params<Dtype> {
 public:
  /// With the values of root_solver's parameters.
  GPUParams(shared_ptr<Solver<Dtype>> root_solver, int device);
  virtual ~GPUParams();

  /// Lets the parameters of this solver's net live here.
  void Configure(Solver<Dtype>* solver) const;

 protected:
  using Params<Dtype>::size_;
  using Params<Dtype>::data_;
  using Params<Dtype>::diff_;
};

/**
 * @brief One solver's part in training on several GPUs, which add up their gradients with NCCL.
 *
 * Each GPU computes on its own batches; after the backward pass the gradients of all are added, so that all
 * apply the same update. With layer_wise_reduce a layer's gradients travel while earlier layers are computed.
 */
template <typename Dtype>
class NCCL : public GPUParams<Dtype>, public Solver<Dtype>::Callback, public Net<Dtype>::Callback {
 public:
  /// For solvers that are threads of one process.
  explicit NCCL(shared_ptr<Solver<Dtype>> solver);
  /// For solvers that are processes; uid is new_uid() of one of them.
  NCCL(shared_ptr<Solver<Dtype>> solver, const string& uid);
  ~NCCL();

  boost::barrier* barrier();
  void set_barrier(boost::barrier* value);

  /// Connects solvers that are threads of this process.
  static void InitSingleProcess(vector<NCCL<Dtype>*>* nccls);
  /// A name that the solvers' processes meet by.
  static string new_uid();

  /// Gives all solvers the parameters of solver 0.
  void Broadcast();

  /// Trains on these GPUs, one thread each, from a snapshot or, for null, from the start.
  void Run(const vector<int>& gpus, const char* restore);

 protected:
  void Init();
  void on_start() {}
  /// Called after a layer's backward pass.
  void run(int layer);
  void on_gradients_ready();

  ncclComm_t comm_;
  cudaStream_t stream_;
  shared_ptr<Solver<Dtype>> solver_;
  /// The caller's; it keeps solvers of one process in step.
  boost::barrier* barrier_;
  using Params<Dtype>::size_;
  using Params<Dtype>::data_;
  using Params<Dtype>::diff_;
};

}  // namespace caffe

#endif  // USE_NCCL

#endif  // CAFFE_PARALLEL_HPP_
