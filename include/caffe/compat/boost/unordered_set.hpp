#ifndef CAFFE_COMPAT_BOOST_UNORDERED_SET_HPP_
#define CAFFE_COMPAT_BOOST_UNORDERED_SET_HPP_

#if __has_include_next(<boost/unordered_set.hpp>)
#include_next <boost/unordered_set.hpp>
#else

#include <unordered_set>

namespace boost {
using std::unordered_multiset;
using std::unordered_set;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_UNORDERED_SET_HPP_
