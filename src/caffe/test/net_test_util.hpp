#ifndef CAFFE_TEST_NET_TEST_UTIL_HPP_
#define CAFFE_TEST_NET_TEST_UTIL_HPP_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/util/io.hpp"
#include "log_capture.hpp"

namespace caffe {

/// The message that a piece of prototxt describes.
template <typename Message>
Message FromText(const string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

template <typename Dtype>
shared_ptr<Net<Dtype>> MakeNet(const string& text) {
  return std::make_shared<Net<Dtype>>(FromText<NetParameter>(text));
}

/// A folder of its own, gone with the object.
class TempFolder {
 public:
  TempFolder() { MakeTempDir(&path_); }
  ~TempFolder() { std::filesystem::remove_all(path_); }

  const string& path() const { return path_; }
  /// The path of a file in the folder.
  string operator/(const string& name) const { return path_ + "/" + name; }
  string Save(const string& name, const string& content) const {
    const std::filesystem::path file = *this / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }
  string Load(const string& name) const {
    std::ifstream file(*this / name, std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
  }
  std::set<string> Files() const {
    std::set<string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

 private:
  string path_;

  DISABLE_COPY_AND_ASSIGN(TempFolder);
};

/// Makes files end at a number of bytes, as a full disk would, while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  void (*handler_)(int);
};

/// Works from another folder while it lives.
class WorkingFolder {
 public:
  explicit WorkingFolder(const string& path) : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(path);
  }
  ~WorkingFolder() { std::filesystem::current_path(before_); }

 private:
  std::filesystem::path before_;
};

}  // namespace caffe

#endif  // CAFFE_TEST_NET_TEST_UTIL_HPP_
