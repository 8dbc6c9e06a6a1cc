#ifndef _CAFFE_UTIL_INSERT_SPLITS_HPP_
#define _CAFFE_UTIL_INSERT_SPLITS_HPP_

#include <string>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Copies a net with a Split layer after each top that is read more than once, so that the gradients of
 *        all its readers add up.
 *
 * Being a loss (a loss weight other than 0) counts as a reading; the weight then moves to the split's first
 * top. A net that already has its splits comes out unchanged.
 *
 * @throws Error naming layer and blob where a bottom is made by no layer before it.
 */
void InsertSplits(const NetParameter& param, NetParameter* param_split);

/// Makes the Split layer for top `blob_idx` of layer `layer_name`, with `split_count` tops.
void ConfigureSplitLayer(const string& layer_name, const string& blob_name, const int blob_idx,
                         const int split_count, const float loss_weight, LayerParameter* split_layer_param);

/// "BLOB_LAYER_IDX_split".
string SplitLayerName(const string& layer_name, const string& blob_name, const int blob_idx);

/// "BLOB_LAYER_IDX_split_N".
string SplitBlobName(const string& layer_name, const string& blob_name, const int blob_idx,
                     const int split_idx);

}  // namespace caffe

#endif  // _CAFFE_UTIL_INSERT_SPLITS_HPP_
