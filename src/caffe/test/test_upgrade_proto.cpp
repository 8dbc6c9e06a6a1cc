#include "caffe/util/upgrade_proto.hpp"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "caffe/test/test_shared_data.hpp"
#include "caffe/util/io.hpp"
#include "log_capture.hpp"

namespace caffe {

namespace fs = std::filesystem;

namespace {

template <typename Message>
Message Parsed(const string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

NetParameter Upgraded(const string& text) {
  NetParameter net = Parsed<NetParameter>(text);
  UpgradeNetAsNeeded("old.prototxt", &net);
  return net;
}

void ExpectUpgrade(const string& before, const string& after) {
  const NetParameter net = Upgraded(before);
  EXPECT_EQ(net.DebugString(), Parsed<NetParameter>(after).DebugString());
  EXPECT_FALSE(NetNeedsUpgrade(net));
  NetParameter again(net);
  UpgradeNetAsNeeded("old.prototxt", &again);
  EXPECT_EQ(again.DebugString(), net.DebugString()) << "a second time nothing changes";
}

string UpgradeError(const string& text) {
  return ErrorOf([&] { Upgraded(text); });
}

class UpgradeProtoTest : public ::testing::Test {
 protected:
  LogCapture capture_;
  const vector<string>& log_ = capture_.messages();
};

}  // namespace

// -------------------------------------------------------------------------------------------------------- V0

TEST_F(UpgradeProtoTest, V0LayersOfEveryKind) {
  ExpectUpgrade(R"(
    name: 'digits' force_backward: true
    layers { layer { name: 'numbers' type: 'data' source: 'numbers-leveldb' meanfile: 'mean' batchsize: 32
                     cropsize: 24 mirror: true scale: 0.5 rand_skip: 7 }
             top: 'data' top: 'label' }
    layers { layer { name: 'c1' type: 'conv' num_output: 8 kernelsize: 5 pad: 2 stride: 3 group: 2 biasterm: false
                     weight_filler { type: 'gaussian' std: 0.1 } bias_filler { type: 'constant' value: 1 }
                     blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 }
             bottom: 'data' top: 'c1' }
    layers { layer { name: 'p1' type: 'pool' pool: STOCHASTIC kernelsize: 3 stride: 2 } bottom: 'c1' top: 'p1' }
    layers { layer { name: 'n1' type: 'lrn' local_size: 3 alpha: 0.1 beta: 0.5 k: 2 } bottom: 'p1' top: 'n1' }
    layers { layer { name: 'd1' type: 'dropout' dropout_ratio: 0.25 } bottom: 'n1' top: 'n1' }
    layers { layer { name: 'both' type: 'concat' concat_dim: 0 } bottom: 'n1' bottom: 'p1' top: 'both' }
    layers { layer { name: 'ip' type: 'innerproduct' num_output: 10 biasterm: true
                     weight_filler { type: 'xavier' } } bottom: 'both' top: 'ip' }
    layers { layer { name: 'loss' type: 'softmax_loss' } bottom: 'ip' bottom: 'label' })",
                R"(
    name: 'digits' force_backward: true
    layer { name: 'numbers' type: 'Data' top: 'data' top: 'label'
            transform_param { scale: 0.5 mean_file: 'mean' crop_size: 24 mirror: true }
            data_param { source: 'numbers-leveldb' batch_size: 32 rand_skip: 7 } }
    layer { name: 'c1' type: 'Convolution' bottom: 'data' top: 'c1'
            param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
            convolution_param { num_output: 8 kernel_size: 5 pad: 2 stride: 3 group: 2 bias_term: false
                                weight_filler { type: 'gaussian' std: 0.1 }
                                bias_filler { type: 'constant' value: 1 } } }
    layer { name: 'p1' type: 'Pooling' bottom: 'c1' top: 'p1'
            pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 } }
    layer { name: 'n1' type: 'LRN' bottom: 'p1' top: 'n1'
            lrn_param { local_size: 3 alpha: 0.1 beta: 0.5 k: 2 } }
    layer { name: 'd1' type: 'Dropout' bottom: 'n1' top: 'n1' dropout_param { dropout_ratio: 0.25 } }
    layer { name: 'both' type: 'Concat' bottom: 'n1' bottom: 'p1' top: 'both' concat_param { concat_dim: 0 } }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'both' top: 'ip'
            inner_product_param { num_output: 10 bias_term: true weight_filler { type: 'xavier' } } }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' })");
  EXPECT_EQ(log_,
            (std::vector<string>{
                "Attempting to upgrade input file specified using deprecated V0LayerParameter: old.prototxt",
                "Successfully upgraded file specified using deprecated V0LayerParameter",
                "Attempting to upgrade input file specified using deprecated V1LayerParameter: old.prototxt",
                "Successfully upgraded file specified using deprecated V1LayerParameter"}));
}

TEST_F(UpgradeProtoTest, V0DataAndOutputLayers) {
  ExpectUpgrade(R"(
    layers { layer { name: 'i' type: 'images' source: 'list' batchsize: 4 new_height: 64 new_width: 48
                     shuffle_images: true rand_skip: 3 cropsize: 32 } top: 'data' top: 'label' }
    layers { layer { name: 'w' type: 'window_data' source: 'windows' batchsize: 128 det_fg_threshold: 0.6
                     det_bg_threshold: 0.4 det_fg_fraction: 0.3 det_context_pad: 16 det_crop_mode: 'square'
                     meanfile: 'mean' } top: 'win' top: 'cls' }
    layers { layer { name: 'h' type: 'hdf5_data' source: 'files' batchsize: 5 } top: 'h' }
    layers { layer { name: 'info' type: 'infogain_loss' source: 'H' } bottom: 'h' bottom: 'cls' }
    layers { layer { name: 'o' type: 'hdf5_output' hdf5_output_param { file_name: 'out.h5' } }
             bottom: 'data' bottom: 'label' })",
                R"(
    layer { name: 'i' type: 'ImageData' top: 'data' top: 'label' transform_param { crop_size: 32 }
            image_data_param { source: 'list' batch_size: 4 new_height: 64 new_width: 48 shuffle: true
                               rand_skip: 3 } }
    layer { name: 'w' type: 'WindowData' top: 'win' top: 'cls' transform_param { mean_file: 'mean' }
            window_data_param { source: 'windows' batch_size: 128 fg_threshold: 0.6 bg_threshold: 0.4
                                fg_fraction: 0.3 context_pad: 16 crop_mode: 'square' } }
    layer { name: 'h' type: 'HDF5Data' top: 'h' hdf5_data_param { source: 'files' batch_size: 5 } }
    layer { name: 'info' type: 'InfogainLoss' bottom: 'h' bottom: 'cls' infogain_loss_param { source: 'H' } }
    layer { name: 'o' type: 'HDF5Output' bottom: 'data' bottom: 'label'
            hdf5_output_param { file_name: 'out.h5' } })");
}

TEST_F(UpgradeProtoTest, V0WeightsAreKept) {
  const NetParameter net = Upgraded(R"(
    layers { layer { name: 'ip' type: 'innerproduct' num_output: 1
                     blobs { num: 1 channels: 1 height: 1 width: 2 data: 3 data: 4 } blobs { data: 5 } } })");
  ASSERT_EQ(net.layer(0).blobs_size(), 2);
  EXPECT_EQ(net.layer(0).blobs(0).data(1), 4);
  EXPECT_EQ(net.layer(0).blobs(0).width(), 2);
  EXPECT_EQ(net.layer(0).blobs(1).data(0), 5);
}

TEST_F(UpgradeProtoTest, V0TypesAllHaveAName) {
  for (const char* type : {"accuracy",     "bnll",         "concat",         "conv",
                           "data",         "dropout",      "euclidean_loss", "flatten",
                           "hdf5_data",    "hdf5_output",  "im2col",         "images",
                           "lrn",          "innerproduct", "infogain_loss",  "multinomial_logistic_loss",
                           "pool",         "relu",         "sigmoid",        "softmax",
                           "softmax_loss", "split",        "tanh",           "window_data"}) {
    EXPECT_STRNE(UpgradeV1LayerType(UpgradeV0LayerType(type)), "") << type;
  }
  EXPECT_TRUE(Contains(ErrorOf([] { UpgradeV0LayerType("inerproduct"); }),
                       "unknown V0 layer type 'inerproduct' (did you mean 'innerproduct'"));
}

TEST_F(UpgradeProtoTest, V0PaddingFoldsIntoTheLayersAbove) {
  ExpectUpgrade(R"(
    input: 'data' input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
    layers { layer { name: 'pad1' type: 'padding' pad: 2 } bottom: 'data' top: 'pad1' }
    layers { layer { name: 'c1' type: 'conv' num_output: 4 kernelsize: 5 } bottom: 'pad1' top: 'c1' }
    layers { layer { name: 'relu1' type: 'relu' } bottom: 'c1' top: 'c1' }
    layers { layer { name: 'pad2' type: 'padding' pad: 1 } bottom: 'c1' top: 'pad2' }
    layers { layer { name: 'c2' type: 'conv' num_output: 4 kernelsize: 5 pad: 1 } bottom: 'pad2' top: 'c2' }
    layers { layer { name: 'p2' type: 'pool' kernelsize: 3 } bottom: 'pad2' top: 'p2' })",
                R"(
    layer { name: 'input' type: 'Input' top: 'data' input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
    layer { name: 'c1' type: 'Convolution' bottom: 'data' top: 'c1'
            convolution_param { num_output: 4 kernel_size: 5 pad: 2 } }
    layer { name: 'relu1' type: 'ReLU' bottom: 'c1' top: 'c1' }
    layer { name: 'c2' type: 'Convolution' bottom: 'c1' top: 'c2'
            convolution_param { num_output: 4 kernel_size: 5 pad: 2 } }
    layer { name: 'p2' type: 'Pooling' bottom: 'c1' top: 'p2' pooling_param { kernel_size: 3 pad: 1 } })");
}

TEST_F(UpgradeProtoTest, V0PaddingUponPaddingAddsUp) {
  const NetParameter net = Upgraded(R"(
    layers { layer { name: 'a' type: 'padding' pad: 2 } bottom: 'data' top: 'a' }
    layers { layer { name: 'b' type: 'padding' pad: 3 } bottom: 'a' top: 'b' }
    layers { layer { name: 'c' type: 'conv' num_output: 1 kernelsize: 3 } bottom: 'b' top: 'c' })");
  EXPECT_EQ(net.layer(0).convolution_param().pad(0), 5u);
  EXPECT_EQ(net.layer(0).bottom(0), "data");
}

TEST_F(UpgradeProtoTest, V0PaddingThatCannotFoldIsAnError) {
  const string padding = "layers { layer { name: 'pad' type: 'padding' pad: 2 } bottom: 'x' top: 'pad' }";
  EXPECT_TRUE(
      Contains(UpgradeError(padding + "layers { layer { name: 'ip' type: 'innerproduct' } bottom: 'pad' }"),
               "old.prototxt: layer 'ip' (innerproduct): 'pad' comes from a padding layer; only conv"));
  EXPECT_TRUE(Contains(
      UpgradeError(padding + "layers { layer { name: 'c' type: 'conv' } bottom: 'pad' bottom: 'x' }"),
      "must have one bottom"));
  EXPECT_TRUE(Contains(UpgradeError(padding + R"(
    layers { layer { name: 'relu' type: 'relu' } bottom: 'x' top: 'x' }
    layers { layer { name: 'c' type: 'conv' } bottom: 'pad' top: 'c' })"),
                       "'x' is changed in place between the two"));
  EXPECT_TRUE(Contains(UpgradeError("layers { layer { name: 'pad' type: 'padding' } bottom: 'x' }"),
                       "layer 'pad' (padding): a padding layer has one bottom and one top"));
}

TEST_F(UpgradeProtoTest, V0FieldsWithoutMeaningAreErrorsThatNameLayerAndField) {
  EXPECT_EQ(UpgradeError("layers { layer { name: 'r' type: 'relu' kernelsize: 3 } }"),
            "old.prototxt: layer 'r' (relu): V0 field 'kernelsize' has no meaning in a layer of this type; "
            "remove it");
  EXPECT_TRUE(Contains(UpgradeError("layers { layer { name: 'd' type: 'data' new_channels: 3 } }"),
                       "layer 'd' (data): "));
  EXPECT_TRUE(Contains(UpgradeError("layers { layer { name: 'd' type: 'datum' } }"),
                       "layer 'd' (datum): unknown V0 layer type 'datum'"));
  EXPECT_TRUE(Contains(UpgradeError("layers { layer { name: 'i' type: 'images' new_height: -3 } }"),
                       "-3 is no value for caffe.ImageDataParameter.new_height"));
}

// -------------------------------------------------------------------------------------------------------- V1

TEST_F(UpgradeProtoTest, V1LayersKeepWhatTheySay) {
  ExpectUpgrade(R"(
    name: 'pair' debug_info: true
    layers { name: 'd' type: DUMMY_DATA top: 'a' top: 'b' dummy_data_param { num: 2 channels: 1 height: 3 width: 3 } }
    layers { name: 'ip1' type: INNER_PRODUCT bottom: 'a' top: 'x' inner_product_param { num_output: 5 }
             param: 'w' param: '' blob_share_mode: PERMISSIVE blob_share_mode: STRICT
             blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 include { phase: TRAIN } }
    layers { name: 'ip2' type: INNER_PRODUCT bottom: 'b' top: 'y' inner_product_param { num_output: 5 }
             param: 'w' exclude { phase: TEST stage: 'deploy' } }
    layers { name: 'loss' type: EUCLIDEAN_LOSS bottom: 'x' bottom: 'y' top: 'loss' loss_weight: 0.5
             loss_param { ignore_label: 3 } })",
                R"(
    name: 'pair' debug_info: true
    layer { name: 'd' type: 'DummyData' top: 'a' top: 'b'
            dummy_data_param { num: 2 channels: 1 height: 3 width: 3 } }
    layer { name: 'ip1' type: 'InnerProduct' bottom: 'a' top: 'x' inner_product_param { num_output: 5 }
            param { name: 'w' share_mode: PERMISSIVE lr_mult: 1 decay_mult: 1 }
            param { name: '' share_mode: STRICT lr_mult: 2 decay_mult: 0 } include { phase: TRAIN } }
    layer { name: 'ip2' type: 'InnerProduct' bottom: 'b' top: 'y' inner_product_param { num_output: 5 }
            param { name: 'w' } exclude { phase: TEST stage: 'deploy' } }
    layer { name: 'loss' type: 'EuclideanLoss' bottom: 'x' bottom: 'y' top: 'loss' loss_weight: 0.5
            loss_param { ignore_label: 3 } })");
}

TEST_F(UpgradeProtoTest, EveryV1ParameterMessageIsCarriedOver) {
  const google::protobuf::Descriptor* v1 = V1LayerParameter::descriptor();
  int messages = 0;
  for (int i = 0; i < v1->field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = v1->field(i);
    if (field->is_repeated() || field->cpp_type() != field->CPPTYPE_MESSAGE || field->name() == "layer")
      continue;
    V1LayerParameter old_layer;
    old_layer.GetReflection()->MutableMessage(&old_layer, field);
    LayerParameter layer;
    EXPECT_TRUE(UpgradeV1LayerParameter(old_layer, &layer));
    const auto* target = LayerParameter::descriptor()->FindFieldByName(field->name());
    ASSERT_NE(target, nullptr) << field->name();
    EXPECT_TRUE(layer.GetReflection()->HasField(layer, target)) << field->name();
    ++messages;
  }
  EXPECT_EQ(messages, 30);
}

TEST_F(UpgradeProtoTest, EveryV1TypeHasItsName) {
  const auto* types = V1LayerParameter_LayerType_descriptor();
  for (int i = 0; i < types->value_count(); ++i) {
    const string name =
        UpgradeV1LayerType(static_cast<V1LayerParameter_LayerType>(types->value(i)->number()));
    // The names are those of the enum in mixed case, but for one.
    string expected = types->value(i)->name();
    expected.erase(std::remove(expected.begin(), expected.end(), '_'), expected.end());
    if (expected == "NONE") expected = "";
    if (expected == "SOFTMAXLOSS") expected = "SOFTMAXWITHLOSS";
    string upper = name;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    EXPECT_EQ(upper, expected) << name;
  }
  EXPECT_STREQ(UpgradeV1LayerType(V1LayerParameter::IM2COL), "Im2col");
  EXPECT_STREQ(UpgradeV1LayerType(V1LayerParameter::TANH), "TanH");
  EXPECT_STREQ(UpgradeV1LayerType(V1LayerParameter::ARGMAX), "ArgMax");
  EXPECT_STREQ(UpgradeV1LayerType(V1LayerParameter::HDF5_DATA), "HDF5Data");
}

TEST_F(UpgradeProtoTest, MixedFormatsAreRefused) {
  const string error = UpgradeError("layers { name: 'old' type: RELU } layer { name: 'new' type: 'ReLU' }");
  EXPECT_TRUE(Contains(error, "old.prototxt: "));
  EXPECT_TRUE(Contains(error, "from layer 'old'"));
  EXPECT_TRUE(Contains(error, "from layer 'new'"));
  const V1LayerParameter v0 = Parsed<V1LayerParameter>("layer { name: 'c' type: 'conv' }");
  LayerParameter layer;
  EXPECT_TRUE(
      Contains(ErrorOf([&] { UpgradeV1LayerParameter(v0, &layer); }), "layer 'c' (conv): this is a V0"));
}

TEST_F(UpgradeProtoTest, TransformationFieldsMove) {
  ExpectUpgrade(R"(
    layers { name: 'd' type: DATA data_param { source: 's' scale: 0.5 mean_file: 'm' crop_size: 4 mirror: true } }
    layers { name: 'i' type: IMAGE_DATA image_data_param { source: 's' mirror: true } }
    layers { name: 'w' type: WINDOW_DATA window_data_param { crop_size: 7 } transform_param { scale: 2 } })",
                R"(
    layer { name: 'd' type: 'Data' data_param { source: 's' }
            transform_param { scale: 0.5 mean_file: 'm' crop_size: 4 mirror: true } }
    layer { name: 'i' type: 'ImageData' image_data_param { source: 's' } transform_param { mirror: true } }
    layer { name: 'w' type: 'WindowData' window_data_param { } transform_param { scale: 2 crop_size: 7 } })");
  EXPECT_EQ(
      log_[0],
      "Attempting to upgrade input file specified using deprecated transformation parameters: old.prototxt");
  EXPECT_EQ(log_[1], "Successfully upgraded file specified using deprecated data transformation parameters.");
}

// -------------------------------------------------------------------------------------------- within V2,
// solver

TEST_F(UpgradeProtoTest, InputFieldsBecomeTheFirstLayer) {
  const string layers =
      "layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'a' } layer { name: 'b' type: 'ReLU' }";
  ExpectUpgrade(
      "input: 'x' input: 'y' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4 "
      "input_dim: 5 input_dim: 6 input_dim: 7 input_dim: 8 " +
          layers,
      "layer { name: 'input' type: 'Input' top: 'x' top: 'y' input_param { "
      "shape { dim: 1 dim: 2 dim: 3 dim: 4 } shape { dim: 5 dim: 6 dim: 7 dim: 8 } } } " +
          layers);
  ExpectUpgrade(
      "input: 'x' input_shape { dim: 9 dim: 8 } " + layers,
      "layer { name: 'input' type: 'Input' top: 'x' input_param { shape { dim: 9 dim: 8 } } } " + layers);
  EXPECT_EQ(log_[0],
            "Attempting to upgrade input file specified using deprecated input fields: old.prototxt");
  EXPECT_EQ(log_[1], "Successfully upgraded file specified using deprecated input fields.");
}

TEST_F(UpgradeProtoTest, InputsWithoutShapes) {
  ExpectUpgrade(
      "input: 'x' layer { name: 'a' type: 'ReLU' bottom: 'x' }",
      "layer { name: 'input' type: 'Input' top: 'x' } layer { name: 'a' type: 'ReLU' bottom: 'x' }");
  ExpectUpgrade("input: 'x' layer { name: 'in' type: 'Input' top: 'x' }",
                "layer { name: 'in' type: 'Input' top: 'x' }");
}

TEST_F(UpgradeProtoTest, InputCountsThatDoNotMatchAreErrors) {
  EXPECT_TRUE(Contains(UpgradeError("input: 'x' input_dim: 1 input_dim: 2"),
                       "the net names 1 inputs and gives 2 times input_dim; each input needs 4"));
  EXPECT_TRUE(Contains(UpgradeError("input: 'x' input: 'y' input_shape { dim: 1 }"),
                       "the net names 2 inputs and gives 1 times input_shape"));
  EXPECT_TRUE(Contains(UpgradeError("input: 'x' input_shape { dim: 1 } input_dim: 1"), "both"));
}

TEST_F(UpgradeProtoTest, BatchNormParamsGo) {
  const string spec = "param { lr_mult: 0 } ";
  ExpectUpgrade(
      "layer { name: 'bn' type: 'BatchNorm' " + spec + spec + spec +
          "}"
          "layer { name: 's' type: 'Scale' " +
          spec + spec + "}",
      "layer { name: 'bn' type: 'BatchNorm' } layer { name: 's' type: 'Scale' " + spec + spec + "}");
  EXPECT_EQ(log_, (std::vector<string>{
                      "Attempting to upgrade batch norm layers using deprecated params: old.prototxt",
                      "Successfully upgraded batch norm layers using deprecated params."}));
}

TEST_F(UpgradeProtoTest, SharedBatchNormParamsKeepTheirNames) {
  const string off = "lr_mult: 0 decay_mult: 0 } ";
  ExpectUpgrade(
      "layer { type: 'BatchNorm' param { name: 'm' } param { name: 'v' lr_mult: 1 } param { name: 'f' } }",
      "layer { type: 'BatchNorm' param { name: 'm' " + off + "param { name: 'v' " + off +
          "param { name: 'f' " + off + "}");
}

TEST_F(UpgradeProtoTest, SolverTypes) {
  const std::vector<std::pair<string, string>> types = {{"SGD", "SGD"},           {"NESTEROV", "Nesterov"},
                                                        {"ADAGRAD", "AdaGrad"},   {"RMSPROP", "RMSProp"},
                                                        {"ADADELTA", "AdaDelta"}, {"ADAM", "Adam"}};
  for (const auto& [old_type, type] : types) {
    SolverParameter solver = Parsed<SolverParameter>("base_lr: 0.5 solver_type: " + old_type);
    EXPECT_TRUE(SolverNeedsTypeUpgrade(solver));
    EXPECT_TRUE(UpgradeSolverAsNeeded("solver.prototxt", &solver));
    EXPECT_EQ(solver.DebugString(),
              Parsed<SolverParameter>("base_lr: 0.5 type: '" + type + "'").DebugString());
    EXPECT_FALSE(SolverNeedsTypeUpgrade(solver));
    EXPECT_FALSE(UpgradeSolverType(&solver));
  }
  SolverParameter both = Parsed<SolverParameter>("type: 'Adam' solver_type: ADAM");
  EXPECT_TRUE(Contains(ErrorOf([&] { UpgradeSolverAsNeeded("solver.prototxt", &both); }),
                       "the solver gives both type (\"Adam\") and the older solver_type"));
}

TEST_F(UpgradeProtoTest, NetsWithinASolverAreUpgraded) {
  SolverParameter solver = Parsed<SolverParameter>(R"(
    net_param { layers { name: 'a' type: RELU } } train_net_param { layers { name: 'b' type: RELU } }
    test_net_param { layers { name: 'c' type: RELU } } test_net_param { layer { name: 'd' type: 'ReLU' } })");
  UpgradeSolverAsNeeded("solver.prototxt", &solver);
  EXPECT_EQ(solver.net_param().layer(0).type(), "ReLU");
  EXPECT_EQ(solver.train_net_param().layer(0).type(), "ReLU");
  EXPECT_EQ(solver.test_net_param(0).layer(0).name(), "c");
  EXPECT_EQ(solver.test_net_param(1).layer(0).name(), "d");
}

// ----------------------------------------------------------------------------------------------- from files

TEST_F(UpgradeProtoTest, FilesAreReadAndUpgraded) {
  string folder;
  MakeTempDir(&folder);
  const string net_file = folder + "/net.prototxt", weights = folder + "/net.caffemodel",
               solver_file = folder + "/solver.prototxt";
  std::ofstream(net_file) << "layers { name: 'r' type: RELU }";
  std::ofstream(solver_file) << "solver_type: ADAM";
  WriteProtoToBinaryFile(Parsed<NetParameter>("layers { name: 'r' type: RELU blobs { data: 3 } }"), weights);
  NetParameter net;
  ReadNetParamsFromTextFileOrDie(net_file, &net);
  EXPECT_EQ(net.layer(0).type(), "ReLU");
  ReadNetParamsFromBinaryFileOrDie(weights, &net);
  EXPECT_EQ(net.layer(0).blobs(0).data(0), 3);
  SolverParameter solver;
  ReadSolverParamsFromTextFileOrDie(solver_file, &solver);
  EXPECT_EQ(solver.type(), "Adam");
  // Snapshots that have no name, or a folder for it, have the solver's.
  EXPECT_EQ(solver.snapshot_prefix(), folder + "/solver");
  const auto prefix_of = [&](const string& given) {
    std::ofstream(solver_file) << "snapshot_prefix: '" << given << "'";
    ReadSolverParamsFromTextFileOrDie(solver_file, &solver);
    return solver.snapshot_prefix();
  };
  EXPECT_EQ(prefix_of(folder), folder + "/solver");
  EXPECT_EQ(prefix_of(folder + "/"), folder + "/solver");
  EXPECT_EQ(prefix_of(folder + "/run"), folder + "/run");
  fs::remove_all(folder);
  EXPECT_TRUE(Contains(ErrorOf([&] { ReadNetParamsFromTextFileOrDie(net_file, &net); }), net_file));
  EXPECT_TRUE(Contains(ErrorOf([&] { ReadNetParamsFromBinaryFileOrDie(weights, &net); }), weights));
  EXPECT_TRUE(
      Contains(ErrorOf([&] { ReadSolverParamsFromTextFileOrDie(solver_file, &solver); }), solver_file));
}

TEST_F(UpgradeProtoTest, RealV1WeightsLoad) {
  const string folder = SharedData("models/lenet-2014");
  if (folder.empty()) GTEST_SKIP() << "no shared data here";
  NetParameter net;
  ReadNetParamsFromBinaryFileOrDie(folder + "/lenet_iter_10000.caffemodel", &net);
  EXPECT_EQ(net.name(), "LeNet");
  EXPECT_FALSE(NetNeedsUpgrade(net));
  std::map<string, std::vector<int>> sizes;
  for (const LayerParameter& layer : net.layer()) {
    for (const BlobProto& blob : layer.blobs()) sizes[layer.name()].push_back(blob.data_size());
  }
  EXPECT_EQ(sizes,
            (std::map<string, std::vector<int>>{
                {"conv1", {500, 20}}, {"conv2", {25000, 50}}, {"ip1", {400000, 500}}, {"ip2", {5000, 10}}}));
  SolverState state;
  ReadProtoFromBinaryFileOrDie(folder + "/lenet_iter_10000.solverstate", &state);
  EXPECT_EQ(state.iter(), 10000);
  EXPECT_EQ(state.history_size(), 8);
}

TEST_F(UpgradeProtoTest, RealDefinitionsUpgrade) {
  const string archive = SharedData("prototxt/prototxt.tar.xz");
  if (archive.empty()) GTEST_SKIP() << "no shared data here";
  string folder;
  MakeTempDir(&folder);
  ASSERT_EQ(std::system(("tar -C '" + folder + "' -xf '" + archive + "'").c_str()), 0);
  std::ifstream index(SharedData("prototxt/INDEX.tsv"));
  string line;
  std::getline(index, line);
  int read = 0;
  while (std::getline(index, line)) {
    std::istringstream columns(line);
    string file, kind, format;
    std::getline(columns, file, '\t');
    std::getline(columns, kind, '\t');
    std::getline(columns, format, '\t');
    SCOPED_TRACE(file);
    ++read;
    if (kind == "solver") {
      SolverParameter solver;
      EXPECT_NO_THROW(ReadSolverParamsFromTextFileOrDie(folder + "/" + file, &solver));
      EXPECT_FALSE(SolverNeedsTypeUpgrade(solver));
      continue;
    }
    NetParameter original, net;
    ReadProtoFromTextFileOrDie(folder + "/" + file, &original);
    EXPECT_EQ(NetNeedsV0ToV1Upgrade(original), format == "V0");
    EXPECT_EQ(NetNeedsV1ToV2Upgrade(original), format == "V0" || format == "V1");
    ASSERT_NO_THROW(ReadNetParamsFromTextFileOrDie(folder + "/" + file, &net));
    EXPECT_FALSE(NetNeedsUpgrade(net));
    EXPECT_EQ(net.layers_size(), 0);
    for (const LayerParameter& layer : net.layer()) EXPECT_NE(layer.type(), "") << layer.name();
    // What is written reads back as the same net, as text and as bytes.
    NetParameter again;
    WriteProtoToTextFile(net, folder + "/again");
    ReadNetParamsFromTextFileOrDie(folder + "/again", &again);
    EXPECT_EQ(again.DebugString(), net.DebugString());
    if (net.ByteSizeLong() > 0) {
      WriteProtoToBinaryFile(net, folder + "/again");
      ReadNetParamsFromBinaryFileOrDie(folder + "/again", &again);
      EXPECT_EQ(again.DebugString(), net.DebugString());
    }
  }
  EXPECT_GT(read, 1000);
  fs::remove_all(folder);
}

}  // namespace caffe
