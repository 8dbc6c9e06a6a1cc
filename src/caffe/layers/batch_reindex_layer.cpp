#include "caffe/layers/batch_reindex_layer.hpp"

#include "caffe/util/item_index.hpp"
#include "caffe/util/item_moves.hpp"

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
  const HostSide side;
  TakeItems(side, CheckedIndices(*bottom[1], bottom[0]->shape(0)), bottom[0]->count(1), side.Data(*bottom[0]),
            side.MutableData(top[0]));
}

template <typename Dtype>
void BatchReindexLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "indices have no gradient";
  if (!propagate_down[0]) return;
  const HostSide side;
  const int items = bottom[0]->shape(0);
  AddUpItems(side, CheckedIndices(*bottom[1], items), items, bottom[0]->count(1), side.Diff(*top[0]),
             side.MutableDiff(bottom[0]));
}

#ifdef CPU_ONLY
STUB_GPU(BatchReindexLayer);
#endif

INSTANTIATE_CLASS(BatchReindexLayer);
REGISTER_LAYER_CLASS(BatchReindex);

}  // namespace caffe
