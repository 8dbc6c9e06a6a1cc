#include "caffe/util/flags.hpp"

#include <gflags/gflags.h>
#include <glog/logging.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/io.hpp"

DEFINE_string(test_solver, "", "a file");
DEFINE_int32(test_iterations, 50, "a count");
DEFINE_uint32(test_size, 1, "a size");
DEFINE_int64(test_offset, -1, "a place");
DEFINE_uint64(test_total, 3, "a sum");
DEFINE_double(test_rate, 0.25, "a rate");
DEFINE_bool(test_shuffle, true, "a choice");
DEFINE_int32(test_port, 80, "a port");

static bool IsPort(const char* name, gflags::int32 value) {
  return std::string(name) == "test_port" && value > 0 && value < 65536;
}
DEFINE_validator(test_port, &IsPort);

namespace caffe {

namespace {

/// A command line whose strings can be moved about.
class Arguments {
 public:
  explicit Arguments(std::vector<std::string> words) : words_(std::move(words)) {
    for (std::string& word : words_) pointers_.push_back(&word[0]);
    argc = static_cast<int>(pointers_.size());
    argv = pointers_.data();
  }
  std::vector<std::string> rest() const { return std::vector<std::string>(argv + 1, argv + argc); }
  int argc;
  char** argv;

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

void Parse(const std::vector<std::string>& words) {
  Arguments arguments(words);
  gflags::ParseCommandLineFlags(&arguments.argc, &arguments.argv, true);
}

std::string ParseError(const std::vector<std::string>& words) {
  return ErrorOf([&] { Parse(words); });
}

}  // namespace

TEST(FlagsTest, EveryTypeIsReadInEveryForm) {
  Arguments arguments({"bin/tool", "-test_solver=a=b", "one", "--test_iterations", "-7", "-test_size=9",
                       "--test_offset=-9000000000", "-test_total", "18000000000000000000", "-test_rate=1e-3",
                       "-notest_shuffle", "-", "--", "-test_size=4"});
  google::ParseCommandLineFlags(&arguments.argc, &arguments.argv, true);
  EXPECT_EQ(FLAGS_test_solver, "a=b");
  EXPECT_EQ(FLAGS_test_iterations, -7);
  EXPECT_EQ(FLAGS_test_size, 9u);
  EXPECT_EQ(FLAGS_test_offset, -9000000000);
  EXPECT_EQ(FLAGS_test_total, 18000000000000000000u);
  EXPECT_EQ(FLAGS_test_rate, 1e-3);
  EXPECT_FALSE(FLAGS_test_shuffle);
  EXPECT_EQ(arguments.rest(), (std::vector<std::string>{"one", "-", "-test_size=4"}));
  EXPECT_STREQ(gflags::ProgramInvocationShortName(), "tool");
  Parse({"tool", "-test_shuffle"});
  EXPECT_TRUE(FLAGS_test_shuffle);
  Parse({"tool", "-test_shuffle=no"});
  EXPECT_FALSE(FLAGS_test_shuffle);
}

TEST(FlagsTest, FlagsCanBeKeptInFront) {
  Arguments arguments({"tool", "one", "-test_iterations", "3", "two"});
  EXPECT_EQ(gflags::ParseCommandLineFlags(&arguments.argc, &arguments.argv, false), 3u);
  EXPECT_EQ(arguments.rest(), (std::vector<std::string>{"-test_iterations", "3", "one", "two"}));
}

TEST(FlagsTest, WrongFlagsAreErrors) {
  FLAGS_test_iterations = 5;
  EXPECT_TRUE(Contains(ParseError({"tool", "-test_iteration=3"}), "did you mean 'test_iterations'"));
  EXPECT_TRUE(Contains(ParseError({"tool", "-test_iterations"}), "needs a value"));
  EXPECT_TRUE(Contains(ParseError({"tool", "-test_iterations=5x"}), "'5x' is no value for -test_iterations"));
  EXPECT_TRUE(Contains(ParseError({"tool", "-test_iterations=3000000000"}), "int32"));
  EXPECT_TRUE(Contains(ParseError({"tool", "-test_size=-1"}), "uint32"));
  EXPECT_TRUE(Contains(ParseError({"tool", "-test_shuffle=maybe"}), "bool"));
  EXPECT_TRUE(Contains(ParseError({"tool", "-test_port=65536"}), "no value for -test_port"));
  EXPECT_EQ(FLAGS_test_iterations, 5);
  EXPECT_EQ(FLAGS_test_port, 80) << "a refused value is not kept";
}

TEST(FlagsTest, OptionsAreReadAndSetByName) {
  std::string value;
  FLAGS_test_rate = 0.5;
  EXPECT_TRUE(gflags::GetCommandLineOption("test_rate", &value));
  EXPECT_EQ(value, "0.5");
  EXPECT_FALSE(gflags::GetCommandLineOption("test_nothing", &value));
  EXPECT_NE(gflags::SetCommandLineOption("test_rate", "2"), "");
  EXPECT_EQ(FLAGS_test_rate, 2);
  EXPECT_EQ(gflags::SetCommandLineOption("test_rate", "two"), "");
}

TEST(FlagsTest, UsageNamesFlagsOfAFile) {
  gflags::SetUsageMessage("does things");
  ::testing::internal::CaptureStdout();
  gflags::ShowUsageWithFlagsRestrict("bin/tool", "test_flags");
  const std::string usage = ::testing::internal::GetCapturedStdout();
  EXPECT_TRUE(Contains(usage, "tool: does things"));
  EXPECT_TRUE(Contains(usage, "-test_iterations (a count) type: int32 default: 50"));
  EXPECT_EQ(usage.find("minloglevel"), std::string::npos) << "that one is another file's";
}

TEST(FlagsDeathTest, HelpAndVersionEndTheProgram) {
  gflags::SetVersionString("1.2.3");
  EXPECT_EXIT(Parse({"tool", "--help"}), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(Parse({"tool", "-version"}), ::testing::ExitedWithCode(0), "");
}

TEST(GlogTest, FlagsOfTheLogAreItsSettings) {
  const int before = FLAGS_minloglevel;
  FLAGS_minloglevel = google::ERROR;
  EXPECT_EQ(logging::MinSeverity(), logging::ERROR);
  google::SetStderrLogging(google::WARNING);
  EXPECT_EQ(FLAGS_minloglevel, 1);
  FLAGS_minloglevel = before;
  FLAGS_v = 2;
  EXPECT_TRUE(VLOG_IS_ON(2));
  FLAGS_v = 0;
  EXPECT_FALSE(VLOG_IS_ON(1));
  FLAGS_logtostderr = FLAGS_alsologtostderr = true;
  google::InstallFailureSignalHandler();
}

TEST(GlogTest, LogDirNamesTheFolderOfALogFile) {
  MakeTempDir(&FLAGS_log_dir);
  google::InitGoogleLogging("bin/tool");
  logging::SetSink([](logging::Severity, const std::string&, const std::string&) {});
  LOG(ERROR) << "to be found";
  logging::SetSink(nullptr);
  google::ShutdownGoogleLogging();
  std::ifstream file(FLAGS_log_dir + "/tool.INFO");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_TRUE(Contains(text, "to be found"));
  FLAGS_log_dir.clear();
}

}  // namespace caffe
