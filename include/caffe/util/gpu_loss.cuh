#ifndef CAFFE_UTIL_GPU_LOSS_CUH_
#define CAFFE_UTIL_GPU_LOSS_CUH_

#include <algorithm>
#include <climits>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/loss_functions.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

/// What a loss adds up: itself, how many positions count, and the first position of a wrong label.
template <typename Dtype>
struct LossSum {
  static constexpr int kNoneWrong = INT_MAX;
  Dtype loss;
  int count;
  int wrong;

  CAFFE_HOST_DEVICE static LossSum Of(Dtype loss) { return {loss, 1, kNoneWrong}; }
  /// Of a position whose label is ignored.
  CAFFE_HOST_DEVICE static LossSum None() { return {0, 0, kNoneWrong}; }
  CAFFE_HOST_DEVICE static LossSum Wrong(int position) { return {0, 0, position}; }
};

template <typename Dtype>
struct AddLosses {
  CAFFE_HOST_DEVICE LossSum<Dtype> operator()(const LossSum<Dtype>& a, const LossSum<Dtype>& b) const {
    return {a.loss + b.loss, a.count + b.count, std::min(a.wrong, b.wrong)};
  }
};

/// The sum of map(0, i) for i in [0, n), on the host: the one thing that a loss waits for.
template <typename Dtype, typename Map>
LossSum<Dtype> GpuSumLosses(int n, const Map& map) {
  const GpuArray<LossSum<Dtype>> on_gpu(1);
  LossSum<Dtype>* const sum = on_gpu.get();
  GpuReduceRows(1, n, map, AddLosses<Dtype>(), LossSum<Dtype>::None(),
                [=] __device__(int, const LossSum<Dtype>& value) { *sum = value; });
  LossSum<Dtype> on_host;
  caffe_gpu_memcpy(sizeof(on_host), sum, &on_host);
  return on_host;
}

/// @throws Error as CheckedLabel where a kernel that skips wrong labels found one at position `wrong`.
template <typename Dtype>
void CheckLabels(int wrong, const Blob<Dtype>& labels, int classes) {
  if (wrong != LossSum<Dtype>::kNoneWrong) CheckedLabel(labels.cpu_data()[wrong], wrong, classes);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_LOSS_CUH_
