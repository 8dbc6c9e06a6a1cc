#ifndef CAFFE_COMPAT_BOOST_THREAD_THREAD_HPP_
#define CAFFE_COMPAT_BOOST_THREAD_THREAD_HPP_

#if __has_include_next(<boost/thread/thread.hpp>)
#include_next <boost/thread/thread.hpp>
#else

#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace boost {

/// A thread that runs on by itself where its object goes, as Boost's does.
class thread {
 public:
  typedef std::thread::id id;

  thread() = default;
  template <typename Function, typename... Arguments>
  explicit thread(Function&& function, Arguments&&... arguments)
      : thread_(std::forward<Function>(function), std::forward<Arguments>(arguments)...) {}
  thread(thread&&) = default;
  thread& operator=(thread&& other) {
    detach_if_running();
    thread_ = std::move(other.thread_);
    return *this;
  }
  ~thread() { detach_if_running(); }

  void join() { thread_.join(); }
  bool joinable() const { return thread_.joinable(); }
  void detach() { thread_.detach(); }
  id get_id() const { return thread_.get_id(); }
  static unsigned int hardware_concurrency() { return std::thread::hardware_concurrency(); }

 private:
  void detach_if_running() {
    if (thread_.joinable()) thread_.detach();
  }

  std::thread thread_;
};

/// Threads that are waited for together.
class thread_group {
 public:
  template <typename Function>
  thread* create_thread(Function function) {
    threads_.push_back(std::make_unique<thread>(function));
    return threads_.back().get();
  }
  void join_all() {
    for (const auto& each : threads_) {
      if (each->joinable()) each->join();
    }
  }
  size_t size() const { return threads_.size(); }

 private:
  std::vector<std::unique_ptr<thread> > threads_;
};

namespace this_thread {
using std::this_thread::get_id;
using std::this_thread::yield;
/// For a duration of Boost or of the standard library.
template <typename Duration>
void sleep(const Duration& duration) {
  std::this_thread::sleep_for(duration);
}
using std::this_thread::sleep_for;
}  // namespace this_thread

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_THREAD_THREAD_HPP_
