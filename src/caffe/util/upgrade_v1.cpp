// From the format of 2014 to today's.

#include <algorithm>
#include <string>
#include <vector>

#include "caffe/util/copy_field.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

using google::protobuf::FieldDescriptor;

bool NetNeedsV1ToV2Upgrade(const NetParameter& net_param) { return net_param.layers_size() > 0; }

bool UpgradeV1Net(const NetParameter& v1_net_param, NetParameter* net_param) {
  if (v1_net_param.layers_size() > 0 && v1_net_param.layer_size() > 0) {
    throw Error("the net mixes layers of the old format ('layers', from layer '" +
                v1_net_param.layers(0).name() + "') with layers of the current one ('layer', from layer '" +
                v1_net_param.layer(0).name() +
                "'); their order is unknown. Write all as layer { type: \"Convolution\" ... }");
  }
  NetParameter upgraded(v1_net_param);
  upgraded.clear_layers();
  for (const V1LayerParameter& layer : v1_net_param.layers()) {
    UpgradeV1LayerParameter(layer, upgraded.add_layer());
  }
  net_param->Swap(&upgraded);
  return true;
}

bool UpgradeV1LayerParameter(const V1LayerParameter& v1_layer_param, LayerParameter* layer_param) {
  layer_param->Clear();
  layer_param->set_name(v1_layer_param.name());
  const auto spec = [layer_param](int i) {
    while (layer_param->param_size() <= i) layer_param->add_param();
    return layer_param->mutable_param(i);
  };
  std::vector<const FieldDescriptor*> fields;
  v1_layer_param.GetReflection()->ListFields(v1_layer_param, &fields);
  for (const FieldDescriptor* field : fields) {
    switch (field->number()) {
      case V1LayerParameter::kTypeFieldNumber:
        layer_param->set_type(UpgradeV1LayerType(v1_layer_param.type()));
        break;
      case V1LayerParameter::kParamFieldNumber:
        for (int i = 0; i < v1_layer_param.param_size(); ++i) spec(i)->set_name(v1_layer_param.param(i));
        break;
      case V1LayerParameter::kBlobShareModeFieldNumber:
        for (int i = 0; i < v1_layer_param.blob_share_mode_size(); ++i) {
          const bool strict = v1_layer_param.blob_share_mode(i) == V1LayerParameter::STRICT;
          spec(i)->set_share_mode(strict ? ParamSpec::STRICT : ParamSpec::PERMISSIVE);
        }
        break;
      case V1LayerParameter::kBlobsLrFieldNumber:
        for (int i = 0; i < v1_layer_param.blobs_lr_size(); ++i)
          spec(i)->set_lr_mult(v1_layer_param.blobs_lr(i));
        break;
      case V1LayerParameter::kWeightDecayFieldNumber:
        for (int i = 0; i < v1_layer_param.weight_decay_size(); ++i) {
          spec(i)->set_decay_mult(v1_layer_param.weight_decay(i));
        }
        break;
      case V1LayerParameter::kLayerFieldNumber:
        throw Error("this is a V0 layer: UpgradeV0Net comes before UpgradeV1Net",
                    v1_layer_param.layer().name(), v1_layer_param.layer().type());
      default:
        // All others have their names and types still.
        CopyField(v1_layer_param, field, layer_param,
                  CHECK_NOTNULL(LayerParameter::descriptor()->FindFieldByName(field->name())));
    }
  }
  return true;
}

const char* UpgradeV1LayerType(const V1LayerParameter_LayerType type) {
  switch (type) {
    case V1LayerParameter::NONE:
      return "";
    case V1LayerParameter::ABSVAL:
      return "AbsVal";
    case V1LayerParameter::ACCURACY:
      return "Accuracy";
    case V1LayerParameter::ARGMAX:
      return "ArgMax";
    case V1LayerParameter::BNLL:
      return "BNLL";
    case V1LayerParameter::CONCAT:
      return "Concat";
    case V1LayerParameter::CONTRASTIVE_LOSS:
      return "ContrastiveLoss";
    case V1LayerParameter::CONVOLUTION:
      return "Convolution";
    case V1LayerParameter::DATA:
      return "Data";
    case V1LayerParameter::DECONVOLUTION:
      return "Deconvolution";
    case V1LayerParameter::DROPOUT:
      return "Dropout";
    case V1LayerParameter::DUMMY_DATA:
      return "DummyData";
    case V1LayerParameter::ELTWISE:
      return "Eltwise";
    case V1LayerParameter::EUCLIDEAN_LOSS:
      return "EuclideanLoss";
    case V1LayerParameter::EXP:
      return "Exp";
    case V1LayerParameter::FLATTEN:
      return "Flatten";
    case V1LayerParameter::HDF5_DATA:
      return "HDF5Data";
    case V1LayerParameter::HDF5_OUTPUT:
      return "HDF5Output";
    case V1LayerParameter::HINGE_LOSS:
      return "HingeLoss";
    case V1LayerParameter::IM2COL:
      return "Im2col";
    case V1LayerParameter::IMAGE_DATA:
      return "ImageData";
    case V1LayerParameter::INFOGAIN_LOSS:
      return "InfogainLoss";
    case V1LayerParameter::INNER_PRODUCT:
      return "InnerProduct";
    case V1LayerParameter::LRN:
      return "LRN";
    case V1LayerParameter::MEMORY_DATA:
      return "MemoryData";
    case V1LayerParameter::MULTINOMIAL_LOGISTIC_LOSS:
      return "MultinomialLogisticLoss";
    case V1LayerParameter::MVN:
      return "MVN";
    case V1LayerParameter::POOLING:
      return "Pooling";
    case V1LayerParameter::POWER:
      return "Power";
    case V1LayerParameter::RELU:
      return "ReLU";
    case V1LayerParameter::SIGMOID:
      return "Sigmoid";
    case V1LayerParameter::SIGMOID_CROSS_ENTROPY_LOSS:
      return "SigmoidCrossEntropyLoss";
    case V1LayerParameter::SILENCE:
      return "Silence";
    case V1LayerParameter::SLICE:
      return "Slice";
    case V1LayerParameter::SOFTMAX:
      return "Softmax";
    case V1LayerParameter::SOFTMAX_LOSS:
      return "SoftmaxWithLoss";
    case V1LayerParameter::SPLIT:
      return "Split";
    case V1LayerParameter::TANH:
      return "TanH";
    case V1LayerParameter::THRESHOLD:
      return "Threshold";
    case V1LayerParameter::WINDOW_DATA:
      return "WindowData";
  }
  LOG(FATAL) << "unknown V1 layer type number " << static_cast<int>(type);
  return "";
}

}  // namespace caffe
