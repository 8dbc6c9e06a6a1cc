#include "caffe/layers/exp_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(ExpLayer);

}  // namespace caffe
