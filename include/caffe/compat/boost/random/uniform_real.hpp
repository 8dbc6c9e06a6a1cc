#ifndef CAFFE_COMPAT_BOOST_RANDOM_UNIFORM_REAL_HPP_
#define CAFFE_COMPAT_BOOST_RANDOM_UNIFORM_REAL_HPP_

#if __has_include_next(<boost/random/uniform_real.hpp>)
#include_next <boost/random/uniform_real.hpp>
#else

#include <random>

namespace boost {
template <typename T = double>
using uniform_real = std::uniform_real_distribution<T>;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_RANDOM_UNIFORM_REAL_HPP_
