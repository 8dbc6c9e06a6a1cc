#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(SigmoidLayer);

}  // namespace caffe
