#ifndef CAFFE_COMPAT_BOOST_TUPLE_TUPLE_HPP_
#define CAFFE_COMPAT_BOOST_TUPLE_TUPLE_HPP_

#if __has_include_next(<boost/tuple/tuple.hpp>)
#include_next <boost/tuple/tuple.hpp>
#else

#include <tuple>

namespace boost {
using std::get;
using std::make_tuple;
using std::tie;
using std::tuple;
namespace tuples {
using std::get;
using std::ignore;
using std::make_tuple;
using std::tie;
using std::tuple;
}  // namespace tuples
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_TUPLE_TUPLE_HPP_
