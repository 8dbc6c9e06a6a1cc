#include "caffe/util/insert_splits.hpp"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "caffe/test/test_error_util.hpp"

namespace caffe {

namespace {

NetParameter NetOf(const string& text) {
  NetParameter net;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &net)) << text;
  return net;
}

string SplitOf(const string& text) {
  NetParameter split;
  InsertSplits(NetOf(text), &split);
  return split.DebugString();
}

void ExpectSplit(const string& before, const string& after) {
  EXPECT_EQ(SplitOf(before), NetOf(after).DebugString());
  EXPECT_EQ(SplitOf(after), NetOf(after).DebugString()) << "a second time nothing changes";
}

}  // namespace

TEST(InsertSplitsTest, NamesSplitsAfterBlobLayerAndIndex) {
  EXPECT_EQ(SplitLayerName("mnist", "label", 1), "label_mnist_1_split");
  EXPECT_EQ(SplitBlobName("mnist", "label", 1, 0), "label_mnist_1_split_0");
}

TEST(InsertSplitsTest, LeavesSingleReadersAlone) {
  const string net = R"(
    name: 'chain' force_backward: true
    layer { name: 'data' type: 'Data' top: 'data' top: 'label' }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' loss_weight: 2 })";
  ExpectSplit(net, net);
}

TEST(InsertSplitsTest, SplitsEachTopThatHasSeveralReaders) {
  ExpectSplit(R"(
    layer { name: 'data' type: 'Data' top: 'data' top: 'label' }
    layer { name: 'ip1' type: 'InnerProduct' bottom: 'data' top: 'ip1' }
    layer { name: 'ip2' type: 'InnerProduct' bottom: 'data' top: 'ip2' }
    layer { name: 'loss1' type: 'SoftmaxWithLoss' bottom: 'ip1' bottom: 'label' top: 'l1' }
    layer { name: 'loss2' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'l2' })",
              R"(
    layer { name: 'data' type: 'Data' top: 'data' top: 'label' }
    layer { name: 'data_data_0_split' type: 'Split' bottom: 'data'
            top: 'data_data_0_split_0' top: 'data_data_0_split_1' }
    layer { name: 'label_data_1_split' type: 'Split' bottom: 'label'
            top: 'label_data_1_split_0' top: 'label_data_1_split_1' }
    layer { name: 'ip1' type: 'InnerProduct' bottom: 'data_data_0_split_0' top: 'ip1' }
    layer { name: 'ip2' type: 'InnerProduct' bottom: 'data_data_0_split_1' top: 'ip2' }
    layer { name: 'loss1' type: 'SoftmaxWithLoss' bottom: 'ip1' bottom: 'label_data_1_split_0' top: 'l1' }
    layer { name: 'loss2' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label_data_1_split_1' top: 'l2' })");
}

TEST(InsertSplitsTest, OneLayerMayReadABlobTwice) {
  ExpectSplit(R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'square' type: 'Eltwise' bottom: 'x' bottom: 'x' top: 'y' })",
              R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'x_in_0_split' type: 'Split' bottom: 'x' top: 'x_in_0_split_0' top: 'x_in_0_split_1' }
    layer { name: 'square' type: 'Eltwise' bottom: 'x_in_0_split_0' bottom: 'x_in_0_split_1' top: 'y' })");
}

TEST(InsertSplitsTest, BottomsReadTheLatestTopComputedInPlace) {
  ExpectSplit(R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'relu' type: 'ReLU' bottom: 'x' top: 'x' }
    layer { name: 'a' type: 'Power' bottom: 'x' top: 'a' }
    layer { name: 'b' type: 'Power' bottom: 'x' top: 'b' })",
              R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'relu' type: 'ReLU' bottom: 'x' top: 'x' }
    layer { name: 'x_relu_0_split' type: 'Split' bottom: 'x' top: 'x_relu_0_split_0' top: 'x_relu_0_split_1' }
    layer { name: 'a' type: 'Power' bottom: 'x_relu_0_split_0' top: 'a' }
    layer { name: 'b' type: 'Power' bottom: 'x_relu_0_split_1' top: 'b' })");
}

TEST(InsertSplitsTest, ALossThatIsReadMovesItsWeightToTheSplit) {
  ExpectSplit(R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' loss_weight: 2.5 }
    layer { name: 'end' type: 'Silence' bottom: 'y' })",
              R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' }
    layer { name: 'y_ip_0_split' type: 'Split' bottom: 'y' top: 'y_ip_0_split_0' top: 'y_ip_0_split_1'
            loss_weight: 2.5 loss_weight: 0 }
    layer { name: 'end' type: 'Silence' bottom: 'y_ip_0_split_1' })");
}

TEST(InsertSplitsTest, OtherLossWeightsOfTheLayerStay) {
  ExpectSplit(R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'two' type: 'Slice' bottom: 'x' top: 'a' top: 'b' loss_weight: 2 loss_weight: 3 }
    layer { name: 'end' type: 'Silence' bottom: 'a' })",
              R"(
    layer { name: 'in' type: 'Input' top: 'x' }
    layer { name: 'two' type: 'Slice' bottom: 'x' top: 'a' top: 'b' loss_weight: 0 loss_weight: 3 }
    layer { name: 'a_two_0_split' type: 'Split' bottom: 'a' top: 'a_two_0_split_0' top: 'a_two_0_split_1'
            loss_weight: 2 loss_weight: 0 }
    layer { name: 'end' type: 'Silence' bottom: 'a_two_0_split_1' })");
}

TEST(InsertSplitsTest, ALossLayerKeepsAnExplicitZero) {
  // Without it the layer would give its top the default weight 1, and the loss would count twice.
  const string split = SplitOf(R"(
    layer { name: 'in' type: 'Input' top: 'x' top: 'label' }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'label' top: 'l' loss_weight: 1 }
    layer { name: 'end' type: 'Silence' bottom: 'l' })");
  EXPECT_EQ(split, NetOf(R"(
    layer { name: 'in' type: 'Input' top: 'x' top: 'label' }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'label' top: 'l' loss_weight: 0 }
    layer { name: 'l_loss_0_split' type: 'Split' bottom: 'l' top: 'l_loss_0_split_0' top: 'l_loss_0_split_1'
            loss_weight: 1 loss_weight: 0 }
    layer { name: 'end' type: 'Silence' bottom: 'l_loss_0_split_1' })")
                       .DebugString());
}

TEST(InsertSplitsTest, AnUnknownBottomNamesLayerAndBlob) {
  const string misspelt = ErrorOf([] {
    SplitOf(R"(
      layer { name: 'in' type: 'Input' top: 'data' }
      layer { name: 'conv1' type: 'Convolution' bottom: 'dat' top: 'conv1' })");
  });
  EXPECT_TRUE(Contains(misspelt, "layer 'conv1' (Convolution): Unknown bottom blob 'dat'"));
  EXPECT_TRUE(Contains(misspelt, "did you mean 'data'"));

  const string out_of_order = ErrorOf([] {
    SplitOf(R"(
      layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' }
      layer { name: 'in' type: 'Input' top: 'data' })");
  });
  EXPECT_TRUE(Contains(out_of_order, "layer 'in' does, so it must come first"));
}

}  // namespace caffe
