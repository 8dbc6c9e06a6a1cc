#ifndef CAFFE_COMPAT_BOOST_MATH_SPECIAL_FUNCTIONS_FPCLASSIFY_HPP_
#define CAFFE_COMPAT_BOOST_MATH_SPECIAL_FUNCTIONS_FPCLASSIFY_HPP_

#if __has_include_next(<boost/math/special_functions/fpclassify.hpp>)
#include_next <boost/math/special_functions/fpclassify.hpp>
#else

#include <cmath>

namespace boost {
namespace math {
using std::isfinite;
using std::isinf;
using std::isnan;
using std::isnormal;
}  // namespace math
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_MATH_SPECIAL_FUNCTIONS_FPCLASSIFY_HPP_
