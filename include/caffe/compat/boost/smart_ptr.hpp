#ifndef CAFFE_COMPAT_BOOST_SMART_PTR_HPP_
#define CAFFE_COMPAT_BOOST_SMART_PTR_HPP_

#if __has_include_next(<boost/smart_ptr.hpp>)
#include_next <boost/smart_ptr.hpp>
#else

#include <boost/enable_shared_from_this.hpp>
#include <boost/make_shared.hpp>
#include <boost/scoped_array.hpp>
#include <boost/scoped_ptr.hpp>
#include <boost/shared_ptr.hpp>
#include <boost/weak_ptr.hpp>

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_SMART_PTR_HPP_
