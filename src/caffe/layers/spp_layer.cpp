#include "caffe/layers/spp_layer.hpp"

#include <memory>
#include <string>

#include "caffe/util/inner_layer.hpp"

namespace caffe {

template <typename Dtype>
void SPPLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const SPPParameter& param = this->layer_param_.spp_param();
  // A level more would have more bins than any blob has elements.
  constexpr uint32_t kMaxHeight = 15;
  CHECK(param.pyramid_height() >= 1 && param.pyramid_height() <= kMaxHeight)
      << "spp_param.pyramid_height must be 1 to " << kMaxHeight << ", not " << param.pyramid_height();
  pyramid_height_ = static_cast<int>(param.pyramid_height());
  reshaped_first_time_ = false;
}

// The last parameter as classes of others override it. NOLINTBEGIN(performance-unnecessary-value-param)
template <typename Dtype>
LayerParameter SPPLayer<Dtype>::GetPoolingParam(const int pyramid_level, const int bottom_h,
                                                const int bottom_w, const SPPParameter spp_param) {
  // NOLINTEND(performance-unnecessary-value-param)
  LayerParameter layer = InnerLayer(this->layer_param_, "Pooling", "level " + std::to_string(pyramid_level));
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
shared_ptr<PoolingLayer<Dtype>> SPPLayer<Dtype>::MakePooling(int level, int height, int width) {
  const LayerParameter param = GetPoolingParam(level, height, width, this->layer_param_.spp_param());
  const PoolingParameter& pooling = param.pooling_param();
  kernel_h_ = pooling.kernel_h();
  kernel_w_ = pooling.kernel_w();
  pad_h_ = pooling.pad_h();
  pad_w_ = pooling.pad_w();
  CHECK(pad_h_ < kernel_h_ && pad_w_ < kernel_w_)
      << "level " << level << " of the pyramid has " << (1 << level) << " x " << (1 << level)
      << " bins, more than an image of " << height << " x " << width << " can fill; lower pyramid_height";
  return std::make_shared<PoolingLayer<Dtype>>(param);
}

template <typename Dtype>
void SPPLayer<Dtype>::SetUpLevels(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  pooling_layers_.clear();
  if (pyramid_height_ == 1) {
    pooling_layers_.push_back(MakePooling(0, bottom_h_, bottom_w_));
    pooling_layers_[0]->SetUp(bottom, top);
    return;
  }
  for (auto* vecs : {&pooling_bottom_vecs_, &pooling_top_vecs_, &flatten_top_vecs_}) vecs->clear();
  for (auto* blobs : {&split_top_vec_, &pooling_outputs_, &flatten_outputs_, &concat_bottom_vec_}) {
    blobs->clear();
  }
  flatten_layers_.clear();
  levels_.clear();
  for (int i = 0; i < pyramid_height_; ++i) {
    const std::string name = "level " + std::to_string(i) + " flat";
    levels_.push_back(std::make_unique<Level>(InnerLayer(this->layer_param_, "Flatten", name)));
    Level& level = *levels_.back();
    split_top_vec_.push_back(&level.copy);
    pooling_bottom_vecs_.push_back(&level.pooling_bottom);
    pooling_top_vecs_.push_back(&level.pooling_top);
    pooling_outputs_.push_back(&level.pooled);
    flatten_layers_.push_back(&level.flatten);
    flatten_top_vecs_.push_back(&level.flatten_top);
    flatten_outputs_.push_back(&level.flat);
    concat_bottom_vec_.push_back(&level.flat);
  }
  split_layer_ = std::make_shared<SplitLayer<Dtype>>(InnerLayer(this->layer_param_, "Split", "copies"));
  split_layer_->SetUp(bottom, split_top_vec_);
  for (int i = 0; i < pyramid_height_; ++i) {
    pooling_layers_.push_back(MakePooling(i, bottom_h_, bottom_w_));
    pooling_layers_[i]->SetUp(*pooling_bottom_vecs_[i], *pooling_top_vecs_[i]);
    flatten_layers_[i]->SetUp(*pooling_top_vecs_[i], *flatten_top_vecs_[i]);
  }
  concat_layer_ = std::make_shared<ConcatLayer<Dtype>>(InnerLayer(this->layer_param_, "Concat", "levels"));
  concat_layer_->SetUp(concat_bottom_vec_, top);
}

template <typename Dtype>
void SPPLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4) << "the bottom must be images, of shape N x channels x height x width";
  const bool same_size = bottom[0]->height() == bottom_h_ && bottom[0]->width() == bottom_w_;
  num_ = bottom[0]->num();
  channels_ = bottom[0]->channels();
  if (!reshaped_first_time_ || !same_size) {
    // The bins depend on the images' size. Until they are made again there is none.
    reshaped_first_time_ = false;
    bottom_h_ = bottom[0]->height();
    bottom_w_ = bottom[0]->width();
    CHECK(bottom_h_ > 0 && bottom_w_ > 0)
        << "images of shape " << bottom[0]->shape_string() << " hold nothing";
    SetUpLevels(bottom, top);
    reshaped_first_time_ = true;
  } else if (pyramid_height_ == 1) {
    pooling_layers_[0]->Reshape(bottom, top);
  } else {
    split_layer_->Reshape(bottom, split_top_vec_);
    for (int i = 0; i < pyramid_height_; ++i) {
      pooling_layers_[i]->Reshape(*pooling_bottom_vecs_[i], *pooling_top_vecs_[i]);
      flatten_layers_[i]->Reshape(*pooling_top_vecs_[i], *flatten_top_vecs_[i]);
    }
    concat_layer_->Reshape(concat_bottom_vec_, top);
  }
}

template <typename Dtype>
void SPPLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (pyramid_height_ == 1) {
    pooling_layers_[0]->Forward(bottom, top);
    return;
  }
  split_layer_->Forward(bottom, split_top_vec_);
  for (int i = 0; i < pyramid_height_; ++i) {
    pooling_layers_[i]->Forward(*pooling_bottom_vecs_[i], *pooling_top_vecs_[i]);
    flatten_layers_[i]->Forward(*pooling_top_vecs_[i], *flatten_top_vecs_[i]);
  }
  concat_layer_->Forward(concat_bottom_vec_, top);
}

template <typename Dtype>
void SPPLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                   const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  if (pyramid_height_ == 1) {
    pooling_layers_[0]->Backward(top, propagate_down, bottom);
    return;
  }
  concat_layer_->Backward(top, vector<bool>(pyramid_height_, true), concat_bottom_vec_);
  for (int i = 0; i < pyramid_height_; ++i) {
    flatten_layers_[i]->Backward(*flatten_top_vecs_[i], {true}, *pooling_top_vecs_[i]);
    pooling_layers_[i]->Backward(*pooling_top_vecs_[i], {true}, *pooling_bottom_vecs_[i]);
  }
  split_layer_->Backward(split_top_vec_, propagate_down, bottom);
}

INSTANTIATE_CLASS(SPPLayer);
REGISTER_LAYER_CLASS(SPP);

}  // namespace caffe
