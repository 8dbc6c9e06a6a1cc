#ifndef CAFFE_COMPAT_BOOST_THREAD_CONDITION_VARIABLE_HPP_
#define CAFFE_COMPAT_BOOST_THREAD_CONDITION_VARIABLE_HPP_

#if __has_include_next(<boost/thread/condition_variable.hpp>)
#include_next <boost/thread/condition_variable.hpp>
#else

#include <condition_variable>

#include <boost/thread/mutex.hpp>

namespace boost {

/// Waits with the locks of boost::mutex.
class condition_variable : public std::condition_variable_any {};
using std::condition_variable_any;

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_THREAD_CONDITION_VARIABLE_HPP_
