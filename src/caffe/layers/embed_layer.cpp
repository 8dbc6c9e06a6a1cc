#include "caffe/layers/embed_layer.hpp"

#include <climits>

#include "caffe/filler.hpp"
#include "caffe/util/item_index.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/ones.hpp"

namespace caffe {

template <typename Dtype>
void EmbedLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const EmbedParameter& param = this->layer_param_.embed_param();
  CHECK(param.num_output() >= 1 && param.num_output() <= INT_MAX)
      << "embed_param.num_output must be at least 1, not " << param.num_output();
  CHECK(param.input_dim() >= 1 && param.input_dim() <= INT_MAX)
      << "embed_param.input_dim must be at least 1, not " << param.input_dim();
  N_ = static_cast<int>(param.num_output());
  K_ = static_cast<int>(param.input_dim());
  bias_term_ = param.bias_term();
  if (this->blobs_.empty()) {
    this->blobs_.push_back(std::make_shared<Blob<Dtype>>(vector<int>{K_, N_}));
    FillBlob(param.weight_filler(), this->blobs_[0].get());
    if (bias_term_) {
      this->blobs_.push_back(std::make_shared<Blob<Dtype>>(vector<int>{N_}));
      FillBlob(param.bias_filler(), this->blobs_[1].get());
    }
  } else {
    CHECK_EQ(this->blobs_.size(), 1u + bias_term_)
        << "the layer needs blobs for weights" << (bias_term_ ? " and bias" : " only");
    CHECK(this->blobs_[0]->shape() == vector<int>({K_, N_}))
        << "the weights given have shape " << this->blobs_[0]->shape_string() << ", not " << K_ << " rows of "
        << N_;
    CHECK(!bias_term_ || this->blobs_[1]->count() == N_)
        << "the bias given has shape " << this->blobs_[1]->shape_string() << ", not " << N_ << " values";
  }
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void EmbedLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  M_ = bottom[0]->count();
  vector<int> shape = bottom[0]->shape();
  shape.push_back(N_);
  top[0]->Reshape(shape);
  ReshapeOnes({M_}, &bias_multiplier_);
}

template <typename Dtype>
void EmbedLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* indices = bottom[0]->cpu_data();
  const Dtype* rows = this->blobs_[0]->cpu_data();
  const Dtype* bias = bias_term_ ? this->blobs_[1]->cpu_data() : nullptr;
  Dtype* y = top[0]->mutable_cpu_data();
  for (int i = 0; i < M_; ++i) {
    const Dtype* row = rows + static_cast<int64_t>(CheckedIndex(indices[i], i, K_)) * N_;
    Dtype* to = y + static_cast<int64_t>(i) * N_;
    if (bias) {
      caffe_add(N_, row, bias, to);
    } else {
      caffe_copy(N_, row, to);
    }
  }
}

template <typename Dtype>
void EmbedLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[0]) << "indices have no gradient";
  const Dtype* dy = top[0]->cpu_diff();
  const bool learn_bias = bias_term_ && this->param_propagate_down_[1];
  Dtype* drows = this->param_propagate_down_[0] ? this->blobs_[0]->mutable_cpu_diff() : nullptr;
  Dtype* dbias = learn_bias ? this->blobs_[1]->mutable_cpu_diff() : nullptr;
  const Dtype* indices = bottom[0]->cpu_data();
  for (int i = 0; i < M_; ++i) {
    const Dtype* from = dy + static_cast<int64_t>(i) * N_;
    if (drows) {
      const int64_t index = CheckedIndex(indices[i], i, K_);
      caffe_axpy(N_, Dtype(1), from, drows + index * N_);
    }
    if (dbias) caffe_axpy(N_, Dtype(1), from, dbias);
  }
}

#ifdef CPU_ONLY
STUB_GPU(EmbedLayer);
#endif

INSTANTIATE_CLASS(EmbedLayer);
REGISTER_LAYER_CLASS(Embed);

}  // namespace caffe
