// Net and solver definitions.
#include <algorithm>
#include <memory>
#include <string>

#include "caffe/net.hpp"
#include "caffe/solver.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "readers.hpp"
#include "scratch.hpp"

namespace caffe {
namespace fuzz {

namespace {

/// Layers that do what a definition tells them to, with files and code.
bool TouchesFiles(const NetParameter& net) {
  return std::any_of(net.layer().begin(), net.layer().end(), [](const LayerParameter& layer) {
    return layer.type() == "HDF5Output" || layer.type() == "Python";
  });
}

/// Whether passes through the net take little time.
bool IsSmall(const Net<float>& net) {
  constexpr double kMostOperations = 1 << 24;
  double values = 0, weights = 1;
  for (const auto& blob : net.blobs()) values += blob->count();
  for (const auto& blob : net.params()) weights += blob->count();
  return values * weights < kMostOperations;
}

}  // namespace

void ReadNet(const std::string& bytes) {
  MayRefuse([&] {
    NetParameter param;
    ReadNetParamsFromTextFileOrDie(WriteScratch("net.prototxt", bytes), &param);
    if (TouchesFiles(param)) return;
    Net<float> net(param);
    if (!IsSmall(net)) return;
    net.Forward();
    net.Backward();
  });
}

void ReadSolver(const std::string& bytes) {
  static const NetParameter net = FromText<NetParameter>(R"(
      layer {
        name: "data" type: "DummyData" top: "data" top: "label"
        dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 } data_filler { type: "gaussian" } }
      }
      layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" })");
  MayRefuse([&] {
    SolverParameter param;
    ReadSolverParamsFromTextFileOrDie(WriteScratch("solver.prototxt", bytes), &param);
    // Which nets it trains, where it saves, and how long it takes is up to who wrote it.
    for (const char* field :
         {"net", "net_param", "train_net", "train_net_param", "test_net", "test_net_param", "test_iter",
          "test_interval", "test_state", "snapshot", "snapshot_prefix", "debug_info"}) {
      param.GetReflection()->ClearField(&param, param.GetDescriptor()->FindFieldByName(field));
    }
    *param.mutable_net_param() = net;
    param.set_solver_mode(SolverParameter::CPU);
    param.set_iter_size(std::min(param.iter_size(), 2));
    const std::unique_ptr<Solver<float>> solver(SolverRegistry<float>::CreateSolver(param));
    solver->Step(2);
  });
}

}  // namespace fuzz
}  // namespace caffe
