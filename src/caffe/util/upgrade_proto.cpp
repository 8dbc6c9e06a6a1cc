#include "caffe/util/upgrade_proto.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>

#include "caffe/util/copy_field.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

/// Calls `visit(data_field, old_field)` for each transformation field that a V1 layer has where it was before
/// transform_param: in the message of data_field. Stops where a call returns true, and returns whether one
/// did.
template <typename Layer, typename Visit>
bool AnyOldTransformField(Layer* layer, Visit visit) {
  for (const int number :
       {V1LayerParameter::kDataParamFieldNumber, V1LayerParameter::kImageDataParamFieldNumber,
        V1LayerParameter::kWindowDataParamFieldNumber}) {
    const FieldDescriptor* data_field = layer->GetDescriptor()->FindFieldByNumber(number);
    if (!layer->GetReflection()->HasField(*layer, data_field)) continue;
    const Message& data = layer->GetReflection()->GetMessage(*layer, data_field);
    for (const char* name : {"scale", "mean_file", "crop_size", "mirror"}) {
      const FieldDescriptor* old_field = data.GetDescriptor()->FindFieldByName(name);
      if (data.GetReflection()->HasField(data, old_field) && visit(data_field, old_field)) return true;
    }
  }
  return false;
}

bool HasNamedParams(const LayerParameter& layer) {
  return std::any_of(layer.param().begin(), layer.param().end(),
                     [](const ParamSpec& spec) { return !spec.name().empty(); });
}

bool BatchNormNeedsUpgrade(const LayerParameter& layer) {
  if (layer.type() != "BatchNorm" || layer.param_size() != 3) return false;
  const bool is_trained = std::any_of(layer.param().begin(), layer.param().end(), [](const ParamSpec& spec) {
    return spec.lr_mult() != 0 || spec.decay_mult() != 0;
  });
  return is_trained || !HasNamedParams(layer);
}

/// Runs a step with the user's file in its errors.
template <typename Step>
void ForFile(const string& file, Step step) {
  try {
    step();
  } catch (const Error& error) {
    throw error.WithFile(file);
  }
}

void UpgradeNet(const string& param_file, NetParameter* param) {
  if (NetNeedsV0ToV1Upgrade(*param)) {
    LOG(INFO) << "Attempting to upgrade input file specified using deprecated V0LayerParameter: "
              << param_file;
    NetParameter original;
    original.Swap(param);
    UpgradeV0Net(original, param);
    LOG(INFO) << "Successfully upgraded file specified using deprecated V0LayerParameter";
  }
  if (NetNeedsDataUpgrade(*param)) {
    LOG(INFO) << "Attempting to upgrade input file specified using deprecated transformation parameters: "
              << param_file;
    UpgradeNetDataTransformation(param);
    LOG(INFO) << "Successfully upgraded file specified using deprecated data transformation parameters.";
    LOG(WARNING) << "Note that future Caffe releases will only support transform_param messages for "
                    "transformation fields.";
  }
  if (NetNeedsV1ToV2Upgrade(*param)) {
    LOG(INFO) << "Attempting to upgrade input file specified using deprecated V1LayerParameter: "
              << param_file;
    NetParameter original;
    original.Swap(param);
    UpgradeV1Net(original, param);
    LOG(INFO) << "Successfully upgraded file specified using deprecated V1LayerParameter";
  }
  if (NetNeedsInputUpgrade(*param)) {
    LOG(INFO) << "Attempting to upgrade input file specified using deprecated input fields: " << param_file;
    UpgradeNetInput(param);
    LOG(INFO) << "Successfully upgraded file specified using deprecated input fields.";
    LOG(WARNING) << "Note that future Caffe releases will only support input layers and not input fields.";
  }
  if (NetNeedsBatchNormUpgrade(*param)) {
    LOG(INFO) << "Attempting to upgrade batch norm layers using deprecated params: " << param_file;
    UpgradeNetBatchNorm(param);
    LOG(INFO) << "Successfully upgraded batch norm layers using deprecated params.";
  }
}

void UpgradeSolver(const string& param_file, SolverParameter* param) {
  if (SolverNeedsTypeUpgrade(*param)) {
    LOG(INFO) << "Attempting to upgrade input file specified using deprecated 'solver_type' field (enum)': "
              << param_file;
    UpgradeSolverType(param);
    LOG(INFO) << "Successfully upgraded file specified using deprecated 'solver_type' field (enum) to 'type' "
                 "field (string).";
    LOG(WARNING)
        << "Note that future Caffe releases will only support 'type' field (string) for a solver's type.";
  }
  if (param->has_net_param()) UpgradeNet(param_file, param->mutable_net_param());
  if (param->has_train_net_param()) UpgradeNet(param_file, param->mutable_train_net_param());
  for (NetParameter& net : *param->mutable_test_net_param()) UpgradeNet(param_file, &net);
}

// Snapshots are named after the solver's file where there is no name for them, but at most a folder.
void UpgradeSnapshotPrefix(const string& param_file, SolverParameter* param) {
  const std::filesystem::path file(param_file);
  std::error_code ignored;
  if (!param->has_snapshot_prefix()) {
    param->set_snapshot_prefix(std::filesystem::path(file).replace_extension().string());
    LOG(INFO) << "snapshot_prefix was not specified and is set to " << param->snapshot_prefix();
  } else if (std::filesystem::is_directory(param->snapshot_prefix(), ignored)) {
    param->set_snapshot_prefix((std::filesystem::path(param->snapshot_prefix()) / file.stem()).string());
    LOG(INFO) << "snapshot_prefix was a directory and is replaced to " << param->snapshot_prefix();
  }
}

}  // namespace

void ReadNetParamsFromTextFileOrDie(const string& param_file, NetParameter* param) {
  ReadProtoFromTextFileOrDie(param_file, param);
  UpgradeNetAsNeeded(param_file, param);
}

void ReadNetParamsFromBinaryFileOrDie(const string& param_file, NetParameter* param) {
  ReadProtoFromBinaryFileOrDie(param_file, param);
  UpgradeNetAsNeeded(param_file, param);
}

void ReadSolverParamsFromTextFileOrDie(const string& param_file, SolverParameter* param) {
  ReadProtoFromTextFileOrDie(param_file, param);
  UpgradeSolverAsNeeded(param_file, param);
  UpgradeSnapshotPrefix(param_file, param);
}

bool NetNeedsUpgrade(const NetParameter& net_param) {
  return NetNeedsV0ToV1Upgrade(net_param) || NetNeedsV1ToV2Upgrade(net_param) ||
         NetNeedsDataUpgrade(net_param) || NetNeedsInputUpgrade(net_param) ||
         NetNeedsBatchNormUpgrade(net_param);
}

bool UpgradeNetAsNeeded(const string& param_file, NetParameter* param) {
  ForFile(param_file, [&] { UpgradeNet(param_file, param); });
  return true;
}

bool NetNeedsDataUpgrade(const NetParameter& net_param) {
  return std::any_of(net_param.layers().begin(), net_param.layers().end(), [](const V1LayerParameter& layer) {
    return AnyOldTransformField(&layer, [](const FieldDescriptor*, const FieldDescriptor*) { return true; });
  });
}

void UpgradeNetDataTransformation(NetParameter* net_param) {
  for (V1LayerParameter& layer : *net_param->mutable_layers()) {
    AnyOldTransformField(
        &layer, [&layer](const FieldDescriptor* data_field, const FieldDescriptor* old_field) {
          Message* data = layer.GetReflection()->MutableMessage(&layer, data_field);
          CopyField(*data, old_field, layer.mutable_transform_param(),
                    TransformationParameter::descriptor()->FindFieldByName(old_field->name()));
          data->GetReflection()->ClearField(data, old_field);
          return false;
        });
  }
}

bool NetNeedsInputUpgrade(const NetParameter& net_param) { return net_param.input_size() > 0; }

void UpgradeNetInput(NetParameter* net_param) {
  constexpr int kLegacyAxes = 4;
  const int inputs = net_param->input_size();
  const int shapes = net_param->input_shape_size();
  const int dims = net_param->input_dim_size();
  if (shapes > 0 && dims > 0) throw Error("the net gives both input_shape and input_dim; keep input_shape");
  const auto check_count = [inputs](const string& field, int count, int per_input) {
    if (count == 0 || count == per_input * inputs) return;
    throw Error("the net names " + std::to_string(inputs) + " inputs and gives " + std::to_string(count) +
                " times " + field + "; each input needs " + std::to_string(per_input));
  };
  check_count("input_shape", shapes, 1);
  check_count("input_dim", dims, kLegacyAxes);

  std::set<string> made;
  for (const LayerParameter& layer : net_param->layer()) made.insert(layer.top().begin(), layer.top().end());

  LayerParameter input_layer;
  input_layer.set_name("input");
  input_layer.set_type("Input");
  for (int i = 0; i < inputs; ++i) {
    if (shapes == 0 && dims == 0 && made.count(net_param->input(i))) continue;
    input_layer.add_top(net_param->input(i));
    if (shapes > 0) {
      *input_layer.mutable_input_param()->add_shape() = net_param->input_shape(i);
    } else if (dims > 0) {
      BlobShape* shape = input_layer.mutable_input_param()->add_shape();
      for (int j = 0; j < kLegacyAxes; ++j) shape->add_dim(net_param->input_dim(kLegacyAxes * i + j));
    }
  }
  if (input_layer.top_size() > 0) {
    net_param->add_layer()->Swap(&input_layer);
    for (int i = net_param->layer_size() - 1; i > 0; --i) net_param->mutable_layer()->SwapElements(i, i - 1);
  }
  net_param->clear_input();
  net_param->clear_input_shape();
  net_param->clear_input_dim();
}

bool NetNeedsBatchNormUpgrade(const NetParameter& net_param) {
  return std::any_of(net_param.layer().begin(), net_param.layer().end(), BatchNormNeedsUpgrade);
}

void UpgradeNetBatchNorm(NetParameter* net_param) {
  for (LayerParameter& layer : *net_param->mutable_layer()) {
    if (!BatchNormNeedsUpgrade(layer)) continue;
    if (!HasNamedParams(layer)) layer.clear_param();
    for (ParamSpec& spec : *layer.mutable_param()) {
      spec.set_lr_mult(0);
      spec.set_decay_mult(0);
    }
  }
}

bool UpgradeSolverAsNeeded(const string& param_file, SolverParameter* param) {
  ForFile(param_file, [&] { UpgradeSolver(param_file, param); });
  return true;
}

bool SolverNeedsTypeUpgrade(const SolverParameter& solver_param) { return solver_param.has_solver_type(); }

bool UpgradeSolverType(SolverParameter* solver_param) {
  if (!solver_param->has_solver_type()) return false;
  if (solver_param->has_type()) {
    throw Error("the solver gives both type (\"" + solver_param->type() +
                "\") and the older solver_type; keep type");
  }
  const auto name = [](SolverParameter::SolverType type) {
    switch (type) {
      case SolverParameter::SGD:
        return "SGD";
      case SolverParameter::NESTEROV:
        return "Nesterov";
      case SolverParameter::ADAGRAD:
        return "AdaGrad";
      case SolverParameter::RMSPROP:
        return "RMSProp";
      case SolverParameter::ADADELTA:
        return "AdaDelta";
      case SolverParameter::ADAM:
        return "Adam";
    }
    LOG(FATAL) << "unknown solver_type number " << static_cast<int>(type);
    return "";
  };
  solver_param->set_type(name(solver_param->solver_type()));
  solver_param->clear_solver_type();
  return true;
}

}  // namespace caffe
