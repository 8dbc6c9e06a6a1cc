#ifndef CAFFE_COMPAT_BOOST_FOREACH_HPP_
#define CAFFE_COMPAT_BOOST_FOREACH_HPP_

#if __has_include_next(<boost/foreach.hpp>)
#include_next <boost/foreach.hpp>
#else

#define BOOST_FOREACH(variable, range) for (variable : range)

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_FOREACH_HPP_
