#ifndef CAFFE_COMPAT_BOOST_MAKE_SHARED_HPP_
#define CAFFE_COMPAT_BOOST_MAKE_SHARED_HPP_

#if __has_include_next(<boost/make_shared.hpp>)
#include_next <boost/make_shared.hpp>
#else

#include <memory>

#include <boost/shared_ptr.hpp>

namespace boost {
using std::make_shared;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_MAKE_SHARED_HPP_
