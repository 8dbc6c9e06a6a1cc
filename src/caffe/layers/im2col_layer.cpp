#include "caffe/layers/im2col_layer.hpp"

#include <cstdint>

#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/im2col.hpp"

namespace caffe {

template <typename Dtype>
void Im2colLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  const ConvolutionParameter& param = this->layer_param_.convolution_param();
  force_nd_im2col_ = param.force_nd_im2col();
  channel_axis_ = bottom[0]->CanonicalAxisIndex(param.axis());
  num_spatial_axes_ = bottom[0]->num_axes() - channel_axis_ - 1;
  CHECK_GE(num_spatial_axes_, 1) << "columns are made of images, and a blob of shape "
                                 << bottom[0]->shape_string() << " has no axis after the channels";
  read_conv_geometry(param, num_spatial_axes_, &kernel_shape_, &stride_, &pad_, &dilation_);
}

template <typename Dtype>
void Im2colLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), channel_axis_ + 1 + num_spatial_axes_)
      << "the number of the bottom's axes may not change after set-up";
  vector<int> shape(bottom[0]->shape().begin(), bottom[0]->shape().begin() + channel_axis_ + 1);
  num_ = bottom[0]->count(0, channel_axis_);
  channels_ = bottom[0]->shape(channel_axis_);
  for (int i = 0; i < num_spatial_axes_; ++i) {
    shape.push_back(conv_output_size(bottom[0]->shape(channel_axis_ + 1 + i), kernel_shape_.cpu_data()[i],
                                     pad_.cpu_data()[i], stride_.cpu_data()[i], dilation_.cpu_data()[i]));
  }
  conv_column_count(channels_, num_spatial_axes_, kernel_shape_.cpu_data(), shape.data() + channel_axis_ + 1);
  for (int i = 0; i < num_spatial_axes_; ++i) shape[channel_axis_] *= kernel_shape_.cpu_data()[i];
  top[0]->Reshape(shape);
  bottom_dim_ = bottom[0]->count(channel_axis_);
  top_dim_ = top[0]->count(channel_axis_);
}

template <typename Dtype>
void Im2colLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* bottom_data = bottom[0]->cpu_data();
  Dtype* top_data = top[0]->mutable_cpu_data();
  for (int64_t n = 0; n < num_; ++n) {
    im2col_nd_cpu(bottom_data + n * bottom_dim_, num_spatial_axes_, bottom[0]->shape().data() + channel_axis_,
                  top[0]->shape().data() + channel_axis_, kernel_shape_.cpu_data(), pad_.cpu_data(),
                  stride_.cpu_data(), dilation_.cpu_data(), top_data + n * top_dim_);
  }
}

template <typename Dtype>
void Im2colLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* top_diff = top[0]->cpu_diff();
  Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
  for (int64_t n = 0; n < num_; ++n) {
    col2im_nd_cpu(top_diff + n * top_dim_, num_spatial_axes_, bottom[0]->shape().data() + channel_axis_,
                  top[0]->shape().data() + channel_axis_, kernel_shape_.cpu_data(), pad_.cpu_data(),
                  stride_.cpu_data(), dilation_.cpu_data(), bottom_diff + n * bottom_dim_);
  }
}

#ifdef CPU_ONLY
STUB_GPU(Im2colLayer);
#endif

INSTANTIATE_CLASS(Im2colLayer);
REGISTER_LAYER_CLASS(Im2col);

}  // namespace caffe
