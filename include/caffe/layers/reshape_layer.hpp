#ifndef CAFFE_RESHAPE_LAYER_HPP_
#define CAFFE_RESHAPE_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Gives a blob another shape of the same count; shares the bottom's memory.
 *
 * Of the axes from reshape_param.axis on, num_axes (-1: all) are replaced by `shape`, in which 0 copies the
 * bottom's dimension and one -1 is inferred.
 */
template <typename Dtype>
class ReshapeLayer : public Layer<Dtype> {
 public:
  explicit ReshapeLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Reshape"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// Axes whose dimensions are copied from the bottom.
  vector<int> copy_axes_;
  /// The axis that is inferred, or -1.
  int inferred_axis_ = -1;
  /// Product of the given dimensions.
  int constant_count_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_RESHAPE_LAYER_HPP_
