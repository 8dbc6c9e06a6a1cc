#include "caffe/util/binarize.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "caffe/util/parallel_for.hpp"
#include "caffe/util/sign_bits.hpp"

namespace caffe {

namespace {

// In double and several sums at a time: exact enough that B made from float weights binarizes to itself.
template <typename Dtype>
double SumOfMagnitudes(const Dtype* x, int n) {
  constexpr int kLanes = 8;
  double lanes[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += std::fabs(x[i + lane]);
  }
  double sum = 0;
  for (; i < n; ++i) sum += std::fabs(x[i]);
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <typename Dtype>
Dtype Alpha(const Dtype* row, int n, bool use_alpha) {
  return use_alpha ? binary_alpha<Dtype>(SumOfMagnitudes(row, n), n) : Dtype(1);
}

int64_t OutputGrain(int n) { return kElementGrain / std::max(n, 1) + 1; }

}  // namespace

template <typename Dtype>
void caffe_cpu_binarize(int num_output, int n, const Dtype* weights, bool use_alpha, Dtype* alphas,
                        Dtype* binary) {
  ParallelFor(num_output, OutputGrain(n), [=](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; ++output) {
      const Dtype* row = weights + output * n;
      const Dtype alpha = Alpha(row, n, use_alpha);
      alphas[output] = alpha;
      std::transform(row, row + n, binary + output * n, [=](Dtype w) { return binarize(w, alpha); });
    }
  });
}

template <typename Dtype>
void ReshapeForBinary(const Blob<Dtype>& weights, Blob<Dtype>* alphas, Blob<Dtype>* binary) {
  CHECK_GE(weights.num_axes(), 1) << "weights to binarize need a leading axis of outputs";
  alphas->Reshape({weights.shape(0)});
  binary->ReshapeLike(weights);
}

template <typename Dtype>
void BinarizeWeights(const Blob<Dtype>& weights, bool use_alpha, Blob<Dtype>* alphas, Blob<Dtype>* binary) {
  ReshapeForBinary(weights, alphas, binary);
  caffe_cpu_binarize(weights.shape(0), weights.count(1), weights.cpu_data(), use_alpha,
                     alphas->mutable_cpu_data(), binary->mutable_cpu_data());
}

template <typename Dtype>
void BinarizeToSigns(const Blob<Dtype>& weights, bool use_alpha, vector<Dtype>* alphas,
                     vector<uint8_t>* signs) {
  CHECK_GE(weights.num_axes(), 1) << "weights to binarize need a leading axis of outputs";
  const int n = weights.count(1);
  const Dtype* data = weights.cpu_data();
  alphas->resize(weights.shape(0));
  signs->resize(weights.shape(0) * SignBytes(n));
  ParallelFor(weights.shape(0), OutputGrain(n), [=](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; ++output) {
      // One output after the other, so that it is in the cache the second time.
      const Dtype* row = data + output * n;
      (*alphas)[output] = Alpha(row, n, use_alpha);
      PackSigns(1, n, row, signs->data() + output * SignBytes(n));
    }
  });
}

#ifdef CPU_ONLY
template <typename Dtype>
void BinarizeWeightsGpu(const Blob<Dtype>&, bool, Blob<Dtype>*, Blob<Dtype>*) {
  NO_GPU;
}
template void BinarizeWeightsGpu<float>(const Blob<float>&, bool, Blob<float>*, Blob<float>*);
template void BinarizeWeightsGpu<double>(const Blob<double>&, bool, Blob<double>*, Blob<double>*);
#endif

#define INSTANTIATE_BINARIZE(Dtype)                                                           \
  template void caffe_cpu_binarize<Dtype>(int, int, const Dtype*, bool, Dtype*, Dtype*);      \
  template void ReshapeForBinary<Dtype>(const Blob<Dtype>&, Blob<Dtype>*, Blob<Dtype>*);      \
  template void BinarizeWeights<Dtype>(const Blob<Dtype>&, bool, Blob<Dtype>*, Blob<Dtype>*); \
  template void BinarizeToSigns<Dtype>(const Blob<Dtype>&, bool, vector<Dtype>*, vector<uint8_t>*)
INSTANTIATE_BINARIZE(float);
INSTANTIATE_BINARIZE(double);
#undef INSTANTIATE_BINARIZE

}  // namespace caffe
