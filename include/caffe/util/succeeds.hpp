#ifndef CAFFE_UTIL_SUCCEEDS_HPP_
#define CAFFE_UTIL_SUCCEEDS_HPP_

#include "caffe/util/logging.hpp"

namespace caffe {

/// Calls `action`; false, with the error logged, where it throws.
template <typename Action>
bool Succeeds(Action action) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    LOG(ERROR) << error.what();
    return false;
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_SUCCEEDS_HPP_
