// Reading .caffemodel files blob by blob, and what is said of how they fit.
#include "caffe/util/weights_file.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "caffe/util/weight_match.hpp"
#include "log_capture.hpp"
#include "net_test_util.hpp"

namespace caffe {
namespace {

constexpr char kNet[] =
    "name: 'small' "
    "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 1 dim: 2 dim: 5 dim: 5 } } } "
    "layer { name: 'conv' type: 'BinaryConvolution' bottom: 'data' top: 'conv' "
    "  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: 'gaussian' } } "
    "  binary_convolution_param { use_alpha: true } } "
    "layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'bn' } "
    "layer { name: 'ip' type: 'InnerProduct' bottom: 'bn' top: 'ip' "
    "  inner_product_param { num_output: 7 weight_filler { type: 'gaussian' } } } ";

NetParameter Saved(bool write_diff = false) {
  Caffe::set_random_seed(4);
  NetParameter message;
  MakeNet<float>(kNet)->ToProto(&message, write_diff);
  return message;
}

template <typename Dtype>
vector<Dtype> Values(const Net<Dtype>& net) {
  vector<Dtype> values;
  for (const auto& blob : net.params()) {
    values.insert(values.end(), blob->cpu_data(), blob->cpu_data() + blob->count());
  }
  return values;
}

// What a net has after it read the file.
template <typename Dtype>
vector<Dtype> Loaded(const string& file) {
  const auto net = MakeNet<Dtype>(kNet);
  net->CopyTrainedLayersFromBinaryProto(file);
  return Values(*net);
}

vector<float> Expected() {
  const auto net = MakeNet<float>(kNet);
  net->CopyTrainedLayersFrom(Saved());
  return Values(*net);
}

TEST(WeightsFileTest, KeepsTheValuesInTheFile) {
  const TempFolder folder;
  WriteProtoToBinaryFile(Saved(), folder / "net.caffemodel");
  const WeightsFile file(folder / "net.caffemodel");
  ASSERT_EQ(file.net().layer_size(), 4);
  EXPECT_EQ(file.net().layer(1).name(), "conv");
  EXPECT_TRUE(file.net().layer(1).binary_convolution_param().use_alpha());
  ASSERT_EQ(file.net().layer(3).blobs_size(), 2);
  EXPECT_EQ(file.net().layer(3).blobs(0).data_size(), 0);
  EXPECT_EQ(file.net().layer(3).blobs(0).shape().dim(0), 7);
  Blob<float> weights(vector<int>{7, 27});
  file.CopyBlob(3, 0, &weights);
  const NetParameter saved = Saved();
  for (int i = 0; i < weights.count(); ++i) {
    EXPECT_EQ(weights.cpu_data()[i], saved.layer(3).blobs(0).data(i));
  }
  Blob<float> other(vector<int>{7, 26});
  EXPECT_TRUE(Contains(ErrorOf([&] { file.CopyBlob(3, 0, &other); }), "shape mismatch"));
}

TEST(WeightsFileTest, ReadsEveryLayout) {
  const TempFolder folder;
  const auto loads = [&](const NetParameter& message) {
    WriteProtoToBinaryFile(message, folder / "net.caffemodel");
    const vector<float> expected = Expected();
    EXPECT_EQ(Loaded<float>(folder / "net.caffemodel"), expected);
    const vector<double> doubles = Loaded<double>(folder / "net.caffemodel");
    EXPECT_EQ(vector<float>(doubles.begin(), doubles.end()), expected);
  };
  loads(Saved());
  loads(Saved(/*write_diff=*/true));

  NetParameter doubles = Saved();
  for (LayerParameter& layer : *doubles.mutable_layer()) {
    for (BlobProto& blob : *layer.mutable_blobs()) {
      for (float value : blob.data()) blob.add_double_data(value);
      blob.clear_data();
    }
  }
  loads(doubles);

  // As Caffe wrote shapes before 2015.
  NetParameter legacy = Saved();
  for (LayerParameter& layer : *legacy.mutable_layer()) {
    for (BlobProto& blob : *layer.mutable_blobs()) {
      int sizes[] = {1, 1, 1, 1};
      const int axes = blob.shape().dim_size();
      for (int i = 0; i < axes; ++i) sizes[4 - axes + i] = static_cast<int>(blob.shape().dim(i));
      blob.clear_shape();
      blob.set_num(sizes[0]);
      blob.set_channels(sizes[1]);
      blob.set_height(sizes[2]);
      blob.set_width(sizes[3]);
    }
  }
  loads(legacy);

  // Layers of the V1 format.
  NetParameter old;
  old.set_name("small");
  const NetParameter saved = Saved();
  V1LayerParameter* ip = old.add_layers();
  ip->set_name("ip");
  ip->set_type(V1LayerParameter::INNER_PRODUCT);
  *ip->mutable_blobs() = saved.layer(3).blobs();
  WriteProtoToBinaryFile(old, folder / "old.caffemodel");
  const vector<float> values = Loaded<float>(folder / "old.caffemodel"), expected = Expected();
  EXPECT_EQ(vector<float>(values.end() - 196, values.end()),
            vector<float>(expected.end() - 196, expected.end()));

  // Old inputs become a layer before the others.
  NetParameter with_input = Saved();
  with_input.mutable_layer()->DeleteSubrange(0, 1);
  with_input.add_input("data");
  for (int size : {1, 2, 5, 5}) with_input.add_input_dim(size);
  loads(with_input);
}

// The same weights with those of the convolution packed.
NetParameter Packed() {
  NetParameter message = Saved();
  Blob<float> weights;
  BlobProto* blob = message.mutable_layer(1)->mutable_blobs(0);
  weights.FromProto(*blob);
  vector<float> alphas;
  vector<uint8_t> signs;
  BinarizeToSigns(weights, true, &alphas, &signs);
  blob->clear_data();
  blob->set_signs(signs.data(), signs.size());
  for (const float alpha : alphas) blob->add_alphas(alpha);
  return message;
}

TEST(WeightsFileTest, ReadsPackedBlobs) {
  const TempFolder folder;
  WriteProtoToBinaryFile(Packed(), folder / "packed.caffemodel");
  const WeightsFile file(folder / "packed.caffemodel");
  EXPECT_TRUE(file.net().layer(1).blobs(0).has_signs());
  EXPECT_EQ(file.net().layer(1).blobs(0).signs(), "");
  Blob<float> alphas, binary, stored;
  stored.FromProto(Saved().layer(1).blobs(0));
  BinarizeWeights(stored, true, &alphas, &binary);
  vector<float> expected = Expected();
  std::copy_n(binary.cpu_data(), binary.count(), expected.begin());
  EXPECT_EQ(Loaded<float>(folder / "packed.caffemodel"), expected);
  const vector<double> doubles = Loaded<double>(folder / "packed.caffemodel");
  EXPECT_EQ(vector<float>(doubles.begin(), doubles.end()), expected);
  // Also from a message, and in a layer's definition.
  const auto net = MakeNet<float>(kNet);
  net->CopyTrainedLayersFrom(Packed());
  EXPECT_EQ(Values(*net), expected);
  EXPECT_EQ(Values(Net<float>(Packed())), expected);
}

TEST(WeightsFileTest, DamagedPackedBlobsNameTheirLayer) {
  const TempFolder folder;
  NetParameter message = Packed();
  message.mutable_layer(1)->mutable_blobs(0)->mutable_signs()->pop_back();
  WriteProtoToBinaryFile(message, folder / "packed.caffemodel");
  const string error = ErrorOf([&] { Loaded<float>(folder / "packed.caffemodel"); });
  EXPECT_TRUE(Contains(error, "layer 'conv' (BinaryConvolution)")) << error;
  EXPECT_TRUE(Contains(error, "packed.caffemodel")) << error;
  EXPECT_TRUE(Contains(error, "another number of bytes of signs")) << error;
}

// A field of bytes, as protocol buffers write it.
string Field(int number, const string& content) {
  string head(1, static_cast<char>(number << 3 | 2));
  size_t size = content.size();
  for (; size >= 128; size >>= 7) head += static_cast<char>((size & 127) | 128);
  return head + static_cast<char>(size) + content;
}

TEST(WeightsFileTest, ReadsValuesInPieces) {
  const TempFolder folder;
  const auto net = [](const string& data) {
    const string shape = Field(7, string("\x0a\x01\x03", 3));
    return Field(1, "small") +
           // Field 100 has a tag of two bytes.
           string("\xa2\x06", 2) +
           Field(0, Field(1, "ip") + Field(2, "Bias") + Field(7, shape + data)).substr(1);
  };
  const float values[] = {1.5f, -2, 3};
  const string bytes(reinterpret_cast<const char*>(values), sizeof(values));
  const string one = net(Field(5, bytes));
  const string two = net(Field(5, bytes.substr(0, 4)) + Field(5, bytes.substr(4)));
  string unpacked;
  for (int i = 0; i < 3; ++i) unpacked += string(1, '\x2d') + bytes.substr(4 * i, 4);
  for (const string& content : {one, two, net(unpacked)}) {
    const WeightsFile file(folder.Save("net.caffemodel", content));
    Blob<float> blob(vector<int>{3});
    file.CopyBlob(0, 0, &blob);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(blob.cpu_data()[i], values[i]);
  }
  // Two values for a shape of three.
  const WeightsFile file(folder.Save("net.caffemodel", net(Field(5, bytes.substr(0, 8)))));
  Blob<float> blob(vector<int>{3});
  EXPECT_TRUE(Contains(ErrorOf([&] { file.CopyBlob(0, 0, &blob); }), "another number of values"));
}

// A damaged file is read, or refused, as it is when it is parsed as a whole.
TEST(WeightsFileTest, DamagedFilesAreRefusedOrRead) {
  const TempFolder folder;
  WriteProtoToBinaryFile(Saved(), folder / "net.caffemodel");
  const string whole = folder.Load("net.caffemodel");
  std::mt19937 random(7);
  int refused = 0;
  const LogCapture log;
  for (int i = 0; i < 400; ++i) {
    string content = whole;
    if (i % 4 == 0) {
      content.resize(random() % whole.size());
    } else {
      // Most damage goes where the structure is, near the beginning of a blob.
      for (int k = 0; k < 1 + i % 3; ++k) content[random() % content.size()] ^= 1 << random() % 8;
    }
    const string file = folder.Save("damaged.caffemodel", content);
    NetParameter message;
    // Layers whose names are damaged keep what they were filled with.
    Caffe::set_random_seed(8);
    const auto net = MakeNet<float>(kNet);
    Caffe::set_random_seed(8);
    const auto plain = MakeNet<float>(kNet);
    const string expected = ErrorOf([&] {
      ReadNetParamsFromBinaryFileOrDie(file, &message);
      plain->CopyTrainedLayersFrom(message);
    });
    const string found = ErrorOf([&] { net->CopyTrainedLayersFromBinaryProto(file); });
    EXPECT_EQ(found.empty(), expected.empty()) << found << expected;
    if (!found.empty()) {
      EXPECT_TRUE(Contains(found, "damaged.caffemodel"));
      ++refused;
    } else {
      const vector<float> a = Values(*net), b = Values(*plain);
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(WeightMatchTest, SaysWhatFits) {
  const TempFolder folder;
  NetParameter message = Saved();
  message.mutable_layer(3)->set_name("classifier");
  WriteProtoToBinaryFile(message, folder / "net.caffemodel");
  const auto net = MakeNet<float>(kNet);
  const LogCapture log;
  net->CopyTrainedLayersFrom(folder / "net.caffemodel");
  EXPECT_TRUE(
      log.Has("Parameters of net 'small': 2 matched, 0 differ, 1 missing, 1 left over\n"
              "  matched    conv        BinaryConvolution  3 2 3 3 (54), 3 (3)\n"
              "  matched    bn          BatchNorm          3 (3), 3 (3), 1 (1)\n"
              "  left over  classifier  InnerProduct       7 27 (189), 7 (7)\n"
              "  missing    ip          InnerProduct       7 27 (189), 7 (7)"));
}

TEST(WeightMatchTest, NamesAllThatDiffer) {
  NetParameter message = Saved();
  message.mutable_layer(1)->mutable_blobs(0)->mutable_shape()->set_dim(1, 3);
  message.mutable_layer(3)->mutable_blobs(0)->mutable_shape()->set_dim(0, 9);
  const auto net = MakeNet<float>(kNet);
  const LogCapture log;
  const string error = ErrorOf([&] { net->CopyTrainedLayersFrom(message); });
  EXPECT_TRUE(Contains(error, "layer 'conv' (BinaryConvolution): shape mismatch in parameter 0"));
  EXPECT_TRUE(Contains(error, "The layers that do not fit are conv, ip"));
  EXPECT_EQ(log.Warnings(), 1);
}

TEST(WeightMatchTest, WeightsOfBinaryLayersNeedBinaryLayers) {
  const TempFolder folder;
  WriteProtoToBinaryFile(Saved(), folder / "net.caffemodel");
  NetParameter plain = FromText<NetParameter>(kNet);
  plain.mutable_layer(1)->set_type("Convolution");
  plain.mutable_layer(1)->clear_binary_convolution_param();
  plain.mutable_state()->set_phase(TEST);
  const LogCapture log;
  Net<float> deployed(plain);
  const string error = ErrorOf([&] { deployed.CopyTrainedLayersFrom(folder / "net.caffemodel"); });
  EXPECT_TRUE(Contains(error, "the weights of conv are those of binary layers"));
  EXPECT_TRUE(Contains(error, "caffe binarize"));
  EXPECT_TRUE(Contains(error, "net.caffemodel"));
  // Training may begin with them.
  plain.mutable_state()->set_phase(TRAIN);
  Net<float> trained(plain);
  trained.CopyTrainedLayersFrom(folder / "net.caffemodel");
  EXPECT_EQ(log.Warnings(), 1);
  // Where they were not binarized there is no difference.
  NetParameter message = Saved();
  message.mutable_layer(1)->mutable_binary_convolution_param()->set_use_binarization(false);
  deployed.CopyTrainedLayersFrom(message);
  EXPECT_EQ(log.Warnings(), 1);
  // Packed ones are binarized.
  WriteProtoToBinaryFile(Packed(), folder / "packed.caffemodel");
  deployed.CopyTrainedLayersFrom(folder / "packed.caffemodel");
  EXPECT_EQ(log.Warnings(), 1);
}

}  // namespace
}  // namespace caffe
