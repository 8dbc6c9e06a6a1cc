#include "caffe/layers/batch_reindex_layer.hpp"
#include "caffe/util/item_index.hpp"
#include "caffe/util/item_moves.hpp"

namespace caffe {

template <typename Dtype>
void BatchReindexLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  const GpuSide side;
  TakeItems(side, CheckedIndices(*bottom[1], bottom[0]->shape(0)), bottom[0]->count(1), side.Data(*bottom[0]),
            side.MutableData(top[0]));
}

template <typename Dtype>
void BatchReindexLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "indices have no gradient";
  if (!propagate_down[0]) return;
  const GpuSide side;
  const int items = bottom[0]->shape(0);
  AddUpItems(side, CheckedIndices(*bottom[1], items), items, bottom[0]->count(1), side.Diff(*top[0]),
             side.MutableDiff(bottom[0]));
}

INSTANTIATE_LAYER_GPU_FUNCS(BatchReindexLayer);

}  // namespace caffe
