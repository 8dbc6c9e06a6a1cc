#ifndef CAFFE_COMPAT_BOOST_CSTDINT_HPP_
#define CAFFE_COMPAT_BOOST_CSTDINT_HPP_

#if __has_include_next(<boost/cstdint.hpp>)
#include_next <boost/cstdint.hpp>
#else

#include <cstdint>

namespace boost {
using std::int16_t;
using std::int32_t;
using std::int64_t;
using std::int8_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_CSTDINT_HPP_
