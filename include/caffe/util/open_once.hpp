#ifndef CAFFE_UTIL_OPEN_ONCE_HPP_
#define CAFFE_UTIL_OPEN_ONCE_HPP_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Things a process may hold open only once, such as databases, shared between all who use them.
 *
 * A thing closes with the last shared_ptr to it; who opens it meanwhile waits until it has closed.
 */
template <typename Key, typename T>
class OpenOnce {
 public:
  /// The open thing called `key`; where there is none, what `open()`, a unique_ptr<T>, gives.
  template <typename Open>
  shared_ptr<T> Get(const Key& key, Open open) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (auto found = open_.find(key); found != open_.end(); found = open_.find(key)) {
      if (shared_ptr<T> thing = found->second.lock()) return thing;
      closed_.wait(lock);
    }
    std::unique_ptr<T> made = open();
    shared_ptr<T> thing(made.release(), [this, key](T* closing) {
      const std::lock_guard<std::mutex> lock(mutex_);
      delete closing;
      open_.erase(key);
      closed_.notify_all();
    });
    open_[key] = thing;
    return thing;
  }

 private:
  std::mutex mutex_;
  std::condition_variable closed_;
  std::map<Key, std::weak_ptr<T>> open_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_OPEN_ONCE_HPP_
