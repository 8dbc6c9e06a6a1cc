#ifndef CAFFE_COMPAT_BOOST_THREAD_LOCKS_HPP_
#define CAFFE_COMPAT_BOOST_THREAD_LOCKS_HPP_

#if __has_include_next(<boost/thread/locks.hpp>)
#include_next <boost/thread/locks.hpp>
#else

#include <boost/thread/mutex.hpp>

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_THREAD_LOCKS_HPP_
