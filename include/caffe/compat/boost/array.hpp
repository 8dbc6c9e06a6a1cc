#ifndef CAFFE_COMPAT_BOOST_ARRAY_HPP_
#define CAFFE_COMPAT_BOOST_ARRAY_HPP_

#if __has_include_next(<boost/array.hpp>)
#include_next <boost/array.hpp>
#else

#include <array>

namespace boost {
using std::array;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_ARRAY_HPP_
