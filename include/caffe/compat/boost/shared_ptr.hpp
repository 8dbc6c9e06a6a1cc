#ifndef CAFFE_COMPAT_BOOST_SHARED_PTR_HPP_
#define CAFFE_COMPAT_BOOST_SHARED_PTR_HPP_

#if __has_include_next(<boost/shared_ptr.hpp>)
#include_next <boost/shared_ptr.hpp>
#else

#include <memory>

namespace boost {
using std::const_pointer_cast;
using std::dynamic_pointer_cast;
using std::shared_ptr;
using std::static_pointer_cast;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_SHARED_PTR_HPP_
