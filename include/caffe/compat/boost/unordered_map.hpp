#ifndef CAFFE_COMPAT_BOOST_UNORDERED_MAP_HPP_
#define CAFFE_COMPAT_BOOST_UNORDERED_MAP_HPP_

#if __has_include_next(<boost/unordered_map.hpp>)
#include_next <boost/unordered_map.hpp>
#else

#include <unordered_map>

namespace boost {
using std::unordered_map;
using std::unordered_multimap;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_UNORDERED_MAP_HPP_
