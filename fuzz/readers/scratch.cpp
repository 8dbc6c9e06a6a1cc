#include "scratch.hpp"

#include <filesystem>
#include <fstream>
#include <memory>

#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/io.hpp"

namespace caffe {
namespace fuzz {

namespace {

class Folder {
 public:
  Folder() { MakeTempDir(&path_); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::string ScratchPath(const std::string& name) {
  static const Folder folder;
  return folder.path() + "/" + name;
}

std::string WriteScratch(const std::string& name, const std::string& bytes) {
  const std::string path = ScratchPath(name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  CHECK(file.flush()) << path << " cannot be written";
  return path;
}

void WriteRecords(const std::string& backend, const std::string& folder,
                  const std::vector<std::pair<std::string, std::string>>& records) {
  const std::unique_ptr<db::DB> database(db::GetDB(backend));
  database->Open(folder, db::WRITE);
  const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
  for (const auto& [key, value] : records) transaction->Put(key, value);
  transaction->Commit();
}

Datum DatumOf(int channels, int height, int width) {
  Datum datum;
  datum.set_channels(channels);
  datum.set_height(height);
  datum.set_width(width);
  return datum;
}

void RunDataLayer(const LayerParameter& param) {
  const auto layer = LayerRegistry<float>::CreateLayer(param);
  Blob<float> data, label;
  const vector<Blob<float>*> tops = {&data, &label};
  layer->SetUp({}, tops);
  layer->Forward({}, tops);
}

}  // namespace fuzz
}  // namespace caffe
