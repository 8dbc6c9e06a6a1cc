#include "caffe/util/log_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

#include "caffe/test/test_error_util.hpp"
#include "caffe/util/io.hpp"
#include "log_capture.hpp"

namespace caffe {

namespace {

string ContentOf(const string& file) {
  std::ifstream stream(file, std::ios::binary);
  return string(std::istreambuf_iterator<char>(stream), {});
}

}  // namespace

TEST(LogFileTest, HasTheLogBesideItsSink) {
  string folder;
  MakeTempDir(&folder);
  LogCapture log;
  LOG(INFO) << "before";
  const string path = logging::OpenLogFile(folder, "tool");
  LOG(INFO) << "one line";
  LOG(WARNING) << "and another";
  EXPECT_TRUE(log.Has("one line"));
  const string content = ContentOf(path);
  EXPECT_FALSE(Contains(content, "before"));
  EXPECT_TRUE(Contains(content, "Log file created at: "));
  const std::regex lines(
      R"(I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ test_log_file\.cpp:\d+\] one line\nW[^\n]*\] and another\n$)");
  EXPECT_TRUE(std::regex_search(content, lines)) << content;
  const string name = std::filesystem::path(path).filename().string();
  const std::regex expected(R"(tool\..+\..+\.log\.INFO\.\d{8}-\d{6}\.)" + std::to_string(getpid()));
  EXPECT_TRUE(std::regex_match(name, expected)) << name;
  EXPECT_EQ(content, ContentOf(folder + "/tool.INFO"));

  const string other = logging::OpenLogFile(folder, "other");
  LOG(INFO) << "elsewhere";
  EXPECT_EQ(content, ContentOf(path));
  EXPECT_TRUE(Contains(ContentOf(other), "elsewhere"));
  logging::CloseLogFile();
  LOG(INFO) << "nowhere";
  EXPECT_FALSE(Contains(ContentOf(other), "nowhere"));
  std::filesystem::remove_all(folder);
}

TEST(LogFileTest, APlaceThatCannotBeWrittenIsAnError) {
  const string error = ErrorOf([] { logging::OpenLogFile("/no/such/folder", "tool"); });
  EXPECT_TRUE(Contains(error, "cannot write the log to '/no/such/folder/tool."));
  EXPECT_TRUE(Contains(error, "No such file or directory"));
}

}  // namespace caffe
