#include "caffe/layers/contrastive_loss_layer.hpp"

#include "caffe/util/contrastive.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/ones.hpp"

namespace caffe {

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CHECK_EQ(bottom[0]->count(), bottom[1]->count())
      << "the features of both sides must have the same dimensions; their shapes are "
      << bottom[0]->shape_string() << " and " << bottom[1]->shape_string();
  CheckOneLabelEach(*bottom[0], *bottom[2]);
  diff_.ReshapeLike(*bottom[0]);
  dist_sq_.Reshape({bottom[0]->shape(0)});
  diff_sq_.ReshapeLike(*bottom[0]);
  ReshapeOnes({bottom[0]->count(1)}, &summer_vec_);
}

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  const int num = bottom[0]->shape(0), features = bottom[0]->count(1);
  caffe_sub(bottom[0]->count(), bottom[0]->cpu_data(), bottom[1]->cpu_data(), diff_.mutable_cpu_data());
  const ContrastiveFunction<Dtype> function(this->layer_param_.contrastive_loss_param());
  const Dtype* similar = bottom[2]->cpu_data();
  const Dtype* diff = diff_.cpu_data();
  Dtype* dist_sq = dist_sq_.mutable_cpu_data();
  Dtype loss = 0;
  for (int n = 0; n < num; ++n, diff += features) {
    dist_sq[n] = caffe_cpu_dot(features, diff, diff);
    loss += function.Loss(function.IsSimilar(similar[n]), dist_sq[n]);
  }
  top[0]->mutable_cpu_data()[0] = function.BatchLoss(loss, num);
}

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                               const vector<bool>& propagate_down,
                                               const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[2]) << "similarities have no gradient";
  const int num = bottom[0]->shape(0), features = bottom[0]->count(1);
  const ContrastiveFunction<Dtype> function(this->layer_param_.contrastive_loss_param());
  const Dtype* similar = bottom[2]->cpu_data();
  const Dtype* dist_sq = dist_sq_.cpu_data();
  for (int side = 0; side < 2; ++side) {
    if (!propagate_down[side]) continue;
    const Dtype weight = function.SideWeight(side, top[0]->cpu_diff()[0], num);
    for (int n = 0; n < num; ++n) {
      const int64_t at = static_cast<int64_t>(n) * features;
      caffe_cpu_scale(features, weight * function.Factor(function.IsSimilar(similar[n]), dist_sq[n]),
                      diff_.cpu_data() + at, bottom[side]->mutable_cpu_diff() + at);
    }
  }
}

#ifdef CPU_ONLY
STUB_GPU(ContrastiveLossLayer);
#endif

INSTANTIATE_CLASS(ContrastiveLossLayer);
REGISTER_LAYER_CLASS(ContrastiveLoss);

}  // namespace caffe
