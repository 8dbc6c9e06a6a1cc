#include "caffe/layers/im2col_layer.hpp"

#include <vector>

#include "caffe/util/column_axes.hpp"
#include "caffe/util/im2col.hpp"

namespace caffe {

namespace {

template <typename Dtype>
vector<ColumnAxis> AxesOf(const Blob<Dtype>& image, const Blob<Dtype>& columns, int channel_axis,
                          const Blob<int>& kernel_shape, const Blob<int>& pad, const Blob<int>& stride,
                          const Blob<int>& dilation) {
  return MakeColumnAxes(image.num_axes() - channel_axis - 1, image.shape().data() + channel_axis,
                        columns.shape().data() + channel_axis, kernel_shape.cpu_data(), pad.cpu_data(),
                        stride.cpu_data(), dilation.cpu_data());
}

}  // namespace

// The columns of all images, one after the other, are those of one image with all their channels.
template <typename Dtype>
void Im2colLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  images_to_columns_gpu(AxesOf(*bottom[0], *top[0], channel_axis_, kernel_shape_, pad_, stride_, dilation_),
                        1, num_ * channels_, bottom[0]->gpu_data(), top[0]->mutable_gpu_data());
}

template <typename Dtype>
void Im2colLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  columns_to_images_gpu<Dtype>(
      AxesOf(*bottom[0], *top[0], channel_axis_, kernel_shape_, pad_, stride_, dilation_), 1,
      num_ * channels_, top[0]->gpu_diff(), nullptr, bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(Im2colLayer);

}  // namespace caffe
