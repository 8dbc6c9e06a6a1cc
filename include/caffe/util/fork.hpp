#ifndef CAFFE_UTIL_FORK_HPP_
#define CAFFE_UTIL_FORK_HPP_

#include <pthread.h>

#include <atomic>
#include <mutex>

namespace caffe {

// A child of fork() has one thread, the one that forked. What others were about stays as it was in that
// moment: locked, or with work that nobody does.

/// The T of this process, which is never destroyed: a child of fork() gets a new one.
template <typename T>
T& OfThisProcess() {
  static std::atomic<T*> instance{new T};
  static const int at_fork = pthread_atfork(nullptr, nullptr, [] { instance = new T; });
  static_cast<void>(at_fork);
  return *instance;
}

/// From now on a fork waits until the mutex, which is never destroyed, is free, so that it is free in the
/// child.
template <std::mutex& (*mutex)()>
int FreeAtFork() {
  return pthread_atfork([] { mutex().lock(); }, [] { mutex().unlock(); }, [] { mutex().unlock(); });
}

}  // namespace caffe

#endif  // CAFFE_UTIL_FORK_HPP_
