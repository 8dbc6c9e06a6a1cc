#ifndef CAFFE_COMPAT_BOOST_REF_HPP_
#define CAFFE_COMPAT_BOOST_REF_HPP_

#if __has_include_next(<boost/ref.hpp>)
#include_next <boost/ref.hpp>
#else

#include <functional>

namespace boost {
using std::cref;
using std::ref;
using std::reference_wrapper;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_REF_HPP_
