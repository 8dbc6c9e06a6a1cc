#ifndef CAFFE_COMPAT_BOOST_ENABLE_SHARED_FROM_THIS_HPP_
#define CAFFE_COMPAT_BOOST_ENABLE_SHARED_FROM_THIS_HPP_

#if __has_include_next(<boost/enable_shared_from_this.hpp>)
#include_next <boost/enable_shared_from_this.hpp>
#else

#include <memory>

#include <boost/shared_ptr.hpp>

namespace boost {
using std::enable_shared_from_this;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_ENABLE_SHARED_FROM_THIS_HPP_
