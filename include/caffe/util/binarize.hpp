#ifndef CAFFE_UTIL_BINARIZE_HPP_
#define CAFFE_UTIL_BINARIZE_HPP_

#include <cstdint>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// +alpha for x >= 0 (also for -0), else -alpha (also for NaN).
template <typename Dtype>
CAFFE_HOST_DEVICE inline Dtype binarize(Dtype x, Dtype alpha) {
  return x >= Dtype(0) ? alpha : -alpha;
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

/// The same for a weight blob whose leading axis is the outputs. Reshapes `alphas` to [num_output] and
/// `binary` to the weights' shape. @throws Error for a blob without axes.
template <typename Dtype>
void BinarizeWeights(const Blob<Dtype>& weights, bool use_alpha, Blob<Dtype>* alphas, Blob<Dtype>* binary);

/// The same binary weights as alphas and signs (see caffe/util/sign_bits.hpp).
template <typename Dtype>
void BinarizeToSigns(const Blob<Dtype>& weights, bool use_alpha, vector<Dtype>* alphas,
                     vector<uint8_t>* signs);

}  // namespace caffe

#endif  // CAFFE_UTIL_BINARIZE_HPP_
