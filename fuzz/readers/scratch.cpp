#include "scratch.hpp"

#include <filesystem>
#include <fstream>

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

}  // namespace fuzz
}  // namespace caffe
