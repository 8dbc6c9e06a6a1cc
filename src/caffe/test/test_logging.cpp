#include "caffe/util/logging.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

namespace caffe {

namespace {

std::string MessageOf(void (*statement)()) {
  try {
    statement();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

struct Captured {
  logging::Severity severity;
  std::string line;
  std::string message;
};

class LoggingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    logging::SetSink([this](logging::Severity severity, const std::string& line, const std::string& message) {
      captured_.push_back({severity, line, message});
    });
    min_severity_ = logging::MinSeverity();
    logging::SetMinSeverity(0);
  }
  void TearDown() override {
    logging::SetSink(nullptr);
    logging::SetMinSeverity(min_severity_);
  }

  std::vector<Captured> captured_;
  int min_severity_ = 0;
};

}  // namespace

TEST(CheckTest, PassesQuietly) {
  int evaluated = 0;
  CHECK(++evaluated == 1) << "never";
  CHECK_EQ(++evaluated, 2) << "never";
  EXPECT_EQ(evaluated, 2) << "a condition is evaluated once";
}

TEST(CheckTest, ThrowsWithConditionValuesAndMessage) {
  EXPECT_EQ(MessageOf([] { CHECK(1 == 2) << "extra " << 7; }), "Check failed: 1 == 2 extra 7");
  EXPECT_EQ(MessageOf([] {
              const int two = 2;
              CHECK_EQ(1, two) << "they differ";
            }),
            "Check failed: 1 == two (1 vs. 2) they differ");
  EXPECT_EQ(MessageOf([] { CHECK_LT(3, 2); }), "Check failed: 3 < 2 (3 vs. 2)");
  EXPECT_EQ(MessageOf([] { LOG(FATAL) << "the end"; }), "the end");
  EXPECT_NE(MessageOf([] { CHECK_NOTNULL(static_cast<int*>(nullptr)); }).find("must not be null"),
            std::string::npos);
}

TEST(CheckTest, WorksInUnbracedBranches) {
  bool reached_else = false;
  if (false)
    CHECK_EQ(1, 2);
  else
    reached_else = true;
  EXPECT_TRUE(reached_else);
}

TEST(ErrorTest, NamesLayerAndFileOnce) {
  const Error bare("bad value");
  EXPECT_STREQ(bare.what(), "bad value");
  const Error named = bare.WithLayer("conv1", "Convolution").WithLayer("outer", "Net");
  EXPECT_STREQ(named.what(), "layer 'conv1' (Convolution): bad value");
  EXPECT_EQ(named.layer_name(), "conv1");
  EXPECT_EQ(named.layer_type(), "Convolution");
  const Error filed = named.WithFile("net.prototxt");
  EXPECT_STREQ(filed.what(), "net.prototxt: layer 'conv1' (Convolution): bad value");
  EXPECT_EQ(filed.message(), "bad value");
  EXPECT_EQ(filed.file(), "net.prototxt");
}

TEST_F(LoggingTest, LinesCarryTheKnownPrefix) {
  LOG(WARNING) << "value " << 3;
  ASSERT_EQ(captured_.size(), 1u);
  EXPECT_EQ(captured_[0].severity, logging::WARNING);
  EXPECT_EQ(captured_[0].message, "value 3");
  const std::regex format(R"(W\d{4} \d{2}:\d{2}:\d{2}\.\d{6} +\d+ test_logging\.cpp:\d+\] value 3)");
  EXPECT_TRUE(std::regex_match(captured_[0].line, format)) << captured_[0].line;
}

TEST_F(LoggingTest, MinSeverityAndConditionsFilter) {
  logging::SetMinSeverity(logging::WARNING);
  LOG(INFO) << "dropped";
  LOG(ERROR) << "kept";
  LOG_IF(ERROR, false) << "dropped";
  LOG_IF(ERROR, true) << "kept too";
  for (int i = 0; i < 5; ++i) LOG_FIRST_N(ERROR, 2) << "first " << i;
  for (int i = 0; i < 5; ++i) LOG_EVERY_N(ERROR, 3) << "every " << i;
  std::vector<std::string> messages;
  for (const Captured& captured : captured_) messages.push_back(captured.message);
  EXPECT_EQ(messages,
            (std::vector<std::string>{"kept", "kept too", "first 0", "first 1", "every 0", "every 3"}));
}

}  // namespace caffe
