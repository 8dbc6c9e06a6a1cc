#include "caffe/layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

// Runs a step of a layer; its errors name the layer.
template <typename Dtype, typename Step>
auto Named(const Layer<Dtype>& layer, Step step) {
  try {
    return step();
  } catch (const Error& error) {
    throw error.WithLayer(layer.layer_param().name(), layer.type());
  }
}

void CheckCount(size_t count, int exact, int min, int max, const char* kind) {
  const int n = static_cast<int>(count);
  if (exact >= 0) CHECK_EQ(exact, n) << "takes exactly " << exact << " " << kind << " blob(s), not " << n;
  if (min >= 0) CHECK_LE(min, n) << "takes at least " << min << " " << kind << " blob(s), not " << n;
  if (max >= 0) CHECK_GE(max, n) << "takes at most " << max << " " << kind << " blob(s), not " << n;
}

}  // namespace

template <typename Dtype>
Layer<Dtype>::Layer(const LayerParameter& param) : layer_param_(param), phase_(param.phase()) {
  for (const BlobProto& proto : layer_param_.blobs()) {
    blobs_.push_back(std::make_shared<Blob<Dtype>>());
    blobs_.back()->FromProto(proto);
  }
}

template <typename Dtype>
void Layer<Dtype>::SetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  Named(*this, [&] {
    CheckBlobCounts(bottom, top);
    LayerSetUp(bottom, top);
    Reshape(bottom, top);
    SetLossWeights(top);
  });
}

template <typename Dtype>
Dtype Layer<Dtype>::Forward(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  return Named(*this, [&] {
    Reshape(bottom, top);
    if (Caffe::mode() == Caffe::GPU) {
      Forward_gpu(bottom, top);
    } else {
      Forward_cpu(bottom, top);
    }
    Dtype loss = 0;
    for (size_t i = 0; i < top.size(); ++i) {
      if (!this->loss(static_cast<int>(i))) continue;
      loss += caffe_cpu_dot(top[i]->count(), top[i]->cpu_data(), top[i]->cpu_diff());
    }
    return loss;
  });
}

template <typename Dtype>
void Layer<Dtype>::Backward(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom) {
  Named(*this, [&] {
    if (Caffe::mode() == Caffe::GPU) {
      Backward_gpu(top, propagate_down, bottom);
    } else {
      Backward_cpu(top, propagate_down, bottom);
    }
  });
}

template <typename Dtype>
void Layer<Dtype>::ToProto(LayerParameter* param, bool write_diff) {
  *param = layer_param_;
  param->clear_blobs();
  for (const auto& blob : blobs_) blob->ToProto(param->add_blobs(), write_diff);
}

template <typename Dtype>
Dtype Layer<Dtype>::loss(const int top_index) const {
  return static_cast<size_t>(top_index) < loss_.size() ? loss_[top_index] : Dtype(0);
}

template <typename Dtype>
void Layer<Dtype>::set_loss(const int top_index, const Dtype value) {
  if (loss_.size() <= static_cast<size_t>(top_index)) loss_.resize(top_index + 1, Dtype(0));
  loss_[top_index] = value;
}

template <typename Dtype>
bool Layer<Dtype>::param_propagate_down(const int param_id) const {
  return static_cast<size_t>(param_id) < param_propagate_down_.size() && param_propagate_down_[param_id];
}

template <typename Dtype>
void Layer<Dtype>::set_param_propagate_down(const int param_id, const bool value) {
  if (param_propagate_down_.size() <= static_cast<size_t>(param_id)) {
    param_propagate_down_.resize(param_id + 1, true);
  }
  param_propagate_down_[param_id] = value;
}

template <typename Dtype>
void Layer<Dtype>::CheckBlobCounts(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CheckCount(bottom.size(), ExactNumBottomBlobs(), MinBottomBlobs(), MaxBottomBlobs(), "bottom");
  CheckCount(top.size(), ExactNumTopBlobs(), MinTopBlobs(), MaxTopBlobs(), "top");
  if (EqualNumBottomTopBlobs()) {
    CHECK_EQ(bottom.size(), top.size()) << "takes as many bottom blobs as top blobs";
  }
}

template <typename Dtype>
void Layer<Dtype>::SetLossWeights(const vector<Blob<Dtype>*>& top) {
  const int num_loss_weights = layer_param_.loss_weight_size();
  if (num_loss_weights == 0) return;
  CHECK_EQ(top.size(), num_loss_weights) << "loss_weight must be given once for each top blob, or not at all";
  for (size_t i = 0; i < top.size(); ++i) {
    const Dtype loss_weight = layer_param_.loss_weight(static_cast<int>(i));
    if (loss_weight == Dtype(0)) continue;
    set_loss(static_cast<int>(i), loss_weight);
    caffe_set(top[i]->count(), loss_weight, top[i]->mutable_cpu_diff());
  }
}

INSTANTIATE_CLASS(Layer);

}  // namespace caffe
