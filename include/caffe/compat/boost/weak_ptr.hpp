#ifndef CAFFE_COMPAT_BOOST_WEAK_PTR_HPP_
#define CAFFE_COMPAT_BOOST_WEAK_PTR_HPP_

#if __has_include_next(<boost/weak_ptr.hpp>)
#include_next <boost/weak_ptr.hpp>
#else

#include <memory>

#include <boost/shared_ptr.hpp>

namespace boost {
using std::weak_ptr;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_WEAK_PTR_HPP_
