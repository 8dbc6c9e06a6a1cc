#include "caffe/layers/elu_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(ELULayer);

}  // namespace caffe
