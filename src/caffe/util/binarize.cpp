#include "caffe/util/binarize.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

// In double and several sums at a time: exact enough that B made from float weights binarizes to itself.
template <typename Dtype>
double MeanAbsolute(const Dtype* x, int n) {
  constexpr int kLanes = 8;
  double lanes[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += std::fabs(x[i + lane]);
  }
  double sum = 0;
  for (; i < n; ++i) sum += std::fabs(x[i]);
  for (const double lane : lanes) sum += lane;
  return sum / n;
}

}  // namespace

template <typename Dtype>
void caffe_cpu_binarize(int num_output, int n, const Dtype* weights, bool use_alpha, Dtype* alphas,
                        Dtype* binary) {
  ParallelFor(num_output, kElementGrain / std::max(n, 1) + 1, [=](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; ++output) {
      const Dtype* row = weights + output * n;
      const Dtype alpha = use_alpha ? static_cast<Dtype>(MeanAbsolute(row, n)) : Dtype(1);
      alphas[output] = alpha;
      std::transform(row, row + n, binary + output * n, [=](Dtype w) { return binarize(w, alpha); });
    }
  });
}

template <typename Dtype>
void BinarizeWeights(const Blob<Dtype>& weights, bool use_alpha, Blob<Dtype>* alphas, Blob<Dtype>* binary) {
  CHECK_GE(weights.num_axes(), 1) << "weights to binarize need a leading axis of outputs";
  alphas->Reshape(vector<int>(1, weights.shape(0)));
  binary->ReshapeLike(weights);
  caffe_cpu_binarize(weights.shape(0), weights.count(1), weights.cpu_data(), use_alpha,
                     alphas->mutable_cpu_data(), binary->mutable_cpu_data());
}

#define INSTANTIATE_BINARIZE(Dtype)                                                      \
  template void caffe_cpu_binarize<Dtype>(int, int, const Dtype*, bool, Dtype*, Dtype*); \
  template void BinarizeWeights<Dtype>(const Blob<Dtype>&, bool, Blob<Dtype>*, Blob<Dtype>*)
INSTANTIATE_BINARIZE(float);
INSTANTIATE_BINARIZE(double);
#undef INSTANTIATE_BINARIZE

}  // namespace caffe
