#ifndef CAFFE_ONEDNN_ONE_DNN_HPP_
#define CAFFE_ONEDNN_ONE_DNN_HPP_

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

#include "caffe/common.hpp"

namespace caffe {

inline const dnnl::engine& Cpu() {
  // Never destroyed: layers may outlive other static objects.
  static const auto* const cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

/// oneDNN plans for the threads that OpenMP would give the calling thread, and takes them.
class ThreadsOfOneDnn {
 public:
  explicit ThreadsOfOneDnn(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadsOfOneDnn() { omp_set_num_threads(before_); }

 private:
  int before_;
  DISABLE_COPY_AND_ASSIGN(ThreadsOfOneDnn);
};

/// oneDNN's view of values that it reads or writes.
inline dnnl::memory At(const dnnl::memory::desc& desc, const void* data) {
  return dnnl::memory(desc, Cpu(), const_cast<void*>(data));
}

}  // namespace caffe

#endif  // CAFFE_ONEDNN_ONE_DNN_HPP_
