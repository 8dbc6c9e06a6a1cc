#ifndef CAFFE_UTIL_AVERAGE_POOLING_HPP_
#define CAFFE_UTIL_AVERAGE_POOLING_HPP_

#include "caffe/util/pool_window.hpp"

namespace caffe {

/**
 * @brief Means over the windows of a channel, padding counted, as PoolSums::average; 0 for an empty window.
 *
 * @param channel height x width values
 * @param averages pooled_height x pooled_width values
 */
template <typename Dtype>
void AverageOfChannel(const PoolGeometry& geometry, const Dtype* channel, Dtype* averages);

/// The other way: adds to the gradient of each of a channel's elements what the means' gradients hand on to
/// it.
template <typename Dtype>
void SpreadOverChannel(const PoolGeometry& geometry, const Dtype* averages_diff, Dtype* channel_diff);

}  // namespace caffe

#endif  // CAFFE_UTIL_AVERAGE_POOLING_HPP_
