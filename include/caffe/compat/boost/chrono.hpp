#ifndef CAFFE_COMPAT_BOOST_CHRONO_HPP_
#define CAFFE_COMPAT_BOOST_CHRONO_HPP_

#if __has_include_next(<boost/chrono.hpp>)
#include_next <boost/chrono.hpp>
#else

#include <chrono>

namespace boost {
namespace chrono {
using namespace std::chrono;  // NOLINT(build/namespaces)
}  // namespace chrono
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_CHRONO_HPP_
