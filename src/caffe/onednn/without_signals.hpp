#ifndef CAFFE_ONEDNN_WITHOUT_SIGNALS_HPP_
#define CAFFE_ONEDNN_WITHOUT_SIGNALS_HPP_

#include <omp.h>
#include <pthread.h>
#include <signal.h>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Keeps signals from the calling thread for as long as it lives, and for good from the threads that
 * OpenMP lends it.
 *
 * Code that oneDNN generates has the stack pointer in the middle of other memory (in products of floats by
 * AVX-512, release 2023.2): a signal's handler would overwrite what is before that. Signals of faults stay.
 */
class WithoutSignals {
 public:
  WithoutSignals() {
    sigset_t signals;
    sigfillset(&signals);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&signals, fault);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
    // What OpenMP makes from here on has the calling thread's; but it may have made some for somebody else.
    static thread_local int quiet_threads = 1;
    if (omp_get_max_threads() <= quiet_threads) return;
    quiet_threads = omp_get_max_threads();
#pragma omp parallel
    if (omp_get_thread_num() > 0) pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  }
  ~WithoutSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;

  DISABLE_COPY_AND_ASSIGN(WithoutSignals);
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_WITHOUT_SIGNALS_HPP_
