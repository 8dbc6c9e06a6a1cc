#ifndef CAFFE_UTIL_INTEGER_PRODUCT_HPP_
#define CAFFE_UTIL_INTEGER_PRODUCT_HPP_

#include <cstdint>
#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/lowbit/binary_product.hpp"
#include "caffe/util/gpu_binary_product.hpp"
#include "caffe/util/kept_codes.hpp"
#include "caffe/util/seen_memory.hpp"

namespace caffe {

/**
 * @brief Computes a binary layer's tops on integers, where its bottoms have the levels of a quantizer.
 *
 * Weights become signs and alphas when the layer first runs. They are looked at again where their blob was
 * written to since or somebody holds its memory (SeenMemory), and packed for libhwgq where a sign changed.
 */
template <typename Dtype>
class IntegerProduct {
 public:
  /// See Layer::SetInputLevels. Without levels, and in double, everything is left to floats.
  void SetLevels(const vector<Dtype>& levels) { levels_.assign(levels.begin(), levels.end()); }
  /// See Layer::SetBottomMaker.
  void SetBottomMaker(Layer<Dtype>* maker, int top_index) {
    maker_ = maker;
    maker_top_ = top_index;
  }
  /// Whether ForwardGpu will take the codes of the first bottom where they are offered, and whether
  /// BackwardInBF16 will, so that the data need not be there.
  bool ReadsCodes(const lowbit::BinaryProductShape& shape) const;
  bool ReadsCodesBackward(const lowbit::BinaryProductShape& shape) const;
  /// Makes the data of the first bottom where there are codes alone.
  void RestoreData(Blob<Dtype>* bottom) const;

  /**
   * @brief tops = bottoms times alpha sign(W), plus bias.
   *
   * @param shape of an image.
   * @param blobs the layer's: weights, outputs first, and bias, if any.
   * @return false where floats must do it, for there are no levels, or none that suit, or a bottom has other
   *         values, or an alpha is not finite. The tops are then undefined.
   * @throws Error where the environment variable HWGQ_KERNEL names no kernel.
   */
  bool Forward(const lowbit::BinaryProductShape& shape, bool use_alpha,
               const vector<shared_ptr<Blob<Dtype>>>& blobs, const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top);

  /// The same on the GPU, which looks after other values and alphas by itself: see GpuBinaryProduct.
  bool ForwardGpu(const lowbit::BinaryProductShape& shape, bool use_alpha,
                  const vector<shared_ptr<Blob<Dtype>>>& blobs, const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top);

  /**
   * @brief Gradients on the GPU where the environment variable CAFFE_BACKWARD is BF16 (BackwardPrecision),
   * with these alphas and binary weights, which are filled where the last pass has no signs on the GPU. Those
   * by weights and bias are added to the diffs of `blobs`.
   *
   * @param param_propagate_down of the weights and the bias.
   * @return false, and nothing is done, where floats must do it; see ComputeGradientsInBF16.
   */
  bool BackwardInBF16(const lowbit::BinaryProductShape& shape, Blob<Dtype>* alphas, Blob<Dtype>* binary,
                      const vector<shared_ptr<Blob<Dtype>>>& blobs, const vector<bool>& param_propagate_down,
                      const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                      const vector<Blob<Dtype>*>& bottom);

  /// Makes alphas and binary weights, as BinarizeWeights does, those that the last pass used; nothing where
  /// that returned false, or this was done already.
  void FillBinaryWeights(const Blob<Dtype>& weights, Blob<Dtype>* alphas, Blob<Dtype>* binary);
  /// Whether FillBinaryWeights would fill them on the CPU. A caller may do without it, and take rows.
  bool has_unfilled() const { return is_unfilled_; }
  /// The binary weights of some outputs, [count, weights of an output], of the last pass on the CPU.
  void UnpackRows(const Blob<Dtype>& weights, int64_t first, int64_t count, Dtype* binary) const;
  /// The binary weights, with their shape, where FillBinaryWeights will fill them on the CPU.
  vector<Blob<Dtype>*> UnfilledWeights(const Blob<Dtype>& weights, Blob<Dtype>* alphas, Blob<Dtype>* binary);

 private:
  bool Prepare(const lowbit::BinaryProductShape& shape, bool use_alpha, const Blob<Dtype>& weights);
  /// Whether a sign changed since the last pass.
  bool UpdateWeights(bool use_alpha, const Blob<Dtype>& weights);

  // Codes that are offered in place of the first bottom's data; or null.
  const KeptCodes* BottomCodes() const { return maker_ ? maker_->TopCodes(maker_top_) : nullptr; }

  vector<float> levels_;
  Layer<Dtype>* maker_ = nullptr;
  int maker_top_ = 0;
  /// What signs and alphas were made of.
  SeenMemory seen_;
  vector<uint8_t> signs_;
  vector<Dtype> alphas_;
  lowbit::BinaryProductShape shape_;
  /// Null before the first pass, and where integers cannot do it.
  std::unique_ptr<lowbit::BinaryProduct> product_;
  bool is_impossible_ = false;
  /// Whether the caller's binary weights are older than those of the last pass.
  bool is_unfilled_ = false;

#ifndef CPU_ONLY
  /// The same for the GPU.
  bool PrepareGpu(const lowbit::BinaryProductShape& shape, bool use_alpha, const Blob<Dtype>& weights);

  SeenMemory gpu_seen_;
  lowbit::BinaryProductShape gpu_shape_;
  std::unique_ptr<GpuBinaryProduct> gpu_product_;
  bool is_gpu_impossible_ = false;
  bool is_gpu_unfilled_ = false;
#endif
};

}  // namespace caffe

#endif  // CAFFE_UTIL_INTEGER_PRODUCT_HPP_
