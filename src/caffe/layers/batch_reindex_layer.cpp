#include "caffe/layers/batch_reindex_layer.hpp"

#include "caffe/util/item_index.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void BatchReindexLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[1]->num_axes(), 1) << "the indices, bottom 1, must have one axis";
  CHECK_GE(bottom[0]->num_axes(), 1) << "bottom 0 needs an axis of items";
  vector<int> shape = bottom[0]->shape();
  shape[0] = bottom[1]->shape(0);
  top[0]->Reshape(shape);
}

template <typename Dtype>
void BatchReindexLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  const Dtype* indices = bottom[1]->cpu_data();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const int item = bottom[0]->count(1), num = bottom[0]->shape(0);
  for (int i = 0; i < bottom[1]->count(); ++i) {
    const int64_t from = CheckedIndex(indices[i], i, num);
    caffe_copy(item, x + from * item, y + static_cast<int64_t>(i) * item);
  }
}

template <typename Dtype>
void BatchReindexLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "indices have no gradient";
  if (!propagate_down[0]) return;
  const Dtype* indices = bottom[1]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const int item = bottom[0]->count(1), num = bottom[0]->shape(0);
  caffe_set(bottom[0]->count(), Dtype(0), dx);
  for (int i = 0; i < bottom[1]->count(); ++i) {
    const int64_t from = CheckedIndex(indices[i], i, num);
    caffe_axpy(item, Dtype(1), dy + static_cast<int64_t>(i) * item, dx + from * item);
  }
}

#ifdef CPU_ONLY
STUB_GPU(BatchReindexLayer);
#endif

INSTANTIATE_CLASS(BatchReindexLayer);
REGISTER_LAYER_CLASS(BatchReindex);

}  // namespace caffe
