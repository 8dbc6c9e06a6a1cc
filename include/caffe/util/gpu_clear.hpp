#ifndef CAFFE_UTIL_GPU_CLEAR_HPP_
#define CAFFE_UTIL_GPU_CLEAR_HPP_

#ifndef CPU_ONLY

#include <vector>

#include "caffe/blob.hpp"

namespace caffe {

/// Sets the gradients of all blobs to 0 on the GPU, many of them in one launch.
template <typename Dtype>
void GpuClearDiffs(const std::vector<Blob<Dtype>*>& blobs);

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_UTIL_GPU_CLEAR_HPP_
