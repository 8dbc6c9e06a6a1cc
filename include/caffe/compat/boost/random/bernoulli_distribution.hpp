#ifndef CAFFE_COMPAT_BOOST_RANDOM_BERNOULLI_DISTRIBUTION_HPP_
#define CAFFE_COMPAT_BOOST_RANDOM_BERNOULLI_DISTRIBUTION_HPP_

#if __has_include_next(<boost/random/bernoulli_distribution.hpp>)
#include_next <boost/random/bernoulli_distribution.hpp>
#else

#include <random>

namespace boost {
template <typename T = double>
class bernoulli_distribution : public std::bernoulli_distribution {
 public:
  explicit bernoulli_distribution(T p = T(0.5)) : std::bernoulli_distribution(p) {}
};
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_RANDOM_BERNOULLI_DISTRIBUTION_HPP_
