// Writes the first inputs of the readers of binary files into their folders: small files that are right.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/image.hpp"
#include "caffe/util/io.hpp"
#include "readers/scratch.hpp"

namespace caffe {
namespace fuzz {

namespace {

namespace fs = std::filesystem;

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  CHECK(file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) << path;
}

std::string AnImage(ImageFormat format, int channels) {
  Image image(6, 9, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * i);
  return EncodeImage(image, format);
}

void WriteRecordsAndImages(const std::string& corpus) {
  Datum datum = DatumOf(3, 4, 2);
  datum.set_label(7);
  datum.set_data(std::string(24, 'x'));
  Write(corpus + "/record/bytes", datum.SerializeAsString());
  datum.clear_data();
  for (int i = 0; i < 24; ++i) datum.add_float_data(static_cast<float>(i) / 4);
  Write(corpus + "/record/floats", datum.SerializeAsString());
  for (const int channels : {1, 3, 4}) {
    const std::string png = AnImage(ImageFormat::PNG, channels);
    Write(corpus + "/image/" + std::to_string(channels) + ".png", png);
    Datum encoded;
    encoded.set_data(png);
    encoded.set_encoded(true);
    Write(corpus + "/record/png" + std::to_string(channels), encoded.SerializeAsString());
    if (channels == 4) continue;
    const std::string jpeg = AnImage(ImageFormat::JPEG, channels);
    Write(corpus + "/image/" + std::to_string(channels) + ".jpg", jpeg);
    encoded.set_data(jpeg);
    Write(corpus + "/record/jpeg" + std::to_string(channels), encoded.SerializeAsString());
  }
}

/// A blob with the values 0, 1, ...
void Fill(Blob<float>* blob) {
  for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_data()[i] = static_cast<float>(i);
}

void AddLayer(const char* name, const char* type, const std::vector<std::vector<int>>& shapes,
              NetParameter* net) {
  LayerParameter* layer = net->add_layer();
  layer->set_name(name);
  layer->set_type(type);
  for (const std::vector<int>& shape : shapes) {
    Blob<float> blob(shape);
    Fill(&blob);
    blob.ToProto(layer->add_blobs());
  }
}

void WriteWeights(const std::string& corpus) {
  NetParameter net;
  AddLayer("conv", "Convolution", {{2, 2, 3, 3}, {2}}, &net);
  AddLayer("norm", "BatchNorm", {{2}, {2}, {1}}, &net);
  AddLayer("scale", "Scale", {{2}, {2}}, &net);
  AddLayer("group/binary", "BinaryConvolution", {{2, 2, 3, 3}, {2}}, &net);
  AddLayer("ip", "InnerProduct", {{3, 2}, {3}}, &net);
  Write(corpus + "/weights/float", net.SerializeAsString());
  BlobProto* packed = net.mutable_layer(3)->mutable_blobs(0);
  packed->clear_data();
  packed->set_signs(std::string(6, '\x5a'));
  packed->add_alphas(0.5f);
  packed->add_alphas(1.5f);
  Write(corpus + "/weights/packed", net.SerializeAsString());
  for (LayerParameter& layer : *net.mutable_layer()) {
    for (BlobProto& blob : *layer.mutable_blobs()) {
      for (const float value : blob.data()) blob.add_double_data(value);
      blob.clear_data();
    }
  }
  Write(corpus + "/weights/double", net.SerializeAsString());
  NetParameter old;
  V1LayerParameter* layer = old.add_layers();
  layer->set_name("ip");
  layer->set_type(V1LayerParameter::INNER_PRODUCT);
  BlobProto* blob = layer->add_blobs();
  blob->set_num(1);
  blob->set_channels(1);
  blob->set_height(3);
  blob->set_width(2);
  for (int i = 0; i < 6; ++i) blob->add_data(1);
  Write(corpus + "/weights/v1", old.SerializeAsString());

  BlobProto mean;
  Blob<float> image(std::vector<int>{1, 2, 3, 3});
  Fill(&image);
  image.ToProto(&mean);
  Write(corpus + "/mean/shape", mean.SerializeAsString());
  mean.clear_shape();
  mean.set_num(1);
  mean.set_channels(2);
  mean.set_height(3);
  mean.set_width(3);
  Write(corpus + "/mean/old", mean.SerializeAsString());
}

SolverState AState() {
  SolverState state;
  state.set_iter(4);
  state.set_current_step(1);
  for (const std::vector<int>& shape : {std::vector<int>{3, 18}, std::vector<int>{3}}) {
    Blob<float> blob(shape);
    Fill(&blob);
    blob.ToProto(state.add_history());
  }
  DataState* data = state.add_data_state();
  data->set_layer("data");
  data->set_record(5);
  data->set_seed(3);
  state.set_saved_at(1);
  state.add_kept_iter(2);
  state.add_recent_loss(0.5);
  return state;
}

void WriteStates(const std::string& corpus) {
  SolverState state = AState();
  Write(corpus + "/state/whole", state.SerializeAsString());
  state.set_learned_net("state_iter_1.caffemodel");
  state.clear_data_state();
  Write(corpus + "/state/weights", state.SerializeAsString());
}

#ifdef USE_HDF5

void SaveBlob(hid_t group, const std::string& name, const std::vector<int>& shape) {
  Blob<float> blob(shape);
  Fill(&blob);
  hdf5_save_nd_dataset<float>(group, name, blob);
}

void WriteHdf5(const std::string& corpus) {
  Hdf5WriteFile(corpus + "/hdf5/weights.h5", [](hid_t file) {
    const Hdf5Handle ip = Hdf5CreateGroup(file, "data/ip");
    SaveBlob(ip.get(), "0", {3, 2});
    SaveBlob(ip.get(), "1", {3});
    SaveBlob(Hdf5CreateGroup(file, "data/group/binary").get(), "1", {2});
  });
  Hdf5WriteFile(corpus + "/hdf5/state.h5", [](hid_t file) {
    hdf5_save_int(file, "iter", 4);
    hdf5_save_int(file, "current_step", 1);
    hdf5_save_string(file, "data_state", "saved_at: 1 data_state { layer: 'data' record: 5 seed: 3 }");
    const Hdf5Handle history = Hdf5CreateGroup(file, "history");
    SaveBlob(history.get(), "0", {3, 18});
    SaveBlob(history.get(), "1", {3});
  });
  Hdf5WriteFile(corpus + "/hdf5/data.h5", [](hid_t file) {
    SaveBlob(file, "data", {3, 2, 2});
    SaveBlob(file, "label", {3});
  });
  Hdf5WriteFile(corpus + "/hdf5/chunked.h5", [](hid_t file) {
    Blob<float> blob(std::vector<int>{3, 2});
    for (const char* name : {"data", "label"}) hdf5_append_nd_dataset<float>(file, name, blob);
  });
}

#endif

void WriteDatabase(const std::string& backend, const std::string& folder, int count, size_t value_bytes) {
  std::vector<std::pair<std::string, std::string>> records;
  for (int i = 0; i < count; ++i)
    records.emplace_back(std::to_string(100 + i), std::string(value_bytes, 'v'));
  WriteRecords(backend, folder, records);
}

void WriteDatabases(const std::string& corpus) {
  struct Kind {
    const char* name;
    int records;
    size_t value_bytes;
  };
  // One leaf, leaves below a branch, and a value on pages of its own.
  for (const Kind& kind : {Kind{"leaf", 3, 20}, Kind{"branch", 6, 1500}, Kind{"overflow", 2, 5000}}) {
    const std::string folder = ScratchPath(kind.name);
    WriteDatabase("lmdb", folder, kind.records, kind.value_bytes);
    Write(corpus + "/lmdb/" + kind.name + ".mdb", ReadFileBytes(folder + "/data.mdb"));
  }
#ifdef USE_LEVELDB
  const std::string folder = ScratchPath("leveldb");
  for (const int records : {3, 2}) WriteDatabase("leveldb", folder, records, 40);
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const char part = name == "CURRENT"                    ? 'C'
                      : name.rfind("MANIFEST", 0) == 0     ? 'M'
                      : entry.path().extension() == ".ldb" ? 'T'
                      : entry.path().extension() == ".log" ? 'L'
                                                           : '\0';
    if (part != '\0') Write(corpus + "/leveldb/" + part, part + ReadFileBytes(entry.path().string()));
  }
#endif
}

}  // namespace

}  // namespace fuzz
}  // namespace caffe

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_corpus FOLDER\n";
    return 1;
  }
  try {
    for (const char* reader : {"weights", "state", "hdf5", "mean", "record", "image", "lmdb", "leveldb"}) {
      std::filesystem::create_directories(std::string(argv[1]) + "/" + reader);
    }
    caffe::fuzz::WriteRecordsAndImages(argv[1]);
    caffe::fuzz::WriteWeights(argv[1]);
    caffe::fuzz::WriteStates(argv[1]);
#ifdef USE_HDF5
    caffe::fuzz::WriteHdf5(argv[1]);
#endif
    caffe::fuzz::WriteDatabases(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
