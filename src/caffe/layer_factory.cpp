#include "caffe/layer_factory.hpp"

#include "caffe/layer.hpp"
#include "caffe/util/nearest_names.hpp"

namespace caffe {

template <typename Dtype>
typename LayerRegistry<Dtype>::CreatorRegistry& LayerRegistry<Dtype>::Registry() {
  // Made on first use, as layers register themselves in no particular order, and never destroyed.
  static CreatorRegistry* registry = new CreatorRegistry;
  return *registry;
}

template <typename Dtype>
void LayerRegistry<Dtype>::AddCreator(const string& type, Creator creator) {
  const bool added = Registry().emplace(type, creator).second;
  CHECK(added) << "layer type '" << type << "' is registered already";
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> LayerRegistry<Dtype>::CreateLayer(const LayerParameter& param) {
  const string& type = param.type();
  const auto found = Registry().find(type);
  if (found == Registry().end()) {
    throw Error(UnknownName("layer type", type, LayerTypeList()), param.name(), type);
  }
  try {
    return found->second(param);
  } catch (const Error& error) {
    throw error.WithLayer(param.name(), type);
  }
}

template <typename Dtype>
vector<string> LayerRegistry<Dtype>::LayerTypeList() {
  vector<string> types;
  for (const auto& entry : Registry()) types.push_back(entry.first);
  return types;
}

template class LayerRegistry<float>;
template class LayerRegistry<double>;

}  // namespace caffe
