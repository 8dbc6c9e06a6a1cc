#include "caffe/layers/relu_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(ReLULayer);

}  // namespace caffe
