// Weights and solver states.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/solver.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/snapshots.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "readers.hpp"
#include "scratch.hpp"

namespace caffe {
namespace fuzz {

namespace {

const char kNet[] = R"(
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 dim: 5 dim: 5 } } }
    layer {
      name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 2 kernel_size: 3 }
    }
    layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "norm" }
    layer { name: "scale" type: "Scale" bottom: "norm" top: "scale" scale_param { bias_term: true } }
    layer {
      name: "group/binary" type: "BinaryConvolution" bottom: "scale" top: "binary"
      convolution_param { num_output: 2 kernel_size: 3 }
    }
    layer { name: "ip" type: "InnerProduct" bottom: "binary" top: "ip" inner_product_param { num_output: 3 } })";

Net<float>* WeightsNet() {
  static Net<float> net(FromText<NetParameter>(kNet));
  return &net;
}

/// A database of three images of 2 x 3 x 3.
std::string MakeDatabase() {
  const std::string folder = ScratchPath("images");
  std::vector<std::pair<std::string, std::string>> records;
  for (const char* key : {"0", "1", "2"}) {
    Datum datum = DatumOf(2, 3, 3);
    datum.set_data(std::string(18, *key));
    datum.set_label(*key - '0');
    records.emplace_back(key, datum.SerializeAsString());
  }
  WriteRecords("lmdb", folder, records);
  return folder;
}

Solver<float>* StateSolver() {
  static const std::unique_ptr<Solver<float>> solver = [] {
    auto param = FromText<SolverParameter>(R"(
        net_param {
          layer {
            name: "data" type: "Data" top: "data" top: "label" data_param { batch_size: 2 backend: LMDB prefetch: 1 }
          }
          layer { name: "drop" type: "Dropout" bottom: "data" top: "drop" }
          layer { name: "ip" type: "InnerProduct" bottom: "drop" top: "ip" inner_product_param { num_output: 3 } }
          layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
        }
        type: "SGD" momentum: 0.9 base_lr: 0.01 lr_policy: "multistep" stepvalue: 3 stepvalue: 5 average_loss: 3
        solver_mode: CPU)");
    param.mutable_net_param()->mutable_layer(0)->mutable_data_param()->set_source(MakeDatabase());
    param.set_snapshot_prefix(ScratchPath("state"));
    WriteScratch("state_iter_1.caffemodel", NetParameter::default_instance().SerializeAsString());
    return std::unique_ptr<Solver<float>>(SolverRegistry<float>::CreateSolver(param));
  }();
  return solver.get();
}

void RestoreFrom(const std::string& file) {
  MayRefuse([&] { NewestSnapshot(ScratchPath("state")); });
  MayRefuse([&] {
    StateSolver()->Restore(file.c_str());
    StateSolver()->net()->Forward();
  });
}

#ifdef USE_HDF5

void ReadHdf5Data(const std::string& file) {
  LayerParameter param = FromText<LayerParameter>(
      R"(name: "data" type: "HDF5Data" top: "data" top: "label" hdf5_data_param { batch_size: 2 })");
  param.mutable_hdf5_data_param()->set_source(WriteScratch("files.txt", file));
  RunDataLayer(param);
}

#endif

}  // namespace

void ReadWeights(const std::string& bytes) {
  const std::string file = WriteScratch("weights.caffemodel", bytes);
  MayRefuse([&] { WeightsNet()->CopyTrainedLayersFrom(file); });
  MayRefuse([&] {
    NetParameter param;
    ReadNetParamsFromBinaryFileOrDie(file, &param);
    WeightsNet()->CopyTrainedLayersFrom(param);
  });
}

void ReadState(const std::string& bytes) {
  StateSolver();
  RestoreFrom(WriteScratch("state_iter_1.solverstate", bytes));
}

void ReadHdf5(const std::string& bytes) {
#ifdef USE_HDF5
  const std::string weights = WriteScratch("weights.h5", bytes);
  MayRefuse([&] { WeightsNet()->CopyTrainedLayersFrom(weights); });
  MayRefuse([&] { ReadHdf5Data(weights); });
  StateSolver();
  RestoreFrom(WriteScratch("state_iter_1.solverstate.h5", bytes));
#else
  (void)bytes;
#endif
}

}  // namespace fuzz
}  // namespace caffe
