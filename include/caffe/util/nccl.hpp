#ifndef CAFFE_UTIL_NCCL_H_
#define CAFFE_UTIL_NCCL_H_

/// @file
/// Names for NCCL, where Caffe is built with it (USE_NCCL).

#ifdef USE_NCCL

#include <nccl.h>

#include "caffe/common.hpp"

/// Checks what a call of NCCL returns. @throws caffe::Error with the status's name and NCCL's words.
#define NCCL_CHECK(condition)                                                         \
  do {                                                                                \
    const ncclResult_t nccl_status = condition;                                       \
    if (nccl_status != ncclSuccess) ::caffe::ThrowNcclError(nccl_status, #condition); \
  } while (0)

namespace caffe {

[[noreturn]] void ThrowNcclError(ncclResult_t status, const char* call);

namespace nccl {

/// How NCCL names a scalar type.
template <typename Dtype>
class dataType;

template <>
class dataType<float> {
 public:
  static const ncclDataType_t type = ncclFloat;
};

template <>
class dataType<double> {
 public:
  static const ncclDataType_t type = ncclDouble;
};

}  // namespace nccl
}  // namespace caffe

#endif  // USE_NCCL

#endif  // CAFFE_UTIL_NCCL_H_
