#ifndef CAFFE_COMMON_HPP_
#define CAFFE_COMMON_HPP_

#include <climits>
#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

// Code written for Caffe says boost::shared_ptr after this header. See caffe/compat/boost/shared_ptr.hpp.
#if __has_include(<boost/shared_ptr.hpp>)
#include <boost/shared_ptr.hpp>
#endif

#include "caffe/compat/gflags/gflags.h"
#include "caffe/compat/glog/logging.h"
#include "caffe/util/device_alternate.hpp"

#define STRINGIFY(m) #m
#define AS_STRING(m) STRINGIFY(m)

#define DISABLE_COPY_AND_ASSIGN(classname) \
 private:                                  \
  classname(const classname&) = delete;    \
  classname& operator=(const classname&) = delete

/// Instantiates a class template for the two scalar types of the library.
#define INSTANTIATE_CLASS(classname)   \
  char gInstantiationGuard##classname; \
  template class classname<float>;     \
  template class classname<double>

#define INSTANTIATE_LAYER_GPU_FORWARD(classname)                                  \
  template void classname<float>::Forward_gpu(const std::vector<Blob<float>*>&,   \
                                              const std::vector<Blob<float>*>&);  \
  template void classname<double>::Forward_gpu(const std::vector<Blob<double>*>&, \
                                               const std::vector<Blob<double>*>&)

#define INSTANTIATE_LAYER_GPU_BACKWARD(classname)                                                            \
  template void classname<float>::Backward_gpu(const std::vector<Blob<float>*>&, const std::vector<bool>&,   \
                                               const std::vector<Blob<float>*>&);                            \
  template void classname<double>::Backward_gpu(const std::vector<Blob<double>*>&, const std::vector<bool>&, \
                                                const std::vector<Blob<double>*>&)

#define INSTANTIATE_LAYER_GPU_FUNCS(classname) \
  INSTANTIATE_LAYER_GPU_FORWARD(classname);    \
  INSTANTIATE_LAYER_GPU_BACKWARD(classname)

#define NOT_IMPLEMENTED LOG(FATAL) << "Not implemented: " << __PRETTY_FUNCTION__

// OpenCV's types appear in signatures only.
namespace cv {
class Mat;
}

namespace caffe {

using std::fstream;
using std::ios;
using std::isinf;
using std::isnan;
using std::iterator;
using std::make_pair;
using std::map;
using std::ostringstream;
using std::pair;
using std::set;
using std::shared_ptr;
using std::string;
using std::stringstream;
using std::vector;

/// Prepares a program: sets the flags that it defines, and those of the log (-minloglevel=N), from the
/// command line, and takes them out of it. -help ends the program. @throws Error for an unknown flag (see
/// caffe/util/flags.hpp).
inline void GlobalInit(int* pargc, char*** pargv) {
  ::gflags::ParseCommandLineFlags(pargc, pargv, true);
  ::google::InitGoogleLogging((*pargv)[0]);
}

/**
 * @brief The state of a thread: mode, random generator, device, and its place in parallel training.
 *
 * Every thread has its own. A new thread starts with the mode that was set last in any thread, so that a
 * program which sets the mode once and then starts workers computes everywhere in that mode.
 */
class Caffe {
 public:
  ~Caffe();

  /// The calling thread's state.
  static Caffe& Get();

  enum Brew { CPU, GPU };

  /// A source of random numbers, of implementation-defined state; copies share the generator.
  class RNG {
   public:
    /// Seeds from the system's entropy.
    RNG();
    explicit RNG(unsigned int seed);
    explicit RNG(const RNG&);
    RNG& operator=(const RNG&);
    /// The generator itself, a caffe::rng_t* (see caffe/util/rng.hpp).
    void* generator();

   private:
    class Generator;
    shared_ptr<Generator> generator_;
  };

  static RNG& rng_stream();
#ifndef CPU_ONLY
  /// The calling thread's, on its device and its stream (cudaStreamPerThread).
  static cublasHandle_t cublas_handle();
  /// Likewise. It starts from a number that the thread's random generator draws, when it is first asked for
  /// and after each set_random_seed.
  static curandGenerator_t curand_generator();
#endif
  static Brew mode() { return Get().mode_; }
  /// In a build without CUDA the GPU mode can be set, and what is then computed raises the error.
  static void set_mode(Brew mode);
  /// Restarts the calling thread's generator: the same seed gives the same numbers.
  static void set_random_seed(const unsigned int seed);
  /// Chooses the calling thread's GPU, the first one until then. @throws Error where the device does not
  /// exist, or the build has no CUDA.
  static void SetDevice(const int device_id);
  /// The calling thread's GPU; -1 in a build without CUDA. @throws Error where there is none.
  static int device();
  /// How many GPUs there are, at least one. @throws Error as SetDevice.
  static int device_count();
  /// Logs the properties of the current device. @throws Error as SetDevice.
  static void DeviceQuery();
  /// Whether the device exists and can be used.
  static bool CheckDevice(const int device_id);
  /// The first usable device from `start_id` on, or -1.
  static int FindDevice(const int start_id = 0);

  static int solver_count() { return Get().solver_count_; }
  static void set_solver_count(int val) { Get().solver_count_ = val; }
  static int solver_rank() { return Get().solver_rank_; }
  static void set_solver_rank(int val) { Get().solver_rank_ = val; }
  static bool multiprocess() { return Get().multiprocess_; }
  static void set_multiprocess(bool val) { Get().multiprocess_ = val; }
  /// True in the solver that logs, tests and snapshots.
  static bool root_solver() { return Get().solver_rank_ == 0; }

 protected:
#ifndef CPU_ONLY
  /// Of the device that they were made on; made anew for another one.
  cublasHandle_t cublas_handle_ = nullptr;
  curandGenerator_t curand_generator_ = nullptr;
  int handles_device_ = -1;

  void ReleaseHandles();
  void MakeHandlesOf(int device);
#endif
  shared_ptr<RNG> random_generator_;
  Brew mode_;
  int solver_count_ = 1;
  int solver_rank_ = 0;
  bool multiprocess_ = false;

 private:
  Caffe();

  /// Sets its thread's mode, which is no choice for threads to come.
  friend class InternalThread;

  DISABLE_COPY_AND_ASSIGN(Caffe);
};

}  // namespace caffe

#endif  // CAFFE_COMMON_HPP_
