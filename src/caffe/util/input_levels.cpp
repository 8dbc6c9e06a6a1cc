#include "caffe/util/input_levels.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

namespace caffe {

namespace {

bool IsFloatNetWanted() {
  const char* const value = std::getenv("HWGQ_FLOAT_NET");
  return value && string(value) == "1";
}

template <typename Dtype>
vector<Dtype> LevelsOf(const QuantParameter& quant) {
  if (quant.forward_func() == "sign") return {-1, 1};
  if (quant.forward_func() != "hwgq" || quant.negative_slope() != 0) return {};
  vector<Dtype> levels = {0};
  levels.insert(levels.end(), quant.centers().begin(), quant.centers().end());
  return levels;
}

// Whether what such a layer makes is nothing but values of its bottoms.
bool PassesValues(const LayerParameter& layer) {
  static const std::set<string> kTypes = {"Concat", "Crop", "Flatten", "Reshape", "Slice", "Split"};
  return (layer.type() == "Dropout" && layer.phase() == TEST) || kTypes.count(layer.type()) > 0 ||
         (layer.type() == "Pooling" && layer.pooling_param().pool() == PoolingParameter::MAX);
}

}  // namespace

template <typename Dtype>
void TellInputLevels(const NetParameter& param, const vector<shared_ptr<Layer<Dtype>>>& layers) {
  if (IsFloatNetWanted()) return;
  std::map<string, vector<Dtype>> levels;  // of blobs
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerParameter& layer = param.layer(static_cast<int>(i));
    vector<Dtype> common;
    if (layer.bottom_size() > 0) {
      common = levels[layer.bottom(0)];
      const auto has_others = [&](const string& bottom) { return levels[bottom] != common; };
      if (std::any_of(layer.bottom().begin(), layer.bottom().end(), has_others)) common.clear();
    }
    if (!common.empty()) layers[i]->SetInputLevels(common);
    if (layer.type() == "Quant") {
      common = LevelsOf<Dtype>(layer.quant_param());
    } else if (!PassesValues(layers[i]->layer_param())) {
      common.clear();
    }
    for (const string& top : layer.top()) levels[top] = common;
  }
}

template void TellInputLevels<float>(const NetParameter&, const vector<shared_ptr<Layer<float>>>&);
template void TellInputLevels<double>(const NetParameter&, const vector<shared_ptr<Layer<double>>>&);

}  // namespace caffe
