#ifndef CAFFE_UTIL_SHARED_FIELD_NUMBERS_HPP_
#define CAFFE_UTIL_SHARED_FIELD_NUMBERS_HPP_

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @name Field numbers that binary files use for two things
 *
 * In LayerParameter the HWGQ fork and BVLC Caffe gave the same numbers to different fields:
 *
 * | number | HWGQ fork                    | BVLC Caffe    | private number of the latter here |
 * | ------ | ---------------------------- | ------------- | --------------------------------- |
 * | 147    | binary_convolution_param     | swish_param   | 10147                             |
 * | 148    | binary_inner_product_param   | clip_param    | 10148                             |
 *
 * The layer's type tells which one a file means. ReadProtoFromBinaryFile and WriteProtoToBinaryFile call
 * these, so that files go to and come from both programs; text files use names and have no such clash.
 * @{
 */

/// After parsing: hands the payload of 147 in a Swish layer to swish_param, that of 148 in a Clip layer to
/// clip_param. Layers that have these fields under their private numbers are left as they are.
/// @throws Error naming the layer where a payload is not what the layer's type needs.
void SeparateSharedFieldNumbers(NetParameter* net);

/// Whether a layer has swish_param or clip_param, and JoinSharedFieldNumbers has something to do.
bool UsesSharedFieldNumbers(const NetParameter& net);

/// Before serializing: the reverse of SeparateSharedFieldNumbers.
void JoinSharedFieldNumbers(NetParameter* net);
/** @} */

}  // namespace caffe

#endif  // CAFFE_UTIL_SHARED_FIELD_NUMBERS_HPP_
