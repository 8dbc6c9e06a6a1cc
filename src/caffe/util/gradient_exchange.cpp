#include "caffe/util/gradient_exchange.hpp"

namespace caffe {

template <typename Dtype>
GradientExchange<Dtype>::GradientExchange(Solver<Dtype>* solver, const ParamLayout& layout, size_t least_part)
    : exchanging_(solver), num_params_(layout.num_params()), first_to_send_(layout.FirstToSend(least_part)) {}

template <typename Dtype>
void GradientExchange<Dtype>::on_start() {
  passes_left_ = exchanging_->param().iter_size();
  sent_from_ = num_params_;
}

template <typename Dtype>
void GradientExchange<Dtype>::run(int layer) {
  if (passes_left_ == 1 && first_to_send_[layer] >= 0) SendFrom(first_to_send_[layer]);
  if (layer == 0) --passes_left_;
}

template <typename Dtype>
void GradientExchange<Dtype>::SendFrom(int first) {
  if (first >= sent_from_) return;
  Send(first, sent_from_);
  sent_from_ = first;
}

template <typename Dtype>
void GradientExchange<Dtype>::on_gradients_ready() {
  SendFrom(0);
  Finish();
}

INSTANTIATE_CLASS(GradientExchange);

}  // namespace caffe
