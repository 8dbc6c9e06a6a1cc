#include "caffe/layers/tanh_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(TanHLayer);

}  // namespace caffe
