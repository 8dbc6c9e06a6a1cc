#ifndef CAFFE_UTIL_INPUT_LEVELS_HPP_
#define CAFFE_UTIL_INPUT_LEVELS_HPP_

#include <vector>

#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Tells the layers of a net which of them read a quantizer's levels (Layer::SetInputLevels).
 *
 * Levels are those of Quant layers with a few of them, and pass through layers that only move, copy or choose
 * values. Does nothing where the environment variable HWGQ_FLOAT_NET is 1.
 *
 * @param param the net's definition, with Split layers.
 * @param layers its layers, in that order.
 */
template <typename Dtype>
void TellInputLevels(const NetParameter& param, Phase phase, const vector<shared_ptr<Layer<Dtype>>>& layers);

}  // namespace caffe

#endif  // CAFFE_UTIL_INPUT_LEVELS_HPP_
