#include "caffe/util/shared_loop.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

#include "caffe/util/fork.hpp"

namespace caffe {

namespace {

/// A loop that runs. All but `body` is guarded by the helpers' mutex.
struct Loop {
  const std::function<void(int64_t)>* body;
  int64_t count;
  int helpers_wanted;
  int64_t next = 0;
  int at_work = 0;
  int64_t failed_item = 0;
  std::exception_ptr failure;
  std::condition_variable ended;
};

class Helpers {
 public:
  void Run(Loop* loop) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (loop->helpers_wanted > 0) {
      Hire(loop->helpers_wanted);
      const auto place = loops_.insert(loops_.end(), loop);
      for (int i = 0; i < loop->helpers_wanted; ++i) work_.notify_one();
      Work(loop, &lock);
      // Nobody joins any more once it is off the list.
      loops_.erase(place);
    } else {
      Work(loop, &lock);
    }
    loop->ended.wait(lock, [loop] { return loop->at_work == 0; });
  }

 private:
  /// Starts helpers up to that many. With fewer it takes longer.
  void Hire(int wanted) {
    try {
      for (; helpers_ < wanted; ++helpers_) std::thread(&Helpers::Help, this).detach();
    } catch (const std::system_error&) {
    }
  }

  void Help() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      const auto open = std::find_if(loops_.begin(), loops_.end(), [](const Loop* loop) {
        return loop->next < loop->count && loop->helpers_wanted > 0;
      });
      if (open == loops_.end()) {
        work_.wait(lock);
        continue;
      }
      Loop* loop = *open;
      --loop->helpers_wanted;
      Work(loop, &lock);
    }
  }

  /// Runs items of the loop until none is left.
  void Work(Loop* loop, std::unique_lock<std::mutex>* lock) {
    ++loop->at_work;
    while (loop->next < loop->count) {
      const int64_t item = loop->next++;
      lock->unlock();
      std::exception_ptr failure;
      try {
        (*loop->body)(item);
      } catch (...) {
        failure = std::current_exception();
      }
      lock->lock();
      if (failure == nullptr) continue;
      if (loop->failure == nullptr || item < loop->failed_item) {
        loop->failure = failure;
        loop->failed_item = item;
      }
      // Items before it have been taken already.
      loop->next = loop->count;
    }
    if (--loop->at_work == 0) loop->ended.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::list<Loop*> loops_;
  int helpers_ = 0;
};

}  // namespace

void SharedLoop(int64_t n, int threads, const std::function<void(int64_t i)>& body) {
  const int64_t useful = std::min<int64_t>(threads, n);
  if (useful <= 1) {
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
  Loop loop;
  loop.body = &body;
  loop.count = n;
  loop.helpers_wanted = static_cast<int>(useful) - 1;
  // Never destroyed: the helpers sleep in it until the process ends.
  OfThisProcess<Helpers>().Run(&loop);
  if (loop.failure) std::rethrow_exception(loop.failure);
}

}  // namespace caffe
