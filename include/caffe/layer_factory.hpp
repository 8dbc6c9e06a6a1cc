#ifndef CAFFE_LAYER_FACTORY_H_
#define CAFFE_LAYER_FACTORY_H_

#include <map>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

template <typename Dtype>
class Layer;

/**
 * @brief Makes layers by the name of their type.
 *
 * A layer registers itself where it is defined, with REGISTER_LAYER_CLASS(My) for a class MyLayer whose
 * constructor takes the LayerParameter, or with REGISTER_LAYER_CREATOR(My, function).
 */
template <typename Dtype>
class LayerRegistry {
 public:
  typedef shared_ptr<Layer<Dtype>> (*Creator)(const LayerParameter&);
  typedef std::map<string, Creator> CreatorRegistry;

  static CreatorRegistry& Registry();

  /// @throws Error where the type is registered already.
  static void AddCreator(const string& type, Creator creator);

  /// @throws Error for an unknown type, naming the nearest known ones.
  static shared_ptr<Layer<Dtype>> CreateLayer(const LayerParameter& param);

  /// All registered types, in alphabetical order.
  static vector<string> LayerTypeList();

 private:
  LayerRegistry() = delete;
};

template <typename Dtype>
class LayerRegisterer {
 public:
  LayerRegisterer(const string& type, shared_ptr<Layer<Dtype>> (*creator)(const LayerParameter&)) {
    LayerRegistry<Dtype>::AddCreator(type, creator);
  }
};

#define REGISTER_LAYER_CREATOR(type, creator)                              \
  static LayerRegisterer<float> g_creator_f_##type(#type, creator<float>); \
  static LayerRegisterer<double> g_creator_d_##type(#type, creator<double>)

#define REGISTER_LAYER_CLASS(type)                                              \
  template <typename Dtype>                                                     \
  shared_ptr<Layer<Dtype>> Creator_##type##Layer(const LayerParameter& param) { \
    return shared_ptr<Layer<Dtype>>(new type##Layer<Dtype>(param));             \
  }                                                                             \
  REGISTER_LAYER_CREATOR(type, Creator_##type##Layer)

}  // namespace caffe

// Here, since it needs this header itself: who makes layers also calls them.
#include "caffe/layer.hpp"

#endif  // CAFFE_LAYER_FACTORY_H_
