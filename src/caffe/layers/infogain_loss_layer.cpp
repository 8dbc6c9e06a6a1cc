#include "caffe/layers/infogain_loss_layer.hpp"

#include "caffe/util/io.hpp"
#include "caffe/util/reduce.hpp"

namespace caffe {

template <typename Dtype>
int InfogainLossLayer<Dtype>::class_axis() const {
  return this->layer_param_.infogain_loss_param().axis();
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  SoftmaxLossBase<Dtype>::LayerSetUp(bottom, top);
  if (bottom.size() > 2) return;
  CHECK(this->layer_param_.infogain_loss_param().has_source())
      << "the matrix H is missing: give it as the third bottom, or a file in infogain_loss_param.source";
  BlobProto proto;
  ReadProtoFromBinaryFileOrDie(this->layer_param_.infogain_loss_param().source(), &proto);
  infogain_.FromProto(proto);
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  SoftmaxLossBase<Dtype>::Reshape(bottom, top);
  infogain_axis_ = bottom[0]->CanonicalAxisIndex(class_axis());
  num_labels_ = bottom[0]->shape(infogain_axis_);
  const Blob<Dtype>& infogain = bottom.size() > 2 ? *bottom[2] : infogain_;
  CHECK_EQ(infogain.count(), static_cast<int64_t>(num_labels_) * num_labels_)
      << "the matrix H, of shape " << infogain.shape_string()
      << ", must hold one row and one column for each of " << num_labels_ << " classes";
  sum_rows_H_.Reshape({num_labels_});
  if (bottom.size() == 2) sum_rows_of_H(&infogain_);
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::sum_rows_of_H(const Blob<Dtype>* H) {
  const Dtype* infogain = H->cpu_data();
  Dtype* sums = sum_rows_H_.mutable_cpu_data();
  for (int row = 0; row < num_labels_; ++row, infogain += num_labels_) {
    sums[row] = SumOver<Dtype>(num_labels_, [infogain](int64_t i) { return infogain[i]; });
  }
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  this->softmax_layer_->Forward(this->softmax_bottom_vec_, this->softmax_top_vec_);
  const Dtype* prob = this->prob_.cpu_data();
  const Dtype* infogain = (bottom.size() > 2 ? *bottom[2] : infogain_).cpu_data();
  Dtype loss = 0;
  this->valid_count_ = this->ForEachLabel(*bottom[1], [&](int label, int64_t at) {
    for (int k = 0; label >= 0 && k < num_labels_; ++k) {
      const Dtype p = prob[at + static_cast<int64_t>(k) * this->inner_num_];
      loss += InfogainFunction<Dtype>::Loss(p, infogain[static_cast<int64_t>(label) * num_labels_ + k]);
    }
  });
  top[0]->mutable_cpu_data()[0] = loss / this->get_normalizer(this->normalization_, this->valid_count_);
  if (top.size() > 1) top[1]->ShareData(this->prob_);
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  CHECK(bottom.size() == 2 || !propagate_down[2]) << "the matrix H has no gradient";
  if (!propagate_down[0]) return;
  if (bottom.size() > 2) sum_rows_of_H(bottom[2]);
  const Dtype* infogain = (bottom.size() > 2 ? *bottom[2] : infogain_).cpu_data();
  const Dtype* row_sums = sum_rows_H_.cpu_data();
  const Dtype* prob = this->prob_.cpu_data();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const int count = this->ForEachLabel(*bottom[1], [&](int label, int64_t at) {
    for (int k = 0; k < num_labels_; ++k, at += this->inner_num_) {
      dx[at] = label < 0
                   ? Dtype(0)
                   : InfogainFunction<Dtype>::Gradient(
                         prob[at], infogain[static_cast<int64_t>(label) * num_labels_ + k], row_sums[label]);
    }
  });
  bottom[0]->scale_diff(top[0]->cpu_diff()[0] / this->get_normalizer(this->normalization_, count));
}

#ifdef CPU_ONLY
STUB_GPU(InfogainLossLayer);
#endif

INSTANTIATE_CLASS(InfogainLossLayer);
REGISTER_LAYER_CLASS(InfogainLoss);

}  // namespace caffe
