#ifndef CAFFE_COMPAT_BOOST_STATIC_ASSERT_HPP_
#define CAFFE_COMPAT_BOOST_STATIC_ASSERT_HPP_

#if __has_include_next(<boost/static_assert.hpp>)
#include_next <boost/static_assert.hpp>
#else

#define BOOST_STATIC_ASSERT(...) static_assert(__VA_ARGS__, #__VA_ARGS__)
#define BOOST_STATIC_ASSERT_MSG(...) static_assert(__VA_ARGS__)

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_STATIC_ASSERT_HPP_
