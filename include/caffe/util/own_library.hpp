#ifndef CAFFE_UTIL_OWN_LIBRARY_HPP_
#define CAFFE_UTIL_OWN_LIBRARY_HPP_

#include <string>

#include "caffe/common.hpp"

namespace caffe {

/// Where a part of this project lies that is loaded when it is needed: beside the library that this is in.
/// The name alone, for the system to search, where that is not known.
string OwnLibrary(const string& name);

}  // namespace caffe

#endif  // CAFFE_UTIL_OWN_LIBRARY_HPP_
