#ifndef CAFFE_UTIL_UPGRADE_PROTO_H_
#define CAFFE_UTIL_UPGRADE_PROTO_H_

#include <string>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @file
 * @brief Brings files of older formats to today's.
 *
 * | format  | years | layers                                        | upgrade                          |
 * | ------- | ----- | --------------------------------------------- | -------------------------------- |
 * | V0      | 2013  | `layers { layer { type: "conv" ... } }`       | UpgradeV0Net: to V1              |
 * | V1      | 2014  | `layers { type: CONVOLUTION ... }`            | UpgradeV1Net: to V2              |
 * | V2      | 2015  | `layer { type: "Convolution" ... }`           |                                  |
 *
 * and smaller ones within a format: data transformation fields, net inputs, BatchNorm parameters, the
 * solver's type. Each function leaves an upgraded message as it is, and nothing that a file says is dropped:
 * what cannot be carried over throws an Error naming the layer and the field. The functions that return a
 * bool return true (they return at all only on success), except where it is said.
 */

/// Reads a net definition and upgrades it. @throws Error naming file, line and column, or layer and field.
void ReadNetParamsFromTextFileOrDie(const string& param_file, NetParameter* param);
/// Reads a .caffemodel and upgrades it. @throws Error naming the file.
void ReadNetParamsFromBinaryFileOrDie(const string& param_file, NetParameter* param);
/// Reads a solver and upgrades it. @throws Error naming file, line and column, or the field.
void ReadSolverParamsFromTextFileOrDie(const string& param_file, SolverParameter* param);

/// Whether any upgrade of the net is due.
bool NetNeedsUpgrade(const NetParameter& net_param);
/// Does all that are due, logging each; `param_file` is for log and errors.
bool UpgradeNetAsNeeded(const string& param_file, NetParameter* param);

/// Whether the net has V0 layers.
bool NetNeedsV0ToV1Upgrade(const NetParameter& net_param);
/// Upgrades V0 layers to V1, padding layers first.
bool UpgradeV0Net(const NetParameter& v0_net_param, NetParameter* net_param);
/// Folds the net's padding layers into the conv and pool layers that read them.
/// @throws Error where another type reads one.
void UpgradeV0PaddingLayers(const NetParameter& param, NetParameter* param_upgraded_pad);
/// Upgrades one layer. @throws Error naming a field that has no meaning for the layer's type.
bool UpgradeV0LayerParameter(const V1LayerParameter& v0_layer_connection, V1LayerParameter* layer_param);
/// The V1 type of a V0 name such as "innerproduct". @throws Error for an unknown one.
V1LayerParameter_LayerType UpgradeV0LayerType(const string& type);

/// Whether the net has V1 layers.
bool NetNeedsV1ToV2Upgrade(const NetParameter& net_param);
/// Upgrades V1 layers. @throws Error where a net has layers of both formats.
bool UpgradeV1Net(const NetParameter& v1_net_param, NetParameter* net_param);
/// Upgrades one layer; blobs_lr, weight_decay, param and blob_share_mode become ParamSpecs.
bool UpgradeV1LayerParameter(const V1LayerParameter& v1_layer_param, LayerParameter* layer_param);
/// The name of a V1 type: "InnerProduct" for INNER_PRODUCT, empty for NONE.
const char* UpgradeV1LayerType(const V1LayerParameter_LayerType type);

/// Whether a V1 data layer has scale, mean_file, crop_size or mirror among its source's fields.
bool NetNeedsDataUpgrade(const NetParameter& net_param);
/// Moves them to transform_param.
void UpgradeNetDataTransformation(NetParameter* net_param);

/// Whether the net has input fields.
bool NetNeedsInputUpgrade(const NetParameter& net_param);
/// Makes an Input layer of them, the net's first. Inputs without any shape, as weights files have them, get a
/// layer without shape, or none where a layer of the net makes the blob.
/// @throws Error where the number of shapes or dimensions does not match that of inputs.
void UpgradeNetInput(NetParameter* net_param);

/// Whether a BatchNorm layer has param specs for its three blobs, which used to be needed to keep the solver
/// off the statistics.
bool NetNeedsBatchNormUpgrade(const NetParameter& net_param);
/// Removes them; where they have names, by which blobs are shared, sets their multipliers to 0.
void UpgradeNetBatchNorm(NetParameter* net_param);

/// Upgrades the type and the nets that are written in the solver, logging each.
bool UpgradeSolverAsNeeded(const string& param_file, SolverParameter* param);
/// Whether the solver's type is the enum of old.
bool SolverNeedsTypeUpgrade(const SolverParameter& solver_param);
/// Makes a string of it. False where there is nothing to do. @throws Error where both are given.
bool UpgradeSolverType(SolverParameter* solver_param);

}  // namespace caffe

#endif  // CAFFE_UTIL_UPGRADE_PROTO_H_
