#ifndef CAFFE_COMPAT_BOOST_THREAD_MUTEX_HPP_
#define CAFFE_COMPAT_BOOST_THREAD_MUTEX_HPP_

#if __has_include_next(<boost/thread/mutex.hpp>)
#include_next <boost/thread/mutex.hpp>
#else

#include <mutex>

namespace boost {

/// A lock with the name of its guard inside, as Boost has it.
class mutex : public std::mutex {
 public:
  typedef std::unique_lock<mutex> scoped_lock;
};

class recursive_mutex : public std::recursive_mutex {
 public:
  typedef std::unique_lock<recursive_mutex> scoped_lock;
};

using std::adopt_lock;
using std::defer_lock;
using std::lock_guard;
using std::try_to_lock;
using std::unique_lock;

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_THREAD_MUTEX_HPP_
