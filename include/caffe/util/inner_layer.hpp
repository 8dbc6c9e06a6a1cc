#ifndef CAFFE_UTIL_INNER_LAYER_HPP_
#define CAFFE_UTIL_INNER_LAYER_HPP_

#include <string>

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// The definition, without settings, of a layer that another one is made of. Its name, which errors show, is
/// that of the whole and the part.
inline LayerParameter InnerLayer(const LayerParameter& whole, const std::string& type,
                                 const std::string& part) {
  LayerParameter param;
  param.set_name(whole.name() + " " + part);
  param.set_type(type);
  param.set_phase(whole.phase());
  return param;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_INNER_LAYER_HPP_
