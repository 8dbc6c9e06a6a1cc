#include "caffe/layers/clip_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

DEFINE_FUNCTION_LAYER_GPU(ClipLayer);

}  // namespace caffe
