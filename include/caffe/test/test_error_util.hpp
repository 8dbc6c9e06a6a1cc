#ifndef CAFFE_TEST_TEST_ERROR_UTIL_HPP_
#define CAFFE_TEST_TEST_ERROR_UTIL_HPP_

#include <gtest/gtest.h>

#include <string>

#include "caffe/util/logging.hpp"

namespace caffe {

/// What the caffe::Error says that `statement` (called without arguments) throws; empty where it throws none.
template <typename Statement>
std::string ErrorOf(Statement&& statement) {
  try {
    statement();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Succeeds where `text` contains `part`: EXPECT_TRUE(Contains(ErrorOf([&] { ... }), "conv1")).
inline ::testing::AssertionResult Contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << part << "\" is not in \"" << text << "\"";
}

}  // namespace caffe

#endif  // CAFFE_TEST_TEST_ERROR_UTIL_HPP_
