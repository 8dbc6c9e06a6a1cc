#include "caffe/layers/filter_layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void FilterLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(top.size(), bottom.size() - 1)
      << "there must be a top for each bottom but the last, which is the selector";
  first_reshape_ = true;
}

template <typename Dtype>
void FilterLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Blob<Dtype>& selector = *bottom.back();
  CHECK_GE(selector.num_axes(), 1) << "the selector, the last bottom, needs an axis of items";
  const int num = selector.shape(0);
  CHECK_EQ(selector.count(), num) << "the selector, the last bottom, must hold one value for each item; its "
                                  << "shape is " << selector.shape_string();
  int num_passed = num;
  // When a net is built the selector holds nothing yet: the tops get the size they can have at most.
  if (!first_reshape_) {
    indices_to_forward_.clear();
    const Dtype* selected = selector.cpu_data();
    for (int i = 0; i < num; ++i) {
      if (selected[i] != 0) indices_to_forward_.push_back(i);
    }
    num_passed = static_cast<int>(indices_to_forward_.size());
  }
  first_reshape_ = false;
  for (size_t t = 0; t < top.size(); ++t) {
    CHECK(bottom[t]->num_axes() >= 1 && bottom[t]->shape(0) == num)
        << "bottom " << t << ", of shape " << bottom[t]->shape_string() << ", must hold " << num
        << " items, as the selector does";
    vector<int> shape = bottom[t]->shape();
    shape[0] = num_passed;
    top[t]->Reshape(shape);
  }
}

template <typename Dtype>
void FilterLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  for (size_t t = 0; t < top.size(); ++t) {
    const Dtype* x = bottom[t]->cpu_data();
    Dtype* y = top[t]->mutable_cpu_data();
    const int64_t item = bottom[t]->count(1);
    for (const int64_t index : indices_to_forward_) {
      caffe_copy(static_cast<int>(item), x + index * item, y);
      y += item;
    }
  }
}

template <typename Dtype>
void FilterLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[bottom.size() - 1]) << "the selector has no gradient";
  for (size_t t = 0; t < top.size(); ++t) {
    if (!propagate_down[t]) continue;
    const Dtype* dy = top[t]->cpu_diff();
    Dtype* dx = bottom[t]->mutable_cpu_diff();
    const int64_t item = bottom[t]->count(1);
    caffe_set(bottom[t]->count(), Dtype(0), dx);
    for (const int64_t index : indices_to_forward_) {
      caffe_copy(static_cast<int>(item), dy, dx + index * item);
      dy += item;
    }
  }
}

#ifdef CPU_ONLY
STUB_GPU(FilterLayer);
#endif

INSTANTIATE_CLASS(FilterLayer);
REGISTER_LAYER_CLASS(Filter);

}  // namespace caffe
