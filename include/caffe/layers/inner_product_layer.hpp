#ifndef CAFFE_INNER_PRODUCT_LAYER_HPP_
#define CAFFE_INNER_PRODUCT_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Fully connected layer: every output is a weighted sum of all inputs of its row.
 *
 * The bottom is taken as M x K: rows are its axes before `axis`, their K inputs the axes from it on. The top
 * has the bottom's axes before `axis`, then num_output: top = bottom W^T + bias, with W num_output x K, or K
 * x num_output where `transpose` is set.
 *
 * inner_product_param: num_output; axis (1); bias_term (true); transpose (false); weight_filler, bias_filler.
 */
template <typename Dtype>
class InnerProductLayer : public Layer<Dtype> {
 public:
  explicit InnerProductLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  /// @throws Error for settings out of range, and for weights that do not fit.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  /// @throws Error where the number of inputs changes.
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "InnerProduct"; }
  bool ReadsTopData(int) const override { return false; }
  /// Of the weights, but for those of subclasses, which may do something else with them.
  bool SetGradientTaker(int blob, const typename Layer<Dtype>::GradientTaker& taker) override;
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// Forward_cpu with these weights, which have the shape of blobs_[0], and the layer's bias.
  void Forward_rows(const Dtype* weights, const vector<Blob<Dtype>*>& bottom,
                    const vector<Blob<Dtype>*>& top);
  /// The gradients by the weights and the bias, added to the diffs of blobs_, or given to who takes them. The
  /// weights are other ones after that.
  void Backward_parameters(const vector<Blob<Dtype>*>& top, const vector<Blob<Dtype>*>& bottom);
  /// Backward_cpu with these weights; the gradient by them is added to the diff of blobs_[0].
  void Backward_rows(const Dtype* weights, const vector<Blob<Dtype>*>& top,
                     const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);
  /// Rows of the weights, one at least, that stay in a cache between two uses.
  int RowsAtATime() const;
#ifndef CPU_ONLY
  /// The same on the GPU, where `weights` lead to its memory.
  void Forward_rows_gpu(const Dtype* weights, const vector<Blob<Dtype>*>& bottom,
                        const vector<Blob<Dtype>*>& top);
  void Backward_rows_gpu(const Dtype* weights, const vector<Blob<Dtype>*>& top,
                         const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);
#endif

  int M_ = 0;  ///< rows
  int K_ = 0;  ///< inputs of a row
  int N_ = 0;  ///< outputs of a row
  bool bias_term_ = false;
  bool transpose_ = false;
  /// For subclasses: M_ ones.
  Blob<Dtype> bias_multiplier_;

 private:
  void GiveWeightGradient(const Dtype* top_diff, const Dtype* bottom_data) const;

  /// Null where the gradient is added to the diff.
  typename Layer<Dtype>::GradientTaker gradient_taker_;
};

}  // namespace caffe

#endif  // CAFFE_INNER_PRODUCT_LAYER_HPP_
