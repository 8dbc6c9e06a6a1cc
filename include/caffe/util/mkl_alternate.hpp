#ifndef CAFFE_UTIL_MKL_ALTERNATE_H_
#define CAFFE_UTIL_MKL_ALTERNATE_H_

// The CBLAS interface under the header name that Caffe gives it.
extern "C" {
#include <cblas.h>
}

#endif  // CAFFE_UTIL_MKL_ALTERNATE_H_
