#include "caffe/layers/spp_layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void SPPLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const SPPParameter& param = this->layer_param_.spp_param();
  // A level more would have more bins than any blob has elements.
  constexpr uint32_t kMaxHeight = 15;
  CHECK(param.pyramid_height() >= 1 && param.pyramid_height() <= kMaxHeight)
      << "spp_param.pyramid_height must be 1 to " << kMaxHeight << ", not " << param.pyramid_height();
  pyramid_height_ = static_cast<int>(param.pyramid_height());
  bottom_h_ = bottom_w_ = 0;
}

template <typename Dtype>
LayerParameter SPPLayer<Dtype>::GetPoolingParam(const int pyramid_level, const int bottom_h,
                                                const int bottom_w, const SPPParameter spp_param) {
  LayerParameter layer;
  layer.set_name(this->layer_param_.name() + " level " + std::to_string(pyramid_level));
  layer.set_type("Pooling");
  layer.set_phase(this->phase_);
  PoolingParameter& pooling = *layer.mutable_pooling_param();
  // Both enumerations have the same names and numbers.
  pooling.set_pool(static_cast<PoolingParameter_PoolMethod>(spp_param.pool()));
  pooling.set_engine(static_cast<PoolingParameter_Engine>(spp_param.engine()));
  const int bins = 1 << pyramid_level;
  const auto bin_size = [bins](int size) { return (size + bins - 1) / bins; };
  // What the bins reach over the image, on both sides together.
  const auto excess = [=](int size) { return bin_size(size) * bins - size; };
  pooling.set_kernel_h(bin_size(bottom_h));
  pooling.set_kernel_w(bin_size(bottom_w));
  pooling.set_stride_h(bin_size(bottom_h));
  pooling.set_stride_w(bin_size(bottom_w));
  pooling.set_pad_h((excess(bottom_h) + 1) / 2);
  pooling.set_pad_w((excess(bottom_w) + 1) / 2);
  return layer;
}

template <typename Dtype>
void SPPLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4) << "the bottom must be images, of shape N x channels x height x width";
  const int num = bottom[0]->shape(0), channels = bottom[0]->shape(1);
  const int height = bottom[0]->shape(2), width = bottom[0]->shape(3);
  if (levels_.empty() || height != bottom_h_ || width != bottom_w_) {
    CHECK(height > 0 && width > 0) << "images of shape " << bottom[0]->shape_string() << " hold nothing";
    levels_.clear();
    bottom_h_ = height;
    bottom_w_ = width;
    for (int i = 0; i < pyramid_height_; ++i) {
      levels_.push_back(std::make_unique<Level>());
      Level& level = *levels_.back();
      level.pooling = LayerRegistry<Dtype>::CreateLayer(
          GetPoolingParam(i, height, width, this->layer_param_.spp_param()));
      const PoolingParameter& pooling = level.pooling->layer_param().pooling_param();
      CHECK(pooling.pad_h() < pooling.kernel_h() && pooling.pad_w() < pooling.kernel_w())
          << "level " << i << " of the pyramid has " << (1 << i) << " x " << (1 << i)
          << " bins, more than an image of " << height << " x " << width << " can fill; lower pyramid_height";
      level.bottom.ReshapeLike(*bottom[0]);
      level.pooling->SetUp({&level.bottom}, {&level.pooled});
    }
  }
  int size = 0;
  for (const auto& level : levels_) {
    level->bottom.ReshapeLike(*bottom[0]);
    level->pooling->Reshape({&level->bottom}, {&level->pooled});
    size += level->pooled.count(1);
  }
  if (pyramid_height_ == 1) {
    top[0]->Reshape({num, channels, 1, 1});
  } else {
    top[0]->Reshape({num, size});
  }
}

template <typename Dtype>
void SPPLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int num = bottom[0]->shape(0), row = top[0]->count(1);
  Dtype* y = top[0]->mutable_cpu_data();
  for (const auto& level : levels_) {
    level->bottom.ShareData(*bottom[0]);
    level->pooling->Forward({&level->bottom}, {&level->pooled});
    const int part = level->pooled.count(1);
    const Dtype* pooled = level->pooled.cpu_data();
    for (int64_t n = 0; n < num; ++n) caffe_copy(part, pooled + n * part, y + n * row);
    y += part;
  }
}

template <typename Dtype>
void SPPLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                   const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const int num = bottom[0]->shape(0), row = top[0]->count(1), count = bottom[0]->count();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  caffe_set(count, Dtype(0), dx);
  for (const auto& level : levels_) {
    const int part = level->pooled.count(1);
    Dtype* pooled = level->pooled.mutable_cpu_diff();
    for (int64_t n = 0; n < num; ++n) caffe_copy(part, dy + n * row, pooled + n * part);
    dy += part;
    level->pooling->Backward({&level->pooled}, {true}, {&level->bottom});
    caffe_axpy(count, Dtype(1), level->bottom.cpu_diff(), dx);
  }
}

INSTANTIATE_CLASS(SPPLayer);
REGISTER_LAYER_CLASS(SPP);

}  // namespace caffe
