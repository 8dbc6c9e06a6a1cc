#ifndef CAFFE_COMPAT_BOOST_FUNCTION_HPP_
#define CAFFE_COMPAT_BOOST_FUNCTION_HPP_

#if __has_include_next(<boost/function.hpp>)
#include_next <boost/function.hpp>
#else

#include <functional>

namespace boost {
using std::function;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_FUNCTION_HPP_
