#ifndef CAFFE_COMPAT_BOOST_THREAD_HPP_
#define CAFFE_COMPAT_BOOST_THREAD_HPP_

#if __has_include_next(<boost/thread.hpp>)
#include_next <boost/thread.hpp>
#else

#include <boost/date_time/posix_time/posix_time.hpp>
#include <boost/thread/barrier.hpp>
#include <boost/thread/condition_variable.hpp>
#include <boost/thread/locks.hpp>
#include <boost/thread/mutex.hpp>
#include <boost/thread/thread.hpp>

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_THREAD_HPP_
