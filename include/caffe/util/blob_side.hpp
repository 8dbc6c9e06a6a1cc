#ifndef CAFFE_UTIL_BLOB_SIDE_HPP_
#define CAFFE_UTIL_BLOB_SIDE_HPP_

/// @file
/// Where a layer's algorithm finds its blobs' memory, for algorithms that are the same on the host and on the
/// GPU but for that.

#include "caffe/blob.hpp"

namespace caffe {

struct HostSide {
  template <typename Dtype>
  static const Dtype* Data(const Blob<Dtype>& blob) {
    return blob.cpu_data();
  }
  template <typename Dtype>
  static const Dtype* Diff(const Blob<Dtype>& blob) {
    return blob.cpu_diff();
  }
  template <typename Dtype>
  static Dtype* MutableData(Blob<Dtype>* blob) {
    return blob->mutable_cpu_data();
  }
  template <typename Dtype>
  static Dtype* MutableDiff(Blob<Dtype>* blob) {
    return blob->mutable_cpu_diff();
  }
};

struct GpuSide {
  template <typename Dtype>
  static const Dtype* Data(const Blob<Dtype>& blob) {
    return blob.gpu_data();
  }
  template <typename Dtype>
  static const Dtype* Diff(const Blob<Dtype>& blob) {
    return blob.gpu_diff();
  }
  template <typename Dtype>
  static Dtype* MutableData(Blob<Dtype>* blob) {
    return blob->mutable_gpu_data();
  }
  template <typename Dtype>
  static Dtype* MutableDiff(Blob<Dtype>* blob) {
    return blob->mutable_gpu_diff();
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_BLOB_SIDE_HPP_
