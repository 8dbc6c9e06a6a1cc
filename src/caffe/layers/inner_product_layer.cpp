#include "caffe/layers/inner_product_layer.hpp"

#include <algorithm>
#include <memory>
#include <typeinfo>

#include "caffe/filler.hpp"
#include "caffe/layers/binary_inner_product_layer.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/ones.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/scratch_memory.hpp"

namespace caffe {

template <typename Dtype>
void InnerProductLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  const InnerProductParameter& param = this->layer_param_.inner_product_param();
  CHECK(param.num_output() >= 1 && param.num_output() <= INT_MAX)
      << "'num_output' must be at least 1, not " << param.num_output();
  N_ = static_cast<int>(param.num_output());
  K_ = bottom[0]->count(bottom[0]->CanonicalAxisIndex(param.axis()));
  CHECK_GE(K_, 1) << "the bottom, of shape " << bottom[0]->shape_string() << ", holds no inputs";
  bias_term_ = param.bias_term();
  transpose_ = param.transpose();
  const vector<int> weight_shape = transpose_ ? vector<int>{K_, N_} : vector<int>{N_, K_};
  if (!this->blobs_.empty()) {
    CHECK_EQ(this->blobs_.size(), 1u + bias_term_)
        << "the layer needs blobs for weights" << (bias_term_ ? " and bias" : " only");
    // Old files hold the same values in four axes.
    CHECK_EQ(this->blobs_[0]->count(), static_cast<int64_t>(N_) * K_)
        << "the weights given have shape " << this->blobs_[0]->shape_string() << ", which does not fit " << N_
        << " outputs of " << K_ << " inputs";
    this->blobs_[0]->Reshape(weight_shape);
    if (bias_term_) {
      CHECK_EQ(this->blobs_[1]->count(), N_) << "the bias given has shape " << this->blobs_[1]->shape_string()
                                             << ", not one value for each of the " << N_ << " outputs";
      this->blobs_[1]->Reshape(vector<int>(1, N_));
    }
  } else {
    this->blobs_.push_back(std::make_shared<Blob<Dtype>>(weight_shape));
    FillBlob(param.weight_filler(), this->blobs_[0].get());
    if (bias_term_) {
      this->blobs_.push_back(std::make_shared<Blob<Dtype>>(vector<int>(1, N_)));
      FillBlob(param.bias_filler(), this->blobs_[1].get());
    }
  }
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int axis = bottom[0]->CanonicalAxisIndex(this->layer_param_.inner_product_param().axis());
  CHECK_EQ(bottom[0]->count(axis), K_) << "the layer was set up for " << K_
                                       << " inputs; the bottom's shape is now " << bottom[0]->shape_string();
  M_ = bottom[0]->count(0, axis);
  vector<int> top_shape(bottom[0]->shape().begin(), bottom[0]->shape().begin() + axis);
  top_shape.push_back(N_);
  top[0]->Reshape(top_shape);
  ReshapeOnes({M_}, &bias_multiplier_);
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Forward_rows(const Dtype* weights, const vector<Blob<Dtype>*>& bottom,
                                            const vector<Blob<Dtype>*>& top) {
  Dtype* top_data = top[0]->mutable_cpu_data();
  caffe_cpu_gemm<Dtype>(CblasNoTrans, transpose_ ? CblasNoTrans : CblasTrans, M_, N_, K_, 1,
                        bottom[0]->cpu_data(), weights, 0, top_data);
  if (!bias_term_) return;
  const Dtype* bias = this->blobs_[1]->cpu_data();
  ParallelFor(M_, kElementGrain / N_ + 1, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t output = 0; output < N_; ++output) top_data[row * N_ + output] += bias[output];
    }
  });
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Backward_parameters(const vector<Blob<Dtype>*>& top,
                                                   const vector<Blob<Dtype>*>& bottom) {
  const Dtype* top_diff = top[0]->cpu_diff();
  if (gradient_taker_) {
    GiveWeightGradient(top_diff, bottom[0]->cpu_data());
  } else if (this->param_propagate_down_[0]) {
    const Dtype* bottom_data = bottom[0]->cpu_data();
    Dtype* weight_diff = this->blobs_[0]->mutable_cpu_diff();
    if (transpose_) {
      caffe_cpu_gemm<Dtype>(CblasTrans, CblasNoTrans, K_, N_, M_, 1, bottom_data, top_diff, 1, weight_diff);
    } else {
      caffe_cpu_gemm<Dtype>(CblasTrans, CblasNoTrans, N_, K_, M_, 1, top_diff, bottom_data, 1, weight_diff);
    }
  }
  if (bias_term_ && this->param_propagate_down_[1]) {
    Dtype* bias_diff = this->blobs_[1]->mutable_cpu_diff();
    ParallelFor(N_, kElementGrain / std::max(M_, 1) + 1, [=](int64_t begin, int64_t end) {
      for (int64_t row = 0; row < M_; ++row) {
        for (int64_t output = begin; output < end; ++output) bias_diff[output] += top_diff[row * N_ + output];
      }
    });
  }
}

template <typename Dtype>
bool InnerProductLayer<Dtype>::SetGradientTaker(int blob, const typename Layer<Dtype>::GradientTaker& taker) {
  const std::type_info& type = typeid(*this);
  const bool is_known = type == typeid(InnerProductLayer) || type == typeid(BinaryInnerProductLayer<Dtype>);
  if (blob != 0 || transpose_ || !is_known) return false;
  gradient_taker_ = taker;
  return true;
}

template <typename Dtype>
int InnerProductLayer<Dtype>::RowsAtATime() const {
  constexpr int64_t kBytes = 4 << 20;
  const int64_t row_bytes = static_cast<int64_t>(sizeof(Dtype)) * std::max(K_, 1);
  return static_cast<int>(std::clamp<int64_t>(kBytes / row_bytes, 1, N_));
}

template <typename Dtype>
void InnerProductLayer<Dtype>::GiveWeightGradient(const Dtype* top_diff, const Dtype* bottom_data) const {
  const int most = RowsAtATime();
  static thread_local ScratchMemory memory;
  auto* const gradient = reinterpret_cast<Dtype*>(memory.Get(sizeof(Dtype) * static_cast<size_t>(most) * K_));
  for (int first = 0; first < N_; first += most) {
    const int count = std::min(most, N_ - first);
    caffe_cpu_gemm<Dtype>(CblasTrans, CblasNoTrans, count, K_, M_, 1, top_diff + first, N_, bottom_data, K_,
                          0, gradient, K_);
    gradient_taker_(static_cast<int64_t>(first) * K_, static_cast<int64_t>(count) * K_, gradient);
  }
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Backward_rows(const Dtype* weights, const vector<Blob<Dtype>*>& top,
                                             const vector<bool>& propagate_down,
                                             const vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0]) {
    caffe_cpu_gemm<Dtype>(CblasNoTrans, transpose_ ? CblasTrans : CblasNoTrans, M_, K_, N_, 1,
                          top[0]->cpu_diff(), weights, 0, bottom[0]->mutable_cpu_diff());
  }
  Backward_parameters(top, bottom);
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  Forward_rows(this->blobs_[0]->cpu_data(), bottom, top);
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  Backward_rows(this->blobs_[0]->cpu_data(), top, propagate_down, bottom);
}

#ifdef CPU_ONLY
STUB_GPU(InnerProductLayer);
#endif

INSTANTIATE_CLASS(InnerProductLayer);
REGISTER_LAYER_CLASS(InnerProduct);

}  // namespace caffe
