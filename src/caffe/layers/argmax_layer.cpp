#include "caffe/layers/argmax_layer.hpp"

#include <algorithm>
#include <numeric>

#include "caffe/util/parallel_for.hpp"
#include "caffe/util/placed_value.hpp"

namespace caffe {

template <typename Dtype>
void ArgMaxLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const ArgMaxParameter& param = this->layer_param_.argmax_param();
  out_max_val_ = param.out_max_val();
  top_k_ = param.top_k();
  has_axis_ = param.has_axis();
  CHECK_GE(top_k_, 1) << "argmax_param.top_k must be at least 1";
}

template <typename Dtype>
void ArgMaxLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  vector<int> shape = bottom[0]->shape();
  if (has_axis_) {
    axis_ = bottom[0]->CanonicalAxisIndex(this->layer_param_.argmax_param().axis());
    CHECK_LE(top_k_, bottom[0]->shape(axis_)) << "argmax_param.top_k is more than axis " << axis_ << " holds";
    shape[axis_] = static_cast<int>(top_k_);
  } else {
    CHECK_GE(bottom[0]->num_axes(), 1) << "the bottom needs an axis of items";
    CHECK_LE(top_k_, bottom[0]->count(1)) << "argmax_param.top_k is more than an item holds";
    std::fill(shape.begin() + 1, shape.end(), 1);
    shape.resize(std::max<size_t>(shape.size(), 3), 1);
    shape[1] = out_max_val_ ? 2 : 1;
    shape[2] = static_cast<int>(top_k_);
  }
  top[0]->Reshape(shape);
}

template <typename Dtype>
void ArgMaxLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const int dim = has_axis_ ? bottom[0]->shape(axis_) : bottom[0]->count(1);
  const int inner = has_axis_ ? bottom[0]->count(axis_ + 1) : 1;
  const int searches = has_axis_ ? bottom[0]->count(0, axis_) * inner : bottom[0]->shape(0);
  const int k = static_cast<int>(top_k_);
  // Items of a top without axis are the indices, and then, where asked for, the values.
  const bool both = out_max_val_ && !has_axis_;
  const int rows = both ? 2 : 1;
  ParallelFor(searches, kElementGrain / std::max(dim, 1) + 1, [&](int64_t begin, int64_t end) {
    vector<int> places(dim);
    for (int64_t s = begin; s < end; ++s) {
      const int64_t outer = s / inner, at = s % inner;
      const Dtype* values = x + outer * dim * inner + at;
      const auto value = [=](int place) { return values[static_cast<int64_t>(place) * inner]; };
      const auto at_place = [=](int place) { return PlacedValue<Dtype>{value(place), place}; };
      std::iota(places.begin(), places.end(), 0);
      std::partial_sort(places.begin(), places.begin() + k, places.end(),
                        [&](int a, int b) { return at_place(a).ComesBefore(at_place(b)); });
      Dtype* out = y + outer * rows * k * inner + at;
      for (int j = 0; j < k; ++j) {
        out[static_cast<int64_t>(j) * inner] =
            out_max_val_ && has_axis_ ? value(places[j]) : static_cast<Dtype>(places[j]);
        if (both) out[k + j] = value(places[j]);
      }
    }
  });
}

template <typename Dtype>
void ArgMaxLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>&) {
  CHECK(!propagate_down[0]) << "the place of a maximum has no gradient; set propagate_down: false";
}

#ifdef CPU_ONLY
STUB_GPU_FORWARD(ArgMaxLayer, Forward);
#endif

INSTANTIATE_CLASS(ArgMaxLayer);
REGISTER_LAYER_CLASS(ArgMax);

}  // namespace caffe
