#ifndef CAFFE_UTIL_BINARIZE_HPP_
#define CAFFE_UTIL_BINARIZE_HPP_

#include <cstdint>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/device_alternate.hpp"
#include "caffe/util/seen_memory.hpp"

namespace caffe {

/// +alpha for x >= 0 (also for -0), else -alpha (also for NaN).
template <typename Dtype>
CAFFE_HOST_DEVICE inline Dtype binarize(Dtype x, Dtype alpha) {
  return x >= Dtype(0) ? alpha : -alpha;
}

/// Alpha of n weights whose magnitudes add up to `sum`.
template <typename Dtype>
CAFFE_HOST_DEVICE inline Dtype binary_alpha(double sum, int n) {
  return static_cast<Dtype>(sum / n);
}

/**
 * @brief Binary weights of a layer: B = alpha sign(W), with one alpha per output.
 *
 * Of `weights`, num_output x n, row-major: alphas[o] is (1/n) sum over j of |weights[o, j]| with use_alpha,
 * else 1; binary[o, j] is binarize(weights[o, j], alphas[o]). With alpha, B is the nearest of its kind to W
 * in the least squares sense (Rastegari et al., XNOR-Net, ECCV 2016, section 3.1); HWGQ-Net (Cai et al., CVPR
 * 2017) trains its weights this way. Does not depend on the number of threads.
 */
template <typename Dtype>
void caffe_cpu_binarize(int num_output, int n, const Dtype* weights, bool use_alpha, Dtype* alphas,
                        Dtype* binary);

/// Gives `alphas` the shape [num_output] and `binary` that of the weights. @throws Error for a blob without
/// axes.
template <typename Dtype>
void ReshapeForBinary(const Blob<Dtype>& weights, Blob<Dtype>* alphas, Blob<Dtype>* binary);

/// Binary weights of a blob whose leading axis is the outputs, in blobs that get their shapes.
template <typename Dtype>
void BinarizeWeights(const Blob<Dtype>& weights, bool use_alpha, Blob<Dtype>* alphas, Blob<Dtype>* binary);

/// The same on the GPU. Alphas are sums in double in another order.
template <typename Dtype>
void BinarizeWeightsGpu(const Blob<Dtype>& weights, bool use_alpha, Blob<Dtype>* alphas, Blob<Dtype>* binary);

/// The same where the weights may have changed since the last call, which filled these blobs.
template <typename Dtype>
void BinarizeNewWeightsGpu(const Blob<Dtype>& weights, bool use_alpha, SeenMemory* seen, Blob<Dtype>* alphas,
                           Blob<Dtype>* binary) {
  weights.gpu_data();
  if (seen->IsNew(weights.data(), true)) BinarizeWeightsGpu(weights, use_alpha, alphas, binary);
}

/// The same binary weights as alphas and signs (see caffe/util/sign_bits.hpp).
template <typename Dtype>
void BinarizeToSigns(const Blob<Dtype>& weights, bool use_alpha, vector<Dtype>* alphas,
                     vector<uint8_t>* signs);

}  // namespace caffe

#endif  // CAFFE_UTIL_BINARIZE_HPP_
