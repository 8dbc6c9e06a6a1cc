#include "caffe/util/gpu_clear.hpp"

#include "caffe/util/gpu_arrays.cuh"

namespace caffe {

namespace {

template <typename Dtype>
struct SetTo {
  Dtype value;
  __device__ void operator()(Dtype* element) const { *element = value; }
};

}  // namespace

template <typename Dtype>
void GpuClearDiffs(const std::vector<Blob<Dtype>*>& blobs) {
  std::vector<GpuArrayTask<Dtype, 1, SetTo<Dtype>>> tasks;
  tasks.reserve(blobs.size());
  for (Blob<Dtype>* blob : blobs) tasks.push_back({{0}, blob->count(), {blob->mutable_gpu_diff()}});
  GpuForEachOfArrays(tasks);
}

template void GpuClearDiffs<float>(const std::vector<Blob<float>*>&);
template void GpuClearDiffs<double>(const std::vector<Blob<double>*>&);

}  // namespace caffe
