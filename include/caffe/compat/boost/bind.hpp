#ifndef CAFFE_COMPAT_BOOST_BIND_HPP_
#define CAFFE_COMPAT_BOOST_BIND_HPP_

#if __has_include_next(<boost/bind.hpp>)
#include_next <boost/bind.hpp>
#else

#include <functional>

namespace boost {
using std::bind;
using std::cref;
using std::ref;
}  // namespace boost

// Boost has its placeholders in the global namespace too.
using namespace std::placeholders;  // NOLINT(build/namespaces)

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_BIND_HPP_
