#ifndef CAFFE_COMPAT_BOOST_RANDOM_NORMAL_DISTRIBUTION_HPP_
#define CAFFE_COMPAT_BOOST_RANDOM_NORMAL_DISTRIBUTION_HPP_

#if __has_include_next(<boost/random/normal_distribution.hpp>)
#include_next <boost/random/normal_distribution.hpp>
#else

#include <random>

namespace boost {
using std::normal_distribution;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_RANDOM_NORMAL_DISTRIBUTION_HPP_
