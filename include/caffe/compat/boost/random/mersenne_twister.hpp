#ifndef CAFFE_COMPAT_BOOST_RANDOM_MERSENNE_TWISTER_HPP_
#define CAFFE_COMPAT_BOOST_RANDOM_MERSENNE_TWISTER_HPP_

#if __has_include_next(<boost/random/mersenne_twister.hpp>)
#include_next <boost/random/mersenne_twister.hpp>
#else

#include <random>

namespace boost {
using std::mt19937;
namespace random {
using std::mt19937;
}  // namespace random
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_RANDOM_MERSENNE_TWISTER_HPP_
