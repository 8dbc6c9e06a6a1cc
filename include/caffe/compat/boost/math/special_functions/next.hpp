#ifndef CAFFE_COMPAT_BOOST_MATH_SPECIAL_FUNCTIONS_NEXT_HPP_
#define CAFFE_COMPAT_BOOST_MATH_SPECIAL_FUNCTIONS_NEXT_HPP_

#if __has_include_next(<boost/math/special_functions/next.hpp>)
#include_next <boost/math/special_functions/next.hpp>
#else

#include <cmath>
#include <limits>

namespace boost {
namespace math {

/// The number after `value` in the direction of `direction`.
template <typename T>
T nextafter(const T& value, const T& direction) {
  return std::nextafter(value, direction);
}
template <typename T>
T float_next(const T& value) {
  return std::nextafter(value, std::numeric_limits<T>::infinity());
}
template <typename T>
T float_prior(const T& value) {
  return std::nextafter(value, -std::numeric_limits<T>::infinity());
}

}  // namespace math
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_MATH_SPECIAL_FUNCTIONS_NEXT_HPP_
