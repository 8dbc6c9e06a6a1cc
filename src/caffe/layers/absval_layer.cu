#include "caffe/layers/absval_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(AbsValLayer);

}  // namespace caffe
