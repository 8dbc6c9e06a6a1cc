#include "caffe/layer_factory.hpp"

#include "caffe/layer.hpp"
#include "caffe/util/type_registry.hpp"

namespace caffe {

template <typename Dtype>
typename LayerRegistry<Dtype>::CreatorRegistry& LayerRegistry<Dtype>::Registry() {
  // Made on first use, as layers register themselves in no particular order, and never destroyed.
  static CreatorRegistry* registry = new CreatorRegistry;
  return *registry;
}

template <typename Dtype>
void LayerRegistry<Dtype>::AddCreator(const string& type, Creator creator) {
  RegisterType("layer type", type, creator, &Registry());
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> LayerRegistry<Dtype>::CreateLayer(const LayerParameter& param) {
  try {
    return FindCreator("layer type", param.type(), Registry())(param);
  } catch (const Error& error) {
    throw error.WithLayer(param.name(), param.type());
  }
}

template <typename Dtype>
vector<string> LayerRegistry<Dtype>::LayerTypeList() {
  return RegisteredTypes(Registry());
}

template class LayerRegistry<float>;
template class LayerRegistry<double>;

}  // namespace caffe
