#include "caffe/layers/filter_layer.hpp"
#include "caffe/util/item_moves.hpp"

namespace caffe {

template <typename Dtype>
void FilterLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const GpuSide side;
  for (size_t t = 0; t < top.size(); ++t) {
    TakeItems(side, indices_to_forward_, bottom[t]->count(1), side.Data(*bottom[t]),
              side.MutableData(top[t]));
  }
}

template <typename Dtype>
void FilterLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[bottom.size() - 1]) << "the selector has no gradient";
  const GpuSide side;
  for (size_t t = 0; t < top.size(); ++t) {
    if (!propagate_down[t]) continue;
    AddUpItems(side, indices_to_forward_, bottom[t]->shape(0), bottom[t]->count(1), side.Diff(*top[t]),
               side.MutableDiff(bottom[t]));
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(FilterLayer);

}  // namespace caffe
