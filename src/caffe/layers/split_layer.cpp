#include "caffe/layers/split_layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void SplitLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  count_ = bottom[0]->count();
  for (Blob<Dtype>* blob : top) {
    CHECK(blob != bottom[0]) << "cannot be computed in place; give the tops other names";
    blob->ReshapeLike(*bottom[0]);
    CHECK_EQ(count_, blob->count());
  }
}

template <typename Dtype>
void SplitLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  for (Blob<Dtype>* blob : top) blob->ShareData(*bottom[0]);
}

template <typename Dtype>
void SplitLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  if (top.size() == 1) {
    caffe_copy(count_, top[0]->cpu_diff(), dx);
    return;
  }
  caffe_add(count_, top[0]->cpu_diff(), top[1]->cpu_diff(), dx);
  for (size_t i = 2; i < top.size(); ++i) caffe_axpy(count_, Dtype(1), top[i]->cpu_diff(), dx);
}

#ifdef CPU_ONLY
STUB_GPU(SplitLayer);
#endif

INSTANTIATE_CLASS(SplitLayer);
REGISTER_LAYER_CLASS(Split);

}  // namespace caffe
