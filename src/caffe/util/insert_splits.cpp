#include "caffe/util/insert_splits.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "caffe/util/nearest_names.hpp"

namespace caffe {

namespace {

/// A top of some layer, and who reads it.
struct Top {
  int layer = 0;
  int index = 0;
  int readers = 0;
  int readers_served = 0;
  float loss_weight = 0;
};

/// The tops of a net, and for each bottom the top that it reads.
class Wiring {
 public:
  explicit Wiring(const NetParameter& net) : tops_of_(net.layer_size()), sources_of_(net.layer_size()) {
    // A blob computed in place is one top after the other under one name: a bottom reads the latest.
    std::unordered_map<string, size_t> latest;
    for (int i = 0; i < net.layer_size(); ++i) {
      const LayerParameter& layer = net.layer(i);
      for (const string& bottom : layer.bottom()) {
        const auto source = latest.find(bottom);
        if (source == latest.end()) ThrowUnknownBottom(net, i, bottom);
        sources_of_[i].push_back(source->second);
        ++tops_[source->second].readers;
      }
      for (int j = 0; j < layer.top_size(); ++j) {
        Top top;
        top.layer = i;
        top.index = j;
        if (j < layer.loss_weight_size()) top.loss_weight = layer.loss_weight(j);
        if (top.loss_weight != 0) top.readers = 1;
        latest[layer.top(j)] = tops_.size();
        tops_of_[i].push_back(tops_.size());
        tops_.push_back(top);
      }
    }
  }

  Top& top(int layer, int index) { return tops_[tops_of_[layer][index]]; }
  Top& source(int layer, int bottom_index) { return tops_[sources_of_[layer][bottom_index]]; }

 private:
  [[noreturn]] static void ThrowUnknownBottom(const NetParameter& net, int layer_index,
                                              const string& bottom) {
    std::vector<string> known;
    string producer;
    for (int i = 0; i < net.layer_size(); ++i) {
      for (const string& top : net.layer(i).top()) {
        if (i < layer_index && std::find(known.begin(), known.end(), top) == known.end())
          known.push_back(top);
        if (i >= layer_index && producer.empty() && top == bottom) producer = net.layer(i).name();
      }
    }
    string message = "Unknown bottom blob '" + bottom + "': no layer before this one makes it";
    if (!producer.empty()) {
      message += "; layer '" + producer + "' does, so it must come first";
    } else {
      message += DidYouMean(bottom, known);
    }
    throw Error(message, net.layer(layer_index).name(), net.layer(layer_index).type());
  }

  std::vector<Top> tops_;
  std::vector<std::vector<size_t>> tops_of_;
  std::vector<std::vector<size_t>> sources_of_;
};

/// Takes the loss weight of one top away from its layer, where the split has it now.
void DropLossWeight(int top_index, LayerParameter* layer) {
  layer->set_loss_weight(top_index, 0);
  const bool is_loss_layer =
      layer->type().size() >= 4 && layer->type().compare(layer->type().size() - 4, 4, "Loss") == 0;
  const bool all_zero = std::all_of(layer->loss_weight().begin(), layer->loss_weight().end(),
                                    [](float weight) { return weight == 0; });
  // A loss layer without any stated weight gives its first top the weight 1: there the zeros must stay.
  if (all_zero && !is_loss_layer) layer->clear_loss_weight();
}

}  // namespace

void InsertSplits(const NetParameter& param, NetParameter* param_split) {
  Wiring wiring(param);
  param_split->CopyFrom(param);
  param_split->clear_layer();
  for (int i = 0; i < param.layer_size(); ++i) {
    LayerParameter* layer = param_split->add_layer();
    layer->CopyFrom(param.layer(i));
    for (int j = 0; j < layer->bottom_size(); ++j) {
      Top& source = wiring.source(i, j);
      if (source.readers <= 1) continue;
      layer->set_bottom(j, SplitBlobName(param.layer(source.layer).name(), layer->bottom(j), source.index,
                                         source.readers_served++));
    }
    for (int j = 0; j < layer->top_size(); ++j) {
      Top& top = wiring.top(i, j);
      if (top.readers <= 1) continue;
      LayerParameter* split = param_split->add_layer();
      ConfigureSplitLayer(layer->name(), layer->top(j), j, top.readers, top.loss_weight, split);
      if (top.loss_weight != 0) {
        DropLossWeight(j, layer);
        top.readers_served = 1;
      }
    }
  }
}

void ConfigureSplitLayer(const string& layer_name, const string& blob_name, const int blob_idx,
                         const int split_count, const float loss_weight, LayerParameter* split_layer_param) {
  split_layer_param->Clear();
  split_layer_param->set_name(SplitLayerName(layer_name, blob_name, blob_idx));
  split_layer_param->set_type("Split");
  split_layer_param->add_bottom(blob_name);
  for (int i = 0; i < split_count; ++i) {
    split_layer_param->add_top(SplitBlobName(layer_name, blob_name, blob_idx, i));
    if (loss_weight != 0) split_layer_param->add_loss_weight(i == 0 ? loss_weight : 0);
  }
}

string SplitLayerName(const string& layer_name, const string& blob_name, const int blob_idx) {
  return blob_name + "_" + layer_name + "_" + std::to_string(blob_idx) + "_split";
}

string SplitBlobName(const string& layer_name, const string& blob_name, const int blob_idx,
                     const int split_idx) {
  return SplitLayerName(layer_name, blob_name, blob_idx) + "_" + std::to_string(split_idx);
}

}  // namespace caffe
