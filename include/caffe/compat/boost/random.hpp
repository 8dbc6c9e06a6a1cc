#ifndef CAFFE_COMPAT_BOOST_RANDOM_HPP_
#define CAFFE_COMPAT_BOOST_RANDOM_HPP_

#if __has_include_next(<boost/random.hpp>)
#include_next <boost/random.hpp>
#else

#include <boost/random/bernoulli_distribution.hpp>
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/normal_distribution.hpp>
#include <boost/random/uniform_int.hpp>
#include <boost/random/uniform_real.hpp>
#include <boost/random/variate_generator.hpp>

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_RANDOM_HPP_
