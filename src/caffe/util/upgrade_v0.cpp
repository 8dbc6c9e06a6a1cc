// From the format of 2013 to that of 2014.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "caffe/util/copy_field.hpp"
#include "caffe/util/nearest_names.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

const std::map<string, V1LayerParameter_LayerType>& V0Types() {
  static const std::map<string, V1LayerParameter_LayerType> types = {
      {"accuracy", V1LayerParameter::ACCURACY},
      {"bnll", V1LayerParameter::BNLL},
      {"concat", V1LayerParameter::CONCAT},
      {"conv", V1LayerParameter::CONVOLUTION},
      {"data", V1LayerParameter::DATA},
      {"dropout", V1LayerParameter::DROPOUT},
      {"euclidean_loss", V1LayerParameter::EUCLIDEAN_LOSS},
      {"flatten", V1LayerParameter::FLATTEN},
      {"hdf5_data", V1LayerParameter::HDF5_DATA},
      {"hdf5_output", V1LayerParameter::HDF5_OUTPUT},
      {"im2col", V1LayerParameter::IM2COL},
      {"images", V1LayerParameter::IMAGE_DATA},
      {"infogain_loss", V1LayerParameter::INFOGAIN_LOSS},
      {"innerproduct", V1LayerParameter::INNER_PRODUCT},
      {"lrn", V1LayerParameter::LRN},
      {"multinomial_logistic_loss", V1LayerParameter::MULTINOMIAL_LOGISTIC_LOSS},
      {"pool", V1LayerParameter::POOLING},
      {"relu", V1LayerParameter::RELU},
      {"sigmoid", V1LayerParameter::SIGMOID},
      {"softmax", V1LayerParameter::SOFTMAX},
      {"softmax_loss", V1LayerParameter::SOFTMAX_LOSS},
      {"split", V1LayerParameter::SPLIT},
      {"tanh", V1LayerParameter::TANH},
      {"window_data", V1LayerParameter::WINDOW_DATA},
  };
  return types;
}

/// Where a V0 field goes in a layer of a type ("" stands for every type): a field of V1LayerParameter, or of
/// the message named before the dot.
struct Destination {
  const char* v0_field;
  const char* v0_type;
  const char* v1_field;
};

constexpr Destination kDestinations[] = {
    {"name", "", "name"},
    {"blobs", "", "blobs"},
    {"blobs_lr", "", "blobs_lr"},
    {"weight_decay", "", "weight_decay"},
    {"num_output", "conv", "convolution_param.num_output"},
    {"num_output", "innerproduct", "inner_product_param.num_output"},
    {"biasterm", "conv", "convolution_param.bias_term"},
    {"biasterm", "innerproduct", "inner_product_param.bias_term"},
    {"weight_filler", "conv", "convolution_param.weight_filler"},
    {"weight_filler", "innerproduct", "inner_product_param.weight_filler"},
    {"bias_filler", "conv", "convolution_param.bias_filler"},
    {"bias_filler", "innerproduct", "inner_product_param.bias_filler"},
    {"pad", "conv", "convolution_param.pad"},
    {"pad", "im2col", "convolution_param.pad"},
    {"pad", "pool", "pooling_param.pad"},
    {"kernelsize", "conv", "convolution_param.kernel_size"},
    {"kernelsize", "im2col", "convolution_param.kernel_size"},
    {"kernelsize", "pool", "pooling_param.kernel_size"},
    {"group", "conv", "convolution_param.group"},
    {"stride", "conv", "convolution_param.stride"},
    {"stride", "im2col", "convolution_param.stride"},
    {"stride", "pool", "pooling_param.stride"},
    {"pool", "pool", "pooling_param.pool"},
    {"dropout_ratio", "dropout", "dropout_param.dropout_ratio"},
    {"local_size", "lrn", "lrn_param.local_size"},
    {"alpha", "lrn", "lrn_param.alpha"},
    {"beta", "lrn", "lrn_param.beta"},
    {"k", "lrn", "lrn_param.k"},
    {"concat_dim", "concat", "concat_param.concat_dim"},
    {"source", "data", "data_param.source"},
    {"source", "hdf5_data", "hdf5_data_param.source"},
    {"source", "images", "image_data_param.source"},
    {"source", "window_data", "window_data_param.source"},
    {"source", "infogain_loss", "infogain_loss_param.source"},
    {"batchsize", "data", "data_param.batch_size"},
    {"batchsize", "hdf5_data", "hdf5_data_param.batch_size"},
    {"batchsize", "images", "image_data_param.batch_size"},
    {"batchsize", "window_data", "window_data_param.batch_size"},
    {"rand_skip", "data", "data_param.rand_skip"},
    {"rand_skip", "images", "image_data_param.rand_skip"},
    {"new_height", "images", "image_data_param.new_height"},
    {"new_width", "images", "image_data_param.new_width"},
    {"shuffle_images", "images", "image_data_param.shuffle"},
    {"scale", "", "transform_param.scale"},
    {"meanfile", "", "transform_param.mean_file"},
    {"cropsize", "", "transform_param.crop_size"},
    {"mirror", "", "transform_param.mirror"},
    {"det_fg_threshold", "window_data", "window_data_param.fg_threshold"},
    {"det_bg_threshold", "window_data", "window_data_param.bg_threshold"},
    {"det_fg_fraction", "window_data", "window_data_param.fg_fraction"},
    {"det_context_pad", "window_data", "window_data_param.context_pad"},
    {"det_crop_mode", "window_data", "window_data_param.crop_mode"},
    {"hdf5_output_param", "hdf5_output", "hdf5_output_param"},
};

/// Copies a field to "field" or "message.field" of a V1 layer.
void CopyTo(const Message& v0_layer, const FieldDescriptor* source, const string& path,
            V1LayerParameter* layer) {
  Message* target = layer;
  const size_t dot = path.find('.');
  if (dot != string::npos) {
    const FieldDescriptor* message = layer->GetDescriptor()->FindFieldByName(path.substr(0, dot));
    target = layer->GetReflection()->MutableMessage(layer, CHECK_NOTNULL(message));
  }
  const string name = dot == string::npos ? path : path.substr(dot + 1);
  CopyField(v0_layer, source, target, CHECK_NOTNULL(target->GetDescriptor()->FindFieldByName(name)));
}

/// A blob that padding layers make: the blob before them, which layer made that, and the pad in pixels.
struct PaddedBlob {
  string source;
  int source_layer;
  uint32_t pad;
};

/// Lets a conv or pool layer read what is before its padding, and pad by itself.
void FoldPadding(const PaddedBlob& padded, bool source_is_current, V1LayerParameter* layer) {
  V0LayerParameter* v0_layer = layer->mutable_layer();
  const auto fail = [&](const string& reason) {
    throw Error("'" + layer->bottom(0) + "' comes from a padding layer; " + reason, v0_layer->name(),
                v0_layer->type());
  };
  if (v0_layer->type() != "conv" && v0_layer->type() != "pool") fail("only conv and pool layers can pad");
  if (layer->bottom_size() != 1) fail("the layer that pads must have one bottom");
  if (!source_is_current) fail("'" + padded.source + "' is changed in place between the two");
  layer->set_bottom(0, padded.source);
  v0_layer->set_pad(v0_layer->pad() + padded.pad);
}

}  // namespace

V1LayerParameter_LayerType UpgradeV0LayerType(const string& type) {
  const auto found = V0Types().find(type);
  if (found != V0Types().end()) return found->second;
  std::vector<string> known;
  for (const auto& entry : V0Types()) known.push_back(entry.first);
  throw Error("unknown V0 layer type '" + type + "'" + DidYouMean(type, known));
}

bool UpgradeV0LayerParameter(const V1LayerParameter& v0_layer_connection, V1LayerParameter* layer_param) {
  V1LayerParameter layer(v0_layer_connection);
  layer.clear_layer();
  if (v0_layer_connection.has_layer()) {
    const V0LayerParameter& v0_layer = v0_layer_connection.layer();
    try {
      std::vector<const FieldDescriptor*> fields;
      v0_layer.GetReflection()->ListFields(v0_layer, &fields);
      for (const FieldDescriptor* field : fields) {
        if (field->number() == V0LayerParameter::kTypeFieldNumber) {
          layer.set_type(UpgradeV0LayerType(v0_layer.type()));
          continue;
        }
        const auto destination = std::find_if(
            std::begin(kDestinations), std::end(kDestinations), [&](const Destination& candidate) {
              return field->name() == candidate.v0_field &&
                     (!*candidate.v0_type || v0_layer.type() == candidate.v0_type);
            });
        if (destination == std::end(kDestinations)) {
          throw Error("V0 field '" + field->name() + "' has no meaning in a layer of this type; remove it");
        }
        CopyTo(v0_layer, field, destination->v1_field, &layer);
      }
    } catch (const Error& error) {
      throw error.WithLayer(v0_layer.name(), v0_layer.type());
    }
  }
  layer_param->Swap(&layer);
  return true;
}

void UpgradeV0PaddingLayers(const NetParameter& param, NetParameter* param_upgraded_pad) {
  NetParameter upgraded(param);
  upgraded.clear_layers();
  std::map<string, PaddedBlob> padded_blobs;
  // Index of the layer that made a blob last; net inputs have none.
  std::map<string, int> makers;
  const auto maker = [&makers](const string& blob) { return makers.count(blob) ? makers[blob] : -1; };
  for (int i = 0; i < param.layers_size(); ++i) {
    const V1LayerParameter& layer = param.layers(i);
    if (layer.layer().type() == "padding") {
      if (layer.bottom_size() != 1 || layer.top_size() != 1) {
        throw Error("a padding layer has one bottom and one top", layer.layer().name(), "padding");
      }
      // Padding upon padding adds up.
      const auto before = padded_blobs.find(layer.bottom(0));
      PaddedBlob padded = before != padded_blobs.end()
                              ? before->second
                              : PaddedBlob{layer.bottom(0), maker(layer.bottom(0)), 0};
      padded.pad += layer.layer().pad();
      padded_blobs[layer.top(0)] = padded;
      continue;
    }
    V1LayerParameter* kept = upgraded.add_layers();
    *kept = layer;
    for (const string& bottom : layer.bottom()) {
      const auto padded = padded_blobs.find(bottom);
      if (padded == padded_blobs.end()) continue;
      FoldPadding(padded->second, maker(padded->second.source) == padded->second.source_layer, kept);
    }
    for (const string& top : layer.top()) {
      makers[top] = i;
      padded_blobs.erase(top);
    }
  }
  param_upgraded_pad->Swap(&upgraded);
}

bool NetNeedsV0ToV1Upgrade(const NetParameter& net_param) {
  return std::any_of(net_param.layers().begin(), net_param.layers().end(),
                     [](const V1LayerParameter& layer) { return layer.has_layer(); });
}

bool UpgradeV0Net(const NetParameter& v0_net_param, NetParameter* net_param) {
  UpgradeV0PaddingLayers(v0_net_param, net_param);
  for (V1LayerParameter& layer : *net_param->mutable_layers()) UpgradeV0LayerParameter(layer, &layer);
  return true;
}

}  // namespace caffe
