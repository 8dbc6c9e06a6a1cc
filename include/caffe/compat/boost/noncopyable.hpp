#ifndef CAFFE_COMPAT_BOOST_NONCOPYABLE_HPP_
#define CAFFE_COMPAT_BOOST_NONCOPYABLE_HPP_

#if __has_include_next(<boost/noncopyable.hpp>)
#include_next <boost/noncopyable.hpp>
#else

namespace boost {

/// Base of classes that are not copied.
class noncopyable {
 protected:
  noncopyable() = default;
  ~noncopyable() = default;
  noncopyable(const noncopyable&) = delete;
  noncopyable& operator=(const noncopyable&) = delete;
};

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_NONCOPYABLE_HPP_
