#ifndef CAFFE_COMPAT_BOOST_RANDOM_UNIFORM_INT_HPP_
#define CAFFE_COMPAT_BOOST_RANDOM_UNIFORM_INT_HPP_

#if __has_include_next(<boost/random/uniform_int.hpp>)
#include_next <boost/random/uniform_int.hpp>
#else

#include <random>

namespace boost {
template <typename T = int>
using uniform_int = std::uniform_int_distribution<T>;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_RANDOM_UNIFORM_INT_HPP_
