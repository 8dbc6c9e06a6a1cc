#include "caffe/layers/tile_layer.hpp"

#include <climits>

#include "caffe/util/math_functions.hpp"
#include "caffe/util/tiling.hpp"

namespace caffe {

template <typename Dtype>
void TileLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const TileParameter& param = this->layer_param_.tile_param();
  axis_ = bottom[0]->CanonicalAxisIndex(param.axis());
  CHECK(param.has_tiles()) << "tile_param.tiles is needed";
  CHECK_GE(param.tiles(), 1) << "tile_param.tiles must be at least 1";
  tiles_ = param.tiles();
  vector<int> shape = bottom[0]->shape();
  const int64_t size = static_cast<int64_t>(shape[axis_]) * tiles_;
  CHECK_LE(size, INT_MAX) << "tile_param.tiles makes axis " << axis_ << " too long";
  shape[axis_] = static_cast<int>(size);
  top[0]->Reshape(shape);
  outer_dim_ = bottom[0]->count(0, axis_);
  inner_dim_ = bottom[0]->count(axis_);
}

template <typename Dtype>
void TileLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Tiling tiling = {inner_dim_, tiles_};
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  for (unsigned i = 0; i < outer_dim_ * inner_dim_; i += inner_dim_) {
    for (unsigned t = 0; t < tiles_; ++t) caffe_copy<Dtype>(inner_dim_, x + i, y + tiling.Place(i, t));
  }
}

template <typename Dtype>
void TileLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                    const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const Tiling tiling = {inner_dim_, tiles_};
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  for (unsigned i = 0; i < outer_dim_ * inner_dim_; i += inner_dim_) {
    caffe_copy<Dtype>(inner_dim_, dy + tiling.Place(i, 0), dx + i);
    for (unsigned t = 1; t < tiles_; ++t) {
      caffe_axpy<Dtype>(inner_dim_, 1, dy + tiling.Place(i, t), dx + i);
    }
  }
}

#ifdef CPU_ONLY
STUB_GPU(TileLayer);
#endif

INSTANTIATE_CLASS(TileLayer);
REGISTER_LAYER_CLASS(Tile);

}  // namespace caffe
