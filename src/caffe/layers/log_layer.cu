#include "caffe/layers/log_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(LogLayer);

}  // namespace caffe
