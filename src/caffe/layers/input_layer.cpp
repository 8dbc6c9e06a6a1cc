#include "caffe/layers/input_layer.hpp"

namespace caffe {

template <typename Dtype>
void InputLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  const InputParameter& param = this->layer_param_.input_param();
  CHECK(param.shape_size() == 0 || param.shape_size() == 1 ||
        param.shape_size() == static_cast<int>(top.size()))
      << "input_param must hold one shape for all tops, or one for each of the " << top.size() << ", not "
      << param.shape_size();
  for (size_t i = 0; param.shape_size() > 0 && i < top.size(); ++i) {
    top[i]->Reshape(param.shape(param.shape_size() == 1 ? 0 : static_cast<int>(i)));
  }
}

template <typename Dtype>
void InputLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {}

template <typename Dtype>
void InputLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&,
                                     const vector<Blob<Dtype>*>&) {}

INSTANTIATE_CLASS(InputLayer);
REGISTER_LAYER_CLASS(Input);

}  // namespace caffe
