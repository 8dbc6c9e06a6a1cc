#include "caffe/layers/power_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(PowerLayer);

}  // namespace caffe
