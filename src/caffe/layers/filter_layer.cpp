#include "caffe/layers/filter_layer.hpp"

#include "caffe/util/item_moves.hpp"

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
  const HostSide side;
  for (size_t t = 0; t < top.size(); ++t) {
    TakeItems(side, indices_to_forward_, bottom[t]->count(1), side.Data(*bottom[t]),
              side.MutableData(top[t]));
  }
}

template <typename Dtype>
void FilterLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[bottom.size() - 1]) << "the selector has no gradient";
  const HostSide side;
  for (size_t t = 0; t < top.size(); ++t) {
    if (!propagate_down[t]) continue;
    AddUpItems(side, indices_to_forward_, bottom[t]->shape(0), bottom[t]->count(1), side.Diff(*top[t]),
               side.MutableDiff(bottom[t]));
  }
}

#ifdef CPU_ONLY
STUB_GPU(FilterLayer);
#endif

INSTANTIATE_CLASS(FilterLayer);
REGISTER_LAYER_CLASS(Filter);

}  // namespace caffe
