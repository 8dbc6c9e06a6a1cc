#include "caffe/layers/bnll_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(BNLLLayer);

}  // namespace caffe
