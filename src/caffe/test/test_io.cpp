#include "caffe/util/io.hpp"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "caffe/util/atomic_file.hpp"

namespace caffe {

namespace fs = std::filesystem;

namespace {

/// A folder for each test, gone after it.
class IOTest : public ::testing::Test {
 protected:
  void SetUp() override {
    MakeTempDir(&folder_);
    // Readers that return false log why, which here is thousands of lines.
    logging::SetSink(
        [this](logging::Severity, const std::string&, const std::string& message) { log_ = message; });
  }
  void TearDown() override {
    logging::SetSink(nullptr);
    fs::remove_all(folder_);
  }

  string Path(const string& name) const { return folder_ + "/" + name; }

  string Save(const string& name, const string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
    return Path(name);
  }

  static string Load(const string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
  }

  std::set<string> Files() const {
    std::set<string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename().string());
    return names;
  }

  static string TextError(const string& path) {
    NetParameter net;
    return ErrorOf([&] { ReadProtoFromTextFileOrDie(path, &net); });
  }

  static string BinaryError(const string& path) {
    NetParameter net;
    return ErrorOf([&] { ReadProtoFromBinaryFileOrDie(path, &net); });
  }

  string folder_;
  string log_;
};

NetParameter SmallNet() {
  NetParameter net;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    name: 'small'
    layer { name: 'conv1' type: 'BinaryConvolution' bottom: 'data' top: 'conv1'
            convolution_param { num_output: 2 kernel_size: 3 } binary_convolution_param { use_alpha: true }
            blobs { shape { dim: 2 dim: 2 } data: 1 data: -2.5 data: 3 data: 0.125 } }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'conv1' top: 'ip' inner_product_param { num_output: 10 } })",
                                                            &net));
  return net;
}

}  // namespace

TEST_F(IOTest, TemporaryNamesDiffer) {
  string a, b;
  MakeTempDir(&a);
  MakeTempDir(&b);
  EXPECT_NE(a, b);
  EXPECT_TRUE(fs::is_directory(a));
  fs::remove(a);
  fs::remove(b);
  MakeTempFilename(&a);
  MakeTempFilename(&b);
  EXPECT_NE(a, b);
  EXPECT_EQ(fs::path(a).parent_path(), fs::path(b).parent_path());
  EXPECT_FALSE(fs::exists(a));
}

// ------------------------------------------------------------------------------------------------------ text

TEST_F(IOTest, TextRoundTrip) {
  const NetParameter net = SmallNet();
  WriteProtoToTextFile(net, Path("net.prototxt"));
  NetParameter read;
  read.set_name("replaced");
  ASSERT_TRUE(ReadProtoFromTextFile(Path("net.prototxt"), &read));
  EXPECT_EQ(read.DebugString(), net.DebugString());
}

TEST_F(IOTest, TextErrorsNameFileLineAndColumn) {
  const string path = Save("net.prototxt", "name: 'x'\nlayer {\n  name: 'conv1\n}\n");
  EXPECT_TRUE(Contains(TextError(path), path + ":3:"));

  const string open = Save("open.prototxt", "layer {\n  name: 'conv1'\n");
  EXPECT_TRUE(Contains(TextError(open), open + ":3:1: "));

  NetParameter net;
  EXPECT_FALSE(ReadProtoFromTextFile(path, &net));
  EXPECT_TRUE(Contains(log_, path + ":3:"));
  EXPECT_FALSE(ReadProtoFromTextFile(Path("none"), &net));
}

TEST_F(IOTest, AnUnknownFieldIsNamedWithTheNearestOnes) {
  const string misspelt = Save("a.prototxt", "layer {\n  convolution_parm { num_output: 3 }\n}\n");
  EXPECT_TRUE(
      Contains(TextError(misspelt), misspelt + ":2:3: LayerParameter has no field 'convolution_parm'"));
  EXPECT_TRUE(Contains(TextError(misspelt), "did you mean 'convolution_param'"));

  const string foreign = Save("b.prototxt", "layer {\n\tshuffle_channel_param\n  {\n    group: 3 }\n}\n");
  EXPECT_TRUE(
      Contains(TextError(foreign), foreign + ":2:2: LayerParameter has no field 'shuffle_channel_param'"));
  EXPECT_TRUE(Contains(TextError(foreign), "if it is of another fork of Caffe, remove it"));

  const string value = Save("c.prototxt", "layer {\n  pooling_param { pool: MAXX }\n}\n");
  EXPECT_TRUE(Contains(TextError(value), value + ":2:25: "));
  EXPECT_TRUE(Contains(TextError(value), "'MAXX' is not a value of pool (did you mean 'MAX'"));
}

TEST_F(IOTest, AnEndlessNameIsAnError) {
  const string path = Save("long.prototxt", string(1 << 20, 'x') + ": 1");
  EXPECT_TRUE(Contains(TextError(path), path + ":1:1: NetParameter has no field 'xxx"));
}

TEST_F(IOTest, TextThatLacksARequiredFieldSaysWhich) {
  const string path = Save("clip.prototxt", "layer { type: 'Clip' clip_param { min: -1 } }");
  EXPECT_TRUE(Contains(TextError(path), path));
  EXPECT_TRUE(Contains(TextError(path), "required fields are missing: layer[0].clip_param.max"));
}

TEST_F(IOTest, OtherFilesAreToldFromPrototxt) {
  EXPECT_TRUE(
      Contains(TextError(Path("none")), "cannot read '" + Path("none") + "': No such file or directory"));
  EXPECT_TRUE(Contains(TextError(folder_), "Is a directory"));
  WriteProtoToBinaryFile(SmallNet(), Path("net.caffemodel"));
  EXPECT_TRUE(Contains(TextError(Path("net.caffemodel")), "not a prototxt; it seems to be a binary file"));
}

TEST_F(IOTest, TextCutAnywhereIsReadOrAnError) {
  const string text = SmallNet().DebugString();
  for (size_t length = 0; length < text.size(); ++length) {
    const string path = Save("cut.prototxt", text.substr(0, length));
    NetParameter net;
    try {
      ReadProtoFromTextFileOrDie(path, &net);
    } catch (const Error& error) {
      EXPECT_TRUE(Contains(error.what(), path + ":")) << length;
      EXPECT_EQ(error.file(), path);
    }
  }
}

// ---------------------------------------------------------------------------------------------------- binary

TEST_F(IOTest, BinaryRoundTrip) {
  const NetParameter net = SmallNet();
  WriteProtoToBinaryFile(net, Path("net.caffemodel"));
  NetParameter read;
  ASSERT_TRUE(ReadProtoFromBinaryFile(Path("net.caffemodel"), &read));
  EXPECT_EQ(read.SerializeAsString(), net.SerializeAsString());
  EXPECT_EQ(Load(Path("net.caffemodel")), net.SerializeAsString());
}

TEST_F(IOTest, BinaryFilesOfSeveralBlocksRoundTrip) {
  BlobProto blob;
  for (int i = 0; i < 1000000; ++i) blob.add_data(i);
  WriteProtoToBinaryFile(blob, Path("mean.binaryproto"));
  BlobProto read;
  ReadProtoFromBinaryFileOrDie(Path("mean.binaryproto"), &read);
  EXPECT_EQ(read.SerializeAsString(), blob.SerializeAsString());
}

TEST_F(IOTest, ABinaryFileThatIsNoneSaysWhatItSeemsToBe) {
  EXPECT_TRUE(
      Contains(BinaryError(Path("none")), "cannot read '" + Path("none") + "': No such file or directory"));
  EXPECT_TRUE(Contains(BinaryError(folder_), "Is a directory"));
  EXPECT_TRUE(Contains(BinaryError(Save("empty", "")), "the file is empty"));
  EXPECT_TRUE(Contains(BinaryError(Save("text", "name: 'LeNet'\n")), "(14 bytes)"));
  EXPECT_TRUE(
      Contains(BinaryError(Save("text", "name: 'LeNet'\n")), "not a NetParameter; it seems to be a text"));
  EXPECT_TRUE(Contains(BinaryError(Save("h5", "\x89HDF\r\n\x1a\n....")), "an HDF5 file"));
  EXPECT_TRUE(
      Contains(BinaryError(Save("lfs", "version https://git-lfs.github.com/spec/v1\n")), "git lfs pull"));
  EXPECT_TRUE(Contains(BinaryError(Save("web", "<!DOCTYPE html>")), "a web page"));
  NetParameter net;
  EXPECT_FALSE(ReadProtoFromBinaryFile(Path("none"), &net));
  EXPECT_FALSE(ReadProtoFromBinaryFile(Path("text"), &net));
}

TEST_F(IOTest, AnotherMessageIsNotTakenForTheWantedOne) {
  SolverState state;
  state.set_iter(500);
  WriteProtoToBinaryFile(state, Path("x.solverstate"));
  EXPECT_TRUE(Contains(BinaryError(Path("x.solverstate")), "not a NetParameter"));

  BlobProto blob;
  blob.set_num(3);
  WriteProtoToBinaryFile(blob, Path("mean.binaryproto"));
  EXPECT_TRUE(Contains(BinaryError(Path("mean.binaryproto")), "not a NetParameter"));
}

TEST_F(IOTest, BinaryCutAnywhereIsAnErrorExceptBetweenLayers) {
  const NetParameter net = SmallNet();
  const string bytes = net.SerializeAsString();
  NetParameter name_only, one_layer;
  name_only.set_name(net.name());
  one_layer = name_only;
  *one_layer.add_layer() = net.layer(0);
  const std::set<size_t> boundaries = {name_only.ByteSizeLong(), one_layer.ByteSizeLong()};
  for (size_t length = 0; length < bytes.size(); ++length) {
    const string path = Save("cut.caffemodel", bytes.substr(0, length));
    NetParameter read;
    if (boundaries.count(length)) {
      ReadProtoFromBinaryFileOrDie(path, &read);
    } else {
      EXPECT_TRUE(Contains(ErrorOf([&] { ReadProtoFromBinaryFileOrDie(path, &read); }), path)) << length;
    }
  }
}

TEST_F(IOTest, GarbageIsReadOrAnError) {
  std::mt19937 random(7);
  for (int round = 0; round < 1000; ++round) {
    string bytes = round % 2 ? SmallNet().SerializeAsString() : string(random() % 60 + 1, '\0');
    const int damaged = round % 2 ? 1 + random() % 4 : bytes.size();
    for (int i = 0; i < damaged; ++i)
      bytes[round % 2 ? random() % bytes.size() : i] = static_cast<char>(random());
    const string path = Save("garbage", bytes);
    NetParameter net;
    SolverState state;
    BlobProto blob;
    for (Message* message : std::vector<Message*>{&net, &state, &blob}) {
      for (const auto read : {static_cast<bool (*)(const char*, Message*)>(ReadProtoFromBinaryFile),
                              static_cast<bool (*)(const char*, Message*)>(ReadProtoFromTextFile)}) {
        EXPECT_NO_THROW(read(path.c_str(), message)) << "an Error makes it false, and nothing else is thrown";
      }
    }
  }
}

// ----------------------------------------------------------------------- numbers with two meanings, byte by
// byte

namespace {

string Varint(uint64_t value) {
  string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
string BytesField(int number, const string& payload) {
  return Varint(number << 3 | 2) + Varint(payload.size()) + payload;
}
string FloatField(int number, float value) {
  string bytes(4, '\0');
  std::memcpy(&bytes[0], &value, 4);
  return Varint(number << 3 | 5) + bytes;
}
string VarintField(int number, uint64_t value) { return Varint(number << 3 | 0) + Varint(value); }

/// A net of one layer as a file holds it.
string NetFile(const string& type, const string& rest) {
  return BytesField(100, BytesField(1, "layer1") + BytesField(2, type) + rest);
}

}  // namespace

TEST_F(IOTest, ASwishLayerOfBvlcIsRead) {
  NetParameter net;
  ReadProtoFromBinaryFileOrDie(Save("swish", NetFile("Swish", BytesField(147, FloatField(1, 1.5)))), &net);
  EXPECT_EQ(net.layer(0).swish_param().beta(), 1.5f);
  EXPECT_FALSE(net.layer(0).has_binary_convolution_param());

  ReadProtoFromBinaryFileOrDie(Save("swish", NetFile("Swish", BytesField(147, ""))), &net);
  EXPECT_TRUE(net.layer(0).has_swish_param());
  EXPECT_FALSE(net.layer(0).has_binary_convolution_param());

  ReadProtoFromBinaryFileOrDie(Save("swish", NetFile("Swish", "")), &net);
  EXPECT_FALSE(net.layer(0).has_swish_param());
}

TEST_F(IOTest, AClipLayerOfBvlcIsRead) {
  NetParameter net;
  const string payload = FloatField(1, -2) + FloatField(2, 3);
  ReadProtoFromBinaryFileOrDie(Save("clip", NetFile("Clip", BytesField(148, payload))), &net);
  EXPECT_EQ(net.layer(0).clip_param().min(), -2);
  EXPECT_EQ(net.layer(0).clip_param().max(), 3);
  EXPECT_FALSE(net.layer(0).has_binary_inner_product_param());
}

TEST_F(IOTest, BinaryLayersOfTheForkAreRead) {
  NetParameter net;
  const string payload = VarintField(1, 1) + VarintField(2, 0);
  ReadProtoFromBinaryFileOrDie(Save("conv", NetFile("BinaryConvolution", BytesField(147, payload))), &net);
  EXPECT_TRUE(net.layer(0).binary_convolution_param().use_alpha());
  EXPECT_FALSE(net.layer(0).binary_convolution_param().use_binarization());
  EXPECT_FALSE(net.layer(0).has_swish_param());

  ReadProtoFromBinaryFileOrDie(Save("ip", NetFile("BinaryInnerProduct", BytesField(148, payload))), &net);
  EXPECT_TRUE(net.layer(0).binary_inner_product_param().use_alpha());
  EXPECT_FALSE(net.layer(0).has_clip_param());
}

TEST_F(IOTest, PrivateNumbersAreReadToo) {
  NetParameter net;
  ReadProtoFromBinaryFileOrDie(Save("swish", NetFile("Swish", BytesField(10147, FloatField(1, 1.5)))), &net);
  EXPECT_EQ(net.layer(0).swish_param().beta(), 1.5f);
  const string payload = FloatField(1, -2) + FloatField(2, 3);
  ReadProtoFromBinaryFileOrDie(Save("clip", NetFile("Clip", BytesField(10148, payload))), &net);
  EXPECT_EQ(net.layer(0).clip_param().max(), 3);
}

TEST_F(IOTest, APayloadThatDoesNotFitItsTypeIsAnError) {
  const string booleans = VarintField(1, 1);
  const string floats = FloatField(1, 1) + FloatField(2, 2);
  const std::vector<std::pair<string, string>> misfits = {
      {"Swish", BytesField(147, booleans)},
      {"Clip", BytesField(148, booleans)},
      {"Clip", BytesField(148, FloatField(1, 1))},
      {"BinaryConvolution", BytesField(147, floats)},
      {"BinaryInnerProduct", BytesField(148, floats)},
  };
  for (const auto& [type, field] : misfits) {
    const string path = Save("misfit", NetFile(type, field));
    const string error = BinaryError(path);
    EXPECT_TRUE(Contains(error, path + ": layer 'layer1' (" + type + "): field 14"));
  }
}

TEST_F(IOTest, SwishAndClipAreWrittenAsBvlcReadsThem) {
  NetParameter net;
  LayerParameter* swish = net.add_layer();
  swish->set_name("layer1");
  swish->set_type("Swish");
  swish->mutable_swish_param()->set_beta(1.5);
  WriteProtoToBinaryFile(net, Path("swish"));
  EXPECT_EQ(Load(Path("swish")), NetFile("Swish", BytesField(147, FloatField(1, 1.5))));
  EXPECT_TRUE(net.layer(0).has_swish_param()) << "the caller's net is left alone";

  LayerParameter* clip = net.add_layer();
  clip->set_type("Clip");
  clip->mutable_clip_param()->set_min(-1);
  clip->mutable_clip_param()->set_max(4);
  *net.add_layer() = SmallNet().layer(0);
  WriteProtoToBinaryFile(net, Path("three"));
  NetParameter read;
  ReadProtoFromBinaryFileOrDie(Path("three"), &read);
  EXPECT_EQ(read.SerializeAsString(), net.SerializeAsString());
}

TEST_F(IOTest, SwishInTextGoesByName) {
  NetParameter net;
  const string path = Save("net.prototxt", "layer { type: 'Swish' swish_param { beta: 2 } }");
  ReadProtoFromTextFileOrDie(path, &net);
  EXPECT_EQ(net.layer(0).swish_param().beta(), 2);
}

// ---------------------------------------------------------------------------------------------- atomic
// writing

TEST_F(IOTest, AFailedWriteKeepsTheOldFileAndLeavesNothing) {
  const string path = Save("net.caffemodel", "old");
  {
    AtomicFile file(path);
    ASSERT_EQ(write(file.descriptor(), "new", 3), 3);
    EXPECT_EQ(fs::path(file.temp_path()).parent_path(), fs::canonical(folder_))
        << "a rename needs one file system";
    EXPECT_EQ(Load(path), "old");
  }
  EXPECT_EQ(Load(path), "old");
  EXPECT_EQ(Files(), (std::set<string>{"net.caffemodel"}));
  {
    AtomicFile file(path);
    ASSERT_EQ(write(file.descriptor(), "new", 3), 3);
    file.Commit();
    EXPECT_THROW(file.Commit(), Error);
  }
  EXPECT_EQ(Load(path), "new");
  EXPECT_EQ(Files(), (std::set<string>{"net.caffemodel"}));
}

TEST_F(IOTest, AFullDiskIsAnErrorAndKeepsTheOldFile) {
  BlobProto blob;
  for (int i = 0; i < 100000; ++i) blob.add_data(i);
  NetParameter net = SmallNet();
  net.set_name(string(100000, 'x'));
  const string binary = Save("mean.binaryproto", "old");
  const string text = Save("net.prototxt", "old");

  // The limit on file sizes fails writes as a full disk does, at the same place.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = before;
  limit.rlim_cur = 4096;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const string binary_error = ErrorOf([&] { WriteProtoToBinaryFile(blob, binary); });
  const string text_error = ErrorOf([&] { WriteProtoToTextFile(net, text); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_EQ(binary_error, "cannot write '" + binary + "': File too large");
  EXPECT_EQ(text_error, "cannot write '" + text + "': File too large");
  EXPECT_EQ(Load(binary), "old");
  EXPECT_EQ(Load(text), "old");
  EXPECT_EQ(Files(), (std::set<string>{"mean.binaryproto", "net.prototxt"}));
}

TEST_F(IOTest, PlacesThatCannotBeWrittenAreNamed) {
  const NetParameter net = SmallNet();
  const string nowhere = Path("none/net.caffemodel");
  EXPECT_EQ(ErrorOf([&] { WriteProtoToBinaryFile(net, nowhere); }),
            "cannot write '" + nowhere + "': No such file or directory (is there a folder '" + Path("none") +
                "'?)");
  EXPECT_TRUE(Contains(ErrorOf([&] { WriteProtoToTextFile(net, folder_); }), "Is a directory"));
  if (geteuid() != 0) {
    const string locked = Save("locked", "old");
    chmod(locked.c_str(), 0444);
    EXPECT_TRUE(Contains(ErrorOf([&] { WriteProtoToTextFile(net, locked); }), "Permission denied"));
    chmod(folder_.c_str(), 0555);
    EXPECT_TRUE(Contains(ErrorOf([&] { WriteProtoToTextFile(net, Path("new")); }), "Permission denied"));
    chmod(folder_.c_str(), 0755);
    EXPECT_EQ(Files(), (std::set<string>{"locked"}));
  }
}

TEST_F(IOTest, LinksAndPermissionsSurvive) {
  const string path = Save("target", "old");
  chmod(path.c_str(), 0640);
  fs::create_symlink("target", Path("link"));
  WriteProtoToBinaryFile(SmallNet(), Path("link"));
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_EQ(Load(path), SmallNet().SerializeAsString());
  struct stat status;
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);

  // A new file has what the user's mask allows, not the 0600 of a temporary file.
  const mode_t mask = umask(022);
  WriteProtoToBinaryFile(SmallNet(), Path("fresh"));
  umask(mask);
  ASSERT_EQ(stat(Path("fresh").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST_F(IOTest, ADeviceIsWrittenDirectly) {
  WriteProtoToTextFile(SmallNet(), "/dev/null");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_TRUE(
      Contains(ErrorOf([] { WriteProtoToTextFile(SmallNet(), "/dev/full"); }), "No space left on device"));
}

TEST_F(IOTest, AMessageThatLacksARequiredFieldIsNotWritten) {
  NetParameter net;
  net.add_layer()->mutable_clip_param()->set_min(0);
  EXPECT_TRUE(Contains(ErrorOf([&] { WriteProtoToBinaryFile(net, Path("x")); }), "layer[0].clip_param.max"));
  EXPECT_TRUE(Contains(ErrorOf([&] { WriteProtoToTextFile(net, Path("x")); }), "layer[0].clip_param.max"));
  EXPECT_TRUE(Files().empty());
}

}  // namespace caffe
